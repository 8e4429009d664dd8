// WebSocket URLs: RFC 6455 section 3, in the syntax of RFC 3986.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <tern/error.hpp>

namespace tern::core {

struct Url {
    bool secure = false;
    /// For the resolver: ASCII (internationalised names as A-labels) in lower case, without brackets. An IPv6 address
    /// keeps its zone: "fe80::1%eth0".
    std::string host;
    bool host_is_ipv6 = false;
    std::uint16_t port = 0;
    bool has_port = false;  ///< It was given, and is not just the default of the scheme.
    /// Path and query as given, at least "/".
    std::string target;
    std::string user;      ///< Percent-decoded.
    std::string password;  ///< Percent-decoded.
    /// Something stands before an '@'.
    bool has_user_info = false;

    /// For the Host header (RFC 9110 section 7.2): the port only when it is not the default of the scheme.
    [[nodiscard]] std::string host_header() const;
    /// The whole URL without user info, for texts and comparisons.
    [[nodiscard]] std::string text() const;
    /// "host:port", for texts.
    [[nodiscard]] std::string authority() const;
    friend bool operator==(const Url&, const Url&) = default;
};

/// Success, or one of `url_*` with what is wrong and where. Details contain one character of the user info at most.
/// On failure the contents of `url` mean nothing.
[[nodiscard]] Error parse_url(std::string_view text, Url& url);
/// The same again for a text that `parse_url` has accepted, and a fresh `url`: nothing is judged anew. Fails only
/// without memory.
[[nodiscard]] Error parse_accepted_url(std::string_view text, Url& url);

}  // namespace tern::core
