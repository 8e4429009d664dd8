// Client: a WebSocket client with a thread of its own, or on a Loop (tern/loop.hpp) that it shares with others.
//
// With handlers:
//     tern::Client client{{.url = "ws://localhost:9001"}};
//     client.on_message([&](tern::MessageView message) { std::cout << message.text() << '\n'; });
//     client.start();
//
// Or blocking:
//     tern::Client client{{.url = "ws://localhost:9001"}};
//     if (auto error = client.connect()) { std::cerr << error.message() << '\n'; return 1; }
//     client.send_text("hello");
//     auto reply = client.receive(5s);
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <tern/config.hpp>
#include <tern/error.hpp>
#include <tern/export.hpp>
#include <tern/message.hpp>

namespace tern {

class Loop;

/// A message that owns its bytes; the result of `Client::receive`.
struct Message {
    Opcode opcode = Opcode::binary;  ///< `text` or `binary`.
    std::string data;

    [[nodiscard]] bool is_text() const noexcept { return opcode == Opcode::text; }
    [[nodiscard]] std::string_view text() const noexcept { return data; }
    [[nodiscard]] Bytes bytes() const noexcept { return as_bytes(data); }
};

/// A value or the reason why there is none.
template <class T>
class [[nodiscard]] Result {
public:
    Result(T value) : value_(std::move(value)) {}      // NOLINT(google-explicit-constructor)
    Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

    [[nodiscard]] bool has_value() const noexcept { return value_.has_value(); }
    explicit operator bool() const noexcept { return has_value(); }
    /// Only if `has_value()`.
    [[nodiscard]] T& operator*() noexcept { return *value_; }
    [[nodiscard]] const T& operator*() const noexcept { return *value_; }
    [[nodiscard]] T* operator->() noexcept { return &*value_; }
    [[nodiscard]] const T* operator->() const noexcept { return &*value_; }
    /// Empty if `has_value()`.
    [[nodiscard]] const Error& error() const noexcept { return error_; }

private:
    std::optional<T> value_;
    Error error_;
};

/// An attempt to connect that waits for the program to say what it uses. Movable, to be answered later. When it goes
/// out of scope without an answer the attempt fails (`prepare_failed`); an answer after the client has given up the
/// attempt does nothing. May outlive the client. Use it by one thread at a time; that can be any.
class TERN_API PendingAttempt {
public:
    PendingAttempt(PendingAttempt&&) noexcept;
    PendingAttempt& operator=(PendingAttempt&&) noexcept;
    ~PendingAttempt();

    /// Counts from 1 since the last open connection, as in the event `connecting`.
    [[nodiscard]] std::uint32_t number() const noexcept;
    /// What it will use; at first what the configuration says. Not after an answer.
    [[nodiscard]] Attempt& operator*() noexcept;
    [[nodiscard]] Attempt* operator->() noexcept { return &**this; }

    /// The answer: connect with that.
    void go();
    /// The answer: this attempt fails, with `prepare_failed` and `why` as its detail. The next one is asked for anew.
    void fail(std::string why);

private:
    friend class Client;
    struct State;
    explicit PendingAttempt(std::unique_ptr<State> state) noexcept;

    std::unique_ptr<State> state_;
};

/// A WebSocket client.
///
/// Threads: every function may be called from any thread and from inside a handler, unless it says otherwise. Handlers
/// run one at a time on the client's own thread or its thread of the loop, with no lock held. docs/threads.md has the
/// table. "Inside a handler" means, for clients on a loop, any handler on the same thread.
///
/// Handlers may throw: what they throw becomes a call of the `on_error` handler with `handler_threw`, and the client
/// goes on. An exception out of `on_error` itself is dropped.
///
/// Without memory: constructors throw std::bad_alloc. Calls return `out_of_memory`, and the life may end with it
/// (`closed` or `failed`); a later `start` begins anew. SECURITY.md says more.
///
/// Ending: `stop` and the destructor end everything in bounded time (`timeouts.stop`), whatever the peer does. No
/// handler runs after the destructor has returned; so it waits for one that is running, without a limit, except when it
/// is called inside that handler. Handlers run until then: declare what they refer to before the client.
class TERN_API Client {
public:
    /// With a thread of its own.
    explicit Client(Config config);
    /// On one of the loop's threads, together with other clients; so a handler that takes its time holds them up. The
    /// loop may be destroyed first.
    Client(Loop& loop, Config config);
    /// The same with a configuration that clients share, so that many of them need less memory; it must not change.
    /// They share what TLS needs too: the certificates that are trusted, and the sessions to resume. Not null.
    explicit Client(std::shared_ptr<const Config> config);
    Client(Loop& loop, std::shared_ptr<const Config> config);
    /// As `stop()`, and then frees everything.
    ~Client();
    Client(Client&&) noexcept;
    Client& operator=(Client&&) noexcept;

