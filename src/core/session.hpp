// An open WebSocket connection: RFC 6455 after the 101. It owns the closing handshake and the keepalive, and joins the
// half that receives (MessageReader) with the half that sends (Outbox).
//
// The halves meet only in `settle`. `next` touches the receive half alone, and the functions of sending touch the send
// half alone, so that the driver needs no lock to receive (see the groups of calls in tern/core.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tern/config.hpp>
#include <tern/core.hpp>

#include "deflate.hpp"
#include "fifo.hpp"
#include "frame_trace.hpp"
#include "keepalive.hpp"
#include "message_reader.hpp"
#include "outbox.hpp"
#include "rare.hpp"
#include "round_trips.hpp"
#include "timer_table.hpp"

namespace tern::core {

class Session {
public:
    /// The configuration, the generator and the budget outlive the session.
    Session(const Config& config, Crypto& crypto, TimePoint now, const CompressionInfo& agreed = {},
            MemoryBudget* budget = nullptr);

    /// Tells the tracer of frames; it outlives the session.
    void trace(Tracer& tracer, std::uint32_t stream);
    /// These bytes have been received.
    void trace_received(Bytes bytes) noexcept {
        if (trace_ != nullptr) trace_->received.add(bytes);
    }

    // --- receive half ----------------------------------------------------------------------------------------------

    /// The next event in `in`. False: everything has been taken.
    [[nodiscard]] bool next(Buffer& in, Event& event) {
        const MessageReader::Status status = reader_.next(in, event);
        return (status == MessageReader::Status::event && event.kind == Event::Kind::message) || note(status, event);
    }
    /// Several messages at once, see MessageReader.
    [[nodiscard]] std::size_t next(Buffer& in, std::span<MessageView> out) noexcept { return reader_.next(in, out); }
    void put_back(const Buffer& in, std::span<const MessageView> messages) noexcept { reader_.put_back(in, messages); }
    [[nodiscard]] std::span<std::byte> payload_space(std::size_t least) noexcept {
        return reader_.payload_space(least);
    }
    [[nodiscard]] bool payload_lent() const noexcept { return reader_.payload_lent(); }
    Bytes commit_payload(std::size_t n) noexcept { return reader_.commit_payload(n); }

    // --- send half -------------------------------------------------------------------------------------------------

    /// Is it to be compressed? Then it lends the compressor.
    void begin(Outgoing& outgoing);
    /// Sends what `begin` has begun; if that was on another connection, as it is. `number` as below.
    [[nodiscard]] std::error_code send(Outgoing& outgoing, std::uint64_t number);
    /// Sends a whole message as it is, if there is nothing special about it or the session. False: nothing was done,
    /// and it is for `send`.
    [[nodiscard, gnu::always_inline]] bool send_quickly(Opcode opcode, Bytes payload, const SendOptions& options) {
        if (opcode != Opcode::binary) {
            // Text is not looked at in vain: `send` does that anyway.
            if (!outbox_.fits_quickly(payload.size()) || !is_good_text(opcode, payload, options)) return false;
        }
        if (!outbox_.push_quickly(opcode, payload)) return false;
        ++messages_sent_;
        return true;
    }
    /// A message may have to be compressed.
    [[nodiscard]] bool compresses() const noexcept { return compressor_ != nullptr; }
    /// `number`: is to come back from `take_sent`; 0: need not.
    [[nodiscard]] std::error_code send(Opcode opcode, Bytes payload, const SendOptions& options,
                                       std::uint64_t number = 0);
    /// The number is that of the message; it counts where `fin` is.
    [[nodiscard]] std::error_code send_part(Opcode opcode, Bytes payload, bool fin, const SendOptions& options,
                                            std::uint64_t number = 0);
    /// A message in parts has begun and not ended.
    [[nodiscard]] bool part_open() const noexcept { return part_ != Opcode::continuation; }
    [[nodiscard]] std::error_code ping(Bytes payload) { return control(Opcode::ping, payload); }
    [[nodiscard]] std::error_code pong(Bytes payload) { return control(Opcode::pong, payload); }
    /// The user wants to close; what was sent before goes first.
    [[nodiscard]] std::error_code close(CloseCode code, std::string_view reason);
    [[nodiscard]] std::size_t tx(std::span<Bytes> out);
    void tx_consume(std::size_t n);
    /// The kernel refused something of what is lent; it took bytes before that if `progress`. More of it may follow.
    void on_tx_stalled(bool progress) noexcept;
    [[nodiscard]] std::size_t queued() const noexcept { return outbox_.queued(); }
    /// The number of the next message that the kernel has got; 0: none since.
    [[nodiscard]] std::uint64_t take_sent();
    /// The number of the next message that it has not got; 0: there is none. For when the session has ended.
    [[nodiscard]] std::uint64_t take_unsent();
    /// There is one, among those that have a number.
    [[nodiscard]] bool any_unsent() const noexcept {
        return !tracked_.empty() && tracked_.back().end > outbox_.consumed();
    }
    /// The last message, or part of one, was refused because of the ceiling for the client's memory.
    [[nodiscard]] bool starving() const noexcept { return starving_; }
    /// There was no memory for something beside the message; `settle` gives back what is only kept.
    void starve() noexcept { starved_ = limited_; }
    /// `settle` has something to tell that came of sending, or to give back.
    [[nodiscard]] bool needs_settle() const noexcept {
        return became_congested_ || became_writable_ || starved_ || (pongs_wait_ && may_push_pongs());
    }
    /// `settle` has not seen yet that what was received is wrong. For callers of `settle`.
    [[nodiscard]] bool unsettled() const noexcept {
        return reader_failed_ && (state_ == State::open || state_ == State::closing);
    }

