#include "proxy_url.hpp"

#include <array>
#include <utility>

#include "http_head.hpp"
#include "quote.hpp"
#include "url.hpp"

namespace tern::core {
namespace {

using Kind = ProxyUrl::Kind;
constexpr std::array<std::pair<std::string_view, Kind>, 4> schemes{
    {{"http", Kind::http}, {"https", Kind::https}, {"socks5", Kind::socks5}, {"socks5h", Kind::socks5h}}};
constexpr std::uint16_t https_port = 443;
constexpr std::uint16_t other_port = 1080;

Error unusable(std::string detail) { return {Errc::proxy_url, Phase::none, std::move(detail)}; }

}  // namespace

std::string ProxyUrl::text() const {
    std::string text;
    for (const auto& [name, each] : schemes) {
        if (each == kind) text = name;
    }
    return text + "://" + (host_is_ipv6 ? '[' + host + ']' : host) + ':' + std::to_string(port);
}

Error parse_proxy_url(std::string_view text, ProxyUrl& proxy) {
    std::string_view rest = text;
    proxy.kind = Kind::http;
    if (const std::size_t end = text.find("://"); end != text.npos) {
        const std::string_view scheme = text.substr(0, end);
        bool known = false;
        for (const auto& [name, kind] : schemes) {
            if (!iequals(scheme, name)) continue;
            proxy.kind = kind;
            known = true;
        }
        // What is no scheme at all may be the beginning of a password ("user:a://b@proxy"), and is not repeated.
        const bool shown = is_token(scheme);
        if (!known) return unusable((shown ? quoted(scheme) : "it") + " is none of http, https, socks5 and socks5h");
        rest = text.substr(end + 3);
    }
    // The rest of it follows the rules of a WebSocket URL.
    Url url;
    if (const Error error = parse_url("ws://" + std::string(rest), url)) return unusable(error.code.message());
    if (url.target != "/") return unusable("a proxy has no path");
    proxy.host = std::move(url.host);
    proxy.host_is_ipv6 = url.host_is_ipv6;
    proxy.port = url.has_port ? url.port : proxy.kind == Kind::https ? https_port : other_port;
    proxy.user = std::move(url.user);
    proxy.password = std::move(url.password);
    proxy.has_user_info = url.has_user_info;
    return {};
}

}  // namespace tern::core
