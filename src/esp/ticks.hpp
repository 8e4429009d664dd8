// Ticks and time. The program's time begins when the library is loaded.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "freertos/FreeRTOS.h"

namespace tern::esp {

using Clock = std::chrono::steady_clock;

[[nodiscard]] Clock::time_point began_at() noexcept;
[[nodiscard]] Clock::duration tick_length() noexcept;
/// When this many ticks from now have passed; `portMAX_DELAY`: never.
[[nodiscard]] Clock::time_point after(TickType_t ticks) noexcept;
/// The same as a limit in milliseconds; a year for `portMAX_DELAY`.
[[nodiscard]] std::chrono::milliseconds to_milliseconds(TickType_t ticks) noexcept;

/// Waits until the predicate holds or the time has come; what it says then.
template <class Predicate>
bool wait_until(std::condition_variable& changed, std::unique_lock<std::mutex>& lock, Clock::time_point at,
                Predicate predicate) {
    if (at == Clock::time_point::max()) {
        changed.wait(lock, predicate);
        return true;
    }
    return changed.wait_until(lock, at, predicate);
}

}  // namespace tern::esp
