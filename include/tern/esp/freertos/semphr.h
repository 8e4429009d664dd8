/* Semaphores and mutexes. As in FreeRTOS they are queues whose items have no size. */
#pragma once

#include "freertos/queue.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef QueueHandle_t SemaphoreHandle_t;

/* A binary semaphore begins empty, a mutex is free. */
SemaphoreHandle_t xSemaphoreCreateBinary(void);
SemaphoreHandle_t xSemaphoreCreateBinaryStatic(StaticSemaphore_t *memory);
SemaphoreHandle_t xSemaphoreCreateCounting(UBaseType_t maximum, UBaseType_t initial);
SemaphoreHandle_t xSemaphoreCreateCountingStatic(UBaseType_t maximum, UBaseType_t initial, StaticSemaphore_t *memory);
SemaphoreHandle_t xSemaphoreCreateMutex(void);
SemaphoreHandle_t xSemaphoreCreateMutexStatic(StaticSemaphore_t *memory);
SemaphoreHandle_t xSemaphoreCreateRecursiveMutex(void);
SemaphoreHandle_t xSemaphoreCreateRecursiveMutexStatic(StaticSemaphore_t *memory);
void vSemaphoreDelete(SemaphoreHandle_t semaphore);

/* pdTRUE, or pdFALSE when the time is over. A mutex that its owner takes again makes it wait for itself. */
BaseType_t xSemaphoreTake(SemaphoreHandle_t semaphore, TickType_t ticks);
/* pdFALSE: it is full, or a mutex of another task. */
BaseType_t xSemaphoreGive(SemaphoreHandle_t semaphore);
BaseType_t xSemaphoreTakeRecursive(SemaphoreHandle_t mutex, TickType_t ticks);
BaseType_t xSemaphoreGiveRecursive(SemaphoreHandle_t mutex);
BaseType_t xSemaphoreTakeFromISR(SemaphoreHandle_t semaphore, BaseType_t *woken);
BaseType_t xSemaphoreGiveFromISR(SemaphoreHandle_t semaphore, BaseType_t *woken);
UBaseType_t uxSemaphoreGetCount(SemaphoreHandle_t semaphore);
/* NULL if nobody has it. */
TaskHandle_t xSemaphoreGetMutexHolder(SemaphoreHandle_t mutex);

#ifdef __cplusplus
}
#endif
