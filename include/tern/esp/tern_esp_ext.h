/* What tern can do beyond Espressif's API, for the same handles. A program that includes this does not build on a chip.
 *
 * What changes settings takes effect with the next start, unless it says otherwise. All functions are thread-safe, and
 * return ESP_ERR_INVALID_ARG for a handle that is none. */
#pragma once

#include "esp_websocket_client.h"

#ifdef __cplusplus
extern "C" {
#endif

/* http://, https://, socks5:// or socks5h://[user[:password]@]host[:port]; NULL: none. What is wrong with it shows when
 * the client connects. */
esp_err_t tern_esp_set_proxy(esp_websocket_client_handle_t client, const char *url);
/* The proxy that curl would use: ws_proxy, wss_proxy, http_proxy, https_proxy, all_proxy and no_proxy. */
esp_err_t tern_esp_set_proxy_from_environment(esp_websocket_client_handle_t client);

/* Reconnect delays that grow: each is drawn at random between reconnect_timeout_ms and a bound that is twice that at
 * first, doubles with each failure and ends at max_delay_ms. A connection that was open for 10 s makes them small again.
 * All zero: as before, which is the same delay for ever. */
typedef struct {
    uint32_t max_delay_ms;     /* 0, or less than reconnect_timeout_ms: always that. */
    unsigned int max_attempts; /* In a row without such a connection; then FINISH. 0: no limit. */
    uint32_t give_up_after_ms; /* Since the start or the last such connection; then FINISH. 0: no limit. */
} tern_esp_backoff_t;
esp_err_t tern_esp_set_backoff(esp_websocket_client_handle_t client, const tern_esp_backoff_t *backoff);

/* All zero and NULL means: as before. Strings are copied. */
typedef struct {
    const char *const *pins; /* "sha256//BASE64" of public keys; of the chain's keys one has to be among them. */
    size_t pin_count;
    int min_version; /* 12 or 13 */
    int max_version;
    const char *const *alpn;
    size_t alpn_count;
    const char *passphrase; /* Of client_key. */
    const char *key_log_file;
    const char *trust_file; /* Certificates to trust; switches verification on. */
} tern_esp_tls_t;
esp_err_t tern_esp_set_tls(esp_websocket_client_handle_t client, const tern_esp_tls_t *tls);

/* Sent as "Authorization: Bearer". NULL: none. Takes effect with the next attempt. */
esp_err_t tern_esp_set_bearer_token(esp_websocket_client_handle_t client, const char *token);
/* Redirects that are followed in an attempt; 5 at first, 0: none. */
esp_err_t tern_esp_set_max_redirects(esp_websocket_client_handle_t client, unsigned int count);
/* The largest message that is received, as a sum of its frames; no limit at first. */
esp_err_t tern_esp_set_max_message_size(esp_websocket_client_handle_t client, size_t size);
/* Offers permessage-deflate (RFC 7692); messages are compressed if the server agrees. Not offered at first. */
esp_err_t tern_esp_set_compression(esp_websocket_client_handle_t client, bool offered);
/* Text that is not UTF-8 is not sent (-1). */
esp_err_t tern_esp_check_outgoing_text(esp_websocket_client_handle_t client, bool check);
/* A send waits while more than this waits for the network; 64 KiB at first. Takes effect at once. */
esp_err_t tern_esp_set_send_window(esp_websocket_client_handle_t client, size_t bytes);
/* A Unix socket to connect to instead of host and port. */
esp_err_t tern_esp_set_unix_socket(esp_websocket_client_handle_t client, const char *path);

/* Begins what esp_websocket_client_stop does, and does not wait. ESP_FAIL: it is not running. */
esp_err_t tern_esp_begin_stop(esp_websocket_client_handle_t client);
/* Waits until everything that was sent has been taken by the network. ESP_ERR_TIMEOUT, ESP_ERR_INVALID_STATE. */
esp_err_t tern_esp_flush(esp_websocket_client_handle_t client, TickType_t timeout);

/* Since the start. */
typedef struct {
    uint64_t messages_received;
    uint64_t messages_sent;
    uint64_t bytes_received;
    uint64_t bytes_sent;
    size_t send_queued; /* Bytes that wait for the network. */
    uint32_t connects;
    uint32_t attempts;
} tern_esp_stats_t;
esp_err_t tern_esp_get_stats(esp_websocket_client_handle_t client, tern_esp_stats_t *stats);
/* The text of the last ERROR event, cut to the buffer and terminated. Returns its whole length; -1 without a client. */
int tern_esp_last_error(esp_websocket_client_handle_t client, char *buffer, size_t size);

#ifdef __cplusplus
}
#endif
