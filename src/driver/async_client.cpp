// tern::AsyncClient: operations on top of the runner.

#include <tern/async_client.hpp>

#include <algorithm>
#include <atomic>
#include <deque>
#include <exception>
#include <iterator>
#include <list>
#include <mutex>
#include <string>
#include <vector>

#include <asio/execution/context.hpp>
#include <asio/execution_context.hpp>
#include <asio/query.hpp>

#include "executor_engine.hpp"
#include "inbox.hpp"
#include "runner.hpp"

namespace tern {
namespace {

using detail::OperationPtr;

const std::error_code aborted = asio::error::operation_aborted;

/// Operations that are to be completed at the end of the scope. They are only posted then, so a lock may be held.
class Completions {
public:
    Completions() = default;
    Completions(const Completions&) = delete;
    Completions& operator=(const Completions&) = delete;
    ~Completions() {
        for (auto& [operation, error] : all_) operation.release()->complete(error, {});
    }

    void add(OperationPtr operation, std::error_code error) {
        if (operation != nullptr) all_.emplace_back(std::move(operation), error);
    }
    template <class Container>
    void add_all(Container& operations, std::error_code error) {
        for (auto& each : operations) add(std::move(each.operation), each.cancelled ? aborted : error);
        operations.clear();
    }

private:
    std::vector<std::pair<OperationPtr, std::error_code>> all_;
};

struct Waiting {
    OperationPtr operation;
    bool cancelled = false;  ///< It completes as such when the life has ended.
};
/// A message that does not fit into the queue yet.
struct WaitingSend {
    OperationPtr operation;
    bool cancelled = false;
    Opcode opcode = Opcode::binary;
    std::string bytes;
};

template <class Container>
OperationPtr take(Container& operations, std::uint64_t id) {
    const auto found = std::find_if(operations.begin(), operations.end(),
                                    [id](const auto& each) { return each.operation && each.operation->id == id; });
    if (found == operations.end()) return nullptr;
    OperationPtr operation = std::move(found->operation);
    operations.erase(found);
    return operation;
}

}  // namespace

/// Drops the operations of all clients when the context that they live on is destroyed. A coroutine that waits for a
/// client and owns it would keep both for ever otherwise.
class AsyncClient::Registry final : public asio::execution_context::service {
public:
    static asio::execution_context::id id;

    explicit Registry(asio::execution_context& context) : service(context) {}

    void add(Impl& client) {
        const std::lock_guard lock(mutex_);
        clients_.push_back(&client);
    }
    void remove(Impl& client) {
        const std::lock_guard lock(mutex_);
        std::erase(clients_, &client);
    }

private:
    void shutdown() override;

