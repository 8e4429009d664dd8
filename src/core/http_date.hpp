// Dates of HTTP: RFC 9110 section 5.6.7.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace tern::core {

/// A date in one of the three formats that a recipient has to understand; empty if it is none of them.
[[nodiscard]] std::optional<std::chrono::sys_seconds> parse_http_date(std::string_view text) noexcept;

}  // namespace tern::core
