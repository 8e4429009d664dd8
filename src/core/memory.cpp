#include "memory.hpp"

#include <cassert>
#include <cstdlib>

namespace tern::core {

Block Block::allocate(std::size_t size, MemoryBudget* budget) noexcept {
    Block block(budget);
    static_cast<void>(block.grow(size));
    return block;
}

Block Block::borrow(std::size_t size, MemoryBudget* budget) noexcept {
    BufferPool* pool = budget != nullptr ? budget->pool() : nullptr;
    if (pool == nullptr) return allocate(size, budget);
    Block block(budget);
    if (!budget->take(size)) return block;
    block.data_ = pool->take(size);
    block.pooled_ = block.data_ != nullptr;
    block.size_ = block.pooled_ ? size : 0;
    if (!block.pooled_) budget->give(size);
    return block;
}

bool Block::grow(std::size_t size) noexcept {
    if (size <= size_) return true;
    assert(!pooled_);
    // While the contents move there may be two copies, for as long as the allocator takes.
    if (budget_ != nullptr && !budget_->take(size - size_)) return false;
    void* grown = std::realloc(data_, size);
    if (grown == nullptr) {
        if (budget_ != nullptr) budget_->give(size - size_);
        return false;
    }
    data_ = static_cast<std::byte*>(grown);
    size_ = size;
    return true;
}

void Block::release() noexcept {
    if (pooled_) {
        budget_->pool()->give(data_, size_);
    } else {
        std::free(data_);
    }
    pooled_ = false;
    if (budget_ != nullptr) budget_->give(size_);
    data_ = nullptr;
    size_ = 0;
}

}  // namespace tern::core
