// The client that the tests of this folder mean by `Client`: the one with a thread of its own, unless a program says
// otherwise, so that the same tests run on all drivers.
#pragma once

#include <utility>

#include <tern/client.hpp>
#include <tern/loop.hpp>

#if defined(TERN_TEST_LOOP)
namespace tern::interop {

/// All clients of the program share two threads.
class Client : public tern::Client {
public:
    explicit Client(Config config) : tern::Client(loop(), std::move(config)) {}

private:
    static Loop& loop() {
        static Loop shared{{.threads = 2}};
        return shared;
    }
};

}  // namespace tern::interop
#elif defined(TERN_TEST_POLL)
#include "poll_client.hpp"

namespace tern::interop {
using Client = PollClient;
}  // namespace tern::interop
#endif
