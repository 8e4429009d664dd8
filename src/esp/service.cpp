#include "service.hpp"

#include <pthread.h>
#include <system_error>
#include <thread>

#include "signals.hpp"

namespace tern::esp {

Service& Service::timers() {
    static auto* const service = new Service("Tmr Svc");
    return *service;
}
Service& Service::esp_timers() {
    static auto* const service = new Service("esp_timer");
    return *service;
}
Service& Service::clients() {
    static auto* const service = new Service("websocket_time");
    return *service;
}

Service& Service::graves() {
    static auto* const service = new Service("websocket_end");
    return *service;
}

Service::Id Service::at(Clock::time_point when, std::function<void()> what) {
    const std::lock_guard lock(mutex_);
    if (!ensure_thread()) return 0;
    const Id id = ++last_;
    const auto [place, inserted] = waiting_.emplace(std::pair(when, id), std::move(what));
    times_.emplace(id, when);
    if (place == waiting_.begin()) changed_.notify_one();
    return id;
}

bool Service::cancel(Id id) {
    std::function<void()> dropped;  // outlives the lock: its captures may end something
    const std::lock_guard lock(mutex_);
    const auto found = times_.find(id);
    if (found == times_.end()) return false;
    const auto place = waiting_.find({found->second, id});
    dropped = std::move(place->second);
    waiting_.erase(place);
    times_.erase(found);
    return true;
}

std::optional<Clock::time_point> Service::next() {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) return std::nullopt;
    return waiting_.begin()->first.first;
}

bool Service::ensure_thread() {
    if (running_) return true;
    const SignalsBlocked blocked;
    try {
        std::thread([this] { run(); }).detach();
    } catch (const std::system_error&) {
        return false;
    }
    running_ = true;
    return true;
}

void Service::run() {
    pthread_setname_np(pthread_self(), name_);
    std::unique_lock lock(mutex_);
    for (;;) {
        if (waiting_.empty()) {
            changed_.wait(lock);
            continue;
        }
        const auto first = waiting_.begin();
        const Clock::time_point when = first->first.first;
        if (Clock::now() < when) {
            changed_.wait_until(lock, when);
            continue;
        }
        std::function<void()> what = std::move(first->second);
        times_.erase(first->first.second);
        waiting_.erase(first);
        lock.unlock();
        what();
        what = nullptr;
        lock.lock();
    }
}

}  // namespace tern::esp
