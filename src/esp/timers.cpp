// FreeRTOS's software timers and esp_timer: both repeat a callback on a thread of their own.
#include "freertos/timers.h"

#include <atomic>
#include <limits>
#include <memory>
#include <new>
#include <string>

#include "esp_timer.h"
#include "service.hpp"

namespace {

using tern::esp::Clock;
using tern::esp::Service;

/// What both kinds have in common. Shared with the service, which may be about to call it when it is deleted.
class Repeater : public std::enable_shared_from_this<Repeater> {
public:
    Repeater(Service& service, std::function<void()> callback) : service_(service), callback_(std::move(callback)) {}

    /// 0: once.
    bool start(Clock::duration delay, Clock::duration period) {
        const std::lock_guard lock(mutex_);
        period_ = period;
        return arm(Clock::now() + delay);
    }
    void stop() {
        const std::lock_guard lock(mutex_);
        disarm();
    }
    void set_period(Clock::duration period) {
        const std::lock_guard lock(mutex_);
        period_ = period;
    }
    [[nodiscard]] bool active() {
        const std::lock_guard lock(mutex_);
        return id_ != 0;
    }
    [[nodiscard]] Clock::time_point due() {
        const std::lock_guard lock(mutex_);
        return due_;
    }

private:
    bool arm(Clock::time_point at) {
        disarm();
        due_ = at;
        const std::uint64_t round = ++round_;
        id_ = service_.at(at, [self = shared_from_this(), round] { self->fire(round); });
        return id_ != 0;
    }
    void disarm() {
        if (id_ != 0) service_.cancel(id_);
        id_ = 0;
        ++round_;
    }
    void fire(std::uint64_t round) {
        {
            const std::lock_guard lock(mutex_);
            if (round != round_) return;  // stopped meanwhile
            id_ = 0;
            if (period_.count() > 0) {
                const Clock::time_point now = Clock::now();
                const auto missed = now > due_ ? (now - due_) / period_ : 0;
                arm(due_ + (missed + 1) * period_);
            }
        }
        callback_();
    }

    Service& service_;
    const std::function<void()> callback_;
    std::mutex mutex_;
    Clock::duration period_{0};
    Clock::time_point due_;
    Service::Id id_ = 0;
    std::uint64_t round_ = 0;  ///< Calls of an earlier start come to nothing.
};

}  // namespace

// --- FreeRTOS ------------------------------------------------------------------------------------------------------

struct tmrTimerControl {
    std::string name;
    std::atomic<TickType_t> period;
    std::atomic<bool> reload;
    std::atomic<void*> id;
    std::shared_ptr<Repeater> repeater;
};

namespace {

BaseType_t start(TimerHandle_t timer) {
    const Clock::duration period = timer->period.load() * tern::esp::tick_length();
    return timer->repeater->start(period, timer->reload ? period : Clock::duration(0)) ? pdPASS : pdFAIL;
}

void not_woken(BaseType_t* woken) {
    if (woken != nullptr) *woken = pdFALSE;
}

}  // namespace

TimerHandle_t xTimerCreate(const char* name, TickType_t period, BaseType_t auto_reload, void* id,
                           TimerCallbackFunction_t callback) {
    if (period == 0 || callback == nullptr) return nullptr;
    auto* const timer = new (std::nothrow) tmrTimerControl;
    if (timer == nullptr) return nullptr;
    timer->name = name != nullptr ? name : "";
    timer->period = period;
    timer->reload = auto_reload != pdFALSE;
    timer->id = id;
    timer->repeater = std::make_shared<Repeater>(Service::timers(), [timer, callback] { callback(timer); });
    return timer;
}
TimerHandle_t xTimerCreateStatic(const char* name, TickType_t period, BaseType_t auto_reload, void* id,
                                 TimerCallbackFunction_t callback, StaticTimer_t* /*memory*/) {
    return xTimerCreate(name, period, auto_reload, id, callback);
}
BaseType_t xTimerStart(TimerHandle_t timer, TickType_t /*ticks*/) { return start(timer); }
BaseType_t xTimerReset(TimerHandle_t timer, TickType_t /*ticks*/) { return start(timer); }
BaseType_t xTimerStop(TimerHandle_t timer, TickType_t /*ticks*/) {
    timer->repeater->stop();
    return pdPASS;
}
BaseType_t xTimerChangePeriod(TimerHandle_t timer, TickType_t period, TickType_t /*ticks*/) {
    if (period == 0) return pdFAIL;
    timer->period = period;
    return start(timer);
}
BaseType_t xTimerDelete(TimerHandle_t timer, TickType_t /*ticks*/) {
    timer->repeater->stop();
    // On the timers' thread, behind a callback that may be running with the handle.
    Service::timers().at(Clock::now(), [timer] { delete timer; });
    return pdPASS;
}
BaseType_t xTimerStartFromISR(TimerHandle_t timer, BaseType_t* woken) {
    not_woken(woken);
    return start(timer);
}
BaseType_t xTimerStopFromISR(TimerHandle_t timer, BaseType_t* woken) {
    not_woken(woken);
    return xTimerStop(timer, 0);
}
BaseType_t xTimerResetFromISR(TimerHandle_t timer, BaseType_t* woken) {
    not_woken(woken);
    return start(timer);
}
BaseType_t xTimerIsTimerActive(TimerHandle_t timer) { return timer->repeater->active() ? pdTRUE : pdFALSE; }
void* pvTimerGetTimerID(TimerHandle_t timer) { return timer->id; }
void vTimerSetTimerID(TimerHandle_t timer, void* id) { timer->id = id; }
const char* pcTimerGetName(TimerHandle_t timer) { return timer->name.c_str(); }
TickType_t xTimerGetPeriod(TimerHandle_t timer) { return timer->period; }
TickType_t xTimerGetExpiryTime(TimerHandle_t timer) {
    return static_cast<TickType_t>((timer->repeater->due() - tern::esp::began_at()) / tern::esp::tick_length());
}
void vTimerSetReloadMode(TimerHandle_t timer, BaseType_t auto_reload) {
    timer->reload = auto_reload != pdFALSE;
    timer->repeater->set_period(timer->reload ? timer->period.load() * tern::esp::tick_length() : Clock::duration(0));
}
BaseType_t xTimerPendFunctionCall(PendedFunction_t function, void* parameter1, uint32_t parameter2,
                                  TickType_t /*ticks*/) {
    const auto call = [=] { function(parameter1, parameter2); };
    return Service::timers().at(Clock::now(), call) != 0 ? pdPASS : pdFAIL;
}
BaseType_t xTimerPendFunctionCallFromISR(PendedFunction_t function, void* parameter1, uint32_t parameter2,
                                         BaseType_t* woken) {
    not_woken(woken);
    return xTimerPendFunctionCall(function, parameter1, parameter2, 0);
}

