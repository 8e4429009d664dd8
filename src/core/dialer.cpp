#include "dialer.hpp"

#include <algorithm>
#include <utility>

#include "timer_table.hpp"

namespace tern::core {
namespace {

/// RFC 8305 section 5, Connection Attempt Delay.
constexpr std::chrono::milliseconds stagger{250};
/// More addresses than anybody publishes for one service; a limit, because they come from the network.
constexpr std::size_t max_addresses = 64;

/// RFC 8305 section 4: the families alternate, beginning with the one that the resolver prefers. The result is in
/// reverse, to be taken from the back.
std::vector<Address> alternate(std::span<const Address> addresses) {
    if (addresses.size() == 1) return {addresses.front()};
    std::vector<Address> ordered;
    if (addresses.size() > max_addresses) addresses = addresses.first(max_addresses);
    Address::Family wanted = addresses.empty() ? Address::Family::ipv6 : addresses.front().family;
    std::vector<Address> left(addresses.begin(), addresses.end());
    while (!left.empty()) {
        auto next = std::find_if(left.begin(), left.end(), [&](const Address& a) { return a.family == wanted; });
        if (next == left.end()) next = left.begin();
        wanted = next->family == Address::Family::ipv4 ? Address::Family::ipv6 : Address::Family::ipv4;
        ordered.push_back(*next);
        left.erase(next);
    }
    std::reverse(ordered.begin(), ordered.end());
    return ordered;
}

}  // namespace

Dialer::Dialer(const Timeouts& timeouts, Goal goal, std::string host, std::uint16_t port, StreamId& next_id,
               Fifo<Command>& commands, TimePoint now)
    : timeouts_(timeouts),
      goal_(goal),
      began_(now),
      next_id_(next_id),
      commands_(commands),
      lookup_(next_id++),
      lookup_deadline_(now + timeouts.resolve) {
    Command command;
    command.kind = Command::Kind::resolve;
    command.id = lookup_;
    command.host = std::move(host);
    command.port = port;
    commands_.push(std::move(command));
}

void Dialer::on_resolved(StreamId id, std::span<const Address> addresses, Error&& error, TimePoint now) {
    if (id != lookup_ || lookup_ == 0) return;
    lookup_ = 0;
    if (error) {
        error.phase = Phase::resolve;
        return fail(std::move(error));
    }
    waiting_ = alternate(addresses);
    if (waiting_.empty()) return fail(Error(Errc::host_not_found, Phase::resolve, "the name has no address"));
    resolved_ = now;
    if (goal_ == Goal::connection) return start_next(now);
    address_ = waiting_.back();
    status_ = Status::connected;
}

void Dialer::on_connected(StreamId id, Error&& error, TimePoint now) {
    const auto attempt = std::find_if(attempts_.begin(), attempts_.end(), [&](const Attempt& a) { return a.id == id; });
    if (attempt == attempts_.end()) return;
    if (error) return attempt_failed(static_cast<std::size_t>(attempt - attempts_.begin()), std::move(error), now);
    status_ = Status::connected;
    stream_ = id;
    address_ = attempt->address;
    attempts_.erase(attempt);
    drop_others();
}

void Dialer::on_timeout(TimePoint now) {
    if (lookup_ != 0 && now >= lookup_deadline_) {
        give_up(std::exchange(lookup_, 0));
        return fail(Error(Errc::resolve_timeout, Phase::resolve));
    }
    for (std::size_t i = 0; i < attempts_.size();) {
        if (now < deadline_of(attempts_[i])) {
            ++i;
            continue;
        }
        give_up(attempts_[i].id);
        attempt_failed(i, Error(Errc::connect_timeout), now);
        if (status_ != Status::working) return;
    }
    if (!waiting_.empty() && !attempts_.empty() && now >= next_start_) start_next(now);
}

void Dialer::abandon() {
    drop_others();
    // It won, and nobody has taken it over yet: the end can come between the two.
    if (stream_ != 0) give_up(std::exchange(stream_, 0));
}

/// Everything but the connection that won.
void Dialer::drop_others() {
    if (lookup_ != 0) give_up(std::exchange(lookup_, 0));
    for (const Attempt& attempt : attempts_) give_up(attempt.id);
    attempts_.clear();
    waiting_.clear();
}

std::optional<TimePoint> Dialer::deadline() const noexcept {
    if (status_ != Status::working) return std::nullopt;
    if (lookup_ != 0) return lookup_deadline_;
    std::optional<TimePoint> next;
    if (!waiting_.empty()) next = next_start_;
    for (const Attempt& attempt : attempts_) next = earlier(next, deadline_of(attempt));
    return next;
}

void Dialer::start_next(TimePoint now) {
    Attempt attempt{.id = next_id_++, .address = waiting_.back(), .began = now};
    waiting_.pop_back();
    next_start_ = now + stagger;
    Command command;
    command.kind = Command::Kind::connect;
    command.id = attempt.id;
    command.port = attempt.address.port;
    command.address = attempt.address;
    commands_.push(std::move(command));
    attempts_.push_back(attempt);
}

/// The error of the whole is that of the address that failed first; what became of each, and when, stands in its
/// detail.
void Dialer::attempt_failed(std::size_t index, Error error, TimePoint now) {
    const Attempt attempt = attempts_[index];
    const bool one_of_many = error_ || attempts_.size() > 1 || !waiting_.empty();
    attempts_.erase(attempts_.begin() + static_cast<std::ptrdiff_t>(index));
    error.phase = Phase::connect;
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(now - attempt.began);
    std::string detail = attempt.address.to_string();
    if (one_of_many && took.count() != 0) detail += " after " + duration_text(took);
    if (!error.detail.empty()) detail += ": " + error.detail;
    if (error_) {
        error_->detail += "; " + detail + (error.detail.empty() ? ": " + error.code.message() : "");
    } else {
        error_ = std::move(error);
        error_->detail = std::move(detail);
    }
    if (!waiting_.empty()) return start_next(now);
    if (attempts_.empty()) status_ = Status::failed;
}

void Dialer::give_up(StreamId id) {
    Command command;
    command.kind = Command::Kind::close;
    command.id = id;
    commands_.push(std::move(command));
}

void Dialer::fail(Error error) {
    error_ = std::move(error);
    status_ = Status::failed;
}

}  // namespace tern::core
