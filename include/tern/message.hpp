// What arrives: messages, chunks, the end of a connection, events, and the numbers.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <tern/error.hpp>
#include <tern/export.hpp>
#include <tern/tls_info.hpp>

namespace tern {

/// The opcodes of RFC 6455 section 5.2.
enum class Opcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

/// The close codes of RFC 6455 section 7.4.1 and the IANA registry. Any number from 3000 to 4999 may be used too:
/// `CloseCode{4000}`.
enum class CloseCode : std::uint16_t {
    normal = 1000,
    going_away = 1001,
    protocol_error = 1002,
    unsupported_data = 1003,
    no_status = 1005,  ///< Never on the wire: the peer's Close had no code.
    abnormal = 1006,   ///< Never on the wire: the connection ended without a Close.
    invalid_payload = 1007,
    policy_violation = 1008,
    message_too_big = 1009,
    mandatory_extension = 1010,
    internal_error = 1011,
    service_restart = 1012,
    try_again_later = 1013,
    bad_gateway = 1014,
    tls_handshake = 1015,  ///< Never on the wire.
};

/// May this code stand in a Close frame? RFC 6455 sections 7.4.1 and 7.4.2, with the IANA registry.
[[nodiscard]] TERN_API bool is_sendable(CloseCode code) noexcept;

using Bytes = std::span<const std::byte>;

/// The bytes of a string. The result refers to the string's memory.
inline Bytes as_bytes(std::string_view text) noexcept {
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
/// Bytes read as characters. The result refers to the same memory.
inline std::string_view as_text(Bytes bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// A whole message. The bytes belong to the client and are valid until the handler returns (with `ClientCore`: until
/// the following `next`).
struct MessageView {
    Opcode opcode = Opcode::binary;  ///< `text` or `binary`.
    Bytes bytes;

    [[nodiscard]] bool is_text() const noexcept { return opcode == Opcode::text; }
    /// The payload as characters; valid UTF-8 when `is_text()`.
    [[nodiscard]] std::string_view text() const noexcept { return as_text(bytes); }
};

/// A piece of a message, in the order of arrival (`Delivery::chunks`). A message is one or more chunks; the pieces
/// follow what arrived together, so their sizes mean nothing. A chunk of text may end inside a character; what has
/// arrived so far is a valid beginning of UTF-8. Valid as long as a `MessageView` is.
struct ChunkView {
    Opcode opcode = Opcode::binary;  ///< The message's: `text` or `binary`.
    Bytes bytes;
    bool first = false;  ///< The message begins here.
    bool last = false;   ///< The message ends here.

    // The frame that carries it, for those who must know (RFC 6455 section 5.2).
    Opcode frame_opcode = Opcode::binary;  ///< `continuation` after the first frame of a message.
    bool frame_fin = false;
    std::uint64_t frame_length = 0;  ///< Payload length of the whole frame.
    std::uint64_t frame_offset = 0;  ///< Where in the frame's payload this piece begins.
    /// The message is compressed (RFC 7692): then `frame_length` is that of the compressed payload, `frame_offset`
    /// counts what has been inflated of the frame before this piece, and frames that add nothing make no piece.
    bool compressed = false;

    [[nodiscard]] std::string_view text() const noexcept { return as_text(bytes); }
};

/// The time of a monotonic clock, as told by the driver.
using TimePoint = std::chrono::steady_clock::time_point;

/// Is a message compressed, where the server has agreed to compression?
enum class Compress : std::uint8_t {
    automatic,  ///< If it has at least `compression.threshold` bytes; a message in parts always.
    always,
    never,  ///< For what is compressed already, and for secrets next to what an attacker can choose.
};

/// What `send` can be told beside the bytes.
struct SendOptions {
    /// Overrides `Config::check_outgoing_text`.
    bool trusted_utf8 = false;
    /// For a message in parts the first of them decides. What waits in the offline queue goes uncompressed.
    Compress compress = Compress::automatic;
    /// Receives the number that the message got, if it was accepted; its fate is told by an event then. Numbers count
    /// up from 1 and are never used twice by a client. Null: nobody wants to know, and nothing is spent on it.
    std::uint64_t* number = nullptr;
    /// In the offline queue a message replaces the one with the same key that waits there. Empty: none.
    std::string_view key;
    /// In the offline queue: dropped when it still waits then.
    TimePoint expires = TimePoint::max();
    /// How long `Client` may wait for room in the send queue, or for a connection while it makes one. 0: not at all.
    /// `ClientCore` never waits.
    std::chrono::milliseconds wait{0};
    /// More messages follow at once: this one is not written by itself, but together with the next that is sent without
    /// `more`, or when 60 KiB have come together. The last has to be sent without; `ping`, `close` and `drain` send
    /// what waits too. Inside a handler messages are gathered in any case, and `ClientCore` never writes.
    bool more = false;
};

/// What became of a message that was accepted for sending (`Event::Kind::fate`).
enum class Fate : std::uint8_t {
    sent,      ///< The kernel has all of it. Whether it reached the peer is not known to anybody here.
    dropped,   ///< The connection ended first, or the offline queue was full; the event's `error` says why.
    expired,   ///< It waited in the offline queue for too long.
    replaced,  ///< A newer message with the same key took its place in the offline queue.
};
/// "sent", "dropped", ...
TERN_API std::string_view fate_name(Fate fate) noexcept;

/// What was agreed about compression (permessage-deflate, RFC 7692 section 7.1).
struct CompressionInfo {
    bool active = false;  ///< Messages may be compressed. The rest means something only then.
    /// Messages to the server refer back to earlier ones; otherwise each stands for itself.
    bool client_context_takeover = true;
    bool server_context_takeover = true;  ///< So do those from the server.
    int client_window_bits = 15;          ///< They refer back by up to 2^n bytes.
    int server_window_bits = 15;
};

/// What was agreed when the connection was opened. Valid until the handler returns; copy what is to be kept.
struct Handshake {
    std::string request;      ///< The request's head as it was sent, credentials included.
    Response response;        ///< The 101 with all its headers.
    std::string subprotocol;  ///< The one that the server chose; empty if none.
    std::string peer;         ///< "host:port (address)".
    CompressionInfo compression;
    /// TLS to the server; `version` is empty without.
    tls::Info tls;
    /// TLS to a proxy of the scheme https.
    tls::Info proxy_tls;
};

/// How a connection that was open came to its end.
struct CloseInfo {
    CloseCode code =
        CloseCode::abnormal;  ///< The peer's code; `no_status` if it gave none, `abnormal` without a Close.
    std::string reason;       ///< The peer's reason.
    CloseCode sent_code = CloseCode::no_status;  ///< The code in our own Close frame, if `sent`.
    bool sent = false;                           ///< Did we send a Close frame (completely, to the kernel)?
    bool received = false;                       ///< Did the peer send one?
    bool by_peer = false;                        ///< The peer began it.
    bool will_reconnect = false;                 ///< The client will try again; otherwise this is the last event.
    Error error;  ///< Why it ended: `closed_locally`, `closed_by_peer`, or what went wrong.

    /// Both Close frames were exchanged and nothing went wrong (RFC 6455 section 7.1.4).
    [[nodiscard]] bool clean() const noexcept { return sent && received && code != CloseCode::abnormal; }
};

/// What happens in the life of a client, in order:
///
///     connecting -> open -> message|chunk|ping|pong|writable... -> [closing] -> closed
///     connecting -> [redirected...] -> open | failed
///     closed|attempt failed -> reconnecting -> connecting ...
///
/// While `open`, a second connection can take the place of the first (`ClientCore::refresh`, and what
/// `Reconnect::make_before_break` says): `switched` then stands for the end of the one and the opening of the other.
/// `fate` comes at any time.
///
/// `failed`, and `closed` with `will_reconnect == false`, end a life: nothing follows. Everything that an event refers
/// to is valid as long as a `MessageView` is.
struct Event {
    enum class Kind : std::uint8_t {
        connecting,     ///< An attempt begins; `attempt`.
        redirected,     ///< The server sends this attempt elsewhere, and it goes there; `error`: its answer.
        open,           ///< The connection is usable; `handshake`.
        message,        ///< A whole message; `opcode`, `bytes`.
        chunk,          ///< A piece of a message; `chunk`.
        ping,           ///< The peer's ping, which is answered by tern; `bytes`.
        pong,           ///< A pong, asked for or not; `bytes`, `round_trip` if it answers a ping of ours.
        congested,      ///< `water_marks.high` bytes wait to be sent.
        writable,       ///< There is room again after something had to wait; see `WaterMarks`.
        fate,           ///< What became of a message; `number`, `fate`, `error` if it was dropped.
        switched,       ///< A new connection has taken the place of the old one, which is closed; `handshake`.
        switch_failed,  ///< The connection that was to take its place could not be made; the old one stays. `error`.
        closing,        ///< The peer's Close frame; `close` (code and reason).
        closed,         ///< The connection that was open has ended; `close`.
        reconnecting,   ///< The next attempt comes after `delay`; `attempt`, `error`: why it is needed.
        failed,         ///< Given up; `error`.
    };

    Kind kind = Kind::message;
    Opcode opcode = Opcode::binary;
    Bytes bytes;
    ChunkView chunk;
    const Handshake* handshake = nullptr;
    const CloseInfo* close = nullptr;
    const Error* error = nullptr;
    std::uint32_t attempt =
        0;  ///< 1 for the first attempt since the start, the last stable connection or `reconnect_now`.
    std::chrono::milliseconds delay{0};
    std::chrono::microseconds round_trip{-1};  ///< Negative: not known.
    std::uint64_t number = 0;                  ///< Of a message that was sent; see `SendOptions::number`.
    Fate fate = Fate::sent;

    [[nodiscard]] MessageView message() const noexcept { return {opcode, bytes}; }
};
/// "connecting", "open", ...
TERN_API std::string_view event_name(Event::Kind kind) noexcept;

/// Where a client is in its life.
enum class State : std::uint8_t {
    idle,          ///< Not started, or ended.
    connecting,    ///< Resolving, connecting, upgrading.
    open,          ///< Messages flow.
    closing,       ///< The connection is ending.
    reconnecting,  ///< Waiting for the next attempt.
};
TERN_API std::string_view state_name(State state) noexcept;

/// How long each phase of an attempt took; zero for those that it did not have.
struct PhaseTimes {
    std::chrono::microseconds prepare{0};
    std::chrono::microseconds resolve{0};
    std::chrono::microseconds connect{0};
    std::chrono::microseconds proxy{0};  ///< With TLS to it.
    std::chrono::microseconds tls{0};
    std::chrono::microseconds upgrade{0};
};

/// Numbers of one client since it was made.
struct Stats {
    State state = State::idle;
    std::uint64_t messages_received = 0;
    std::uint64_t messages_sent = 0;   ///< Accepted for sending.
    std::uint64_t bytes_received = 0;  ///< From the network, all of it.
    std::uint64_t bytes_sent = 0;      ///< Handed to the kernel, all of it.
    std::size_t memory = 0;            ///< Bytes that count towards `limits.max_memory`, now.
    std::size_t send_queued = 0;       ///< Bytes accepted and not yet handed to the kernel.
    std::uint32_t connects = 0;        ///< Connections that were open.
    std::uint32_t attempts = 0;        ///< Attempts begun.
    std::uint32_t switches = 0;        ///< Connections that took the place of another one without a gap.
    std::uint32_t tls_resumed = 0;     ///< TLS handshakes that resumed an earlier session.
    /// Connections and attempts that ended, by family: `ends[static_cast<std::size_t>(Condition::closed)]`.
    std::array<std::uint32_t, condition_count> ends{};
    PhaseTimes phases;                         ///< Of the last attempt that led to an open connection.
    std::chrono::microseconds round_trip{-1};  ///< Of the last answered ping; negative: not known.
    /// The same, smoothed as TCP does it, and of the last 32 of this connection what 50, 95 and 99 % do not exceed.
    std::chrono::microseconds round_trip_smoothed{-1};
    std::chrono::microseconds round_trip_p50{-1};
    std::chrono::microseconds round_trip_p95{-1};
    std::chrono::microseconds round_trip_p99{-1};
};

}  // namespace tern
