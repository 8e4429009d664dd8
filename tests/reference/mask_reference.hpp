// Masking as RFC 6455 section 5.3 writes it down, byte by byte. Slow on purpose: the fast one is compared with it.
#pragma once

#include <array>
#include <cstddef>

namespace tern::reference {

/// `dst` may be `src`.
inline void mask(std::byte* dst, const std::byte* src, std::size_t size, const std::array<std::byte, 4>& key,
                 std::size_t offset) noexcept {
    for (std::size_t i = 0; i < size; ++i) dst[i] = src[i] ^ key[(offset + i) % 4];
}

}  // namespace tern::reference
