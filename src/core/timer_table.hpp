// A few named deadlines, the next of which is asked for often and changed often.
#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include <tern/core.hpp>

namespace tern::core {

/// `T` is an enum whose last enumerator is `count`.
template <class T>
class TimerTable {
public:
    void set(T timer, TimePoint at) noexcept { at_[index(timer)] = at; }
    void stop(T timer) noexcept { at_[index(timer)] = never; }
    [[nodiscard]] bool is_set(T timer) const noexcept { return at_[index(timer)] != never; }

    /// The earliest deadline; empty if none is set.
    [[nodiscard]] std::optional<TimePoint> next() const noexcept {
        TimePoint earliest = never;
        for (const TimePoint at : at_) earliest = at < earliest ? at : earliest;
        if (earliest == never) return std::nullopt;
        return earliest;
    }

    /// A timer whose time has come; it is stopped by this. Call until it is empty.
    [[nodiscard]] std::optional<T> take_expired(TimePoint now) noexcept {
        for (std::size_t i = 0; i < at_.size(); ++i) {
            if (at_[i] != never && at_[i] <= now) {
                at_[i] = never;
                return static_cast<T>(i);
            }
        }
        return std::nullopt;
    }

private:
    static constexpr TimePoint never = TimePoint::max();
    static constexpr std::size_t index(T timer) noexcept { return static_cast<std::size_t>(timer); }

    std::array<TimePoint, static_cast<std::size_t>(T::count)> at_ = [] {
        std::array<TimePoint, static_cast<std::size_t>(T::count)> all{};
        all.fill(never);
        return all;
    }();
};

/// The earlier of two deadlines, either of which may be absent.
inline std::optional<TimePoint> earlier(std::optional<TimePoint> left, std::optional<TimePoint> right) noexcept {
    if (!left) return right;
    if (!right) return left;
    return *left < *right ? left : right;
}

}  // namespace tern::core
