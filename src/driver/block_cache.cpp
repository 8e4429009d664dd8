#include "block_cache.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace tern::driver {
namespace {

/// A little more than a mebibyte, so that messages of that size do not get fresh memory from the system each time.
constexpr std::size_t most_bytes = std::size_t{20} << 16u;

}  // namespace

BlockCache::~BlockCache() {
    while (count_ > 0) drop_last();
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
            bytes_ -= size;
            return memory;
        }
    }
    return static_cast<std::byte*>(std::malloc(size));
}

void BlockCache::give(std::byte* memory, std::size_t size) noexcept {
    const std::lock_guard lock(mutex_);
    while (count_ == kept_.size() || (count_ > 0 && bytes_ + size > most_bytes)) drop_last();
    const auto end = kept_.begin() + static_cast<std::ptrdiff_t>(count_);
    std::move_backward(kept_.begin(), end, end + 1);
    kept_[0] = {memory, size};
    ++count_;
    bytes_ += size;
}

/// Under the lock, if anybody else knows of the object.
void BlockCache::drop_last() noexcept {
    --count_;
    bytes_ -= kept_[count_].size;
    std::free(kept_[count_].memory);
}

}  // namespace tern::driver
