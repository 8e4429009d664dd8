// A simulated TCP connection: two pipes with delay, bandwidth and a window.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <string_view>

#include "faults.hpp"
#include "schedule.hpp"

namespace tern::sim {

/// One direction.
class Pipe {
public:
    Pipe(Schedule& schedule, const Link& link) : schedule_(schedule), link_(link) {}
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;

    // --- the writer ---

    /// Takes as much as there is room for, and says how much.
    std::size_t write(std::string_view bytes);
    [[nodiscard]] std::size_t room() const { return ended_ ? 0 : link_.capacity - taken_; }
    /// There is an end behind what was written.
    [[nodiscard]] bool ended() const { return ended_; }
    /// FIN, behind everything that was written.
    void finish() { end(Kind::finish); }
    /// RST: what has left arrives before it, the rest is lost.
    void reset();
    std::function<void()> on_room;

    // --- the reader ---

    [[nodiscard]] std::string_view readable() const { return std::string_view(arrived_).substr(read_); }
    void consume(std::size_t n);
    /// The writer has finished, and everything has been read.
    [[nodiscard]] bool at_end() const { return finished_ && readable().empty(); }
    [[nodiscard]] bool was_reset() const { return reset_; }
    /// Something has arrived: bytes, the end, or a reset.
    std::function<void()> on_readable;

    // --- the link ---

    /// Nothing passes any more; what was under way waits like packets that are sent again and again.
    void stall() { stalled_ = true; }
    void resume();
    [[nodiscard]] bool stalled() const { return stalled_; }
    Link& link() { return link_; }
    /// Nothing is under way.
    [[nodiscard]] bool idle() const { return segments_.empty(); }

private:
    enum class Kind { data, finish, reset };
    struct Segment {
        Kind kind = Kind::data;
        TimePoint departs;
        TimePoint arrives;
        std::string bytes;
    };

    void end(Kind kind);
    void push(Kind kind, std::string bytes);
    void schedule_arrival();
    void arrive();
    void deliver(const Segment& segment);
    void release(std::size_t n);
    void spoil(std::string& bytes);

    Schedule& schedule_;
    Link link_;
    std::deque<Segment> segments_;
    TimePoint free_at_;
    TimePoint last_arrival_;
    std::string arrived_;
    std::size_t read_ = 0;
    std::size_t taken_ = 0;      ///< Of the capacity.
    std::size_t written_ = 0;    ///< In all.
    std::size_t held_back_ = 0;  ///< Freed by the reader while the link is stalled.
    bool arriving_ = false;
    bool stalled_ = false;
    bool ended_ = false;
    bool finished_ = false;
    bool reset_ = false;
};

/// Both directions, as the client and the server see them.
struct Wire {
    Wire(Schedule& schedule, const Link& up_link, const Link& down_link)
        : up(schedule, up_link), down(schedule, down_link) {}

    Pipe up;    ///< From the client to the server.
    Pipe down;  ///< From the server to the client.

    /// The client's kernel as `close()` makes it: unread bytes, then and later, cause a reset.
    void client_close();
    void stall() { up.stall(), down.stall(); }
    void resume() { up.resume(), down.resume(); }
};

}  // namespace tern::sim
