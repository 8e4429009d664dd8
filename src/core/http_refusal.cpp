#include "http_refusal.hpp"

#include <string_view>
#include <vector>

#include "http_head.hpp"
#include "quote.hpp"

namespace tern::core {
namespace {

constexpr std::size_t max_challenges = 4;
constexpr std::size_t max_shown = 200;

/// Which headers tell a person what to do about a status.
std::vector<std::string_view> telling_headers(int status) {
    if (status >= 300 && status < 400) return {"Location"};
    switch (status) {
        case 401: return {"WWW-Authenticate"};
        case 407: return {"Proxy-Authenticate"};
        // RFC 6455 section 4.4 has 426; many servers say 400.
        case 400: return {"Sec-WebSocket-Version"};
        case 426: return {"Upgrade", "Sec-WebSocket-Version"};
        case 429:
        case 503: return {"Retry-After"};
        default: return {};
    }
}

}  // namespace

std::string refusal_detail(const Response& response) {
    std::string detail = std::to_string(response.status);
    if (!response.reason.empty()) detail += ' ' + escaped(response.reason);
    std::size_t shown = 0;
    for (const std::string_view name : telling_headers(response.status)) {
        for (const Header& field : response.headers) {
            if (!iequals(field.name, name) || ++shown > max_challenges) continue;
            const bool is_url = name == "Location";
            detail += "; " + std::string(name) + ": " +
                      escaped(is_url ? without_user_info(field.value) : field.value, max_shown);
        }
    }
    return detail;
}

}  // namespace tern::core
