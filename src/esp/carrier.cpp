#include "carrier.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include <tern/loop.hpp>

#include "esp_websocket_client.h"
#include "service.hpp"

namespace tern::esp {
namespace {

using namespace std::chrono_literals;

/// A handler that takes longer keeps others waiting.
constexpr auto long_time = 100ms;
/// So long after one, what had to wait may not have been read yet.
constexpr auto aftermath = 1s;

std::atomic<std::size_t>& own_tasks() {
    static std::atomic<std::size_t> count = 0;
    return count;
}
/// The threads that clients share. Never destroyed: a handler may be running at the end of the program. Each is made
/// when the ones before have a client, and clients are spread, so that each of a few has a thread for itself.
class SharedLoops {
public:
    static SharedLoops& all() {
        static auto* const instance = new SharedLoops;
        return *instance;
    }
    Client make_client(std::shared_ptr<const Config> config) {
        const std::lock_guard lock(mutex_);
        return {emptiest(), std::move(config)};
    }
    [[nodiscard]] std::size_t clients() {
        const std::lock_guard lock(mutex_);
        std::size_t sum = 0;
        for (const auto& loop : loops_) sum += loop->clients();
        return sum;
    }

private:
    Loop& emptiest() {
        const auto less = [](const auto& a, const auto& b) { return a->clients() < b->clients(); };
        const auto found = std::min_element(loops_.begin(), loops_.end(), less);
        const bool full = loops_.size() >= std::max<std::size_t>(CONFIG_TERN_ESP_SHARED_TASKS, 1);
        if (found != loops_.end() && (full || (*found)->clients() == 0)) return **found;
        return *loops_.emplace_back(std::make_unique<Loop>());
    }

    std::mutex mutex_;
    std::vector<std::unique_ptr<Loop>> loops_;
};

/// Clients with the same settings share one copy of them, and with it what TLS needs; URLs and headers are not among
/// them. Those that were in use last are known.
std::shared_ptr<const Config> shared_config(Config config) {
    static std::mutex mutex;
    static auto* const recent = new std::array<std::weak_ptr<const Config>, 4>;
    const std::lock_guard lock(mutex);
    for (const auto& each : *recent) {
        if (auto same = each.lock(); same != nullptr && *same == config) return same;
    }
    auto added = std::make_shared<const Config>(std::move(config));
    std::rotate(recent->rbegin(), recent->rbegin() + 1, recent->rend());
    recent->front() = added;
    return added;
}

Client make_client(std::shared_ptr<const Config> config, bool own_task) {
    return own_task ? Client(std::move(config)) : SharedLoops::all().make_client(std::move(config));
}

bool is_last(const Event& event) {
    return event.kind == Event::Kind::failed ||
           (event.kind == Event::Kind::closed && event.close != nullptr && !event.close->will_reconnect);
}

Clock::time_point at(const std::atomic<Clock::rep>& time) {
    return Clock::time_point(Clock::duration(time.load(std::memory_order_relaxed)));
}

}  // namespace

/// What is known of a thread that delivers events.
struct Carrier::Watch {
    static constexpr Clock::rep nothing = 0;

    std::atomic<Clock::rep> began = nothing;       ///< The event that is being delivered.
    std::atomic<Clock::rep> ended_long = nothing;  ///< The last that took a long time.

    void begin() { began.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed); }
    void end() {
        const Clock::time_point now = Clock::now();
        if (now - at(began) > long_time) ended_long.store(now.time_since_epoch().count(), std::memory_order_relaxed);
        began.store(nothing, std::memory_order_relaxed);
    }
};

std::shared_ptr<Carrier::Watch> Carrier::watch_of_thread() {
    thread_local const auto watch = std::make_shared<Watch>();
    return watch;
}

Carrier::Carrier(Config config, bool own_task)
    : grave_(own_task ? std::make_shared<Grave>() : nullptr),
      client_(make_client(shared_config(std::move(config)), own_task)) {
    if (own_task) ++own_tasks();
}

Carrier::~Carrier() {
    if (grave_ == nullptr) return;
    client_.reset();  // waits for its thread
    grave_->close();
    --own_tasks();
}

Error Carrier::start(const std::shared_ptr<Carrier>& carrier, Handlers handlers) {
    Carrier& self = *carrier;
    self.handlers_ = std::move(handlers);
    static_cast<void>(self.client_->on_event([&self](const Event& event) { self.deliver(event); }));
    static_cast<void>(self.client_->before_attempt(
        std::function<void(Attempt&)>([&self](Attempt& attempt) { self.handlers_.before_attempt(attempt); })));
    {
        const std::lock_guard lock(self.mutex_);
        self.self_ = carrier;
    }
    Error error = self.client_->start();
    if (error) {
        const std::lock_guard lock(self.mutex_);
        self.self_ = nullptr;
    }
    return error;
}

void Carrier::deliver(const Event& event) {
    const auto watch = watch_of_thread();
    bool wanted = false;
    {
        const std::lock_guard lock(mutex_);
        if (watch_ == nullptr) watch_ = watch;
        wanted = delivering_ = !let_go_;
    }
    if (wanted) {
        watch->begin();
        handlers_.on_event(event);
        watch->end();
    }
    std::shared_ptr<Carrier> self;
    {
        const std::lock_guard lock(mutex_);
        delivering_ = false;
        if (let_go_ || is_last(event)) self = std::move(self_);
    }
    if (self == nullptr || grave_ == nullptr) return;  // perhaps destroyed now, which may happen inside its handler
    // Who waits for the thread must be another one.
    Service::graves().at(Clock::now(), [self = std::move(self)]() mutable { self.reset(); });
}

void Carrier::let_go() {
    {
        const std::lock_guard lock(mutex_);
        let_go_ = true;
    }
    client_->begin_stop(0ms);
}

bool Carrier::try_let_go() {
    {
        const std::lock_guard lock(mutex_);
        if (delivering_) return false;
        let_go_ = true;
    }
    client_->begin_stop(0ms);
    return true;
}

bool Carrier::held_up() const {
    const std::lock_guard lock(mutex_);
    if (watch_ == nullptr) return true;
    const Clock::time_point now = Clock::now();
    const bool inside = watch_->began.load(std::memory_order_relaxed) != Watch::nothing;
    return (inside && now - at(watch_->began) > long_time) || now - at(watch_->ended_long) < aftermath;
}

void Carrier::wait_for_all(Clock::time_point until) {
    const auto left = [] { return own_tasks() + SharedLoops::all().clients(); };
    while (left() != 0 && Clock::now() < until) std::this_thread::sleep_for(1ms);
}

void Carrier::Grave::close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
}

bool Carrier::Grave::wait(Clock::time_point until) {
    std::unique_lock lock(mutex_);
    return wait_until(changed_, lock, until, [this] { return closed_; });
}

}  // namespace tern::esp
