#include "backlog.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tern::core {
namespace {

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

}  // namespace
}  // namespace tern::core
