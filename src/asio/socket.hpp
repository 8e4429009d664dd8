// Sockets of any family, made as the configuration says.
#pragma once

#include <string>
#include <system_error>

#include <asio/generic/stream_protocol.hpp>

#include <tern/core.hpp>

namespace tern::driver {

using StreamSocket = asio::generic::stream_protocol::socket;
using SocketEndpoint = asio::generic::stream_protocol::endpoint;

[[nodiscard]] SocketEndpoint endpoint_of(const Address& address);
/// The path has been found short enough by `check_socket`.
[[nodiscard]] SocketEndpoint unix_endpoint(const std::string& path);

/// Can these settings be used? `invalid_config` if not.
[[nodiscard]] Error check_socket(const Config& config);
/// Opens the socket for the endpoint, and sets and binds it.
[[nodiscard]] std::error_code prepare(StreamSocket& socket, const SocketEndpoint& endpoint, const Socket& settings);

}  // namespace tern::driver
