// `tern connect`: lines of standard input go out as messages, and what arrives is printed.
#pragma once

#include <tern/config.hpp>

namespace tern::cli {

struct ConnectOptions {
    Config config;
    bool binary = false;   ///< Send binary messages.
    bool once = false;     ///< End after the first message received.
    bool verbose = false;  ///< Tell on standard error what happens.
};

/// Runs until standard input and the connection have ended. Returns the exit code.
int connect(const ConnectOptions& options);

}  // namespace tern::cli
