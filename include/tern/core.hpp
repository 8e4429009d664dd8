// ClientCore: the whole client without the world. It opens no socket, asks no clock, takes no lock, starts no thread:
// bytes, time and intents go in; bytes, commands, events and the next deadline come out. This is the only seam between
// the protocol and whoever drives it, be it Asio, poll(), a small device, or a simulator.
//
// Programs use `tern::Client` instead; this header is for those who bring their own event loop.
//
// How to drive it (the pump), after every report of the world:
//
//     do {
//         core.settle(now);                             // what was received takes effect
//         write core.tx(stream) to its socket, report with tx_consume
//         if (core.needs_settle()) core.settle(now);    // and so does what was written, which may be more to write
//         while (core.next(command)) carry it out;      // resolve, connect, close, ...
//         while (core.next(event)) deliver it;          // user code
//     } while (there was an event, or core.unsettled());
//     arm one timer for core.deadline()
//     read into core.rx_space(stream), report with rx_commit
//
// What rx_commit has reported may be taken first, and has its consequences then. Where `has_events` is false, there is
// nothing to be taken.
//
// Threads. Calls are in three groups:
//   whole    everything that is not named below: excludes all other calls.
//   receive  next (events and messages), put_back: by the loop's thread; beside calls of the group `send`.
//   send     begin, finish, send, send_part, ping, pong, close, tx, tx_consume, questions about state: one at a time.
// So one lock around `whole` and `send` is enough, and receiving takes none: no lock per message. Compressing a large
// message takes long; `Outgoing` says how to keep it out of that lock.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tern/config.hpp>
#include <tern/error.hpp>
#include <tern/export.hpp>
#include <tern/message.hpp>
#include <tern/tls.hpp>

namespace tern {

/// What the handshake needs from a cryptographic library. Calls need no lock: an object is used by one core at a time,
/// or is thread-safe (`default_crypto()` is).
class TERN_API Crypto {
public:
    Crypto() = default;
    Crypto(const Crypto&) = delete;
    Crypto& operator=(const Crypto&) = delete;
    virtual ~Crypto() = default;

    /// Fills the span from a cryptographic generator. False if there is no entropy.
    [[nodiscard]] virtual bool random_bytes(std::span<std::byte> out) = 0;
    [[nodiscard]] virtual std::array<std::byte, 20> sha1(Bytes bytes) = 0;
    /// RFC 4648 section 4, with padding.
    [[nodiscard]] virtual std::string base64(Bytes bytes) = 0;
    /// TLS, which lives as long as this object; null: there is none, and wss URLs are refused.
    [[nodiscard]] virtual tls::Provider* tls() { return nullptr; }
};

/// The one of the TLS library that tern was built with. Thread-safe; lives for ever.
TERN_API Crypto& default_crypto();

/// An address to connect to.
struct TERN_API Address {
    enum class Family : std::uint8_t { ipv4, ipv6 };
    Family family = Family::ipv4;
    std::uint16_t port = 0;
    std::array<std::uint8_t, 16> bytes{};  ///< Network order; 4 of them for IPv4.
    std::uint32_t scope_id = 0;            ///< IPv6 link-local interface.

    /// "192.0.2.1" or "2001:db8::1" (RFC 5952), without the port.
    [[nodiscard]] std::string to_string() const;
    friend bool operator==(const Address&, const Address&) = default;
};

/// One TCP connection, or the attempt to make one. Ids are never used twice.
using StreamId = std::uint32_t;

/// What the core wants from the world. An answer to something that was abandoned is ignored, so a driver need not
/// take care to cancel in time.
struct Command {
    enum class Kind : std::uint8_t {
        prepare,     ///< Ask the user what to connect to; answer with `on_prepared(id, ...)`.
        resolve,     ///< Find the addresses of `host`; answer with `on_resolved(id, ...)`.
        connect,     ///< Connect to `address`; answer with `on_connected(id, ...)`.
        half_close,  ///< Everything of `tx(id)` is written: send FIN (`shutdown(SHUT_WR)`). No answer.
        close,       ///< Give up whatever `id` stands for (lookup, attempt, connection) and free it. No answer.
    };
    Kind kind = Kind::close;
    StreamId id = 0;
    std::string
        host;  ///< `resolve`: a name or an address literal, without brackets. `prepare`: the URL whose turn it is.
    std::uint16_t port = 0;
    Address address;            ///< `connect`.
    std::uint32_t attempt = 0;  ///< `prepare`: as in the event `connecting`.
};

/// How `start` treats the first attempt.
enum class StartMode : std::uint8_t {
    keep_trying,  ///< A failed attempt is repeated as `Config::reconnect` says.
    once,         ///< A failure before the connection is open is final.
};

namespace core {
class Compressor;
class Session;
}  // namespace core

/// A message, or a part of one, on its way into the core. `send` and `send_part` are enough for a driver with one
/// thread. One that sends from several compresses outside of the lock that receiving needs too:
///
///     lock compressing, if outgoing.may_be_compressed(config.compression)
///     lock sending;  core.begin(outgoing);  unlock sending
///     outgoing.compress();                            // the only step that takes long
///     lock sending;  error = core.finish(outgoing);  flush;  unlock sending
///     give up outgoing; unlock compressing
///
/// The lock for compressing keeps the messages in the order in which they were compressed, because each refers back to
/// those before it.
class TERN_API Outgoing {
public:
    /// A whole message. The payload and what the options refer to have to stay.
    Outgoing(Opcode opcode, Bytes payload, const SendOptions& options = {}) noexcept
        : opcode_(opcode), payload_(payload), options_(options) {}
    /// A part of a message, as in `ClientCore::send_part`.
    Outgoing(Opcode opcode, Bytes payload, bool fin, const SendOptions& options = {}) noexcept
        : Outgoing(opcode, payload, options) {
        is_part_ = true;
        fin_ = fin;
    }
    ~Outgoing() {
        if (compressor_ != nullptr) give_up();
    }
    Outgoing(const Outgoing&) = delete;
    Outgoing& operator=(const Outgoing&) = delete;

