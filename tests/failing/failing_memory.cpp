#include "failing_memory.hpp"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

#include <openssl/crypto.h>

#include "exposure.hpp"

namespace tern::failing {
namespace {

std::atomic<int> counted = -1;  ///< A `Memory`.
std::atomic<long> made = 0;
long refused = -1;  // written before `counted` is set

/// Here a debugger can wait for it.
[[gnu::noinline]] bool refuse_now() {
    asm volatile("");
    return true;
}

bool refuses(Memory which) {
    if (counted.load(std::memory_order_acquire) != static_cast<int>(which) || !exposed) return false;
    return made++ == refused && refuse_now();
}

}  // namespace

void refuse(Memory which, long before) {
    refuse_nothing();
    made = 0;
    refused = before;
    counted.store(static_cast<int>(which), std::memory_order_release);
}
void count_requests(Memory which) { refuse(which, -1); }
void refuse_nothing() { counted = -1; }
long requests() { return made; }

// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,readability-identifier-naming)
extern "C" {
void* __real_malloc(std::size_t size);
void* __real_calloc(std::size_t count, std::size_t size);
void* __real_realloc(void* memory, std::size_t size);
void* __wrap_malloc(std::size_t size) { return refuses(Memory::blocks) ? nullptr : __real_malloc(size); }
void* __wrap_calloc(std::size_t count, std::size_t size) {
    return refuses(Memory::blocks) ? nullptr : __real_calloc(count, size);
}
void* __wrap_realloc(void* memory, std::size_t size) {
    return refuses(Memory::blocks) ? nullptr : __real_realloc(memory, size);
}
}
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,readability-identifier-naming)

void take_over_openssl() {
    CRYPTO_set_mem_functions([](std::size_t size, const char*,
                                int) -> void* { return refuses(Memory::openssl) ? nullptr : __real_malloc(size); },
                             [](void* memory, std::size_t size, const char*, int) -> void* {
                                 return refuses(Memory::openssl) ? nullptr : __real_realloc(memory, size);
                             },
                             [](void* memory, const char*, int) { std::free(memory); });
}

}  // namespace tern::failing

[[gnu::noinline]] void* operator new(std::size_t size) {
    using namespace tern::failing;
    if (!refuses(Memory::objects)) {
        if (void* memory = __real_malloc(size)) return memory;
    }
    throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    using namespace tern::failing;
    return refuses(Memory::objects) ? nullptr : __real_malloc(size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
