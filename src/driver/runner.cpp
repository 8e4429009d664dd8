#include "runner.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <fcntl.h>
#include <new>
#include <poll.h>
#include <unistd.h>
#include <utility>

#include <sys/socket.h>

#include "resolver.hpp"
#include "socket.hpp"

namespace tern::driver {
namespace {

/// Pieces offered to the kernel at once. They are at most 64 KiB each, so a control frame waits for 256 KiB at most.
constexpr std::size_t max_pieces = 4;
/// Messages sent inside a handler are gathered until it returns, unless so much has come together. The kernel makes
/// packets of up to 64 KiB; with one message more, this should not be the beginning of a second.
constexpr std::size_t gather_limit = 60u << 10u;
/// Calls of the kernel, after which somebody else has to go on writing.
constexpr int writes_at_once = 16;
/// Reads from one connection before others have their turn: less than a mebibyte.
constexpr int reads_at_once = 4;

TimePoint clock_now() { return std::chrono::steady_clock::now(); }

/// Not one that only says that there is nothing to do now.
bool is_final(const std::error_code& error) {
    return error && error != std::errc::operation_would_block && error != std::errc::resource_unavailable_try_again &&
           error != std::errc::interrupted;
}

/// Of a whole message: it will not be compressed.
bool stays_plain(const Compression& config, Opcode opcode, Bytes payload, const SendOptions& options) {
    return !config.enabled || !Outgoing(opcode, payload, options).may_be_compressed(config);
}

Error connect_error(const std::error_code& error) {
    const auto code = [&] {
        if (error == std::errc::connection_refused) return Errc::connection_refused;
        if (error == std::errc::host_unreachable || error == std::errc::network_unreachable)
            return Errc::host_unreachable;
        return Errc::connect_error;
    }();
    Error result(code, Phase::connect);
    if (code == Errc::connect_error) result.detail = error.message();
    result.native = error.value();
    return result;
}

Error stream_error(const std::error_code& error) {
    const bool reset = error == std::errc::connection_reset || error == std::errc::broken_pipe;
    Error result(reset ? Errc::connection_reset : Errc::io_error, Phase::open, reset ? "" : error.message());
    result.native = error.value();
    return result;
}

}  // namespace

Runner::Runner(std::shared_ptr<Engine> engine, std::shared_ptr<const Config> config)
    : config_(std::move(config)),
      engine_(std::move(engine)),
      mutex_(*engine_),
      core_(config_, default_crypto(), engine_->buffers()) {
    engine_->count_runner(1);
}

Runner::~Runner() {
    if (entered_) engine_->leave(*this);
    engine_->count_runner(-1);
}

// --- any thread ----------------------------------------------------------------------------------------------------

Error Runner::start(StartMode mode) {
    try {
        return begin(mode);
    } catch (const std::bad_alloc&) {
        return Errc::out_of_memory;
    }
}

Error Runner::begin(StartMode mode) {
    const Lock lock(mutex_);
    if (retired_) return Errc::stopped;
    const bool prepared = asks();
    // A handler of the last event may begin the next life already.
    const bool over = in_handler_ && engine_->on_thread() && core_.state() == State::idle && !start_;
    if (running_ && !over) return Errc::already_started;
    // Reads certificates and keys too; taking events, which needs no lock, has nothing to do with those.
    if (Error error = core_.load(prepared)) return error;
    if (Error error = check_socket(*config_)) return error;
    if (Error error = engine_->enter(*this, entered_)) return error;
    if (!std::exchange(entered_, true)) active_ = false;
    post_pump();  // nothing is thrown from here on
    running_ = true;
    stopping_ = false;
    start_ = mode;
    prepare_attempts_ = prepared;
    drop_at_.reset();
    abort_ = false;
    delays_.reset();
    on_start(mode);
    return {};
}

std::error_code Runner::send(Opcode opcode, Bytes payload, const SendOptions& options) {
    // Mostly there is nothing to compress, and there is room.
    const bool plain = stays_plain(config_->compression, opcode, payload, options);
    const auto queue = [&] { return (plain || !core_.compresses()) && !core_.send(opcode, payload, options); };
    // Only the loop's thread changes `in_handler_`.
    const bool in_handler = engine_->on_thread() && in_handler_;
    bool queued = false;
    if (in_handler) {
        const LoopLock lock(mutex_);
        queued = queue();
        // The loop looks after the core behind the handler.
        if (queued && core_.send_queued() < gather_limit) return {};
    }
    if (queued || !in_handler) {
        Lock lock(mutex_);
        if (queued || queue()) {
            flush_and_settle(lock, options.more);
            return {};
        }
    }
    return send_slowly(opcode, payload, options);
}

/// Not inline, because most messages do not come here.
[[gnu::noinline]] std::error_code Runner::send_slowly(Opcode opcode, Bytes payload, const SendOptions& options) {
    Outgoing outgoing(opcode, payload, options);
    return send(outgoing);
}

std::error_code Runner::send_part(Opcode opcode, Bytes payload, bool fin, const SendOptions& options) {
    Outgoing outgoing(opcode, payload, fin, options);
    return send(outgoing);
}

std::error_code Runner::send(Outgoing& outgoing) {
    // Nothing to compress and nothing to wait for, which most messages have in common.
    if (!outgoing.may_be_compressed(config_->compression)) {
        Lock lock(mutex_);
        std::error_code error = core_.finish(outgoing);
        // Messages that wait for more have nobody else who writes them.
        if (error == make_error_code(Errc::send_queue_full) && flush(lock)) error = core_.finish(outgoing);
        if (!error) flush_and_settle(lock, outgoing.options().more);
        if (!error || outgoing.options().wait.count() <= 0) return noted(error);
    }
    const std::chrono::milliseconds wait = outgoing.options().wait;
    const TimePoint deadline =
        wait.count() > 0 && !engine_->on_thread() ? clock_now() + bounded(wait) : TimePoint::min();
    Lock lock(mutex_, std::defer_lock);
    for (std::size_t size = 0;;) {
        const std::error_code error = try_to_send(outgoing, lock, size);
        if (!error) flush_and_settle(lock, outgoing.options().more);
        const bool full = error == make_error_code(Errc::send_queue_full);
        if (full && flush(lock)) {
            lock.unlock();
            continue;
        }
        if (!error || deadline == TimePoint::min()) return noted(error);
        const bool coming = error == make_error_code(Errc::not_connected) && running_ && !stopping_;
        // With an empty queue it will never fit.
        if (!coming && (!full || core_.send_queued() == 0)) return noted(error);
        // Compressing again is only worth it when there may be room.
        const std::size_t before = core_.send_queued();
        const std::size_t limit = config_->limits.max_send_queue - std::min(config_->limits.max_send_queue, size);
        const State state = core_.state();
        const auto changed = [&] {
            if (!running_ || stopping_ || core_.state() != state) return true;
            const std::size_t queued = core_.send_queued();
            return full && queued < before && queued <= limit;
        };
        if (!progress_.wait_until(lock, deadline, changed)) return error;
        lock.unlock();
    }
}

/// Returns with the lock held. `size`: of what was to be sent.
std::error_code Runner::try_to_send(Outgoing& outgoing, Lock& lock, std::size_t& size) {
    lock.lock();
    if (outgoing.may_be_compressed(config_->compression)) {
        // The loop's thread receives, too. Rather than waiting for another thread's compressor it sends a message as it
        // is; only the part of a message that is compressed already has no choice.
        if (outgoing.is_part() || !on_loop_thread()) {
            compressed_.wait(lock, [this] { return !compressing_; });
        } else if (compressing_) {
            outgoing.leave_plain();
        }
    }
    const bool compressing = outgoing.may_be_compressed(config_->compression);
    if (compressing) compressing_ = true;
    core_.begin(outgoing);
    if (outgoing.compresses()) {
        lock.unlock();
        outgoing.compress();
        lock.lock();
    }
    const std::error_code error = core_.finish(outgoing);
    size = outgoing.size();
    outgoing.give_up();
    if (compressing) {
        compressing_ = false;
        compressed_.notify_all();
    }
    return error;
}

std::error_code Runner::drain(std::chrono::milliseconds limit) {
    Lock lock(mutex_);
    if (engine_->on_thread()) return Errc::would_deadlock;
    flush_and_settle(lock, false);
    const auto done = [this] { return core_.send_queued() == 0 || !running_; };
    if (!progress_.wait_until(lock, clock_now() + bounded(limit), done)) return Errc::call_timeout;
    return core_.send_queued() == 0 && core_.state() == State::open ? std::error_code() : Errc::not_connected;
}

std::error_code Runner::ping(Bytes payload) {
    Lock lock(mutex_);
    const std::error_code error = core_.ping(payload);
    if (!error) flush_and_settle(lock, false);
    return noted(error);
}

std::error_code Runner::pong(Bytes payload) {
    Lock lock(mutex_);
    const std::error_code error = core_.pong(payload);
    if (!error) flush_and_settle(lock, false);
    return noted(error);
}

/// The loop's own thread cannot wait for an event, so everybody asks the kernel. The descriptor is doubled, because the
/// loop may close the socket meanwhile.
std::error_code Runner::flush_until(TimePoint deadline, std::size_t left) {
    constexpr std::chrono::milliseconds step(50);  // the end of the connection is noticed that late
    for (;;) {
        int descriptor = -1;
        {
            Lock lock = whole();
            if (core_.state() != State::open && core_.state() != State::closing) return Errc::not_connected;
            if (flush(lock, true) && core_.needs_settle()) post_pump();
            if (core_.send_queued() <= left) return {};
            for (const Stream& stream : streams_) {
                if (stream.waiting_to_write && stream.write_error == 0) {
                    descriptor = fcntl(stream.socket.number(), F_DUPFD_CLOEXEC, 0);
                }
            }
        }
        const auto rest = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock_now());
        pollfd waiting{.fd = descriptor, .events = POLLOUT, .revents = 0};
        if (rest.count() > 0) poll(&waiting, 1, static_cast<int>(std::min(rest, step).count()));
        if (descriptor >= 0) ::close(descriptor);
        if (rest.count() <= 0) return Errc::call_timeout;
    }
}

