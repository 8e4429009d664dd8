// Which proxy the environment chooses for a URL, by curl's rules.
#pragma once

#include <string>
#include <string_view>

#include <tern/core.hpp>

#include "url.hpp"

namespace tern::core {

/// ws: ws_proxy, http_proxy, all_proxy, the first that is set; wss: wss_proxy, https_proxy, all_proxy. Empty: none, or
/// no_proxy excludes the host.
[[nodiscard]] std::string choose_proxy(const ProxyEnvironment& environment, const Url& url);

/// Is the host excluded by a list as in no_proxy? Its entries stand between commas or blanks: "*" for everything, names
/// with all that is below them, addresses, and networks such as 192.0.2.0/24 and 2001:db8::/32.
[[nodiscard]] bool bypasses_proxy(std::string_view list, std::string_view host);

}  // namespace tern::core
