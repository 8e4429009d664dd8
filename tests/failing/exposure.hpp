// Whose allocations and system calls may be made to fail: those of the library. The test shares its process and its
// threads, and is spared.
#pragma once

#include <utility>

namespace tern::failing {

/// Threads of the library are exposed; the test's own says so where it calls the library.
inline thread_local bool exposed = true;

template <bool Value>
class Exposure {
public:
    Exposure() : before_(std::exchange(exposed, Value)) {}
    Exposure(const Exposure&) = delete;
    Exposure& operator=(const Exposure&) = delete;
    ~Exposure() { exposed = before_; }

private:
    const bool before_;
};
using Exposed = Exposure<true>;
using Spared = Exposure<false>;

/// Calls the library.
template <class Function>
auto call(const Function& function) {
    const Exposed now;
    return function();
}

}  // namespace tern::failing
