#include <algorithm>
#include <array>

#include <tern/trace.hpp>

namespace tern {
namespace {

bool is_credential(std::string_view name) {
    constexpr std::array<std::string_view, 4> names = {"authorization", "proxy-authorization", "cookie", "set-cookie"};
    std::string lower(name);
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    return std::find(names.begin(), names.end(), lower) != names.end();
}

}  // namespace

std::string without_credentials(std::string_view head) {
    std::string out;
    while (!head.empty()) {
        const std::size_t end = std::min(head.find('\n'), head.size() - 1) + 1;
        const std::string_view line = head.substr(0, end);
        head.remove_prefix(end);
        const std::size_t colon = line.find(':');
        if (colon == line.npos || !is_credential(line.substr(0, colon))) {
            out += line;
            continue;
        }
        const std::size_t text_end = line.find_last_not_of("\r\n") + 1;
        const std::size_t value = std::min(line.find_first_not_of(' ', colon + 1), text_end);
        // The scheme of an Authorization is no secret.
        const std::size_t space = line.find(' ', value);
        const bool has_scheme =
            line[0] != 'C' && line[0] != 'c' && line[0] != 'S' && line[0] != 's' && space < text_end;
        const std::size_t secret = has_scheme ? space + 1 : value;
        out += line.substr(0, secret);
        out += '(' + std::to_string(text_end - secret) + " bytes)";
        out += line.substr(text_end);
    }
    return out;
}

}  // namespace tern
