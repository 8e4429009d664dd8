// A process with everything that a client meets on its way: an HTTP proxy, and behind it a WebSocket server on TLS that
// echoes. It shares nothing with the test but the port, so what fails in the test's process does not fail there.
#pragma once

#include <cstdint>

#include <sys/types.h>

namespace tern::failing {

class TunnelServer {
public:
    /// A message like this makes it drop the connection.
    static constexpr const char* drop = "drop";

    /// Before the process has any thread.
    TunnelServer();
    ~TunnelServer();
    TunnelServer(const TunnelServer&) = delete;
    TunnelServer& operator=(const TunnelServer&) = delete;

    [[nodiscard]] std::uint16_t port() const { return port_; }

private:
    pid_t pid_ = -1;
    std::uint16_t port_ = 0;
};

}  // namespace tern::failing
