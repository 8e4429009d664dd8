#include "fifo.hpp"

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tern::core {
namespace {

TEST(FifoTest, KeepsTheOrderWhateverIsTakenInBetween) {
    // Batches of many sizes, of which most and not all is taken, so that the front moves and is moved back.
    for (const std::size_t batch : {1u, 2u, 31u, 32u, 33u, 64u, 200u}) {
        Fifo<std::string> fifo;
        std::deque<std::string> expected;
        int number = 0;
        for (int round = 0; round < 8; ++round) {
            for (std::size_t i = 0; i < batch; ++i) {
                expected.push_back(std::to_string(number++));
                EXPECT_EQ(fifo.push(expected.back()), expected.back());
            }
            while (expected.size() > batch / 3) {
                ASSERT_EQ(fifo.size(), expected.size());
                ASSERT_EQ(fifo.front(), expected.front());
                ASSERT_EQ(fifo.back(), expected.back());
                ASSERT_EQ(fifo.pop(), expected.front());
                expected.pop_front();
            }
            EXPECT_EQ(fifo.empty(), expected.empty());
            EXPECT_EQ(std::deque<std::string>(fifo.begin(), fifo.end()), expected);
        }
    }
}

/// Of many that wait only those are kept that were not taken.
TEST(FifoTest, WhatWasTakenIsGone) {
    Fifo<std::shared_ptr<int>> fifo;
    std::vector<std::weak_ptr<int>> all;
    for (int i = 0; i < 100; ++i) {
        auto item = std::make_shared<int>(i);
        all.push_back(item);
        fifo.push(std::move(item));
    }
    for (int i = 0; i < 60; ++i) EXPECT_EQ(*fifo.pop(), i);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)].expired(), i < 60) << i;
    fifo.clear();
    EXPECT_TRUE(all.back().expired());
}

TEST(FifoTest, FromTheMiddle) {
    Fifo<int> fifo;
    for (int i = 0; i < 5; ++i) fifo.push(i);
    EXPECT_EQ(fifo.pop(), 0);
    const auto next = fifo.erase(fifo.begin() + 1);
    EXPECT_EQ(*next, 3);
    EXPECT_EQ(std::vector<int>(fifo.begin(), fifo.end()), (std::vector<int>{1, 3, 4}));
}

/// A vector without memory for a second item has to move the first one.
template <class T>
bool keeps_memory(Fifo<T>& fifo) {
    EXPECT_TRUE(fifo.empty());
    const T* const first = &fifo.push(T());
    fifo.push(T());
    const bool kept = &fifo.front() == first;
    while (!fifo.empty()) static_cast<void>(fifo.pop());
    return kept;
}

TEST(FifoTest, MemoryForAFewIsKeptUntilItIsTrimmed) {
    Fifo<int> fifo;
    EXPECT_FALSE(keeps_memory(fifo));
    EXPECT_TRUE(keeps_memory(fifo));
    fifo.trim();
    EXPECT_FALSE(keeps_memory(fifo));

    fifo.push(1);
    fifo.push(2);
    EXPECT_EQ(fifo.pop(), 1);
    fifo.trim();
    ASSERT_EQ(fifo.size(), 1u) << "it is not empty";
    EXPECT_EQ(fifo.pop(), 2);
}

TEST(FifoTest, MemoryForManyIsNotKept) {
    Fifo<int> fifo;
    for (int i = 0; i < 10'000; ++i) fifo.push(i);
    for (int i = 0; i < 10'000; ++i) ASSERT_EQ(fifo.pop(), i);
    EXPECT_FALSE(keeps_memory(fifo));
}

}  // namespace
}  // namespace tern::core
