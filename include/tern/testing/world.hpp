// A simulated world for the tests of programs that use tern: a clock that jumps, a network without sockets, servers
// that do what they are told, and accidents from a seed.
//
//     tern::testing::World world(seed);
//     auto& server = world.server("example.test", 80, tern::testing::echo());
//     tern::testing::Client client(world, {.url = "ws://example.test/"});
//     client.start();
//     world.run_for(1s);                      // returns at once; a second has passed
//     server.last().reset();                  // the client hears of it after the link's delay
//     ASSERT_TRUE(world.run_until([&] { return client.stats().connects == 2; }, 10s));
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <tern/testing/client.hpp>
#include <tern/testing/network.hpp>
#include <tern/testing/server.hpp>

namespace tern::testing {

/// The same seed and the same calls give the same world, on every machine. Not thread-safe.
class World {
public:
    explicit World(std::uint64_t seed = 1);
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    /// A server, at that port of a host: a name, which the resolver knows from then on, or an address literal. Several
    /// at one name have several addresses. Valid as long as the world.
    Server& server(std::string_view host, std::uint16_t port, Script script = {});
    /// What the resolver says, to be changed at any time. A name that nobody mentioned is `host_not_found`.
    Name& name(std::string_view host);

    // --- time ---

    /// Begins at an arbitrary point and moves only in `run_for` and `run_until`.
    [[nodiscard]] TimePoint now() const;
    /// Lets so much time pass.
    void run_for(Duration time);
    /// Lets time pass until the predicate is true, and says whether it became true within the limit. It is asked after
    /// each single thing that happens.
    bool run_until(const std::function<bool()>& predicate, Duration limit);
    /// Calls it later, for the timers of a program under test.
    void after(Duration delay, std::function<void()> action);

    // --- accidents ---

    /// From now on, for so long, the plan's accidents befall all servers and names; behind it everything is well again.
    /// What happens, and when, comes from the seed.
    void storm(const FaultPlan& plan, Duration time);

    /// What the simulator itself finds wrong in what the clients did; empty as it should be. Put it into an assertion
    /// at the end of a test; anything in it is a bug of tern, please report it with the seed.
    [[nodiscard]] std::string report() const;

private:
    friend class Client;
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace tern::testing
