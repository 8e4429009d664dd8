// Event handlers, and calling them: one at a time, in the order of registration, with no lock held. Used by the event
// loops and by the clients.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "esp_event_base.h"
#include "ticks.hpp"

namespace tern::esp {

class Handlers {
public:
    struct Handler {
        esp_event_base_t base = nullptr;  ///< Null: any.
        std::int32_t id = ESP_EVENT_ANY_ID;
        esp_event_handler_t function = nullptr;
        std::atomic<void*> argument = nullptr;
        std::atomic<bool> registered = true;
    };

    Handlers() = default;
    Handlers(const Handlers&) = delete;
    Handlers& operator=(const Handlers&) = delete;

    /// Is the calling thread inside a handler, of whatever loop or client? It must not wait for handlers then.
    [[nodiscard]] static bool inside() noexcept;

    /// The new one; with `replace` the argument of the one that is the same in all else.
    std::shared_ptr<Handler> add(esp_event_base_t base, std::int32_t id, esp_event_handler_t function, void* argument,
                                 bool replace);
    /// False: there is none. When it returns, the handler does not run, unless the caller is inside one.
    bool remove(esp_event_base_t base, std::int32_t id, esp_event_handler_t function);
    bool remove(const void* instance);
    /// No handler begins from now on.
    void mute() noexcept { muted_ = true; }
    /// Waits for the handler that is running, if the caller may wait.
    void wait_until_quiet();

    /// Calls all handlers of the event; waits for another thread that does so. May be called inside a handler of the
    /// same object. False: the other thread took longer than `limit`, and nothing was called.
    bool call(esp_event_base_t base, std::int32_t id, void* data,
              std::optional<std::chrono::milliseconds> limit = std::nullopt);

private:
    using List = std::vector<std::shared_ptr<Handler>>;

    bool remove_first(const std::function<bool(const Handler&)>& matches);

    std::mutex mutex_;
    std::condition_variable quiet_;
    std::shared_ptr<const List> list_ = std::make_shared<const List>();  ///< Replaced, never changed.
    std::thread::id caller_;
    unsigned depth_ = 0;  ///< Nested calls of `caller_`.
    std::atomic<bool> muted_ = false;
};

}  // namespace tern::esp
