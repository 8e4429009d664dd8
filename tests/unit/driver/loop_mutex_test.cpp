#include "loop_mutex.hpp"

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "wait_list.hpp"

namespace tern::driver {
namespace {

/// The thread that says so.
struct FakeLoop {
    std::atomic<std::thread::id> id;

    [[nodiscard]] bool on_thread() const noexcept { return id == std::this_thread::get_id(); }
};

class LoopMutexTest : public testing::Test {
protected:
    using Mutex = LoopMutex<FakeLoop>;

    LoopMutexTest() { loop_.id = std::this_thread::get_id(); }

    /// In the loop, so often that it gets the privilege.
    void send_much() {
        for (unsigned i = 0; i < Mutex::enough; ++i) add_in_loop();
    }
    void add_in_loop() {
        const LoopLock lock(mutex_);
        add();
    }
    void add() {
        // Two who do this at the same time lose one.
        const unsigned before = count_;
        std::atomic_signal_fence(std::memory_order_seq_cst);
        count_ = before + 1;
    }
    [[nodiscard]] bool is_free() {
        if (!mutex_.plain().try_lock()) return false;
        mutex_.plain().unlock();
        return true;
    }

    FakeLoop loop_;
    Mutex mutex_{loop_};
    volatile unsigned count_ = 0;
};

TEST_F(LoopMutexTest, TheLoopGetsAPrivilege) {
    if (!prepare_barrier()) GTEST_SKIP() << "the system has no such barrier";
    {
        const LoopLock lock(mutex_);
        EXPECT_FALSE(is_free());
    }
    EXPECT_TRUE(is_free());
    send_much();
    const LoopLock lock(mutex_);
    EXPECT_TRUE(is_free());
}

/// Taking the lock as others do is not to cost the loop its privilege.
TEST_F(LoopMutexTest, TheLoopKeepsIt) {
    if (!prepare_barrier()) GTEST_SKIP() << "the system has no such barrier";
    send_much();
    {
        const std::lock_guard lock(mutex_);
    }
    const LoopLock lock(mutex_);
    EXPECT_TRUE(is_free());
}

TEST_F(LoopMutexTest, AnotherThreadTakesItAway) {
    send_much();
    std::thread other([this] { const std::lock_guard lock(mutex_); });
    other.join();
    const LoopLock lock(mutex_);
    EXPECT_FALSE(is_free());
}

TEST_F(LoopMutexTest, AnotherThreadWaitsUntilTheLoopIsNotInside) {
    send_much();
    std::atomic<bool> inside = true;
    std::thread other;
    {
        const LoopLock lock(mutex_);
        other = std::thread([&] {
            const std::lock_guard held(mutex_);
            EXPECT_FALSE(inside);
        });
        // Until it waits, if the loop has the privilege.
        while (prepare_barrier() && is_free()) std::this_thread::yield();
        inside = false;
    }
    other.join();
}

/// Also when it has got the mutex from a condition variable.
TEST_F(LoopMutexTest, WhoeverWasWaitingTakesItAway) {
    WaitList list;
    std::atomic<int> looked = 0;
    bool over = false;
    std::thread other([&] {
        std::unique_lock lock(mutex_);
        list.wait(lock, [&] {
            ++looked;
            return over;
        });
    });
    while (looked == 0) std::this_thread::yield();
    {
        const std::lock_guard lock(mutex_);
    }
    send_much();
    {
        const LoopLock lock(mutex_);
        list.notify_all();
        // It has the mutex, and must not look yet.
        while (prepare_barrier() && is_free() && looked == 1) std::this_thread::yield();
        EXPECT_EQ(looked, 1);
        over = true;
    }
    other.join();
    const LoopLock lock(mutex_);
    EXPECT_FALSE(is_free());
}

/// The loop has the privilege each time that the other thread comes.
TEST_F(LoopMutexTest, NothingIsLost) {
    constexpr unsigned rounds = 20;
    constexpr unsigned between = 2 * Mutex::enough;
    std::atomic<unsigned> done = 0;
    std::thread other([&] {
        for (unsigned i = 1; i <= rounds; ++i) {
            while (done < i * between) std::this_thread::yield();
            const std::lock_guard lock(mutex_);
            add();
        }
    });
    for (; done < (rounds + 1) * between; ++done) add_in_loop();
    other.join();
    EXPECT_EQ(count_, done + rounds);
}

}  // namespace
}  // namespace tern::driver
