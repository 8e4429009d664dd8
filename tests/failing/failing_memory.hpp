// The memory that the library asks for, any piece of which can be refused: by malloc, calloc and realloc (the core's
// blocks and zlib's; the linker hands them over), by OpenSSL, and by operator new.
#pragma once

#include <cstdint>

namespace tern::failing {

enum class Memory : std::uint8_t { blocks, openssl, objects };

/// Before OpenSSL is used for the first time.
void take_over_openssl();
/// From now on requests are counted, and the one behind `before` others of its kind is refused.
void refuse(Memory which, long before);
/// They are only counted.
void count_requests(Memory which);
/// Nothing is refused any more and nothing is counted.
void refuse_nothing();
/// Since counting began.
[[nodiscard]] long requests();

}  // namespace tern::failing
