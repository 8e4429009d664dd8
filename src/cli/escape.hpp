// What a peer sends must not steer the terminal that shows it.
#pragma once

#include <string>
#include <string_view>

#include <tern/message.hpp>

namespace tern::cli {

/// Text for a terminal: control characters (C0, DEL, C1) as \n, \t, \r, \xNN, and the invisible characters that reorder
/// or hide text (bidirectional controls, line and paragraph separators, the byte order mark) as \u{NNNN}. A backslash
/// becomes two. What is not UTF-8 is shown byte by byte as \xNN.
[[nodiscard]] std::string escape(std::string_view text);

/// Bytes for a terminal: lines of offset, 16 bytes in hexadecimal, and their printable characters; no newline at the
/// end.
[[nodiscard]] std::string hex_dump(Bytes bytes);

}  // namespace tern::cli
