#include "http_head.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "quote.hpp"

namespace tern::core {
namespace {

constexpr std::string_view version = "HTTP/1.1";
constexpr std::string_view old_version = "HTTP/1.0";
/// How much of a foreign answer is shown.
constexpr std::size_t excerpt_size = 40;

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }
bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

using Characters = std::array<bool, 256>;
constexpr std::size_t index(char c) noexcept { return static_cast<unsigned char>(c); }

constexpr Characters token_characters = [] {
    Characters table{};
    for (const char c :
         std::string_view("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))
        table[index(c)] = true;
    return table;
}();

constexpr Characters value_characters = [] {
    Characters table{};
    for (std::size_t c = 0; c < table.size(); ++c) table[c] = c == '\t' || (c >= 0x20 && c != 0x7f);
    return table;
}();

bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }

std::string_view trim(std::string_view text) noexcept {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

}  // namespace

HttpHeadParser::Status HttpHeadParser::advance(Buffer& in) {
    while (status_ == Status::need_input && !in.empty()) {
        std::string_view line;
        if (!check_version(in) || !take_line(in, line)) continue;
        finish_line(line);
        line_.clear();
    }
    return status_;
}

/// Whoever speaks another protocol is recognised by the first byte that differs, and need not be waited for.
bool HttpHeadParser::check_version(Buffer& in) {
    if (head_.status != 0 || line_.size() >= version.size()) return true;
    const std::string_view arrived = as_text(in.readable()).substr(0, max_size_ - received_);
    for (const std::string_view each : {version, old_version}) {
        if (each == old_version && !any_1_x_) break;
        if (!each.starts_with(line_)) continue;
        if (arrived.starts_with(each.substr(line_.size(), arrived.size()))) return true;
    }
    const std::string begin = line_ + std::string(arrived.substr(0, excerpt_size));
    // A TLS record of type alert or handshake.
    const bool tls = begin.size() >= 2 && (begin[0] == '\x15' || begin[0] == '\x16') && begin[1] == '\x03';
    fail(Errc::response_version, "it begins with " +
                                     quoted(begin.substr(0, begin.find_first_of("\r\n")), excerpt_size) +
                                     (tls ? "; this is TLS, so the URL should begin with wss://" : ""));
    return false;
}

/// True when the line is complete. One that has arrived as a whole stays where it is.
bool HttpHeadParser::take_line(Buffer& in, std::string_view& line) {
    const std::string_view arrived = as_text(in.readable());
    const std::string_view allowed = arrived.substr(0, max_size_ - received_);
    const std::size_t newline = allowed.find('\n');
    const std::string_view taken = allowed.substr(0, newline == allowed.npos ? newline : newline + 1);
    const bool whole = newline != allowed.npos && line_.empty();
    line = whole ? taken : line_.append(taken);
    received_ += taken.size();
    in.consume(taken.size());

    // Neither limit waits for the end of the line.
    if (head_.fields.size() == max_fields_ && !line.empty() && line[0] != '\r' && line[0] != '\n') {
        fail(Errc::response_too_many_fields, "the limit is " + std::to_string(max_fields_));
        return false;
    }
    if (newline != allowed.npos) return true;
    if (arrived.size() > allowed.size()) {
        fail(Errc::response_head_too_large, "the limit is " + std::to_string(max_size_) + " bytes");
    }
    return false;
}

void HttpHeadParser::finish_line(std::string_view line) {
    line.remove_suffix(1);
    // RFC 9112 section 2.2 lets a recipient accept a bare LF; where it is accepted by some, responses can be smuggled.
    if (!line.ends_with('\r')) return fail(Errc::response_malformed, "a line does not end with CR LF: " + quoted(line));
    line.remove_suffix(1);
    if (head_.status == 0) {
        parse_status_line(line);
    } else if (line.empty()) {
        status_ = Status::done;
    } else {
        parse_field(line);
    }
}

/// Section 4: HTTP-version SP status-code SP [ reason-phrase ]. Servers that have no reason leave out the second SP
/// too.
void HttpHeadParser::parse_status_line(std::string_view line) {
    const std::string_view rest = line.substr(version.size());
    const bool has_code =
        rest.size() >= 4 && rest[0] == ' ' && std::all_of(rest.begin() + 1, rest.begin() + 4, is_digit);
    const std::string_view behind = has_code ? rest.substr(4) : std::string_view();
    if (!has_code || rest[1] == '0' || (!behind.empty() && behind[0] != ' ') || !is_field_value(behind)) {
        return fail(Errc::response_malformed, "status line " + quoted(line));
    }
    head_.status = (rest[1] - '0') * 100 + (rest[2] - '0') * 10 + (rest[3] - '0');
    if (!behind.empty()) head_.reason = behind.substr(1);
}

/// Section 5: field-name ":" OWS field-value OWS.
void HttpHeadParser::parse_field(std::string_view line) {
    const std::size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    const char* wrong = nullptr;
    if (is_blank(line.front())) {
        wrong = "a header line is folded: ";  // section 5.2
    } else if (colon == line.npos) {
        wrong = "a header line has no colon: ";
    } else if (!name.empty() && is_blank(name.back())) {
        wrong = "white space stands before the colon: ";  // section 5.1
    } else if (!is_token(name)) {
        wrong = "a header name is not a token: ";
    } else if (!is_field_value(line.substr(colon + 1))) {
        wrong = "a header value contains a control character: ";
    }
    if (wrong != nullptr) return fail(Errc::response_malformed, wrong + quoted(line));
    if (head_.fields.empty()) head_.fields.reserve(4);  // enough for most answers that open a connection
    head_.fields.push_back({std::string(name), std::string(trim(line.substr(colon + 1)))});
}

void HttpHeadParser::fail(Errc code, std::string detail) {
    error_ = Error(code, Phase::upgrade, std::move(detail));
    status_ = Status::failed;
}

bool iequals(std::string_view left, std::string_view right) noexcept {
    return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                      [](char a, char b) { return a == b || lower(a) == lower(b); });
}

bool is_token(std::string_view text) noexcept {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return token_characters[index(c)]; });
}

bool is_field_value(std::string_view text) noexcept {
    return std::all_of(text.begin(), text.end(), [](char c) { return value_characters[index(c)]; });
}

std::size_t count_fields(const std::vector<Header>& fields, std::string_view name) noexcept {
    return static_cast<std::size_t>(
        std::count_if(fields.begin(), fields.end(), [&](const Header& field) { return iequals(field.name, name); }));
}

bool next_element(std::string_view& list, std::string_view& element) noexcept {
    while (!list.empty()) {
        bool in_string = false;
        std::size_t end = 0;
        for (; end < list.size() && (in_string || list[end] != ','); ++end) {
            if (list[end] == '"') in_string = !in_string;
            if (in_string && list[end] == '\\') ++end;  // the next character is quoted
        }
        element = trim(list.substr(0, end));
        list.remove_prefix(std::min(end + 1, list.size()));
        if (!element.empty()) return true;
    }
    return false;
}

bool has_token(const std::vector<Header>& fields, std::string_view name, std::string_view token) noexcept {
    for (const Header& field : fields) {
        if (!iequals(field.name, name)) continue;
        if (iequals(field.value, token)) return true;  // the whole of the list, as it is in most answers
        std::string_view list = field.value;
        std::string_view element;
        while (next_element(list, element)) {
            if (iequals(element, token)) return true;
        }
    }
    return false;
}

}  // namespace tern::core
