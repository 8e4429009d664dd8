/* Logging: a level for each tag, to standard output, in colours if that is a terminal. Thread-safe; a line is written
 * whole. */
#pragma once

#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>

#include "sdkconfig.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    ESP_LOG_NONE = 0,
    ESP_LOG_ERROR = 1,
    ESP_LOG_WARN = 2,
    ESP_LOG_INFO = 3,
    ESP_LOG_DEBUG = 4,
    ESP_LOG_VERBOSE = 5,
    ESP_LOG_MAX = 6
} esp_log_level_t;

typedef int (*vprintf_like_t)(const char *format, va_list arguments);

/* The level of a tag; "*" sets that of all tags and forgets the others. At first it is CONFIG_LOG_DEFAULT_LEVEL, or
 * what the environment variable TERN_ESP_LOG says (a number from 0 to 5). */
void esp_log_level_set(const char *tag, esp_log_level_t level);
esp_log_level_t esp_log_level_get(const char *tag);
/* Where lines go instead of standard output; returns the function before. */
vprintf_like_t esp_log_set_vprintf(vprintf_like_t function);
/* Milliseconds since the program began. */
uint32_t esp_log_timestamp(void);
uint32_t esp_log_early_timestamp(void);
/* The same as hh:mm:ss.mmm; the text is the calling thread's. */
char *esp_log_system_timestamp(void);
/* Writes if the tag's level lets it. The format brings its own end of line. */
void esp_log_write(esp_log_level_t level, const char *tag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void esp_log_writev(esp_log_level_t level, const char *tag, const char *format, va_list arguments);

/* Behind the macros: letter, time, tag, text and end of line, with colours where they are wanted. */
void tern_esp_log_line(esp_log_level_t level, const char *tag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void esp_log_buffer_hex_internal(const char *tag, const void *buffer, uint16_t length, esp_log_level_t level);
void esp_log_buffer_char_internal(const char *tag, const void *buffer, uint16_t length, esp_log_level_t level);
void esp_log_buffer_hexdump_internal(const char *tag, const void *buffer, uint16_t length, esp_log_level_t level);

#ifndef LOG_LOCAL_LEVEL
#define LOG_LOCAL_LEVEL CONFIG_LOG_MAXIMUM_LEVEL
#endif

#define ESP_LOG_LEVEL(level, tag, format, ...) tern_esp_log_line(level, tag, format, ##__VA_ARGS__)
#define ESP_LOG_LEVEL_LOCAL(level, tag, format, ...)                                          \
    do {                                                                                      \
        if (LOG_LOCAL_LEVEL >= (int)(level)) ESP_LOG_LEVEL(level, tag, format, ##__VA_ARGS__); \
    } while (0)

#define ESP_LOGE(tag, format, ...) ESP_LOG_LEVEL_LOCAL(ESP_LOG_ERROR, tag, format, ##__VA_ARGS__)
#define ESP_LOGW(tag, format, ...) ESP_LOG_LEVEL_LOCAL(ESP_LOG_WARN, tag, format, ##__VA_ARGS__)
#define ESP_LOGI(tag, format, ...) ESP_LOG_LEVEL_LOCAL(ESP_LOG_INFO, tag, format, ##__VA_ARGS__)
#define ESP_LOGD(tag, format, ...) ESP_LOG_LEVEL_LOCAL(ESP_LOG_DEBUG, tag, format, ##__VA_ARGS__)
#define ESP_LOGV(tag, format, ...) ESP_LOG_LEVEL_LOCAL(ESP_LOG_VERBOSE, tag, format, ##__VA_ARGS__)
#define ESP_EARLY_LOGE ESP_LOGE
#define ESP_EARLY_LOGW ESP_LOGW
#define ESP_EARLY_LOGI ESP_LOGI
#define ESP_EARLY_LOGD ESP_LOGD
#define ESP_EARLY_LOGV ESP_LOGV
#define ESP_DRAM_LOGE ESP_LOGE
#define ESP_DRAM_LOGW ESP_LOGW
#define ESP_DRAM_LOGI ESP_LOGI

#define ESP_LOG_BUFFER_HEX_LEVEL(tag, buffer, length, level)                                                   \
    do {                                                                                                       \
        if (LOG_LOCAL_LEVEL >= (int)(level)) esp_log_buffer_hex_internal(tag, buffer, length, level);          \
    } while (0)
#define ESP_LOG_BUFFER_CHAR_LEVEL(tag, buffer, length, level)                                                  \
    do {                                                                                                       \
        if (LOG_LOCAL_LEVEL >= (int)(level)) esp_log_buffer_char_internal(tag, buffer, length, level);         \
    } while (0)
#define ESP_LOG_BUFFER_HEXDUMP(tag, buffer, length, level)                                                     \
    do {                                                                                                       \
        if (LOG_LOCAL_LEVEL >= (int)(level)) esp_log_buffer_hexdump_internal(tag, buffer, length, level);      \
    } while (0)
#define ESP_LOG_BUFFER_HEX(tag, buffer, length) ESP_LOG_BUFFER_HEX_LEVEL(tag, buffer, length, ESP_LOG_INFO)
#define ESP_LOG_BUFFER_CHAR(tag, buffer, length) ESP_LOG_BUFFER_CHAR_LEVEL(tag, buffer, length, ESP_LOG_INFO)

#ifdef __cplusplus
}
#endif
