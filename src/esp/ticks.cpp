#include "ticks.hpp"

#include "freertos/task.h"
#include "task.hpp"

namespace tern::esp {
namespace {

const Clock::time_point program_began = Clock::now();

}  // namespace

Clock::time_point began_at() noexcept { return program_began; }

Clock::duration tick_length() noexcept {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::seconds(1)) / CONFIG_FREERTOS_HZ;
}

Clock::time_point after(TickType_t ticks) noexcept {
    return ticks == portMAX_DELAY ? Clock::time_point::max() : Clock::now() + ticks * tick_length();
}

std::chrono::milliseconds to_milliseconds(TickType_t ticks) noexcept {
    constexpr std::chrono::milliseconds year = std::chrono::hours(24 * 365);
    if (ticks == portMAX_DELAY) return year;
    return std::chrono::duration_cast<std::chrono::milliseconds>(ticks * tick_length());
}

}  // namespace tern::esp

TickType_t xTaskGetTickCount() {
    return static_cast<TickType_t>((tern::esp::Clock::now() - tern::esp::began_at()) / tern::esp::tick_length());
}

TickType_t xTaskGetTickCountFromISR() { return xTaskGetTickCount(); }