    // --- handlers: set them before `start` or `connect`; `handlers_in_use` later -----------------------------------

    /// A whole message (`Delivery::messages`). The view is valid until the handler returns.
    std::error_code on_message(std::function<void(MessageView)> handler);
    /// A piece of a message (`Delivery::chunks`).
    std::error_code on_chunk(std::function<void(const ChunkView&)> handler);
    /// The connection is open; also after a reconnect.
    std::error_code on_open(std::function<void(const Handshake&)> handler);
    /// A connection that was open has ended. Last call if `!info.will_reconnect`.
    std::error_code on_close(std::function<void(const CloseInfo&)> handler);
    /// An attempt to connect failed (the client tries again, or gives up: `is_final`), or to switch, or a handler
    /// threw.
    std::error_code on_error(std::function<void(const Error&, bool is_final)> handler);
    /// What became of a message whose number was asked for (`SendOptions::number`); the error says why it was dropped.
    std::error_code on_fate(std::function<void(std::uint64_t number, Fate fate, const Error& why)> handler);
    /// Every event, those above included, before the handler of its kind.
    std::error_code on_event(std::function<void(const Event&)> handler);

    /// Asked before each attempt for its URL, headers and credentials, for tokens that expire: change what is to differ
    /// from the configuration, whose URL may then be empty. Throwing fails the attempt. Redirects do not ask again.
    std::error_code before_attempt(std::function<void(Attempt&)> handler);
    /// The same for an answer that takes its time: keep the attempt and answer within `timeouts.attempt`. Nothing waits
    /// for it but this attempt.
    std::error_code before_attempt(std::function<void(PendingAttempt)> handler);

    // --- life ------------------------------------------------------------------------------------------------------

    /// Begins to connect and returns at once; the outcome comes as events, and failed attempts are repeated as
    /// `Config::reconnect` says. Returned are only errors of the configuration, and `already_started`.
    Error start();
    /// Connects and waits for the outcome, at most `timeouts.attempt`. Success is an empty error. One attempt: when
    /// it fails the client is idle again. A connection that was opened is reconnected as `Config::reconnect` says.
    /// `would_deadlock` inside a handler.
    Error connect();
    /// Begins the closing handshake (RFC 6455 section 7) and returns at once; messages sent before go out first, and
    /// `on_close` follows within `timeouts.close`. Also ends reconnecting. `no_status` sends a Close without a code.
    /// While no connection is open it ends the attempt. Errors: `invalid_close_code`, `invalid_close_reason` (over 123
    /// bytes or not UTF-8), `not_connected` (idle), `already_closing`.
    std::error_code close(CloseCode code = CloseCode::normal, std::string_view reason = {});
    /// The same for an open connection, but the client stays alive: `on_close` says that it will reconnect, and another
    /// attempt follows as if the connection had been lost. Errors: `invalid_close_code`, `invalid_close_reason`,
    /// `not_connected`, `already_closing`.
    std::error_code reopen(CloseCode code = CloseCode::normal, std::string_view reason = {});
    /// Drops the connection, without a Close frame, as if the network had (`connection_lost`), and returns at once;
    /// what has been received is still delivered, and another attempt follows as `Config::reconnect` says. For a
    /// program that knows from elsewhere that the peer is dead. Errors: `not_connected`.
    std::error_code abort();
    /// These instead of `reconnect.min_delay` and `reconnect.max_delay`, until the client ends; from 0 to a year, the
    /// same twice is a fixed delay. A wait that is going on is measured anew from its beginning. Errors:
    /// `not_connected` (idle), `invalid_config`.
    std::error_code set_reconnect_delays(std::chrono::milliseconds min, std::chrono::milliseconds max);
    /// The network has changed (another interface, a resume from sleep): a wait for the next attempt ends now, delays
    /// begin small again, and an open connection is asked for a sign of life, with the deadline of the keepalive.
    void reconnect_now();
    /// Makes a new connection, with a fresh `before_attempt`, and lets it take the place of the open one between two
    /// messages: event `switched`, and none of an end. What the old one has received is still delivered. If it cannot
    /// be made (`on_error`) the old one stays. Errors: `not_connected`.
    std::error_code refresh();
    /// Delivers no events until `resume`; what arrives stays in the network, so that TCP slows the peer down. The
    /// peer's pings are not answered meanwhile either. `stop` is not held up by it.
    void pause();
    void resume();

