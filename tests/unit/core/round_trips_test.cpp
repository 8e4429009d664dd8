#include "round_trips.hpp"

#include <gtest/gtest.h>

namespace tern::core {
namespace {

using namespace std::chrono_literals;

TEST(RoundTrips, LastSmoothedAndPercentiles) {
    RoundTrips times;
    EXPECT_TRUE(times.empty());
    times.add(800us);
    EXPECT_EQ(times.last(), 800us);
    EXPECT_EQ(times.smoothed(), 800us);
    for (const unsigned percent : {1u, 50u, 99u}) EXPECT_EQ(times.percentile(percent), 800us);
    times.add(1600us);
    EXPECT_EQ(times.last(), 1600us);
    EXPECT_EQ(times.smoothed(), 900us);
    EXPECT_EQ(times.percentile(50), 800us);
    EXPECT_EQ(times.percentile(51), 1600us);
}

TEST(RoundTrips, OnlyTheRecentOnesCount) {
    RoundTrips times;
    for (int i = 0; i < 1000; ++i) times.add(1s);
    for (int i = 1; i <= 32; ++i) times.add(std::chrono::microseconds(33 - i));
    EXPECT_EQ(times.percentile(50), 16us);
    EXPECT_EQ(times.percentile(95), 31us);
    EXPECT_EQ(times.percentile(99), 32us);
    EXPECT_EQ(times.last(), 1us);
}

TEST(RoundTrips, VeryLongOnes) {
    RoundTrips times;
    times.add(std::chrono::hours(24 * 365));
    EXPECT_EQ(times.percentile(50), std::chrono::microseconds(0xffffffff));
}

}  // namespace
}  // namespace tern::core