std::error_code Runner::close(CloseCode code, std::string_view reason) {
    const Lock lock(mutex_);
    if (start_) {
        // The loop has not begun yet. It will, and be told to end at once, so that the life has its last event.
        drop_at_ = TimePoint::min();
        return {};
    }
    const std::error_code error = core_.close(code, reason);
    if (!error) post_pump();
    return noted(error);
}

std::error_code Runner::reopen(CloseCode code, std::string_view reason) {
    const Lock lock(mutex_);
    const std::error_code error = start_ ? Errc::not_connected : core_.reopen(code, reason);
    if (!error) post_pump();
    return noted(error);
}

std::error_code Runner::abort() {
    const Lock lock(mutex_);
    if (core_.state() != State::open && core_.state() != State::closing) return Errc::not_connected;
    abort_ = true;
    post_pump();
    return {};
}

std::error_code Runner::set_reconnect_delays(std::chrono::milliseconds min, std::chrono::milliseconds max) {
    if (min.count() < 0 || max < min || max != bounded(max)) return Errc::invalid_config;
    const Lock lock(mutex_);
    if (!running_) return Errc::not_connected;
    delays_.reset(new (std::nothrow) Delays{min, max});
    if (delays_ == nullptr) return Errc::out_of_memory;
    post_pump();
    return {};
}

