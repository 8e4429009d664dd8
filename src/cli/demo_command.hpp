// `tern demo`: the client at work, readable for a newcomer. Everything it shows it also checks.
#pragma once

#include <string>

namespace tern::cli {

/// Runs against an echo server (`tern echo`). Returns the exit code: 0 if everything was as it should be.
int demo(const std::string& url);

}  // namespace tern::cli