// --- esp_timer -----------------------------------------------------------------------------------------------------

struct esp_timer {
    std::shared_ptr<Repeater> repeater;
    std::atomic<bool> periodic = false;
};

namespace {

std::chrono::microseconds microseconds(std::uint64_t count) {
    constexpr std::uint64_t century = 3'155'760'000'000'000;  // longer ones would overflow a time point
    return std::chrono::microseconds(static_cast<std::int64_t>(std::min(count, century)));
}

}  // namespace

esp_err_t esp_timer_create(const esp_timer_create_args_t* create_args, esp_timer_handle_t* out_handle) {
    if (create_args == nullptr || out_handle == nullptr || create_args->callback == nullptr) return ESP_ERR_INVALID_ARG;
    auto* const timer = new (std::nothrow) esp_timer;
    if (timer == nullptr) return ESP_ERR_NO_MEM;
    const auto callback = [function = create_args->callback, argument = create_args->arg] { function(argument); };
    timer->repeater = std::make_shared<Repeater>(Service::esp_timers(), callback);
    *out_handle = timer;
    return ESP_OK;
}

esp_err_t esp_timer_start_once(esp_timer_handle_t timer, uint64_t timeout_us) {
    if (timer == nullptr) return ESP_ERR_INVALID_ARG;
    if (timer->repeater->active()) return ESP_ERR_INVALID_STATE;
    timer->periodic = false;
    return timer->repeater->start(microseconds(timeout_us), Clock::duration(0)) ? ESP_OK : ESP_ERR_NO_MEM;
}
esp_err_t esp_timer_start_periodic(esp_timer_handle_t timer, uint64_t period_us) {
    if (timer == nullptr || period_us == 0) return ESP_ERR_INVALID_ARG;
    if (timer->repeater->active()) return ESP_ERR_INVALID_STATE;
    timer->periodic = true;
    return timer->repeater->start(microseconds(period_us), microseconds(period_us)) ? ESP_OK : ESP_ERR_NO_MEM;
}
esp_err_t esp_timer_restart(esp_timer_handle_t timer, uint64_t timeout_us) {
    if (timer == nullptr || (timer->periodic && timeout_us == 0)) return ESP_ERR_INVALID_ARG;
    if (!timer->repeater->active()) return ESP_ERR_INVALID_STATE;
    const auto time = microseconds(timeout_us);
    const auto period = timer->periodic ? Clock::duration(time) : Clock::duration(0);
    return timer->repeater->start(time, period) ? ESP_OK : ESP_ERR_NO_MEM;
}
esp_err_t esp_timer_stop(esp_timer_handle_t timer) {
    if (timer == nullptr) return ESP_ERR_INVALID_ARG;
    if (!timer->repeater->active()) return ESP_ERR_INVALID_STATE;
    timer->repeater->stop();
    return ESP_OK;
}
esp_err_t esp_timer_delete(esp_timer_handle_t timer) {
    if (timer == nullptr) return ESP_ERR_INVALID_ARG;
    if (timer->repeater->active()) return ESP_ERR_INVALID_STATE;
    delete timer;
    return ESP_OK;
}
bool esp_timer_is_active(esp_timer_handle_t timer) { return timer != nullptr && timer->repeater->active(); }
int64_t esp_timer_get_time() {
    return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - tern::esp::began_at()).count();
}
int64_t esp_timer_get_next_alarm() {
    const auto next = Service::esp_timers().next();
    if (!next) return std::numeric_limits<std::int64_t>::max();
    return std::chrono::duration_cast<std::chrono::microseconds>(*next - tern::esp::began_at()).count();
}
