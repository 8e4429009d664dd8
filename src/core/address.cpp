#include <array>
#include <charconv>

#include <tern/core.hpp>

namespace tern {
namespace {

std::string ipv4_text(const std::uint8_t* bytes) {
    std::string text;
    for (int i = 0; i < 4; ++i) {
        if (i != 0) text += '.';
        std::array<char, 3> digits;  // NOLINT(cppcoreguidelines-pro-type-member-init): they are written next
        text.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), bytes[i]).ptr);
    }
    return text;
}

/// The longest run of two or more zero groups, the first of equals (RFC 5952 section 4.2).
struct ZeroRun {
    int begin = -1;
    int length = 1;
};

ZeroRun longest_zero_run(const std::array<unsigned, 8>& groups) {
    ZeroRun best;
    for (int begin = 0; begin < 8;) {
        int end = begin;
        while (end < 8 && groups[static_cast<std::size_t>(end)] == 0) ++end;
        if (end - begin > best.length) best = {begin, end - begin};
        begin = end + 1;
    }
    return best;
}

std::string ipv6_text(const std::array<std::uint8_t, 16>& bytes) {
    std::array<unsigned, 8> groups{};
    for (std::size_t i = 0; i < 8; ++i) groups[i] = bytes[2 * i] * 256u + bytes[2 * i + 1];
    const ZeroRun run = longest_zero_run(groups);
    std::string text;
    for (int i = 0; i < 8;) {
        if (i == run.begin) {
            text += "::";
            i += run.length;
            continue;
        }
        if (!text.empty() && text.back() != ':') text += ':';
        constexpr char digits[] = "0123456789abcdef";
        const unsigned group = groups[static_cast<std::size_t>(i)];
        bool leading = true;
        for (int shift = 12; shift >= 0; shift -= 4) {
            const unsigned digit = (group >> static_cast<unsigned>(shift)) & 0xfu;
            if (digit == 0 && leading && shift != 0) continue;
            leading = false;
            text += digits[digit];
        }
        ++i;
    }
    return text;
}

}  // namespace

std::string Address::to_string() const {
    if (family == Family::ipv4) return ipv4_text(bytes.data());
    std::string text = ipv6_text(bytes);
    if (scope_id != 0) text += '%' + std::to_string(scope_id);
    return text;
}

}  // namespace tern
