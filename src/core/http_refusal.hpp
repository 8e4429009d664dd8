// What a person should know about an HTTP answer that is not the wanted one.
#pragma once

#include <string>

#include <tern/error.hpp>

namespace tern::core {

/// Status, reason, and the headers that say what to do about that status: "401 Unauthorized; WWW-Authenticate: Basic".
[[nodiscard]] std::string refusal_detail(const Response& response);

}  // namespace tern::core
