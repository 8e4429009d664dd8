// Memory whose allocation can fail without an exception: the core must survive that on a small device and under test.
#pragma once

#include <atomic>
#include <cstddef>
#include <span>
#include <utility>

#include <tern/core.hpp>

namespace tern::core {

/// What one client may use (`limits.max_memory`), and uses. Both halves of a connection take from it, so it counts
/// atomically; it is asked for blocks, never for messages.
class MemoryBudget {
public:
    /// 0: no limit. `pool`: lends receive buffers, and outlives the budget; null: they are the client's own.
    explicit MemoryBudget(std::size_t limit = 0, BufferPool* pool = nullptr) noexcept : limit_(limit), pool_(pool) {}
    MemoryBudget(const MemoryBudget&) = delete;
    MemoryBudget& operator=(const MemoryBudget&) = delete;

    /// False, with nothing taken, if it would exceed the limit.
    [[nodiscard]] bool take(std::size_t n) noexcept {
        const std::size_t before = used_.fetch_add(n, std::memory_order_relaxed);
        if (limit_ == 0 || (before <= limit_ && n <= limit_ - before)) return true;
        give(n);
        return false;
    }
    void give(std::size_t n) noexcept { used_.fetch_sub(n, std::memory_order_relaxed); }
    [[nodiscard]] std::size_t used() const noexcept { return used_.load(std::memory_order_relaxed); }
    [[nodiscard]] bool limited() const noexcept { return limit_ != 0; }
    [[nodiscard]] BufferPool* pool() const noexcept { return pool_; }

private:
    const std::size_t limit_;
    BufferPool* const pool_;
    std::atomic<std::size_t> used_ = 0;
};

/// A part of the budget for memory that is not a `Block`.
class MemoryCharge {
public:
    MemoryCharge() = default;
    MemoryCharge(const MemoryCharge&) = delete;
    MemoryCharge& operator=(const MemoryCharge&) = delete;
    ~MemoryCharge() { release(); }

    /// Adds to it. False, with nothing changed, if there is no more.
    [[nodiscard]] bool add(MemoryBudget* budget, std::size_t n) noexcept {
        if (budget == nullptr) return true;
        if (!budget->take(n)) return false;
        budget_ = budget;
        size_ += n;
        return true;
    }
    void release() noexcept {
        if (budget_ != nullptr) budget_->give(std::exchange(size_, 0));
    }

private:
    MemoryBudget* budget_ = nullptr;
    std::size_t size_ = 0;
};

/// A piece of raw memory. Move-only; empty when the allocation failed.
class Block {
public:
    Block() = default;
    /// Its memory, once it grows, comes out of the budget, which outlives it.
    explicit Block(MemoryBudget* budget) noexcept : budget_(budget) {}
    Block(Block&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)),
          size_(std::exchange(other.size_, 0)),
          budget_(other.budget_),
          pooled_(std::exchange(other.pooled_, false)) {}
    Block& operator=(Block&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(budget_, other.budget_);
        std::swap(pooled_, other.pooled_);
        return *this;
    }
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;
    ~Block() { release(); }

    /// Uninitialised memory; empty if there is none.
    [[nodiscard]] static Block allocate(std::size_t size, MemoryBudget* budget = nullptr) noexcept;
    /// The same from the budget's pool, if it has one.
    [[nodiscard]] static Block borrow(std::size_t size, MemoryBudget* budget) noexcept;
    /// Not for memory of a pool. Grows to `size`, keeping the contents. False, with nothing changed, if there is no
    /// memory.
    [[nodiscard]] bool grow(std::size_t size) noexcept;
    void release() noexcept;

    [[nodiscard]] std::byte* data() noexcept { return data_; }
    [[nodiscard]] const std::byte* data() const noexcept { return data_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] std::span<std::byte> span() noexcept { return {data_, size_}; }

private:
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    MemoryBudget* budget_ = nullptr;
    bool pooled_ = false;  ///< The memory belongs to the budget's pool.
};

}  // namespace tern::core
