// The driver: it owns sockets, clock and lock, and does what ClientCore says. All of the protocol is in the core.
//
// The lock guards the core's calls of the groups `whole` and `send` and the sockets. Events are taken and delivered
// without it, by the loop's thread alone. What a handler sends costs no atomic operation (LoopMutex). Other threads
// send under the lock, and leave everything else to the loop. Whoever writes gives the lock away meanwhile, so that
// others can send: their messages leave with its next write. What moves or ends a connection waits until nobody writes
// (`whole`). Compressing a message takes no lock, and one thread at a time does it.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <forward_list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <tern/core.hpp>

#include "descriptor.hpp"
#include "engine.hpp"
#include "lookup_pool.hpp"
#include "loop_mutex.hpp"
#include "wait_list.hpp"

namespace tern::driver {

/// Longer limits would only serve to overflow a time point.
inline std::chrono::milliseconds bounded(std::chrono::milliseconds limit) {
    return std::clamp<std::chrono::milliseconds>(limit, std::chrono::milliseconds(0), std::chrono::hours(24 * 365));
}

class Runner : public std::enable_shared_from_this<Runner>, public Watcher {
public:
    Runner(std::shared_ptr<Engine> engine, std::shared_ptr<const Config> config);
    Runner(const Runner&) = delete;
    Runner& operator=(const Runner&) = delete;
    virtual ~Runner();

    // Any thread, handlers included.
    Error start(StartMode mode);
    std::error_code send(Opcode opcode, Bytes payload, const SendOptions& options);
    std::error_code send_part(Opcode opcode, Bytes payload, bool fin, const SendOptions& options);
    std::error_code ping(Bytes payload);
    std::error_code pong(Bytes payload);
    /// Waits until at most `left` bytes are queued. Any thread; on the loop's own it waits for the kernel itself.
    std::error_code flush_until(TimePoint deadline, std::size_t left);
    std::error_code close(CloseCode code, std::string_view reason);
    std::error_code reopen(CloseCode code, std::string_view reason);
    std::error_code abort();
    std::error_code set_reconnect_delays(std::chrono::milliseconds min, std::chrono::milliseconds max);
    /// Waits until the kernel has everything; `call_timeout`, `not_connected`, `would_deadlock`.
    std::error_code drain(std::chrono::milliseconds limit);
    void reconnect_now();
    std::error_code refresh();
    /// No events are delivered until it is wanted no more; what arrives stays in the network.
    void pause(bool wanted);
    /// Begins to close, and drops the connection when `limit` has passed. Does not wait.
    void begin_stop(std::chrono::milliseconds limit);
    /// Waits until no life is running and no handler either; at most until `deadline`, if there is one. False: not yet.
    bool wait_until_idle(std::optional<TimePoint> deadline);
    /// No life begins any more; a handler of the last event may want it to.
    void retire();
    /// No event is delivered from now on, except for the one that is being delivered.
    void mute() noexcept { muted_ = true; }
    /// The answer to `ask`. The first one counts.
    void answer(StreamId id, Attempt attempt, Error error);
    /// Makes the loop look after the core soon.
    void wake();
    /// Is an event being delivered? Only on the loop's thread.
    [[nodiscard]] bool in_handler() const;
    [[nodiscard]] const Config& config() const noexcept { return *config_; }
    [[nodiscard]] State state() const;
    [[nodiscard]] Stats stats() const;
    [[nodiscard]] bool on_loop_thread() const noexcept { return engine_->on_thread(); }

    // For the engine, on the loop's thread.
    void on_readable(StreamId id) override;
    void on_writable(StreamId id, bool sound) override;
    void on_deadline();
    /// False: it is still busy, and has to be asked again.
    bool trim_if_quiet();

protected:
    /// A life begins, or has ended. Under the lock: must not call the runner.
    virtual void on_start(StartMode mode) = 0;
    virtual void on_idle() = 0;
    /// Is `ask` wanted before each attempt? Under the lock, when a life begins.
    [[nodiscard]] virtual bool asks() const = 0;
    /// What is the next attempt to use? On the loop's thread, without the lock; `answer` comes from any thread.
    virtual void ask(const Command& command) noexcept = 0;
    /// An event, on the loop's thread, without the lock. May the next one be delivered too, as `ready_for_event` says?
    virtual bool deliver(const Event& event) noexcept = 0;
    /// The same for several messages, of which there is at least one. How many were delivered? All, unless the next
    /// one may not be delivered now, or `interrupted`.
    virtual std::size_t deliver(std::span<const MessageView> messages) noexcept;
    /// May the next event be delivered now? If not, call `wake` when that changes. While the client is being stopped
    /// nobody asks.
    [[nodiscard]] virtual bool ready_for_event() = 0;
    /// Bytes have left, or the state may have changed; only told while it is being watched. Under the lock: must not
    /// call the runner.
    virtual void on_progress() {}
    /// Is `on_progress` wanted? If so, it is told once in any case.
    void watch_progress(bool wanted);
    [[nodiscard]] Engine& engine() const noexcept { return *engine_; }
    /// No more messages are to be delivered, for now or at all.
    [[nodiscard]] bool interrupted() const noexcept {
        return paused_.load(std::memory_order_relaxed) || muted_.load(std::memory_order_relaxed);
    }
    /// There was none for an event that was delivered: the life ends. Without the lock.
    void lack_memory();

private:
    friend class Engine;
    using Mutex = LoopMutex<Engine>;
    using Lock = std::unique_lock<Mutex>;

