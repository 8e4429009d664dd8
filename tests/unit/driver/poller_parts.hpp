// Sockets and a watcher for tests of the poller.
#pragma once

#include <array>
#include <chrono>
#include <fcntl.h>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
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
    /// What `fill` has left to the peer.
    void drain() const {
        std::string drained(1u << 20u, '\0');
        while (::read(theirs.number(), drained.data(), drained.size()) > 0) {
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
    /// By the peer.
    void reset() {
        const linger at_once{.l_onoff = 1, .l_linger = 0};
        EXPECT_EQ(setsockopt(theirs.number(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
        theirs = Descriptor();
    }
};

inline TimePoint soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(5); }

/// A poller, and one who is told.
class WithPoller : public testing::Test {
protected:
    using Told = std::vector<std::string>;

    WithPoller() { EXPECT_FALSE(poller.open()); }

    std::unique_ptr<Watch> watch(StreamId id, const Pair& pair) { return poller.watch(notes, id, pair.ours.number()); }
    /// What is told in a turn.
    Told turn() {
        notes->told.clear();
        poller.run_ready();
        poller.poll();
        return notes->told;
    }
    void wait(TimePoint deadline) { poller.wait(std::chrono::steady_clock::now(), deadline); }
    void end_a_wait_by_a_task() {
        bool ran = false;
        std::thread other([&] { poller.post([&] { ran = true; }); });
        const TimePoint limit = soon();
        while (!ran && std::chrono::steady_clock::now() < limit) {
            wait(limit);
            poller.run_tasks();
        }
        other.join();
        EXPECT_TRUE(ran);
    }

    Poller poller;
    std::shared_ptr<Notes> notes = std::make_shared<Notes>();
};

}  // namespace tern::driver