void Runner::begin_stop(std::chrono::milliseconds limit) {
    const Lock lock(mutex_);
    if (!running_) return;
    stopping_ = true;
    const TimePoint at = start_ ? TimePoint::min() : clock_now() + limit;
    drop_at_ = drop_at_ ? std::min(*drop_at_, at) : at;
    if (!start_ && limit.count() > 0) static_cast<void>(core_.close(CloseCode::going_away, {}));
    post_pump();
}

void Runner::retire() {
    const Lock lock(mutex_);
    retired_ = true;
}

bool Runner::wait_until_idle(std::optional<TimePoint> deadline) {
    Lock lock(mutex_);
    const auto idle = [this] { return !running_ && !in_handler_; };
    if (deadline) return idle_.wait_until(lock, *deadline, idle);
    idle_.wait(lock, idle);
    return true;
}

void Runner::reconnect_now() {
    const Lock lock(mutex_);
    if (!running_) return;
    reconnect_now_ = true;
    post_pump();
}

std::error_code Runner::refresh() {
    const Lock lock(mutex_);
    if (core_.state() != State::open) return Errc::not_connected;
    refresh_ = true;
    post_pump();
    return {};
}

void Runner::pause(bool wanted) {
    const Lock lock(mutex_);
    paused_ = wanted;
    if (!wanted && running_) post_pump();  // without a life the loop may not run, and would never let go of it
}

void Runner::watch_progress(bool wanted) {
    const Lock lock(mutex_);
    watching_ = wanted;
    if (wanted) on_progress();
}

