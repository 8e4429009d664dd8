#include "schedule.hpp"

#include <algorithm>
#include <cstring>

namespace tern::sim {
namespace {

constexpr std::size_t max_offences = 20;
constexpr std::size_t max_lines = 100'000;

std::uint64_t microseconds(TimePoint at) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(at - TimePoint(std::chrono::hours(1000))).count());
}

}  // namespace

void Schedule::at(TimePoint when, std::function<void()> action) {
    actions_.push_back({std::max(when, now_), order_++, std::move(action)});
    std::push_heap(actions_.begin(), actions_.end());
}

std::optional<TimePoint> Schedule::next() const {
    if (actions_.empty()) return std::nullopt;
    return actions_.front().when;
}

void Schedule::run_next() {
    std::pop_heap(actions_.begin(), actions_.end());
    const Action action = std::move(actions_.back());
    actions_.pop_back();
    advance_to(action.when);
    action.what();
}

void Schedule::advance_to(TimePoint when) { now_ = std::max(now_, when); }

void Schedule::trace(std::string_view what, std::uint64_t a, std::uint64_t b, std::string_view content) {
    mix(what), mix(content), mix(microseconds(now_)), mix(a), mix(b);
    if (!keep_trace_) return;
    note(std::string(what) + " " + std::to_string(a) + " " + std::to_string(b) + " " +
         std::string(content.substr(0, 80)));
}

void Schedule::note(std::string_view line) {
    if (lines_.size() >= 2 * max_lines) lines_.erase(lines_.begin(), lines_.begin() + max_lines);
    lines_.push_back(std::to_string(microseconds(now_)) + " us  " + std::string(line));
}

/// As FNV-1a, with words for bytes and the upper half folded in, so that every bit counts.
void Schedule::mix(std::uint64_t value) {
    hash_ = (hash_ ^ value) * 0x9e3779b97f4a7c15u;
    hash_ ^= hash_ >> 32u;
}

void Schedule::mix(std::string_view bytes) {
    mix(bytes.size());
    while (!bytes.empty()) {
        std::uint64_t word = 0;
        const std::size_t n = std::min(bytes.size(), sizeof word);
        std::memcpy(&word, bytes.data(), n);
        mix(word);
        bytes.remove_prefix(n);
    }
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
