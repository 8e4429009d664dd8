// The URL of a proxy.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <tern/error.hpp>

namespace tern::core {

struct ProxyUrl {
    enum class Kind : std::uint8_t {
        http,
        https,    ///< HTTP over TLS.
        socks5,   ///< The server's name is resolved here.
        socks5h,  ///< The proxy resolves it.
    };
    Kind kind = Kind::http;
    std::string host;  ///< As in `Url`.
    bool host_is_ipv6 = false;
    std::uint16_t port = 0;
    std::string user;
    std::string password;
    bool has_user_info = false;

    /// "http://host:port", for texts.
    [[nodiscard]] std::string text() const;
};

/// A URL without a scheme is one of http, and the default port is curl's: 443 for https, 1080 for the others. The error
/// is `proxy_url`; its detail never contains user or password.
[[nodiscard]] Error parse_proxy_url(std::string_view text, ProxyUrl& proxy);

}  // namespace tern::core
