// tern::Client: handlers and blocking calls on top of the runner.

#include <tern/client.hpp>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <new>

#include "inbox.hpp"
#include "loop.hpp"
#include "runner.hpp"
#include "thread_engine.hpp"
#include "wait_list.hpp"

namespace tern {
namespace {

using Clock = std::chrono::steady_clock;

/// What a blocking call may need beyond its limit when the machine is busy. Only a handler takes that long.
constexpr std::chrono::seconds grace{1};

}  // namespace

struct PendingAttempt::State {
    State(const std::shared_ptr<driver::Runner>& runner, const Command& command)
        : client(runner), id(command.id), number(command.attempt) {
        const Config& config = runner->config();
        attempt = {command.host, config.headers, config.user, config.password, config.bearer_token};
    }
    ~State() { answer(Error(Errc::prepare_failed, Phase::prepare, "before_attempt let go of it without an answer")); }
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    void answer(Error error) {
        if (const auto runner = std::exchange(client, {}).lock()) {
            runner->answer(id, std::move(attempt), std::move(error));
        }
    }

    std::weak_ptr<driver::Runner> client;  ///< Empty after the answer.
    const StreamId id;
    const std::uint32_t number;
    Attempt attempt;
};

class Client::Impl final : public driver::Runner {
public:
    /// On an engine of its own, which ends with it.
    Impl(std::shared_ptr<driver::ThreadEngine> own, std::shared_ptr<const Config> config)
        : Runner(std::move(own), std::move(config)), owns_engine_(true) {}
    /// On the engine of a loop.
    Impl(std::shared_ptr<driver::Engine> engine, std::shared_ptr<const Config> config)
        : Runner(std::move(engine), std::move(config)) {}

    template <class Handler>
    std::error_code set(Handler& slot, Handler handler) {
        const std::lock_guard lock(mutex_);
        if (started_) return Errc::handlers_in_use;
        slot = std::move(handler);
        return {};
    }

    Error connect();
    std::error_code stop(std::chrono::milliseconds limit);
    Result<Message> receive(std::chrono::milliseconds limit);
    void shut_down();

    std::function<void(MessageView)> on_message;
    std::function<void(const Handshake&)> on_open;
    std::function<void(const CloseInfo&)> on_close;
    std::function<void(const Error&, bool)> on_error;

    /// Those that few programs set.
    struct Special {
        std::function<void(const ChunkView&)> on_chunk;
        std::function<void(const Event&)> on_event;
        std::function<void(std::uint64_t, Fate, const Error&)> on_fate;
        std::function<void(PendingAttempt)> before_attempt;
    };
    template <class Handler>
    std::error_code set_special(Handler Special::* slot, Handler handler) {
        const std::lock_guard lock(mutex_);
        if (started_) return Errc::handlers_in_use;
        if (special_ == nullptr && handler) special_.reset(new (std::nothrow) Special());
        if (special_ == nullptr) return handler ? Errc::out_of_memory : std::error_code();
        special_.get()->*slot = std::move(handler);
        return {};
    }

private:
    /// The handler, if there is one.
    template <class Handler>
    [[nodiscard]] Handler* special(Handler Special::* slot) const {
        return special_ != nullptr && special_.get()->*slot ? &(special_.get()->*slot) : nullptr;
    }
    [[nodiscard]] bool asks() const override;
    void ask(const Command& command) noexcept override;
    void on_start(StartMode mode) override;
    void on_idle() override;
    bool deliver(const Event& event) noexcept override;
    std::size_t deliver(std::span<const MessageView> messages) noexcept override;
    bool ready_for_event() override;
    void note(const Event& event);
    [[nodiscard]] Error ending() const;
    void call_handlers(const Event& event);
    template <class Action>
    void reporting(const Action& action) noexcept;
    void report_exception(const char* what) noexcept;
    std::size_t keep(std::span<const MessageView> messages) noexcept;
    void forget_handlers();

    const bool owns_engine_ = false;
    std::unique_ptr<Special> special_;  ///< Null: none of them.

