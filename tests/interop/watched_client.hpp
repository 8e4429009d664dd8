// A client whose events are kept, with waiting that cannot hang a test.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "driver_under_test.hpp"

namespace tern::interop {

/// What became of one life.
class WatchedClient {
public:
    /// Long enough for a machine under a sanitizer and other tests; reaching it is a failure.
    static constexpr std::chrono::seconds patience{20};

    explicit WatchedClient(Config config, bool start_now = true) : client_(std::move(config)) {
        static_cast<void>(client_.on_event([this](const Event& event) { note(event); }));
        if (start_now) start_error_ = client_.start();
    }

    Client& operator*() { return client_; }
    Client* operator->() { return &client_; }
    [[nodiscard]] const Error& start_error() const { return start_error_; }

    /// Waits for the end of the life; false: it did not come.
    bool wait_for_end() {
        return wait([this] { return ended_; });
    }
    bool wait_for_open() {
        return wait([this] { return opens_ > 0 || ended_; }) && opens_ > 0;
    }
    bool wait_for_messages(std::size_t count) {
        return wait([this, count] { return messages_.size() >= count; });
    }
    bool wait_for_kind(Event::Kind kind, int count = 1) {
        return wait([this, kind, count] { return counts_[static_cast<std::size_t>(kind)] >= count; });
    }

    // To be asked when the waiting is over.
    [[nodiscard]] Error error() const { return locked(error_); }
    [[nodiscard]] CloseInfo close() const { return locked(close_); }
    [[nodiscard]] bool closed() const { return locked(closed_); }
    [[nodiscard]] Handshake handshake() const { return locked(handshake_); }
    [[nodiscard]] std::vector<Message> messages() const { return locked(messages_); }
    [[nodiscard]] std::vector<std::string> pongs() const { return locked(pongs_); }
    [[nodiscard]] std::chrono::microseconds round_trip() const { return locked(round_trip_); }
    [[nodiscard]] int count(Event::Kind kind) const {
        const std::lock_guard lock(mutex_);
        return counts_[static_cast<std::size_t>(kind)];
    }

private:
    void note(const Event& event) {
        const std::lock_guard lock(mutex_);
        ++counts_[static_cast<std::size_t>(event.kind)];
        switch (event.kind) {
            case Event::Kind::open:
                ++opens_;
                handshake_ = *event.handshake;
                break;
            case Event::Kind::message: messages_.push_back({event.opcode, std::string(as_text(event.bytes))}); break;
            case Event::Kind::pong:
                pongs_.emplace_back(as_text(event.bytes));
                round_trip_ = event.round_trip;
                break;
            case Event::Kind::failed:
                error_ = *event.error;
                ended_ = true;
                break;
            case Event::Kind::closed:
                closed_ = true;
                close_ = *event.close;
                error_ = event.close->error;
                ended_ = !event.close->will_reconnect;
                break;
            default: break;
        }
        changed_.notify_all();
    }
    template <class Predicate>
    bool wait(Predicate predicate) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, patience, predicate);
    }
    template <class T>
    T locked(const T& value) const {
        const std::lock_guard lock(mutex_);
        return value;
    }

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    int opens_ = 0;
    bool ended_ = false;
    bool closed_ = false;
    int counts_[16] = {};
    Error error_;
    CloseInfo close_;
    Handshake handshake_;
    std::vector<Message> messages_;
    std::vector<std::string> pongs_;
    std::chrono::microseconds round_trip_{-1};
    Error start_error_;
    Client client_;  // last: no event comes after it is destroyed
};

/// No reconnecting, and deadlines short enough for a test that runs into them.
inline Config short_config(std::string url) {
    using std::chrono::milliseconds;
    return {.url = std::move(url),
            .timeouts = {.connect = milliseconds(2000),
                         .upgrade = milliseconds(3000),
                         .attempt = milliseconds(5000),
                         .close = milliseconds(300),
                         .stop = milliseconds(300)},
            .keepalive = {.interval = milliseconds(0)},
            .reconnect = {.enabled = false}};
}

/// For servers that do not answer the upgrade in time. All others may be slow because the machine is.
inline Config impatient_config(std::string url) {
    Config config = short_config(std::move(url));
    config.timeouts.upgrade = std::chrono::milliseconds(300);
    return config;
}

/// The same with deadlines that a test never reaches.
inline Config patient_config(std::string url) {
    Config config = short_config(std::move(url));
    config.timeouts = {.stop = std::chrono::milliseconds(100)};
    return config;
}

}  // namespace tern::interop
