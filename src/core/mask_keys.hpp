// Masking keys "derived from a strong source of entropy" (RFC 6455 section 5.3), drawn many at a time because asking
// the generator for each frame costs more than sending one.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>

#include <tern/core.hpp>

#include "mask.hpp"

namespace tern::core {

class MaskKeys {
public:
    explicit MaskKeys(Crypto& crypto) noexcept : crypto_(crypto) {}

    /// An unpredictable key, never used before. False if the generator fails.
    [[nodiscard]] bool next(MaskKey& key) {
        if (used_ == bytes_.size()) {
            if (!crypto_.random_bytes(bytes_)) return false;
            used_ = 0;
        }
        std::memcpy(key.data(), bytes_.data() + used_, key.size());
        used_ += key.size();
        return true;
    }

private:
    Crypto& crypto_;
    std::array<std::byte, 512> bytes_;
    std::size_t used_ = bytes_.size();
};

}  // namespace tern::core
