#include "connect_attempt.hpp"

#include <algorithm>
#include <utility>

#include "redirect.hpp"
#include "timer_table.hpp"
#include "upgrade.hpp"

namespace tern::core {
namespace {

std::chrono::microseconds to_microseconds(TimePoint::duration time) {
    return std::chrono::duration_cast<std::chrono::microseconds>(time);
}

/// Is a SOCKS5 proxy told the server's address instead of its name? An address literal is not a name in any case.
bool wants_address(const ProxyUrl& proxy, const Url& url) {
    const bool literal = url.host_is_ipv6 || url.host.find_first_not_of("0123456789.") == url.host.npos;
    return proxy.kind == ProxyUrl::Kind::socks5 || (proxy.kind == ProxyUrl::Kind::socks5h && literal);
}

}  // namespace

Error Common::prepare_tls(const Url& url) {
    Error error;
    if (url.secure && tls == nullptr) tls = crypto.tls()->share(config.tls, error);
    if (error) return error;
    const bool secure_proxy = proxy && proxy->kind == ProxyUrl::Kind::https;
    if (secure_proxy && proxy_tls == nullptr) proxy_tls = crypto.tls()->share(config.proxy_tls, error);
    if (error) error.detail = "for the proxy: " + error.detail;
    return error;
}

void Common::give_up(StreamId id) {
    Command command;
    command.kind = Command::Kind::close;
    command.id = id;
    commands.push(std::move(command));
}

Error check_attempt(const Config& config, Crypto& crypto, Url& url) {
    if (Error error = check_upgrade_config(config)) return error;
    if (Error error = parse_url(config.url, url)) return error;
    if (url.secure && crypto.tls() == nullptr) return Errc::tls_unavailable;
    return {};
}

ConnectAttempt::ConnectAttempt(std::shared_ptr<const Config> config, Common& common, Url&& url,
                               std::string_view url_text, bool prepare, std::uint32_t number, TimePoint now)
    : config_(std::move(config)), common_(common), url_(std::move(url)), number_(number), began_(now) {
    if (!prepare) {
        dial(now);
        return;
    }
    preparing_ = common_.next_id++;
    Command command;
    command.kind = Command::Kind::prepare;
    command.id = preparing_;
    command.host = url_text;
    command.attempt = number;
    common_.commands.push(std::move(command));
}

void ConnectAttempt::on_prepared(StreamId id, Attempt attempt, Error error, TimePoint now) {
    if (id != preparing_ || preparing_ == 0) return;
    preparing_ = 0;
    auto config = std::make_shared<Config>(*config_);
    config->url = std::move(attempt.url);
    config->headers = std::move(attempt.headers);
    config->user = std::move(attempt.user);
    config->password = std::move(attempt.password);
    config->bearer_token = std::move(attempt.bearer_token);
    if (!error) error = check_attempt(*config, common_.crypto, url_);
    config_ = std::move(config);
    if (!error) error = common_.prepare_tls(url_);
    times_.prepare = to_microseconds(now - began_);
    if (!error) return dial(now);
    error.phase = Phase::prepare;
    error.elapsed = times_.prepare;
    fail(std::move(error));
}

void ConnectAttempt::dial(TimePoint now) {
    link_.peer = url_.authority();
    if (common_.proxy) link_.peer += " through " + common_.proxy->text();
    times_ = {.prepare = times_.prepare};
    target_.reset();
    if (common_.proxy && wants_address(*common_.proxy, url_)) {
        dialer_.emplace(config_->timeouts, Dialer::Goal::address, url_.host, url_.port, common_.next_id,
                        common_.commands, now);
    } else {
        dial_next(now);
    }
}

/// The host at the other end of the TCP connection.
void ConnectAttempt::dial_next(TimePoint now) {
    const std::string& host = common_.proxy ? common_.proxy->host : url_.host;
    const std::uint16_t port = common_.proxy ? common_.proxy->port : url_.port;
    dialer_.emplace(config_->timeouts, Dialer::Goal::connection, host, port, common_.next_id, common_.commands, now);
}

void ConnectAttempt::on_resolved(StreamId id, std::span<const Address> addresses, Error&& error, TimePoint now) {
    if (dialer_) dialer_->on_resolved(id, addresses, std::move(error), now);
}

void ConnectAttempt::on_connected(StreamId id, Error&& error, TimePoint now) {
    if (dialer_) dialer_->on_connected(id, std::move(error), now);
}

void ConnectAttempt::on_timeout(TimePoint now) {
    if (status_ == Status::working && now >= began_ + config_->timeouts.attempt) {
        Error error(Errc::attempt_timeout, phase());
        error.elapsed = to_microseconds(now - began_);
        abandon();
        return fail(std::move(error));
    }
    if (dialer_) dialer_->on_timeout(now);
    if (link_) link_.connection->on_timeout(now);
}

void ConnectAttempt::update(TimePoint now) {
    if (dialer_) update_dialer(now);
    if (link_ && status_ == Status::working) update_link(now);
    if (dialer_) update_dialer(now);  // of a redirect
}

void ConnectAttempt::update_dialer(TimePoint now) {
    if (dialer_->status() == Dialer::Status::working) return;
    if (dialer_->status() == Dialer::Status::failed) {
        Error error = dialer_->error();
        const TimePoint since = error.phase == Phase::resolve ? dialer_->began_at() : dialer_->resolved_at();
        error.elapsed = to_microseconds(now - since);
        dialer_.reset();
        // The address of a Unix socket is its path; the one that the dialer was given stands for it.
        const std::string stand_in = Address{}.to_string();
        const std::string& unix_path = config_->socket.unix_path;
        if (!unix_path.empty() && error.detail.starts_with(stand_in)) {
            error.detail.replace(0, stand_in.size(), unix_path);
        }
        return fail(std::move(error));
    }
    times_.resolve += to_microseconds(dialer_->resolved_at() - dialer_->began_at());
    if (dialer_->goal() == Dialer::Goal::address) {
        target_ = dialer_->address();
        return dial_next(now);
    }
    times_.connect = to_microseconds(now - dialer_->resolved_at());
    const std::string& path = config_->socket.unix_path;
    link_.peer.append(" (").append(path.empty() ? dialer_->address().to_string() : path).append(")");
    link_.stream = dialer_->stream();
    link_.dropped = false;
    dialer_.reset();
    const Route route{.url = url_,
                      .proxy = common_.proxy ? &*common_.proxy : nullptr,
                      .target = target_,
                      .tls = url_.secure ? common_.tls.get() : nullptr,
                      .proxy_tls = common_.proxy_tls.get(),
                      .foreign = start_url_ && !same_origin(url_, *start_url_),
                      .attempt = config_.get()};
    link_.connection = std::make_unique<Connection>(common_.config, route, common_.crypto, now, &common_.memory);
    link_.connection->trace_as(link_.stream);
}

void ConnectAttempt::update_link(TimePoint now) {
    Connection& connection = *link_.connection;
    if (connection.stage() == Connection::Stage::handshake) return;
    const PhaseTimes& times = connection.times();
    times_.proxy = times.proxy;
    times_.tls = times.tls;
    times_.upgrade = times.upgrade;
    if (connection.stage() == Connection::Stage::session) {
        status_ = Status::open;
        return;
    }
    if (connection.has_last_words()) return;  // the driver is about to ask for them
    Error error = connection.error();
    error.elapsed = to_microseconds(now - connection.step_began_at());
    common_.give_up(link_.stream);
    link_.connection.reset();
    if (is_redirect(error) && config_->max_redirects != 0) return follow_redirect(error, now);
    fail(std::move(error));
}

/// A new connection within the same attempt, and within its deadline.
void ConnectAttempt::follow_redirect(const Error& refusal, TimePoint now) {
    Url target;
    Error error = resolve_redirect(url_, refusal, target);
    visited_.push_back(url_.text());
    if (!error && std::find(visited_.begin(), visited_.end(), target.text()) != visited_.end()) {
        error = Error(Errc::redirect_loop, Phase::upgrade, "to " + target.text() + " again");
    }
    if (!error && ++redirects_ > config_->max_redirects) {
        error = Error(Errc::redirect_limit, Phase::upgrade, "to " + target.text());
    }
    if (!error && target.secure && common_.crypto.tls() == nullptr) {
        error = Error(Errc::tls_unavailable, Phase::upgrade);
    }
    if (error) {
        error.response = refusal.response;
        error.elapsed = refusal.elapsed;
        return fail(std::move(error));
    }
    if (!start_url_) start_url_ = url_;
    url_ = std::move(target);
    error = common_.prepare_tls(url_);
    if (error) return fail(std::move(error));
    redirect_ = refusal;
    redirect_->peer = link_.peer;
    dial(now);
}

void ConnectAttempt::fail(Error&& error) {
    if (error.peer.empty()) error.peer = link_.peer;
    error_ = std::move(error);
    status_ = Status::failed;
}

void ConnectAttempt::abandon() {
    if (const StreamId id = std::exchange(preparing_, 0)) common_.give_up(id);
    if (dialer_) {
        dialer_->abandon();
        dialer_.reset();
    }
    if (link_) common_.give_up(link_.stream);
    link_.connection.reset();
}

Phase ConnectAttempt::phase() const noexcept {
    if (preparing_ != 0) return Phase::prepare;
    if (dialer_) return dialer_->resolving() ? Phase::resolve : Phase::connect;
    return link_ ? link_.connection->phase() : Phase::none;
}

std::optional<TimePoint> ConnectAttempt::deadline() const noexcept {
    std::optional<TimePoint> next;
    if (status_ == Status::working) next = began_ + config_->timeouts.attempt;
    if (dialer_) next = earlier(next, dialer_->deadline());
    if (link_) next = earlier(next, link_.connection->deadline());
    return next;
}

}  // namespace tern::core
