#include "keepalive.hpp"

#include <gtest/gtest.h>

namespace tern::core {
namespace {

using namespace std::chrono_literals;
using Action = Keepalive::Action;

constexpr TimePoint start{std::chrono::hours(1)};

Keepalive every(std::chrono::milliseconds interval, std::chrono::milliseconds pong_timeout) {
    return {tern::Keepalive{.interval = interval, .pong_timeout = pong_timeout}, start};
}

TEST(KeepaliveTest, PingsAtTheInterval) {
    Keepalive keepalive = every(20s, 5s);
    EXPECT_EQ(keepalive.deadline(), start + 20s);
    EXPECT_EQ(keepalive.on_timeout(start + 20s - 1ns), Action::none);
    EXPECT_EQ(keepalive.on_timeout(start + 20s), Action::ping);
    EXPECT_EQ(keepalive.deadline(), start + 25s);
    EXPECT_EQ(keepalive.on_timeout(start + 20s), Action::none) << "one ping at a time";
}

TEST(KeepaliveTest, AnAnswerIsMeasuredAndTheNextPingWaitsForItsTime) {
    Keepalive keepalive = every(20s, 5s);
    EXPECT_EQ(keepalive.round_trip(), -1us);
    ASSERT_EQ(keepalive.on_timeout(start + 20s), Action::ping);
    EXPECT_EQ(keepalive.on_pong(keepalive.payload(), start + 20s + 1500us), 1500us);
    EXPECT_EQ(keepalive.round_trip(), 1500us);
    EXPECT_EQ(keepalive.deadline(), start + 40s);
    EXPECT_EQ(keepalive.on_timeout(start + 40s), Action::ping);
}

TEST(KeepaliveTest, ALateAnswerIsFollowedByThePingThatIsDue) {
    Keepalive keepalive = every(2s, 30s);
    ASSERT_EQ(keepalive.on_timeout(start + 2s), Action::ping);
    EXPECT_EQ(keepalive.on_timeout(start + 10s), Action::none);
    EXPECT_TRUE(keepalive.on_pong(keepalive.payload(), start + 10s));
    EXPECT_EQ(keepalive.deadline(), start + 4s);
    EXPECT_EQ(keepalive.on_timeout(start + 10s), Action::ping);
}

TEST(KeepaliveTest, SilenceEndsIt) {
    Keepalive keepalive = every(20s, 5s);
    ASSERT_EQ(keepalive.on_timeout(start + 20s), Action::ping);
    EXPECT_EQ(keepalive.on_timeout(start + 25s - 1ns), Action::none);
    EXPECT_EQ(keepalive.on_timeout(start + 25s), Action::dead);
}

TEST(KeepaliveTest, ASignOfLifeExtendsTheDeadlineAndAnswersNothing) {
    Keepalive keepalive = every(20s, 5s);
    ASSERT_EQ(keepalive.on_timeout(start + 20s), Action::ping);
    keepalive.on_alive(start + 24s);
    EXPECT_EQ(keepalive.deadline(), start + 29s);
    EXPECT_EQ(keepalive.on_timeout(start + 29s), Action::dead);
    EXPECT_EQ(keepalive.round_trip(), -1us);
}

TEST(KeepaliveTest, AForeignPongAnswersNothing) {
    Keepalive keepalive = every(20s, 5s);
    EXPECT_FALSE(keepalive.on_pong(keepalive.payload(), start)) << "nothing was asked";
    ASSERT_EQ(keepalive.on_timeout(start + 20s), Action::ping);
    const auto first = keepalive.payload();
    EXPECT_FALSE(keepalive.on_pong({}, start + 21s));
    EXPECT_FALSE(keepalive.on_pong(Bytes(first).first(7), start + 21s));
    EXPECT_TRUE(keepalive.on_pong(first, start + 21s));
    EXPECT_FALSE(keepalive.on_pong(first, start + 21s)) << "it was answered already";
    ASSERT_EQ(keepalive.on_timeout(start + 40s), Action::ping);
    EXPECT_NE(keepalive.payload(), first);
    EXPECT_FALSE(keepalive.on_pong(first, start + 41s)) << "an answer to the ping before";
}

TEST(KeepaliveTest, AnIntervalOfZeroSwitchesItOff) {
    Keepalive keepalive = every(0s, 5s);
    EXPECT_EQ(keepalive.deadline(), std::nullopt);
    EXPECT_EQ(keepalive.on_timeout(start + 1000h), Action::none);
}

TEST(KeepaliveTest, AProbeIsAPingAtOnce) {
    Keepalive keepalive = every(20s, 5s);
    keepalive.probe(start + 1s);
    EXPECT_EQ(keepalive.deadline(), start + 1s);
    ASSERT_EQ(keepalive.on_timeout(start + 1s), Action::ping);
    keepalive.probe(start + 2s);
    EXPECT_EQ(keepalive.on_timeout(start + 2s), Action::none) << "the one that is unanswered will do";
    EXPECT_EQ(keepalive.deadline(), start + 6s);
    ASSERT_TRUE(keepalive.on_pong(keepalive.payload(), start + 3s));
    EXPECT_EQ(keepalive.deadline(), start + 21s) << "from the probe on";
    EXPECT_EQ(keepalive.answered(), 1u);
}

TEST(KeepaliveTest, AProbeDoesNotPutOffAPingThatIsDue) {
    Keepalive keepalive = every(20s, 5s);
    keepalive.probe(start + 30s);
    EXPECT_EQ(keepalive.deadline(), start + 20s);
}

TEST(KeepaliveTest, AProbeWorksWhereThereAreNoOtherPings) {
    Keepalive keepalive = every(0s, 5s);
    keepalive.probe(start + 1s);
    EXPECT_LE(keepalive.deadline().value_or(start + 1h), start + 1s);
    ASSERT_EQ(keepalive.on_timeout(start + 1s), Action::ping);
    ASSERT_TRUE(keepalive.on_pong(keepalive.payload(), start + 2s));
    EXPECT_EQ(keepalive.deadline(), std::nullopt) << "one only";
    EXPECT_EQ(keepalive.on_timeout(start + 1000h), Action::none);
    keepalive.probe(start + 1000h);
    ASSERT_EQ(keepalive.on_timeout(start + 1000h), Action::ping);
    EXPECT_EQ(keepalive.on_timeout(start + 1000h + 5s), Action::dead);
}

}  // namespace
}  // namespace tern::core