/// To those who wait until bytes have left, or for another state.
void Runner::tell_progress() {
    progress_.notify_all();
    if (watching_) on_progress();
}

State Runner::state() const {
    const Lock lock(mutex_);
    return start_ ? State::connecting : core_.state();
}

Stats Runner::stats() const {
    const Lock lock(mutex_);
    return core_.stats();
}

void Runner::answer(StreamId id, Attempt attempt, Error error) {
    const Lock lock(mutex_);
    if (!running_) return;  // the loop may have ended
    // To the loop, because what follows is of the group `whole`: it must not meet events that are being taken.
    patiently([&] {
        engine_->post([self = shared_from_this(), id, attempt, error]() mutable {
            self->guarded([&] {
                {
                    const Lock inner = self->whole();
                    self->core_.on_prepared(id, std::move(attempt), std::move(error), clock_now());
                }
                self->pump();
            });
        });
    });
}

void Runner::wake() {
    const Lock lock(mutex_);
    if (running_) post_pump();
}

bool Runner::in_handler() const {
    const Lock lock(mutex_);
    return in_handler_;
}

void Runner::post_pump() {
    // Behind a handler the loop looks after the core anyway.
    if (in_handler_ && engine_->on_thread()) return;
    if (std::exchange(woken_, true)) return;
    patiently([this] { engine_->post([self = shared_from_this()] { self->pump(); }); });
}

// --- the loop's thread ---------------------------------------------------------------------------------------------

void Runner::pump() {
    guarded([this] {
        Lock lock = whole();
        rest(lock, run(lock));
    });
}

/// What the loop calls. When there was no memory in the middle of it, the life of this client ends, and nobody else's.
template <class Action>
void Runner::guarded(const Action& action) {
    try {
        action();
    } catch (const std::bad_alloc&) {
        run_out_of_memory();
    }
}

void Runner::run_out_of_memory() {
    for (;;) {
        {
            const Lock lock = whole();
            core_.run_out_of_memory();
            streams_.clear();
            lookups_.clear();
            asking_ = 0;
        }
        try {
            // Needs no memory, unless a handler begins the next life.
            Lock lock = whole();
            return rest(lock, run(lock));
        } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): that one ends too
        }
    }
}

/// Until nothing more happens by itself. The lock is that of `whole` in all of these, and is held again in the end.
Runner::Taken Runner::run(Lock& lock) {
    for (;;) {
        advance(lock);
        const Taken taken = take_events(lock);
        if (taken != Taken::some) return taken;
    }
}

/// What happens by itself but for events.
void Runner::advance(Lock& lock) {
    woken_ = false;
    in_handler_ = false;
    const TimePoint now = clock_now();
    follow_intents(now);
    core_.settle(now);
    // What was written has consequences too: FIN behind a Close, `writable`.
    while (flush(lock) && core_.needs_settle()) core_.settle(now);
    run_commands();
}

void Runner::rest(Lock& lock, Taken taken) {
    while (taken == Taken::nothing && core_.unsettled()) taken = run(lock);
    in_handler_ = false;
    if (taken == Taken::nothing) start_reading();
    arm_timer();
    if (taken == Taken::nothing) note_end_of_life();
    tell_progress();
}

Runner::Taken Runner::take_events(Lock& lock) {
    const bool stopping = stopping_;
    if (!core_.has_events() && (ready_ || stopping)) {
        return !stopping && paused_ ? Taken::held_back : Taken::nothing;
    }
    in_handler_ = true;
    lock.unlock();
    const Taken taken = take_events(stopping);
    lock = whole();
    return taken;
}

Runner::Taken Runner::take_events(bool stopping) {
    Taken taken = Taken::nothing;
    const std::span<MessageView> room = engine_->message_room();
    Event event;
    bool in_a_row = true;  // messages may follow that can be taken together
    if (!stopping) ready_ = ready_for_event();
    for (;;) {
        if (!stopping && (!ready_ || paused_)) return taken == Taken::some ? taken : Taken::held_back;
        const std::size_t count = in_a_row ? core_.next(room) : 0;
        if (count != 0) {
            const std::span<const MessageView> messages = room.first(count);
            const std::size_t delivered = muted_.load(std::memory_order_relaxed) ? count : deliver(messages);
            if (delivered < count) core_.put_back(messages.subspan(delivered));
            in_a_row = delivered < count || count == room.size();
            ready_ = ready_for_event();
        } else {
            if (!core_.next(event)) return taken;
            in_a_row = true;
            if (!muted_.load(std::memory_order_relaxed)) ready_ = deliver(event);
        }
        taken = Taken::some;
    }
}

