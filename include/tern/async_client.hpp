// AsyncClient: a WebSocket client on the program's own Asio executor, for callbacks, futures and coroutines.
//
//     asio::awaitable<void> talk(asio::any_io_executor executor) {
//         tern::AsyncClient client{executor, {.url = "ws://localhost:9001"}};
//         co_await client.async_connect(asio::use_awaitable);
//         co_await client.async_send("hello", asio::use_awaitable);
//         tern::Message answer = co_await client.async_receive(asio::use_awaitable);
//         co_await client.async_close(tern::CloseCode::normal, "", asio::use_awaitable);
//     }
//
// This is the only public header that needs Asio (standalone, 1.22 or newer; `libasio-dev`); link `tern::asio`. The
// program has to use the Asio that tern was built with.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/associated_allocator.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/error.hpp>
#include <asio/execution/outstanding_work.hpp>
#include <asio/post.hpp>
#include <asio/prefer.hpp>

#include <tern/client.hpp>
#include <tern/config.hpp>
#include <tern/error.hpp>
#include <tern/export.hpp>
#include <tern/message.hpp>

namespace tern {

namespace detail {

/// An operation that has begun and has not been completed. Whoever owns it either completes it, once, or drops it.
class TERN_API AsyncOperation {
public:
    AsyncOperation() = default;
    AsyncOperation(const AsyncOperation&) = delete;
    AsyncOperation& operator=(const AsyncOperation&) = delete;

    /// Posts the completion handler to its executor, with the result. Frees the operation.
    virtual void complete(std::error_code error, Message message) = 0;
    /// Frees the operation; the handler is never called.
    virtual void drop() noexcept = 0;

    /// To find it again when it is to be cancelled.
    std::uint64_t id = 0;

protected:
    ~AsyncOperation() = default;
};

struct DropOperation {
    void operator()(AsyncOperation* operation) const noexcept { operation->drop(); }
};
using OperationPtr = std::unique_ptr<AsyncOperation, DropOperation>;

/// What the templates of `AsyncClient` call; the rest is compiled. Thread-safe.
class TERN_API AsyncBackend {
public:
    AsyncBackend() = default;
    AsyncBackend(const AsyncBackend&) = delete;
    AsyncBackend& operator=(const AsyncBackend&) = delete;
    virtual ~AsyncBackend() = default;

    [[nodiscard]] virtual std::uint64_t next_id() = 0;
    virtual void connect(OperationPtr operation) = 0;
    virtual void receive(OperationPtr operation) = 0;
    virtual void send(Opcode opcode, Bytes bytes, OperationPtr operation) = 0;
    virtual void drain(OperationPtr operation) = 0;
    virtual void close(CloseCode code, std::string_view reason, OperationPtr operation) = 0;
    virtual void cancel(std::uint64_t id, asio::cancellation_type type) = 0;
};

/// The operation with its handler, in memory of the handler's allocator.
template <class Handler, bool with_message>
class Operation final : public AsyncOperation {
public:
    using Executor = asio::associated_executor_t<Handler, asio::any_io_executor>;
    using Work = std::decay_t<decltype(asio::prefer(std::declval<const Executor&>(),
                                                    asio::execution::outstanding_work_t::tracked))>;
    using Allocator =
        typename std::allocator_traits<asio::associated_allocator_t<Handler>>::template rebind_alloc<Operation>;

    static OperationPtr make(Handler handler, const asio::any_io_executor& executor) {
        Allocator allocator(asio::get_associated_allocator(handler));
        Operation* memory = std::allocator_traits<Allocator>::allocate(allocator, 1);
        return OperationPtr(new (memory) Operation(std::move(handler), executor));
    }

    void complete(std::error_code error, Message message) override {
        const Work work = std::move(work_);
        Completion completion{std::move(handler_), error, std::move(message)};
        drop();
        asio::post(work, std::move(completion));
    }
    void drop() noexcept override {
        Allocator allocator(asio::get_associated_allocator(handler_));
        this->~Operation();
        std::allocator_traits<Allocator>::deallocate(allocator, this, 1);
    }

private:
    struct Completion {
        using allocator_type = asio::associated_allocator_t<Handler>;

