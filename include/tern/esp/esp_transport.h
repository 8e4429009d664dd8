/* Transports: somebody's own way to move bytes, behind function pointers. The objects work as in ESP-IDF; what is not
 * there on a host are the ready-made transports for TCP and TLS, because the client brings sockets of its own. */
#pragma once

#include <stdbool.h>

#include "esp_err.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct esp_transport_keepalive {
    bool keep_alive_enable;
    int keep_alive_idle;
    int keep_alive_interval;
    int keep_alive_count;
} esp_transport_keep_alive_t;

typedef struct esp_transport_internal *esp_transport_list_handle_t;
typedef struct esp_transport_item_t *esp_transport_handle_t;
typedef struct esp_tls_last_error *esp_tls_error_handle_t;

typedef int (*connect_func)(esp_transport_handle_t t, const char *host, int port, int timeout_ms);
typedef int (*io_func)(esp_transport_handle_t t, const char *buffer, int len, int timeout_ms);
typedef int (*io_read_func)(esp_transport_handle_t t, char *buffer, int len, int timeout_ms);
typedef int (*trans_func)(esp_transport_handle_t t);
typedef int (*poll_func)(esp_transport_handle_t t, int timeout_ms);
typedef int (*connect_async_func)(esp_transport_handle_t t, const char *host, int port, int timeout_ms);
typedef esp_transport_handle_t (*payload_transfer_func)(esp_transport_handle_t t);

enum esp_tcp_transport_err_t {
    ERR_TCP_TRANSPORT_NO_MEM = -3,
    ERR_TCP_TRANSPORT_CONNECTION_FAILED = -2,
    ERR_TCP_TRANSPORT_CONNECTION_CLOSED_BY_FIN = -1,
    ERR_TCP_TRANSPORT_CONNECTION_TIMEOUT = 0
};

esp_transport_list_handle_t esp_transport_list_init(void);
/* Destroys the transports in it too. */
esp_err_t esp_transport_list_destroy(esp_transport_list_handle_t list);
esp_err_t esp_transport_list_clean(esp_transport_list_handle_t list);
esp_err_t esp_transport_list_add(esp_transport_list_handle_t list, esp_transport_handle_t t, const char *scheme);
/* NULL if there is none for the scheme. */
esp_transport_handle_t esp_transport_list_get_transport(esp_transport_list_handle_t list, const char *scheme);

esp_transport_handle_t esp_transport_init(void);
esp_err_t esp_transport_destroy(esp_transport_handle_t t);
int esp_transport_get_default_port(esp_transport_handle_t t);
esp_err_t esp_transport_set_default_port(esp_transport_handle_t t, int port);
/* These call the function that was set; -1 without one. */
int esp_transport_connect(esp_transport_handle_t t, const char *host, int port, int timeout_ms);
int esp_transport_connect_async(esp_transport_handle_t t, const char *host, int port, int timeout_ms);
int esp_transport_read(esp_transport_handle_t t, char *buffer, int len, int timeout_ms);
int esp_transport_poll_read(esp_transport_handle_t t, int timeout_ms);
int esp_transport_write(esp_transport_handle_t t, const char *buffer, int len, int timeout_ms);
int esp_transport_poll_write(esp_transport_handle_t t, int timeout_ms);
int esp_transport_close(esp_transport_handle_t t);
void *esp_transport_get_context_data(esp_transport_handle_t t);
esp_err_t esp_transport_set_context_data(esp_transport_handle_t t, void *data);
esp_transport_handle_t esp_transport_get_payload_transport_handle(esp_transport_handle_t t);
esp_err_t esp_transport_set_func(esp_transport_handle_t t, connect_func connect_function, io_read_func read_function,
                                 io_func write_function, trans_func close_function, poll_func poll_read_function,
                                 poll_func poll_write_function, trans_func destroy_function);
esp_err_t esp_transport_set_async_connect_func(esp_transport_handle_t t, connect_async_func function);
esp_err_t esp_transport_set_parent_transport_func(esp_transport_handle_t t, payload_transfer_func function);
/* There is no esp-tls, so NULL. */
esp_tls_error_handle_t esp_transport_get_error_handle(esp_transport_handle_t t);
int esp_transport_get_errno(esp_transport_handle_t t);

#ifdef __cplusplus
}
#endif
