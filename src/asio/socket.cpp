#include "socket.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include <asio/ip/tcp.hpp>
#include <asio/local/stream_protocol.hpp>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace tern::driver {
namespace {

std::error_code set(StreamSocket& socket, int level, int name, int value) {
    if (setsockopt(socket.native_handle(), level, name, &value, sizeof(value)) == 0) return {};
    return {errno, std::system_category()};
}

std::error_code set_keepalive(StreamSocket& socket, const TcpKeepalive& keepalive) {
    if (keepalive.idle.count() == 0) return {};
    std::error_code error = set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (!error) error = set(socket, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(keepalive.idle.count()));
    if (!error) error = set(socket, IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(keepalive.interval.count()));
    if (!error) error = set(socket, IPPROTO_TCP, TCP_KEEPCNT, keepalive.count);
    return error;
}

std::error_code bind_locally(StreamSocket& socket, int family, const Socket& settings) {
    if (!settings.interface.empty()) {
        const std::string& name = settings.interface;
        if (setsockopt(socket.native_handle(), SOL_SOCKET, SO_BINDTODEVICE, name.data(),
                       static_cast<socklen_t>(name.size())) != 0) {
            return {errno, std::system_category()};
        }
    }
    if (settings.local_address.empty()) return {};
    std::error_code error;
    const asio::ip::address address = asio::ip::make_address(settings.local_address, error);
    if (error) return error;
    if (address.is_v4() != (family == AF_INET)) return std::make_error_code(std::errc::address_family_not_supported);
    socket.bind(asio::ip::tcp::endpoint(address, 0), error);
    return error;
}

Error invalid(const std::string& what) { return {Errc::invalid_config, Phase::none, what}; }

bool is_address(const std::string& text) {
    std::error_code error;
    static_cast<void>(asio::ip::make_address(text, error));
    return !error;
}

}  // namespace

SocketEndpoint endpoint_of(const Address& address) {
    if (address.family == Address::Family::ipv4) {
        asio::ip::address_v4::bytes_type bytes{};
        std::copy_n(address.bytes.begin(), bytes.size(), bytes.begin());
        return asio::ip::tcp::endpoint(asio::ip::address_v4(bytes), address.port);
    }
    return asio::ip::tcp::endpoint(asio::ip::address_v6(address.bytes, address.scope_id), address.port);
}

SocketEndpoint unix_endpoint(const std::string& path) { return asio::local::stream_protocol::endpoint(path); }

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

std::error_code prepare(StreamSocket& socket, const SocketEndpoint& endpoint, const Socket& settings) {
    std::error_code error;
    socket.open(endpoint.protocol(), error);
    if (!error) socket.non_blocking(true, error);
    // Before the connection is made, because they decide what TCP offers (RFC 7323 section 2).
    if (!error && settings.send_buffer != 0) error = set(socket, SOL_SOCKET, SO_SNDBUF, settings.send_buffer);
    if (!error && settings.receive_buffer != 0) error = set(socket, SOL_SOCKET, SO_RCVBUF, settings.receive_buffer);
    const int family = endpoint.protocol().family();
    if (error || family == AF_UNIX) return error;
    // Every frame is handed over as a whole, so Nagle's algorithm could only delay the last of them.
    error = set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
    if (!error) error = set_keepalive(socket, settings.keepalive);
    if (!error) error = bind_locally(socket, family, settings);
    return error;
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