    // --- both halves -----------------------------------------------------------------------------------------------

    /// Bytes have arrived.
    void on_received(TimePoint now) noexcept;
    /// The stream has ended, with an error or (`connection_lost`) without.
    void on_end(const Error& error);
    /// `drained`: all that was received has been taken.
    void on_timeout(bool drained, TimePoint now);
    /// Lets what was received take effect on what is sent.
    void settle(TimePoint now);
    /// Gives back memory that has not been needed since the last call, or is only kept for the next message.
    void trim() noexcept;
    /// Ends the session at once.
    void stop();

    [[nodiscard]] std::optional<TimePoint> deadline() const noexcept;
    [[nodiscard]] bool open() const noexcept { return state_ == State::open; }
    /// Nothing more will be sent, and the stream may be closed.
    [[nodiscard]] bool ended() const noexcept { return state_ == State::ended; }
    /// The write side has been used up after a failure: time for FIN. True once.
    [[nodiscard]] bool take_half_close() noexcept;
    [[nodiscard]] bool half_close_due() const noexcept {
        return state_ == State::failing && !half_close_done_ && outbox_.close_sent();
    }
    /// A message was refused for want of room: the user is to be told when there is some.
    void want_writable() noexcept { wants_writable_ = true; }
    [[nodiscard]] bool wants_writable() const noexcept { return wants_writable_; }
    /// What waits has become less.
    void note_room() noexcept;
    /// What is queued is down to the low mark, after something had to wait: it was congested, or the kernel had refused
    /// some, or a message was refused. True once.
    [[nodiscard]] bool take_writable() noexcept;
    /// What is queued has reached the high mark. True once.
    [[nodiscard]] bool take_congested() noexcept;
    /// Is the link alive? A ping goes out now, with the deadline of a keepalive.
    void probe(TimePoint now) noexcept { keepalive_.probe(now); }
    /// How it ended; only when `ended()`. `will_reconnect` is the caller's.
    [[nodiscard]] CloseInfo close_info() const;
    [[nodiscard]] bool close_requested() const noexcept { return close_requested_; }
    /// What was received ends with a whole message.
    [[nodiscard]] bool between_messages() const noexcept { return reader_.between_messages(); }
    /// The peer began the closing handshake.
    [[nodiscard]] bool closed_by_peer() const noexcept { return by_peer_; }
    /// The peer's Close frame, once `next` has given `closing`.
    [[nodiscard]] const CloseFrame& peer_close() const noexcept { return reader_.close_frame(); }

