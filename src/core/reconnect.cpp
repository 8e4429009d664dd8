#include "reconnect.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "http_date.hpp"

namespace tern::core {
namespace {

using std::chrono::milliseconds;

/// A refusal says by its status whether asking the same again can help: 3xx and 4xx blame the request, apart from those
/// that pass with time.
Retry class_of_status(int status, Retry otherwise) noexcept {
    if (status == 503) return Retry::later;
    if (status == 408 || status == 425 || status == 429) return Retry::backoff;
    return status >= 300 && status < 500 ? Retry::never : otherwise;
}

/// RFC 6455 section 7.4.1 and the IANA registry: the codes that blame this side, and those that ask for patience.
Retry class_of_close(CloseCode code, Retry otherwise) noexcept {
    switch (code) {
        case CloseCode::protocol_error:
        case CloseCode::unsupported_data:
        case CloseCode::invalid_payload:
        case CloseCode::policy_violation: return Retry::never;
        case CloseCode::service_restart:
        case CloseCode::try_again_later: return Retry::later;
        default: return otherwise;
    }
}

bool matches(const RetryRule& rule, const Error& error, CloseCode close) noexcept {
    return (rule.error == Errc{} || error == rule.error) &&
           (rule.status == 0 || rule.status == error.response.status) &&
           (rule.close == CloseCode{0} || rule.close == close);
}

/// What the server asked for (RFC 9110 section 10.2.3). A date is compared with the server's own clock, because that
/// is the one it was made from; without a Date there is nothing to compare it with. Negative: nothing.
milliseconds retry_after(const Response& response) {
    const std::string_view value = response.header("Retry-After");
    if (value.empty()) return milliseconds(-1);
    if (value.find_first_not_of("0123456789") == value.npos) {
        std::int64_t seconds = 0;
        for (const char digit : value.substr(0, 9)) seconds = seconds * 10 + (digit - '0');
        return std::chrono::seconds(seconds);
    }
    const auto at = parse_http_date(value);
    const auto now = parse_http_date(response.header("Date"));
    if (!at || !now) return milliseconds(-1);
    return std::max(milliseconds(0), std::chrono::duration_cast<milliseconds>(*at - *now));
}

}  // namespace

Retry retry_class(const Reconnect& config, const Error& error, CloseCode close) noexcept {
    for (const RetryRule& rule : config.rules) {
        if (matches(rule, error, close)) return rule.retry;
    }
    const ErrorRow* row = error_row(error.errc());
    if (row == nullptr || row->retry == Retry::never) return Retry::never;
    if (error.response.status != 0) return class_of_status(error.response.status, row->retry);
    return class_of_close(close, row->retry);
}

Supervisor::Supervisor(const Reconnect& config, std::size_t endpoints, Crypto& random, TimePoint now)
    : config_(config),
      shortest_(config.min_delay),
      longest_(config.max_delay),
      random_(random),
      down_since_(now),
      opened_(now) {
    for (std::size_t i = 0; i < endpoints && endpoints > 1; ++i) order_.push_back(i);
    if (config_.random_endpoints) shuffle();
}

Supervisor::Decision Supervisor::on_ended(const Error& error, CloseCode close, TimePoint now) {
    at_once_ = note_stable(now);
    const Retry retry = retry_class(config_, error, close);
    if (!config_.enabled || (retry == Retry::never && !strike())) return {};
    return decide(retry, error, now);
}

bool Supervisor::note_stable(TimePoint now) noexcept {
    if (now - opened_ < config_.stable_after) return false;
    attempts_ = 0;
    failures_ = 0;
    down_since_ = now;
    return true;
}

Supervisor::Decision Supervisor::on_failed(const Error& error, TimePoint now) {
    at_once_ = false;
    const Retry retry = retry_class(config_, error, CloseCode{0});
    const bool round_over = turn_ + 1 >= order_.size();
    if (retry == Retry::never) {
        if (!strike()) return {};
    } else {
        turn_ = round_over ? 0 : turn_ + 1;
    }
    if (round_over) {
        if (!config_.enabled) return {};
        if (config_.random_endpoints) shuffle();
        return decide(retry, error, now);
    }
    // The endpoints of one round follow one another at once, also where reconnecting is switched off.
    if (config_.enabled && config_.max_attempts != 0 && attempts_ >= config_.max_attempts) return {.limited = true};
    return {.again = true, .same_round = true};
}

Supervisor::Decision Supervisor::decide(Retry retry, const Error& error, TimePoint now) {
    if (config_.max_attempts != 0 && attempts_ >= config_.max_attempts) return {.limited = true};
    milliseconds delay{0};
    if (!(std::exchange(at_once_, false) && retry == Retry::at_once)) {
        ++failures_;
        delay = this->delay();
        if (retry == Retry::later) delay = std::max(delay, draw(config_.min_later, config_.max_later));
        const milliseconds wanted = std::min(retry_after(error.response), config_.max_retry_after);
        // Whoever was told the same time should not come at the same moment.
        if (wanted.count() > 0) delay = std::max(delay, wanted + draw(milliseconds(0), shortest_));
    }
    const milliseconds limit = config_.give_up_after;
    if (limit.count() != 0 && now + delay - down_since_ > limit) return {.limited = true};
    return {.again = true, .delay = delay};
}

milliseconds Supervisor::delay() {
    // The bound grows by shifting, and stops growing before it could overflow.
    const std::uint32_t doublings = std::min(failures_, 30u);
    milliseconds bound = std::max(shortest_, milliseconds(1));
    for (std::uint32_t i = 0; i < doublings && bound < longest_; ++i) bound *= 2;
    return draw(shortest_, std::min(bound, std::max(shortest_, longest_)));
}

void Supervisor::set_delays(milliseconds shortest, milliseconds longest) noexcept {
    shortest_ = shortest;
    longest_ = longest;
}

/// Removes the endpoint whose turn it is. False if it was the last.
bool Supervisor::strike() {
    if (order_.size() <= 1) return false;
    order_.erase(order_.begin() + static_cast<std::ptrdiff_t>(turn_));
    if (turn_ == order_.size()) turn_ = 0;
    return true;
}

void Supervisor::shuffle() {
    for (std::size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[random_number() % i]);
}

milliseconds Supervisor::draw(milliseconds low, milliseconds high) {
    if (high <= low) return low;
    const auto span = static_cast<double>((high - low).count());
    return low + milliseconds(static_cast<std::int64_t>(span * random_number() / 4294967295.0));
}

/// Without entropy the middle: a delay without jitter is better than none.
std::uint32_t Supervisor::random_number() {
    std::array<std::byte, 4> bytes{};
    if (!random_.random_bytes(bytes)) return 0x80000000u;
    std::uint32_t number = 0;
    for (const std::byte byte : bytes) number = number << 8u | std::to_integer<std::uint32_t>(byte);
    return number;
}

}  // namespace tern::core
