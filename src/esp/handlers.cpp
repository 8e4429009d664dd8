#include "handlers.hpp"

#include <algorithm>
#include <exception>

#include "esp_log.h"

namespace tern::esp {
namespace {

thread_local unsigned nesting = 0;

/// C programs throw nothing; C++ programs may, and it must not reach the client's loop.
void call_one(const Handlers::Handler& handler, esp_event_base_t base, std::int32_t id, void* data) {
    try {
        handler.function(handler.argument, base, id, data);
    } catch (const std::exception& exception) {
        ESP_LOGE("event", "a handler threw: %s", exception.what());
    }
}

}  // namespace

bool Handlers::inside() noexcept { return nesting > 0; }

std::shared_ptr<Handlers::Handler> Handlers::add(esp_event_base_t base, std::int32_t id, esp_event_handler_t function,
                                                 void* argument, bool replace) {
    const std::lock_guard lock(mutex_);
    if (replace) {
        for (const auto& each : *list_) {
            if (each->base != base || each->id != id || each->function != function) continue;
            each->argument = argument;
            return each;
        }
    }
    auto handler = std::make_shared<Handler>();
    handler->base = base;
    handler->id = id;
    handler->function = function;
    handler->argument = argument;
    auto list = std::make_shared<List>(*list_);
    list->push_back(handler);
    list_ = std::move(list);
    return handler;
}

bool Handlers::remove(esp_event_base_t base, std::int32_t id, esp_event_handler_t function) {
    return remove_first(
        [&](const Handler& each) { return each.base == base && each.id == id && each.function == function; });
}

bool Handlers::remove(const void* instance) {
    return remove_first([&](const Handler& each) { return &each == instance; });
}

bool Handlers::remove_first(const std::function<bool(const Handler&)>& matches) {
    {
        const std::lock_guard lock(mutex_);
        auto list = std::make_shared<List>(*list_);
        const auto found = std::find_if(list->begin(), list->end(), [&](const auto& each) { return matches(*each); });
        if (found == list->end()) return false;
        (*found)->registered = false;
        list->erase(found);
        list_ = std::move(list);
    }
    wait_until_quiet();
    return true;
}

void Handlers::wait_until_quiet() {
    if (inside()) return;
    std::unique_lock lock(mutex_);
    quiet_.wait(lock, [this] { return depth_ == 0; });
}

bool Handlers::call(esp_event_base_t base, std::int32_t id, void* data,
                    std::optional<std::chrono::milliseconds> limit) {
    std::shared_ptr<const List> list;
    {
        std::unique_lock lock(mutex_);
        const std::thread::id self = std::this_thread::get_id();
        const auto mine = [&] { return depth_ == 0 || caller_ == self; };
        if (!wait_until(quiet_, lock, limit ? Clock::now() + *limit : Clock::time_point::max(), mine)) return false;
        caller_ = self;
        ++depth_;
        list = list_;
    }
    ++nesting;
    for (const auto& each : *list) {
        const bool wanted = (each->base == nullptr || each->base == base) &&
                            (each->id == ESP_EVENT_ANY_ID || each->id == id) && each->registered && !muted_;
        if (wanted) call_one(*each, base, id, data);
    }
    --nesting;
    const std::lock_guard lock(mutex_);
    if (--depth_ == 0) quiet_.notify_all();
    return true;
}

}  // namespace tern::esp
