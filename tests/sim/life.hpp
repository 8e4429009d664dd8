// What the tests of lives have in common: one client, one server, and a world whose offences fail the test.
#pragma once

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "world.hpp"

namespace tern::sim {

using namespace std::chrono_literals;
using Kind = Event::Kind;

/// Its offences fail the test that it lives in. TERN_SIM_TRACE=1 shows what had happened.
class CheckedWorld : public World {
public:
    explicit CheckedWorld(std::uint64_t seed = 1) : World(seed) {
        keep_trace(std::getenv("TERN_SIM_TRACE") != nullptr);
    }
    CheckedWorld(const CheckedWorld&) = delete;
    CheckedWorld& operator=(const CheckedWorld&) = delete;
    ~CheckedWorld() { EXPECT_EQ(report(), ""); }
};

/// One client and one server. Connections are open 45 ms after the start: 5 for the name, 20 each for TCP and upgrade.
struct Life {
    explicit Life(Behaviour behaviour = quiet(), Config config = {}, std::uint64_t seed = 1)
        : world(seed),
          server(world.server("192.0.2.1", 80, std::move(behaviour))),
          client(world.client(with_url(std::move(config)))) {
        world.dns("host", {"192.0.2.1"});
    }

    static Config with_url(Config config) {
        if (config.url.empty()) config.url = "ws://host/path";
        return config;
    }

    /// Starts, and runs until the connection is open.
    [[nodiscard]] bool open(Duration limit = 10s) {
        if (client.start()) return false;
        return world.run_until([&] { return client.state() == State::open; }, limit);
    }
    /// Runs until there are so many events of that kind.
    [[nodiscard]] bool until(Kind kind, Duration limit = 60s, std::size_t count = 1) {
        return world.run_until([&] { return client.count(kind) >= count; }, limit);
    }
    /// Runs until the life has ended, and then for some time more, in which nothing may happen.
    [[nodiscard]] bool until_end(Duration limit = 60s) {
        if (!world.run_until([&] { return client.ended(); }, limit)) return false;
        const std::size_t events = client.log.size();
        world.run_for(std::chrono::minutes(5));
        return client.log.size() == events && client.ended() && client.open_ids() == 0;
    }
    [[nodiscard]] Peer& peer() { return server.last(); }
    [[nodiscard]] std::string log() const { return describe(client.log); }
    /// The last event's error.
    [[nodiscard]] Error error() const { return client.log.empty() ? Error() : client.log.back().error; }

    CheckedWorld world;
    Server& server;
    Client& client;
};

/// No second attempt.
inline Config no_reconnect(Config config = {}) {
    config.reconnect.enabled = false;
    return config;
}

}  // namespace tern::sim
