/* Espressif's WebSocket client, version 1.8.0 of its interface, on tern.
 *
 * What is the same, what is better, and what a host cannot have stands in docs/espressif.md. Everything may be called
 * from any thread and inside event handlers; nothing waits for itself. A handle that was destroyed is known to be one:
 * calls with it return ESP_ERR_INVALID_ARG, -1 or false. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "esp_err.h"
#include "esp_event.h"
#include "esp_idf_version.h"
#include "esp_transport_ws.h"
#include "freertos/FreeRTOS.h"

#ifdef __cplusplus
extern "C" {
#endif

/* WEBSOCKET_EVENT_HEADER_RECEIVED exists, and shifts the ids behind it, from ESP-IDF 6 on. */
#if ESP_IDF_VERSION >= ESP_IDF_VERSION_VAL(6, 0, 0)
#define WS_TRANSPORT_HEADER_CALLBACK_SUPPORT 1
#else
#define WS_TRANSPORT_HEADER_CALLBACK_SUPPORT 0
#endif

struct ifreq;

typedef struct esp_websocket_client *esp_websocket_client_handle_t;

ESP_EVENT_DECLARE_BASE(WEBSOCKET_EVENTS);

typedef enum {
    WEBSOCKET_EVENT_ANY = -1,
    WEBSOCKET_EVENT_ERROR = 0, /* What went wrong, as text in data_ptr; before DISCONNECTED. */
#if WS_TRANSPORT_HEADER_CALLBACK_SUPPORT
    WEBSOCKET_EVENT_HEADER_RECEIVED, /* A header line of the server's answer, whatever its status. */
#endif
    WEBSOCKET_EVENT_CONNECTED,
    WEBSOCKET_EVENT_DISCONNECTED, /* A connection was lost, or could not be made. */
    WEBSOCKET_EVENT_DATA,         /* A piece of a frame. */
    WEBSOCKET_EVENT_CLOSED,       /* The closing handshake is complete. */
    WEBSOCKET_EVENT_BEFORE_CONNECT,
    WEBSOCKET_EVENT_BEGIN,  /* Once after each start. */
    WEBSOCKET_EVENT_FINISH, /* The last one. */
    WEBSOCKET_EVENT_MAX
} esp_websocket_event_id_t;

typedef enum {
    WEBSOCKET_ERROR_TYPE_NONE = 0,
    WEBSOCKET_ERROR_TYPE_TCP_TRANSPORT,
    WEBSOCKET_ERROR_TYPE_PONG_TIMEOUT,
    WEBSOCKET_ERROR_TYPE_HANDSHAKE,
    WEBSOCKET_ERROR_TYPE_SERVER_CLOSE
} esp_websocket_error_type_t;

/* Always that of this attempt or connection, in ERROR and in DISCONNECTED alike; zero elsewhere. */
typedef struct {
    esp_err_t esp_tls_last_esp_err; /* esp_tls_errors.h */
    int esp_tls_stack_err;          /* The host's TLS library's own number. */
    int esp_tls_cert_verify_flags;  /* As mbedTLS has them: 1 expired, 4 other name, 8 not trusted, 0x200 not yet. */
    esp_websocket_error_type_t error_type;
    int esp_ws_handshake_status_code; /* Of the server's answer to the upgrade; 0: there was none. */
    int esp_transport_sock_errno;
} esp_websocket_error_codes_t;

typedef struct {
    const char *data_ptr; /* Valid until the handler returns; not terminated. */
    int data_len;
    bool fin;        /* DATA: the frame's, as are the next and the two payload fields. */
    uint8_t op_code; /* 0 for continuations. */
    esp_websocket_client_handle_t client;
    void *user_context;
    int payload_len;    /* Of the whole frame. */
    int payload_offset; /* Where in the frame this piece begins. */
    esp_websocket_error_codes_t error_handle;
    int close_status_code; /* Of the peer's Close frame, from its DATA event on; 0: none. */
} esp_websocket_event_data_t;

