#include "scripted_server.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <stdexcept>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <sys/socket.h>

namespace tern::interop {
namespace {

constexpr int patience_ms = 10'000;

unsigned byte_at(std::string_view bytes, std::size_t at) { return static_cast<unsigned char>(bytes[at]); }

std::string big_endian(std::uint64_t value, std::size_t size) {
    std::string bytes;
    for (std::size_t i = size; i > 0; --i) bytes += static_cast<char>(value >> (8 * (i - 1)));
    return bytes;
}

std::uint64_t from_big_endian(std::string_view bytes) {
    std::uint64_t value = 0;
    for (const char c : bytes) value = value << 8u | static_cast<unsigned char>(c);
    return value;
}

bool wait_readable(int descriptor) {
    pollfd waiting{.fd = descriptor, .events = POLLIN, .revents = 0};
    return poll(&waiting, 1, patience_ms) > 0;
}

}  // namespace

std::optional<unsigned> ClientFrame::close_code() const {
    if (opcode != 8 || payload.size() < 2) return std::nullopt;
    return byte_at(payload, 0) * 256 + byte_at(payload, 1);
}

std::string frame(unsigned opcode, std::string_view payload, bool fin, unsigned rsv) {
    std::string bytes(1, static_cast<char>((fin ? 0x80u : 0u) | rsv << 4u | opcode));
    if (payload.size() <= 125) {
        bytes += static_cast<char>(payload.size());
    } else if (payload.size() <= 0xffff) {
        bytes += '\x7e' + big_endian(payload.size(), 2);
    } else {
        bytes += '\x7f' + big_endian(payload.size(), 8);
    }
    return bytes.append(payload);
}

std::optional<ClientFrame> take_frame(std::string& bytes) {
    if (bytes.size() < 2) return std::nullopt;
    ClientFrame read;
    read.fin = (byte_at(bytes, 0) & 0x80u) != 0;
    read.rsv = byte_at(bytes, 0) >> 4u & 7u;
    read.opcode = byte_at(bytes, 0) & 15u;
    read.masked = (byte_at(bytes, 1) & 0x80u) != 0;
    std::uint64_t length = byte_at(bytes, 1) & 0x7fu;
    const std::size_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;
    const std::size_t header = 2 + extended + (read.masked ? 4 : 0);
    if (bytes.size() < header) return std::nullopt;
    if (extended != 0) length = from_big_endian(std::string_view(bytes).substr(2, extended));
    read.minimal = extended == 0 || (extended == 2 ? length > 125 : length > 0xffff);
    if (read.masked) read.key = bytes.substr(2 + extended, 4);
    if (bytes.size() < header + length) return std::nullopt;
    read.payload = bytes.substr(header, length);
    bytes.erase(0, header + length);
    for (std::size_t i = 0; read.masked && i < read.payload.size(); ++i) {
        read.payload[i] = static_cast<char>(read.payload[i] ^ read.key[i % 4]);
    }
    return read;
}

std::string close_frame(unsigned code, std::string_view reason) { return frame(8, big_endian(code, 2).append(reason)); }

// --- Peer ----------------------------------------------------------------------------------------------------------

Peer::~Peer() { close(descriptor_); }

bool Peer::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

bool Peer::fill() {
    if (!wait_readable(descriptor_)) return false;
    std::array<char, 65536> bytes{};
    const ssize_t size = recv(descriptor_, bytes.data(), bytes.size(), 0);
    if (size <= 0) return false;
    in_.append(bytes.data(), static_cast<std::size_t>(size));
    return true;
}

std::string Peer::read_request() {
    std::size_t end = 0;
    while ((end = in_.find("\r\n\r\n")) == std::string::npos) {
        if (!fill()) return {};
    }
    const std::string request = in_.substr(0, end + 4);
    in_.erase(0, end + 4);
    return request;
}

std::string Peer::accept_value(std::string_view request) {
    constexpr std::string_view name = "Sec-WebSocket-Key: ";
    const std::size_t at = request.find(name);
    if (at == std::string_view::npos) return {};
    std::string text(request.substr(at + name.size(), 24));
    text += "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    std::array<unsigned char, 20> digest{};
    EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha1(), nullptr);
    std::array<unsigned char, 32> base64{};
    const int size = EVP_EncodeBlock(base64.data(), digest.data(), digest.size());
    return {reinterpret_cast<const char*>(base64.data()), static_cast<std::size_t>(size)};
}

std::string Peer::accept(std::string_view request, std::string_view extra) {
    std::string answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    answer += "Sec-WebSocket-Accept: " + accept_value(request) + "\r\n";
    return answer.append(extra).append("\r\n");
}

bool Peer::upgrade() {
    const std::string request = read_request();
    return !request.empty() && send(accept(request));
}

std::optional<ClientFrame> Peer::read_frame() {
    for (;;) {
        if (auto read = take_frame(in_)) return read;
        if (!fill()) return std::nullopt;
    }
}

void Peer::drain() {
    while (fill()) in_.clear();
}

void Peer::hold() {
    constexpr int step_ms = 20;
    pollfd waiting{.fd = descriptor_, .events = POLLRDHUP, .revents = 0};
    for (int waited = 0; waited < patience_ms && !ending_; waited += step_ms) {
        if (poll(&waiting, 1, step_ms) != 0) return;
    }
}

void Peer::half_close() const { shutdown(descriptor_, SHUT_WR); }

void Peer::reset() {
    const linger abort{.l_onoff = 1, .l_linger = 0};
    setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
    close(descriptor_);
    descriptor_ = -1;
}

// --- ScriptedServer ------------------------------------------------------------------------------------------------

ScriptedServer::ScriptedServer(std::function<void(Peer&)> script) : script_(std::move(script)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (listener_ < 0 || bind(listener_, generic, size) != 0 || listen(listener_, 1024) != 0 ||
        getsockname(listener_, generic, &size) != 0) {
        throw std::runtime_error(std::strerror(errno));
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
}

ScriptedServer::~ScriptedServer() {
    ending_ = true;
    shutdown(listener_, SHUT_RDWR);  // wakes accept
    thread_.join();
    for (std::thread& script : scripts_) script.join();
    close(listener_);
}

void ScriptedServer::run() {
    for (;;) {
        const int descriptor = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (descriptor < 0) return;
        scripts_.emplace_back([this, descriptor] {
            Peer peer(descriptor, ending_);
            script_(peer);
        });
    }
}

std::string ScriptedServer::url(std::string_view path) const { return "ws://" + name().append(path); }
std::string ScriptedServer::name() const { return "127.0.0.1:" + std::to_string(port_); }

}  // namespace tern::interop
