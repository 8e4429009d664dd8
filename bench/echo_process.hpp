// An echo server in a process of its own, so that its memory is not counted with that of the clients.
#pragma once

#include <cstdint>

#include <sys/types.h>

namespace bench {

class EchoProcess {
public:
    /// Forks; before any thread is made. `secure`: TLS, with a certificate made for it.
    explicit EchoProcess(bool secure);
    EchoProcess(const EchoProcess&) = delete;
    EchoProcess& operator=(const EchoProcess&) = delete;
    /// Ends it.
    ~EchoProcess();

    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

private:
    pid_t process_ = -1;
    std::uint16_t port_ = 0;
};

}  // namespace bench
