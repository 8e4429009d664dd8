// What a process has, to be compared with what it had.
#pragma once

#include <chrono>
#include <dirent.h>
#include <malloc.h>
#include <thread>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/lsan_interface.h>
#define TERN_LEAK_SANITIZER
#endif
#endif

namespace tern::failing {

struct Holdings {
    long descriptors = 0;
    long threads = 0;
    bool operator==(const Holdings&) const = default;
};

inline long entries_of(const char* folder) {
    long count = -2;  // itself, and the folder above
    DIR* const open = opendir(folder);
    while (readdir(open) != nullptr) ++count;
    closedir(open);
    return count;
}

inline Holdings holdings() { return {entries_of("/proc/self/fd"), entries_of("/proc/self/task")}; }

/// Threads that look up names are on their own, and may take a moment to end.
inline Holdings holdings_when_quiet(const Holdings& expected, std::chrono::seconds limit) {
    const auto end = std::chrono::steady_clock::now() + limit;
    Holdings now = holdings();
    while (now != expected && std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        now = holdings();
    }
    return now;
}

/// Bytes in use on the heap; 0 where a sanitizer has one of its own.
inline long heap_in_use() {
#if defined(TERN_LEAK_SANITIZER)
    return 0;
#else
    malloc_trim(0);
    return static_cast<long>(mallinfo2().uordblks);
#endif
}

/// True: there is memory that nobody refers to any more. Only the leak sanitizer knows.
inline bool anything_leaked() {
#if defined(TERN_LEAK_SANITIZER)
    return __lsan_do_recoverable_leak_check() != 0;
#else
    return false;
#endif
}

}  // namespace tern::failing
