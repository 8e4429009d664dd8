#include "wait_list.hpp"

#include <atomic>
#include <chrono>
#include <list>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

namespace tern::driver {
namespace {

using namespace std::chrono_literals;

/// Threads that wait for numbers to be reached.
class WaitListTest : public testing::Test {
protected:
    ~WaitListTest() override {
        reach(1'000);
        for (std::thread& thread : threads_) thread.join();
    }

    /// Returns when it waits.
    void wait_for(int number) {
        const int before = woken_;
        threads_.emplace_back([this, number] {
            std::unique_lock lock(mutex_);
            list_.wait(lock, [&] {
                ++woken_;
                return reached_ >= number;
            });
            ++done_;
        });
        // The condition is looked at under the lock, which is let go of when the thread is in the list.
        while (woken_ == before) std::this_thread::yield();
        const std::lock_guard lock(mutex_);
        EXPECT_FALSE(list_.empty());
    }
    void reach(int number) {
        const std::lock_guard lock(mutex_);
        reached_ = number;
        list_.notify_all();
    }
    void expect_done(int count) {
        while (done_ < count) std::this_thread::yield();
        const std::lock_guard lock(mutex_);
        EXPECT_EQ(done_, count);
    }
    [[nodiscard]] bool empty() {
        const std::lock_guard lock(mutex_);
        return list_.empty();
    }

    std::mutex mutex_;
    WaitList list_;

private:
    int reached_ = 0;
    std::atomic<int> woken_ = 0;
    std::atomic<int> done_ = 0;
    std::list<std::thread> threads_;
};

TEST_F(WaitListTest, NobodyWaits) {
    EXPECT_TRUE(empty());
    reach(1);
    EXPECT_TRUE(empty());
}

/// Whoever leaves, be it the first, the last or one between others, leaves the others in the list.
TEST_F(WaitListTest, EachLeavesWhenItsConditionHolds) {
    for (const int number : {2, 1, 4, 3}) wait_for(number);
    for (int number = 1; number <= 4; ++number) {
        EXPECT_FALSE(empty());
        reach(number);
        expect_done(number);
    }
    EXPECT_TRUE(empty());
}

TEST_F(WaitListTest, UntilADeadline) {
    std::unique_lock lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    EXPECT_FALSE(list_.wait_until(lock, now, [] { return false; }));
    EXPECT_TRUE(list_.wait_until(lock, now, [] { return true; }));
    EXPECT_FALSE(list_.wait_until(lock, now + 1ms, [] { return false; }));
    EXPECT_TRUE(list_.empty());
    EXPECT_TRUE(lock.owns_lock());
}

}  // namespace
}  // namespace tern::driver
