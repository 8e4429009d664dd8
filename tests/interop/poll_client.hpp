// The functions of tern::Client that the tests of interoperation use, on the driver of src/posix/: one thread runs the
// loop, and the calls of others are handed to it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <poll_runner.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <tern/client.hpp>

namespace tern::interop {

class PollClient {
    /// Runs it on the loop's thread, and waits.
    template <class Function>
    auto call(const Function& function) {
        if (std::this_thread::get_id() == thread_.get_id()) return function();
        std::packaged_task<decltype(function())()> task(function);
        auto result = task.get_future();
        {
            const std::lock_guard lock(mutex_);
            calls_.emplace_back([&task] { task(); });
        }
        runner_.wake();
        return result.get();
    }

public:
    explicit PollClient(Config config)
        : limit_(config.timeouts.stop), runner_(std::move(config), [this](const Event& event) { deliver(event); }) {
        thread_ = std::thread([this] { loop(); });
    }
    PollClient(const PollClient&) = delete;
    PollClient& operator=(const PollClient&) = delete;
    ~PollClient() {
        stop();
        {
            const std::lock_guard lock(mutex_);
            ending_ = true;
        }
        runner_.wake();
        thread_.join();
    }

    void on_open(std::function<void(const Handshake&)> handler) { on_open_ = std::move(handler); }
    void on_chunk(std::function<void(const ChunkView&)> handler) { on_chunk_ = std::move(handler); }
    void on_close(std::function<void(const CloseInfo&)> handler) { on_close_ = std::move(handler); }
    void on_event(std::function<void(const Event&)> handler) { on_event_ = std::move(handler); }

    Error start() {
        return call([this] { return runner_.start(); });
    }
    Error connect() {
        if (Error error = call([this] { return runner_.start(StartMode::once); })) return error;
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return opened_ || ended_; });
        return opened_ ? Error() : ending_error_;
    }
    std::error_code close(CloseCode code = CloseCode::normal, std::string_view reason = {}) {
        return call([&] { return runner_.close(code, reason); });
    }
    void stop() {
        const std::error_code error = close(CloseCode::going_away);
        if (!error || error == make_error_code(Errc::already_closing)) {
            std::unique_lock lock(mutex_);
            changed_.wait_for(lock, limit_, [this] { return ended_; });
        }
        call([this] {
            runner_.stop();
            return 0;
        });
    }
    std::error_code send_text(std::string_view text, const SendOptions& options = {}) {
        return call([&] { return runner_.send(Opcode::text, as_bytes(text), options); });
    }
    std::error_code send_binary(Bytes bytes) {
        return call([&] { return runner_.send(Opcode::binary, bytes); });
    }
    std::error_code send_part(Opcode opcode, Bytes bytes, bool fin) {
        return call([&] { return runner_.send_part(opcode, bytes, fin); });
    }
    std::error_code ping(std::string_view payload = {}) {
        return call([&] { return runner_.ping(as_bytes(payload)); });
    }
    Result<Message> receive(std::chrono::milliseconds limit) {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, limit, [this] { return !inbox_.empty() || ended_; })) {
            return Error(Errc::call_timeout);
        }
        if (inbox_.empty()) return ending_error_;
        Message message = std::move(inbox_.front());
        inbox_.pop_front();
        return message;
    }
    Stats stats() {
        return call([this] { return runner_.stats(); });
    }

private:
    void loop() {
        for (;;) {
            std::deque<std::function<void()>> calls;
            {
                const std::lock_guard lock(mutex_);
                if (ending_) return;
                calls.swap(calls_);
            }
            for (const auto& each : calls) each();
            if (calls.empty()) runner_.run_once(std::chrono::seconds(10));
        }
    }

    void deliver(const Event& event) {
        if (on_event_) on_event_(event);
        if (event.kind == Event::Kind::open && on_open_) on_open_(*event.handshake);
        if (event.kind == Event::Kind::chunk && on_chunk_) on_chunk_(event.chunk);
        if (event.kind == Event::Kind::closed && on_close_) on_close_(*event.close);
        const std::lock_guard lock(mutex_);
        switch (event.kind) {
            case Event::Kind::connecting: ended_ = false; break;
            case Event::Kind::open: opened_ = true; break;
            case Event::Kind::message: inbox_.push_back({event.opcode, std::string(as_text(event.bytes))}); break;
            case Event::Kind::closed:
            case Event::Kind::failed:
                ending_error_ = *event.error;
                ended_ = event.close == nullptr || !event.close->will_reconnect;
                break;
            default: break;
        }
        changed_.notify_all();
    }

    std::function<void(const Handshake&)> on_open_;
    std::function<void(const ChunkView&)> on_chunk_;
    std::function<void(const CloseInfo&)> on_close_;
    std::function<void(const Event&)> on_event_;
    const std::chrono::milliseconds limit_;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> calls_;
    std::deque<Message> inbox_;
    bool opened_ = false;
    bool ended_ = false;
    bool ending_ = false;
    Error ending_error_;

    posix::PollRunner runner_;
    std::thread thread_;
};

}  // namespace tern::interop
