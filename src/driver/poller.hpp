// What the system is asked about by a thread of our own: sockets that are ready, and what other threads have to say.
//
// Each socket is registered once, for edges (EPOLLET), and never again: a turn of the loop is one system call, whatever
// is waited for. What has to be remembered for that is here: an edge that came when nobody was waiting, and an end that
// was told together with bytes. With a ring (ring.hpp) epoll tells of room alone, and that call receives too.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <system_error>
#include <vector>

#include <tern/core.hpp>

#include "descriptor.hpp"
#include "engine.hpp"
#include "reception.hpp"
#include "ring.hpp"

namespace tern::driver {

class Poller {
public:
    using Task = Engine::Task;

    Poller() = default;
    Poller(const Poller&) = delete;
    Poller& operator=(const Poller&) = delete;
    ~Poller() = default;

    /// Before the first turn. The error of the system, if it has none to give.
    [[nodiscard]] std::error_code open();

    /// Any thread. After `end` it is dropped.
    void post(Task task);

    // The loop's thread alone.

    /// Waits and receives in one call from now on, if the build and the system allow it. Before anything is watched.
    void open_ring() { ring_ = Ring::open(epoll_.number()); }
    [[nodiscard]] bool has_ring() const noexcept { return ring_ != nullptr; }
    /// Drops what was posted. Behind the last turn.
    void end();
    /// Null, and errno.
    [[nodiscard]] std::unique_ptr<Watch> watch(std::shared_ptr<Watcher> watcher, StreamId id, int descriptor);
    [[nodiscard]] std::size_t watched() const noexcept { return watched_; }
    /// What was posted. Returns whether there was something.
    bool run_tasks();
    /// Those that can be read without being asked about.
    void run_ready();
    /// Tries to read all that wait, without asking first.
    void read_all();
    /// Waits until `deadline` for something, if there is nothing to do already, and does what it says. `now`: the
    /// time, for whoever has just looked at the clock; not needed without a deadline.
    void wait(TimePoint now, TimePoint deadline);
    /// Does what there is to do.
    void poll() { take(0); }

private:
    class Registration;
    struct Slot {
        std::shared_ptr<Watcher> watcher;  ///< Null: free.
        StreamId id = 0;
        std::uint32_t generation = 0;  ///< An event may have been under way when its socket was closed.
        bool wants_read = false;
        bool readable = false;    ///< An edge came when nobody was waiting.
        bool ended = false;       ///< By the peer or an error: no further edge comes.
        bool ended_well = false;  ///< By the peer, and nothing is in front of that but what a read gets.
        bool ready = false;       ///< Is in the list of those.
        std::atomic<bool> wants_write = false;
        std::uint32_t next = nobody;           ///< In the list of those that are ready.
        std::unique_ptr<Reception> reception;  ///< With a ring.
    };

    static constexpr std::uint32_t nobody = ~std::uint32_t{0};

    [[nodiscard]] std::uint32_t place_for(std::shared_ptr<Watcher> watcher, StreamId id);
    [[nodiscard]] std::uint64_t key_of(std::uint32_t place) const noexcept {
        return std::uint64_t{slots_[place].generation} << 32u | place;
    }
    void wait_readable(std::uint32_t place, bool exhausted);
    void forget(std::uint32_t place) noexcept;
    void make_ready(std::uint32_t place) noexcept;
    void take(int timeout);
    [[nodiscard]] std::size_t take_events(int timeout);
    void take_received() noexcept;
    void on_event(std::uint64_t key, std::uint32_t events);
    void read(Slot& slot);

    Descriptor epoll_;
    Descriptor bell_;  ///< An eventfd.
    std::unique_ptr<Ring> ring_;
    bool epoll_told_ = false;  ///< By the ring: epoll has something.
    // Slots stay where they are, because other threads may be about to want to write.
    std::deque<Slot> slots_;
    std::vector<std::uint32_t> free_;
    std::size_t watched_ = 0;
    // Those that can be read, in their order.
    std::uint32_t first_ready_ = nobody;
    std::uint32_t last_ready_ = nobody;

    std::mutex mutex_;
    std::vector<Task> tasks_;
    bool ended_ = false;
    // Whoever posts sets the one and looks at the other, and so does the loop the other way round; one of them sees it.
    std::atomic<bool> has_tasks_ = false;
    std::atomic<bool> asleep_ = false;
    std::vector<Task> running_;
};

}  // namespace tern::driver