    // Shared by the loop and the blocking calls.
    mutable std::mutex mutex_;
    driver::WaitList changed_;
    bool started_ = false;                   ///< A life is running.
    bool opened_ = false;                    ///< The life has had an open connection.
    std::error_code ending_;                 ///< Why the last life ended; empty if it has not.
    std::unique_ptr<Error> ending_details_;  ///< All that is known of that, unless there was no memory for it.
    /// Messages are kept for `receive`. The loop reads it without the lock, perhaps between two lives.
    std::atomic<bool> keeping_ = false;
    /// The loop reads how full it is without the lock: who makes room wakes it afterwards.
    driver::Inbox inbox_;
};

// --- life ----------------------------------------------------------------------------------------------------------

void Client::Impl::on_start(StartMode mode) {
    const std::lock_guard lock(mutex_);
    // `connect` announces that the program will use `receive`, even if it watches events too.
    const bool handled =
        on_message || special(&Special::on_chunk) || (special(&Special::on_event) && mode != StartMode::once);
    started_ = true;
    opened_ = false;
    ending_ = {};
    ending_details_.reset();
    keeping_ = !handled && config().delivery == Delivery::messages;
    inbox_.clear();
}

void Client::Impl::on_idle() {
    const std::lock_guard lock(mutex_);
    started_ = false;
    changed_.notify_all();
}

Error Client::Impl::connect() {
    if (on_loop_thread()) return Errc::would_deadlock;
    if (Error error = start(StartMode::once)) return error;
    std::unique_lock lock(mutex_);
    const auto decided = [this] { return opened_ || !started_; };
    // The core ends every attempt in time; only a handler that blocks could hold the outcome back.
    const auto attempts = static_cast<std::int64_t>(config().endpoints.size()) + 1;
    const auto limit = driver::bounded(attempts * config().timeouts.attempt + grace);
    if (!changed_.wait_until(lock, Clock::now() + limit, decided)) {
        lock.unlock();
        begin_stop(std::chrono::milliseconds(0));
        return {Errc::call_timeout, Phase::connect, "a handler is still running"};
    }
    return opened_ ? Error() : ending();
}

std::error_code Client::Impl::stop(std::chrono::milliseconds limit) {
    limit = driver::bounded(limit);
    begin_stop(limit);
    if (on_loop_thread()) return {};
    // Once the limit has passed the loop needs but a moment, unless it is held up by a handler.
    const auto end = Clock::now() + limit;
    return wait_until_idle(end) || wait_until_idle(end + grace) ? std::error_code() : Errc::call_timeout;
}

void Client::Impl::shut_down() {
    retire();
    const bool inside = on_loop_thread();
    if (inside) {
        mute();
        begin_stop(config().timeouts.stop);
    } else if (stop(config().timeouts.stop)) {
        mute();
        wait_until_idle(std::nullopt);
    }
    if (owns_engine_) static_cast<driver::ThreadEngine&>(engine()).finish(inside);
    mute();
    // What the handlers hold goes now, unless one of them is running; then it goes with the last of the connection.
    if (!inside || !in_handler()) forget_handlers();
}

void Client::Impl::forget_handlers() {
    on_message = nullptr;
    on_open = nullptr;
    on_close = nullptr;
    on_error = nullptr;
    special_.reset();
}

// --- events --------------------------------------------------------------------------------------------------------

bool Client::Impl::deliver(const Event& event) noexcept {
    reporting([&] {
        if (event.kind != Event::Kind::message) note(event);
        call_handlers(event);
    });
    return ready_for_event();
}

std::size_t Client::Impl::deliver(std::span<const MessageView> messages) noexcept {
    if (special(&Special::on_event)) return Runner::deliver(messages);
    if (!on_message) return keeping_ ? keep(messages) : messages.size();
    std::size_t done = 0;
    do {
        reporting([&] {
            do on_message(messages[done++]);
            while (done < messages.size() && !interrupted());
        });
    } while (done < messages.size() && !interrupted());
    return done;
}

/// What a handler throws is told, and does no harm.
template <class Action>
void Client::Impl::reporting(const Action& action) noexcept {
    try {
        action();
    } catch (const std::exception& exception) {
        report_exception(exception.what());
    } catch (...) {
        report_exception("something that is not a std::exception");
    }
}

bool Client::Impl::asks() const {
    const std::lock_guard lock(mutex_);
    return special(&Special::before_attempt) != nullptr;
}

void Client::Impl::ask(const Command& command) noexcept {
    reporting([&] {
        special_->before_attempt(PendingAttempt(std::make_unique<PendingAttempt::State>(shared_from_this(), command)));
    });
}

/// Keeps what the blocking calls wait for.
void Client::Impl::note(const Event& event) {
    if (event.kind == Event::Kind::open) {
        const std::lock_guard lock(mutex_);
        opened_ = true;
        changed_.notify_all();
    }
    if (event.error != nullptr && (event.kind == Event::Kind::failed || event.kind == Event::Kind::closed)) {
        const std::lock_guard lock(mutex_);
        ending_ = event.error->code;
        ending_details_.reset();
        try {
            ending_details_ = std::make_unique<Error>(*event.error);
        } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): the code will do
        }
    }
}