        [[nodiscard]] allocator_type get_allocator() const noexcept { return asio::get_associated_allocator(handler); }
        void operator()() {
            // Whoever uses the slot next must not meet this operation.
            const auto slot = asio::get_associated_cancellation_slot(handler);
            if (slot.is_connected()) clear(slot);
            if constexpr (with_message) {
                std::move(handler)(error, std::move(message));
            } else {
                std::move(handler)(error);
            }
        }
        template <class Slot>
        static void clear(Slot slot) {
            slot.clear();
        }

        Handler handler;
        std::error_code error;
        Message message;
    };

    Operation(Handler handler, const asio::any_io_executor& executor)
        : work_(asio::prefer(asio::get_associated_executor(handler, executor),
                             asio::execution::outstanding_work_t::tracked)),
          handler_(std::move(handler)) {}
    ~Operation() = default;

    Work work_;
    Handler handler_;
};

/// In the slot of an operation that can be cancelled.
struct Canceller {
    std::weak_ptr<AsyncBackend> backend;
    std::uint64_t id;

    void operator()(asio::cancellation_type type) const {
        if (const auto alive = backend.lock()) alive->cancel(id, type);
    }
};

/// Makes an operation of the handler, and something in its slot that can cancel it.
template <bool with_message, class Handler>
OperationPtr make_operation(const std::shared_ptr<AsyncBackend>& backend, const asio::any_io_executor& executor,
                            Handler&& handler) {
    using Plain = std::decay_t<Handler>;
    const std::uint64_t id = backend->next_id();
    auto slot = asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) slot.template emplace<Canceller>(Canceller{backend, id});
    OperationPtr operation = Operation<Plain, with_message>::make(std::forward<Handler>(handler), executor);
    operation->id = id;
    return operation;
}

}  // namespace detail

/// A WebSocket client whose operations take a completion token of Asio: a callback, `asio::use_future`,
/// `asio::use_awaitable`, `asio::deferred`, ... It has no thread; it lives on the executor that it is given, also when
/// that is run by several threads.
///
/// Completion: each operation completes at most once, and never before the function that began it has returned. The
/// handler is posted to its associated executor, or to the client's if it has none. It is not called at all if
/// the executor's context is destroyed first.
///
/// Threads: operations may be begun, and the client destroyed, on any thread; moving needs quiet.
///
/// Cancellation (asio::cancellation_signal and all that is built on it), per operation:
///   connect  terminal, partial, total: the attempt is given up and the client is idle again.
///   receive  terminal, partial, total: nothing was received; the message stays for the next one.
///   send     terminal, partial, total: while it waits for room in the queue; then nothing was sent. It is too late
///   once
///            the message has been accepted.
///   drain    terminal, partial, total: nothing changes.
///   close    terminal: the connection is dropped. partial: the closing handshake goes on. total: ignored, because a
///            Close cannot be taken back.
/// A cancelled operation completes with `asio::error::operation_aborted`.
///
/// Ending: the destructor drops the connection at once; operations that are under way complete with
/// `asio::error::operation_aborted`. For a closing handshake, wait for `async_close` first. The client has to be
/// destroyed before the context of its executor, or by it, like every object of Asio.
class TERN_API AsyncClient {
public:
    using executor_type = asio::any_io_executor;

    AsyncClient(executor_type executor, Config config);
    /// With a configuration that clients share, see `Client`. Not null.
    AsyncClient(executor_type executor, std::shared_ptr<const Config> config);
    ~AsyncClient();
    AsyncClient(AsyncClient&&) noexcept;
    AsyncClient& operator=(AsyncClient&&) noexcept;

    [[nodiscard]] executor_type get_executor() const noexcept { return executor_; }

    /// Connects: one attempt, with its deadlines. void(std::error_code); `last_error` knows more. A connection that was
    /// opened is reconnected as `Config::reconnect` says. Errors: those of `Client::connect`.
    template <class Token>
    auto async_connect(Token&& token) {
        return asio::async_initiate<Token, void(std::error_code)>(
            [backend = backend_, executor = executor_](auto&& handler) {
                backend->connect(
                    detail::make_operation<false>(backend, executor, std::forward<decltype(handler)>(handler)));
            },
            token);
    }

    /// The next message. void(std::error_code, tern::Message). Several may be under way; they are served in the order
    /// in which they began. While nobody receives, at most about `Config::receive_buffer` bytes are kept, and the peer
    /// is slowed down. While the client reconnects it goes on waiting. Errors: why the life ended, or `not_connected`;
    /// `handlers_in_use` with `Delivery::chunks`.
    template <class Token>
    auto async_receive(Token&& token) {
        return asio::async_initiate<Token, void(std::error_code, Message)>(
            [backend = backend_, executor = executor_](auto&& handler) {
                backend->receive(
                    detail::make_operation<true>(backend, executor, std::forward<decltype(handler)>(handler)));
            },
            token);
    }

