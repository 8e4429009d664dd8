#include "socket.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <net/if.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/uio.h>
#include <sys/un.h>

namespace tern::driver {
namespace {

std::error_code system_error() { return {errno, std::system_category()}; }

std::error_code set(const Descriptor& socket, int level, int name, int value) {
    return setsockopt(socket.number(), level, name, &value, sizeof(value)) == 0 ? std::error_code() : system_error();
}

std::error_code set_keepalive(const Descriptor& socket, const TcpKeepalive& keepalive) {
    if (keepalive.idle.count() == 0) return {};
    std::error_code error = set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (!error) error = set(socket, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(keepalive.idle.count()));
    if (!error) error = set(socket, IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(keepalive.interval.count()));
    if (!error) error = set(socket, IPPROTO_TCP, TCP_KEEPCNT, keepalive.count);
    return error;
}

template <class Family>
SocketEndpoint endpoint(const Family& address) {
    SocketEndpoint result{.size = sizeof(address)};
    std::memcpy(&result.address, &address, sizeof(address));
    return result;
}

/// An address literal, with a zone perhaps (RFC 4007 section 11). An endpoint without size if it is none.
SocketEndpoint endpoint_of(const std::string& text) {
    sockaddr_in four{};
    four.sin_family = AF_INET;
    if (inet_pton(AF_INET, text.c_str(), &four.sin_addr) == 1) return endpoint(four);
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    const std::size_t percent = text.find('%');
    if (inet_pton(AF_INET6, text.substr(0, percent).c_str(), &six.sin6_addr) != 1) return {};
    if (percent == std::string::npos) return endpoint(six);
    const std::string zone = text.substr(percent + 1);
    six.sin6_scope_id = if_nametoindex(zone.c_str());
    if (six.sin6_scope_id == 0) {
        const auto [end, error] = std::from_chars(zone.data(), zone.data() + zone.size(), six.sin6_scope_id);
        if (error != std::errc() || end != zone.data() + zone.size()) return {};
    }
    return endpoint(six);
}

std::error_code bind_locally(const Descriptor& socket, int family, const Socket& settings) {
    if (!settings.interface.empty()) {
        const std::string& name = settings.interface;
        if (setsockopt(socket.number(), SOL_SOCKET, SO_BINDTODEVICE, name.data(),
                       static_cast<socklen_t>(name.size())) != 0) {
            return system_error();
        }
    }
    if (settings.local_address.empty()) return {};
    const SocketEndpoint local = endpoint_of(settings.local_address);
    if (local.size == 0) return std::make_error_code(std::errc::invalid_argument);
    if (local.data()->sa_family != family) return std::make_error_code(std::errc::address_family_not_supported);
    return bind(socket.number(), local.data(), local.size) == 0 ? std::error_code() : system_error();
}

Error invalid(const std::string& what) { return {Errc::invalid_config, Phase::none, what}; }

bool is_address(const std::string& text) { return endpoint_of(text).size != 0; }

}  // namespace

SocketEndpoint endpoint_of(const Address& address) {
    if (address.family == Address::Family::ipv4) {
        sockaddr_in four{};
        four.sin_family = AF_INET;
        four.sin_port = htons(address.port);
        std::memcpy(&four.sin_addr, address.bytes.data(), sizeof(four.sin_addr));
        return endpoint(four);
    }
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(address.port);
    six.sin6_scope_id = address.scope_id;
    std::memcpy(&six.sin6_addr, address.bytes.data(), sizeof(six.sin6_addr));
    return endpoint(six);
}

SocketEndpoint unix_endpoint(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    SocketEndpoint result = endpoint(address);
    // A name that begins with a zero is an abstract one (unix(7)), and its length counts.
    result.size =
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (path.starts_with('\0') ? 0 : 1));
    return result;
}

