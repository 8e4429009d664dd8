/* The system: its end, and its memory. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "esp_bit_defs.h"
#include "esp_err.h"
#include "esp_idf_version.h"
#include "esp_random.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    ESP_RST_UNKNOWN,
    ESP_RST_POWERON,
    ESP_RST_EXT,
    ESP_RST_SW,
    ESP_RST_PANIC,
    ESP_RST_INT_WDT,
    ESP_RST_TASK_WDT,
    ESP_RST_WDT,
    ESP_RST_DEEPSLEEP,
    ESP_RST_BROWNOUT,
    ESP_RST_SDIO
} esp_reset_reason_t;

typedef void (*shutdown_handler_t)(void);

/* Called by esp_restart, the last one registered first. At most five. */
esp_err_t esp_register_shutdown_handler(shutdown_handler_t handler);
esp_err_t esp_unregister_shutdown_handler(shutdown_handler_t handler);
/* A host is not reset: the program ends, with status 0. */
void esp_restart(void) __attribute__((noreturn));
void esp_system_abort(const char *details) __attribute__((noreturn));
/* Always ESP_RST_POWERON. */
esp_reset_reason_t esp_reset_reason(void);
/* Of the machine's memory, as far as 32 bits can say. */
uint32_t esp_get_free_heap_size(void);
uint32_t esp_get_free_internal_heap_size(void);
uint32_t esp_get_minimum_free_heap_size(void);

#ifdef __cplusplus
}
#endif
