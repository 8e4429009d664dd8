#include "mask.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <tern/message.hpp>

#include "reference/mask_reference.hpp"

namespace tern::core {
namespace {

constexpr MaskKey key{std::byte{0x37}, std::byte{0xfa}, std::byte{0x21}, std::byte{0x3d}};
constexpr std::byte untouched{0xee};

/// `size` bytes, `shift` behind a 64-byte boundary, that end where the allocation ends, so that AddressSanitizer sees
/// every access behind them. What is before them has to stay as it is.
class Placed {
public:
    Placed(std::size_t size, std::size_t shift)
        : size_(size), shift_(shift), memory_(new(std::align_val_t{64}) std::byte[shift + size]) {
        std::fill_n(memory_.get(), shift, untouched);
        for (std::size_t i = 0; i < size; ++i) data()[i] = static_cast<std::byte>(i * 7 + 1);
    }
    [[nodiscard]] std::byte* data() { return memory_.get() + shift_; }
    [[nodiscard]] bool front_untouched() const {
        return std::all_of(memory_.get(), memory_.get() + shift_, [](std::byte byte) { return byte == untouched; });
    }
    [[nodiscard]] std::vector<std::byte> bytes() { return {data(), data() + size_}; }

private:
    struct Free {
        void operator()(std::byte* memory) const { operator delete[](memory, std::align_val_t{64}); }
    };
    std::size_t size_;
    std::size_t shift_;
    std::unique_ptr<std::byte[], Free> memory_;
};

std::vector<std::byte> expected(std::vector<std::byte> bytes, std::size_t offset) {
    reference::mask(bytes.data(), bytes.data(), bytes.size(), key, offset);
    return bytes;
}

/// Is the copy right, and nothing else changed?
template <class Mask>
bool copies(std::size_t size, std::size_t to_shift, std::size_t from_shift, std::size_t offset, const Mask& mask) {
    Placed from(size, from_shift);
    Placed to(size, to_shift);
    const std::vector<std::byte> before = from.bytes();
    mask(to.data(), from.data());
    return to.bytes() == expected(before, offset) && to.front_untouched() && from.bytes() == before;
}

template <class Mask>
bool masks_in_place(std::size_t size, std::size_t shift, std::size_t offset, const Mask& mask) {
    Placed placed(size, shift);
    const std::vector<std::byte> before = placed.bytes();
    mask(placed.data());
    return placed.bytes() == expected(before, offset) && placed.front_untouched();
}

TEST(Mask, MatchesTheExampleOfRfc6455) {
    // Section 5.7: a masked "Hello".
    constexpr std::array masked{std::byte{0x7f}, std::byte{0x9f}, std::byte{0x4d}, std::byte{0x51}, std::byte{0x58}};
    std::array<std::byte, 5> out{};
    mask_copy(out.data(), as_bytes("Hello").data(), out.size(), key, 0);
    EXPECT_EQ(out, masked);
    mask_in_place(out.data(), out.size(), key, 0);
    EXPECT_EQ(as_text(out), "Hello");
}

TEST(Mask, CopiesEverySizeFromAndToEveryAlignment) {
    for (std::size_t size = 0; size <= 300; ++size) {
        for (std::size_t offset = 0; offset < 4; ++offset) {
            for (std::size_t shift = 0; shift < 16; ++shift) {
                const auto mask = [&](std::byte* to, const std::byte* from) { mask_copy(to, from, size, key, offset); };
                ASSERT_TRUE(copies(size, shift, 0, offset, mask)) << size << " bytes, " << offset << ", " << shift;
                ASSERT_TRUE(copies(size, 0, shift, offset, mask)) << size << " bytes, " << offset << ", " << shift;
            }
        }
    }
}

TEST(Mask, MasksEverySizeAtEveryAlignmentInPlace) {
    for (std::size_t size = 0; size <= 300; ++size) {
        for (std::size_t offset = 0; offset < 4; ++offset) {
            for (std::size_t shift = 0; shift < 16; ++shift) {
                const auto mask = [&](std::byte* data) { mask_in_place(data, size, key, offset); };
                ASSERT_TRUE(masks_in_place(size, shift, offset, mask)) << size << " bytes, " << offset << ", " << shift;
            }
        }
    }
}

TEST(Mask, EveryVariantOfThisCpuDoesTheSame) {
    ASSERT_FALSE(mask_detail::mask_variants().empty());
    for (const auto& variant : mask_detail::mask_variants()) {
        for (std::size_t size = mask_detail::wide_from; size <= 600; size += size < 330 ? 1 : 37) {
            for (std::size_t shift = 0; shift < 64; ++shift) {
                const std::size_t offset = (size + shift / 4) % 4;
                const std::uint32_t turned = mask_detail::turned(key, offset);
                const auto copy = [&](std::byte* to, const std::byte* from) { variant.mask(to, from, size, turned); };
                const auto in_place = [&](std::byte* data) { variant.mask(data, data, size, turned); };
                ASSERT_TRUE(copies(size, shift, 63 - shift, offset, copy))
                    << variant.name << ' ' << size << ' ' << shift;
                ASSERT_TRUE(masks_in_place(size, shift, offset, in_place))
                    << variant.name << ' ' << size << ' ' << shift;
            }
        }
    }
}

TEST(Mask, MasksLongPayloads) {
    for (const std::size_t size : {4096u, 65536u, (1u << 20u) + 3}) {
        EXPECT_TRUE(
            copies(size, 6, 0, 1, [&](std::byte* to, const std::byte* from) { mask_copy(to, from, size, key, 1); }));
        EXPECT_TRUE(masks_in_place(size, 14, 3, [&](std::byte* data) { mask_in_place(data, size, key, 3); }));
    }
}

TEST(Mask, TurnsTheKeyByOffsetsOfAnySize) {
    constexpr std::size_t largest = SIZE_MAX;  // 3 modulo 4.
    for (const std::size_t offset : {std::size_t{4}, std::size_t{7}, std::size_t{1} << 40u, largest, largest - 2}) {
        EXPECT_TRUE(masks_in_place(50, 1, offset % 4, [&](std::byte* data) { mask_in_place(data, 50, key, offset); }));
    }
}

TEST(Mask, PiecesMakeTheSameAsTheWhole) {
    for (std::size_t cut = 0; cut <= 200; ++cut) {
        EXPECT_TRUE(copies(200, 0, 0, 0, [&](std::byte* to, const std::byte* from) {
            mask_copy(to, from, cut, key, 0);
            mask_copy(to + cut, from + cut, 200 - cut, key, cut);
        })) << cut;
    }
}

TEST(Mask, NothingCanBeMasked) {
    std::byte behind = untouched;
    mask_copy(&behind, Bytes{}.data(), 0, key, 0);
    mask_in_place(&behind, 0, key, 3);
    EXPECT_EQ(behind, untouched);
}

TEST(Mask, ChoosesTheBestVariant) {
    EXPECT_TRUE(masks_in_place(100, 0, 0, [](std::byte* data) { mask_in_place(data, 100, key, 0); }));
    EXPECT_EQ(mask_detail::mask_wide.load(), mask_detail::mask_variants().back().mask);
}

/// What a static object masks, before `main` and perhaps before the CPU was asked for what it has.
const bool masked_before_main =
    copies(100, 1, 2, 3, [](std::byte* to, const std::byte* from) { mask_copy(to, from, 100, key, 3); });

TEST(Mask, WorksBeforeMain) { EXPECT_TRUE(masked_before_main); }

}  // namespace
}  // namespace tern::core
