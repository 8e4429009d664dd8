#include "timer_table.hpp"

#include <gtest/gtest.h>

namespace tern::core {
namespace {

using namespace std::chrono_literals;
enum class Timer : std::uint8_t { a, b, count };
constexpr TimePoint now{std::chrono::hours(1)};

TEST(TimerTableTest, GivesTheEarliestAndTakesEachOnce) {
    TimerTable<Timer> timers;
    EXPECT_EQ(timers.next(), std::nullopt);
    EXPECT_EQ(timers.take_expired(now), std::nullopt);
    timers.set(Timer::a, now + 2s);
    timers.set(Timer::b, now + 1s);
    EXPECT_EQ(timers.next(), now + 1s);
    EXPECT_EQ(timers.take_expired(now + 1s - 1ns), std::nullopt);
    EXPECT_EQ(timers.take_expired(now + 1s), Timer::b);
    EXPECT_FALSE(timers.is_set(Timer::b));
    EXPECT_TRUE(timers.is_set(Timer::a));
    EXPECT_EQ(timers.take_expired(now + 1s), std::nullopt);
    timers.set(Timer::b, now);
    EXPECT_TRUE(timers.take_expired(now + 5s));
    EXPECT_TRUE(timers.take_expired(now + 5s));
    EXPECT_FALSE(timers.take_expired(now + 5s));
}

TEST(TimerTableTest, AStoppedTimerDoesNotExpireAndASetOneCanBeMoved) {
    TimerTable<Timer> timers;
    timers.set(Timer::a, now);
    timers.stop(Timer::a);
    EXPECT_EQ(timers.take_expired(now + 1h), std::nullopt);
    timers.set(Timer::a, now);
    timers.set(Timer::a, now + 2h);
    EXPECT_EQ(timers.take_expired(now + 1h), std::nullopt);
    EXPECT_EQ(timers.next(), now + 2h);
}

TEST(TimerTableTest, Earlier) {
    EXPECT_EQ(earlier(std::nullopt, std::nullopt), std::nullopt);
    EXPECT_EQ(earlier(now, std::nullopt), now);
    EXPECT_EQ(earlier(std::nullopt, now), now);
    EXPECT_EQ(earlier(now + 1s, now), now);
    EXPECT_EQ(earlier(now, now + 1s), now);
}

}  // namespace
}  // namespace tern::core
