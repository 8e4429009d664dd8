/* What menuconfig would write. Each value can be overridden by a compile definition (-DCONFIG_...=), which has to be
 * the same for tern_esp and for the program: the CMake variable TERN_ESP_KCONFIG does both. */
#pragma once

#define CONFIG_IDF_TARGET "linux"
#define CONFIG_IDF_TARGET_LINUX 1

#ifndef CONFIG_FREERTOS_HZ
#define CONFIG_FREERTOS_HZ 100 /* ticks a second */
#endif
#ifndef CONFIG_LOG_DEFAULT_LEVEL
#define CONFIG_LOG_DEFAULT_LEVEL 3 /* info */
#endif
#ifndef CONFIG_LOG_MAXIMUM_LEVEL
#define CONFIG_LOG_MAXIMUM_LEVEL 5 /* verbose: what is compiled in */
#endif

/* esp_websocket_client. The first three are accepted and change nothing that can be seen: buffers of a message live as
 * long as the message in any case, senders never wait for a receiver, and no lock is held while anything waits. */
/* #define CONFIG_ESP_WS_CLIENT_ENABLE_DYNAMIC_BUFFER 1 */
/* #define CONFIG_ESP_WS_CLIENT_SEPARATE_TX_LOCK 1 */
#ifndef CONFIG_ESP_WS_CLIENT_TX_LOCK_TIMEOUT_MS
#define CONFIG_ESP_WS_CLIENT_TX_LOCK_TIMEOUT_MS 2000
#endif
/* Clients share so many tasks (threads), which begin when they are needed; a client with task_core_id_set has its own. */
#ifndef CONFIG_TERN_ESP_SHARED_TASKS
#define CONFIG_TERN_ESP_SHARED_TASKS 4
#endif
/* A task for every client, whatever task_core_id_set says. */
/* #define CONFIG_TERN_ESP_TASK_PER_CLIENT 1 */
#ifndef CONFIG_WS_BUFFER_SIZE
#define CONFIG_WS_BUFFER_SIZE 1024 /* heads of requests and answers may be larger all the same */
#endif
#ifndef CONFIG_MBEDTLS_CERTIFICATE_BUNDLE
#define CONFIG_MBEDTLS_CERTIFICATE_BUNDLE 1
#endif

/* protocol_examples_common.h */
#ifndef CONFIG_EXAMPLE_WIFI_SSID
#define CONFIG_EXAMPLE_WIFI_SSID "host"
#endif
#ifndef CONFIG_EXAMPLE_WIFI_PASSWORD
#define CONFIG_EXAMPLE_WIFI_PASSWORD ""
#endif
