/* FreeRTOS on a host: the types and the words that all of it uses. Tasks are threads, ticks are made of real time. */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "esp_bit_defs.h"
#include "sdkconfig.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef uint32_t TickType_t;
typedef int BaseType_t;
typedef unsigned int UBaseType_t;
typedef uint8_t StackType_t;

#define pdFALSE ((BaseType_t)0)
#define pdTRUE ((BaseType_t)1)
#define pdPASS pdTRUE
#define pdFAIL pdFALSE
#define errQUEUE_EMPTY ((BaseType_t)0)
#define errQUEUE_FULL ((BaseType_t)0)
#define errCOULD_NOT_ALLOCATE_REQUIRED_MEMORY (-1)

#define configTICK_RATE_HZ ((TickType_t)CONFIG_FREERTOS_HZ)
#define configMAX_PRIORITIES 25
#define configMINIMAL_STACK_SIZE 2048
#define configMAX_TASK_NAME_LEN 16
#define configSTACK_DEPTH_TYPE uint32_t
#define configASSERT(x) assert(x)
#define configUSE_MUTEXES 1
#define configSUPPORT_DYNAMIC_ALLOCATION 1
#define configSUPPORT_STATIC_ALLOCATION 1

#define portMAX_DELAY ((TickType_t)0xffffffffUL)
#define portTICK_PERIOD_MS ((TickType_t)(1000 / CONFIG_FREERTOS_HZ))
#define portTICK_RATE_MS portTICK_PERIOD_MS
#define portNUM_PROCESSORS 2
#define pdMS_TO_TICKS(ms) ((TickType_t)(((uint64_t)(ms) * configTICK_RATE_HZ) / 1000U))
#define pdTICKS_TO_MS(ticks) ((TickType_t)(((uint64_t)(ticks) * 1000U) / configTICK_RATE_HZ))

/* A critical section keeps out the other critical sections of the program, and nothing else. */
typedef struct {
    uint32_t owner;
    uint32_t count;
} portMUX_TYPE;
#define portMUX_FREE_VAL 0
#define portMUX_INITIALIZER_UNLOCKED \
    { portMUX_FREE_VAL, 0 }
#define portMUX_INITIALIZE(mux) tern_esp_mux_initialize(mux)
void tern_esp_mux_initialize(portMUX_TYPE *mux);
void vPortEnterCritical(void);
void vPortExitCritical(void);
#define portENTER_CRITICAL(mux) ((void)(mux), vPortEnterCritical())
#define portEXIT_CRITICAL(mux) ((void)(mux), vPortExitCritical())
#define portENTER_CRITICAL_ISR(mux) portENTER_CRITICAL(mux)
#define portEXIT_CRITICAL_ISR(mux) portEXIT_CRITICAL(mux)
#define portENTER_CRITICAL_SAFE(mux) portENTER_CRITICAL(mux)
#define portEXIT_CRITICAL_SAFE(mux) portEXIT_CRITICAL(mux)
#define taskENTER_CRITICAL(mux) portENTER_CRITICAL(mux)
#define taskEXIT_CRITICAL(mux) portEXIT_CRITICAL(mux)

#define portYIELD() tern_esp_yield()
#define portYIELD_FROM_ISR(...) ((void)0)
void tern_esp_yield(void);
/* No thread is an interrupt. */
BaseType_t xPortInIsrContext(void);
/* 0 or 1, from the processor that the thread is on. */
BaseType_t xPortGetCoreID(void);

void *pvPortMalloc(size_t size);
void vPortFree(void *memory);
size_t xPortGetFreeHeapSize(void);
size_t xPortGetMinimumEverFreeHeapSize(void);

/* Memory for objects "made in place". The host's objects do not live there; it only has to exist. */
typedef struct {
    void *reserved[4];
} StaticTask_t;
typedef StaticTask_t StaticQueue_t;
typedef StaticTask_t StaticSemaphore_t;
typedef StaticTask_t StaticEventGroup_t;
typedef StaticTask_t StaticTimer_t;

#ifdef __cplusplus
}
#endif
