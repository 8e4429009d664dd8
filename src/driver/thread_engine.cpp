#include "thread_engine.hpp"

#include <chrono>
#include <csignal>
#include <new>
#include <system_error>
#include <utility>

namespace tern::driver {
namespace {

/// Clients that can be asked for bytes one after the other faster than the system can be asked about all of them.
constexpr std::size_t most_direct = 8;
/// Turns of a spinning loop in which it only tries to read.
constexpr unsigned direct_turns = 32;

/// Signals belong to the program's own threads.
class SignalsBlocked {
public:
    SignalsBlocked() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_{};
};

}  // namespace

std::unique_ptr<Watch> ThreadEngine::watch(std::shared_ptr<Watcher> watcher, StreamId id, int descriptor) {
    return poller_.watch(std::move(watcher), id, descriptor);
}

std::error_code ThreadEngine::run() {
    if (thread_.joinable()) return {};
    if (const std::error_code error = poller_.open()) return error;
    const SignalsBlocked blocked;  // inherited by the new thread
    try {
        thread_ = std::thread([self = std::static_pointer_cast<ThreadEngine>(shared_from_this())] { self->loop(); });
    } catch (const std::system_error& error) {
        return error.code();
    } catch (const std::bad_alloc&) {
        return std::make_error_code(std::errc::not_enough_memory);
    }
    return {};
}

void ThreadEngine::loop() {
    id_ = std::this_thread::get_id();
    if (!spin_) poller_.open_ring();  // who does not wait has nothing to gain
    do turn();
    while (!is_over());
    poller_.end();
    id_ = std::thread::id();  // the system may give the number to another thread
}

void ThreadEngine::turn() {
    poller_.run_tasks();
    poller_.run_ready();
    const TimePoint now = alarm_ != TimePoint::max() ? std::chrono::steady_clock::now() : TimePoint();
    const bool rings = alarm_ <= now;
    if (rings) {
        alarm_ = TimePoint::max();
        on_alarm();
    }
    if (is_over()) return;
    if (!spin_ || lives() == 0) return rings ? poller_.poll() : poller_.wait(now, alarm_);
    const bool direct = lives() <= most_direct;
    if (direct) poller_.read_all();
    if (!direct || ++turns_ % direct_turns == 0) poller_.poll();
}

/// A life, or a socket that is being closed, comes before the end.
bool ThreadEngine::is_over() const noexcept { return finishing_ && lives() == 0 && poller_.watched() == 0; }

void ThreadEngine::finish(bool detached) {
    static_cast<void>(close());
    // What was posted before has its turn yet.
    patiently([this] {
        post([weak = weak_from_this()] {
            if (const auto self = weak.lock()) static_cast<ThreadEngine&>(*self).finishing_ = true;
        });
    });
    std::thread thread;
    {
        const std::lock_guard lock(mutex_);
        thread = std::move(thread_);
    }
    if (!thread.joinable()) return;
    if (detached) {
        thread.detach();
    } else {
        thread.join();
    }
}

}  // namespace tern::driver
