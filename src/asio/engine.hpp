// Where clients live: an executor that runs one thing at a time, and a list of the lives that depend on it.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>

#include <tern/error.hpp>

namespace tern::driver {

class Runner;

/// Shared by the runners that live on it and by whoever may still post to it, so that a late answer finds it alive.
class Engine : public std::enable_shared_from_this<Engine> {
public:
    explicit Engine(asio::any_io_executor executor) : executor_(std::move(executor)) {}
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;
    virtual ~Engine() = default;

    [[nodiscard]] const asio::any_io_executor& executor() const noexcept { return executor_; }
    /// Is the caller inside something that runs here?
    [[nodiscard]] virtual bool on_thread() const noexcept = 0;

    /// A life begins: the engine keeps running until `leave`. An error if it cannot, or has ended.
    [[nodiscard]] virtual Error enter(Runner& runner) = 0;
    virtual void leave(Runner& runner) noexcept = 0;

    /// Runners, for spreading them.
    [[nodiscard]] std::size_t runners() const noexcept { return runners_.load(std::memory_order_relaxed); }
    void count_runner(int change) noexcept { runners_.fetch_add(static_cast<std::size_t>(change)); }

private:
    const asio::any_io_executor executor_;
    std::atomic<std::size_t> runners_ = 0;
};

/// An event loop and the thread that runs it; the thread begins with the first life.
class ThreadEngine final : public Engine {
public:
    ThreadEngine() : ThreadEngine(std::make_unique<asio::io_context>(1)) {}

    [[nodiscard]] bool on_thread() const noexcept override { return id_ == std::this_thread::get_id(); }
    [[nodiscard]] Error enter(Runner& runner) override;
    void leave(Runner& runner) noexcept override;

    /// No life begins from now on. Returns those that are running, for the caller to end them.
    [[nodiscard]] std::vector<std::shared_ptr<Runner>> close();
    /// Lets the thread end when nothing is under way any more, and waits for that unless `detached`. The last call.
    void finish(bool detached);

private:
    explicit ThreadEngine(std::unique_ptr<asio::io_context> io);
    [[nodiscard]] bool run();

    std::unique_ptr<asio::io_context> io_;
    asio::executor_work_guard<asio::io_context::executor_type> work_{io_->get_executor()};
    std::atomic<std::thread::id> id_;

    std::mutex mutex_;
    std::thread thread_;
    bool closed_ = false;
    std::vector<Runner*> lives_;
};

}  // namespace tern::driver
