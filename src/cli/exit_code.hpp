// Exit codes of the command: one for each family of errors.
#pragma once

#include <tern/error.hpp>

namespace tern::cli {

inline constexpr int exit_ok = 0;
inline constexpr int exit_failure = 1;  ///< The demo found something wrong.
inline constexpr int exit_usage = 2;    ///< Bad arguments, bad URL.
inline constexpr int exit_connect = 4;
inline constexpr int exit_closed = 11;
inline constexpr int exit_interrupted = 130;

/// 0 for success and for a connection that this side closed.
[[nodiscard]] int exit_code(const Error& error) noexcept;

/// The table for `--help`.
inline constexpr const char* exit_code_help = R"(Exit codes:
  0  success                       7  the server did not upgrade the connection
  2  bad arguments or URL          8  the server broke the protocol
  3  the host has no address       9  a limit was exceeded
  4  no connection                10  a deadline passed
  5  the proxy failed             11  the connection was lost, or closed by the
  6  TLS failed                       server with a code other than 1000 or 1001
                                 130  interrupted)";

}  // namespace tern::cli
