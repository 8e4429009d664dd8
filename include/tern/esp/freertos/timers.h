/* Software timers. All callbacks run one after another on one thread. `ticks` of waiting for the timer task's queue
 * mean nothing here: commands take effect at once. */
#pragma once

#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tmrTimerControl *TimerHandle_t;
typedef void (*TimerCallbackFunction_t)(TimerHandle_t timer);
typedef void (*PendedFunction_t)(void *parameter1, uint32_t parameter2);

/* NULL if the period is 0. The timer does not run yet. */
TimerHandle_t xTimerCreate(const char *name, TickType_t period, BaseType_t auto_reload, void *id,
                           TimerCallbackFunction_t callback);
TimerHandle_t xTimerCreateStatic(const char *name, TickType_t period, BaseType_t auto_reload, void *id,
                                 TimerCallbackFunction_t callback, StaticTimer_t *memory);
BaseType_t xTimerStart(TimerHandle_t timer, TickType_t ticks);
BaseType_t xTimerStop(TimerHandle_t timer, TickType_t ticks);
BaseType_t xTimerReset(TimerHandle_t timer, TickType_t ticks);
/* Starts it too. */
BaseType_t xTimerChangePeriod(TimerHandle_t timer, TickType_t period, TickType_t ticks);
/* A callback that is running goes on to its end. */
BaseType_t xTimerDelete(TimerHandle_t timer, TickType_t ticks);
BaseType_t xTimerStartFromISR(TimerHandle_t timer, BaseType_t *woken);
BaseType_t xTimerStopFromISR(TimerHandle_t timer, BaseType_t *woken);
BaseType_t xTimerResetFromISR(TimerHandle_t timer, BaseType_t *woken);
BaseType_t xTimerIsTimerActive(TimerHandle_t timer);
void *pvTimerGetTimerID(TimerHandle_t timer);
void vTimerSetTimerID(TimerHandle_t timer, void *id);
const char *pcTimerGetName(TimerHandle_t timer);
TickType_t xTimerGetPeriod(TimerHandle_t timer);
/* When it is due next, in ticks since the program began. */
TickType_t xTimerGetExpiryTime(TimerHandle_t timer);
void vTimerSetReloadMode(TimerHandle_t timer, BaseType_t auto_reload);
/* Runs the function on the timers' thread. */
BaseType_t xTimerPendFunctionCall(PendedFunction_t function, void *parameter1, uint32_t parameter2, TickType_t ticks);
BaseType_t xTimerPendFunctionCallFromISR(PendedFunction_t function, void *parameter1, uint32_t parameter2,
                                         BaseType_t *woken);

#ifdef __cplusplus
}
#endif
