/* Bits that tasks set and wait for: 24 of them, as where a tick has 32. */
#pragma once

#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct EventGroupDef_t *EventGroupHandle_t;
typedef TickType_t EventBits_t;

EventGroupHandle_t xEventGroupCreate(void);
EventGroupHandle_t xEventGroupCreateStatic(StaticEventGroup_t *memory);
/* Who waits is woken with the bits as they are. */
void vEventGroupDelete(EventGroupHandle_t group);
/* The bits after the waiters that they wake have cleared theirs. */
EventBits_t xEventGroupSetBits(EventGroupHandle_t group, EventBits_t bits);
/* The bits before. */
EventBits_t xEventGroupClearBits(EventGroupHandle_t group, EventBits_t bits);
EventBits_t xEventGroupGetBits(EventGroupHandle_t group);
/* The bits when the condition was met or the time was over, before they are cleared. */
EventBits_t xEventGroupWaitBits(EventGroupHandle_t group, EventBits_t bits, BaseType_t clear_on_exit,
                                BaseType_t wait_for_all, TickType_t ticks);
/* Sets bits and waits for all of the others; cleared when they have come together. */
EventBits_t xEventGroupSync(EventGroupHandle_t group, EventBits_t set, EventBits_t wait_for, TickType_t ticks);
BaseType_t xEventGroupSetBitsFromISR(EventGroupHandle_t group, EventBits_t bits, BaseType_t *woken);
BaseType_t xEventGroupClearBitsFromISR(EventGroupHandle_t group, EventBits_t bits);
EventBits_t xEventGroupGetBitsFromISR(EventGroupHandle_t group);

#ifdef __cplusplus
}
#endif