    std::mutex mutex_;
    std::vector<Impl*> clients_;
};

asio::execution_context::id AsyncClient::Registry::id;

/// Locks, in this order: `send_mutex_`, the runner's, `mutex_`.
class AsyncClient::Impl final : public driver::Runner, public detail::AsyncBackend {
public:
    Impl(const asio::any_io_executor& executor, std::shared_ptr<const Config> config)
        : Runner(std::make_shared<driver::ExecutorEngine>(executor), std::move(config)),
          executor_(executor),
          registry_(asio::use_service<Registry>(asio::query(executor, asio::execution::context))) {
        registry_.add(*this);
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    ~Impl() override { registry_.remove(*this); }

    [[nodiscard]] std::uint64_t next_id() override { return ++last_id_; }
    void connect(OperationPtr operation) override;
    void receive(OperationPtr operation) override;
    void send(Opcode opcode, Bytes bytes, OperationPtr operation) override;
    void drain(OperationPtr operation) override;
    void close(CloseCode code, std::string_view reason, OperationPtr operation) override;
    void cancel(std::uint64_t id, asio::cancellation_type type) override;
    void cancel_all();
    [[nodiscard]] std::optional<Message> try_receive();
    std::error_code try_send(Opcode opcode, Bytes bytes, SendOptions options);
    void shut_down();
    void drop_operations();
    std::error_code set_handler(std::function<void(const Event&)> handler);
    [[nodiscard]] Error last_error() const;

private:
    [[nodiscard]] bool asks() const override { return false; }
    void ask(const Command& command) noexcept override { static_cast<void>(command); }
    void on_start(StartMode mode) override;
    void on_idle() override;
    void on_progress() override;
    bool deliver(const Event& event) noexcept override;
    std::size_t deliver(std::span<const MessageView> messages) noexcept override;
    bool ready_for_event() override;

    [[nodiscard]] std::shared_ptr<Impl> self() { return std::static_pointer_cast<Impl>(shared_from_this()); }
    void note(const Event& event);
    void note_end(const Event& event, Completions& completions);
    template <class Action>
    void throwing(const Action& action) noexcept;
    void take_in(MessageView view);
    void hold_back(std::size_t size);
    [[nodiscard]] bool has_room() const;
    [[nodiscard]] std::optional<Message> take_message(bool& refill);
    void go_on();

    const asio::any_io_executor executor_;
    Registry& registry_;
    std::atomic<std::uint64_t> last_id_ = 0;
    std::function<void(const Event&)> on_event_;

    std::mutex send_mutex_;  ///< Keeps messages in order: whoever has it decides which one is next.

    mutable std::mutex mutex_;
    bool started_ = false;
    bool ended_ = false;  ///< The client is gone; nothing begins any more.
    Error ending_;        ///< Why the last life ended.
    Error last_error_;
    bool closed_well_ = false;
    OperationPtr connecting_;
    bool connect_cancelled_ = false;
    std::list<Waiting> receiving_;
    driver::Inbox inbox_;
    std::size_t handed_ = 0;  ///< Bytes of a large message that an operation has got, until that has been completed.
    std::list<WaitingSend> sending_;
    std::list<Waiting> draining_;
    std::list<Waiting> closing_;
    bool going_on_ = false;  ///< `go_on` was posted.
};

void AsyncClient::Registry::shutdown() {
    std::vector<std::shared_ptr<driver::Runner>> alive;
    {
        const std::lock_guard lock(mutex_);
        for (Impl* client : clients_) {
            if (auto runner = client->weak_from_this().lock()) alive.push_back(std::move(runner));
        }
    }
    for (const auto& runner : alive) static_cast<Impl&>(*runner).drop_operations();
}

void AsyncClient::Impl::drop_operations() {
    engine().disarm_all();
    OperationPtr connecting;
    std::list<Waiting> waiting;
    std::list<WaitingSend> sending;
    const std::lock_guard lock(mutex_);
    ended_ = true;
    connecting = std::move(connecting_);
    for (auto* each : {&receiving_, &draining_, &closing_}) waiting.splice(waiting.end(), *each);
    sending.swap(sending_);
}

// --- operations ----------------------------------------------------------------------------------------------------

void AsyncClient::Impl::connect(OperationPtr operation) {
    Completions completions;
    {
        const std::lock_guard lock(mutex_);
        if (ended_) return completions.add(std::move(operation), aborted);
        if (connecting_ != nullptr) {
            return completions.add(std::move(operation), make_error_code(Errc::already_started));
        }
        connecting_ = std::move(operation);
        connect_cancelled_ = false;
    }
    Error error = start(StartMode::once);
    if (!error) return;
    const std::lock_guard lock(mutex_);
    completions.add(std::move(connecting_), error.code);
    last_error_ = std::move(error);
}

void AsyncClient::Impl::receive(OperationPtr operation) {
    std::optional<Message> message;
    bool refill = false;
    {
        const std::lock_guard lock(mutex_);
        Completions completions;
        if (ended_) return completions.add(std::move(operation), aborted);
        if (config().delivery == Delivery::chunks) {
            return completions.add(std::move(operation), make_error_code(Errc::handlers_in_use));
        }
        try {
            message = take_message(refill);
            if (!message && started_) {
                receiving_.push_back({.operation = std::move(operation)});
            } else if (!message) {
                completions.add(std::move(operation), ending_ ? ending_.code : make_error_code(Errc::not_connected));
            }
        } catch (const std::bad_alloc&) {
            completions.add(std::move(operation), make_error_code(Errc::out_of_memory));
        }
    }
    if (message) operation.release()->complete({}, std::move(*message));
    if (refill) wake();
}

std::optional<Message> AsyncClient::Impl::try_receive() {
    std::optional<Message> message;
    bool refill = false;
    {
        const std::lock_guard lock(mutex_);
        message = take_message(refill);
    }
    if (refill) wake();
    return message;
}

/// Under the lock. `refill`: then the loop is to be woken, without it.
std::optional<Message> AsyncClient::Impl::take_message(bool& refill) {
    if (inbox_.empty()) return std::nullopt;
    return inbox_.pop(config().receive_buffer / 2, refill);
}

void AsyncClient::Impl::send(Opcode opcode, Bytes bytes, OperationPtr operation) {
    Completions completions;
    const std::lock_guard order(send_mutex_);
    std::unique_lock lock(mutex_);
    if (ended_) return completions.add(std::move(operation), aborted);
    if (sending_.empty()) {
        lock.unlock();
        const std::error_code error = Runner::send(opcode, bytes, {});
        const bool full = error == make_error_code(Errc::send_queue_full) && stats().send_queued != 0;
        if (!full) return completions.add(std::move(operation), error);
        lock.lock();
    }
    sending_.push_back({std::move(operation), false, opcode, std::string(as_text(bytes))});
    lock.unlock();
    watch_progress(true);
}

std::error_code AsyncClient::Impl::try_send(Opcode opcode, Bytes bytes, SendOptions options) {
    options.wait = std::chrono::milliseconds(0);
    const std::lock_guard order(send_mutex_);
    {
        const std::lock_guard lock(mutex_);
        if (ended_) return aborted;
        if (!sending_.empty()) return Errc::send_queue_full;
    }
    return Runner::send(opcode, bytes, options);
}

void AsyncClient::Impl::drain(OperationPtr operation) {
    Completions completions;
    const std::lock_guard order(send_mutex_);
    {
        const std::lock_guard lock(mutex_);
        if (ended_) return completions.add(std::move(operation), aborted);
        if (!started_) return completions.add(std::move(operation), make_error_code(Errc::not_connected));
        draining_.push_back({.operation = std::move(operation)});
    }
    watch_progress(true);
    wake();  // messages that wait for more are written
}

void AsyncClient::Impl::close(CloseCode code, std::string_view reason, OperationPtr operation) {
    Completions completions;
    const std::uint64_t id = operation->id;
    {
        const std::lock_guard lock(mutex_);
        if (ended_) return completions.add(std::move(operation), aborted);
        closing_.push_back({.operation = std::move(operation)});
    }
    const std::error_code error = Runner::close(code, reason);
    if (!error) return;
    const std::lock_guard lock(mutex_);
    completions.add(take(closing_, id), error);
}

void AsyncClient::Impl::cancel(std::uint64_t id, asio::cancellation_type type) {
    const auto has = [type](asio::cancellation_type bit) { return (type & bit) != asio::cancellation_type::none; };
    const bool terminal = has(asio::cancellation_type::terminal);
    bool drop = false;
    {
        Completions completions;
        const std::lock_guard order(send_mutex_);
        const std::lock_guard lock(mutex_);
        // Whoever gave up an attempt wants to begin the next one, so it completes when the client is idle.
        if (connecting_ != nullptr && connecting_->id == id) drop = connect_cancelled_ = true;
        completions.add(take(receiving_, id), aborted);
        completions.add(take(sending_, id), aborted);
        completions.add(take(draining_, id), aborted);
        if (terminal) {
            for (Waiting& each : closing_) {
                if (each.operation->id == id) drop = each.cancelled = true;
            }
        } else if (has(asio::cancellation_type::partial)) {
            completions.add(take(closing_, id), aborted);
        }
    }
    if (drop) begin_stop(std::chrono::milliseconds(0));
}

void AsyncClient::Impl::cancel_all() {
    bool drop = false;
    {
        Completions completions;
        const std::lock_guard order(send_mutex_);
        const std::lock_guard lock(mutex_);
        drop = connecting_ != nullptr;
        connect_cancelled_ = drop;
        if (ended_) completions.add(std::move(connecting_), aborted);
        completions.add_all(receiving_, aborted);
        completions.add_all(sending_, aborted);
        completions.add_all(draining_, aborted);
        completions.add_all(closing_, aborted);
    }
    if (drop) begin_stop(std::chrono::milliseconds(0));
}

void AsyncClient::Impl::shut_down() {
    retire();
    mute();
    {
        const std::lock_guard lock(mutex_);
        ended_ = true;
    }
    cancel_all();
    begin_stop(std::chrono::milliseconds(0));
}

std::error_code AsyncClient::Impl::set_handler(std::function<void(const Event&)> handler) {
    const std::lock_guard lock(mutex_);
    if (started_) return Errc::handlers_in_use;
    on_event_ = std::move(handler);
    return {};
}

Error AsyncClient::Impl::last_error() const {
    const std::lock_guard lock(mutex_);
    return last_error_;
}

// --- what the runner tells -----------------------------------------------------------------------------------------

void AsyncClient::Impl::on_start(StartMode mode) {
    static_cast<void>(mode);
    const std::lock_guard lock(mutex_);
    started_ = true;
    ending_ = Error();
    closed_well_ = false;
    inbox_.clear();
    handed_ = 0;
}

void AsyncClient::Impl::on_idle() {
    Completions completions;
    const std::lock_guard lock(mutex_);
    started_ = false;
    const std::error_code why = ending_ ? ending_.code : make_error_code(Errc::not_connected);
    completions.add(std::move(connecting_), connect_cancelled_ ? aborted : why);
    completions.add_all(receiving_, why);
    completions.add_all(sending_, make_error_code(Errc::not_connected));
    completions.add_all(draining_, why);
    completions.add_all(closing_, closed_well_ ? std::error_code() : why);
}

/// Under the runner's lock: what follows needs to be done without.
void AsyncClient::Impl::on_progress() {
    const std::lock_guard lock(mutex_);
    if (std::exchange(going_on_, true)) return;
    driver::patiently([this] { engine().post([self = self()] { self->go_on(); }); });
}

/// Room, or the end: the next messages that wait, and whoever waits until all have left.
void AsyncClient::Impl::go_on() {
    Completions completions;
    const std::lock_guard order(send_mutex_);
    std::unique_lock lock(mutex_);
    going_on_ = false;
    while (!sending_.empty()) {
        // Nobody but a cancellation takes it away meanwhile, and that cannot take back what was accepted.
        WaitingSend next = std::move(sending_.front());
        sending_.pop_front();
        lock.unlock();
        const std::error_code error = Runner::send(next.opcode, as_bytes(next.bytes), {});
        const bool full = error == make_error_code(Errc::send_queue_full) && stats().send_queued != 0;
        lock.lock();
        if (full && !ended_) {
            sending_.push_front(std::move(next));
            break;
        }
        completions.add(std::move(next.operation), ended_ ? aborted : error);
    }
    lock.unlock();
    const bool empty = stats().send_queued == 0;
    lock.lock();
    if (sending_.empty() && empty) completions.add_all(draining_, {});
    const bool wanted = !sending_.empty() || !draining_.empty();
    lock.unlock();
    if (!wanted) watch_progress(false);  // under `send_mutex_`, like the contrary
}

bool AsyncClient::Impl::deliver(const Event& event) noexcept {
    if (event.kind == Event::Kind::message) {
        const MessageView message = event.message();
        deliver({&message, 1});
    } else {
        throwing([&] {
            note(event);
            if (on_event_) on_event_(event);
        });
    }
    return ready_for_event();
}

std::size_t AsyncClient::Impl::deliver(std::span<const MessageView> messages) noexcept {
    std::size_t done = 0;
    const std::lock_guard lock(mutex_);
    do {
        throwing([&] { take_in(messages[done]); });
        ++done;
    } while (done < messages.size() && has_room() && !interrupted());
    return done;
}

/// What is thrown comes out of the executor.
template <class Action>
void AsyncClient::Impl::throwing(const Action& action) noexcept {
    try {
        action();
    } catch (...) {
        asio::post(executor_, [exception = std::current_exception()] { std::rethrow_exception(exception); });
    }
}

/// For the operation that waits for it, or for the next one. Under the lock: to complete an operation is to post it.
void AsyncClient::Impl::take_in(MessageView view) {
    if (receiving_.empty()) {
        inbox_.push(view);
    } else {
        Message message{view.opcode, std::string(view.text())};
        const std::size_t size = message.data.size();
        OperationPtr operation = std::move(receiving_.front().operation);
        receiving_.pop_front();
        operation.release()->complete({}, std::move(message));
        if (size >= config().receive_buffer) hold_back(size);
    }
}

/// Otherwise there would always be two of them. Under the lock.
void AsyncClient::Impl::hold_back(std::size_t size) {
    engine().post([self = self()] {
        {
            const std::lock_guard lock(self->mutex_);
            self->handed_ = 0;
        }
        self->wake();
    });
    handed_ = size;
}

/// Under the lock.
bool AsyncClient::Impl::has_room() const {
    return !receiving_.empty() || handed_ + inbox_.bytes() < config().receive_buffer;
}

void AsyncClient::Impl::note(const Event& event) {
    Completions completions;
    const std::lock_guard lock(mutex_);
    switch (event.kind) {
        case Event::Kind::open:
            if (!connect_cancelled_) completions.add(std::move(connecting_), {});
            break;
        case Event::Kind::closed:
        case Event::Kind::failed: note_end(event, completions); break;
        case Event::Kind::reconnecting: last_error_ = *event.error; break;
        default: break;
    }
}

/// What waited for bytes to leave waited for this connection.
void AsyncClient::Impl::note_end(const Event& event, Completions& completions) {
    ending_ = last_error_ = *event.error;
    closed_well_ = event.kind == Event::Kind::closed ? event.close->clean() : *event.error == Errc::closed_locally;
    completions.add_all(draining_, ending_.code);
}

bool AsyncClient::Impl::ready_for_event() {
    const std::lock_guard lock(mutex_);
    return has_room();
}

// --- the public face -----------------------------------------------------------------------------------------------

AsyncClient::AsyncClient(executor_type executor, Config config)
    : AsyncClient(std::move(executor), std::make_shared<const Config>(std::move(config))) {}
AsyncClient::AsyncClient(executor_type executor, std::shared_ptr<const Config> config)
    : executor_(std::move(executor)), backend_(std::make_shared<Impl>(executor_, std::move(config))) {}
AsyncClient::~AsyncClient() {
    if (backend_ != nullptr) impl()->shut_down();
}
AsyncClient::AsyncClient(AsyncClient&&) noexcept = default;
AsyncClient& AsyncClient::operator=(AsyncClient&& other) noexcept {
    if (this != &other) {
        if (backend_ != nullptr) impl()->shut_down();
        executor_ = std::move(other.executor_);
        backend_ = std::move(other.backend_);
    }
    return *this;
}

std::shared_ptr<AsyncClient::Impl> AsyncClient::impl() { return std::static_pointer_cast<Impl>(backend_); }
const AsyncClient::Impl& AsyncClient::impl() const { return static_cast<const Impl&>(*backend_); }

std::optional<Message> AsyncClient::try_receive() { return impl()->try_receive(); }
std::error_code AsyncClient::try_send(std::string_view text, const SendOptions& options) {
    return impl()->try_send(Opcode::text, as_bytes(text), options);
}
std::error_code AsyncClient::try_send(Bytes bytes, const SendOptions& options) {
    return impl()->try_send(Opcode::binary, bytes, options);
}
void AsyncClient::cancel() { impl()->cancel_all(); }
std::error_code AsyncClient::ping(std::string_view payload) { return impl()->ping(as_bytes(payload)); }
std::error_code AsyncClient::on_event(std::function<void(const Event&)> handler) {
    return impl()->set_handler(std::move(handler));
}
Error AsyncClient::last_error() const { return impl().last_error(); }
State AsyncClient::state() const { return impl().state(); }
Stats AsyncClient::stats() const { return impl().stats(); }

}  // namespace tern