    struct Stream {
        Stream(StreamId number, Descriptor descriptor) noexcept : id(number), socket(std::move(descriptor)) {}

        StreamId id;
        Descriptor socket;
        std::unique_ptr<Watch> watch;
        bool connecting = false;
        bool connected = false;
        bool reading = false;   ///< Somebody will look after what can be read.
        bool exhausted = true;  ///< The last read got all there was.
        bool in_vain = false;   ///< The last read got nothing.
        bool at_end = false;    ///< The last read got all there will ever be.
        bool no_room = false;   ///< The core had no room; `pump` comes before the next wait.
        bool waiting_to_write = false;
        /// Of the system; 0: none. What the peer said last is read yet, and then this is the end.
        int write_error = 0;
    };

    struct Pending {
        StreamId id;
        LookupPool::Ticket ticket;
    };

    enum class Taken : std::uint8_t { nothing, some, held_back };
    /// What a read got: `nothing` has happened, or something; there may be `more`.
    enum class Got : std::uint8_t { nothing, something, more };

    std::error_code send_slowly(Opcode opcode, Bytes payload, const SendOptions& options);
    std::error_code send(Outgoing& outgoing);
    std::error_code try_to_send(Outgoing& outgoing, Lock& lock, std::size_t& size);
    void pump();
    template <class Action>
    void guarded(const Action& action);
    void run_out_of_memory();
    Error begin(StartMode mode);
    Taken run(Lock& lock);
    void rest(Lock& lock, Taken taken);
    void advance(Lock& lock);
    Taken take_events(Lock& lock);
    Taken take_events(bool stopping);
    void follow_intents(TimePoint now);
    void run_commands();
    void run(const Command& command);
    void start_asking(const Command& command);
    void start_resolve(const Command& command);
    void end_lookup(StreamId id);
    void start_connect(const Command& command);
    void report_connected(StreamId id, const std::error_code& error, Lock lock);
    void end_stream(StreamId id);
    [[nodiscard]] Lock whole();
    void flush_and_settle(Lock& lock, bool more);
    bool flush(Lock& lock, bool forced = false);
    bool flush(Stream& stream, Lock& lock, bool forced);
    std::error_code noted(std::error_code error);
    void end_writing(Stream& stream, const std::error_code& error);
    void start_reading();
    void read_soon(StreamId id);
    Got read(StreamId id, Lock& lock);
    void end_reading(Stream& stream, const std::error_code& error, TimePoint now);
    void note_activity();
    void tell_progress();
    void post_pump();
    void arm_timer();
    void note_end_of_life();
    Stream* find(StreamId id);

    const std::shared_ptr<const Config> config_;
    const std::shared_ptr<Engine> engine_;
    static constexpr std::size_t no_deadline = ~std::size_t{0};
    std::size_t place_ = 0;               ///< In the engine's list of lives.
    std::size_t deadline_ = no_deadline;  ///< Its place among the engine's deadlines.

    mutable Mutex mutex_;
    bool writing_ = false;  ///< A thread gives the kernel what `tx` has lent, without the lock.
    int want_whole_ = 0;    ///< Threads that wait until nobody does.
    WaitList written_;
    WaitList idle_;
    WaitList progress_;         ///< Bytes have left, or the state may have changed.
    WaitList compressed_;       ///< `compressing_` is false again.
    bool compressing_ = false;  ///< A thread compresses a message and queues it; the order of both is the same.
    bool watching_ = false;     ///< `on_progress` is wanted.
    ClientCore core_;
    std::forward_list<Stream> streams_;   ///< The newest last.
    std::forward_list<Pending> lookups_;  ///< That are under way.
    TimePoint armed_for_ = TimePoint::max();
    bool woken_ = false;
    StreamId asking_ = 0;  ///< `ask` is about to be called for this one; 0: for none.

    // What other threads want from the loop.
    std::optional<StartMode> start_;
    bool prepare_attempts_ = false;  ///< What `asks` said for this life.
    std::optional<TimePoint> drop_at_;
    bool reconnect_now_ = false;
    bool refresh_ = false;
    bool abort_ = false;
    struct Delays {
        std::chrono::milliseconds min;
        std::chrono::milliseconds max;
    };
    std::unique_ptr<Delays> delays_;
    std::atomic<bool> paused_ = false;

    bool retired_ = false;
    bool running_ = false;     ///< From `start` until the last event of the life was delivered.
    bool stopping_ = false;    ///< From `begin_stop` until the next `start`.
    bool entered_ = false;     ///< The engine knows of the life.
    bool in_handler_ = false;  ///< Events are being taken and delivered.
    bool ready_ = true;        ///< For the next event, as far as is known. On the loop's thread.
    bool active_ = false;      ///< The engine will ask whether it has become quiet.
    bool quiet_ = false;       ///< Nothing has happened since it was asked last.
    std::atomic<bool> muted_ = false;
};

}  // namespace tern::driver
