// The coordinator: it turns a start into attempts, an attempt into a connection, a connection into events, and decides
// what comes after its end. What happens on a connection is decided in session.cpp.

#include <algorithm>
#include <cassert>
#include <deque>
#include <utility>

#include <tern/core.hpp>

#include "connection.hpp"
#include "dialer.hpp"
#include "proxy_url.hpp"
#include "reconnect.hpp"
#include "redirect.hpp"
#include "timer_table.hpp"
#include "upgrade.hpp"
#include "url.hpp"

namespace tern {
namespace {

using core::Connection;
using core::Dialer;

/// Longer durations would only serve to overflow a time point.
constexpr std::chrono::milliseconds longest = std::chrono::hours(24 * 365);

std::chrono::microseconds to_microseconds(TimePoint::duration time) {
    return std::chrono::duration_cast<std::chrono::microseconds>(time);
}

/// Is a SOCKS5 proxy told the server's address instead of its name? An address literal is not a name in any case.
bool wants_address(const core::ProxyUrl& proxy, const core::Url& url) {
    const bool literal = url.host_is_ipv6 || url.host.find_first_not_of("0123456789.") == url.host.npos;
    return proxy.kind == core::ProxyUrl::Kind::socks5 || (proxy.kind == core::ProxyUrl::Kind::socks5h && literal);
}

Error invalid(const char* what) { return {Errc::invalid_config, Phase::none, what}; }

Error check_values(const Config& config) {
    const Timeouts& t = config.timeouts;
    for (const auto value : {t.resolve, t.connect, t.proxy, t.tls, t.upgrade, t.attempt, t.close}) {
        if (value.count() <= 0 || value > longest) return invalid("every timeout lies between 1 ms and a year");
    }
    if (t.stop.count() < 0 || t.stop > longest) return invalid("timeouts.stop lies between 0 and a year");
    const Keepalive& k = config.keepalive;
    if (k.interval.count() < 0 || k.interval > longest) return invalid("keepalive.interval lies between 0 and a year");
    if (k.pong_timeout.count() <= 0 || k.pong_timeout > longest) {
        return invalid("keepalive.pong_timeout lies between 1 ms and a year");
    }
    const Reconnect& r = config.reconnect;
    if (r.delay.count() < 0 || r.delay > longest) return invalid("reconnect.delay lies between 0 and a year");
    if (!(r.jitter >= 0 && r.jitter <= 1)) return invalid("reconnect.jitter lies between 0 and 1");
    if (config.receive_buffer < (4u << 10u) || config.receive_buffer > (16u << 20u)) {
        return invalid("receive_buffer lies between 4 KiB and 16 MiB");
    }
    if (config.limits.max_head_size == 0 || config.limits.max_head_fields == 0) {
        return invalid("limits.max_head_size and limits.max_head_fields are at least 1");
    }
    return {};
}

/// Of what an attempt may have of its own.
Error check_attempt(const Config& config, Crypto& crypto, core::Url& url) {
    if (Error error = core::check_upgrade_config(config)) return error;
    if (Error error = core::parse_url(config.url, url)) return error;
    if (url.secure && crypto.tls() == nullptr) return Errc::tls_unavailable;
    return {};
}

/// Everything that can be judged before the network is asked.
Error check_config(const Config& config, Crypto& crypto, bool prepared, core::Url& url,
                   std::optional<core::ProxyUrl>& proxy) {
    if (Error error = check_values(config)) return error;
    proxy.reset();
    if (!config.proxy.empty()) {
        if (Error error = core::parse_proxy_url(config.proxy, proxy.emplace())) return error;
        if (proxy->kind == core::ProxyUrl::Kind::https && crypto.tls() == nullptr) return Errc::tls_unavailable;
    }
    return prepared && config.url.empty() ? Error() : check_attempt(config, crypto, url);
}

}  // namespace

class ClientCore::Impl {
public:
    Impl(Config config, Crypto& crypto) : config_(std::move(config)), crypto_(crypto), policy_(config_.reconnect) {}

    void prepare_attempts(bool wanted) { prepare_attempts_ = wanted; }
    Error start(StartMode mode, TimePoint now);
    void stop(TimePoint now);

