// Random lives. TERN_SIM_SEEDS=n runs so many of them, beginning with TERN_SIM_FIRST; TERN_SIM_SEED=n runs that one
// alone and shows what happened in it.
#include <cstdlib>
#include <iostream>
#include <map>
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
    constexpr std::uint64_t usual = 1000;  // enough for what is rare to happen
    constexpr std::uint64_t twice = 16;    // one in so many is lived twice
    const std::uint64_t only = from_environment("TERN_SIM_SEED", 0);
    const std::uint64_t first = only != 0 ? only : from_environment("TERN_SIM_FIRST", 1);
    const std::uint64_t count = only != 0 ? 1 : from_environment("TERN_SIM_SEEDS", usual);
    std::size_t alive = 0;
    std::map<Event::Kind, std::size_t> seen;
    std::map<Fate, std::size_t> fates;
    std::size_t secure = 0;
    std::size_t proxied = 0;
    std::size_t without_memory = 0;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        RandomLife life(seed, only != 0);
        life.run();
        if (only != 0) std::cout << life.trace_text();
        if (only != 0 || seed % twice == 0) {
            RandomLife again(seed);
            again.run();
            EXPECT_EQ(life.trace_hash(), again.trace_hash()) << "two lives from the seed " << seed << " differ";
        }
        EXPECT_EQ(life.complaints(), "") << "to see it again: ./dev sim --replay " << seed;
        alive += life.open_at_the_end() ? 1u : 0u;
        for (const Entry& entry : life.log()) {
            ++seen[entry.kind];
            if (entry.kind == Event::Kind::fate) ++fates[entry.fate];
            without_memory += entry.error == Errc::out_of_memory ? 1u : 0u;
        }
        for (const auto& peer : life.world().peers()) {
            secure += peer->upgraded && peer->tunnel().secure() ? 1u : 0u;
            proxied += peer->upgraded && peer->tunnel().through_proxy() ? 1u : 0u;
        }
        if (HasFailure() && only == 0) break;
    }
    if (only != 0 || HasFailure()) return;
    for (const auto& [kind, n] : seen) std::cout << event_name(kind) << " " << n << "\n";
    for (const auto& [fate, n] : fates) std::cout << "fate " << fate_name(fate) << " " << n << "\n";
    std::cout << "secure " << secure << ", through a proxy " << proxied << ", without memory " << without_memory
              << "\n";
    std::cout << "alive at the end " << alive << " of " << count << "\n";
    if (count < usual) return;
    // The lives would prove nothing if nothing happened in them.
    using Kind = Event::Kind;
    EXPECT_GT(seen[Kind::open], count / 2);
    EXPECT_GT(alive, count / 4);
    EXPECT_GT(seen[Kind::closed], count / 4);
    EXPECT_GT(seen[Kind::failed], count / 50);
    EXPECT_GT(seen[Kind::message] + seen[Kind::chunk], 5 * count);
    EXPECT_GT(seen[Kind::switched], count / 50);
    EXPECT_GT(seen[Kind::switch_failed], count / 100);
    EXPECT_GT(seen[Kind::congested], count / 50);
    EXPECT_GT(seen[Kind::redirected], count / 200);
    EXPECT_GT(secure, count / 20);
    EXPECT_GT(proxied, count / 20);
    EXPECT_GT(without_memory, count / 50);
    for (const Fate fate : {Fate::sent, Fate::dropped, Fate::expired, Fate::replaced}) {
        EXPECT_GT(fates[fate], count / 50) << fate_name(fate);
    }
}

}  // namespace
}  // namespace tern::sim
