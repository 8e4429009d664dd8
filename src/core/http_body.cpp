#include "http_body.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>

namespace tern::core {
namespace {

constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();
/// With its extensions, which nobody uses.
constexpr std::size_t max_chunk_line = 256;

/// RFC 9112 section 6.3, rule 4: chunked counts when it was applied last.
bool is_chunked(const std::vector<Header>& fields) {
    std::string_view last;
    for (const Header& field : fields) {
        if (!iequals(field.name, "Transfer-Encoding")) continue;
        std::string_view list = field.value;
        std::string_view element;
        while (next_element(list, element)) last = element;
    }
    return iequals(last, "chunked");
}

std::optional<std::uint64_t> parse_length(std::string_view text) {
    std::uint64_t length = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        // All that exceeds the limit is the same to us.
        if (length < unlimited / 16) length = length * 10 + static_cast<unsigned>(c - '0');
    }
    return length;
}

/// Rule 5: the same number several times is one; anything else is as good as none, and the end of the stream decides.
std::uint64_t content_length(const std::vector<Header>& fields) {
    std::optional<std::uint64_t> length;
    for (const Header& field : fields) {
        if (!iequals(field.name, "Content-Length")) continue;
        std::string_view list = field.value;
        std::string_view element;
        while (next_element(list, element)) {
            const auto other = parse_length(element);
            if (!other || (length && *length != *other)) return unlimited;
            length = other;
        }
    }
    return length.value_or(unlimited);
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

HttpBodyReader::HttpBodyReader(const HttpHead& head, std::size_t limit) : limit_(limit) {
    const bool never = head.status < 200 || head.status == 204 || head.status == 304;  // rule 1
    const bool encoded = count_fields(head.fields, "Transfer-Encoding") != 0;
    chunked_ = is_chunked(head.fields);
    if (!chunked_) left_ = encoded ? unlimited : content_length(head.fields);
    if (chunked_) state_ = State::size;
    if (never || limit_ == 0 || (!chunked_ && left_ == 0)) state_ = State::finished;
}

void HttpBodyReader::advance(Buffer& in) {
    while (!finished() && !in.empty()) {
        if (state_ == State::data) {
            take_data(in);
        } else {
            state_ = after_framing(as_text(in.readable()).front());
            in.consume(1);
        }
    }
}

void HttpBodyReader::take_data(Buffer& in) {
    const std::string_view arrived = as_text(in.readable());
    const std::uint64_t n = std::min<std::uint64_t>({arrived.size(), left_, limit_ - body_.size()});
    const std::string_view taken = arrived.substr(0, static_cast<std::size_t>(n));
    body_.append(taken);
    in.consume(taken.size());
    left_ -= n;
    if (left_ == 0) state_ = chunked_ ? State::data_return : State::finished;
    if (body_.size() == limit_) state_ = State::finished;
}

/// Section 7.1: chunk-size [ chunk-ext ] CRLF chunk-data CRLF.
HttpBodyReader::State HttpBodyReader::after_framing(char c) {
    if (state_ == State::data_return) return c == '\r' ? State::data_line_feed : State::finished;
    if (state_ == State::data_line_feed) {
        line_size_ = 0;
        has_digit_ = false;
        return c == '\n' ? State::size : State::finished;
    }
    if (++line_size_ > max_chunk_line) return State::finished;
    if (state_ == State::size) return after_size(c);
    if (state_ == State::extension) return c == '\r' ? State::size_line_feed : State::extension;
    // The last chunk is empty; trailers are of no interest.
    return c == '\n' && left_ != 0 ? State::data : State::finished;
}

HttpBodyReader::State HttpBodyReader::after_size(char c) {
    if (const int digit = hex_value(c); digit >= 0) {
        has_digit_ = true;
        if (left_ > unlimited >> 4u) return State::finished;
        left_ = left_ * 16 + static_cast<unsigned>(digit);
        return State::size;
    }
    if (!has_digit_) return State::finished;
    if (c == '\r') return State::size_line_feed;
    return c == ';' || c == ' ' || c == '\t' ? State::extension : State::finished;
}

}  // namespace tern::core
