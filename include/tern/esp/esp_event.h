/* Event loops: a queue of events, and handlers that are called for each of them, in the order of registration.
 *
 * Everything may be called from any thread and inside handlers. A handler that was unregistered does not run any more
 * when the call has returned, unless it is called inside a handler. */
#pragma once

#include <stdbool.h>

#include "esp_err.h"
#include "esp_event_base.h"
#include "freertos/FreeRTOS.h"
#include "freertos/event_groups.h"
#include "freertos/queue.h"
#include "freertos/semphr.h"
#include "freertos/task.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t queue_size;         /* Events that may wait. */
    const char *task_name;      /* NULL: no thread; esp_event_loop_run delivers. */
    UBaseType_t task_priority;  /* Of no importance on a host, as are the next two. */
    uint32_t task_stack_size;
    BaseType_t task_core_id;
} esp_event_loop_args_t;

/* ESP_OK, ESP_ERR_NO_MEM, ESP_ERR_INVALID_ARG, ESP_FAIL (no thread). */
esp_err_t esp_event_loop_create(const esp_event_loop_args_t *event_loop_args, esp_event_loop_handle_t *event_loop);
/* Events that still wait are dropped. Inside one of its own handlers the loop ends when that has returned. */
esp_err_t esp_event_loop_delete(esp_event_loop_handle_t event_loop);
/* The default loop has a thread of its own. ESP_ERR_INVALID_STATE if there is one already, or none to be deleted. */
esp_err_t esp_event_loop_create_default(void);
esp_err_t esp_event_loop_delete_default(void);
/* Delivers what waits and what comes within that time. ESP_ERR_INVALID_STATE for a loop with a thread. */
esp_err_t esp_event_loop_run(esp_event_loop_handle_t event_loop, TickType_t ticks_to_run);

/* Registering the same function for the same events again replaces its argument. ESP_ERR_INVALID_ARG: no function, or
 * any base with a single id. ESP_ERR_INVALID_STATE: there is no default loop. */
esp_err_t esp_event_handler_register(esp_event_base_t event_base, int32_t event_id, esp_event_handler_t event_handler,
                                     void *event_handler_arg);
esp_err_t esp_event_handler_register_with(esp_event_loop_handle_t event_loop, esp_event_base_t event_base,
                                          int32_t event_id, esp_event_handler_t event_handler,
                                          void *event_handler_arg);
/* Each call registers another instance, also of the same function. */
esp_err_t esp_event_handler_instance_register(esp_event_base_t event_base, int32_t event_id,
                                              esp_event_handler_t event_handler, void *event_handler_arg,
                                              esp_event_handler_instance_t *instance);
esp_err_t esp_event_handler_instance_register_with(esp_event_loop_handle_t event_loop, esp_event_base_t event_base,
                                                   int32_t event_id, esp_event_handler_t event_handler,
                                                   void *event_handler_arg, esp_event_handler_instance_t *instance);
/* ESP_ERR_NOT_FOUND if there is no such handler. */
esp_err_t esp_event_handler_unregister(esp_event_base_t event_base, int32_t event_id,
                                       esp_event_handler_t event_handler);
esp_err_t esp_event_handler_unregister_with(esp_event_loop_handle_t event_loop, esp_event_base_t event_base,
                                            int32_t event_id, esp_event_handler_t event_handler);
esp_err_t esp_event_handler_instance_unregister(esp_event_base_t event_base, int32_t event_id,
                                                esp_event_handler_instance_t instance);
esp_err_t esp_event_handler_instance_unregister_with(esp_event_loop_handle_t event_loop, esp_event_base_t event_base,
                                                     int32_t event_id, esp_event_handler_instance_t instance);

/* The data is copied. ESP_ERR_TIMEOUT: the queue stayed full; on the loop's own thread that comes at once, because
 * nobody else would empty it. */
esp_err_t esp_event_post(esp_event_base_t event_base, int32_t event_id, const void *event_data, size_t event_data_size,
                         TickType_t ticks_to_wait);
esp_err_t esp_event_post_to(esp_event_loop_handle_t event_loop, esp_event_base_t event_base, int32_t event_id,
                            const void *event_data, size_t event_data_size, TickType_t ticks_to_wait);
esp_err_t esp_event_isr_post(esp_event_base_t event_base, int32_t event_id, const void *event_data,
                             size_t event_data_size, BaseType_t *task_unblocked);
esp_err_t esp_event_isr_post_to(esp_event_loop_handle_t event_loop, esp_event_base_t event_base, int32_t event_id,
                                const void *event_data, size_t event_data_size, BaseType_t *task_unblocked);

#ifdef __cplusplus
}
#endif
