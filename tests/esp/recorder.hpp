// A client whose events are written down, with waiting that cannot hang a test.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "esp_websocket_client.h"

namespace tern::esp::test {

using namespace std::chrono_literals;

/// Long enough for a machine under a sanitizer and other tests; reaching it is a failure.
constexpr auto patience = 20s;

inline const char* name_of(std::int32_t id) {
    switch (id) {
        case WEBSOCKET_EVENT_ERROR: return "ERROR";
#if WS_TRANSPORT_HEADER_CALLBACK_SUPPORT
        case WEBSOCKET_EVENT_HEADER_RECEIVED: return "HEADER";
#endif
        case WEBSOCKET_EVENT_CONNECTED: return "CONNECTED";
        case WEBSOCKET_EVENT_DISCONNECTED: return "DISCONNECTED";
        case WEBSOCKET_EVENT_DATA: return "DATA";
        case WEBSOCKET_EVENT_CLOSED: return "CLOSED";
        case WEBSOCKET_EVENT_BEFORE_CONNECT: return "BEFORE_CONNECT";
        case WEBSOCKET_EVENT_BEGIN: return "BEGIN";
        case WEBSOCKET_EVENT_FINISH: return "FINISH";
        default: return "?";
    }
}

/// An event with copies of what it points to.
struct Seen {
    std::int32_t id = 0;
    std::string text;
    esp_websocket_event_data_t data{};

    [[nodiscard]] std::string name() const { return name_of(id); }
};

class Recorder {
public:
    /// `prepare`: more settings, and more handlers. Not started yet.
    explicit Recorder(const std::string& uri, const std::function<void(esp_websocket_client_config_t&)>& prepare = {}) {
        esp_websocket_client_config_t config{};
        config.uri = uri.empty() ? nullptr : uri.c_str();
        config.disable_auto_reconnect = true;
        config.network_timeout_ms = 5'000;
        config.user_context = this;
        if (prepare) prepare(config);
        handle = esp_websocket_client_init(&config);
        esp_websocket_register_events(handle, WEBSOCKET_EVENT_ANY, note, this);
    }
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;
    ~Recorder() { esp_websocket_client_destroy(handle); }

    esp_err_t start() { return esp_websocket_client_start(handle); }
    bool wait_for(std::int32_t id, std::size_t count = 1) {
        return wait([&] { return count_locked(id) >= count; });
    }
    bool wait_for_finish() { return wait_for(WEBSOCKET_EVENT_FINISH); }
    template <class Predicate>
    bool wait(Predicate predicate) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, patience, predicate);
    }

    [[nodiscard]] std::vector<Seen> seen() const {
        const std::lock_guard lock(mutex_);
        return seen_;
    }
    /// Their names in order; several headers in a row are one.
    [[nodiscard]] std::vector<std::string> names() const {
        std::vector<std::string> names;
        for (const Seen& each : seen()) {
            if (each.name() == "HEADER" && !names.empty() && names.back() == "HEADER") continue;
            names.push_back(each.name());
        }
        return names;
    }
    [[nodiscard]] std::vector<Seen> of(std::int32_t id) const {
        std::vector<Seen> result;
        for (const Seen& each : seen()) {
            if (each.id == id) result.push_back(each);
        }
        return result;
    }
    [[nodiscard]] Seen last(std::int32_t id) const {
        const std::vector<Seen> all = of(id);
        return all.empty() ? Seen() : all.back();
    }
    [[nodiscard]] std::size_t count(std::int32_t id) const { return of(id).size(); }

    esp_websocket_client_handle_t handle = nullptr;
    /// Called inside the handler, after the event was written down. What it refers to has to be declared before the
    /// recorder: the client whose end comes with the recorder still has events to tell.
    std::function<void(const Seen&)> also;

private:
    static void note(void* argument, esp_event_base_t base, std::int32_t id, void* data) {
        auto& self = *static_cast<Recorder*>(argument);
        Seen seen;
        seen.id = base == WEBSOCKET_EVENTS ? id : 1000;
        seen.data = *static_cast<esp_websocket_event_data_t*>(data);
        if (seen.data.data_ptr != nullptr) {
            seen.text.assign(seen.data.data_ptr, static_cast<std::size_t>(seen.data.data_len));
        }
        {
            const std::lock_guard lock(self.mutex_);
            self.seen_.push_back(seen);
            self.changed_.notify_all();
        }
        if (self.also) self.also(seen);
    }
    [[nodiscard]] std::size_t count_locked(std::int32_t id) const {
        std::size_t count = 0;
        for (const Seen& each : seen_) count += each.id == id ? 1 : 0;
        return count;
    }

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Seen> seen_;
};

}  // namespace tern::esp::test
