#include "backlog.hpp"

#include <chrono>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tern::core {
namespace {

using namespace std::chrono_literals;
using Full = OfflineQueue::Full;

constexpr TimePoint start{std::chrono::hours(1)};

Backlog::Message message(std::uint64_t number, StreamId stream = 0) {
    return {
        .opcode = Opcode::text, .payload = std::to_string(number), .number = number, .watched = true, .stream = stream};
}

/// Queues all that waits on that stream, and says what it was.
std::vector<std::uint64_t> send_all(Backlog& backlog, StreamId stream) {
    std::vector<std::uint64_t> numbers;
    while (Backlog::Message* const next = backlog.waiting()) {
        numbers.push_back(next->number);
        backlog.on_queued(*next, stream);
    }
    return numbers;
}

class BacklogTest : public ::testing::Test {
protected:
    void add(std::uint64_t number) { EXPECT_FALSE(backlog.add(message(number), 1000, fates)); }

    const OfflineQueue config{.max_bytes = 1000};
    MemoryBudget budget;
    Fates fates;
    Backlog backlog{config, budget, 0};
};

TEST_F(BacklogTest, WhatAStreamCouldNotSendGoesInFrontOfWhatCameLater) {
    ASSERT_TRUE(backlog.keep(message(1, 7)));
    ASSERT_TRUE(backlog.keep(message(2, 7)));
    ASSERT_TRUE(backlog.keep(message(3, 7)));
    add(4);
    EXPECT_TRUE(backlog.on_sent(1).value_or(false));
    ASSERT_NE(backlog.waiting(), nullptr);
    EXPECT_EQ(backlog.waiting()->number, 4u);
    backlog.on_stream_ended(7);
    add(5);
    EXPECT_EQ(send_all(backlog, 8), (std::vector<std::uint64_t>{2, 3, 4, 5}));
    backlog.on_stream_ended(8);
    EXPECT_EQ(send_all(backlog, 9), (std::vector<std::uint64_t>{2, 3, 4, 5})) << "and again";
    EXPECT_EQ(backlog.on_sent(6), std::nullopt);
}

TEST_F(BacklogTest, TheEndOfAnotherStreamChangesNothing) {
    ASSERT_TRUE(backlog.keep(message(1, 7)));
    add(2);
    backlog.on_stream_ended(8);
    EXPECT_EQ(send_all(backlog, 7), (std::vector<std::uint64_t>{2}));
    EXPECT_FALSE(backlog.any_waiting());
    EXPECT_TRUE(backlog.holds(1));
}

TEST_F(BacklogTest, GivesBackAllMemory) {
    MemoryBudget limited(100'000);
    {
        Backlog other(config, limited, 0);
        ASSERT_TRUE(other.keep(message(1, 7)));
        EXPECT_FALSE(other.add(message(2), 1000, fates));
        EXPECT_FALSE(other.add(message(3), 1000, fates));
        ASSERT_NE(other.waiting(), nullptr);
        EXPECT_EQ(other.take(*other.waiting()).number, 2u);
        EXPECT_GT(limited.used(), 0u);
    }
    EXPECT_EQ(limited.used(), 0u);
}

/// A backlog of 10 bytes, to which texts are added, each of them watched; and what it tells.
class Queue {
public:
    explicit Queue(OfflineQueue settings, std::size_t memory = 0, std::size_t ceiling = 0)
        : config_(settings), budget(memory), backlog(config_, budget, ceiling) {}

    std::error_code add(std::string text, std::string key = {}, TimePoint expires = TimePoint::max()) {
        Backlog::Message message{.opcode = Opcode::text, .payload = std::move(text), .key = std::move(key)};
        message.options.expires = expires;
        message.number = ++last_number;
        message.watched = true;
        return backlog.add(std::move(message), 10, fates);
    }
    /// "2 expired", "1 dropped: send_queue_full"; once each.
    std::vector<std::string> told() {
        std::vector<std::string> lines;
        while (!fates.empty()) {
            const FateRecord record = fates.pop();
            lines.push_back(std::to_string(record.number) + ' ' + std::string(fate_name(record.fate)));
            if (record.error) lines.back() += ": " + std::string(error_row(record.error.errc())->name);
        }
        return lines;
    }
    /// What waits, in the order in which it will be sent.
    std::vector<std::string> waiting() {
        std::vector<std::string> texts;
        while (Backlog::Message* const next = backlog.waiting()) {
            texts.push_back(next->payload);
            backlog.on_queued(*next, 7);
        }
        backlog.on_stream_ended(7);
        return texts;
    }

private:
    const OfflineQueue config_;

public:
    MemoryBudget budget;
    Fates fates;
    Backlog backlog;
    std::uint64_t last_number = 0;
};

using Lines = std::vector<std::string>;

TEST(BacklogFull, Rejects) {
    Queue queue({.max_bytes = 10});
    EXPECT_FALSE(queue.add("12345"));
    EXPECT_EQ(queue.add("123456"), Errc::send_queue_full);
    EXPECT_FALSE(queue.add("67890"));
    EXPECT_EQ(queue.backlog.waiting_bytes(), 10u);
    EXPECT_EQ(queue.waiting(), (Lines{"12345", "67890"}));
    EXPECT_EQ(queue.told(), Lines{});
}

TEST(BacklogFull, DropsTheNewest) {
    Queue queue({.max_bytes = 10, .when_full = Full::drop_newest});
    EXPECT_FALSE(queue.add("12345"));
    EXPECT_FALSE(queue.add("123456"));
    EXPECT_FALSE(queue.add("67890"));
    EXPECT_EQ(queue.add("larger than all of it"), Errc::send_queue_full);
    EXPECT_EQ(queue.waiting(), (Lines{"12345", "67890"}));
    EXPECT_EQ(queue.told(), Lines{"2 dropped: send_queue_full"});
}

TEST(BacklogFull, DropsTheOldest) {
    Queue queue({.max_bytes = 10, .when_full = Full::drop_oldest});
    for (const char* text : {"1111", "2222", "33", "444444"}) EXPECT_FALSE(queue.add(text));
    EXPECT_EQ(queue.add("larger than all of it"), Errc::send_queue_full);
    EXPECT_EQ(queue.waiting(), (Lines{"33", "444444"}));
    EXPECT_EQ(queue.told(), (Lines{"1 dropped: send_queue_full", "2 dropped: send_queue_full"}));
    EXPECT_EQ(queue.backlog.waiting_bytes(), 8u);
}

TEST(BacklogFull, WhatIsBeingSentIsNotDroppedForRoom) {
    Queue queue({.max_bytes = 10, .when_full = Full::drop_oldest});
    EXPECT_FALSE(queue.add("1111"));
    queue.backlog.on_queued(*queue.backlog.waiting(), 7);
    EXPECT_FALSE(queue.add("2222"));
    EXPECT_FALSE(queue.add("3333333"));
    EXPECT_EQ(queue.told(), Lines{"2 dropped: send_queue_full"});
    EXPECT_TRUE(queue.backlog.holds(1));
    queue.backlog.on_stream_ended(7);
    EXPECT_EQ(queue.waiting(), (Lines{"1111", "3333333"}));
}

TEST(BacklogFull, WithoutMemoryTheOldestMakeRoom) {
    const std::size_t two = 2 * (3 * sizeof(Backlog::Message) + 1);
    Queue queue({.max_bytes = 10, .when_full = Full::drop_oldest}, two);
    for (const char* text : {"1", "2", "3"}) EXPECT_FALSE(queue.add(text));
    EXPECT_EQ(queue.told(), Lines{"1 dropped: send_queue_full"});
    for (int i = 0; i < 2; ++i) queue.backlog.on_queued(*queue.backlog.waiting(), 7);
    EXPECT_EQ(queue.add("4"), Errc::send_queue_full) << "nothing waits that could be dropped";
    EXPECT_EQ(queue.told(), Lines{});
    EXPECT_EQ(queue.budget.used(), two);

    Queue rejecting({.max_bytes = 10}, two);
    for (const char* text : {"1", "2"}) EXPECT_FALSE(rejecting.add(text));
    EXPECT_EQ(rejecting.add("3"), Errc::send_queue_full);
    EXPECT_FALSE(rejecting.backlog.keep(message(4, 7)));
    EXPECT_EQ(rejecting.waiting(), (Lines{"1", "2"}));

    Queue under_ceiling({.max_bytes = 10}, 0, two);
    for (const char* text : {"1", "2"}) EXPECT_FALSE(under_ceiling.add(text));
    EXPECT_EQ(under_ceiling.add("3"), Errc::send_queue_full) << "the rest of the memory is for others";
}

TEST(BacklogKeys, ANewerMessageTakesThePlaceOfTheOlder) {
    Queue queue({.max_bytes = 10});
    EXPECT_FALSE(queue.add("a1", "a"));
    EXPECT_FALSE(queue.add("b1", "b"));
    EXPECT_FALSE(queue.add("none"));
    EXPECT_FALSE(queue.add("a222", "a")) << "what it replaces makes room";
    EXPECT_EQ(queue.told(), Lines{"1 replaced"});
    EXPECT_EQ(queue.budget.used(), 3 * (3 * sizeof(Backlog::Message)) + 10 + 2) << "with two keys of a byte";
    EXPECT_EQ(queue.backlog.waiting_bytes(), 10u);
    EXPECT_EQ(queue.add("b333", "b"), Errc::send_queue_full);
    EXPECT_EQ(queue.waiting(), (Lines{"a222", "b1", "none"}));
    queue.backlog.on_queued(*queue.backlog.waiting(), 7);
    EXPECT_FALSE(queue.add("a4", "a"));
    EXPECT_EQ(queue.told(), Lines{}) << "the older one is on its way";
    EXPECT_TRUE(queue.backlog.holds(4));
    EXPECT_TRUE(queue.backlog.holds(6));
}

TEST(BacklogTime, MessagesExpire) {
    Queue queue({.max_bytes = 10, .expire_after = 10s});
    EXPECT_FALSE(queue.add("1"));
    EXPECT_TRUE(queue.backlog.needs_settle()) << "only that says when its time begins";
    EXPECT_EQ(queue.backlog.deadline(), std::nullopt);
    queue.backlog.settle(start, queue.fates);
    EXPECT_FALSE(queue.backlog.needs_settle());
    EXPECT_EQ(queue.backlog.deadline(), start + 10s);
    EXPECT_FALSE(queue.add("2", {}, start + 2s));
    queue.backlog.settle(start + 1s, queue.fates);
    EXPECT_EQ(queue.backlog.deadline(), start + 2s) << "the earlier one";
    queue.backlog.settle(start + 2s - 1ns, queue.fates);
    EXPECT_EQ(queue.told(), Lines{});
    queue.backlog.settle(start + 2s, queue.fates);
    EXPECT_EQ(queue.told(), Lines{"2 expired"});
    EXPECT_EQ(queue.backlog.deadline(), start + 10s);
    queue.backlog.settle(start + 11s, queue.fates);
    EXPECT_EQ(queue.told(), Lines{"1 expired"});
    EXPECT_EQ(queue.backlog.deadline(), std::nullopt);
    EXPECT_TRUE(queue.backlog.empty());
    EXPECT_EQ(queue.backlog.waiting_bytes(), 0u);
}

TEST(BacklogTime, NothingExpiresThatWasToldNothing) {
    Queue queue({.max_bytes = 10});
    EXPECT_FALSE(queue.add("1"));
    EXPECT_FALSE(queue.backlog.needs_settle());
    EXPECT_FALSE(queue.add("2", {}, start));
    EXPECT_TRUE(queue.backlog.needs_settle());
    queue.backlog.settle(start + 1000h, queue.fates);
    EXPECT_EQ(queue.told(), Lines{"2 expired"});
    EXPECT_EQ(queue.waiting(), Lines{"1"});
}

TEST(BacklogTime, GoesOnWhileTheMessageIsOnAConnection) {
    Queue queue({.max_bytes = 10, .expire_after = 10s});
    EXPECT_FALSE(queue.add("1"));
    queue.backlog.settle(start, queue.fates);
    queue.backlog.on_queued(*queue.backlog.waiting(), 7);
    queue.backlog.settle(start + 11s, queue.fates);
    EXPECT_EQ(queue.told(), Lines{}) << "it is being sent";
    EXPECT_EQ(queue.backlog.deadline(), std::nullopt);
    queue.backlog.on_stream_ended(7);
    EXPECT_TRUE(queue.backlog.needs_settle());
    queue.backlog.settle(start + 12s, queue.fates);
    EXPECT_EQ(queue.told(), Lines{"1 expired"});
}

TEST(BacklogEnd, WhatWaitsIsDroppedAndTheRestStays) {
    Queue queue({.max_bytes = 10, .expire_after = 10s});
    EXPECT_FALSE(queue.add("1"));
    queue.backlog.on_queued(*queue.backlog.waiting(), 7);
    EXPECT_FALSE(queue.add("2"));
    EXPECT_FALSE(queue.add("3"));
    queue.backlog.settle(start, queue.fates);
    queue.backlog.drop(Errc::stopped, queue.fates);
    EXPECT_EQ(queue.told(), (Lines{"2 dropped: stopped", "3 dropped: stopped"}));
    EXPECT_EQ(queue.backlog.deadline(), std::nullopt);
    EXPECT_EQ(queue.backlog.waiting_bytes(), 0u);
    EXPECT_FALSE(queue.backlog.any_waiting());
    EXPECT_FALSE(queue.backlog.empty());
    EXPECT_EQ(queue.backlog.on_sent(1), std::optional(true));
    EXPECT_TRUE(queue.backlog.empty());
    EXPECT_EQ(queue.budget.used(), 0u);
}

TEST(BacklogEnd, NobodyIsToldOfWhatIsNotWatched) {
    Queue queue({.max_bytes = 10});
    Backlog::Message unwatched = message(1);
    unwatched.watched = false;
    EXPECT_FALSE(queue.backlog.add(std::move(unwatched), 10, queue.fates));
    queue.backlog.drop(Errc::stopped, queue.fates);
    EXPECT_EQ(queue.told(), Lines{});
    EXPECT_TRUE(queue.backlog.empty());
}

TEST(BacklogEnd, TheFirstAndOthersCanBeTaken) {
    Queue queue({.max_bytes = 10});
    for (const char* text : {"1", "22", "333"}) EXPECT_FALSE(queue.add(text));
    EXPECT_EQ(queue.backlog.take(*queue.backlog.waiting()).payload, "1");
    EXPECT_EQ(queue.backlog.waiting_bytes(), 5u);
    EXPECT_EQ(queue.waiting(), (Lines{"22", "333"}));
}

}  // namespace
}  // namespace tern::core