/// Under the lock.
Error Client::Impl::ending() const {
    Error error;
    error.code = ending_;
    return ending_details_ != nullptr ? *ending_details_ : error;
}

void Client::Impl::call_handlers(const Event& event) {
    if (const auto* on_event = special(&Special::on_event)) (*on_event)(event);
    switch (event.kind) {
        case Event::Kind::message:
            if (on_message) {
                on_message(event.message());
            } else if (keeping_) {
                const MessageView message = event.message();
                keep({&message, 1});
            }
            break;
        case Event::Kind::chunk:
            if (const auto* on_chunk = special(&Special::on_chunk)) (*on_chunk)(event.chunk);
            break;
        case Event::Kind::open:
            if (on_open) on_open(*event.handshake);
            break;
        case Event::Kind::closed:
            if (on_close) on_close(*event.close);
            break;
        case Event::Kind::fate:
            if (const auto* on_fate = special(&Special::on_fate)) {
                (*on_fate)(event.number, event.fate, event.error != nullptr ? *event.error : Error());
            }
            break;
        case Event::Kind::reconnecting:
        case Event::Kind::switch_failed:
        case Event::Kind::failed:
            if (on_error) on_error(*event.error, event.kind == Event::Kind::failed);
            break;
        default: break;
    }
}

void Client::Impl::report_exception(const char* what) noexcept {
    if (!on_error) return;
    try {
        on_error(Error(Errc::handler_threw, Phase::none, what), false);
    } catch (...) {  // NOLINT(bugprone-empty-catch): nobody is left to tell
    }
}

// --- receiving without handlers ------------------------------------------------------------------------------------

bool Client::Impl::ready_for_event() { return !keeping_ || inbox_.bytes() < config().receive_buffer; }

/// As many as there is room for, but at least one. How many?
std::size_t Client::Impl::keep(std::span<const MessageView> messages) noexcept {
    driver::Inbox kept;
    std::size_t done = 0;
    bool enough_memory = true;
    const std::size_t before = inbox_.bytes();  // it only becomes less
    try {
        do kept.push(messages[done++]);
        while (done < messages.size() && before + kept.bytes() < config().receive_buffer && !interrupted());
    } catch (const std::bad_alloc&) {
        enough_memory = false;
    }
    {
        const std::lock_guard lock(mutex_);
        inbox_.append(kept);
        changed_.notify_all();
    }
    if (enough_memory) return done;
    lack_memory();  // rather than going on without the message
    return messages.size();
}

Result<Message> Client::Impl::receive(std::chrono::milliseconds limit) {
    if (on_loop_thread()) return Error(Errc::would_deadlock);
    std::unique_lock lock(mutex_);
    if (config().delivery == Delivery::chunks) {
        return Error(Errc::handlers_in_use, Phase::none, "receive() needs Delivery::messages");
    }
    if (on_message || (started_ && !keeping_)) return Error(Errc::handlers_in_use);
    const auto changed = [this] { return !inbox_.empty() || !started_; };
    if (!changed() && !changed_.wait_until(lock, Clock::now() + driver::bounded(limit), changed)) {
        return Error(Errc::call_timeout, Phase::open,
                     "no message came within " + std::to_string(limit.count()) + " ms");
    }
    if (inbox_.empty()) return ending_ ? ending() : Error(Errc::not_connected);
    try {
        bool refill = false;
        Message message = inbox_.pop(config().receive_buffer / 2, refill);
        lock.unlock();
        if (refill) wake();
        return message;
    } catch (const std::bad_alloc&) {
        return Error(Errc::out_of_memory);
    }
}

// --- the public face -----------------------------------------------------------------------------------------------

PendingAttempt::PendingAttempt(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
PendingAttempt::PendingAttempt(PendingAttempt&&) noexcept = default;
PendingAttempt& PendingAttempt::operator=(PendingAttempt&&) noexcept = default;
PendingAttempt::~PendingAttempt() = default;
std::uint32_t PendingAttempt::number() const noexcept { return state_->number; }
Attempt& PendingAttempt::operator*() noexcept { return state_->attempt; }
void PendingAttempt::go() { state_->answer({}); }
void PendingAttempt::fail(std::string why) { state_->answer({Errc::prepare_failed, Phase::prepare, std::move(why)}); }

Client::Client(Config config) : Client(std::make_shared<const Config>(std::move(config))) {}
Client::Client(std::shared_ptr<const Config> config)
    : impl_(std::make_shared<Impl>(std::make_shared<driver::ThreadEngine>(), std::move(config))) {}
Client::Client(Loop& loop, Config config) : Client(loop, std::make_shared<const Config>(std::move(config))) {}
Client::Client(Loop& loop, std::shared_ptr<const Config> config)
    : impl_(std::make_shared<Impl>(loop.impl_->engine(), std::move(config))) {}
Client::~Client() {
    if (impl_ != nullptr) impl_->shut_down();
}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&& other) noexcept {
    if (this != &other) {
        if (impl_ != nullptr) impl_->shut_down();
        impl_ = std::move(other.impl_);
    }
    return *this;
}

