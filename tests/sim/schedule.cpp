#include "schedule.hpp"

#include <algorithm>

namespace tern::sim {
namespace {

constexpr std::uint64_t fnv_prime = 0x100000001b3u;
constexpr std::size_t max_offences = 20;
constexpr std::size_t max_lines = 400;

std::uint64_t microseconds(TimePoint at) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(at - TimePoint(std::chrono::hours(1000))).count());
}

}  // namespace

void Schedule::at(TimePoint when, std::function<void()> action) {
    actions_.emplace(std::pair(std::max(when, now_), order_++), std::move(action));
}

std::optional<TimePoint> Schedule::next() const {
    if (actions_.empty()) return std::nullopt;
    return actions_.begin()->first.first;
}

void Schedule::run_next() {
    auto action = actions_.extract(actions_.begin());
    advance_to(action.key().first);
    action.mapped()();
}

void Schedule::advance_to(TimePoint when) { now_ = std::max(now_, when); }

void Schedule::trace(std::string_view what, std::uint64_t a, std::uint64_t b, std::string_view content) {
    const auto mix = [this](std::uint64_t value) { hash_ = (hash_ ^ value) * fnv_prime; };
    for (const char c : what) mix(static_cast<unsigned char>(c));
    for (const char c : content) mix(static_cast<unsigned char>(c));
    mix(microseconds(now_)), mix(a), mix(b);
    if (!keep_trace_) return;
    if (lines_.size() >= 2 * max_lines) lines_.erase(lines_.begin(), lines_.begin() + max_lines);
    lines_.push_back(std::to_string(microseconds(now_)) + " us  " + std::string(what) + " " + std::to_string(a) + " " +
                     std::to_string(b) + " " + std::string(content.substr(0, 80)));
}

std::string Schedule::trace_text() const {
    std::string text;
    for (const std::string& line : lines_) text += line + "\n";
    return text;
}

void Schedule::offence(std::string what) {
    trace("OFFENCE", 0, 0, what);
    if (offences_.size() >= max_offences) return;
    offences_.push_back("at " + std::to_string(microseconds(now_)) + " us: " + std::move(what));
}

}  // namespace tern::sim
