// The lock of a client. Its loop sends from handlers, many messages in a row, and mostly nobody else wants the lock
// then: that thread gets it without the two atomic operations of a mutex, which cost more than a small message.
//
// Once the loop has had the lock often enough in a row, it only writes down that it is inside, and looks whether that
// still holds. Whoever else comes takes that privilege away first, and then waits until the loop is not inside. The two
// write one thing and read the other, so a barrier has to stand between on both sides (Dekker). That of the loop is
// left to the other thread, which has the kernel raise one on all CPUs that run this process (membarrier): 1 to 30 us,
// once in so many messages. Where there is no such call the loop never gets the privilege.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

namespace tern::driver {

/// Makes ready for `raise_barrier`. False: there is none.
[[nodiscard]] bool prepare_barrier() noexcept;
/// Every other thread of the process has passed a full memory barrier since this was called.
void raise_barrier() noexcept;

/// `Loop` has `on_thread()`: is the caller the loop? Only one thread is at a time.
template <class Loop>
class LoopMutex {
public:
    /// The loop outlives the mutex.
    explicit LoopMutex(const Loop& loop) noexcept : loop_(loop) {}
    LoopMutex(const LoopMutex&) = delete;
    LoopMutex& operator=(const LoopMutex&) = delete;

    void lock() {
        mutex_.lock();
        claim();
    }
    void unlock() { mutex_.unlock(); }

    /// The same for the loop's thread, and for what does not wait: others may have to poll until it is over.
    void lock_in_loop() {
        inside_.store(true, std::memory_order_relaxed);
        std::atomic_signal_fence(std::memory_order_seq_cst);
        if (in_a_row_.load(std::memory_order_relaxed) == enough) return;
        inside_.store(false, std::memory_order_relaxed);
        mutex_.lock();
        count();
    }
    void unlock_in_loop() {
        if (inside_.load(std::memory_order_relaxed)) {
            inside_.store(false, std::memory_order_release);
        } else {
            mutex_.unlock();
        }
    }

    /// For a condition variable, which unlocks and locks it. After that, `claim`.
    [[nodiscard]] std::mutex& plain() noexcept { return mutex_; }
    /// What is missing to `lock` when `plain` is locked.
    void claim() {
        if (in_a_row_.load(std::memory_order_relaxed) != 0 && !loop_.on_thread()) take_privilege();
    }

    /// So often in a row has the loop to have had it. The barrier then costs a tenth of what was saved, or less.
    static constexpr unsigned enough = 16'384;

private:
    void count() noexcept {
        const unsigned now = in_a_row_.load(std::memory_order_relaxed) + 1;
        if (now != enough) return in_a_row_.store(now, std::memory_order_relaxed);
        static const bool possible = prepare_barrier();
        in_a_row_.store(possible ? enough : 1, std::memory_order_relaxed);
    }

    void take_privilege() noexcept {
        const bool had_it = in_a_row_.load(std::memory_order_relaxed) == enough;
        in_a_row_.store(0, std::memory_order_relaxed);
        if (!had_it) return;
        raise_barrier();
        // It may have been interrupted inside, and its CPU may be this one.
        constexpr int patience = 100;
        for (int i = 0; inside_.load(std::memory_order_acquire); ++i) {
            if (i >= patience) std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
    }

    const Loop& loop_;
    std::mutex mutex_;
    /// Of the loop, since another thread had the lock; as many as `enough`: it has the privilege. Written under
    /// `mutex_`.
    std::atomic<unsigned> in_a_row_ = 0;
    std::atomic<bool> inside_ = false;  ///< The loop has the lock without `mutex_`. Written by the loop.
};

/// Calls `wait`, for which the lock has to be that of a plain mutex, with a condition that is looked at under it.
template <class Condition, class Wait>
auto with_plain(std::unique_lock<std::mutex>& lock, const Condition& condition, const Wait& wait) {
    return wait(lock, condition);
}
template <class Loop, class Condition, class Wait>
auto with_plain(std::unique_lock<LoopMutex<Loop>>& lock, const Condition& condition, const Wait& wait) {
    std::unique_lock plain(lock.mutex()->plain(), std::adopt_lock);
    const auto checked = [&] {
        lock.mutex()->claim();  // it may have been locked anew
        return condition();
    };
    struct Release {
        std::unique_lock<std::mutex>& plain;
        ~Release() { static_cast<void>(plain.release()); }
    } const release{plain};
    return wait(plain, checked);
}

/// Has it while it exists. On the loop's thread.
template <class Loop>
class LoopLock {
public:
    explicit LoopLock(LoopMutex<Loop>& mutex) : mutex_(mutex) { mutex_.lock_in_loop(); }
    LoopLock(const LoopLock&) = delete;
    LoopLock& operator=(const LoopLock&) = delete;
    ~LoopLock() { mutex_.unlock_in_loop(); }

private:
    LoopMutex<Loop>& mutex_;
};

}  // namespace tern::driver
