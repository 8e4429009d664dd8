// What a proxy answers, from anybody: to CONNECT, and to SOCKS5 with and without credentials. The first byte chooses;
// the outcome must not depend on how the rest is cut.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy_connect.hpp"
#include "proxy_socks5.hpp"
#include "proxy_url.hpp"
#include "url.hpp"

using namespace tern;
using namespace tern::core;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

class FixedCrypto final : public Crypto {
public:
    bool random_bytes(std::span<std::byte>) override { return true; }
    std::array<std::byte, 20> sha1(Bytes) override { return {}; }
    std::string base64(Bytes) override { return "b64"; }
};

struct Outcome {
    Handshaker::Status status = Handshaker::Status::need_input;
    std::error_code error;
    std::string left;
    std::string sent;

    friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome run(Handshaker& handshaker, std::string_view text, std::size_t piece) {
    std::vector<std::byte> memory(1024);
    Buffer in(memory);
    Outcome outcome;
    outcome.status = handshaker.advance(in, outcome.sent);
    while (!text.empty() && outcome.status == Handshaker::Status::need_input) {
        in.compact();
        const std::size_t size = std::min({text.size(), piece, in.writable().size()});
        require(size != 0);
        std::memcpy(in.writable().data(), text.data(), size);
        in.commit(size);
        text.remove_prefix(size);
        outcome.status = handshaker.advance(in, outcome.sent);
    }
    if (outcome.status == Handshaker::Status::need_input) {
        outcome.status = handshaker.on_eof();
        require(outcome.status != Handshaker::Status::need_input);
    }
    outcome.error = handshaker.error().code;
    require((outcome.status == Handshaker::Status::failed) == static_cast<bool>(outcome.error));
    if (outcome.status == Handshaker::Status::done)
        outcome.left = std::string(as_text(in.readable())) + std::string(text);
    return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    Config config;
    config.limits.max_head_size = 512;
    config.limits.max_head_fields = 8;
    config.limits.max_error_body = 64;
    constexpr std::array<const char*, 4> proxies{"http://p", "http://u:p@p", "socks5h://p", "socks5h://u:p@p"};
    ProxyUrl proxy;
    if (parse_proxy_url(proxies[data[0] % 4u], proxy)) std::abort();
    Url url;
    if (parse_url("ws://host.example/", url)) std::abort();
    FixedCrypto crypto;
    const std::optional<Address> no_address;
    const auto make = [&]() -> std::unique_ptr<Handshaker> {
        if (data[0] % 4u < 2) return std::make_unique<ProxyConnect>(config, proxy, url, crypto);
        return std::make_unique<ProxySocks5>(proxy, url, no_address);
    };
    const std::string_view text(reinterpret_cast<const char*>(data + 2), size - 2);
    const Outcome whole = run(*make(), text, 1024);
    require(run(*make(), text, data[1] % 16u + 1u) == whole);
    return 0;
}
