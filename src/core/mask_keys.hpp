// Masking keys "derived from a strong source of entropy" (RFC 6455 section 5.3), drawn many at a time because asking
// the generator for each frame costs more than sending one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include <tern/core.hpp>

#include "mask.hpp"
#include "memory.hpp"

namespace tern::core {

class MaskKeys {
public:
    explicit MaskKeys(Crypto& crypto) noexcept : crypto_(crypto) {}

    /// An unpredictable key, never used before. False if the generator fails.
    [[nodiscard]] bool next(MaskKey& key) {
        if (used_ == bytes_.size()) [[unlikely]]
            return refill(key);
        std::memcpy(key.data(), bytes_.data() + used_, key.size());
        used_ += static_cast<std::uint32_t>(key.size());
        return true;
    }
    /// Gives the memory back. The keys in it will never be used.
    void trim() noexcept {
        bytes_.release();
        used_ = 0;
    }

private:
    static constexpr std::size_t first_at_once = 32;
    static constexpr std::size_t most_at_once = 4u << 10u;

    /// Not inline, because it is rare and `next` is not.
    [[nodiscard, gnu::noinline]] bool refill(MaskKey& key) {
        // Few for those who send little, many for those who send much, because a request costs the generator of OpenSSL
        // as much as 4 KiB do. The first frame may be the only one.
        if (std::exchange(began_, true) && bytes_.size() < most_at_once)
            bytes_ = Block::allocate(std::max(2 * bytes_.size(), first_at_once));
        used_ = static_cast<std::uint32_t>(bytes_.size());
        if (bytes_.empty()) return crypto_.random_bytes(key);  // without memory one by one, too
        if (!crypto_.random_bytes(bytes_.span())) return false;
        used_ = 0;
        return next(key);
    }

    Crypto& crypto_;
    Block bytes_;
    std::uint32_t used_ = 0;
    bool began_ = false;
};

}  // namespace tern::core
