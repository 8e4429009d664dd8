// The masking of RFC 6455 section 5.3: every byte that a client sends is combined with a byte of the frame's key. Short
// payloads are masked inline, because the call would cost more than the work; long ones by the widest registers that
// the CPU has.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace tern::core {

using MaskKey = std::array<std::byte, 4>;  ///< In wire order.

/// Copies and masks in one pass: dst[i] = src[i] ^ key[(offset + i) % 4]. No overlap.
inline void mask_copy(std::byte* dst, const std::byte* src, std::size_t size, MaskKey key, std::size_t offset) noexcept;

/// The same in place.
inline void mask_in_place(std::byte* data, std::size_t size, MaskKey key, std::size_t offset) noexcept;

// --- below: how it is done, visible for inlining, tests and benchmarks ---------------------------------------------

namespace mask_detail {

/// Masks at least `wide_from` bytes by a key that is `turned` to the first of them. `dst` and `src` are disjoint or the
/// same.
using MaskFunction = void(std::byte* dst, const std::byte* src, std::size_t size, std::uint32_t key) noexcept;

inline constexpr std::size_t wide_from = 65;

/// The best of `mask_variants`. Found out by the first call, which may be before `main` and in several threads at once.
extern constinit std::atomic<MaskFunction*> mask_wide;

struct MaskVariant {
    const char* name;
    MaskFunction* mask;
};
/// The variants that this CPU can run, the best one last.
std::span<const MaskVariant> mask_variants() noexcept;

/// The key as it lies in memory, turned so that it begins with key[offset % 4].
inline std::uint32_t turned(std::uint32_t key, std::size_t offset) noexcept {
    const int bits = static_cast<int>(offset % 4) * 8;
    return std::endian::native == std::endian::little ? std::rotr(key, bits) : std::rotl(key, bits);
}

template <class Word>
Word load(const std::byte* from) noexcept {
    Word word;
    std::memcpy(&word, from, sizeof word);
    return word;
}

template <class Word>
void store(std::byte* to, Word word) noexcept {
    std::memcpy(to, &word, sizeof word);
}

inline std::uint32_t turned(MaskKey key, std::size_t offset) noexcept {
    return turned(load<std::uint32_t>(key.data()), offset);
}

/// 16 bytes: a register of SSE2 or NEON, which every x86-64 and AArch64 has. Elsewhere the compiler uses what there is.
using Block = std::uint32_t __attribute__((vector_size(16)));

/// Masks `size` bytes, sizeof(Word) <= size <= 2 * sizeof(Word), by two words that may overlap. Both are loaded before
/// one is stored, so that nothing is masked twice in place.
template <class Word>
void mask_pair(std::byte* dst, const std::byte* src, std::size_t size, Word key, Word tail_key) noexcept {
    const std::size_t tail = size - sizeof(Word);
    const Word first = load<Word>(src) ^ key;
    const Word last = load<Word>(src + tail) ^ tail_key;
    store(dst, first);
    store(dst + tail, last);
}

inline std::uint64_t twice(std::uint32_t key) noexcept { return std::uint64_t{key} << 32u | key; }
inline Block spread(std::uint32_t key) noexcept { return Block{key, key, key, key}; }

/// 0 to 3 bytes.
inline void mask_bytes(std::byte* dst, const std::byte* src, std::size_t size, std::uint32_t key) noexcept {
    MaskKey bytes;
    std::memcpy(bytes.data(), &key, bytes.size());
    for (std::size_t i = 0; i < size; ++i) dst[i] = src[i] ^ bytes[i];
}

/// 33 to 64 bytes.
inline void mask_blocks(std::byte* dst, const std::byte* src, std::size_t size, std::uint32_t key) noexcept {
    constexpr std::size_t width = sizeof(Block);
    const std::size_t tail = size - 2 * width;
    const Block front = spread(key);
    const Block back = spread(turned(key, size));
    const Block a = load<Block>(src) ^ front;
    const Block b = load<Block>(src + width) ^ front;
    const Block c = load<Block>(src + tail) ^ back;
    const Block d = load<Block>(src + tail + width) ^ back;
    store(dst, a);
    store(dst + width, b);
    store(dst + tail, c);
    store(dst + tail + width, d);
}

/// `dst` and `src` are disjoint or the same. The compiler finds it too long to be inline.
[[gnu::always_inline]] inline void mask(std::byte* dst, const std::byte* src, std::size_t size,
                                        std::uint32_t key) noexcept {
    if (size >= wide_from) return mask_wide.load(std::memory_order_relaxed)(dst, src, size, key);
    if (size > 32) return mask_blocks(dst, src, size, key);
    if (size >= 16) return mask_pair(dst, src, size, spread(key), spread(turned(key, size)));
    if (size >= 8) return mask_pair(dst, src, size, twice(key), twice(turned(key, size)));
    if (size >= 4) return mask_pair(dst, src, size, key, turned(key, size));
    mask_bytes(dst, src, size, key);
}

}  // namespace mask_detail

inline void mask_copy(std::byte* dst, const std::byte* src, std::size_t size, MaskKey key,
                      std::size_t offset) noexcept {
    mask_detail::mask(dst, src, size, mask_detail::turned(key, offset));
}

inline void mask_in_place(std::byte* data, std::size_t size, MaskKey key, std::size_t offset) noexcept {
    mask_detail::mask(data, data, size, mask_detail::turned(key, offset));
}

}  // namespace tern::core
