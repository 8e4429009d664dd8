// Where an HTTP redirect leads (RFC 9110 section 15.4).
#pragma once

#include <tern/error.hpp>

#include "url.hpp"

namespace tern::core {

/// 301, 302, 303, 307 or 308.
[[nodiscard]] bool is_redirect_status(int status) noexcept;

/// A refusal of the upgrade with such a status.
[[nodiscard]] bool is_redirect(const Error& error) noexcept;

/// The URL that the Location header of the refusal stands for, seen from `base`; http and https count as ws and wss,
/// and a fragment is dropped. User info of `base` goes along within an origin. `redirect_location` if there is none or
/// it cannot be used, `redirect_insecure` if it would give up TLS.
[[nodiscard]] Error resolve_redirect(const Url& base, const Error& refusal, Url& target);

/// The same scheme, host and port (RFC 6454 section 5).
[[nodiscard]] bool same_origin(const Url& left, const Url& right) noexcept;

}  // namespace tern::core