    [[nodiscard]] Opcode opcode() const noexcept { return opcode_; }
    [[nodiscard]] Bytes payload() const noexcept { return payload_; }
    [[nodiscard]] bool is_part() const noexcept { return is_part_; }
    [[nodiscard]] bool fin() const noexcept { return fin_; }
    [[nodiscard]] const SendOptions& options() const noexcept { return options_; }

    /// False: it goes as it is, whatever the server has agreed to.
    [[nodiscard]] bool may_be_compressed(const Compression& config) const noexcept;
    /// Send it as it is. Before `begin`; not for a part.
    void leave_plain() noexcept { options_.compress = Compress::never; }
    /// After `begin`: there is something to do for `compress`.
    [[nodiscard]] bool compresses() const noexcept { return compressor_ != nullptr; }
    /// Compresses if `begin` has found that to be wanted. May run at the same time as any call of the core, but only
    /// for one message of a core at a time. Its error comes from `finish`.
    void compress() noexcept;
    /// Bytes that it takes in the send queue, without the frames' headers, as far as that is known.
    [[nodiscard]] std::size_t size() const noexcept;
    /// What was compressed and not sent is forgotten, so that `begin` may begin anew.
    void give_up() noexcept;

private:
    friend class core::Session;

    const Opcode opcode_;
    const Bytes payload_;
    SendOptions options_;
    bool is_part_ = false;
    bool fin_ = true;
    Errc error_{};
    std::shared_ptr<core::Compressor> compressor_;  ///< While it works for this message, or holds its output.
};

/// Where the core takes the memory that bytes are received into and wait in until they are sent, and where it gives it
/// back to as soon as all of them are taken. Drivers of many clients lend all of them the same few blocks. Called by
/// functions of all groups and by the destructor of the core: it has to be thread-safe if several threads call those.
class TERN_API BufferPool {
public:
    BufferPool() = default;
    BufferPool(const BufferPool&) = delete;
    BufferPool& operator=(const BufferPool&) = delete;
    virtual ~BufferPool() = default;

    /// Memory of that size, uninitialised. Null: there is none.
    [[nodiscard]] virtual std::byte* take(std::size_t size) noexcept = 0;
    /// What `take` gave, with the same size.
    virtual void give(std::byte* memory, std::size_t size) noexcept = 0;
    /// May a connection keep what it receives into until `ClientCore::trim`, instead of giving it back as soon as it is
    /// empty? Where there are few that saves time, and costs little memory.
    [[nodiscard]] virtual bool may_keep() const noexcept { return false; }
};

/// The state machine of a client. Not thread-safe, see the groups at the top of this header. Does not call back.
/// Memory that it hands out says how long it stays.
///
/// Only the constructors throw, std::bad_alloc. Wherever else memory for an object or a string lacks, the life ends:
/// everything of it is freed, and the last event is `closed` or `failed` with `out_of_memory`, which needs none; calls
/// return that error, but for `start`, whose life begins and ends. Events that had not been taken are lost, as is what
/// would have been told of messages. A later `start` begins anew. (Without exceptions, such a lack ends the process.)
class TERN_API ClientCore {
public:
    /// The configuration is copied; `crypto` must outlive the core. Nothing is checked before `start`.
    ClientCore(Config config, Crypto& crypto);
    /// The configuration is shared, and must not change; what TLS needs is shared by all cores that share it too.
    /// `pool` must outlive the core; null: the core keeps memory of its own as long as a connection lasts.
    ClientCore(std::shared_ptr<const Config> config, Crypto& crypto, BufferPool* pool = nullptr);
    ~ClientCore();
    ClientCore(const ClientCore&) = delete;
    ClientCore& operator=(const ClientCore&) = delete;