Error check_socket(const Config& config) {
    const Socket& socket = config.socket;
    if (socket.unix_path.size() >= sizeof(sockaddr_un::sun_path)) return invalid("socket.unix_path is too long");
    if (!socket.unix_path.empty() && !config.proxy.empty())
        return invalid("socket.unix_path and proxy exclude each other");
    if (!socket.local_address.empty() && !is_address(socket.local_address)) {
        return invalid("socket.local_address is not an address");
    }
    const TcpKeepalive& keepalive = socket.keepalive;
    constexpr int longest = 32767;  // of the kernel
    if (keepalive.idle.count() < 0 || keepalive.idle.count() > longest || keepalive.interval.count() < 1 ||
        keepalive.interval.count() > longest || keepalive.count < 1 || keepalive.count > 127) {
        return invalid("socket.keepalive: idle and interval lie between 1 and 32767 s, count between 1 and 127");
    }
    if (socket.send_buffer < 0 || socket.receive_buffer < 0) return invalid("a buffer of the socket is negative");
    for (const HostAddress& each : config.addresses) {
        if (!is_address(each.address)) return invalid("addresses: \"" + each.address + "\" is not an address");
    }
    return {};
}

std::error_code open_socket(Descriptor& socket, const SocketEndpoint& endpoint, const Socket& settings) {
    const int family = endpoint.data()->sa_family;
    socket = Descriptor(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket) return system_error();
    std::error_code error;
    // Before the connection is made, because they decide what TCP offers (RFC 7323 section 2).
    if (settings.send_buffer != 0) error = set(socket, SOL_SOCKET, SO_SNDBUF, settings.send_buffer);
    if (!error && settings.receive_buffer != 0) error = set(socket, SOL_SOCKET, SO_RCVBUF, settings.receive_buffer);
    if (error || family == AF_UNIX) return error;
    // Every frame is handed over as a whole, so Nagle's algorithm could only delay the last of them.
    error = set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
    if (!error) error = set_keepalive(socket, settings.keepalive);
    if (!error) error = bind_locally(socket, family, settings);
    return error;
}

std::error_code begin_connect(const Descriptor& socket, const SocketEndpoint& endpoint) {
    if (connect(socket.number(), endpoint.data(), endpoint.size) == 0) return {};
    // After a signal it goes on by itself.
    return errno == EINTR ? std::make_error_code(std::errc::operation_in_progress) : system_error();
}

std::error_code connect_result(const Descriptor& socket) {
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(socket.number(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) return system_error();
    return {error, std::system_category()};
}

std::size_t read_some(int socket, std::span<std::byte> space, std::error_code& error) {
    const ssize_t size = recv(socket, space.data(), space.size(), 0);
    error = size < 0 ? system_error() : std::error_code();
    return size < 0 ? 0 : static_cast<std::size_t>(size);
}

std::size_t write_some(const Descriptor& socket, std::span<const Bytes> pieces, std::error_code& error) {
    std::array<iovec, 16> vectors;  // NOLINT(cppcoreguidelines-pro-type-member-init): as many as there are pieces
    const std::size_t count = std::min(pieces.size(), vectors.size());
    for (std::size_t i = 0; i < count; ++i) {
        vectors[i] = {.iov_base = const_cast<std::byte*>(pieces[i].data()), .iov_len = pieces[i].size()};
    }
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = count;
    // One piece needs no list that the system would have to copy first.
    const ssize_t size = count == 1 ? send(socket.number(), pieces[0].data(), pieces[0].size(), MSG_NOSIGNAL)
                                    : sendmsg(socket.number(), &message, MSG_NOSIGNAL);
    error = size < 0 ? system_error() : std::error_code();
    return size < 0 ? 0 : static_cast<std::size_t>(size);
}

}  // namespace tern::driver

namespace tern {

ProxyEnvironment ProxyEnvironment::current() {
    const auto value = [](const char* name, const char* other = nullptr) {
        // NOLINTBEGIN(concurrency-mt-unsafe): its documentation says that nobody may change the environment meanwhile
        const char* text = std::getenv(name);
        if (text == nullptr && other != nullptr) text = std::getenv(other);
        // NOLINTEND(concurrency-mt-unsafe)
        return std::string(text != nullptr ? text : "");
    };
    return {.ws_proxy = value("ws_proxy", "WS_PROXY"),
            .wss_proxy = value("wss_proxy", "WSS_PROXY"),
            .http_proxy = value("http_proxy"),
            .https_proxy = value("https_proxy", "HTTPS_PROXY"),
            .all_proxy = value("all_proxy", "ALL_PROXY"),
            .no_proxy = value("no_proxy", "NO_PROXY")};
}

}  // namespace tern
