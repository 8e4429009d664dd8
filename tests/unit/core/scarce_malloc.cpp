#include "scarce_malloc.hpp"

#if defined(TERN_TEST_MALLOC)
namespace tern {

constinit thread_local int mallocs_left = -1;

namespace {

bool take_malloc() noexcept {
    if (mallocs_left < 0) return true;
    if (mallocs_left == 0) return false;
    --mallocs_left;
    return true;
}

}  // namespace
}  // namespace tern

// The program's own malloc, in front of glibc's.
extern "C" void* __libc_malloc(std::size_t size) noexcept;
extern "C" void* malloc(std::size_t size) noexcept { return tern::take_malloc() ? __libc_malloc(size) : nullptr; }
#endif
