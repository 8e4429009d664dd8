// An event loop and the thread that runs it.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>

namespace tern::driver {

/// Shared by the thread and by whoever may still post to the loop, so that a late answer finds it alive.
class Engine : public std::enable_shared_from_this<Engine> {
public:
    Engine() = default;
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    [[nodiscard]] asio::io_context& io() noexcept { return io_; }

    /// Starts the thread if it does not run. False if the system has no thread to give. Not thread-safe.
    [[nodiscard]] bool run();
    /// Is the caller on the loop's thread?
    [[nodiscard]] bool on_thread() const noexcept { return id_ == std::this_thread::get_id(); }
    /// Lets the thread end when nothing is under way any more, and waits for that; on the thread itself it does not
    /// wait.
    void finish();

private:
    asio::io_context io_{1};
    asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
    std::thread thread_;
    std::atomic<std::thread::id> id_;
};

}  // namespace tern::driver