typedef enum {
    WEBSOCKET_TRANSPORT_UNKNOWN = 0x0,
    WEBSOCKET_TRANSPORT_OVER_TCP,
    WEBSOCKET_TRANSPORT_OVER_SSL
} esp_websocket_transport_t;

/* All zero means all defaults. A field that is set beats what the URI says, except that the URI's scheme beats
 * `transport`. Strings are copied, and so are certificates and keys. */
typedef struct {
    const char *uri;
    const char *host;
    int port; /* 80 or 443 */
    const char *username; /* Both or none; Basic authentication. */
    const char *password;
    const char *path;
    bool disable_auto_reconnect;
    bool enable_close_reconnect; /* Also after a closing handshake, by whichever side. */
    void *user_context;
    bool task_core_id_set; /* A thread of its own for this client, */
    int task_core_id;      /* whose core the system chooses. */
    int task_prio;
    const char *task_name;
    int task_stack;
    int buffer_size;      /* Largest DATA event and largest frame sent; 1024. */
    const char *cert_pem; /* PEM or DER (with a length). Without any source of trust nothing is verified! */
    size_t cert_len;
    const char *client_cert;
    size_t client_cert_len;
    const char *client_key;
    size_t client_key_len;
#if CONFIG_ESP_TLS_USE_DS_PERIPHERAL
    void *client_ds_data;
#endif
    esp_websocket_transport_t transport;
    const char *subprotocol; /* What the server chooses is not checked. */
    const char *user_agent;
    const char *headers;      /* Lines that end with CRLF. */
    int pingpong_timeout_sec; /* 120 */
    bool disable_pingpong_discon;
    bool use_global_ca_store;                    /* The system's trust store, */
    esp_err_t (*crt_bundle_attach)(void *conf);  /* and so is this, whatever the function. */
    const char *cert_common_name;
    bool skip_cert_common_name_check;
    bool keep_alive_enable; /* TCP's: 5 s, 5 s, 3 times. */
    int keep_alive_idle;
    int keep_alive_interval;
    int keep_alive_count;
    int reconnect_timeout_ms; /* 10000 */
    int network_timeout_ms;   /* 10000, for each step of an attempt. */
    size_t ping_interval_sec; /* 10 */
    struct ifreq *if_name;
    esp_transport_handle_t ext_transport; /* Not on a host: start fails. */
} esp_websocket_client_config_t;

/* A client that does nothing yet. NULL: no memory, no configuration, a URI that is none, or a name for the certificate
 * together with the wish not to check it. Returns at once. */
esp_websocket_client_handle_t esp_websocket_client_init(const esp_websocket_client_config_t *config);

/* What the next attempt connects to. Port, path and credentials that the URI does not have are as configured, or the
 * defaults. ESP_ERR_INVALID_ARG; ESP_FAIL if it is no URI. */
esp_err_t esp_websocket_client_set_uri(esp_websocket_client_handle_t client, const char *uri);
/* Replaces the headers from the next attempt on, until the client is started anew. ESP_ERR_INVALID_ARG: not connected,
 * or not lines of "name: value". */
esp_err_t esp_websocket_client_set_headers(esp_websocket_client_handle_t client, const char *headers);
/* Adds a line to the configured headers, from the next start on. ESP_ERR_INVALID_ARG for a name that is no token or a
 * value with line ends. */
esp_err_t esp_websocket_client_append_header(esp_websocket_client_handle_t client, const char *key, const char *value);

/* Begins to connect and returns at once; the outcome comes as events. ESP_FAIL: it is running, or cannot be run here
 * (no host, another scheme than ws and wss, ext_transport). */
esp_err_t esp_websocket_client_start(esp_websocket_client_handle_t client);
/* Drops the connection without a closing handshake and waits for FINISH, at most network_timeout_ms if a handler is
 * busy (ESP_FAIL then). Inside a handler it returns at once. ESP_FAIL: it is not running. */