    void add_to(Stats& stats) const noexcept;

private:
    /// The transitions, all of them:
    ///   open    -> closing  we sent a Close (user)          waits for the peer's
    ///   open    -> lasting  the peer sent a Close           reply queued; waits for TCP to end
    ///   closing -> lasting  the peer's Close has come       waits for TCP to end (the server closes first, 7.1.1)
    ///   open, closing -> failing  protocol error, limit     Close with the error's code, then FIN; input discarded
    ///   any     -> ended    TCP ended, or the deadline passed, or stop
    enum class State : std::uint8_t { open, closing, lasting, failing, ended };
    enum class Timer : std::uint8_t { close, count };

    bool note(MessageReader::Status status, Event& event);
    void queue_pong(Bytes payload);
    void send_pongs();
    [[nodiscard]] bool may_push_pongs() const noexcept;
    void on_peer_close(TimePoint now);
    void fail(Error error, TimePoint now);
    void end(Error&& error);
    [[nodiscard]] std::error_code queue_close(const std::string& body);
    void enter(State state, TimePoint deadline) noexcept;
    [[nodiscard]] std::error_code control(Opcode opcode, Bytes payload);
    [[nodiscard]] std::error_code may_send() const noexcept;
    [[nodiscard]] std::error_code push(Opcode opcode, Bytes payload, bool fin, std::uint64_t number, bool compressed);
    [[nodiscard]] bool is_good_text(Opcode opcode, Bytes payload, const SendOptions& options) const noexcept;
    void note_congestion() noexcept;
    void update_quick_limit() noexcept;
    [[nodiscard]] Error ending() const;

    void trace_sent(std::size_t n) noexcept;

    struct Trace {
        FrameTrace received;
        FrameTrace sent;
        std::vector<Bytes> lent;  ///< What `tx` gave last.
    };

    const Config& config_;
    std::unique_ptr<Trace> trace_;
    const bool limited_;  ///< There is a ceiling for the client's memory.

    // The receive half: `next` writes it, `settle` reads it.
    MessageReader reader_;
    bool reader_failed_ = false;
    Keepalive keepalive_;
    TimePoint received_;  ///< When the bytes came that `next` is working on.
    // What is rarely touched lies between what two threads write; an alignment would cost each client 130 bytes.
    Block pongs_;  ///< Payloads to be answered, each behind a byte of length.
    std::size_t pongs_size_ = 0;
    MemoryCharge control_frames_;

    // The send half.
    Outbox outbox_;
    Opcode part_ = Opcode::continuation;  ///< Of the message in parts that is open for sending.
    bool part_checked_ = false;           ///< It is text, and checked.
    Utf8Validator part_text_;
    bool part_compressed_ = false;
    /// Null: compression was not agreed on. Shared with a message that is being compressed.
    std::shared_ptr<Compressor> compressor_;
    bool close_requested_ = false;
    std::string close_body_;       ///< Of the Close that was requested.
    bool sending_ended_ = false;   ///< Mirrors that `state_` has left `open`.
    bool blocked_ = false;         ///< The kernel has refused bytes, and not all that is queued has left since.
    bool wants_writable_ = false;  ///< The user waits for `writable`.
    bool became_writable_ = false;
    bool congested_ = false;  ///< The high mark was reached, and the low one not since.
    bool became_congested_ = false;
    bool progress_ = false;    ///< The kernel took bytes after having refused some.
    bool pongs_wait_ = false;  ///< Of the receive half, for earlier ones to leave.
    bool starved_ = false;     ///< A message was refused for want of memory; some may only be kept for the next one.
    bool starving_ = false;    ///< That is how the last one fared.
    CloseCode sent_code_ = CloseCode::no_status;
    std::uint64_t messages_sent_ = 0;
    struct Tracked {
        std::uint64_t end = 0;  ///< Of `Outbox::pushed`.
        std::uint64_t number = 0;
    };
    Fifo<Tracked> tracked_;  ///< Messages whose number is to come back.

    // Both: only touched by calls of the group `whole`.
    State state_ = State::open;
    TimerTable<Timer> timers_;
    bool by_peer_ = false;
    bool half_close_done_ = false;
    Rare<Error> error_;
    std::uint64_t messages_received_ = 0;  ///< As of the last `settle`, for readers of other threads; so is the next.
    std::uint64_t round_trips_seen_ = 0;
    Rare<RoundTrips> round_trips_;
};

}  // namespace tern::core
