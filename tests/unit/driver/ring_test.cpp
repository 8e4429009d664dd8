// The poller with a ring: what is received while it waits, and what is read without it. Skipped where there is none.
#include "ring.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <fcntl.h>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "poller.hpp"
#include "poller_parts.hpp"

namespace tern::driver {
namespace {

using namespace std::chrono_literals;

class RingTest : public WithPoller {
protected:
    void SetUp() override {
        poller.open_ring();
        if (!poller.has_ring()) GTEST_SKIP() << "this build or this system has no io_uring";
    }

    /// "" and the error, or "end".
    std::string read(Watch& watch, std::size_t most = 10'000) {
        std::string text(most, '\0');
        const std::size_t size = watch.read(std::as_writable_bytes(std::span(text)), error);
        text.resize(size);
        return size == 0 && !error ? "end" : text;
    }
    /// As who talks back and forth, until the ring goes on by itself.
    void chat(Watch& watch, const Pair& pair) {
        for (int i = 0; i < 6; ++i) {
            watch.wait_readable(true);
            pair.send("chat");
            poller.poll();
            EXPECT_EQ(read(watch), "chat");
        }
    }
    /// What is read of a peer that has sent something before it resets the connection, until that is told.
    std::vector<std::string> read_until_reset(const std::string& before) {
        TcpPair pair;
        const auto one = watch(1, pair);
        one->wait_readable(true);
        poller.poll();
        if (!before.empty()) {
            pair.send(before);
            poller.poll();
        }
        pair.reset();
        std::vector<std::string> results;
        for (int i = 0; i < 3 && (results.empty() || results.back() != "reset"); ++i) {
            static_cast<void>(turn());
            const std::string text = read(*one);
            results.push_back(error == std::errc::connection_reset ? "reset" : error ? "error" : text);
            one->wait_readable(true);
        }
        return results;
    }
    /// Many who wait for the same socket: more than are submitted at once.
    struct Crowd {
        std::vector<Descriptor> doubles;
        std::vector<std::unique_ptr<Watch>> watches;
    };
    Crowd crowd(const Pair& pair) {
        Crowd made;
        for (StreamId id = 101; id <= 800; ++id) {
            made.doubles.emplace_back(fcntl(pair.ours.number(), F_DUPFD_CLOEXEC, 0));
            made.watches.push_back(poller.watch(notes, id, made.doubles.back().number()));
            EXPECT_NE(made.watches.back(), nullptr);
            made.watches.back()->wait_readable(true);
        }
        return made;
    }

