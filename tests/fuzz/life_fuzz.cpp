// A whole life of a client in the simulator (tests/sim/random_life.hpp), in which the fuzzer chooses what everybody
// does: the user, the servers, the proxies, the network and the driver. Every promise that random lives keep is kept
// here too.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "random_life.hpp"

/// A life that moves a byte at a time frees gigabytes, which the sanitizer would keep from being used again.
extern "C" const char* __asan_default_options();  // NOLINT(bugprone-reserved-identifier): the sanitizer's name
extern "C" const char* __asan_default_options() {
    return "quarantine_size_mb=16";
}  // NOLINT(bugprone-reserved-identifier)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // The first byte is for the world's own randomness, the rest for the plan.
    if (size == 0) return 0;
    const std::string_view choices(reinterpret_cast<const char*>(data) + 1, size - 1);
    static const bool shows = std::getenv("TERN_FUZZ_TRACE") != nullptr;
    tern::sim::RandomLife life(data[0], shows, choices);
    life.run();
    if (shows) {
        const std::string text = life.trace_text();
        std::fwrite(text.data(), 1, text.size(), stderr);  // there may be zeros in it
    }
    if (const std::string complaints = life.complaints(); !complaints.empty()) {
        std::fprintf(stderr, "%s", complaints.c_str());
        std::abort();
    }
    return 0;
}
