#include "tunnel.hpp"

#include <algorithm>
#include <utility>

#include "fake_tls.hpp"

namespace tern::sim {
namespace {

constexpr std::string_view hello = "hello\n";
constexpr std::string_view welcome = "welcome\n";

}  // namespace

std::string Tunnel::receive(std::string_view bytes, std::string& reply) {
    in_ += bytes;
    while (advance(reply)) {
    }
    if (stage_ == Stage::plain) return std::exchange(in_, {});
    if (stage_ != Stage::records) return {};
    std::string plain = FakeTls::read_records(in_);
    if (!in_.empty() && in_.front() != 'd' && in_.front() != 'c') stop("a record of no kind");
    return plain;
}

std::string Tunnel::send(std::string_view plain) const {
    if (!secure()) return std::string(plain);
    std::string records;
    while (!plain.empty()) {
        records += FakeTls::record(plain.substr(0, 16'384));
        plain.remove_prefix(std::min<std::size_t>(plain.size(), 16'384));
    }
    return records;
}

/// One step. False: more input is needed, or all steps are done.
bool Tunnel::advance(std::string& reply) {
    if (in_.empty()) return false;
    if (stage_ == Stage::socks) return read_socks(reply);
    if (stage_ != Stage::unknown) return false;
    if (in_.front() == hello.front()) {
        if (in_.size() < hello.size()) return false;
        if (!in_.starts_with(hello)) return stop("no greeting of TLS");
        in_.erase(0, hello.size());
        reply += welcome;
        stage_ = Stage::records;
        return false;
    }
    if (!proxied_ && in_.front() == 'C') return read_connect(reply);
    if (!proxied_ && in_.front() == 5) {
        if (in_.size() < 2 || in_.size() < 2u + static_cast<unsigned char>(in_[1])) return false;
        reply += std::string("\x05\x00", 2);
        stage_ = Stage::socks;
        in_.erase(0, 2u + static_cast<unsigned char>(in_[1]));
        return true;
    }
    stage_ = Stage::plain;
    return false;
}

/// RFC 9110 section 9.3.6.
bool Tunnel::read_connect(std::string& reply) {
    const std::size_t end = in_.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    if (!in_.starts_with("CONNECT host:") || in_.find("\r\nHost: host:") > end) return stop("a bad CONNECT");
    reply += "HTTP/1.1 200 Connection established\r\n\r\n";
    return go_on_behind(end + 4);
}

/// RFC 1928 section 4.
bool Tunnel::read_socks(std::string& reply) {
    if (in_.size() < 5) return false;
    if (!in_.starts_with(std::string_view("\x05\x01\x00", 3))) return stop("a bad request for SOCKS");
    const char type = in_[3];
    if (type != 1 && type != 3 && type != 4) return stop("an address of no kind");
    const std::size_t address = type == 1 ? 4u : type == 4 ? 16u : 1u + static_cast<unsigned char>(in_[4]);
    if (in_.size() < 4 + address + 2) return false;
    reply += std::string("\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00", 10);
    return go_on_behind(4 + address + 2);
}

bool Tunnel::go_on_behind(std::size_t size) {
    in_.erase(0, size);
    if (!in_.empty()) return stop("the client did not wait for the proxy");
    proxied_ = true;
    stage_ = Stage::unknown;
    return true;
}

bool Tunnel::stop(const char* offence) {
    offence_ = offence;
    stage_ = Stage::broken;
    in_.clear();
    return false;
}

}  // namespace tern::sim