    std::error_code send(Opcode opcode, Bytes payload, SendOptions options);
    std::error_code send_part(Opcode opcode, Bytes payload, bool fin, SendOptions options);
    std::error_code ping(Bytes payload);
    std::error_code close(CloseCode code, std::string_view reason);

    void on_prepared(StreamId id, Attempt attempt, Error error, TimePoint now);
    void on_resolved(StreamId id, std::span<const Address> addresses, Error error, TimePoint now);
    void on_connected(StreamId id, Error error, TimePoint now);
    std::span<std::byte> rx_space(StreamId id);
    void rx_commit(StreamId id, std::size_t n, TimePoint now);
    void on_end(StreamId id, Error error, TimePoint now);
    void on_timeout(TimePoint now);

    bool next(Command& command);
    bool next(Event& event);
    void settle(TimePoint now);
    std::size_t tx(StreamId id, std::span<Bytes> out);
    void tx_consume(StreamId id, std::size_t n);
    std::optional<StreamId> writable_stream() const noexcept;
    std::optional<TimePoint> deadline() const noexcept;

    std::size_t send_queued() const noexcept { return announced_ ? connection_->session().queued() : 0; }
    State state() const noexcept { return state_; }
    Stats stats() const noexcept;

private:
    enum class Timer : std::uint8_t { attempt, reconnect, count };

    /// An event of the life, which owns what the user's event refers to.
    struct Lifecycle {
        Event::Kind kind = Event::Kind::connecting;
        std::uint32_t attempt = 0;
        std::chrono::milliseconds delay{0};
        Error error;
        CloseInfo close;
        Handshake handshake;
    };

    [[nodiscard]] Error prepare_tls();
    void begin_attempt(TimePoint now);
    void dial(TimePoint now);
    void dial_next(TimePoint now);
    void follow_redirect(const Error& refusal, TimePoint now);
    void update(TimePoint now);
    void update_dialer(TimePoint now);
    void update_connection(TimePoint now);
    void announce_open();
    void connection_ended(TimePoint now);
    void attempt_failed(Error error, TimePoint now);
    void try_again_or_fail(Error error, std::optional<std::chrono::milliseconds> delay, TimePoint now);
    void finish(Error error);
    void drop_stream();
    void give_up(StreamId id);
    void drop_everything();
    Lifecycle& add_event(Event::Kind kind);
    Phase phase() const noexcept;
    std::error_code sendable() const noexcept;
    [[nodiscard]] bool is_stream(StreamId id) const noexcept { return connection_ != nullptr && id == stream_; }

    Config config_;  ///< Constant but for what `on_prepared` brings.
    Crypto& crypto_;
    core::Url start_url_;  ///< The configured one, or that of the prepared attempt.
    core::Url url_;        ///< Where the current attempt leads: there, or where that redirects to.
    std::optional<core::ProxyUrl> proxy_;
    std::unique_ptr<tls::Context> tls_;
    std::unique_ptr<tls::Context> proxy_tls_;
    core::ReconnectPolicy policy_;
    StartMode mode_ = StartMode::keep_trying;
    bool prepare_attempts_ = false;

    State state_ = State::idle;
    core::TimerTable<Timer> timers_;
    StreamId next_id_ = 1;
    std::deque<Command> commands_;
    std::deque<Lifecycle> lifecycle_;
    Lifecycle current_;

    TimePoint attempt_began_;
    StreamId preparing_ = 0;  ///< The command `prepare` that has no answer yet; 0: none.
    std::unique_ptr<Dialer> dialer_;
    std::optional<Address> target_;     ///< The server's, resolved here for a SOCKS5 proxy.
    std::vector<std::string> visited_;  ///< The URLs of this attempt that have redirected it.
    std::uint32_t redirects_ = 0;
    PhaseTimes times_;  ///< Of this attempt.
    std::unique_ptr<Connection> connection_;
    StreamId stream_ = 0;
    bool stream_dropped_ = false;  ///< The driver was told to close it; the connection waits for events to be taken.
    std::string peer_;

    bool announced_ = false;        ///< `open` was reported for this connection.
    bool close_requested_ = false;  ///< By the user, while there was no open connection. Group `send`.