/// One after the other, as events.
std::size_t Runner::deliver(std::span<const MessageView> messages) noexcept {
    Event event;
    std::size_t done = 0;
    do {
        event.opcode = messages[done].opcode;
        event.bytes = messages[done].bytes;
        ++done;
    } while (deliver(event) && done < messages.size() && !interrupted());
    return done;
}

void Runner::follow_intents(TimePoint now) {
    if (start_) {
        core_.prepare_attempts(prepare_attempts_);
        [[maybe_unused]] const Error error = core_.start(*start_, now);
        start_.reset();
        assert(!error);  // `load` has accepted the configuration, and nothing else was running
    }
    if (drop_at_ && *drop_at_ <= now) {
        drop_at_.reset();
        core_.stop(now);
    }
    if (std::exchange(reconnect_now_, false)) core_.reconnect_now(now);
    if (const auto delays = std::exchange(delays_, nullptr)) {
        static_cast<void>(core_.set_reconnect_delays(delays->min, delays->max, now));
    }
    if (std::exchange(abort_, false)) static_cast<void>(core_.abort(now));
    if (std::exchange(refresh_, false)) static_cast<void>(core_.refresh(now));
}

void Runner::note_end_of_life() {
    if (running_ && !start_ && core_.state() == State::idle) {
        running_ = false;
        if (std::exchange(entered_, false)) engine_->leave(*this);
        drop_at_.reset();
        on_idle();
        engine_->disarm(*this);
        armed_for_ = TimePoint::max();
    }
    if (!running_) idle_.notify_all();
}

void Runner::arm_timer() {
    TimePoint at = core_.deadline().value_or(TimePoint::max());
    if (drop_at_) at = std::min(at, *drop_at_);
    // Later is as good: the timer rings in vain once and is set anew. Most deadlines only ever move away.
    if (at >= armed_for_) return;
    engine_->arm(*this, at);
    armed_for_ = at;
}

void Runner::on_deadline() {
    {
        const Lock lock = whole();
        armed_for_ = TimePoint::max();
        core_.on_timeout(clock_now());
    }
    pump();
}

// --- commands ------------------------------------------------------------------------------------------------------

void Runner::run_commands() {
    Command command;
    while (core_.next(command)) run(command);
}

void Runner::run(const Command& command) {
    switch (command.kind) {
        case Command::Kind::prepare: return start_asking(command);
        case Command::Kind::resolve: return start_resolve(command);
        case Command::Kind::connect: return start_connect(command);
        case Command::Kind::half_close:
            if (Stream* stream = find(command.id)) {
                ::shutdown(stream->socket.number(), SHUT_WR);  // a connection that has gone is noticed otherwise
            }
            return;
        case Command::Kind::close:
            if (asking_ == command.id) asking_ = 0;
            end_stream(command.id);
            end_lookup(command.id);
            return;
    }
}

void Runner::start_asking(const Command& command) {
    // A handler runs without the lock. By then the attempt may have been given up.
    asking_ = command.id;
    engine_->post([self = shared_from_this(), command] {
        {
            const Lock lock(self->mutex_);
            if (self->muted_ || self->asking_ != command.id) return;
            self->asking_ = 0;
            self->in_handler_ = true;
        }
        self->ask(command);
        self->pump();
    });
}

void Runner::start_resolve(const Command& command) {
    if (Lookup answer = known_addresses(*config_, command.host, command.port); !answer.error) {
        return core_.on_resolved(command.id, answer.addresses, {}, clock_now());
    }
    // The lookup must not keep a client alive that has ended.
    const auto report = [weak = weak_from_this(), id = command.id](const Lookup& answer) {
        const auto self = weak.lock();
        if (self == nullptr) return;
        self->guarded([&] {
            {
                const Lock lock = self->whole();
                self->end_lookup(id);
                self->core_.on_resolved(id, answer.addresses, answer.error, clock_now());
            }
            self->pump();
        });
    };
    lookups_.push_front({command.id, resolve(*engine_, *config_, command.host, command.port, report)});
}

void Runner::end_lookup(StreamId id) {
    std::erase_if(lookups_, [id](const Pending& each) { return each.id == id; });
}

