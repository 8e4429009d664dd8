// parse_url on anything. What it takes has to be safe to put into a request and has to mean the same when it is written
// down and read again.
#include "url.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

using tern::core::parse_accepted_url;
using tern::core::parse_url;
using tern::core::Url;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

bool printable(std::string_view text) {
    for (const char c : text) {
        if (c <= ' ' || c >= 0x7f) return false;
    }
    return true;
}

/// The zone's percent sign, as it is written in a URL.
std::string literal(const std::string& host) {
    const std::size_t percent = host.find('%');
    if (percent == host.npos) return '[' + host + ']';
    std::string zone;
    for (const char c : host.substr(percent + 1)) {
        constexpr char digits[] = "0123456789abcdef";
        const auto byte = static_cast<unsigned char>(c);
        zone.append({'%', digits[byte >> 4u], digits[byte & 0xfu]});
    }
    return '[' + host.substr(0, percent) + "%25" + zone + ']';
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    Url url;
    const tern::Error error = parse_url(text, url);
    if (error) {
        require(error == tern::Condition::url_invalid && error.phase == tern::Phase::none);
        require(error.detail.size() < 2000);
        for (const char c : error.detail) require(c >= ' ' && c < 0x7f);
        return 0;
    }
    Url same;
    require(!parse_accepted_url(text, same) && same == url);
    require(size <= 8192);
    require(!url.host.empty() && printable(url.host) && printable(url.host_header()));
    require(url.host.find_first_of("/?#@[]\\") == std::string::npos || url.host.find('%') != std::string::npos);
    require(url.host_is_ipv6 == (url.host.find(':') != std::string::npos));
    require(url.port != 0);
    require(url.target.starts_with('/') && printable(url.target) && url.target.find('#') == std::string::npos);
    require(url.has_user_info || (url.user.empty() && url.password.empty()));
    require(url.user.find(':') == std::string::npos);
    for (const char c : url.user + url.password) require(static_cast<unsigned char>(c) >= ' ' && c != 0x7f);

    const std::string host = url.host_is_ipv6 ? literal(url.host) : url.host;
    const std::string again = (url.secure ? "wss://" : "ws://") + host + ':' + std::to_string(url.port) + url.target;
    if (again.size() > 8192) return 0;
    Url second;
    require(!parse_url(again, second));
    require(second.host == url.host && second.port == url.port && second.target == url.target &&
            second.secure == url.secure && second.host_is_ipv6 == url.host_is_ipv6);
    return 0;
}
