#include "memory.hpp"

#include <cstring>
#include <limits>
#include <utility>

#include <gtest/gtest.h>

#include "counting_pool.hpp"

namespace tern::core {
namespace {

constexpr std::size_t more_than_there_is = std::numeric_limits<std::size_t>::max() / 2;

TEST(MemoryBudgetTest, TheLimitIsExact) {
    MemoryBudget budget(100);
    EXPECT_TRUE(budget.take(60));
    EXPECT_FALSE(budget.take(41));
    EXPECT_FALSE(budget.take(std::numeric_limits<std::size_t>::max())) << "no overflow";
    EXPECT_EQ(budget.used(), 60u);
    EXPECT_TRUE(budget.take(40));
    budget.give(100);
    EXPECT_EQ(budget.used(), 0u);
}

TEST(MemoryChargeTest, GivesBackWhatItTook) {
    MemoryBudget budget(100);
    {
        MemoryCharge charge;
        EXPECT_TRUE(charge.add(nullptr, 1000)) << "no budget, no limit";
        EXPECT_TRUE(charge.add(&budget, 30));
        EXPECT_TRUE(charge.add(&budget, 30));
        EXPECT_FALSE(charge.add(&budget, 41));
        EXPECT_EQ(budget.used(), 60u);
        charge.release();
        charge.release();
        EXPECT_EQ(budget.used(), 0u);
        EXPECT_TRUE(charge.add(&budget, 100));
    }
    EXPECT_EQ(budget.used(), 0u);
}

TEST(BlockTest, GrowsWithItsContents) {
    MemoryBudget budget(1000);
    Block block = Block::allocate(10, &budget);
    ASSERT_EQ(block.size(), 10u);
    std::memcpy(block.data(), "0123456789", 10);
    EXPECT_TRUE(block.grow(5)) << "it is large enough";
    EXPECT_EQ(block.size(), 10u);
    ASSERT_TRUE(block.grow(1000));
    EXPECT_EQ(std::memcmp(block.data(), "0123456789", 10), 0);
    EXPECT_FALSE(block.grow(1001)) << "the budget";
    EXPECT_EQ(block.size(), 1000u);
    EXPECT_EQ(budget.used(), 1000u);
    block.release();
    EXPECT_TRUE(block.empty());
    EXPECT_EQ(budget.used(), 0u);
}

TEST(BlockTest, WithoutMemoryItStaysAsItIs) {
    MemoryBudget budget;
    EXPECT_TRUE(Block::allocate(more_than_there_is, &budget).empty());
    EXPECT_TRUE(Block::allocate(more_than_there_is).empty());
    EXPECT_EQ(budget.used(), 0u);
}

TEST(BlockTest, MovesWithWhereItsMemoryGoes) {
    CountingPool pool;
    MemoryBudget budget(0, &pool);
    MemoryBudget other;
    {
        Block lent = Block::borrow(100, &budget);
        Block own = Block::allocate(10, &other);
        Block moved(std::move(lent));
        EXPECT_TRUE(lent.empty());  // NOLINT(bugprone-use-after-move): it is promised
        own = std::move(moved);
        EXPECT_EQ(own.size(), 100u);
        EXPECT_EQ(pool.lent, 100u);
        EXPECT_EQ(pool.given, 0u) << "an empty block has nothing of the pool's";
    }
    EXPECT_EQ(pool.given, 1u);
    EXPECT_EQ(pool.lent, 0u);
    EXPECT_EQ(budget.used(), 0u);
    EXPECT_EQ(other.used(), 0u);
}

TEST(BlockTest, BorrowsFromThePoolIfThereIsOne) {
    CountingPool pool;
    MemoryBudget budget(150, &pool);
    {
        Block block = Block::borrow(100, &budget);
        ASSERT_EQ(block.size(), 100u);
        EXPECT_EQ(block.span().data(), block.data());
        EXPECT_EQ(pool.lent, 100u);
        EXPECT_EQ(budget.used(), 100u);
        EXPECT_TRUE(Block::borrow(51, &budget).empty()) << "the budget";
        EXPECT_EQ(pool.lent, 100u);
        EXPECT_EQ(budget.used(), 100u);
        pool.blocks_left = 0;
        EXPECT_TRUE(Block::borrow(50, &budget).empty()) << "the pool";
        EXPECT_EQ(budget.used(), 100u);
        EXPECT_EQ(Block::allocate(50, &budget).size(), 50u) << "that one asks no pool";
    }
    EXPECT_EQ(pool.lent, 0u);
    EXPECT_EQ(budget.used(), 0u);

    MemoryBudget alone;
    EXPECT_EQ(Block::borrow(100, &alone).size(), 100u);
    EXPECT_EQ(Block::borrow(100, nullptr).size(), 100u);
    EXPECT_EQ(alone.used(), 0u);
}

}  // namespace
}  // namespace tern::core