void Runner::start_connect(const Command& command) {
    const SocketEndpoint endpoint =
        config_->socket.unix_path.empty() ? endpoint_of(command.address) : unix_endpoint(config_->socket.unix_path);
    Descriptor socket;
    std::error_code error = open_socket(socket, endpoint, config_->socket);
    if (!error) error = begin_connect(socket, endpoint);
    auto last = streams_.before_begin();
    for (auto each = streams_.begin(); each != streams_.end(); ++each) last = each;
    Stream& stream = *streams_.emplace_after(last, command.id, std::move(socket));
    const bool waits = error == std::errc::operation_in_progress;
    if (!error || waits) {
        stream.watch = engine_->watch(shared_from_this(), command.id, stream.socket.number());
        if (stream.watch == nullptr) {
            error = std::error_code(errno, std::system_category());
        } else if (waits) {
            stream.connecting = true;
            return stream.watch->wait_writable();
        }
    }
    engine_->post(
        [self = shared_from_this(), id = command.id, error] { self->report_connected(id, error, self->whole()); });
}

void Runner::report_connected(StreamId id, const std::error_code& error, Lock lock) {
    guarded([&] {
        Lock held(std::move(lock));  // not beyond this action, should it fail
        Stream* stream = find(id);
        if (stream == nullptr) return;
        stream->connected = !error;
        if (error) end_stream(id);
        core_.on_connected(id, error ? connect_error(error) : Error(), clock_now());
        rest(held, run(held));
    });
}

void Runner::end_stream(StreamId id) {
    std::erase_if(streams_, [id](const Stream& stream) { return stream.id == id; });
}

Runner::Stream* Runner::find(StreamId id) {
    const auto found = std::find_if(streams_.begin(), streams_.end(), [id](const Stream& s) { return s.id == id; });
    return found == streams_.end() ? nullptr : &*found;
}

// --- bytes ---------------------------------------------------------------------------------------------------------

/// Writes what waits, unless `more` will, at once.
void Runner::flush_and_settle(Lock& lock, bool more) {
    if (!more || core_.send_queued() >= gather_limit) flush(lock);
    if (core_.needs_settle()) post_pump();
}

/// For calls of the group `whole`, and whatever else does not go together with a thread that is writing.
Runner::Lock Runner::whole() {
    Lock lock(mutex_);
    if (writing_) {
        ++want_whole_;
        written_.wait(lock, [this] { return !writing_; });
        --want_whole_;
    }
    return lock;
}

/// Writes what waits, without blocking. Called by any thread, which gives the lock away while the kernel has its turn:
/// what others send meanwhile, they leave to it. Inside a handler the messages are left to gather; the loop comes here
/// when the handlers are done. Returns whether there was something.
bool Runner::flush(Lock& lock, bool forced) {
    if (!forced && in_handler_ && engine_->on_thread() && core_.send_queued() < gather_limit) return false;
    if (writing_) return false;
    bool tried = false;
    for (Stream& stream : streams_) tried = flush(stream, lock, forced) || tried;
    return tried;
}

bool Runner::flush(Stream& stream, Lock& lock, bool forced) {
    if (!stream.connected || stream.write_error != 0) return false;
    if (stream.waiting_to_write && !forced) return false;
    for (int writes = 0;; ++writes) {
        // Nobody writes for the others for ever, nor while somebody waits for the end of it.
        if (want_whole_ != 0 || writes == writes_at_once) {
            stream.waiting_to_write = false;  // it was not tried once more, see below
            post_pump();
            return writes != 0;
        }
        std::array<Bytes, max_pieces> pieces;
        const std::size_t count = core_.tx(stream.id, pieces);
        if (count == 0) return writes != 0;
        std::size_t offered = 0;
        for (std::size_t i = 0; i < count; ++i) offered += pieces[i].size();
        std::error_code error;
        writing_ = true;
        lock.unlock();
        const std::size_t written = write_some(stream.socket, {pieces.data(), count}, error);
        lock.lock();
        writing_ = false;
        written_.notify_all();
        core_.tx_consume(stream.id, written);
        tell_progress();
        note_activity();
        if (is_final(error)) {
            end_writing(stream, error);
            return true;
        }
        if (written != 0) stream.waiting_to_write = false;
        if (written == offered || error == std::errc::interrupted) continue;
        if (std::exchange(stream.waiting_to_write, true)) return true;
        stream.watch->wait_writable();
        // It may have become writable before anybody waited for that: once more.
    }
}

