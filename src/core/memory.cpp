#include "memory.hpp"

#include <cstdlib>

namespace tern::core {

Block Block::allocate(std::size_t size) noexcept {
    Block block;
    if (size != 0) {
        block.data_ = static_cast<std::byte*>(std::malloc(size));
        block.size_ = block.data_ == nullptr ? 0 : size;
    }
    return block;
}

bool Block::grow(std::size_t size) noexcept {
    if (size <= size_) return true;
    void* grown = std::realloc(data_, size);
    if (grown == nullptr) return false;
    data_ = static_cast<std::byte*>(grown);
    size_ = size;
    return true;
}

void Block::release() noexcept {
    std::free(data_);
    data_ = nullptr;
    size_ = 0;
}

}  // namespace tern::core