std::error_code Client::on_message(std::function<void(MessageView)> handler) {
    return impl_->set(impl_->on_message, std::move(handler));
}
std::error_code Client::on_chunk(std::function<void(const ChunkView&)> handler) {
    return impl_->set_special(&Impl::Special::on_chunk, std::move(handler));
}
std::error_code Client::on_open(std::function<void(const Handshake&)> handler) {
    return impl_->set(impl_->on_open, std::move(handler));
}
std::error_code Client::on_close(std::function<void(const CloseInfo&)> handler) {
    return impl_->set(impl_->on_close, std::move(handler));
}
std::error_code Client::on_error(std::function<void(const Error&, bool)> handler) {
    return impl_->set(impl_->on_error, std::move(handler));
}
std::error_code Client::on_event(std::function<void(const Event&)> handler) {
    return impl_->set_special(&Impl::Special::on_event, std::move(handler));
}

std::error_code Client::on_fate(std::function<void(std::uint64_t, Fate, const Error&)> handler) {
    return impl_->set_special(&Impl::Special::on_fate, std::move(handler));
}

std::error_code Client::before_attempt(std::function<void(Attempt&)> handler) {
    if (!handler) return before_attempt(std::function<void(PendingAttempt)>());
    return before_attempt([handler = std::move(handler)](PendingAttempt pending) {
        handler(*pending);
        pending.go();
    });
}
std::error_code Client::before_attempt(std::function<void(PendingAttempt)> handler) {
    return impl_->set_special(&Impl::Special::before_attempt, std::move(handler));
}

Error Client::start() { return impl_->start(StartMode::keep_trying); }
Error Client::connect() {
    try {
        return impl_->connect();
    } catch (const std::bad_alloc&) {
        return Errc::out_of_memory;
    }
}
std::error_code Client::close(CloseCode code, std::string_view reason) { return impl_->close(code, reason); }
void Client::stop() { static_cast<void>(impl_->stop(impl_->config().timeouts.stop)); }
std::error_code Client::stop(std::chrono::milliseconds limit) { return impl_->stop(limit); }
void Client::begin_stop(std::chrono::milliseconds limit) { impl_->begin_stop(driver::bounded(limit)); }

std::error_code Client::send_text(std::string_view text, const SendOptions& options) {
    return impl_->send(Opcode::text, as_bytes(text), options);
}
std::error_code Client::send_binary(Bytes bytes, const SendOptions& options) {
    return impl_->send(Opcode::binary, bytes, options);
}
std::error_code Client::send_part(Opcode opcode, Bytes bytes, bool fin, const SendOptions& options) {
    return impl_->send_part(opcode, bytes, fin, options);
}
std::error_code Client::drain(std::chrono::milliseconds limit) { return impl_->drain(limit); }
std::error_code Client::reopen(CloseCode code, std::string_view reason) { return impl_->reopen(code, reason); }
std::error_code Client::abort() { return impl_->abort(); }
std::error_code Client::set_reconnect_delays(std::chrono::milliseconds min, std::chrono::milliseconds max) {
    return impl_->set_reconnect_delays(min, max);
}
void Client::reconnect_now() { impl_->reconnect_now(); }
std::error_code Client::refresh() { return impl_->refresh(); }
void Client::pause() { impl_->pause(true); }
void Client::resume() { impl_->pause(false); }
std::error_code Client::ping(std::string_view payload) { return impl_->ping(as_bytes(payload)); }
std::error_code Client::pong(std::string_view payload) { return impl_->pong(as_bytes(payload)); }
std::error_code Client::flush(std::chrono::milliseconds limit, std::size_t left) {
    return impl_->flush_until(Clock::now() + driver::bounded(limit), left);
}

Result<Message> Client::receive(std::chrono::milliseconds limit) {
    try {
        return impl_->receive(limit);
    } catch (const std::bad_alloc&) {
        return Error(Errc::out_of_memory);
    }
}

State Client::state() const { return impl_->state(); }
Stats Client::stats() const { return impl_->stats(); }

}  // namespace tern
