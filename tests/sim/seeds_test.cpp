// Random lives. TERN_SIM_SEEDS=n runs so many of them, beginning with TERN_SIM_FIRST; TERN_SIM_SEED=n runs that one
// alone and shows what happened in it.
#include <cstdlib>
#include <iostream>
#include <string>

#include <gtest/gtest.h>

#include "random_life.hpp"

namespace tern::sim {
namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
    const char* value = std::getenv(name);
    return value == nullptr ? otherwise : std::stoull(value);
}

TEST(SimSeeds, RandomLivesKeepThePromises) {
    constexpr std::uint64_t usual = 150;
    const std::uint64_t only = from_environment("TERN_SIM_SEED", 0);
    const std::uint64_t first = only != 0 ? only : from_environment("TERN_SIM_FIRST", 1);
    const std::uint64_t count = only != 0 ? 1 : from_environment("TERN_SIM_SEEDS", usual);
    std::size_t opened = 0, alive = 0, messages = 0, closed = 0, failed = 0;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        RandomLife life(seed, only != 0);
        life.run();
        if (only != 0) std::cout << describe(life.log());
        RandomLife again(seed);
        again.run();
        EXPECT_EQ(life.trace_hash(), again.trace_hash()) << "two lives from the seed " << seed << " differ";
        EXPECT_EQ(life.complaints(), "") << "to see it again: TERN_SIM_SEED=" << seed;
        alive += life.open_at_the_end() ? 1u : 0u;
        for (const Entry& entry : life.log()) {
            opened += entry.kind == Event::Kind::open ? 1u : 0u;
            closed += entry.kind == Event::Kind::closed ? 1u : 0u;
            failed += entry.kind == Event::Kind::failed ? 1u : 0u;
            messages += entry.kind == Event::Kind::message || entry.kind == Event::Kind::chunk ? 1u : 0u;
        }
        if (HasFailure() && only == 0) break;
    }
    if (HasFailure() || count < usual) return;
    // The lives would prove nothing if nothing happened in them.
    EXPECT_GT(opened, count);
    EXPECT_GT(alive, count / 4);
    EXPECT_GT(closed, count / 2);
    EXPECT_GT(failed, count / 50);
    EXPECT_GT(messages, 20 * count);
}

}  // namespace
}  // namespace tern::sim
