// A server program of somebody else's, started by a test and ended with it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

namespace tern::interop {

class ServerProcess {
public:
    /// Starts the program with these arguments. It dies with this process, whatever happens.
    explicit ServerProcess(const std::vector<std::string>& command);
    ServerProcess(const ServerProcess&) = delete;
    ServerProcess& operator=(const ServerProcess&) = delete;
    ~ServerProcess();

    /// The number at the end of the first line that it prints; 0 if there is none.
    std::uint16_t read_port();

private:
    pid_t pid_ = -1;
    int output_ = -1;
};

/// A port that was free a moment ago, for servers that cannot choose one themselves.
std::uint16_t free_port();
/// Waits until something listens there; false: it does not.
bool wait_until_listening(std::uint16_t port);

}  // namespace tern::interop
