#include "escape.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>

#include <fmt/format.h>

namespace tern::cli {
namespace {

struct Character {
    char32_t code = 0;
    std::size_t size = 0;  ///< 0: not UTF-8.
};

/// The character at the beginning of `text`, which is not empty.
Character decode(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned first = byte(0);
    if (first < 0x80) return {first, 1};
    const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < size) return {};
    char32_t code = first & (0x7fu >> size);
    for (std::size_t i = 1; i < size; ++i) {
        if ((byte(i) & 0xc0u) != 0x80) return {};
        code = code << 6u | (byte(i) & 0x3fu);
    }
    constexpr char32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < smallest[size] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return {};
    return {code, size};
}

/// Characters that change how others are shown, or are not seen at all.
bool misleads(char32_t code) {
    return (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2060 && code <= 0x206f) || code == 0x061c || code == 0xfeff || (code >= 0xfff9 && code <= 0xfffb);
}

void append_control(std::string& out, char32_t code) {
    switch (code) {
        case '\n': out += "\\n"; return;
        case '\r': out += "\\r"; return;
        case '\t': out += "\\t"; return;
        default: fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<std::uint32_t>(code));
    }
}

}  // namespace

std::string escape(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const Character character = decode(text);
        const std::size_t size = std::max<std::size_t>(character.size, 1);
        if (character.size == 0) {
            append_control(out, static_cast<unsigned char>(text[0]));
        } else if (character.code < 0x20 || (character.code >= 0x7f && character.code <= 0x9f)) {
            append_control(out, character.code);
        } else if (misleads(character.code)) {
            fmt::format_to(std::back_inserter(out), "\\u{{{:x}}}", static_cast<std::uint32_t>(character.code));
        } else if (character.code == '\\') {
            out += "\\\\";
        } else {
            out += text.substr(0, size);
        }
        text.remove_prefix(size);
    }
    return out;
}

std::string hex_dump(Bytes bytes) {
    constexpr std::size_t width = 16;
    std::string out;
    for (std::size_t at = 0; at < bytes.size(); at += width) {
        const Bytes line = bytes.subspan(at, std::min(width, bytes.size() - at));
        if (at != 0) out += '\n';
        fmt::format_to(std::back_inserter(out), "{:08x} ", at);
        for (std::size_t i = 0; i < width; ++i) {
            if (i < line.size()) {
                fmt::format_to(std::back_inserter(out), " {:02x}", std::to_integer<unsigned>(line[i]));
            } else {
                out += "   ";
            }
        }
        out += "  ";
        for (const std::byte byte : line) {
            const auto code = std::to_integer<char>(byte);
            out += code >= 0x20 && code < 0x7f ? code : '.';
        }
    }
    return out;
}

}  // namespace tern::cli
