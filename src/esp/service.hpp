// A thread that does things at their time, one after another. There are four: FreeRTOS's timers, esp_timer's, the
// clients' own, and one that waits for the end of threads. They begin when they are first needed and are never
// destroyed, because at the end of a program nobody can say who still needs them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "ticks.hpp"

namespace tern::esp {

class Service {
public:
    using Id = std::uint64_t;

    /// `name`: the thread's.
    explicit Service(const char* name) : name_(name) {}
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;

    static Service& timers();
    static Service& esp_timers();
    static Service& clients();
    static Service& graves();

    /// Thread-safe, as are all. 0: the system has no thread to give.
    Id at(Clock::time_point when, std::function<void()> what);
    /// False: it has been done, or is being done now.
    bool cancel(Id id);
    /// When the next one is due.
    [[nodiscard]] std::optional<Clock::time_point> next();

private:
    bool ensure_thread();
    void run();

    const char* const name_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool running_ = false;
    Id last_ = 0;
    std::map<std::pair<Clock::time_point, Id>, std::function<void()>> waiting_;
    std::map<Id, Clock::time_point> times_;
};

}  // namespace tern::esp
