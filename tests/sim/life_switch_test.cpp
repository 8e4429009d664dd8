// Make before break: a second connection takes the place of the first, and the user sees one client.
#include "life.hpp"

namespace tern::sim {
namespace {

const Config usual{.reconnect = {.min_delay = 100ms, .max_delay = 100ms}};

std::vector<std::string> texts(const Client& client) {
    std::vector<std::string> all;
    for (const auto& [opcode, payload] : client.messages()) all.push_back(payload);
    return all;
}

void expect_uninterrupted(const Life& life) {
    EXPECT_EQ(life.client.count(Kind::closed), 0u) << life.log();
    EXPECT_EQ(life.client.count(Kind::reconnecting), 0u) << life.log();
    EXPECT_EQ(life.client.count(Kind::open), 1u) << life.log();
}

TEST(SimSwitch, ByTheUsersWish) {
    Life life(echo(), usual);
    ASSERT_TRUE(life.open());
    EXPECT_FALSE(life.client.send_text("on the first"));
    EXPECT_FALSE(life.client.refresh());
    EXPECT_EQ(life.client.state(), State::open);
    ASSERT_TRUE(life.until(Kind::switched, 1s)) << life.log();
    EXPECT_FALSE(life.client.send_text("on the second"));
    ASSERT_TRUE(life.until(Kind::message, 1s, 2));
    life.world.run_for(60s);
    expect_uninterrupted(life);
    ASSERT_EQ(life.server.peers.size(), 2u);
    EXPECT_EQ(life.server.peers[0]->messages.at(0).payload, "on the first");
    EXPECT_EQ(life.server.peers[1]->messages.at(0).payload, "on the second");
    ASSERT_EQ(life.server.peers[0]->received(opcode::close).size(), 1u) << "the old one is closed politely";
    EXPECT_EQ(life.client.open_ids(), 1u) << "and is gone";
    EXPECT_EQ(life.client.stats().switches, 1u);
    EXPECT_EQ(life.client.stats().connects, 2u);
}

TEST(SimSwitch, EachSwitchIsPreparedAnew) {
    Life life(quiet(), usual);
    int asked = 0;
    life.client.on_prepare = [&](StreamId id, std::uint32_t) {
        const std::string token = "token" + std::to_string(++asked);
        life.world.after(
            10ms, [&life, id, token] { life.client.prepared(id, {.url = "ws://host/", .bearer_token = token}); });
    };
    ASSERT_TRUE(life.open());
    EXPECT_FALSE(life.client.refresh());
    ASSERT_TRUE(life.until(Kind::switched, 1s)) << life.log();
    EXPECT_EQ(life.peer().request.header("Authorization"), "Bearer token2");
}

TEST(SimSwitch, WhatTheOldOneStillReceivesIsDelivered) {
    for (const Delivery delivery : {Delivery::messages, Delivery::chunks}) {
        Config config = usual;
        config.delivery = delivery;
        Life life(quiet(), config);
        ASSERT_TRUE(life.open());
        Peer& first = life.peer();
        first.behaviour.on_frame = nullptr;  // it takes its time with its Close
        first.send({.opcode = 1, .payload = "begun ", .fin = false});
        life.world.run_for(50ms);
        EXPECT_FALSE(life.client.refresh());
        ASSERT_TRUE(life.until(Kind::switched, 1s)) << life.log();
        life.peer().send_message(opcode::text, "of the second", no_limit);
        life.world.run_for(50ms);
        first.send({.opcode = 0, .payload = "and ended"});
        first.send(close_frame(1000));
        life.world.run_for(1s);
        const std::vector<std::string> delivered = texts(life.client);
        ASSERT_EQ(delivered.size(), 2u) << life.log();
        EXPECT_EQ(std::count(delivered.begin(), delivered.end(), "begun and ended"), 1);
        EXPECT_EQ(std::count(delivered.begin(), delivered.end(), "of the second"), 1);
        expect_uninterrupted(life);
    }
}

TEST(SimSwitch, PiecesOfTwoMessagesDoNotMix) {
    Config config = usual;
    config.delivery = Delivery::chunks;
    Life life(quiet(), config);
    ASSERT_TRUE(life.open());
    Peer& first = life.peer();
    first.behaviour.on_frame = nullptr;  // it takes its time with its Close
    EXPECT_FALSE(life.client.refresh());
    ASSERT_TRUE(life.until(Kind::switched, 1s)) << life.log();
    life.peer().send({.opcode = 1, .payload = "begun ", .fin = false});
    life.world.run_for(50ms);
    first.send_message(opcode::text, "of the first", no_limit);
    life.world.run_for(50ms);
    life.peer().send({.opcode = 0, .payload = "and ended"});
    life.world.run_for(50ms);
    EXPECT_EQ(texts(life.client), (std::vector<std::string>{"begun and ended", "of the first"}));
}

TEST(SimSwitch, AMessageInPartsEndsWhereItBegan) {
    Life life(quiet(), usual);
    ASSERT_TRUE(life.open());
    EXPECT_FALSE(life.client.send_part(Opcode::text, "one ", false));
    EXPECT_FALSE(life.client.refresh());
    life.world.run_for(1s);
    EXPECT_EQ(life.client.count(Kind::switched), 0u);
    EXPECT_EQ(life.server.peers.size(), 2u) << "the new connection waits";
    EXPECT_FALSE(life.client.send_part(Opcode::continuation, "two", true));
    ASSERT_TRUE(life.until(Kind::switched, 1s));
    life.world.run_for(1s);
    EXPECT_EQ(life.server.peers[0]->messages.at(0).payload, "one two");
    expect_uninterrupted(life);
}

TEST(SimSwitch, AFailureLeavesTheOldConnectionAlone) {
    Life life(echo(), usual);
    ASSERT_TRUE(life.open());
    life.server.behaviour.accept = Behaviour::Accept::refuse;
    EXPECT_FALSE(life.client.refresh());
    ASSERT_TRUE(life.until(Kind::switch_failed, 1s));
    EXPECT_EQ(life.error(), Errc::connection_refused);
    EXPECT_FALSE(life.client.send_text("still here"));
    ASSERT_TRUE(life.until(Kind::message, 1s));
    life.server.behaviour.accept = Behaviour::Accept::yes;
    ASSERT_TRUE(life.until(Kind::switched, 10s)) << "it is tried again";
    expect_uninterrupted(life);
}

TEST(SimSwitch, AFinalFailureIsNotTriedAgain) {
    Life life(echo(), usual);
    ASSERT_TRUE(life.open());
    life.server.behaviour.on_request = [](Peer& peer) { peer.write("HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n"); };
    EXPECT_FALSE(life.client.refresh());
    life.world.run_for(600s);
    EXPECT_EQ(life.client.count(Kind::switch_failed), 1u);
    EXPECT_EQ(life.client.state(), State::open);
    expect_uninterrupted(life);
}

TEST(SimSwitch, TheOldOneDiesWhileTheNewOneIsMade) {
    Life life(echo(), usual);
    ASSERT_TRUE(life.open());
    EXPECT_FALSE(life.client.refresh());
    life.server.last().reset();
    ASSERT_TRUE(life.until(Kind::open, 10s, 2)) << life.log();
    EXPECT_EQ(life.client.count(Kind::closed), 1u);
    EXPECT_EQ(life.client.count(Kind::switched), 0u);
    EXPECT_EQ(life.server.peers.size(), 2u) << "the attempt under way is the one that is used";
}

TEST(SimSwitch, TheOldOneFailsWhileSomebodyWaitsForRoom) {
    Behaviour behaviour = quiet();
    behaviour.up.capacity = 1000;
    Config config = usual;
    config.limits.max_send_queue = 5'000;
    Life life(behaviour, config);
    ASSERT_TRUE(life.open());
    life.peer().pause();
    EXPECT_FALSE(life.client.send_binary(std::string(4'000, 'x')));
    EXPECT_EQ(life.client.send_binary(std::string(4'000, 'x')), Errc::send_queue_full);
    life.server.behaviour.accept = Behaviour::Accept::black_hole;
    EXPECT_FALSE(life.client.refresh());
    life.server.last().write("not a frame");
    life.world.run_for(100ms);
    life.peer().resume();
    ASSERT_TRUE(life.until(Kind::writable, 1s)) << life.log();
    EXPECT_EQ(life.client.count(Kind::closed), 0u) << "a successor is still looked for";
    EXPECT_EQ(life.client.state(), State::open);
    EXPECT_FALSE(life.client.send_binary("waits for the successor"));
}

class SimGoingAway : public ::testing::TestWithParam<unsigned> {};

TEST_P(SimGoingAway, IsNoInterruption) {
    // Whether the server ends TCP before the new connection is there, or long after.
    for (const bool at_once : {true, false}) {
        Life life(echo(), usual);
        ASSERT_TRUE(life.open());
        if (!at_once) life.peer().behaviour.on_frame = nullptr;
        life.world.run_for(15s);
        life.peer().send(close_frame(GetParam(), "restart"));
        ASSERT_TRUE(life.until(Kind::closing, 1s));
        EXPECT_EQ(life.client.state(), State::open);
        std::uint64_t number = 0;
        EXPECT_FALSE(life.client.send(Opcode::text, "in between", {.number = &number}));
        ASSERT_TRUE(life.until(Kind::switched, 1s)) << life.log();
        life.world.run_for(60s);
        expect_uninterrupted(life);
        EXPECT_EQ(life.peer().number, 1u);
        EXPECT_EQ(life.peer().messages.at(0).payload, "in between");
        ASSERT_NE(life.client.find(Kind::fate), nullptr);
        EXPECT_EQ(life.client.find(Kind::fate)->number, number);
        EXPECT_EQ(life.client.find(Kind::fate)->fate, Fate::sent);
    }
}

INSTANTIATE_TEST_SUITE_P(Codes, SimGoingAway, ::testing::Values(1001u, 1012u));

TEST(SimSwitch, GoingAwayForGoodIsToldAsAnEnd) {
    Life life(echo(), usual);
    ASSERT_TRUE(life.open());
    life.world.run_for(15s);
    life.server.behaviour.accept = Behaviour::Accept::refuse;
    life.peer().send(close_frame(1001));
    ASSERT_TRUE(life.until(Kind::closing, 1s));
    std::uint64_t number = 0;
    EXPECT_FALSE(life.client.send(Opcode::text, "in between", {.number = &number}));
    ASSERT_TRUE(life.until(Kind::reconnecting, 10s)) << life.log();
    EXPECT_EQ(life.client.find(Kind::closed)->close.code, CloseCode::going_away);
    EXPECT_TRUE(life.client.find(Kind::closed)->close.will_reconnect);
    EXPECT_EQ(life.client.send_text("too late"), Errc::not_connected);
    ASSERT_NE(life.client.find(Kind::fate), nullptr);
    EXPECT_EQ(life.client.find(Kind::fate)->fate, Fate::dropped);
    life.server.behaviour.accept = Behaviour::Accept::yes;
    EXPECT_TRUE(life.until(Kind::open, 10s, 2));
}

TEST(SimSwitch, AServerThatSendsEverybodyAwayIsNotStormed) {
    Behaviour behaviour = echo();
    behaviour.on_request = [](Peer& peer) {
        peer.upgrade();
        peer.send(close_frame(1001, "away"));
    };
    Life life(behaviour, {.reconnect = {.min_delay = 500ms, .max_delay = 8s}});
    ASSERT_FALSE(life.client.start());
    life.world.run_for(600s);
    EXPECT_LT(life.client.stats().attempts, 300u) << "the back-off's own rate";
    EXPECT_GT(life.client.stats().attempts, 30u);
}

TEST(SimSwitch, SwitchedOffItIsAnOrdinaryEnd) {
    Config config = usual;
    config.reconnect.make_before_break = false;
    Life life(echo(), config);
    ASSERT_TRUE(life.open());
    life.world.run_for(15s);
    life.peer().send(close_frame(1001));
    ASSERT_TRUE(life.until(Kind::open, 10s, 2));
    EXPECT_EQ(life.client.count(Kind::closed), 1u);
}

TEST(SimSwitch, CloseAndStopEndAllOfIt) {
    for (const int when : {0, 20, 40, 60, 80, 100, 500}) {
        for (const bool stop : {false, true}) {
            Life life(quiet(), usual);
            ASSERT_TRUE(life.open());
            EXPECT_FALSE(life.client.refresh());
            life.world.run_for(std::chrono::milliseconds(when));
            if (stop) {
                life.client.stop();
            } else {
                EXPECT_FALSE(life.client.close());
            }
            ASSERT_TRUE(life.until_end()) << when << "\n" << life.log();
            EXPECT_EQ(life.client.count(Kind::closed), 1u) << when << "\n" << life.log();
        }
    }
}

TEST(SimSwitch, OnlyAnOpenConnectionCanBeReplaced) {
    Life life(quiet(), usual);
    EXPECT_EQ(life.client.refresh(), Errc::not_connected);
    ASSERT_FALSE(life.client.start());
    EXPECT_EQ(life.client.refresh(), Errc::not_connected);
}

TEST(SimReconnectNow, EndsTheWait) {
    Life life(quiet(), {.reconnect = {.min_delay = 100s, .max_delay = 100s}});
    life.server.behaviour.accept = Behaviour::Accept::refuse;
    ASSERT_FALSE(life.client.start());
    ASSERT_TRUE(life.until(Kind::reconnecting, 1s));
    life.server.behaviour.accept = Behaviour::Accept::yes;
    life.client.reconnect_now();
    EXPECT_TRUE(life.until(Kind::open, 1s));
}

TEST(SimReconnectNow, AsksAnOpenConnectionForASignOfLife) {
    for (const auto interval : {0ms, 20'000ms}) {
        Life life(quiet(), {.keepalive = {.interval = interval, .pong_timeout = 500ms}});
        ASSERT_TRUE(life.open());
        life.client.reconnect_now();
        EXPECT_TRUE(life.until(Kind::pong, 1s)) << "it lives";
        life.peer().wire().stall();
        life.client.reconnect_now();
        ASSERT_TRUE(life.until(Kind::closed, 1s)) << "it does not";
        EXPECT_EQ(life.client.find(Kind::closed)->error, Errc::pong_timeout);
    }
}

}  // namespace
}  // namespace tern::sim
