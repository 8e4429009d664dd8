#include "mask.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tern::core::mask_detail {
namespace {

// All variants work alike. The middle is stored to aligned addresses, because a store across two cache lines costs two;
// the first and the last piece may overlap it. These are loaded before and stored after everything else: in place,
// nothing that is masked is loaded again.

/// Where the first aligned piece of `width` bytes begins behind the first byte: 1 to `width`.
std::size_t first_aligned(const std::byte* dst, std::size_t width) noexcept {
    return width - reinterpret_cast<std::uintptr_t>(dst) % width;
}

Block masked(const std::byte* from, Block key) noexcept { return load<Block>(from) ^ key; }

void mask_baseline(std::byte* dst, const std::byte* src, std::size_t size, std::uint32_t key) noexcept {
    constexpr std::size_t width = sizeof(Block);
    const std::size_t tail = size - width;
    const Block first = masked(src, spread(key));
    const Block last = masked(src + tail, spread(turned(key, tail)));
    std::size_t at = first_aligned(dst, width);
    const Block middle = spread(turned(key, at));
    for (; at + 4 * width <= size; at += 4 * width) {
        const Block a = masked(src + at, middle);
        const Block b = masked(src + at + width, middle);
        const Block c = masked(src + at + 2 * width, middle);
        const Block d = masked(src + at + 3 * width, middle);
        store(dst + at, a);
        store(dst + at + width, b);
        store(dst + at + 2 * width, c);
        store(dst + at + 3 * width, d);
    }
    for (; at + width <= size; at += width) store(dst + at, masked(src + at, middle));
    store(dst, first);
    store(dst + tail, last);
}

#if defined(__x86_64__)

// Templates cannot serve several instruction sets (GCC lowers their vectors before it inlines them), so the same is
// written down for each.

__attribute__((target("avx2"))) inline __m256i spread_256(std::uint32_t key) noexcept {
    return _mm256_set1_epi32(static_cast<int>(key));
}

__attribute__((target("avx2"))) inline __m256i masked_256(const std::byte* from, __m256i key) noexcept {
    return _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i_u*>(from)), key);
}

__attribute__((target("avx2"))) inline void store_256(std::byte* to, __m256i block) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i_u*>(to), block);
}

__attribute__((target("avx2"))) void mask_avx2(std::byte* dst, const std::byte* src, std::size_t size,
                                               std::uint32_t key) noexcept {
    constexpr std::size_t width = sizeof(__m256i);
    const std::size_t tail = size - width;
    const __m256i first = masked_256(src, spread_256(key));
    const __m256i last = masked_256(src + tail, spread_256(turned(key, tail)));
    std::size_t at = first_aligned(dst, width);
    const __m256i middle = spread_256(turned(key, at));
    for (; at + 4 * width <= size; at += 4 * width) {
        const __m256i a = masked_256(src + at, middle);
        const __m256i b = masked_256(src + at + width, middle);
        const __m256i c = masked_256(src + at + 2 * width, middle);
        const __m256i d = masked_256(src + at + 3 * width, middle);
        store_256(dst + at, a);
        store_256(dst + at + width, b);
        store_256(dst + at + 2 * width, c);
        store_256(dst + at + 3 * width, d);
    }
    for (; at + width <= size; at += width) store_256(dst + at, masked_256(src + at, middle));
    store_256(dst, first);
    store_256(dst + tail, last);
}

__attribute__((target("avx512f"))) inline __m512i spread_512(std::uint32_t key) noexcept {
    return _mm512_set1_epi32(static_cast<int>(key));
}

__attribute__((target("avx512f"))) inline __m512i masked_512(const std::byte* from, __m512i key) noexcept {
    return _mm512_xor_si512(_mm512_loadu_si512(from), key);
}

__attribute__((target("avx512f"))) void mask_avx512(std::byte* dst, const std::byte* src, std::size_t size,
                                                    std::uint32_t key) noexcept {
    constexpr std::size_t width = sizeof(__m512i);
    const std::size_t tail = size - width;
    const __m512i first = masked_512(src, spread_512(key));
    const __m512i last = masked_512(src + tail, spread_512(turned(key, tail)));
    std::size_t at = first_aligned(dst, width);
    const __m512i middle = spread_512(turned(key, at));
    for (; at + 4 * width <= size; at += 4 * width) {
        const __m512i a = masked_512(src + at, middle);
        const __m512i b = masked_512(src + at + width, middle);
        const __m512i c = masked_512(src + at + 2 * width, middle);
        const __m512i d = masked_512(src + at + 3 * width, middle);
        _mm512_storeu_si512(dst + at, a);
        _mm512_storeu_si512(dst + at + width, b);
        _mm512_storeu_si512(dst + at + 2 * width, c);
        _mm512_storeu_si512(dst + at + 3 * width, d);
    }
    for (; at + width <= size; at += width) _mm512_storeu_si512(dst + at, masked_512(src + at, middle));
    _mm512_storeu_si512(dst, first);
    _mm512_storeu_si512(dst + tail, last);
}

constexpr std::array variants{MaskVariant{"sse2", mask_baseline}, MaskVariant{"avx2", mask_avx2},
                              MaskVariant{"avx512", mask_avx512}};

std::size_t count_runnable() noexcept {
    __builtin_cpu_init();  // Needed before the constructors of libgcc have run.
    if (!__builtin_cpu_supports("avx2")) return 1;
    // CPUs with AVX-512 but without this part of it (before Ice Lake) lower their clock when they use 512 bits.
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vbmi2") ? 3 : 2;
}

#else

constexpr std::array variants{MaskVariant{"baseline", mask_baseline}};

std::size_t count_runnable() noexcept { return 1; }

#endif

/// All threads that come here at the beginning choose the same.
void choose_and_mask(std::byte* dst, const std::byte* src, std::size_t size, std::uint32_t key) noexcept {
    MaskFunction* const best = mask_variants().back().mask;
    mask_wide.store(best, std::memory_order_relaxed);
    best(dst, src, size, key);
}

}  // namespace

constinit std::atomic<MaskFunction*> mask_wide{choose_and_mask};

std::span<const MaskVariant> mask_variants() noexcept { return std::span(variants).first(count_runnable()); }

}  // namespace tern::core::mask_detail
