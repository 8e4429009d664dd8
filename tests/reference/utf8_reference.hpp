// A decoder of UTF-8 without tables and states, one character after the other. Slow on purpose: the fast one is
// compared with it.
//
// Instead of listing the bytes that RFC 3629 section 4 allows where, it asks after every byte which code points the
// character can still become, and whether one of them may be encoded in that many bytes (section 3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace tern::reference {

struct Utf8Verdict {
    std::optional<std::size_t> impossible_at;  ///< The first byte that no continuation can make valid.
    bool complete = false;                     ///< Possible, and does not end inside a character.
};

namespace utf8_parts {

/// May a character of `length` bytes be one of the code points from `low` to `high`?
inline bool exists(std::size_t length, std::uint32_t low, std::uint32_t high) {
    const std::uint32_t smallest = length == 1 ? 0 : length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
    const bool only_surrogates = low >= 0xD800 && high <= 0xDFFF;
    return high >= smallest && low <= 0x10FFFF && !only_surrogates;
}

/// The number of bytes of a character by its first byte; 0: a character cannot begin like this.
inline std::size_t length_by(std::uint32_t first) {
    if ((first & 0x80u) == 0) return 1;
    if ((first & 0xE0u) == 0xC0) return 2;
    if ((first & 0xF0u) == 0xE0) return 3;
    if ((first & 0xF8u) == 0xF0) return 4;
    return 0;
}

}  // namespace utf8_parts

inline Utf8Verdict judge_utf8(std::span<const std::byte> text) {
    using namespace utf8_parts;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t length = length_by(std::to_integer<std::uint32_t>(text[at]));
        if (length == 0) return {at, false};
        std::uint32_t low = 0;
        for (std::size_t i = 0; i < length; ++i) {
            if (at + i == text.size()) return {std::nullopt, false};
            const auto byte = std::to_integer<std::uint32_t>(text[at + i]);
            if (i > 0 && (byte & 0xC0u) != 0x80) return {at + i, false};
            const std::uint32_t bits = i > 0 ? byte & 0x3Fu : length == 1 ? byte : byte & (0x7Fu >> length);
            const std::size_t missing = 6 * (length - 1 - i);
            low |= bits << missing;
            const std::uint32_t high = low | ((1u << missing) - 1);
            if (!exists(length, low, high)) return {at + i, false};
        }
        at += length;
    }
    return {std::nullopt, true};
}

}  // namespace tern::reference