    /// Ends the life of this client: closes an open connection with 1001 and waits, at most `timeouts.stop`, for queued
    /// messages and the closing handshake; then drops it. When it returns, no handler runs, and `start` may be called
    /// again. Inside a handler it cannot wait: it begins the same and returns at once.
    void stop();
    /// The same with another limit; 0 drops the connection at once. `call_timeout`: a handler was still running when
    /// the limit had passed; it is the last.
    std::error_code stop(std::chrono::milliseconds limit);
    /// Begins the same and returns at once. The last event follows, at the latest when the limit has passed.
    void begin_stop(std::chrono::milliseconds limit);

    // --- sending ---------------------------------------------------------------------------------------------------

    /// Sends a message. The bytes are copied and on their way, or in the queue, when it returns; nothing blocks unless
    /// `options.wait` says so (not inside a handler: there it is as 0). Inside a handler, messages are gathered and
    /// leave together when it returns; elsewhere `options.more` does that. Errors: `not_connected`, `already_closing`,
    /// `send_queue_full`, `outgoing_text_not_utf8`, `message_in_progress`, `out_of_memory`. After an error nothing of
    /// it was sent. Messages are compressed where the server has agreed to it and `options` do not say otherwise;
    /// inside a handler one is left as it is when another thread is compressing at that moment.
    std::error_code send_text(std::string_view text, const SendOptions& options = {});
    std::error_code send_binary(Bytes bytes, const SendOptions& options = {});
    /// Sends one fragment of a message: `opcode` text or binary begins it, `continuation` goes on, `fin` ends it. Other
    /// messages get `message_in_progress` meanwhile.
    std::error_code send_part(Opcode opcode, Bytes bytes, bool fin, const SendOptions& options = {});
    /// Waits until the kernel has everything that was sent, at most `limit`. Errors: `call_timeout`, `not_connected`,
    /// `would_deadlock` inside a handler.
    std::error_code drain(std::chrono::milliseconds limit);
    /// Sends a ping of at most 125 bytes; the pong comes as `Event::Kind::pong`. Keepalive needs no help from this.
    std::error_code ping(std::string_view payload = {});
    /// Sends a pong that nobody asked for (RFC 6455 section 5.5.3); a ping of the peer is answered by tern.
    std::error_code pong(std::string_view payload = {});
    /// Waits until at most `left` bytes of what was sent are still in the queue, at most `limit`. Inside a handler too:
    /// it hands to the kernel what has gathered. Errors: `call_timeout`, `not_connected`. What is sent after a
    /// successful call can meanwhile have been joined by what other threads send.
    std::error_code flush(std::chrono::milliseconds limit, std::size_t left = 0);

    // --- receiving without handlers --------------------------------------------------------------------------------

    /// Waits for the next message, at most `limit`. Errors: `call_timeout`, `would_deadlock` inside a handler,
    /// `handlers_in_use` if a message handler is set; when the client has ended: why. While the client
    /// reconnects it goes on waiting. Messages that nobody receives are not read from the network beyond one receive
    /// buffer, so the peer is slowed down.
    Result<Message> receive(std::chrono::milliseconds limit);

    [[nodiscard]] State state() const;
    [[nodiscard]] Stats stats() const;

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace tern