    /// The next message, if it has arrived already; nothing if not, or if operations wait for it. Costs no trip through
    /// the executor, which is most of what a small message costs: take what is here, and then wait. Any thread.
    [[nodiscard]] std::optional<Message> try_receive();

    /// Sends a message: void(std::error_code). It completes when the message was accepted, which is at once unless
    /// `limits.max_send_queue` bytes wait already; `async_drain` tells when all has left. The bytes are copied when the
    /// operation begins (with a lazy token such as `asio::deferred` that is when it is launched). Any number may be
    /// under way; the messages leave in the order in which they began. Errors: those of `Client::send_text`, without
    /// `send_queue_full` unless the message can never fit.
    template <class Token>
    auto async_send(std::string_view text, Token&& token) {
        return async_send(Opcode::text, as_bytes(text), std::forward<Token>(token));
    }
    /// The same for a binary message.
    template <class Token>
    auto async_send(Bytes bytes, Token&& token) {
        return async_send(Opcode::binary, bytes, std::forward<Token>(token));
    }
    /// The same with an opcode: `text` or `binary`.
    template <class Token>
    auto async_send(Opcode opcode, Bytes bytes, Token&& token) {
        return asio::async_initiate<Token, void(std::error_code)>(
            [backend = backend_, executor = executor_, opcode, bytes](auto&& handler) {
                backend->send(
                    opcode, bytes,
                    detail::make_operation<false>(backend, executor, std::forward<decltype(handler)>(handler)));
            },
            token);
    }

    /// Sends a message if it is accepted at once, as `Client::send_text` does, but never waits (`options.wait`). Costs
    /// no trip through the executor. Errors: those of `Client::send_text`; `send_queue_full` also while operations of
    /// `async_send` wait for room, which come first. Any thread.
    std::error_code try_send(std::string_view text, const SendOptions& options = {});
    std::error_code try_send(Bytes bytes, const SendOptions& options = {});

    /// Waits until everything that was accepted has been handed to the kernel: void(std::error_code). Messages that
    /// still wait for room count. Errors: why the connection ended before that; `not_connected`.
    template <class Token>
    auto async_drain(Token&& token) {
        return asio::async_initiate<Token, void(std::error_code)>(
            [backend = backend_, executor = executor_](auto&& handler) {
                backend->drain(
                    detail::make_operation<false>(backend, executor, std::forward<decltype(handler)>(handler)));
            },
            token);
    }

    /// Closes as `Client::close` does, and completes when the connection has ended: void(std::error_code). No error:
    /// the closing handshake was completed, or there was no connection yet. Errors: those of `Client::close`, and what
    /// went wrong, such as `close_timeout`.
    template <class Token>
    auto async_close(CloseCode code, std::string_view reason, Token&& token) {
        return asio::async_initiate<Token, void(std::error_code)>(
            [backend = backend_, executor = executor_, code, text = std::string(reason)](auto&& handler) {
                backend->close(
                    code, text,
                    detail::make_operation<false>(backend, executor, std::forward<decltype(handler)>(handler)));
            },
            token);
    }

    /// Cancels all operations that are under way, as by `total`, but those of `async_close` as by `partial`.
    void cancel();

    /// Begins a ping of at most 125 bytes, as `Client::ping`.
    std::error_code ping(std::string_view payload = {});
    /// Is told every event that is not taken by an operation alone, on the client's executor; messages are not among
    /// them. `handlers_in_use` after `async_connect`. What it throws comes out of the executor's `run`.
    std::error_code on_event(std::function<void(const Event&)> handler);

    /// The last error of the client itself: why an attempt failed or a connection ended. Empty at first.
    [[nodiscard]] Error last_error() const;
    [[nodiscard]] State state() const;
    [[nodiscard]] Stats stats() const;

private:
    class Impl;
    class Registry;
    std::shared_ptr<Impl> impl();
    [[nodiscard]] const Impl& impl() const;

    executor_type executor_;
    std::shared_ptr<detail::AsyncBackend> backend_;
};

}  // namespace tern
