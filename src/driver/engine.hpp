// Where clients live: something that runs one thing at a time, knows when sockets are ready, and a list of the lives
// that depend on it.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <tern/core.hpp>
#include <tern/error.hpp>

#include "block_cache.hpp"

namespace tern::driver {

class Runner;

/// Is told what the sockets of its streams can do, on the loop's thread.
class Watcher {
public:
    Watcher() = default;
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;
    virtual void on_readable(StreamId id) = 0;
    /// `sound`: the system says that nothing is wrong with it; otherwise that is not known.
    virtual void on_writable(StreamId id, bool sound) = 0;

protected:
    ~Watcher() = default;
};

/// Waits for what a socket can do, once each time it is asked. Goes before the socket is closed.
class Watch {
public:
    Watch() = default;
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    virtual ~Watch() = default;

    /// `Watcher::on_readable` when there is something to read, or the end of it. `exhausted`: the last read got all
    /// there was. On the loop's thread.
    virtual void wait_readable(bool exhausted) = 0;
    /// `Watcher::on_writable` when there is room, or the connection stands or has failed. Any thread, under the
    /// runner's lock. It may be ready already, so the caller tries once more.
    virtual void wait_writable() = 0;
    /// The peer has ended, and what was before the end had arrived when `on_readable` was called: a read that has not
    /// filled all of its room has got the last of it. On the loop's thread.
    [[nodiscard]] virtual bool ended() const noexcept = 0;
    /// Reads what there is, without waiting; 0 without an error: the peer has ended. `space` is not empty. On the
    /// loop's thread.
    [[nodiscard]] virtual std::size_t read(std::span<std::byte> space, std::error_code& error) = 0;
};

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
    using Task = std::function<void()>;

    Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;
    virtual ~Engine();

    /// The way in for threads that must not keep the engine alive, because it may belong to somebody else's loop.
    class Gate {
    public:
        /// Posts it, unless the engine has gone.
        void post(Task task) {
            const std::lock_guard lock(mutex_);
            if (engine_ != nullptr) engine_->post(std::move(task));
        }

    private:
        friend class Engine;
        std::mutex mutex_;
        Engine* engine_ = nullptr;
    };
    [[nodiscard]] const std::shared_ptr<Gate>& gate() const noexcept { return gate_; }

    /// Runs it on the loop's thread, later. Any thread.
    virtual void post(Task task) = 0;
    /// Is the caller inside something that runs here?
    [[nodiscard]] virtual bool on_thread() const noexcept = 0;
    /// Keeps the watcher alive. `descriptor` is a socket that does not block, and stays the caller's. Null, and errno,
    /// if the system has no room for it. On the loop's thread.
    [[nodiscard]] virtual std::unique_ptr<Watch> watch(std::shared_ptr<Watcher> watcher, StreamId id,
                                                       int descriptor) = 0;

    [[nodiscard]] BufferPool* buffers() noexcept { return &buffers_; }
    /// For messages that are cut before the first of them is delivered. On the loop's thread.
    [[nodiscard]] std::span<MessageView> message_room() noexcept { return message_room_; }

    /// A life begins: the engine keeps running until `leave`. An error if it cannot, or has ended. `again`: the last
    /// life of the runner has not left.
    [[nodiscard]] Error enter(Runner& runner, bool again);
    void leave(Runner& runner) noexcept;
    /// No life begins from now on. Returns those that are running, for the caller to end them.
    [[nodiscard]] std::vector<std::shared_ptr<Runner>> close();

    // The runners' deadlines, on the loop's thread.
    /// `Runner::on_deadline` will be called then, and not at an earlier time that was set before. Keeps the runner
    /// alive.
    void arm(Runner& runner, TimePoint at);
    void disarm(Runner& runner) noexcept;
    /// Forgets all of them; the executor's context is being destroyed.
    void disarm_all() noexcept;

    /// The runner, which is in a life, has done something; it will be asked to trim when it has been quiet for a while.
    /// Any thread, under the runner's lock.
    void note_activity(Runner& runner);

    /// Runners, for spreading them.
    [[nodiscard]] std::size_t runners() const noexcept { return runners_.load(std::memory_order_relaxed); }
    void count_runner(int change) noexcept { runners_.fetch_add(static_cast<std::size_t>(change)); }

protected:
    /// Under the lock, when a life begins. The error of the system, if it has no thread to give.
    [[nodiscard]] virtual std::error_code run() { return {}; }
    [[nodiscard]] std::size_t lives() const noexcept { return life_count_.load(std::memory_order_relaxed); }

    /// There is one alarm for everything here. `on_alarm` is to be called at `at` and not at the time that was set
    /// before; never for TimePoint::max().
    virtual void set_alarm(TimePoint at) = 0;
    void on_alarm();

    std::mutex mutex_;

private:
    struct Deadline {
        TimePoint at;
        std::shared_ptr<Runner> runner;
    };

    void count_lives() noexcept;
    void update_alarm();
    void sift(std::size_t place) noexcept;
    void place(std::size_t at, Deadline deadline) noexcept;
    void sweep();

    const std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
    BlockCache buffers_;
    std::atomic<std::size_t> runners_ = 0;
    bool closed_ = false;
    std::vector<Runner*> lives_;
    std::atomic<std::size_t> life_count_ = 0;
    std::vector<std::weak_ptr<Runner>> active_;
    bool sweeping_ = false;  ///< It is known when the next sweep is, or about to be.
    // Only touched on the loop's thread.
    std::array<MessageView, 32> message_room_;
    std::vector<Deadline> deadlines_;  ///< A heap, the earliest first.
    TimePoint sweep_at_ = TimePoint::max();
    TimePoint alarm_at_ = TimePoint::max();
};

}  // namespace tern::driver
