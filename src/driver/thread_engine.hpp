// An engine with a thread of its own.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "engine.hpp"
#include "poller.hpp"

namespace tern::driver {

/// The thread begins with the first life.
class ThreadEngine final : public Engine {
public:
    explicit ThreadEngine(bool spin = false) : spin_(spin) {}

    void post(Task task) override { poller_.post(std::move(task)); }
    [[nodiscard]] bool on_thread() const noexcept override { return id_ == std::this_thread::get_id(); }
    [[nodiscard]] std::unique_ptr<Watch> watch(std::shared_ptr<Watcher> watcher, StreamId id, int descriptor) override;

    /// Lets the thread end when nothing is under way any more, and waits for that unless `detached`. The last call.
    void finish(bool detached);

private:
    [[nodiscard]] std::error_code run() override;
    void set_alarm(TimePoint at) override { alarm_ = at; }
    void loop();
    void turn();
    [[nodiscard]] bool is_over() const noexcept;

    Poller poller_;
    const bool spin_;
    TimePoint alarm_ = TimePoint::max();
    unsigned turns_ = 0;
    std::atomic<bool> finishing_ = false;
    std::atomic<std::thread::id> id_;
    std::thread thread_;
};

}  // namespace tern::driver