void Runner::on_writable(StreamId id, bool sound) {
    Lock lock = whole();
    Stream* stream = find(id);
    if (stream == nullptr) return;
    stream->waiting_to_write = false;
    if (std::exchange(stream->connecting, false)) {
        const std::error_code error = sound ? std::error_code() : connect_result(stream->socket);
        return report_connected(id, error, std::move(lock));
    }
    flush(lock);
    lock.unlock();
    pump();
}

/// Passes the error of the core on. If it is for want of memory, the life is about to end.
std::error_code Runner::noted(std::error_code error) {
    if (error && running_ && core_.needs_settle()) post_pump();
    return error;
}

void Runner::lack_memory() {
    const Lock lock(mutex_);
    core_.run_out_of_memory();
    if (running_) post_pump();
}

/// What has arrived before is read, because the peer may have said why. Nothing more is waited for.
void Runner::end_writing(Stream& stream, const std::error_code& error) {
    stream.write_error = error.value();
    if (stream.reading) read_soon(stream.id);
}

void Runner::read_soon(StreamId id) {
    patiently([&] { engine_->post([self = shared_from_this(), id] { self->on_readable(id); }); });
}

/// Everything that has arrived is taken. Memory is asked for when more has come, so that a client that waits has none.
void Runner::start_reading() {
    for (Stream& stream : streams_) {
        if (std::exchange(stream.no_room, false) || !stream.connected || stream.reading) continue;
        stream.reading = true;
        if (stream.write_error != 0) {
            read_soon(stream.id);
        } else {
            stream.watch->wait_readable(stream.exhausted);
        }
    }
}

void Runner::on_readable(StreamId id) {
    guarded([this, id] {
        Lock lock = whole();
        // A read that filled all of the room has probably left something.
        for (int reads = 1;; ++reads) {
            const Got got = read(id, lock);
            if (got == Got::nothing && reads == 1) return;
            // What was received has no consequences before it is taken.
            if (!woken_) static_cast<void>(take_events(lock));
            const Taken taken = run(lock);
            if (got != Got::more || taken != Taken::nothing || reads == reads_at_once) return rest(lock, taken);
        }
    });
}

/// The lock is that of `whole`, and is held again in the end.
Runner::Got Runner::read(StreamId id, Lock& lock) {
    Stream* const stream = find(id);
    if (stream == nullptr || !stream->connected) return Got::something;
    stream->reading = false;
    stream->exhausted = false;
    if (stream->at_end) {
        end_reading(*stream, {}, clock_now());
        return Got::something;
    }
    const std::span<std::byte> space = core_.rx_space(id);
    stream->no_room = space.empty();
    if (space.empty()) return Got::something;
    // Without the lock, so that nobody who sends has to wait. Streams are closed by this thread alone.
    lock.unlock();
    std::error_code error;
    const std::size_t size = stream->watch->read(space, error);
    lock = whole();
    const TimePoint now = clock_now();
    core_.rx_commit(id, size, now);
    stream->exhausted = size < space.size();
    if (size != 0) {
        stream->in_vain = false;
        stream->at_end = stream->exhausted && stream->watch->ended();
        note_activity();
        return stream->exhausted ? Got::something : Got::more;
    }
    if (!is_final(error) && error && stream->write_error == 0) {
        stream->reading = true;
        // Somebody said that there was something, so it is tried once more.
        stream->watch->wait_readable(std::exchange(stream->in_vain, error != std::errc::interrupted));
        return Got::nothing;
    }
    const std::error_code written(stream->write_error, std::system_category());
    end_reading(*stream, is_final(error) || !error ? error : written, now);
    return Got::something;
}

/// Without an error: the peer has ended.
void Runner::end_reading(Stream& stream, const std::error_code& error, TimePoint now) {
    stream.connected = false;
    if (error) {
        core_.on_io_error(stream.id, stream_error(error), now);
    } else {
        core_.on_eof(stream.id, now);
    }
}

// --- giving memory back --------------------------------------------------------------------------------------------

void Runner::note_activity() {
    quiet_ = false;
    if (active_ || !entered_) return;
    try {
        engine_->note_activity(*this);
        active_ = true;
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): the next activity is noted as well
    }
}

bool Runner::trim_if_quiet() {
    const Lock lock = whole();
    if (!std::exchange(quiet_, true) && running_) return false;
    active_ = false;
    core_.trim();
    return true;
}

}  // namespace tern::driver
