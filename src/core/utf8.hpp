// Is it UTF-8? Every text and every reason for closing has to be (RFC 6455 sections 8.1 and 5.5.1), as RFC 3629 defines
// it: shortest forms only, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <tern/message.hpp>

namespace tern::core {

namespace utf8_detail {

/// Where in the text a check stands. The other values lie inside a character; only utf8.cpp names them.
enum class Utf8State : std::uint8_t { boundary, failed = 6 };

Utf8State walk(Utf8State state, Bytes bytes) noexcept;
bool is_whole_text(Bytes text) noexcept;
bool is_short_ascii(Bytes bytes) noexcept;

}  // namespace utf8_detail

/// Checks a text as it arrives. Fails at the first byte that no continuation can make valid, however the text is split.
class Utf8Validator {
public:
    /// The next bytes of the text. False if it cannot become valid any more; that is final.
    [[nodiscard]] bool add(Bytes bytes) noexcept {
        using utf8_detail::Utf8State;
        if (state_ == Utf8State::boundary && utf8_detail::is_short_ascii(bytes)) return true;
        state_ = utf8_detail::walk(state_, bytes);
        return state_ != Utf8State::failed;
    }
    /// The text may end here: it has not failed and does not end inside a character.
    [[nodiscard]] bool complete() const noexcept { return state_ == utf8_detail::Utf8State::boundary; }

private:
    utf8_detail::Utf8State state_ = utf8_detail::Utf8State::boundary;
};

/// A whole text.
[[nodiscard]] inline bool is_utf8(Bytes text) noexcept {
    return utf8_detail::is_short_ascii(text) || utf8_detail::is_whole_text(text);
}

namespace utf8_detail {

/// Eight bytes at once are ASCII if none of them has its highest bit.
inline constexpr std::uint64_t high_bits = 0x8080'8080'8080'8080;

inline std::uint64_t load_word(const std::byte* from) noexcept {
    std::uint64_t word;
    std::memcpy(&word, from, sizeof word);
    return word;
}

inline std::uint64_t load_half_word(const std::byte* from) noexcept {
    std::uint32_t half;
    std::memcpy(&half, from, sizeof half);
    return half;
}

/// Up to 32 bytes of ASCII, which is what short messages often are. Longer ones are worth a call. Loads may overlap.
inline bool is_short_ascii(Bytes bytes) noexcept {
    const std::byte* const at = bytes.data();
    const std::size_t size = bytes.size();
    if (size > 32) return false;
    std::uint64_t all = 0;
    if (size >= 16) {
        all = load_word(at) | load_word(at + 8) | load_word(at + size - 16) | load_word(at + size - 8);
    } else if (size >= 8) {
        all = load_word(at) | load_word(at + size - 8);
    } else if (size >= 4) {
        all = load_half_word(at) | load_half_word(at + size - 4);
    } else if (size > 0) {
        all = std::to_integer<std::uint64_t>(at[0] | at[size / 2] | at[size - 1]);
    }
    return (all & high_bits) == 0;
}

}  // namespace utf8_detail
}  // namespace tern::core
