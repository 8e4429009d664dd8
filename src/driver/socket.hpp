// Sockets of any family, made as the configuration says.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <system_error>

#include <sys/socket.h>

#include <tern/core.hpp>

#include "descriptor.hpp"

namespace tern::driver {

struct SocketEndpoint {
    sockaddr_storage address{};
    socklen_t size = 0;

    [[nodiscard]] const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(&address); }
};

[[nodiscard]] SocketEndpoint endpoint_of(const Address& address);
/// The path has been found short enough by `check_socket`.
[[nodiscard]] SocketEndpoint unix_endpoint(const std::string& path);

/// Can these settings be used? `invalid_config` if not.
[[nodiscard]] Error check_socket(const Config& config);
/// Opens a socket for the endpoint that does not block, and sets and binds it.
[[nodiscard]] std::error_code open_socket(Descriptor& socket, const SocketEndpoint& endpoint, const Socket& settings);
/// `operation_in_progress`: when the socket is writable, `connect_result` knows.
[[nodiscard]] std::error_code begin_connect(const Descriptor& socket, const SocketEndpoint& endpoint);
[[nodiscard]] std::error_code connect_result(const Descriptor& socket);

/// 0 without an error: the peer has ended.
[[nodiscard]] std::size_t read_some(int socket, std::span<std::byte> space, std::error_code& error);
/// At most 16 pieces.
[[nodiscard]] std::size_t write_some(const Descriptor& socket, std::span<const Bytes> pieces, std::error_code& error);

}  // namespace tern::driver