    Stats totals_;                  ///< Of the connections that are gone, and the counters of the client itself.
    std::uint64_t bytes_sent_ = 0;  ///< Group `send`.
};

// --- what the user wants -------------------------------------------------------------------------------------------

Error ClientCore::Impl::start(StartMode mode, TimePoint now) {
    if (state_ != State::idle) return Errc::already_started;
    if (Error error = check_config(config_, crypto_, prepare_attempts_, start_url_, proxy_)) return error;
    url_ = start_url_;
    if (Error error = prepare_tls()) return error;
    mode_ = mode;
    policy_ = core::ReconnectPolicy(config_.reconnect);
    close_requested_ = false;
    begin_attempt(now);
    update(now);
    return {};
}

void ClientCore::Impl::stop(TimePoint now) {
    if (state_ == State::idle) return;
    if (announced_) {
        connection_->session().stop();
        return connection_ended(now);
    }
    const Phase where = phase();
    drop_everything();
    finish(Error(Errc::stopped, where));
}

/// Certificates are read once, before the first attempt, so that `start` can refuse them.
Error ClientCore::Impl::prepare_tls() {
    Error error;
    if (url_.secure && tls_ == nullptr) tls_ = crypto_.tls()->create(config_.tls, error);
    if (error) return error;
    const bool secure_proxy = proxy_ && proxy_->kind == core::ProxyUrl::Kind::https;
    if (secure_proxy && proxy_tls_ == nullptr) proxy_tls_ = crypto_.tls()->create(config_.proxy_tls, error);
    if (error) error.detail = "for the proxy: " + error.detail;
    return error;
}

std::error_code ClientCore::Impl::sendable() const noexcept {
    if (announced_) return {};
    return Errc::not_connected;
}

std::error_code ClientCore::Impl::send(Opcode opcode, Bytes payload, SendOptions options) {
    if (const std::error_code error = sendable()) return error;
    return connection_->session().send(opcode, payload, options);
}

std::error_code ClientCore::Impl::send_part(Opcode opcode, Bytes payload, bool fin, SendOptions options) {
    if (const std::error_code error = sendable()) return error;
    return connection_->session().send_part(opcode, payload, fin, options);
}

std::error_code ClientCore::Impl::ping(Bytes payload) {
    if (const std::error_code error = sendable()) return error;
    return connection_->session().ping(payload);
}

std::error_code ClientCore::Impl::close(CloseCode code, std::string_view reason) {
    if (code != CloseCode::no_status && !is_sendable(code)) return Errc::invalid_close_code;
    const std::size_t room = code == CloseCode::no_status ? 0 : core::max_control_payload - 2;
    if (reason.size() > room || !core::is_utf8(as_bytes(reason))) return Errc::invalid_close_reason;
    if (state_ == State::idle) return Errc::not_connected;
    if (close_requested_) return Errc::already_closing;
    if (announced_) return connection_->session().close(code, reason);
    close_requested_ = true;
    return {};
}

// --- what the world reports ----------------------------------------------------------------------------------------

void ClientCore::Impl::on_prepared(StreamId id, Attempt attempt, Error error, TimePoint now) {
    if (id != preparing_ || preparing_ == 0) return;
    preparing_ = 0;
    config_.url = std::move(attempt.url);
    config_.headers = std::move(attempt.headers);
    config_.user = std::move(attempt.user);
    config_.password = std::move(attempt.password);
    config_.bearer_token = std::move(attempt.bearer_token);
    if (!error) error = check_attempt(config_, crypto_, start_url_);
    url_ = start_url_;
    if (!error) error = prepare_tls();
    if (error) {
        error.phase = Phase::prepare;
        error.elapsed = to_microseconds(now - attempt_began_);
        attempt_failed(std::move(error), now);
    } else {
        times_.prepare = to_microseconds(now - attempt_began_);
        dial(now);
    }
    update(now);
}

void ClientCore::Impl::on_resolved(StreamId id, std::span<const Address> addresses, Error error, TimePoint now) {
    if (dialer_ == nullptr) return;
    dialer_->on_resolved(id, addresses, std::move(error), now);
    update(now);
}

void ClientCore::Impl::on_connected(StreamId id, Error error, TimePoint now) {
    if (dialer_ == nullptr) return;
    dialer_->on_connected(id, std::move(error), now);
    update(now);
}

std::span<std::byte> ClientCore::Impl::rx_space(StreamId id) {
    if (!is_stream(id) || stream_dropped_) return {};
    return connection_->rx_space();
}

void ClientCore::Impl::rx_commit(StreamId id, std::size_t n, TimePoint now) {
    if (!is_stream(id) || stream_dropped_ || n == 0) return;
    totals_.bytes_received += n;
    connection_->rx_commit(n, now);
    update(now);
}

void ClientCore::Impl::on_end(StreamId id, Error error, TimePoint now) {
    if (!is_stream(id) || stream_dropped_) return;
    connection_->on_end(std::move(error), now);
    update(now);
}

void ClientCore::Impl::on_timeout(TimePoint now) {
    while (const auto timer = timers_.take_expired(now)) {
        if (timer == Timer::reconnect) {
            begin_attempt(now);
        } else {
            const Phase where = phase();
            drop_everything();
            Error error(Errc::attempt_timeout, where);
            error.elapsed = to_microseconds(now - attempt_began_);
            attempt_failed(std::move(error), now);
        }
    }
    if (dialer_ != nullptr) dialer_->on_timeout(now);
    if (connection_ != nullptr) connection_->on_timeout(now);
    update(now);
}

// --- what the core answers -----------------------------------------------------------------------------------------

bool ClientCore::Impl::next(Command& command) {
    if (commands_.empty()) return false;
    command = std::move(commands_.front());
    commands_.pop_front();
    return true;
}

bool ClientCore::Impl::next(Event& event) {
    if (lifecycle_.empty()) {
        if (!announced_ || !connection_->next(event)) return false;
        if (event.kind != Event::Kind::closing) return true;
        current_.close = CloseInfo();
        current_.close.code = connection_->session().peer_close().code;
        current_.close.reason = connection_->session().peer_close().reason;
        current_.close.received = true;
        event.close = &current_.close;
        return true;
    }
    current_ = std::move(lifecycle_.front());
    lifecycle_.pop_front();
    event = Event();
    event.kind = current_.kind;
    event.attempt = current_.attempt;
    event.delay = current_.delay;
    if (current_.kind == Event::Kind::open) event.handshake = &current_.handshake;
    if (current_.kind == Event::Kind::closed) event.close = &current_.close;
    if (current_.kind == Event::Kind::closed) event.error = &current_.close.error;
    if (current_.kind == Event::Kind::reconnecting || current_.kind == Event::Kind::failed)
        event.error = &current_.error;
    return true;
}

void ClientCore::Impl::settle(TimePoint now) {
    if (connection_ != nullptr) connection_->settle(now);
    update(now);
}

std::size_t ClientCore::Impl::tx(StreamId id, std::span<Bytes> out) {
    if (!is_stream(id) || stream_dropped_) return 0;
    return connection_->tx(out);
}

void ClientCore::Impl::tx_consume(StreamId id, std::size_t n) {
    if (!is_stream(id) || stream_dropped_) return;
    bytes_sent_ += n;
    connection_->tx_consume(n);
}

std::optional<StreamId> ClientCore::Impl::writable_stream() const noexcept {
    if (connection_ == nullptr || stream_dropped_) return std::nullopt;
    return stream_;
}

std::optional<TimePoint> ClientCore::Impl::deadline() const noexcept {
    std::optional<TimePoint> next = timers_.next();
    if (dialer_ != nullptr) next = core::earlier(next, dialer_->deadline());
    if (connection_ != nullptr && !stream_dropped_) next = core::earlier(next, connection_->deadline());
    return next;
}

Stats ClientCore::Impl::stats() const noexcept {
    Stats stats = totals_;
    stats.state = state_;
    stats.bytes_sent = bytes_sent_;
    if (announced_) connection_->session().add_to(stats);
    return stats;
}

// --- the life ------------------------------------------------------------------------------------------------------

void ClientCore::Impl::begin_attempt(TimePoint now) {
    state_ = State::connecting;
    const std::uint32_t number = policy_.on_attempt();
    add_event(Event::Kind::connecting).attempt = number;
    ++totals_.attempts;
    attempt_began_ = now;
    times_ = PhaseTimes();
    timers_.set(Timer::attempt, now + config_.timeouts.attempt);
    redirects_ = 0;
    visited_.clear();
    if (!prepare_attempts_) {
        url_ = start_url_;
        return dial(now);
    }
    peer_.clear();
    preparing_ = next_id_++;
    Command command;
    command.kind = Command::Kind::prepare;
    command.id = preparing_;
    command.attempt = number;
    commands_.push_back(std::move(command));
}

void ClientCore::Impl::dial(TimePoint now) {
    peer_ = url_.authority();
    if (proxy_) peer_ += " through " + proxy_->text();
    times_ = {.prepare = times_.prepare};
    target_.reset();
    if (proxy_ && wants_address(*proxy_, url_)) {
        dialer_ =
            std::make_unique<Dialer>(config_.timeouts, Dialer::Goal::address, url_.host, url_.port, next_id_, now);
    } else {
        dial_next(now);
    }
}

/// The host at the other end of the TCP connection.
void ClientCore::Impl::dial_next(TimePoint now) {
    const std::string& host = proxy_ ? proxy_->host : url_.host;
    const std::uint16_t port = proxy_ ? proxy_->port : url_.port;
    dialer_ = std::make_unique<Dialer>(config_.timeouts, Dialer::Goal::connection, host, port, next_id_, now);
}

/// Draws the consequences of whatever was reported.
void ClientCore::Impl::update(TimePoint now) {
    if (close_requested_ && state_ != State::idle) {
        drop_everything();
        return finish(Error(Errc::closed_locally, Phase::none));
    }
    if (dialer_ != nullptr) update_dialer(now);
    if (connection_ != nullptr) update_connection(now);
}

void ClientCore::Impl::update_dialer(TimePoint now) {
    Command command;
    while (dialer_->next(command)) commands_.push_back(std::move(command));
    if (dialer_->status() == Dialer::Status::working) return;
    const std::unique_ptr<Dialer> dialer = std::move(dialer_);
    if (dialer->status() == Dialer::Status::failed) {
        Error error = dialer->error();
        const TimePoint since = error.phase == Phase::resolve ? dialer->began_at() : dialer->resolved_at();
        error.elapsed = to_microseconds(now - since);
        return attempt_failed(std::move(error), now);
    }
    times_.resolve += to_microseconds(dialer->resolved_at() - dialer->began_at());
    if (dialer->goal() == Dialer::Goal::address) {
        target_ = dialer->address();
        return dial_next(now);
    }
    times_.connect = to_microseconds(now - dialer->resolved_at());
    stream_ = dialer->stream();
    stream_dropped_ = false;
    const std::string& path = config_.socket.unix_path;
    peer_ += " (" + (path.empty() ? dialer->address().to_string() : path) + ")";
    const core::Route route{.url = url_,
                            .proxy = proxy_ ? &*proxy_ : nullptr,
                            .target = target_,
                            .tls = url_.secure ? tls_.get() : nullptr,
                            .proxy_tls = proxy_tls_.get(),
                            .foreign = redirects_ != 0 && !core::same_origin(url_, start_url_)};
    connection_ = std::make_unique<Connection>(config_, route, crypto_, now);
}

void ClientCore::Impl::update_connection(TimePoint now) {
    if (connection_->stage() == Connection::Stage::handshake) return;
    if (connection_->stage() == Connection::Stage::failed) {
        if (connection_->has_last_words()) return;  // the driver is about to ask for them
        Error error = connection_->error();
        error.elapsed = to_microseconds(now - connection_->step_began_at());
        drop_stream();
        connection_.reset();
        if (core::is_redirect(error) && config_.max_redirects != 0) return follow_redirect(error, now);
        return attempt_failed(std::move(error), now);
    }
    if (!announced_) announce_open();
    core::Session& session = connection_->session();
    if (session.take_writable()) add_event(Event::Kind::writable);
    if (connection_->take_half_close() && !stream_dropped_) {
        Command command;
        command.kind = Command::Kind::half_close;
        command.id = stream_;
        commands_.push_back(std::move(command));
    }
    if (!session.open()) state_ = State::closing;
    if (!session.ended()) return;
    drop_stream();
    // What was received before the end belongs to the user first.
    if (connection_->drained()) connection_ended(now);
}

/// A new connection within the same attempt, and within its deadline.
void ClientCore::Impl::follow_redirect(const Error& refusal, TimePoint now) {
    core::Url target;
    Error error = core::resolve_redirect(url_, refusal, target);
    visited_.push_back(url_.text());
    if (!error && std::find(visited_.begin(), visited_.end(), target.text()) != visited_.end()) {
        error = Error(Errc::redirect_loop, Phase::upgrade, "to " + target.text() + " again");
    }
    if (!error && ++redirects_ > config_.max_redirects) {
        error = Error(Errc::redirect_limit, Phase::upgrade, "to " + target.text());
    }
    if (!error && target.secure && crypto_.tls() == nullptr) error = Error(Errc::tls_unavailable, Phase::upgrade);
    if (error) {
        error.response = refusal.response;
        error.elapsed = refusal.elapsed;
        return attempt_failed(std::move(error), now);
    }
    url_ = std::move(target);
    error = prepare_tls();
    if (error) return attempt_failed(std::move(error), now);
    dial(now);
}

void ClientCore::Impl::announce_open() {
    timers_.stop(Timer::attempt);
    policy_.on_open();
    mode_ = StartMode::keep_trying;
    state_ = State::open;
    announced_ = true;
    ++totals_.connects;
    Lifecycle& event = add_event(Event::Kind::open);
    event.handshake = std::move(connection_->handshake());
    event.handshake.peer = peer_;
    totals_.tls_resumed += event.handshake.tls.resumed ? 1u : 0u;
    const PhaseTimes& times = connection_->times();
    times_.proxy = times.proxy;
    times_.tls = times.tls;
    times_.upgrade = times.upgrade;
    totals_.phases = times_;
}

void ClientCore::Impl::connection_ended(TimePoint now) {
    drop_stream();
    core::Session& session = connection_->session();
    CloseInfo info = session.close_info();
    info.error.peer = peer_;
    session.add_to(totals_);
    totals_.send_queued = 0;
    const bool wanted = session.close_requested() || info.error.code == Condition::cancelled;
    const auto delay = wanted ? std::nullopt : policy_.decide(info.error, crypto_);
    info.will_reconnect = delay.has_value();
    Error error = info.error;
    add_event(Event::Kind::closed).close = std::move(info);
    announced_ = false;
    connection_.reset();
    if (delay) return try_again_or_fail(std::move(error), delay, now);
    state_ = State::idle;
}

void ClientCore::Impl::attempt_failed(Error error, TimePoint now) {
    timers_.stop(Timer::attempt);
    error.peer = peer_;
    const auto delay = mode_ == StartMode::once ? std::nullopt : policy_.decide(error, crypto_);
    try_again_or_fail(std::move(error), delay, now);
}

void ClientCore::Impl::try_again_or_fail(Error error, std::optional<std::chrono::milliseconds> delay, TimePoint now) {
    if (!delay) return finish(std::move(error));
    state_ = State::reconnecting;
    // A deadline in the present would make the driver spin through an attempt that fails at once.
    *delay = std::max(*delay, std::chrono::milliseconds(1));
    timers_.set(Timer::reconnect, now + *delay);
    Lifecycle& event = add_event(Event::Kind::reconnecting);
    event.attempt = policy_.next_attempt();
    event.delay = *delay;
    event.error = std::move(error);
}

void ClientCore::Impl::finish(Error error) {
    if (error.peer.empty()) error.peer = peer_;
    add_event(Event::Kind::failed).error = std::move(error);
    state_ = State::idle;
}

/// Tells the driver to free the stream; the connection may still hold events.
void ClientCore::Impl::drop_stream() {
    if (!std::exchange(stream_dropped_, true)) give_up(stream_);
}

void ClientCore::Impl::give_up(StreamId id) {
    Command command;
    command.kind = Command::Kind::close;
    command.id = id;
    commands_.push_back(std::move(command));
}

void ClientCore::Impl::drop_everything() {
    timers_.stop(Timer::attempt);
    timers_.stop(Timer::reconnect);
    if (const StreamId id = std::exchange(preparing_, 0)) give_up(id);
    if (dialer_ != nullptr) {
        dialer_->abandon();
        Command command;
        while (dialer_->next(command)) commands_.push_back(std::move(command));
        dialer_.reset();
    }
    if (connection_ != nullptr) {
        drop_stream();
        connection_.reset();
    }
}

/// Of an attempt that is under way.
Phase ClientCore::Impl::phase() const noexcept {
    if (preparing_ != 0) return Phase::prepare;
    if (dialer_ != nullptr) return dialer_->resolving() ? Phase::resolve : Phase::connect;
    return connection_ != nullptr ? connection_->phase() : Phase::none;
}

ClientCore::Impl::Lifecycle& ClientCore::Impl::add_event(Event::Kind kind) {
    lifecycle_.emplace_back().kind = kind;
    return lifecycle_.back();
}

// --- the public face -----------------------------------------------------------------------------------------------

ClientCore::ClientCore(Config config, Crypto& crypto) : impl_(std::make_unique<Impl>(std::move(config), crypto)) {}
ClientCore::~ClientCore() = default;

Error ClientCore::check(const Config& config, Crypto& crypto, bool prepared) {
    core::Url url;
    std::optional<core::ProxyUrl> proxy;
    return check_config(config, crypto, prepared, url, proxy);
}
void ClientCore::prepare_attempts(bool wanted) { impl_->prepare_attempts(wanted); }
Error ClientCore::start(StartMode mode, TimePoint now) { return impl_->start(mode, now); }
void ClientCore::stop(TimePoint now) { impl_->stop(now); }

std::error_code ClientCore::send(Opcode opcode, Bytes payload, SendOptions options) {
    return impl_->send(opcode, payload, options);
}
std::error_code ClientCore::send_part(Opcode opcode, Bytes payload, bool fin, SendOptions options) {
    return impl_->send_part(opcode, payload, fin, options);
}
std::error_code ClientCore::ping(Bytes payload) { return impl_->ping(payload); }
std::error_code ClientCore::close(CloseCode code, std::string_view reason) { return impl_->close(code, reason); }

void ClientCore::on_prepared(StreamId id, Attempt attempt, Error error, TimePoint now) {
    impl_->on_prepared(id, std::move(attempt), std::move(error), now);
}
void ClientCore::on_resolved(StreamId id, std::span<const Address> addresses, Error error, TimePoint now) {
    impl_->on_resolved(id, addresses, std::move(error), now);
}
void ClientCore::on_connected(StreamId id, Error error, TimePoint now) {
    impl_->on_connected(id, std::move(error), now);
}
std::span<std::byte> ClientCore::rx_space(StreamId id) { return impl_->rx_space(id); }
void ClientCore::rx_commit(StreamId id, std::size_t n, TimePoint now) { impl_->rx_commit(id, n, now); }
void ClientCore::on_eof(StreamId id, TimePoint now) { impl_->on_end(id, Errc::connection_lost, now); }
void ClientCore::on_io_error(StreamId id, Error error, TimePoint now) { impl_->on_end(id, std::move(error), now); }
void ClientCore::on_timeout(TimePoint now) { impl_->on_timeout(now); }

bool ClientCore::next(Command& command) { return impl_->next(command); }
bool ClientCore::next(Event& event) { return impl_->next(event); }
void ClientCore::settle(TimePoint now) { impl_->settle(now); }
std::size_t ClientCore::tx(StreamId id, std::span<Bytes> out) { return impl_->tx(id, out); }
void ClientCore::tx_consume(StreamId id, std::size_t n) { impl_->tx_consume(id, n); }
std::optional<StreamId> ClientCore::writable_stream() const noexcept { return impl_->writable_stream(); }
std::optional<TimePoint> ClientCore::deadline() const noexcept { return impl_->deadline(); }
std::size_t ClientCore::send_queued() const noexcept { return impl_->send_queued(); }
State ClientCore::state() const noexcept { return impl_->state(); }
Stats ClientCore::stats() const noexcept { return impl_->stats(); }

}  // namespace tern
