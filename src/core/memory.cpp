#include "memory.hpp"

#include <cstdlib>

namespace tern::core {

Block Block::allocate(std::size_t size, MemoryBudget* budget) noexcept {
    Block block(budget);
    static_cast<void>(block.grow(size));
    return block;
}

bool Block::grow(std::size_t size) noexcept {
    if (size <= size_) return true;
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
    std::free(data_);
    if (budget_ != nullptr) budget_->give(size_);
    data_ = nullptr;
    size_ = 0;
}

}  // namespace tern::core
