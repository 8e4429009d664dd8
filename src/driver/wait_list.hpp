// Threads that wait for something of one client. Hardly any client has one, so the condition variable is the waiting
// thread's: a client that nobody waits for keeps a pointer.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#include <tern/message.hpp>

#include "loop_mutex.hpp"

namespace tern::driver {

/// Everything under the one lock of whoever owns it.
class WaitList {
public:
    WaitList() = default;
    WaitList(const WaitList&) = delete;
    WaitList& operator=(const WaitList&) = delete;

    [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
    /// Until the condition holds, which is looked at now and after each `notify_all`. False: not until `deadline`.
    template <class Mutex, class Condition>
    [[nodiscard]] bool wait_until(std::unique_lock<Mutex>& lock, TimePoint deadline, const Condition& condition) {
        const Waiter waiter(*this);
        return with_plain(lock, condition, [&](std::unique_lock<std::mutex>& plain, const auto& checked) {
            return waiter.notified.wait_until(plain, deadline, checked);
        });
    }
    template <class Mutex, class Condition>
    void wait(std::unique_lock<Mutex>& lock, const Condition& condition) {
        const Waiter waiter(*this);
        with_plain(lock, condition, [&](std::unique_lock<std::mutex>& plain, const auto& checked) {
            waiter.notified.wait(plain, checked);
        });
    }
    void notify_all() noexcept {
        for (const Waiter* each = first_; each != nullptr; each = each->next) each->notified.notify_all();
    }

private:
    /// In the list for as long as it exists.
    struct Waiter {
        explicit Waiter(WaitList& waiters) noexcept : list(waiters), next(list.first_) { list.first_ = this; }
        Waiter(const Waiter&) = delete;
        Waiter& operator=(const Waiter&) = delete;
        ~Waiter() {
            Waiter** link = &list.first_;
            while (*link != this) link = &(*link)->next;
            *link = next;
        }

        WaitList& list;
        Waiter* next;
        mutable std::condition_variable notified;
    };

    Waiter* first_ = nullptr;
};

}  // namespace tern::driver
