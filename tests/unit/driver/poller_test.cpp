#include "poller.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "poller_parts.hpp"

namespace tern::driver {
namespace {

class PollerTest : public WithPoller {};

TEST_F(PollerTest, TellsOnceForEachWait) {
    const Pair pair;
    const auto one = watch(1, pair);
    one->wait_readable(true);
    EXPECT_EQ(turn(), Told{});
    pair.send("a");
    EXPECT_EQ(turn(), Told{"r1"});
    pair.send("b");
    EXPECT_EQ(turn(), Told{}) << "nobody waits";
}

TEST_F(PollerTest, AnEdgeThatCameWhenNobodyWaitedIsTold) {
    const Pair pair;
    const auto one = watch(1, pair);
    pair.send("a");
    EXPECT_EQ(turn(), Told{});
    one->wait_readable(true);
    EXPECT_EQ(turn(), Told{"r1"});
}

TEST_F(PollerTest, WhatAReadHasLeftNeedsNoEdge) {
    const Pair pair;
    const auto one = watch(1, pair);
    one->wait_readable(true);
    pair.send("ab");
    EXPECT_EQ(turn(), Told{"r1"});
    EXPECT_EQ(pair.receive(1), "a");
    one->wait_readable(false);
    EXPECT_EQ(turn(), Told{"r1"});
    EXPECT_EQ(pair.receive(), "b");
    one->wait_readable(true);
    EXPECT_EQ(turn(), Told{});
}

TEST_F(PollerTest, AnEndThatCameWithBytesIsToldAgain) {
    Pair pair;
    const auto one = watch(1, pair);
    one->wait_readable(true);
    pair.send("last");
    pair.theirs = Descriptor();
    EXPECT_EQ(turn(), Told{"r1"});
    EXPECT_EQ(pair.receive(), "last");
    one->wait_readable(true);  // the read was short, and no further edge comes
    EXPECT_EQ(turn(), Told{"r1"});
}

TEST_F(PollerTest, ItIsKnownThatTheLastBytesAreTheLast) {
    TcpPair pair;
    const auto one = watch(1, pair);
    one->wait_readable(true);
    pair.send("more");
    EXPECT_EQ(turn(), Told{"r1"});
    EXPECT_FALSE(one->ended());
    EXPECT_EQ(pair.receive(), "more");
    one->wait_readable(true);
    pair.send("last");
    EXPECT_EQ(shutdown(pair.theirs.number(), SHUT_WR), 0);
    EXPECT_EQ(turn(), Told{"r1"});
    EXPECT_TRUE(one->ended());
    EXPECT_EQ(pair.receive(), "last");
}

TEST_F(PollerTest, UrgentDataIsNoEnd) {
    TcpPair pair;
    const auto one = watch(1, pair);
    one->wait_readable(true);
    pair.send("before");
    EXPECT_EQ(send(pair.theirs.number(), "!", 1, MSG_OOB), 1);
    pair.send("behind");
    EXPECT_EQ(shutdown(pair.theirs.number(), SHUT_WR), 0);
    EXPECT_EQ(turn(), Told{"r1"});
    EXPECT_EQ(pair.receive(), "before");
    EXPECT_FALSE(one->ended());
    one->wait_readable(true);
    EXPECT_EQ(turn(), Told{"r1"});
    EXPECT_EQ(pair.receive(), "behind");
}

TEST_F(PollerTest, AResetIsNoEnd) {
    TcpPair pair;
    const auto one = watch(1, pair);
    one->wait_readable(true);
    pair.send("lost");
    pair.reset();
    EXPECT_EQ(turn(), Told{"r1"});
    EXPECT_FALSE(one->ended());
}

TEST_F(PollerTest, AConnectionThatIsRefusedIsNotSound) {
    Pair pair;
    in_port_t closed = 0;
    {
        const TcpPair other;
        sockaddr_in address{};
        socklen_t size = sizeof(address);
        EXPECT_EQ(getsockname(other.ours.number(), reinterpret_cast<sockaddr*>(&address), &size), 0);
        closed = address.sin_port;
    }
    pair.ours = Descriptor(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const sockaddr_in nobody = loopback(closed);
    EXPECT_EQ(connect(pair.ours.number(), reinterpret_cast<const sockaddr*>(&nobody), sizeof(nobody)), -1);
    const auto one = watch(1, pair);
    one->wait_writable();
    EXPECT_EQ(turn(), Told{"x1"});
}

TEST_F(PollerTest, RoomIsToldToWhoeverWaitsForIt) {
    const Pair pair;
    const auto one = watch(1, pair);
    EXPECT_EQ(turn(), Told{}) << "writable, but nobody has asked";
    pair.fill();
    one->wait_writable();
    EXPECT_EQ(turn(), Told{});
    pair.drain();
    EXPECT_EQ(turn(), Told{"w1"});
}

TEST_F(PollerTest, APlaceThatIsUsedAgainIsNotToldOfItsPredecessor) {
    const Pair first;
    const Pair second;
    auto one = watch(1, first);
    one->wait_readable(false);
    first.send("a");
    one.reset();  // the socket is still registered, as if somebody had doubled it
    const auto two = watch(2, second);
    two->wait_readable(true);
    notes->told.clear();
    poller.poll();
    EXPECT_EQ(notes->told, Told{});
    second.send("b");
    EXPECT_EQ(turn(), Told{"r2"});
}

TEST_F(PollerTest, ClosingOneSocketWhileAnotherIsToldOfIsAllowed) {
    struct Closer final : Watcher {
        void on_readable(StreamId) override {
            ++calls;
            watches.clear();
        }
        void on_writable(StreamId, bool) override {}
        std::vector<std::unique_ptr<Watch>> watches;
        int calls = 0;
    };
    const Pair first;
    const Pair second;
    const auto closer = std::make_shared<Closer>();
    for (const Pair* each : {&first, &second}) {
        closer->watches.push_back(poller.watch(closer, 1, each->ours.number()));
        closer->watches.back()->wait_readable(true);
        each->send("x");
    }
    poller.poll();
    EXPECT_EQ(closer->calls, 1);
    EXPECT_EQ(poller.watched(), 0u);
}

TEST_F(PollerTest, KeepsTheWatcherAliveAsLongAsItWatches) {
    const Pair pair;
    auto one = watch(1, pair);
    EXPECT_EQ(notes.use_count(), 2);
    one.reset();
    EXPECT_EQ(notes.use_count(), 1);
}

TEST_F(PollerTest, ReadAllAsksNobody) {
    const Pair pair;
    const auto one = watch(1, pair);
    one->wait_readable(true);
    poller.read_all();
    EXPECT_EQ(notes->told, Told{"r1"});
    poller.read_all();
    EXPECT_EQ(notes->told, Told{"r1"}) << "only those that wait";
}

TEST_F(PollerTest, ThereIsNoWaitInFrontOfWhatCanBeRead) {
    const Pair pair;
    const auto one = watch(1, pair);
    EXPECT_EQ(turn(), Told{});
    one->wait_readable(false);
    const TimePoint limit = soon();
    wait(limit);
    EXPECT_LT(std::chrono::steady_clock::now(), limit);
    EXPECT_EQ(turn(), Told{"r1"});
}

TEST_F(PollerTest, ATaskOfAnotherThreadEndsTheWait) { end_a_wait_by_a_task(); }

TEST_F(PollerTest, TasksRunInTheirOrderAndThoseTheyPostLater) {
    std::vector<int> order;
    poller.post([&] {
        order.push_back(1);
        poller.post([&] { order.push_back(3); });
    });
    poller.post([&] { order.push_back(2); });
    EXPECT_TRUE(poller.run_tasks());
    EXPECT_EQ(order, (std::vector{1, 2}));
    wait(TimePoint::max());  // does not: there is something to do
    EXPECT_TRUE(poller.run_tasks());
    EXPECT_EQ(order, (std::vector{1, 2, 3}));
    EXPECT_FALSE(poller.run_tasks());
}

TEST_F(PollerTest, BehindTheEndTasksAreDropped) {
    const auto kept = std::make_shared<int>();
    poller.post([kept] {});
    poller.end();
    EXPECT_EQ(kept.use_count(), 1);
    poller.post([kept] {});
    EXPECT_EQ(kept.use_count(), 1);
}

TEST_F(PollerTest, WithoutRoomInTheSystemThereIsNoWatch) {
    const auto one = poller.watch(notes, 1, -1);
    EXPECT_EQ(one, nullptr);
    EXPECT_EQ(errno, EBADF);
    EXPECT_EQ(poller.watched(), 0u);
    EXPECT_EQ(notes.use_count(), 1);
}

}  // namespace
}  // namespace tern::driver
