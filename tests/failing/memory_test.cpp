// Each request for memory in a full life is refused once, in turn: what the core asks for bytes and zlib, what OpenSSL
// asks for, and what objects and strings take. No crash, no hang, nothing left, no message that was not sent, and a
// client that can begin anew.
//
// OpenSSL asks thousands of times, so that only some of those are refused: each with TERN_FAILING_STRIDE=1.
// TERN_FAILING_FIRST begins with a later one; in a debugger, `refuse_now` is where it happens.
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include <tern/loop.hpp>

#include "failing_memory.hpp"
#include "full_life.hpp"
#include "left_behind.hpp"
#include "soundness.hpp"

namespace tern::failing {
namespace {

#if defined(TERN_LEAK_SANITIZER)
constexpr long most_lives = 80;
#else
constexpr long most_lives = 250;
#endif

/// What the C library keeps for each thread, and for reuse. Under the leak sanitizer nothing is overlooked.
constexpr long heap_slack = 256l << 10u;

TunnelServer& server() {
    static TunnelServer one;
    return one;
}

long number_from(const char* name, long otherwise) {
    const char* wish = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody changes it
    return wish != nullptr ? std::max(0l, std::atol(wish)) : otherwise;
}

/// On a loop of its own.
class LoopClient {
public:
    explicit LoopClient(Config config) : client_(loop_, std::move(config)) {}

    std::error_code on_event(std::function<void(const Event&)> handler) { return client_.on_event(std::move(handler)); }
    Error start() { return client_.start(); }
    std::error_code send_text(std::string_view text, const SendOptions& options) {
        return client_.send_text(text, options);
    }
    std::error_code send_binary(Bytes bytes) { return client_.send_binary(bytes); }
    std::error_code send_part(Opcode opcode, Bytes bytes, bool fin) { return client_.send_part(opcode, bytes, fin); }
    std::error_code close() { return client_.close(); }
    void stop() { client_.stop(); }

private:
    Loop loop_;
    Client client_;
};

template <class Driver = Client>
void expect_each_to_be_survived(Memory which) {
    FullLife<Driver> life(server(), TERN_TEST_AUTHORITY "/root.pem");
    for (int i = 0; i < 3; ++i) {  // tables and caches of all libraries
        count_requests(which);
        const Outcome good = life.live(refuse_nothing);
        ASSERT_TRUE(good.clean && good.opens == 2);
    }
    const long all = requests();
    const Holdings before = holdings_when_quiet({holdings().descriptors, 1}, patience);
    const long heap = heap_in_use();
    const long stride = std::max(1l, number_from("TERN_FAILING_STRIDE", (all + most_lives - 1) / most_lives));
    testing::Test::RecordProperty("requests", std::to_string(all));
    int troubled = 0;
    for (long number = number_from("TERN_FAILING_FIRST", 0); number < all && !testing::Test::HasFailure();
         number += stride) {
        SCOPED_TRACE("request " + std::to_string(number) + " of " + std::to_string(all));
        life.name("request " + std::to_string(number));
        refuse(which, number);
        const Outcome outcome = life.live(refuse_nothing);
        expect_sound(outcome);
        EXPECT_TRUE(holdings_when_quiet(before, patience) == before) << "descriptors or threads are left";
        if (!outcome.clean || !outcome.errors.empty() || !outcome.call_errors.empty()) ++troubled;
    }
    EXPECT_GT(troubled, 0) << "nobody has noticed";
    EXPECT_LE(heap_in_use(), heap + heap_slack);
    EXPECT_FALSE(anything_leaked());
}

TEST(FailingMemory, Blocks) { expect_each_to_be_survived(Memory::blocks); }
TEST(FailingMemory, OpenSsl) { expect_each_to_be_survived(Memory::openssl); }
TEST(FailingMemory, Objects) { expect_each_to_be_survived(Memory::objects); }
TEST(FailingMemory, ObjectsOnALoop) { expect_each_to_be_survived<LoopClient>(Memory::objects); }

}  // namespace
}  // namespace tern::failing

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    tern::failing::take_over_openssl();
    static_cast<void>(tern::failing::server().port());
    return RUN_ALL_TESTS();
}
