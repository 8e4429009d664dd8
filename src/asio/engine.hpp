// Where clients live: an executor that runs one thing at a time, and a list of the lives that depend on it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include <tern/core.hpp>
#include <tern/error.hpp>

#include "block_cache.hpp"

namespace tern::driver {

class Runner;

/// For what wakes a loop, which must not get lost: it is little, and when there is no memory for it, it is asked for
/// until there is.
template <class Action>
void patiently(const Action& action) {
    for (;;) {
        try {
            return action();
        } catch (const std::bad_alloc&) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }
}

/// Shared by the runners that live on it and by whoever may still post to it, so that a late answer finds it alive.
class Engine : public std::enable_shared_from_this<Engine> {
public:
    explicit Engine(asio::any_io_executor executor);
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;
    virtual ~Engine();

    /// The way in for threads that must not keep the engine alive, because it may belong to somebody else's loop.
    class Gate {
    public:
        /// Posts it, unless the engine has gone.
        template <class Function>
        void post(Function function) {
            const std::lock_guard lock(mutex_);
            if (engine_ != nullptr) asio::post(engine_->executor(), std::move(function));
        }

    private:
        friend class Engine;
        std::mutex mutex_;
        Engine* engine_ = nullptr;
    };
    [[nodiscard]] const std::shared_ptr<Gate>& gate() const noexcept { return gate_; }

    [[nodiscard]] const asio::any_io_executor& executor() const noexcept { return executor_; }
    [[nodiscard]] BufferPool* buffers() noexcept { return &buffers_; }
    /// Is the caller inside something that runs here?
    [[nodiscard]] virtual bool on_thread() const noexcept = 0;

    /// A life begins: the engine keeps running until `leave`. An error if it cannot, or has ended.
    [[nodiscard]] Error enter(Runner& runner);
    void leave(Runner& runner) noexcept;
    /// No life begins from now on. Returns those that are running, for the caller to end them.
    [[nodiscard]] std::vector<std::shared_ptr<Runner>> close();

    // The runners' deadlines, on the loop's thread. One timer for all of them.
    /// `Runner::on_deadline` will be called then, and not at an earlier time that was set before. Keeps the runner
    /// alive.
    void arm(Runner& runner, TimePoint at);
    void disarm(Runner& runner) noexcept;
    /// Forgets all of them; the executor's context is being destroyed.
    void disarm_all() noexcept;

    /// Is this runner to be asked for bytes again and again, instead of waiting until there are some?
    [[nodiscard]] virtual bool reads_directly() const noexcept { return false; }
    /// The runner, which is in a life, has done something; it will be asked to trim when it has been quiet for a while.
    /// Any thread, under the runner's lock.
    void note_activity(Runner& runner);

    /// Runners, for spreading them.
    [[nodiscard]] std::size_t runners() const noexcept { return runners_.load(std::memory_order_relaxed); }
    void count_runner(int change) noexcept { runners_.fetch_add(static_cast<std::size_t>(change)); }

protected:
    /// Under the lock, when a life begins: false if there is no thread.
    [[nodiscard]] virtual bool run() { return true; }
    [[nodiscard]] std::size_t lives() const noexcept { return life_count_.load(std::memory_order_relaxed); }
    /// Lets all runners read that are to do it directly. On the loop's thread.
    void read_directly();

    std::mutex mutex_;

private:
    struct Deadline {
        TimePoint at;
        std::shared_ptr<Runner> runner;
    };

    void arm_timer();
    void on_timer();
    void sift(std::size_t place) noexcept;
    void place(std::size_t at, Deadline deadline) noexcept;
    void arm_sweeper();
    void sweep();

    const asio::any_io_executor executor_;
    const std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
    BlockCache buffers_;
    std::atomic<std::size_t> runners_ = 0;
    bool closed_ = false;
    std::vector<Runner*> lives_;
    std::atomic<std::size_t> life_count_ = 0;
    std::vector<std::weak_ptr<Runner>> active_;
    // Only touched on the loop's thread: a heap, the earliest first.
    std::vector<Deadline> deadlines_;
    asio::steady_timer timer_;
    TimePoint timer_at_ = TimePoint::max();
    bool sweeping_ = false;       ///< The timer is set, or about to be.
    asio::steady_timer sweeper_;  ///< Only touched on the loop's thread.
};

/// A base of its own, so that it outlives what else the engine has.
struct OwnContext {
    OwnContext();

    asio::io_context io{1};
};

/// An event loop and the thread that runs it; the thread begins with the first life.
class ThreadEngine final : private OwnContext, public Engine {
public:
    /// std::system_error: the system has not got what a loop needs.
    explicit ThreadEngine(bool spin = false);

    [[nodiscard]] bool on_thread() const noexcept override { return id_ == std::this_thread::get_id(); }
    [[nodiscard]] bool reads_directly() const noexcept override;

    /// Lets the thread end when nothing is under way any more, and waits for that unless `detached`. The last call.
    void finish(bool detached);

private:
    [[nodiscard]] bool run() override;
    void loop();

    asio::executor_work_guard<asio::io_context::executor_type> work_{io.get_executor()};
    const bool spin_;
    std::atomic<std::thread::id> id_;
    std::thread thread_;
};

}  // namespace tern::driver
