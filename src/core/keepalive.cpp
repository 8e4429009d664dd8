#include "keepalive.hpp"

#include <algorithm>

namespace tern::core {

Keepalive::Keepalive(const tern::Keepalive& config, TimePoint now) noexcept
    : interval_(config.interval), pong_timeout_(config.pong_timeout), next_ping_(now + config.interval), alive_(now) {}

std::optional<std::chrono::microseconds> Keepalive::on_pong(Bytes bytes, TimePoint now) noexcept {
    const Payload expected = payload();
    if (!outstanding_ || !std::equal(bytes.begin(), bytes.end(), expected.begin(), expected.end())) return std::nullopt;
    outstanding_ = false;
    ++answered_;
    round_trip_ = std::chrono::duration_cast<std::chrono::microseconds>(now - pinged_);
    return round_trip_;
}

void Keepalive::probe(TimePoint now) noexcept {
    if (outstanding_) return;
    probing_ = true;
    next_ping_ = std::min(next_ping_, now);
}

std::optional<TimePoint> Keepalive::deadline() const noexcept {
    if (outstanding_) return dead_at();
    if (interval_.count() == 0 && !probing_) return std::nullopt;
    return next_ping_;
}

Keepalive::Action Keepalive::on_timeout(TimePoint now) noexcept {
    if (outstanding_) return now >= dead_at() ? Action::dead : Action::none;
    if ((interval_.count() == 0 && !probing_) || now < next_ping_) return Action::none;
    outstanding_ = true;
    probing_ = false;
    pinged_ = now;
    next_ping_ = now + interval_;
    ++number_;
    return Action::ping;
}

/// Eight bytes that no earlier ping of this connection had, so that a late pong is not taken for the last one.
Keepalive::Payload Keepalive::payload() const noexcept {
    Payload bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(number_ >> (8 * (7 - i)));
    return bytes;
}

TimePoint Keepalive::dead_at() const noexcept { return std::max(pinged_, alive_) + pong_timeout_; }

}  // namespace tern::core
