#include "proxy_socks5.hpp"

#include <array>
#include <utility>

namespace tern::core {
namespace {

constexpr unsigned version = 5;
constexpr unsigned no_authentication = 0;
constexpr unsigned user_password = 2;
constexpr unsigned none_acceptable = 0xff;
constexpr unsigned credentials_version = 1;
constexpr unsigned connect_command = 1;
constexpr unsigned ipv4 = 1;
constexpr unsigned name = 3;
constexpr unsigned ipv6 = 4;
constexpr std::size_t max_text = 255;

unsigned byte_at(const Buffer& in, std::size_t at) { return std::to_integer<unsigned>(in.readable()[at]); }

void put(std::string& out, unsigned byte) { out += static_cast<char>(byte); }

void put_text(std::string& out, const std::string& text) {
    put(out, static_cast<unsigned>(text.size()));
    out += text;
}

/// RFC 1928 section 6.
std::string reply_text(unsigned code) {
    constexpr std::array<const char*, 9> texts{"succeeded",
                                               "general SOCKS server failure",
                                               "connection not allowed by ruleset",
                                               "network unreachable",
                                               "host unreachable",
                                               "connection refused",
                                               "TTL expired",
                                               "command not supported",
                                               "address type not supported"};
    return std::to_string(code) + ", " + (code < texts.size() ? texts[code] : "unassigned");
}

}  // namespace

ProxySocks5::ProxySocks5(const ProxyUrl& proxy, const Url& url, const std::optional<Address>& address)
    : proxy_(proxy), url_(url), address_(address) {}

Handshaker::Status ProxySocks5::advance(Buffer& in, std::string& out) {
    for (bool again = true; again;) {
        switch (stage_) {
            case Stage::greeting:
                again = check();
                if (again) greet(out);
                break;
            case Stage::method: again = take_method(in, out); break;
            case Stage::credentials: again = take_verdict(in, out); break;
            case Stage::reply: again = take_reply(in); break;
            case Stage::done:
            case Stage::failed: again = false; break;
        }
    }
    return status();
}

Handshaker::Status ProxySocks5::on_eof() { return end(Errc::proxy_eof); }
Handshaker::Status ProxySocks5::on_deadline() { return end(Errc::proxy_timeout); }

/// What fits into the fields of the protocol.
bool ProxySocks5::check() {
    const auto fits = [](const std::string& text) { return !text.empty() && text.size() <= max_text; };
    if (proxy_.has_user_info && !(fits(proxy_.user) && fits(proxy_.password))) {
        return fail(Errc::proxy_url, "for SOCKS5, user and password have 1 to 255 bytes each");
    }
    if (!address_ && url_.host.size() > max_text) return fail(Errc::proxy_url, "the host's name has over 255 bytes");
    return true;
}

void ProxySocks5::greet(std::string& out) {
    put(out, version);
    put(out, proxy_.has_user_info ? 2 : 1);
    put(out, no_authentication);
    if (proxy_.has_user_info) put(out, user_password);
    stage_ = Stage::method;
}

bool ProxySocks5::take_method(Buffer& in, std::string& out) {
    if (!in.empty() && byte_at(in, 0) != version) {
        return fail(Errc::proxy_malformed,
                    "its answer does not begin with version 5; perhaps it is not a SOCKS5 proxy");
    }
    if (in.size() < 2) return false;
    const unsigned method = byte_at(in, 1);
    in.consume(2);
    if (method == none_acceptable) {
        return fail(Errc::proxy_authentication, proxy_.has_user_info
                                                    ? "it accepts neither user and password nor nobody"
                                                    : "it wants credentials, and the proxy's URL has none");
    }
    if (method == no_authentication) {
        request(out);
    } else if (method == user_password && proxy_.has_user_info) {
        put(out, credentials_version);
        put_text(out, proxy_.user);
        put_text(out, proxy_.password);
        stage_ = Stage::credentials;
    } else {
        return fail(Errc::proxy_malformed, "it chose method " + std::to_string(method) + ", which was not offered");
    }
    return true;
}

/// RFC 1929 section 2.
bool ProxySocks5::take_verdict(Buffer& in, std::string& out) {
    if (!in.empty() && byte_at(in, 0) != credentials_version) {
        return fail(Errc::proxy_malformed, "its answer to user and password does not begin with version 1");
    }
    if (in.size() < 2) return false;
    const unsigned verdict = byte_at(in, 1);
    in.consume(2);
    if (verdict != 0)
        return fail(Errc::proxy_authentication, "it did not accept the user and password of the proxy's URL");
    request(out);
    return true;
}

void ProxySocks5::request(std::string& out) {
    put(out, version);
    put(out, connect_command);
    put(out, 0);
    if (address_) {
        const bool long_one = address_->family == Address::Family::ipv6;
        put(out, long_one ? ipv6 : ipv4);
        for (std::size_t i = 0; i < (long_one ? 16u : 4u); ++i) put(out, address_->bytes[i]);
    } else {
        put(out, name);
        put_text(out, url_.host);
    }
    put(out, url_.port >> 8u);
    put(out, url_.port & 0xffu);
    stage_ = Stage::reply;
}

/// RFC 1928 section 6. The address that the proxy bound is of no use to us.
bool ProxySocks5::take_reply(Buffer& in) {
    if (!in.empty() && byte_at(in, 0) != version) return fail(Errc::proxy_malformed, "its reply is not of version 5");
    if (in.size() >= 2 && byte_at(in, 1) != 0) return fail(Errc::proxy_refused, "reply " + reply_text(byte_at(in, 1)));
    if (in.size() < 5) return false;
    std::size_t address = 0;
    switch (byte_at(in, 3)) {
        case ipv4: address = 4; break;
        case ipv6: address = 16; break;
        case name: address = 1 + byte_at(in, 4); break;
        default: return fail(Errc::proxy_malformed, "its reply has the address type " + std::to_string(byte_at(in, 3)));
    }
    const std::size_t size = 4 + address + 2;
    if (in.size() < size) return false;
    in.consume(size);
    stage_ = Stage::done;
    return true;
}

bool ProxySocks5::fail(Errc code, std::string detail) {
    error_ = Error(code, Phase::proxy, std::move(detail));
    stage_ = Stage::failed;
    return true;
}

Handshaker::Status ProxySocks5::end(Errc code) {
    constexpr std::array<const char*, 4> where{"", "before it chose a method", "before it judged user and password",
                                               "before it replied to the request"};
    if (stage_ < Stage::done) fail(code, where[static_cast<std::size_t>(stage_)]);
    return status();
}

Handshaker::Status ProxySocks5::status() const noexcept {
    if (stage_ == Stage::failed) return Status::failed;
    return stage_ == Stage::done ? Status::done : Status::need_input;
}

}  // namespace tern::core
