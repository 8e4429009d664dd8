// The answer to an upgrade request, from anybody: the head parser alone, and the whole handshake with bodies and
// interim responses. The first byte of the input says how to cut the rest into pieces; the outcome must not depend on
// it.
#include "http_head.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <tern/core.hpp>

#include "upgrade.hpp"
#include "url.hpp"

using namespace tern;
using namespace tern::core;

namespace {

constexpr std::size_t max_head_size = 512;
constexpr std::size_t max_head_fields = 8;
constexpr std::size_t max_error_body = 64;

void require(bool condition) {
    if (!condition) std::abort();
}

/// Gives every digest the value that the seeds' Sec-WebSocket-Accept has.
class FixedCrypto final : public Crypto {
public:
    bool random_bytes(std::span<std::byte> out) override {
        std::fill(out.begin(), out.end(), std::byte{0});
        return true;
    }
    std::array<std::byte, 20> sha1(Bytes) override { return {}; }
    std::string base64(Bytes bytes) override { return bytes.size() == 20 ? "accept" : "key"; }
};

/// `advance` until it wants no more, with `piece` bytes at a time. The bytes that were left are appended to `left`.
template <class Reader>
auto feed(Reader& reader, std::string_view text, std::size_t piece, std::string& left) {
    std::vector<std::byte> memory(1024);
    Buffer in{memory};
    auto status = reader(in);
    const auto waiting = status;
    while (!text.empty() && status == waiting) {
        const std::size_t n = std::min({text.size(), piece, in.writable().size()});
        require(n != 0);
        std::memcpy(in.writable().data(), text.data(), n);
        in.commit(n);
        text.remove_prefix(n);
        status = reader(in);
        require(status != waiting || in.empty());
    }
    left = std::string(as_text(in.readable())) + std::string(text);
    return status;
}

bool equal(const std::vector<Header>& a, const std::vector<Header>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Header& left, const Header& right) {
        return left.name == right.name && left.value == right.value;
    });
}

void check_detail(const Error& error) {
    require(error.phase == Phase::upgrade && error.detail.size() < 2000);
    for (const char c : error.detail) require(c >= ' ' && c < 0x7f);
}

void check_head(std::string_view text, std::size_t piece) {
    HttpHeadParser whole(max_head_size, max_head_fields);
    HttpHeadParser cut(max_head_size, max_head_fields);
    std::string left_of_whole;
    std::string left_of_cut;
    auto read_whole = [&](Buffer& in) { return whole.advance(in); };
    auto read_cut = [&](Buffer& in) { return cut.advance(in); };
    const auto status = feed(read_whole, text, text.size(), left_of_whole);
    require(status == feed(read_cut, text, piece, left_of_cut));
    require(whole.error().code == cut.error().code);
    if (status == HttpHeadParser::Status::failed) return check_detail(whole.error());

    const HttpHead& head = whole.head();
    require(whole.received() <= max_head_size && head.fields.size() <= max_head_fields);
    require(left_of_whole == left_of_cut && text.ends_with(left_of_whole));
    require(head.status == cut.head().status && head.reason == cut.head().reason);
    require(equal(head.fields, cut.head().fields));
    for (const Header& field : head.fields) {
        require(is_token(field.name) && is_field_value(field.value));
        std::string_view list = field.value;
        std::string_view element;
        while (next_element(list, element)) require(!element.empty() && has_token(head.fields, field.name, element));
    }
    if (status == HttpHeadParser::Status::done) {
        require(head.status >= 100 && head.status <= 999 && is_field_value(head.reason));
        require(text.substr(0, text.size() - left_of_whole.size()).ends_with("\r\n\r\n"));
    }
}

struct Result {
    Handshaker::Status status;
    Error error;
    Handshake handshake;
    std::string left;
};

Result upgrade(std::string_view text, std::size_t piece) {
    const Config config{
        .subprotocols = {"chat"},
        .limits = {
            .max_head_size = max_head_size, .max_head_fields = max_head_fields, .max_error_body = max_error_body}};
    Url url;
    require(!parse_url("ws://example.org/", url));
    FixedCrypto crypto;
    Upgrade handshake(config, url, crypto);
    std::string out;
    Result result;
    auto read = [&](Buffer& in) { return handshake.advance(in, out); };
    result.status = feed(read, text, piece, result.left);
    if (result.status == Handshaker::Status::need_input) {
        result.status = handshake.on_eof();
        require(result.status == Handshaker::Status::failed);
    }
    result.error = handshake.error();
    if (const auto agreed = handshake.take_result()) result.handshake = std::move(*agreed);
    return result;
}

void check_upgrade(std::string_view text, std::size_t piece) {
    const Result whole = upgrade(text, text.size());
    const Result cut = upgrade(text, piece);
    require(whole.status == cut.status && whole.error.code == cut.error.code);
    if (whole.status == Handshaker::Status::failed) {
        check_detail(whole.error);
        const Response& response = whole.error.response;
        require(response.status == cut.error.response.status && response.body == cut.error.response.body);
        require(response.body.size() <= max_error_body);
        // Kept of every answer that has a whole head.
        require(whole.error == Errc::upgrade_refused ? response.status != 0
                                                     : response.status == 0 || response.status == 101);
        return;
    }
    const Handshake& result = whole.handshake;
    require(whole.left == cut.left && text.ends_with(whole.left));
    require(result.response.status == 101 && result.response.header("sec-websocket-accept") == "accept");
    require(has_token(result.response.headers, "Upgrade", "websocket"));
    require(has_token(result.response.headers, "Connection", "upgrade"));
    require(result.subprotocol.empty() || result.subprotocol == "chat");
    require(equal(result.response.headers, cut.handshake.response.headers));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::size_t piece = data[0] % 64 + 1u;
    check_head(text, piece);
    check_upgrade(text, piece);
    return 0;
}