esp_err_t esp_websocket_client_stop(esp_websocket_client_handle_t client);
/* The same, and frees the client. Waits for a handler that is running, for as long as that takes; inside a handler it
 * does not wait. No handler begins after it has returned. */
esp_err_t esp_websocket_client_destroy(esp_websocket_client_handle_t client);
/* The client is freed after FINISH; at once if that has come already. */
esp_err_t esp_websocket_client_destroy_on_exit(esp_websocket_client_handle_t client);

/* The number of bytes, all of `len`: they are on their way. Or -1: nothing of them was sent, and the connection is as it
 * was. Waits at most `timeout` for room: while more than 64 KiB wait to be taken by the network. */
int esp_websocket_client_send_bin(esp_websocket_client_handle_t client, const char *data, int len, TickType_t timeout);
int esp_websocket_client_send_text(esp_websocket_client_handle_t client, const char *data, int len, TickType_t timeout);
/* The beginning of a message in parts; its further parts; and its end. Other messages have to wait (-1) meanwhile. */
int esp_websocket_client_send_bin_partial(esp_websocket_client_handle_t client, const char *data, int len,
                                          TickType_t timeout);
int esp_websocket_client_send_text_partial(esp_websocket_client_handle_t client, const char *data, int len,
                                           TickType_t timeout);
int esp_websocket_client_send_cont_msg(esp_websocket_client_handle_t client, const char *data, int len,
                                       TickType_t timeout);
int esp_websocket_client_send_fin(esp_websocket_client_handle_t client, TickType_t timeout);
/* A whole frame with FIN. -1 for opcodes that do not exist, and for control frames of more than 125 bytes. */
int esp_websocket_client_send_with_opcode(esp_websocket_client_handle_t client, ws_transport_opcodes_t opcode,
                                          const uint8_t *data, int len, TickType_t timeout);

/* The closing handshake, and the end of the client. Waits at most `timeout`; then the connection is dropped. Inside a
 * handler, and with enable_close_reconnect, it returns at once. While it connects, that is given up. ESP_FAIL: not
 * running, or waiting to connect again, which it goes on doing. */
esp_err_t esp_websocket_client_close(esp_websocket_client_handle_t client, TickType_t timeout);
/* ESP_ERR_INVALID_ARG for codes that may not be sent (RFC 6455 section 7.4), and for a text that is not UTF-8 of at most
 * 123 bytes. */
esp_err_t esp_websocket_client_close_with_code(esp_websocket_client_handle_t client, int code, const char *data,
                                               int len, TickType_t timeout);

bool esp_websocket_client_is_connected(esp_websocket_client_handle_t client);
size_t esp_websocket_client_get_ping_interval_sec(esp_websocket_client_handle_t client);
/* 0 means 10. Takes effect at once, as does the next but one. */
esp_err_t esp_websocket_client_set_ping_interval_sec(esp_websocket_client_handle_t client, size_t ping_interval_sec);
/* -1: there is no automatic reconnect. */
int esp_websocket_client_get_reconnect_timeout(esp_websocket_client_handle_t client);
esp_err_t esp_websocket_client_set_reconnect_timeout(esp_websocket_client_handle_t client, int reconnect_timeout_ms);

/* Handlers run one at a time, in the order of registration. The same function for the same event again: its argument
 * is replaced. WEBSOCKET_EVENT_ANY: all events. ESP_ERR_INVALID_ARG, ESP_ERR_NO_MEM. */
esp_err_t esp_websocket_register_events(esp_websocket_client_handle_t client, esp_websocket_event_id_t event,
                                        esp_event_handler_t event_handler, void *event_handler_arg);
/* When it has returned the handler does not run any more, unless this was called inside a handler.
 * ESP_ERR_NOT_FOUND, ESP_ERR_INVALID_ARG. */
esp_err_t esp_websocket_unregister_events(esp_websocket_client_handle_t client, esp_websocket_event_id_t event,
                                          esp_event_handler_t event_handler);

#ifdef __cplusplus
}
#endif
