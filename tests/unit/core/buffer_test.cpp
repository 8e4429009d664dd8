#include "buffer.hpp"

#include <cstring>

#include <gtest/gtest.h>

#include "memory.hpp"

namespace tern::core {
namespace {

void fill(Buffer& buffer, std::string_view text) {
    ASSERT_LE(text.size(), buffer.writable().size());
    std::memcpy(buffer.writable().data(), text.data(), text.size());
    buffer.commit(text.size());
}

TEST(BufferTest, IsAWindowThatMovesOnlyWhenAsked) {
    Block memory = Block::allocate(8);
    Buffer buffer(memory.span());
    EXPECT_TRUE(buffer.empty());
    EXPECT_EQ(buffer.capacity(), 8u);
    fill(buffer, "abcdef");
    buffer.consume(4);
    EXPECT_EQ(as_text(buffer.readable()), "ef");
    EXPECT_EQ(buffer.writable().size(), 2u);
    EXPECT_EQ(buffer.readable().data(), memory.data() + 4);
    buffer.compact();
    EXPECT_EQ(as_text(buffer.readable()), "ef");
    EXPECT_EQ(buffer.readable().data(), memory.data());
    fill(buffer, "ghijkl");
    EXPECT_EQ(as_text(buffer.readable()), "efghijkl");
    EXPECT_TRUE(buffer.writable().empty());
}

TEST(BufferTest, StartsAnewWhenItIsEmpty) {
    Block memory = Block::allocate(8);
    Buffer buffer(memory.span());
    fill(buffer, "abcdef");
    buffer.consume(6);
    EXPECT_TRUE(buffer.empty());
    EXPECT_EQ(buffer.writable().size(), 8u);
    buffer.consume(0);
    buffer.compact();
    EXPECT_EQ(buffer.size(), 0u);
}

TEST(BlockTest, GrowsAndKeepsItsContents) {
    Block block = Block::allocate(4);
    std::memcpy(block.data(), "abcd", 4);
    ASSERT_TRUE(block.grow(1u << 20u));
    EXPECT_EQ(block.size(), 1u << 20u);
    EXPECT_EQ(std::memcmp(block.data(), "abcd", 4), 0);
}

TEST(BlockTest, WithoutMemoryItStaysAsItIs) {
    constexpr std::size_t too_much = static_cast<std::size_t>(-1) / 4;
    EXPECT_TRUE(Block::allocate(too_much).empty());
    Block block = Block::allocate(4);
    const std::byte* data = block.data();
    EXPECT_FALSE(block.grow(too_much));
    EXPECT_EQ(block.data(), data);
    EXPECT_EQ(block.size(), 4u);
}

TEST(BlockTest, IsMoved) {
    Block block = Block::allocate(4);
    const std::byte* data = block.data();
    Block other = std::move(block);
    EXPECT_EQ(other.data(), data);
    Block third;
    third = std::move(other);
    EXPECT_EQ(third.data(), data);
    third.release();
    EXPECT_TRUE(third.empty());
}

}  // namespace
}  // namespace tern::core