    // --- what the user wants ---------------------------------------------------------------------------------------

    /// Would `start` accept this configuration? The errors are those of `start`. Needs no core; thread-safe.
    /// `prepared`: each attempt will be prepared, so the URL may be empty.
    [[nodiscard]] static Error check(const Config& config, Crypto& crypto, bool prepared = false);
    /// Everything that `start` refuses, certificates and keys included, which it reads; `start` then need not. Only
    /// when idle; `prepared` as above. Errors are those of `start`.
    [[nodiscard]] Error load(bool prepared = false);
    /// From the next `start` on, each attempt begins with the command `prepare`, within the deadline of the attempt.
    void prepare_attempts(bool wanted);
    /// Begins a life. Errors of the configuration or URL are returned here and start nothing (`url_*`, `invalid_*`,
    /// `reserved_header`, `tls_unavailable`), as is `already_started`. Everything later comes as events.
    [[nodiscard]] Error start(StartMode mode, TimePoint now);
    /// Ends the life at once, without a closing handshake. The last event (`closed` or `failed`, with `stopped`) is
    /// ready when this returns; `closed` tells how the connection ended if it had done so by itself, and events of it
    /// were still to be taken. Does nothing when idle.
    void stop(TimePoint now);

    /// The driver has no memory for what it was told to do. The next call of the group `whole` (`deadline` asks for one
    /// at once) ends the life, as if the core itself had had none: the driver is told to close everything, and the last
    /// event is `closed` or `failed` with `out_of_memory`. Does nothing when idle. Group `send`.
    void run_out_of_memory() noexcept;

    /// The network has changed: a wait for the next attempt ends now, delays begin small again, and an open connection
    /// is asked for a sign of life (a ping with the deadline of the keepalive). Does nothing when idle.
    void reconnect_now(TimePoint now);
    /// Makes a second connection (an attempt like any other: `prepare`, endpoints, deadlines), lets it take the place
    /// of the open one between two messages (`switched`), and closes that one when its messages have left. What it has
    /// received is delivered until its end. When it cannot be made (`switch_failed`) the old one stays, and another
    /// attempt follows as `Config::reconnect` says. Errors: `not_connected`.
    std::error_code refresh(TimePoint now);
    /// The open or closing connection ends at once, without a Close frame, as if the network had ended it
    /// (`connection_lost`): what has been received is delivered, and another attempt follows as `Config::reconnect`
    /// says. Errors: `not_connected`.
    std::error_code abort(TimePoint now);
    /// These instead of `reconnect.min_delay` and `reconnect.max_delay`, until the life ends. A wait that is going on
    /// is measured anew from its beginning. Errors: `not_connected` when idle, `invalid_config`.
    std::error_code set_reconnect_delays(std::chrono::milliseconds min, std::chrono::milliseconds max, TimePoint now);

    /// The steps of `send` and `send_part`, whose errors `finish` has; see `Outgoing`. A message that is refused may be
    /// finished again later, or begun again after `give_up`. Group `send`.
    void begin(Outgoing& outgoing);
    [[nodiscard]] std::error_code finish(Outgoing& outgoing);
    /// A whole message. Copied; what was accepted is sent in order. Without an open connection it is `not_connected`,
    /// or waits in the offline queue. Call `settle` soon if `needs_settle()` then. Group `send`.
    [[nodiscard]] std::error_code send(Opcode opcode, Bytes payload, const SendOptions& options = {});
    /// One fragment of a message that is sent in parts: `opcode` text or binary begins it, `continuation` goes on,
    /// `fin` ends it. Other messages have to wait until it is finished (`message_in_progress`); pings need not. Group
    /// `send`.
    [[nodiscard]] std::error_code send_part(Opcode opcode, Bytes payload, bool fin, const SendOptions& options = {});
    /// Group `send`.
    [[nodiscard]] std::error_code ping(Bytes payload);
    /// A pong that was not asked for. Group `send`.
    [[nodiscard]] std::error_code pong(Bytes payload);
    /// Begins the closing handshake and ends reconnecting. What was sent before goes out first; code `no_status` sends
    /// a Close without a body. Before the connection is open it ends the attempt. Call `settle` soon after it. Group
    /// `send`.
    [[nodiscard]] std::error_code close(CloseCode code = CloseCode::normal, std::string_view reason = {});
    /// The same for an open connection, but the life goes on: behind its end another attempt follows, as if it had been
    /// lost. Errors: those of `close`, and `not_connected` when none is open. Group `send`.
    [[nodiscard]] std::error_code reopen(CloseCode code = CloseCode::normal, std::string_view reason = {});

