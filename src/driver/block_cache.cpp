#include "block_cache.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace tern::driver {

BlockCache::~BlockCache() {
    for (std::size_t i = 0; i < count_; ++i) std::free(kept_[i].memory);
}

std::byte* BlockCache::take(std::size_t size) noexcept {
    {
        const std::lock_guard lock(mutex_);
        const auto end = kept_.begin() + static_cast<std::ptrdiff_t>(count_);
        const auto found = std::find_if(kept_.begin(), end, [size](const Entry& each) { return each.size == size; });
        if (found != end) {
            std::byte* memory = found->memory;
            std::move(found + 1, end, found);
            --count_;
            return memory;
        }
    }
    return static_cast<std::byte*>(std::malloc(size));
}

void BlockCache::give(std::byte* memory, std::size_t size) noexcept {
    Entry dropped;
    {
        const std::lock_guard lock(mutex_);
        if (count_ == kept_.size()) dropped = kept_[--count_];
        const auto end = kept_.begin() + static_cast<std::ptrdiff_t>(count_);
        std::move_backward(kept_.begin(), end, end + 1);
        kept_[0] = {memory, size};
        ++count_;
    }
    std::free(dropped.memory);
}

}  // namespace tern::driver
