// Two hosts on one machine: this thread in one network namespace, a thread in another, and a wire between them that
// does to packets what a test wants. The namespaces have no names and end with the process, however that ends; nothing
// of the machine's own network is touched.
//
// The wire is two TUN devices and a loop that copies packets. `tc netem` could lose and delay too, but not every kernel
// has it, it cannot make an MTU black hole, and its dice cannot be thrown the same way twice.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace tern::network {

/// What the wire does to packets.
struct Weather {
    bool dead = false;             ///< None arrives.
    unsigned loss = 0;             ///< So many of a hundred are lost.
    std::size_t largest = 65'535;  ///< Larger ones vanish, and no ICMP tells.
    std::chrono::milliseconds delay{0};
    std::vector<std::string> black_holes;  ///< Nothing goes to or comes from these addresses.
};

/// A thread in a network namespace of its own.
class Elsewhere {
public:
    Elsewhere();
    Elsewhere(const Elsewhere&) = delete;
    Elsewhere& operator=(const Elsewhere&) = delete;
    ~Elsewhere();

    /// Runs it there, and waits for it. What it starts stays there.
    void run(const std::function<void()>& work);

private:
    void loop();

    std::mutex mutex_;
    std::condition_variable changed_;
    const std::function<void()>* work_ = nullptr;
    bool ending_ = false;
    std::thread thread_;
};

class TwoHosts {
public:
    static constexpr const char* here = "10.77.0.1";
    static constexpr const char* there = "10.77.0.2";
    static constexpr const char* also_there = "10.77.0.3";
    static constexpr const char* nobody = "10.77.0.99";
    static constexpr const char* there_ipv6 = "fd77::2";
    static constexpr const char* device = "wire0";

    /// Moves this thread, and all that it starts from now on, to a namespace of its own. Call it before there are other
    /// threads; it cannot be undone.
    TwoHosts();
    TwoHosts(const TwoHosts&) = delete;
    TwoHosts& operator=(const TwoHosts&) = delete;
    ~TwoHosts();

    /// Why there is no such network here; empty if there is one.
    [[nodiscard]] const std::string& missing() const { return missing_; }
    void set(const Weather& weather);
    /// The device on this side.
    static bool set_link(bool up);
    Elsewhere& elsewhere() { return *elsewhere_; }

private:
    struct Packet {
        std::chrono::steady_clock::time_point due;
        int to;
        std::string bytes;
    };

    std::string set_up();
    void carry();
    void take(int from, int to);
    int deliver_due();
    [[nodiscard]] bool survives(const std::string& packet);

    std::string missing_;
    std::unique_ptr<Elsewhere> elsewhere_;
    std::array<int, 2> ends_{-1, -1};
    int wake_ = -1;
    std::deque<Packet> on_the_way_;
    std::minstd_rand dice_{77};

    std::mutex mutex_;
    Weather weather_;
    std::vector<std::string> black_holes_;  ///< As bytes.
    bool ending_ = false;
    std::thread carrier_;
};

/// A name server that never answers, for this process alone; false if that cannot be had.
bool use_name_server(const std::string& address);

}  // namespace tern::network
