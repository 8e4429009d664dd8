// Keepalive and reconnecting: what happens when nothing happens.
#include <algorithm>

#include "life.hpp"

namespace tern::sim {
namespace {

// --- keepalive -----------------------------------------------------------------------------------------------------

const Keepalive quick{.interval = 1000ms, .pong_timeout = 500ms};

TEST(SimKeepalive, PingsAfterTheIntervalAndMeasuresTheRoundTrip) {
    Life life(quiet(), {.keepalive = quick});
    ASSERT_TRUE(life.open());
    const TimePoint open = life.world.now();
    ASSERT_TRUE(life.until(Kind::pong, 10s, 3));
    ASSERT_EQ(life.peer().received(opcode::ping).size(), 3u);
    EXPECT_EQ(life.peer().frames[0].at - open, 1010ms);
    EXPECT_EQ(life.peer().frames[1].at - open, 2010ms);
    EXPECT_EQ(life.client.find(Kind::pong)->round_trip, 20ms);
    EXPECT_EQ(life.client.stats().round_trip, 20ms);
    EXPECT_NE(life.peer().frames[0].frame.payload, life.peer().frames[1].frame.payload);
}

TEST(SimKeepalive, PongsThatNobodyAskedForHaveNoRoundTrip) {
    Life life(quiet(), {.keepalive = quick});
    ASSERT_TRUE(life.open());
    life.peer().send(pong_frame("unasked"));
    ASSERT_TRUE(life.until(Kind::pong, 1s));
    EXPECT_LT(life.client.log.back().round_trip.count(), 0);
}

TEST(SimKeepalive, ZeroSwitchesItOff) {
    Life life(mute(), {.keepalive = {.interval = 0ms}});
    ASSERT_TRUE(life.open());
    life.peer().wire().stall();
    life.world.run_for(24h);
    EXPECT_EQ(life.client.state(), State::open);
    EXPECT_TRUE(life.peer().frames.empty());
}

/// The link is dead from now on: when does the client notice?
void expect_noticed(Life& life) {
    const TimePoint dead = life.world.now();
    ASSERT_TRUE(life.until_end(60s)) << life.log();
    EXPECT_EQ(life.error(), Errc::pong_timeout);
    EXPECT_EQ(life.error().phase, Phase::open);
    EXPECT_EQ(life.client.log.back().close.code, CloseCode::abnormal);
    EXPECT_LE(life.client.log.back().at - dead, quick.interval + quick.pong_timeout);
    // The last sign of life may have come a little before.
    EXPECT_GE(life.client.log.back().at - dead, quick.pong_timeout - 50ms);
}

TEST(SimKeepalive, ADeadLinkIsNoticed) {
    for (int i = 0; i < 10; ++i) {
        Life life(echo(), no_reconnect({.keepalive = quick}));
        ASSERT_TRUE(life.open());
        life.world.run_for(2050ms + i * 90ms);
        life.peer().wire().stall();
        expect_noticed(life);
    }
}

TEST(SimKeepalive, ADeadLinkIsNoticedInsideALargeFrame) {
    Life life(quiet(), no_reconnect({.keepalive = quick}));
    ASSERT_TRUE(life.open());
    life.peer().write(
        encode({.opcode = opcode::binary, .payload = std::string(100'000, 'x'), .claimed_length = 1'000'000}));
    life.world.run_for(20ms);
    life.peer().wire().stall();
    expect_noticed(life);
}

TEST(SimKeepalive, ADeadLinkIsNoticedDuringALargeSend) {
    Behaviour behaviour = quiet();
    behaviour.up = {.bytes_per_second = 100'000, .capacity = 16u << 10u, .segment = 1460};
    Life life(behaviour, no_reconnect({.keepalive = quick}));
    ASSERT_TRUE(life.open());
    EXPECT_FALSE(life.client.send_binary(std::string(1u << 20u, 'x')));
    life.world.run_for(2s);
    ASSERT_EQ(life.client.state(), State::open);
    life.peer().wire().stall();
    expect_noticed(life);
}

TEST(SimKeepalive, ADeadLinkIsNoticedAlthoughTheUserGoesOnSending) {
    Life life(quiet(), no_reconnect({.keepalive = quick}));
    ASSERT_TRUE(life.open());
    life.world.run_for(1500ms);
    const TimePoint dead = life.world.now();
    life.peer().wire().stall();
    for (int i = 0; i < 1000; ++i) {
        life.world.after(i * 10ms, [&life] {
            if (life.client.state() == State::open) static_cast<void>(life.client.send_text("are you there?"));
        });
    }
    ASSERT_TRUE(life.until(Kind::closed));
    EXPECT_EQ(life.error(), Errc::pong_timeout);
    EXPECT_LE(life.client.log.back().at - dead, quick.interval + quick.pong_timeout);
}

TEST(SimKeepalive, ADeadLinkIsNoticedAlthoughTheUserGoesOnSendingMuch) {
    // More pieces than one loan covers: taking the rest is no sign of life, because the kernel had refused nothing.
    Behaviour behaviour = quiet();
    behaviour.up.capacity = 64u << 20u;
    Life life(behaviour, no_reconnect({.keepalive = quick}));
    ASSERT_TRUE(life.open());
    life.world.run_for(1500ms);
    const TimePoint dead = life.world.now();
    life.peer().wire().stall();
    for (int i = 0; i < 100; ++i) {
        life.world.after(i * 100ms, [&life] {
            if (life.client.state() == State::open)
                static_cast<void>(life.client.send_binary(std::string(200'000, 'x')));
        });
    }
    life.client.faults.tx_pieces = 1;
    ASSERT_TRUE(life.until(Kind::closed));
    EXPECT_LE(life.client.log.back().at - dead, quick.interval + quick.pong_timeout);
}

TEST(SimKeepalive, AHalfDeadLinkIsNoticed) {
    for (const bool up : {true, false}) {
        Life life(quiet(), no_reconnect({.keepalive = quick}));
        ASSERT_TRUE(life.open());
        life.world.run_for(1100ms);
        (up ? life.peer().wire().up : life.peer().wire().down).stall();
        expect_noticed(life);
    }
}

TEST(SimKeepalive, AShortStallIsSurvived) {
    Life life(echo(), no_reconnect({.keepalive = quick}));
    ASSERT_TRUE(life.open());
    for (int i = 0; i < 10; ++i) {
        life.world.run_for(3s);
        life.peer().wire().stall();
        life.world.run_for(400ms);
        life.peer().wire().resume();
    }
    EXPECT_EQ(life.client.state(), State::open);
}

TEST(SimKeepalive, ASlowLargeMessageIsNotTakenForADeadLink) {
    Behaviour behaviour = quiet();
    behaviour.down = {.bytes_per_second = 10'000, .capacity = 32u << 10u, .segment = 1460};
    Life life(behaviour, no_reconnect({.keepalive = quick}));
    ASSERT_TRUE(life.open());
    life.peer().send_message(opcode::binary, std::string(1u << 20u, 'x'));
    EXPECT_TRUE(life.until(Kind::message, 200s)) << life.log();
    EXPECT_EQ(life.client.state(), State::open);
}

TEST(SimKeepalive, ASlowLargeSendIsNotTakenForADeadLink) {
    Behaviour behaviour = quiet();
    behaviour.up = {.bytes_per_second = 10'000, .capacity = 2u << 10u, .segment = 512};
    Life life(behaviour, no_reconnect({.keepalive = quick}));
    ASSERT_TRUE(life.open());
    EXPECT_FALSE(life.client.send_binary(std::string(1u << 20u, 'x')));
    life.world.run_for(150s);
    EXPECT_EQ(life.client.state(), State::open) << life.log();
    EXPECT_EQ(life.peer().messages.size(), 1u);
}

TEST(SimKeepalive, AUserWhoTakesNothingIsNotADeadLink) {
    Life life(quiet(), no_reconnect({.keepalive = quick}));
    ASSERT_TRUE(life.open());
    life.client.pause();
    life.peer().send_message(opcode::binary, std::string(1u << 20u, 'x'));
    life.world.run_for(1h);
    EXPECT_EQ(life.client.state(), State::open);
    life.client.resume();
    life.world.run_for(10s);
    EXPECT_EQ(life.client.count(Kind::message), 1u);
    EXPECT_EQ(life.client.state(), State::open) << life.log();
}

TEST(SimKeepalive, AUserWhoTakesNothingForAWhileAndAServerThatSaysNothingElse) {
    Life life(quiet(), no_reconnect({.keepalive = quick}));
    ASSERT_TRUE(life.open());
    for (int i = 0; i < 5; ++i) {
        life.client.pause();
        life.world.run_for(10s + i * 123ms);
        life.client.resume();
        life.world.run_for(i * 450ms);
        EXPECT_EQ(life.client.state(), State::open) << life.log();
    }
}

TEST(SimKeepalive, TrafficDoesNotReplaceThePong) {
    // A server that talks but answers no pings is alive.
    Life life(mute(), no_reconnect({.keepalive = quick}));
    ASSERT_TRUE(life.open());
    for (int i = 0; i < 100; ++i) {
        life.world.after(i * 300ms, [&life] { life.peer().send_message(opcode::text, "tick"); });
    }
    life.world.run_for(29s);
    EXPECT_EQ(life.client.state(), State::open);
    ASSERT_TRUE(life.until(Kind::closed, 10s));
    EXPECT_EQ(life.error(), Errc::pong_timeout);
}

// --- reconnecting --------------------------------------------------------------------------------------------------

Behaviour refusing() {
    Behaviour behaviour = quiet();
    behaviour.accept = Behaviour::Accept::refuse;
    return behaviour;
}

TEST(SimReconnect, TheDelayIsDrawnBetweenItsBounds) {
    std::chrono::milliseconds least = 1h;
    std::chrono::milliseconds most = 0ms;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        Life life(refusing(), {.reconnect = {.min_delay = 700ms, .max_delay = 1300ms}}, seed);
        ASSERT_FALSE(life.client.start());
        ASSERT_TRUE(life.until(Kind::connecting, 60s, 2));
        const Entry* wait = life.client.find(Kind::reconnecting);
        EXPECT_EQ(life.client.log.back().at - wait->at, wait->delay);
        least = std::min(least, wait->delay);
        most = std::max(most, wait->delay);
    }
    EXPECT_GE(least, 700ms);
    EXPECT_LE(most, 1300ms);
    EXPECT_LT(least, 750ms);
    EXPECT_GT(most, 1250ms);
}

TEST(SimReconnect, WithEqualBoundsTheDelayIsExact) {
    Life life(refusing(), {.reconnect = {.min_delay = 777ms, .max_delay = 777ms, .max_attempts = 3}});
    ASSERT_FALSE(life.client.start());
    ASSERT_TRUE(life.until_end());
    ASSERT_EQ(life.client.log.size(), 6u) << life.log();
    for (const std::size_t i : {1u, 3u}) {
        EXPECT_EQ(life.client.log[i].kind, Kind::reconnecting);
        EXPECT_EQ(life.client.log[i].delay, 777ms);
        EXPECT_EQ(life.client.log[i + 1].kind, Kind::connecting);
        EXPECT_EQ(life.client.log[i + 1].at - life.client.log[i].at, 777ms);
    }
    EXPECT_EQ(life.client.log[4].attempt, 3u);
    EXPECT_EQ(life.client.log[5].kind, Kind::failed);
    EXPECT_EQ(life.error(), Errc::connection_refused);
    EXPECT_EQ(life.client.stats().attempts, 3u);
}

TEST(SimReconnect, TheCountBeginsAnewWithAStableConnection) {
    Life life(refusing(), {.reconnect = {.min_delay = 100ms, .max_delay = 100ms, .max_attempts = 3}});
    ASSERT_FALSE(life.client.start());
    ASSERT_TRUE(life.until(Kind::connecting, 10s, 2));
    life.server.behaviour = quiet();
    ASSERT_TRUE(life.until(Kind::open, 10s));
    EXPECT_EQ(life.client.find(Kind::connecting)->attempt, 2u);
    life.world.run_for(10s);
    life.server.behaviour = refusing();
    life.peer().reset();
    ASSERT_TRUE(life.until_end());
    EXPECT_EQ(life.client.count(Kind::connecting), 5u);
    EXPECT_EQ(life.client.find(Kind::connecting)->attempt, 3u);
    EXPECT_EQ(life.client.stats().connects, 1u);
}

/// How a server ends what it has just accepted.
struct Door {
    const char* name;
    void (*shut)(Peer&);
};

class SimAcceptAndClose : public ::testing::TestWithParam<Door> {};

/// Such a server gets 250 to 350 connections a second from clients that take an open connection for a success.
TEST_P(SimAcceptAndClose, IsVisitedAtTheRateOfTheBackOff) {
    Behaviour behaviour = quiet();
    behaviour.on_request = [](Peer& peer) {
        peer.upgrade();
        GetParam().shut(peer);
    };
    Life life(behaviour);
    ASSERT_FALSE(life.client.start());
    life.world.run_for(1h);
    const std::vector<TimePoint>& attempts = life.server.attempts;
    const auto within = [&](Duration time) {
        return std::count_if(attempts.begin(), attempts.end(),
                             [&](TimePoint at) { return at - attempts.front() <= time; });
    };
    // From 0.5 s on, doubling up to 60 s, drawn from all of that: about 10 in the first minute and 2 in a later one.
    EXPECT_LE(within(1s), 2);
    EXPECT_LE(within(60s), 15);
    EXPECT_GE(within(1h), 80);
    EXPECT_LE(within(1h), 180);
    for (std::size_t i = 1; i < attempts.size(); ++i) EXPECT_GE(attempts[i] - attempts[i - 1], 500ms);
    EXPECT_EQ(life.client.stats().connects, life.client.stats().attempts) << "each of them was open";
}

INSTANTIATE_TEST_SUITE_P(Ends, SimAcceptAndClose,
                         ::testing::Values(Door{"Close", [](Peer& peer) { peer.send(close_frame(1000, "")); }},
                                           Door{"ServerError", [](Peer& peer) { peer.send(close_frame(1011, "")); }},
                                           Door{"GoingAway", [](Peer& peer) { peer.send(close_frame(1001, "")); }},
                                           Door{"Fin", [](Peer& peer) { peer.finish(); }},
                                           Door{"Reset", [](Peer& peer) { peer.reset(); }}),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST(SimReconnect, WithoutALimitItGoesOnForEver) {
    Life life(refusing(), {.reconnect = {.min_delay = 1000ms, .max_delay = 1000ms}});
    ASSERT_FALSE(life.client.start());
    life.world.run_for(1000s);
    EXPECT_GT(life.client.count(Kind::connecting), 800u);
    life.server.behaviour = quiet();
    EXPECT_TRUE(life.until(Kind::open, 5s));
}

TEST(SimReconnect, ADelayOfZeroIsNoEndlessLoopInNoTime) {
    Life life(refusing(), {.reconnect = {.min_delay = 0ms, .max_delay = 0ms, .max_attempts = 50}});
    ASSERT_FALSE(life.client.start());
    ASSERT_TRUE(life.until_end());
    EXPECT_EQ(life.client.count(Kind::connecting), 50u);
}

TEST(SimReconnect, SwitchedOff) {
    Life life(refusing(), no_reconnect());
    ASSERT_FALSE(life.client.start());
    ASSERT_TRUE(life.until_end());
    EXPECT_EQ(life.client.count(Kind::connecting), 1u);
    Life lost(quiet(), no_reconnect());
    ASSERT_TRUE(lost.open());
    lost.peer().reset();
    ASSERT_TRUE(lost.until_end());
    EXPECT_FALSE(lost.client.log.back().close.will_reconnect);
}

TEST(SimReconnect, SendingFailsWhileThereIsNoConnectionAndNothingIsLeftOver) {
    Life life(echo(), {.reconnect = {.min_delay = 100ms, .max_delay = 100ms}});
    ASSERT_TRUE(life.open());
    life.peer().pause();
    EXPECT_FALSE(life.client.send_part(Opcode::text, "of the first connection", false));
    life.peer().reset();
    ASSERT_TRUE(life.until(Kind::reconnecting));
    EXPECT_EQ(life.client.send_text("too late"), Errc::not_connected);
    ASSERT_TRUE(life.until(Kind::open, 10s, 2));
    EXPECT_FALSE(life.client.send_text("of the second connection"));
    ASSERT_TRUE(life.until(Kind::message, 1s));
    EXPECT_EQ(life.peer().messages.size(), 1u);
    EXPECT_EQ(life.client.stats().connects, 2u);
}

TEST(SimReconnect, AnAddressThatChangesIsResolvedAnew) {
    Life life(quiet(), {.reconnect = {.min_delay = 100ms, .max_delay = 100ms}});
    Server& other = life.world.server("192.0.2.2", 80, quiet());
    ASSERT_TRUE(life.open());
    life.world.dns("host", {"192.0.2.2"});
    life.peer().reset();
    ASSERT_TRUE(life.until(Kind::open, 10s, 2));
    EXPECT_EQ(other.peers.size(), 1u);
    EXPECT_NE(life.client.find(Kind::open)->handshake.peer.find("192.0.2.2"), std::string::npos);
}

}  // namespace
}  // namespace tern::sim
