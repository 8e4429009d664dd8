// Events as a user could have kept them, and the judge of their order.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <tern/core.hpp>

#include "reference_codec.hpp"

namespace tern::sim {

/// An owned copy of an event.
struct Entry {
    TimePoint at;
    Event::Kind kind = Event::Kind::connecting;
    Opcode opcode = Opcode::binary;
    std::string bytes;
    ChunkView chunk;  ///< Without its bytes, which stand in `bytes`.
    std::uint32_t attempt = 0;
    std::chrono::milliseconds delay{0};
    std::chrono::microseconds round_trip{-1};
    std::uint64_t number = 0;
    Fate fate = Fate::sent;
    Handshake handshake;
    CloseInfo close;
    Error error;

    /// Nothing may follow in this life.
    [[nodiscard]] bool is_final() const {
        return kind == Event::Kind::failed || (kind == Event::Kind::closed && !close.will_reconnect);
    }
};

Entry copy_of(const Event& event, TimePoint at);
/// One line, without the time.
std::string describe(const Entry& entry);
/// All lines; chunks of one message are joined, so that it does not matter how the bytes arrived.
std::string describe(const std::vector<Entry>& log);

/// Judges one event after the other by the rules of message.hpp.
class EventJudge {
public:
    explicit EventJudge(std::size_t max_message_size) : max_message_size_(max_message_size) {}

    void on_start() { ++starts_; }
    /// Attempts are counted anew.
    void on_reconnect_now() { counts_anew_ = 2; }
    /// A call was refused for want of room, and there was something that will make some.
    void on_refused() {
        ++waits_;
        refused_ = true;
    }
    /// The kernel did not take all of what there was.
    void on_kernel_refused() { ++waits_; }
    /// Nothing waits any more, and the user has taken all events. What is wrong with that; empty if nothing is.
    [[nodiscard]] std::string judge_emptiness() const {
        return refused_ && stage_ == Stage::open ? "no `writable` after a call was refused" : "";
    }
    /// What is wrong with it; empty if nothing is.
    [[nodiscard]] std::string judge(const Event& event);
    /// A start that no event tells of yet.
    [[nodiscard]] bool start_pending() const { return starts_ > 0; }
    /// Two connections may have something to deliver, and one of them has to wait for the other.
    [[nodiscard]] bool switched() const { return switched_; }
    [[nodiscard]] bool ended() const { return stage_ == Stage::idle; }

private:
    enum class Stage { idle, connecting, open, closing, closed, reconnecting };

    [[nodiscard]] std::string judge_life(const Event& event);
    [[nodiscard]] std::string judge_traffic(const Event& event);
    [[nodiscard]] std::string judge_fate(const Event& event);
    [[nodiscard]] std::string judge_chunk(const ChunkView& chunk);

    std::size_t max_message_size_;
    std::uint32_t starts_ = 0;  ///< Whose first event has not come yet.
    Stage stage_ = Stage::idle;
    std::uint32_t attempt_ = 0;
    /// Announced attempts whose number may begin anew: since a connection was open, and one more, because its successor
    /// can have been under way when it ended.
    unsigned counts_anew_ = 0;
    std::set<std::uint64_t> fates_;  ///< Messages whose fate is known.

    std::uint64_t waits_ = 0;  ///< Reasons for a `writable` that has not come yet.
    bool refused_ = false;     ///< It, or a new connection, has to come.
    bool switched_ = false;    ///< The open connection took the place of another.
    bool in_message_ = false;
    unsigned cuts_left_ = 0;  ///< Messages that may stay incomplete, one a connection whose place was taken.
    std::size_t message_size_ = 0;
    std::uint64_t frame_offset_ = 0;
    std::uint64_t frame_length_ = 0;
    Opcode message_opcode_ = Opcode::binary;
    Utf8Check text_;
};

}  // namespace tern::sim
