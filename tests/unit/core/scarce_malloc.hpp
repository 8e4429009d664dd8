// malloc that fails when a test wants it to.
#pragma once

#include <cstddef>  // tells which library it is

// A sanitizer brings a malloc of its own, and then nothing can be made to fail.
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if defined(__has_feature)
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer) && !__has_feature(memory_sanitizer)
#define TERN_TEST_MALLOC 1
#endif
#else
#define TERN_TEST_MALLOC 1
#endif
#endif

#if defined(TERN_TEST_MALLOC)
namespace tern {

/// So many allocations of this thread succeed; negative: all.
extern constinit thread_local int mallocs_left;

}  // namespace tern
#endif
