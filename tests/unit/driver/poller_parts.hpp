// Sockets and a watcher for tests of the poller.
#pragma once

#include <array>
#include <cstdint>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "poller.hpp"

namespace tern::driver {

/// Notes what it is told; "r1" is readable, "w1" writable, "x1" the same with something wrong.
struct Notes final : Watcher {
    void on_readable(StreamId id) override { told.push_back("r" + std::to_string(id)); }
    void on_writable(StreamId id, bool sound) override { told.push_back((sound ? "w" : "x") + std::to_string(id)); }
    std::vector<std::string> told;
};

/// Both ends of a connection; ours does not block.
struct Pair {
    Pair() {
        std::array<int, 2> ends{};
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
        ours = Descriptor(ends[0]);
        theirs = Descriptor(ends[1]);
    }
    void send(std::string_view text) const {
        EXPECT_EQ(::write(theirs.number(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    }
    [[nodiscard]] std::string receive(std::size_t most = 100) const {
        std::string text(most, '\0');
        const ssize_t size = ::read(ours.number(), text.data(), text.size());
        text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
        return text;
    }
    /// Until the kernel takes no more.
    void fill() const {
        const std::string block(4096, 'x');
        while (::write(ours.number(), block.data(), block.size()) > 0) {
        }
    }
    Descriptor ours;
    Descriptor theirs;
};

inline sockaddr_in loopback(in_port_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = port;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/// The same by TCP.
struct TcpPair : Pair {
    TcpPair() {
        const Descriptor listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address = loopback(0);
        socklen_t size = sizeof(address);
        auto* const generic = reinterpret_cast<sockaddr*>(&address);
        EXPECT_EQ(bind(listener.number(), generic, size), 0);
        EXPECT_EQ(listen(listener.number(), 1), 0);
        EXPECT_EQ(getsockname(listener.number(), generic, &size), 0);
        ours = Descriptor(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        EXPECT_EQ(connect(ours.number(), generic, size), 0);
        theirs = Descriptor(accept(listener.number(), nullptr, nullptr));
        EXPECT_EQ(fcntl(ours.number(), F_SETFL, O_NONBLOCK), 0);
    }
};

}  // namespace tern::driver
