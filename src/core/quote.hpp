// Foreign text in error details: safe to print on a terminal, and never long.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace tern::core {

/// The text with everything outside printable ASCII as \r, \n, \t or \xNN, and a backslash before each character of
/// `also`. Beyond `max` bytes it is cut, and "..." stands for the rest.
inline std::string escaped(std::string_view text, std::size_t max = 100, std::string_view also = "\\") {
    std::string out;
    for (const char c : text.substr(0, max)) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '\r') {
            out += "\\r";
        } else if (c == '\n') {
            out += "\\n";
        } else if (c == '\t') {
            out += "\\t";
        } else if (byte < 0x20 || byte >= 0x7f) {
            constexpr char digits[] = "0123456789abcdef";
            out += "\\x";
            out += digits[byte >> 4u];
            out += digits[byte & 0xfu];
        } else {
            if (also.find(c) != also.npos) out += '\\';
            out += c;
        }
    }
    if (text.size() > max) out += "...";
    return out;
}

/// A URL, well formed or not, without the user info that it may have: that is nobody's business in an error's text.
inline std::string without_user_info(std::string_view url) {
    const std::size_t slashes = url.find("//");
    if (slashes == url.npos) return std::string(url);
    const std::size_t begin = slashes + 2;
    const std::size_t end = std::min(url.find_first_of("/?#", begin), url.size());
    const std::size_t at = url.substr(begin, end - begin).rfind('@');
    if (at == url.npos) return std::string(url);
    return std::string(url.substr(0, begin)) + std::string(url.substr(begin + at + 1));
}

/// As `escaped`, in quotation marks.
inline std::string quoted(std::string_view text, std::size_t max = 100) {
    return '"' + escaped(text, max, "\\\"") + '"';
}

}  // namespace tern::core
