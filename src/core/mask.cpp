#include "mask.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tern::core::mask_detail {
namespace {

/// Where the first aligned piece of `width` bytes begins, 1 to `width`.
std::size_t first_aligned(const std::byte* dst, std::size_t width) noexcept {
    return width - reinterpret_cast<std::uintptr_t>(dst) % width;
}

// All variants work alike. The middle is stored to aligned addresses, since a store across two cache lines costs two; the
// first and the last piece may overlap it. Those are loaded before and stored after everything else: in place, nothing
// that was masked is loaded again.

void mask_baseline(std::byte* dst, const std::byte* src, std::size_t size, std::uint32_t key) noexcept {
    constexpr std::size_t width = sizeof(Block);
    const std::size_t tail = size - width;
    const Block first = load<Block>(src) ^ four_times(key);
    const Block last = load<Block>(src + tail) ^ four_times(turned(key, tail));
    std::size_t at = first_aligned(dst, width);
    const Block middle = four_times(turned(key, at));
    for (; at + 4 * width <= size; at += 4 * width) {
        const Block a = load<Block>(src + at) ^ middle;
        const Block b = load<Block>(src + at + width) ^ middle;
        const Block c = load<Block>(src + at + 2 * width) ^ middle;
        const Block d = load<Block>(src + at + 3 * width) ^ middle;
        store(dst + at, a);
        store(dst + at + width, b);
        store(dst + at + 2 * width, c);
        store(dst + at + 3 * width, d);
    }
    for (; at + width <= size; at += width) store(dst + at, load<Block>(src + at) ^ middle);
    store(dst, first);
    store(dst + tail, last);
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) void mask_avx2(std::byte* dst, const std::byte* src, std::size_t size,
                                               std::uint32_t key) noexcept {
    using Wide = __m256i;
    constexpr std::size_t width = sizeof(Wide);
    const std::size_t tail = size - width;
    const Wide first = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const Wide*>(src)), _mm256_set1_epi32(static_cast<int>(key)));
    const Wide last = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const Wide*>(src + tail)), _mm256_set1_epi32(static_cast<int>(turned(key, tail))));
    std::size_t at = first_aligned(dst, width);
    const Wide middle = _mm256_set1_epi32(static_cast<int>(turned(key, at)));
    for (; at + 4 * width <= size; at += 4 * width) {
        const auto* from = reinterpret_cast<const Wide*>(src + at);
        auto* to = reinterpret_cast<Wide*>(dst + at);
        const Wide a = _mm256_xor_si256(_mm256_loadu_si256(from), middle);
        const Wide b = _mm256_xor_si256(_mm256_loadu_si256(from + 1), middle);
        const Wide c = _mm256_xor_si256(_mm256_loadu_si256(from + 2), middle);
        const Wide d = _mm256_xor_si256(_mm256_loadu_si256(from + 3), middle);
        _mm256_store_si256(to, a);
        _mm256_store_si256(to + 1, b);
        _mm256_store_si256(to + 2, c);
        _mm256_store_si256(to + 3, d);
    }
    for (; at + width <= size; at += width) {
        _mm256_store_si256(reinterpret_cast<Wide*>(dst + at),
                           _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const Wide*>(src + at)), middle));
    }
    _mm256_storeu_si256(reinterpret_cast<Wide*>(dst), first);
    _mm256_storeu_si256(reinterpret_cast<Wide*>(dst + tail), last);
}

__attribute__((target("avx512f"))) void mask_avx512(std::byte* dst, const std::byte* src, std::size_t size,
                                               std::uint32_t key) noexcept {
    constexpr std::size_t width = 64;
    const std::size_t tail = size - width;
    const __m512i first = _mm512_xor_si512(_mm512_loadu_si512(src), _mm512_set1_epi32(static_cast<int>(key)));
    const __m512i last = _mm512_xor_si512(_mm512_loadu_si512(src + tail), _mm512_set1_epi32(static_cast<int>(turned(key, tail))));
    std::size_t at = first_aligned(dst, width);
    const __m512i middle = _mm512_set1_epi32(static_cast<int>(turned(key, at)));
    for (; at + 4 * width <= size; at += 4 * width) {
        const __m512i a = _mm512_xor_si512(_mm512_loadu_si512(src + at), middle);
        const __m512i b = _mm512_xor_si512(_mm512_loadu_si512(src + at + width), middle);
        const __m512i c = _mm512_xor_si512(_mm512_loadu_si512(src + at + 2 * width), middle);
        const __m512i d = _mm512_xor_si512(_mm512_loadu_si512(src + at + 3 * width), middle);
        _mm512_store_si512(dst + at, a);
        _mm512_store_si512(dst + at + width, b);
        _mm512_store_si512(dst + at + 2 * width, c);
        _mm512_store_si512(dst + at + 3 * width, d);
    }
    for (; at + width <= size; at += width) {
        _mm512_store_si512(dst + at, _mm512_xor_si512(_mm512_loadu_si512(src + at), middle));
    }
    _mm512_storeu_si512(dst, first);
    _mm512_storeu_si512(dst + tail, last);
}

#endif

void choose_and_mask(std::byte* dst, const std::byte* src, std::size_t size, std::uint32_t key) noexcept {
    MaskFunction* const best = mask_variants().back().mask;
    mask_wide.store(best, std::memory_order_relaxed);
    best(dst, src, size, key);
}

#if defined(__x86_64__)
constexpr std::array variants{MaskVariant{"sse2", mask_baseline}, MaskVariant{"avx2", mask_avx2}, MaskVariant{"avx512", mask_avx512}};
#else
constexpr std::array variants{MaskVariant{"baseline", mask_baseline}};
#endif

}  // namespace

constinit std::atomic<MaskFunction*> mask_wide{choose_and_mask};

std::span<const MaskVariant> mask_variants() noexcept {
    std::size_t runnable = 1;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) ++runnable;
    if (__builtin_cpu_supports("avx512f")) ++runnable;
#endif
    return std::span(variants).first(runnable);
}

}  // namespace tern::core::mask_detail
