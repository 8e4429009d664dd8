// Round-trip times of one connection: the last, a smoothed one, and percentiles of the recent ones.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tern::core {

class RoundTrips {
public:
    using Time = std::chrono::microseconds;

    void add(Time time) noexcept {
        const auto micros = static_cast<std::uint32_t>(std::clamp<Time::rep>(time.count(), 0, 0xffffffff));
        recent_[count_++ % recent_.size()] = micros;
        last_ = time;
        // As RFC 6298 section 2.3 smooths it for TCP.
        smoothed_ = count_ == 1 ? time : smoothed_ + (time - smoothed_) / 8;
    }

    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
    [[nodiscard]] Time last() const noexcept { return last_; }
    [[nodiscard]] Time smoothed() const noexcept { return smoothed_; }
    /// Of the last 32 at most: the smallest that `percent` of them do not exceed. Not when `empty()`.
    [[nodiscard]] Time percentile(unsigned percent) const noexcept {
        const std::size_t size = std::min(count_, recent_.size());
        std::array<std::uint32_t, 32> sorted = recent_;
        std::sort(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(size));
        const std::size_t rank = std::max<std::size_t>((size * percent + 99) / 100, 1);
        return Time(sorted[rank - 1]);
    }

private:
    std::array<std::uint32_t, 32> recent_{};
    std::size_t count_ = 0;
    Time last_{-1};
    Time smoothed_{0};
};

}  // namespace tern::core