    // --- what the world reports ------------------------------------------------------------------------------------

    /// The answer to `prepare`: what this attempt uses, or why it cannot be made. Mistakes in it fail the attempt with
    /// the errors of `start`.
    void on_prepared(StreamId id, Attempt attempt, Error error, TimePoint now);
    /// The answer to `resolve`: the addresses in the order of preference, or an error (`Errc` and the native number).
    void on_resolved(StreamId id, std::span<const Address> addresses, Error error, TimePoint now);
    /// The answer to `connect`: success (no error), or an error with errno in `native`. No `close` follows an error;
    /// the driver frees what it has.
    void on_connected(StreamId id, Error error, TimePoint now);
    /// Room for the next bytes from the network. It stays put until `rx_commit`. Empty when the stream cannot take any
    /// now: events have to be taken first, or there is no memory, which the next `settle` makes the end of. Do not read
    /// then, so that TCP slows the peer down, and pump.
    ///
    /// The memory is taken from the pool by this call. A driver that asks only when there is something to be read, and
    /// ends the loan with `rx_commit(id, 0, now)` when there was nothing after all, makes idle clients small.
    [[nodiscard]] std::span<std::byte> rx_space(StreamId id);
    /// `n` bytes were written to the beginning of `rx_space`; 0: nothing came, and the loan ends.
    void rx_commit(StreamId id, std::size_t n, TimePoint now);
    /// The peer ended its direction (read returned 0).
    void on_eof(StreamId id, TimePoint now);
    /// Reading or writing failed: `connection_reset` or `io_error`, with errno in `native`. When writing fails, prefer
    /// to go on reading until that ends or fails too, so that what the peer said last is not lost.
    void on_io_error(StreamId id, Error error, TimePoint now);
    /// The deadline has passed, or somebody thinks so; a call too many does nothing.
    void on_timeout(TimePoint now);

    // --- what the core answers -------------------------------------------------------------------------------------

    /// The next command, in order. False if there is none.
    [[nodiscard]] bool next(Command& command);
    /// The next event, in order. False if there is none. It ends the life of what the event before referred to. Group
    /// `receive`.
    [[nodiscard]] bool next(Event& event);
    /// The same for messages that are here already, as many as there is room for; 0: the next event, if there is one,
    /// is for the other `next`. That takes less time than one after the other, and none of it is needed: whatever this
    /// does not give, the other one does. All of them are lent until the following `next`. Group `receive`.
    [[nodiscard]] std::size_t next(std::span<MessageView> messages) noexcept;
    /// The last ones of those were not delivered after all, and come again with the following `next`. No call of the
    /// group `whole` may lie between. Group `receive`.
    void put_back(std::span<const MessageView> messages) noexcept;
    /// Lets what was received take effect on what is sent (pongs, Close frames, failures) and brings timers up to date.
    /// Call it after taking events and after `close`. May make new events and commands.
    void settle(TimePoint now);
    /// Gives back memory that is only kept for the next message; for a client that has been quiet for a while. It is
    /// done before each ping of the keepalive too.
    void trim() noexcept;
    /// Bytes for the network: up to `out.size()` pieces are filled in, their number is returned. They stay put until
    /// `tx_consume`, whatever is sent meanwhile. Group `send`.
    [[nodiscard]] std::size_t tx(StreamId id, std::span<Bytes> out);
    /// The kernel took the first `n` bytes of what `tx` gave; 0 when it would block. Ends the loan. Group `send`.
    void tx_consume(StreamId id, std::size_t n);
    /// Messages may be compressed: both sides of the open connection have agreed on it. Group `send`.
    [[nodiscard]] bool compresses() const noexcept;
    /// `settle` would make events or commands, move the deadline or make room because of what was sent, or was not.
    /// Group `send`.
    [[nodiscard]] bool needs_settle() const noexcept;
    /// `next` may have an event. By the thread that runs the loop, and not at the same time as another call.
    [[nodiscard]] bool has_events() const noexcept;
    /// There was no event left, but that all are taken has consequences: what was received is wrong, or the connection
    /// has ended and they were its last. Then call `settle` once more, and look for events.
    [[nodiscard]] bool unsettled() const noexcept;
    /// When `on_timeout` is to be called; empty: nothing is waited for.
    [[nodiscard]] std::optional<TimePoint> deadline() const noexcept;

    /// Bytes that were accepted and are not yet consumed. Group `send`.
    [[nodiscard]] std::size_t send_queued() const noexcept;
    /// Group `send`.
    [[nodiscard]] State state() const noexcept;
    /// Numbers; those of receiving are as of the last `settle`. Group `send`.
    [[nodiscard]] Stats stats() const noexcept;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace tern
