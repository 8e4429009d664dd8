/* Tasks: threads. Priority, stack size and core are kept to be asked for, and the system decides.
 *
 * A thread cannot be ended from outside. vTaskDelete and vTaskSuspend of another task take effect when that task next
 * calls something of FreeRTOS that can wait; of the calling task, at once. */
#pragma once

#include "freertos/FreeRTOS.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tskTaskControlBlock *TaskHandle_t;
typedef void (*TaskFunction_t)(void *);

typedef enum { eRunning = 0, eReady, eBlocked, eSuspended, eDeleted, eInvalid } eTaskState;
typedef enum {
    eNoAction = 0,
    eSetBits,
    eIncrement,
    eSetValueWithOverwrite,
    eSetValueWithoutOverwrite
} eNotifyAction;

#define tskIDLE_PRIORITY ((UBaseType_t)0U)
#define tskNO_AFFINITY ((BaseType_t)0x7FFFFFFF)
#define taskYIELD() tern_esp_yield()
#define taskSCHEDULER_SUSPENDED ((BaseType_t)0)
#define taskSCHEDULER_NOT_STARTED ((BaseType_t)1)
#define taskSCHEDULER_RUNNING ((BaseType_t)2)

/* pdPASS, or errCOULD_NOT_ALLOCATE_REQUIRED_MEMORY. A task function that returns ends its task. */
BaseType_t xTaskCreate(TaskFunction_t function, const char *name, uint32_t stack_size, void *argument,
                       UBaseType_t priority, TaskHandle_t *handle);
BaseType_t xTaskCreatePinnedToCore(TaskFunction_t function, const char *name, uint32_t stack_size, void *argument,
                                   UBaseType_t priority, TaskHandle_t *handle, BaseType_t core);
TaskHandle_t xTaskCreateStatic(TaskFunction_t function, const char *name, uint32_t stack_size, void *argument,
                               UBaseType_t priority, StackType_t *stack, StaticTask_t *memory);
TaskHandle_t xTaskCreateStaticPinnedToCore(TaskFunction_t function, const char *name, uint32_t stack_size,
                                           void *argument, UBaseType_t priority, StackType_t *stack,
                                           StaticTask_t *memory, BaseType_t core);
/* NULL: the calling task; that does not return. */
void vTaskDelete(TaskHandle_t task);
void vTaskDelay(TickType_t ticks);
/* Waits until `*previous + increment` and sets `*previous` to that; pdFALSE if that time had passed already. */
BaseType_t xTaskDelayUntil(TickType_t *previous, TickType_t increment);
#define vTaskDelayUntil(previous, increment) ((void)xTaskDelayUntil(previous, increment))
BaseType_t xTaskAbortDelay(TaskHandle_t task);

/* Ticks since the program began. */
TickType_t xTaskGetTickCount(void);
TickType_t xTaskGetTickCountFromISR(void);
/* Threads that are no tasks have a handle too. */
TaskHandle_t xTaskGetCurrentTaskHandle(void);
TaskHandle_t xTaskGetHandle(const char *name);
char *pcTaskGetName(TaskHandle_t task);
UBaseType_t uxTaskPriorityGet(TaskHandle_t task);
void vTaskPrioritySet(TaskHandle_t task, UBaseType_t priority);
/* The stack size that was asked for: nothing of it is known to be used. */
UBaseType_t uxTaskGetStackHighWaterMark(TaskHandle_t task);
/* Tasks that were created and have not ended. */
UBaseType_t uxTaskGetNumberOfTasks(void);
BaseType_t xTaskGetCoreID(TaskHandle_t task);
BaseType_t xTaskGetAffinity(TaskHandle_t task);
BaseType_t xTaskGetSchedulerState(void);
eTaskState eTaskGetState(TaskHandle_t task);
void vTaskSuspend(TaskHandle_t task);
void vTaskResume(TaskHandle_t task);
BaseType_t xTaskResumeFromISR(TaskHandle_t task);
/* The scheduler is the system's and runs always: these do nothing. */
void vTaskStartScheduler(void);
void vTaskSuspendAll(void);
BaseType_t xTaskResumeAll(void);

/* Notifications: a number and a flag of each task. */
BaseType_t xTaskNotify(TaskHandle_t task, uint32_t value, eNotifyAction action);
BaseType_t xTaskNotifyFromISR(TaskHandle_t task, uint32_t value, eNotifyAction action, BaseType_t *woken);
BaseType_t xTaskNotifyGive(TaskHandle_t task);
void vTaskNotifyGiveFromISR(TaskHandle_t task, BaseType_t *woken);
uint32_t ulTaskNotifyTake(BaseType_t clear_on_exit, TickType_t ticks);
BaseType_t xTaskNotifyWait(uint32_t clear_on_entry, uint32_t clear_on_exit, uint32_t *value, TickType_t ticks);
BaseType_t xTaskNotifyStateClear(TaskHandle_t task);
uint32_t ulTaskNotifyValueClear(TaskHandle_t task, uint32_t bits);

#ifdef __cplusplus
}
#endif