    std::error_code error;
};

/// Has the peer's end of the connection come?
bool has_ended(const Pair& pair) {
    char byte = 0;
    return ::recv(pair.theirs.number(), &byte, 1, MSG_DONTWAIT) == 0;
}

TEST_F(RingTest, WhatArrivesWhileItWaitsIsReadWithoutTheSocket) {
    const Pair pair;
    const auto one = watch(1, pair);
    one->wait_readable(true);
    EXPECT_EQ(turn(), Told{});
    pair.send("hello");
    EXPECT_EQ(turn(), Told{"r1"});
    EXPECT_EQ(pair.receive(), "") << "the ring has taken it";
    EXPECT_EQ(read(*one), "hello");
    EXPECT_EQ(read(*one), "");
    EXPECT_EQ(error, std::errc::operation_would_block);
    pair.send("again");
    EXPECT_EQ(turn(), Told{}) << "nobody waits";
    one->wait_readable(true);
    EXPECT_EQ(turn(), Told{"r1"});
    EXPECT_EQ(read(*one), "again");
}

TEST_F(RingTest, TheCallThatWaitsReceives) {
    const Pair pair;
    const auto one = watch(1, pair);
    one->wait_readable(true);
    std::thread other([&] { pair.send("late"); });
    while (notes->told.empty()) wait(soon());
    other.join();
    EXPECT_EQ(pair.receive(), "");
    EXPECT_EQ(read(*one), "late");
}

TEST_F(RingTest, AWaitEndsAtItsDeadline) {
    const Pair pair;
    const auto one = watch(1, pair);
    one->wait_readable(true);
    EXPECT_EQ(turn(), Told{});
    const TimePoint deadline = std::chrono::steady_clock::now() + 10ms;
    wait(deadline);
    EXPECT_GE(std::chrono::steady_clock::now(), deadline);
    EXPECT_EQ(notes->told, Told{});
}

TEST_F(RingTest, SmallRoomIsFilledAgainAndAgain) {
    const Pair pair;
    const auto one = watch(1, pair);
    one->wait_readable(true);
    pair.send("abcdef");
    EXPECT_EQ(turn(), Told{"r1"});
    EXPECT_EQ(read(*one, 2), "ab");
    one->wait_readable(false);
    EXPECT_EQ(turn(), Told{"r1"});
    EXPECT_EQ(read(*one, 2), "cd");
    one->wait_readable(true);  // whatever the caller thinks, there is more
    EXPECT_EQ(turn(), Told{"r1"});
    EXPECT_EQ(read(*one, 3), "ef");
    one->wait_readable(true);
    EXPECT_EQ(turn(), Told{});
}

TEST_F(RingTest, BehindAFullBufferTheSocketHasMore) {
    const Pair pair;
    const auto one = watch(1, pair);
    for (const std::size_t size : {Ring::chunk_size - 1, Ring::chunk_size, Ring::chunk_size + 1, std::size_t{9000}}) {
        one->wait_readable(true);
        std::string sent(size, 'a');
        sent.back() = 'z';
        pair.send(sent);
        EXPECT_EQ(turn(), Told{"r1"});
        EXPECT_EQ(read(*one), sent);
        EXPECT_EQ(read(*one), "");
    }
}

TEST_F(RingTest, TheEndIsToldEachTime) {
    TcpPair pair;
    const auto one = watch(1, pair);
    one->wait_readable(true);
    pair.send("last");
    EXPECT_EQ(shutdown(pair.theirs.number(), SHUT_WR), 0);
    EXPECT_EQ(turn(), Told{"r1"});
    EXPECT_EQ(read(*one), "last");
    EXPECT_FALSE(one->ended()) << "not known here";
    for (int i = 0; i < 2; ++i) {
        one->wait_readable(true);
        EXPECT_EQ(turn(), Told{"r1"});
        EXPECT_EQ(read(*one), "end");
    }
}

TEST_F(RingTest, AResetIsNotLost) {
    EXPECT_EQ(read_until_reset(""), (std::vector<std::string>{"reset"}));
    EXPECT_EQ(read_until_reset("a"), (std::vector<std::string>{"a", "reset"}));
    // The socket is asked at once what is behind a full buffer, and says it there.
    const std::string full(Ring::chunk_size, 'f');
    EXPECT_EQ(read_until_reset(full), (std::vector<std::string>{full, "reset"}));
}

TEST_F(RingTest, BehindSmallMessagesItGoesOnUntilNobodyWaits) {
    const Pair pair;
    const auto one = watch(1, pair);
    chat(*one, pair);
    one->wait_readable(true);
    pair.send("told");
    EXPECT_EQ(turn(), Told{"r1"});
    pair.send("kept");
    EXPECT_EQ(turn(), Told{}) << "nobody waits";
    EXPECT_EQ(pair.receive(), "") << "but the ring has not ended";
    EXPECT_EQ(turn(), Told{});
    pair.send("left");
    EXPECT_EQ(turn(), Told{});
    EXPECT_EQ(pair.receive(), "left") << "what nobody reads stays in the network";
    EXPECT_EQ(read(*one, 6), "toldke");
    EXPECT_EQ(read(*one, 6), "pt");
    pair.send("more");
    one->wait_readable(true);
    EXPECT_EQ(turn(), Told{"r1"});
    EXPECT_EQ(read(*one), "more");
}

TEST_F(RingTest, LargeMessagesComeFromTheSocket) {
    const Pair pair;
    const auto one = watch(1, pair);
    chat(*one, pair);
    const std::string large(5000, 'l');
    for (int i = 0; i < 3; ++i) {
        one->wait_readable(true);
        pair.send(large);
        EXPECT_EQ(turn(), Told{"r1"});
        EXPECT_EQ(read(*one), large);
        one->wait_readable(true);
        EXPECT_EQ(turn(), i == 0 ? Told{"r1"} : Told{}) << "the ring has ended what went on";
        EXPECT_EQ(read(*one), "");
    }
    one->wait_readable(true);
    pair.send(large);
    EXPECT_EQ(turn(), Told{"r1"});
    EXPECT_EQ(pair.receive(9000), large);
    // And small ones by the ring again, as soon as the first of them has shown what is coming.
    for (const char* small : {"first", "second"}) {
        one->wait_readable(true);
        pair.send(small);
        EXPECT_EQ(turn(), Told{"r1"});
        EXPECT_EQ(read(*one), small);
    }
    one->wait_readable(true);
    pair.send("third");
    EXPECT_EQ(turn(), Told{"r1"});
    EXPECT_EQ(pair.receive(), "");
}

TEST_F(RingTest, EndsWhileItGoesOn) {
    TcpPair pair;
    auto one = watch(1, pair);
    chat(*one, pair);
    one->wait_readable(true);
    pair.send("last");
    EXPECT_EQ(shutdown(pair.theirs.number(), SHUT_WR), 0);
    EXPECT_EQ(turn(), Told{"r1"});
    EXPECT_EQ(read(*one), "last");
    one->wait_readable(true);
    EXPECT_EQ(turn(), Told{"r1"});
    EXPECT_EQ(read(*one), "end");

    TcpPair third;
    auto three = watch(3, third);
    chat(*three, third);
    three->wait_readable(true);
    third.send("before");
    EXPECT_EQ(turn(), Told{"r3"});
    third.reset();
    EXPECT_EQ(turn(), Told{}) << "nobody waits";
    EXPECT_EQ(read(*three), "before");
    EXPECT_EQ(read(*three), "");
    EXPECT_EQ(error, std::errc::connection_reset);

    // The socket has told of it when it was asked what is behind a large message; the ring does not know.
    TcpPair fourth;
    auto four = watch(4, fourth);
    chat(*four, fourth);
    four->wait_readable(true);
    const std::string full(Ring::chunk_size, 'f');
    fourth.send(full);
    EXPECT_EQ(turn(), Told{"r4"});
    fourth.reset();
    EXPECT_EQ(read(*four), full);
    EXPECT_EQ(turn(), Told{});
    EXPECT_EQ(turn(), Told{});
    EXPECT_EQ(read(*four), "");
    EXPECT_EQ(error, std::errc::connection_reset);

    TcpPair other;
    auto two = watch(2, other);
    chat(*two, other);
    two->wait_readable(true);
    EXPECT_EQ(turn(), Told{});
    two.reset();
    other.ours = Descriptor();
    EXPECT_TRUE(has_ended(other));
}

/// A stream of bytes in pieces of any size, read into any room, at any time, by two who share the stock.
TEST_F(RingTest, NoByteIsLostOrOvertaken) {
    for (unsigned seed = 1; seed <= 60; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        std::minstd_rand random(seed);
        const auto below = [&](std::size_t limit) { return random() % limit; };
        struct Flow {
            Pair pair;
            std::unique_ptr<Watch> watch;
            std::size_t sent = 0;
            std::size_t read = 0;
            bool waits = false;
        };
        std::array<Flow, 2> flows;
        for (Flow& each : flows) each.watch = watch(static_cast<StreamId>(&each - flows.data()), each.pair);
        const auto byte_at = [](std::size_t place) { return static_cast<char>((place * 2654435761U) >> 24U); };
        const auto read_some = [&](Flow& flow) {
            std::string space(1 + below(below(3) == 0 ? 20'000 : 700), '\0');
            const std::size_t size = flow.watch->read(std::as_writable_bytes(std::span(space)), error);
            for (std::size_t i = 0; i < size; ++i) ASSERT_EQ(space[i], byte_at(flow.read + i)) << flow.read + i;
            flow.read += size;
            flow.waits = below(8) != 0;
            if (flow.waits) flow.watch->wait_readable(size < space.size());
        };
        const std::size_t largest = below(2) == 0 ? 300 : 6000;
        for (int step = 0; step < 400 && !HasFatalFailure(); ++step) {
            Flow& flow = flows[below(2)];
            std::string piece(1 + below(largest), '\0');
            for (std::size_t i = 0; i < piece.size(); ++i) piece[i] = byte_at(flow.sent + i);
            const ssize_t written = ::write(flow.pair.theirs.number(), piece.data(), piece.size());
            if (written > 0) flow.sent += static_cast<std::size_t>(written);
            for (const std::string& told : turn()) read_some(flows[told == "r0" ? 0 : 1]);
            if (!flow.waits && below(3) == 0) read_some(flow);
        }
        // Whoever waits is told as long as there is something.
        const TimePoint limit = soon();
        const auto is_read = [](const Flow& flow) { return flow.read == flow.sent; };
        while (!std::all_of(flows.begin(), flows.end(), is_read) && !HasFatalFailure()) {
            for (Flow& each : flows) {
                if (!std::exchange(each.waits, true)) each.watch->wait_readable(false);
            }
            notes->told.clear();
            poller.run_ready();
            if (notes->told.empty()) wait(limit);
            for (const std::string& told : notes->told) read_some(flows[told == "r0" ? 0 : 1]);
            ASSERT_LT(std::chrono::steady_clock::now(), limit);
        }
    }
}

TEST_F(RingTest, WithoutABufferTheSocketIsRead) {
    std::vector<std::unique_ptr<Pair>> pairs;
    std::vector<std::unique_ptr<Watch>> watches;
    for (StreamId id = 0; id < 150; ++id) {
        pairs.push_back(std::make_unique<Pair>());
        watches.push_back(watch(id, *pairs.back()));
        watches.back()->wait_readable(true);
        pairs.back()->send(std::to_string(id));
    }
    std::vector<bool> told(watches.size());
    for (std::size_t count = 0; count < watches.size();) {
        const Told turns = turn();
        ASSERT_FALSE(turns.empty());
        for (const std::string& each : turns) told[std::stoul(each.substr(1))] = true;
        count += turns.size();
    }
    for (std::size_t i = 0; i < watches.size(); ++i) {
        EXPECT_TRUE(told[i]);
        EXPECT_EQ(read(*watches[i]), std::to_string(i));
    }
    // The buffers have come back.
    for (std::size_t i = 0; i < 64; ++i) {
        watches[i]->wait_readable(true);
        pairs[i]->send("b");
    }
    for (std::size_t count = 0; count < 64;) {
        const std::size_t before = count;
        count += turn().size();
        ASSERT_GT(count, before);
    }
    for (std::size_t i = 0; i < 64; ++i) {
        EXPECT_EQ(pairs[i]->receive(), "");
        EXPECT_EQ(read(*watches[i]), "b");
    }
}

TEST_F(RingTest, ASocketThatIsClosedIsClosedAtOnce) {
    for (const bool submitted : {false, true}) {
        TcpPair pair;
        auto one = watch(1, pair);
        one->wait_readable(true);
        if (submitted) {
            EXPECT_EQ(turn(), Told{});
        }
        one.reset();
        pair.ours = Descriptor();
        EXPECT_TRUE(has_ended(pair)) << "the ring still holds it, submitted: " << submitted;
    }
    EXPECT_EQ(notes.use_count(), 1);
}

TEST_F(RingTest, ASocketThatTakesTheNumberOfAnotherKeepsItsBytes) {
    auto first = std::make_unique<Pair>();
    auto one = watch(1, *first);
    one->wait_readable(true);  // not submitted yet
    const int number = first->ours.number();
    one.reset();
    first.reset();
    Pair second;
    ASSERT_EQ(second.ours.number(), number);
    second.send("mine");
    EXPECT_EQ(turn(), Told{});
    EXPECT_EQ(second.receive(), "mine");
}

TEST_F(RingTest, WhatWasReceivedForOneThatIsGoneIsDropped) {
    // More than there are buffers: none of them gets lost.
    for (int i = 0; i < 200; ++i) {
        const Pair pair;
        auto one = watch(1, pair);
        one->wait_readable(true);
        pair.send("x");
        if (i % 2 == 0) {
            EXPECT_EQ(turn(), Told{"r1"});
        }
        one.reset();
        EXPECT_EQ(turn(), Told{});
    }
    const Pair pair;
    const auto last = watch(2, pair);
    last->wait_readable(true);
    pair.send("y");
    EXPECT_EQ(turn(), Told{"r2"});
    EXPECT_EQ(pair.receive(), "") << "in a buffer";
    EXPECT_EQ(read(*last), "y");
}

TEST_F(RingTest, WhoReadsWithoutHavingBeenToldGetsTheBytesInTheirOrder) {
    const Pair pair;
    const auto one = watch(1, pair);
    one->wait_readable(true);
    EXPECT_EQ(turn(), Told{});
    pair.send("a");
    EXPECT_EQ(read(*one), "a");
    pair.send("b");
    EXPECT_EQ(turn(), Told{"r1"}) << "it is waited for yet";
    EXPECT_EQ(read(*one), "b");
}

TEST_F(RingTest, MoreReceivesThanAreSubmittedAtOnce) {
    const Pair silent;
    {
        const Crowd waiting = crowd(silent);
        EXPECT_EQ(turn(), Told{});
        silent.send("x");
        EXPECT_EQ(turn().size(), 1u) << "one of them gets it";
    }
    EXPECT_EQ(poller.watched(), 0u);
}

TEST_F(RingTest, WhatIsReceivedWhileOthersBeginToWaitComesFirst) {
    const Pair pair;
    const Pair silent;
    pair.send("first");
    const auto one = watch(1, pair);
    one->wait_readable(true);
    const Crowd others = crowd(silent);  // the first of all have to be submitted
    pair.send("second");
    EXPECT_EQ(read(*one, 5), "first");
    EXPECT_EQ(read(*one, 6), "second");
}

TEST_F(RingTest, RoomAndManyEventsOfEpoll) {
    std::vector<std::unique_ptr<Pair>> pairs;
    std::vector<std::unique_ptr<Watch>> watches;
    constexpr StreamId count = 300;  // epoll tells of 128 at once
    for (StreamId id = 1; id <= count; ++id) {
        pairs.push_back(std::make_unique<Pair>());
        watches.push_back(watch(id, *pairs.back()));
    }
    EXPECT_EQ(turn(), Told{});
    for (std::size_t i = 0; i < count; ++i) {
        pairs[i]->fill();
        watches[i]->wait_writable();
    }
    EXPECT_EQ(turn(), Told{});
    for (const auto& each : pairs) each->drain();
    EXPECT_EQ(turn().size(), count);
}

TEST_F(RingTest, ThereIsNoWaitInFrontOfWhatCanBeRead) {
    const Pair pair;
    const auto one = watch(1, pair);
    EXPECT_EQ(turn(), Told{});
    one->wait_readable(false);
    const TimePoint limit = soon();
    wait(limit);
    EXPECT_LT(std::chrono::steady_clock::now(), limit);
    EXPECT_EQ(notes->told, Told{"r1"});
}

TEST_F(RingTest, ATaskOfAnotherThreadEndsTheWait) {
    for (int i = 0; i < 3; ++i) end_a_wait_by_a_task();
}

}  // namespace
}  // namespace tern::driver
