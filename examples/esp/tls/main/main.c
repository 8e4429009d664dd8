/* TLS with a certificate of the client's own: the server is checked against root.pem, and is shown client.pem.
 * EXAMPLE_URI is wss://... of a server that asks for it. */
#include <stdlib.h>

#include "esp_log.h"
#include "esp_websocket_client.h"
#include "freertos/FreeRTOS.h"
#include "freertos/event_groups.h"

static const char *TAG = "tls";
static EventGroupHandle_t events;
#define ANSWERED BIT0
#define ENDED BIT1

extern const char root_pem[] asm("_binary_root_pem_start");
extern const char client_pem[] asm("_binary_client_pem_start");
extern const char client_key[] asm("_binary_client_key_start");

static void on_event(void *arg, esp_event_base_t base, int32_t event_id, void *event_data) {
    const esp_websocket_event_data_t *data = event_data;
    (void)arg;
    (void)base;
    switch (event_id) {
        case WEBSOCKET_EVENT_CONNECTED: esp_websocket_client_send_text(data->client, "over TLS", 8, portMAX_DELAY); break;
        case WEBSOCKET_EVENT_DATA:
            if (data->op_code != WS_TRANSPORT_OPCODES_TEXT) break;
            ESP_LOGI(TAG, "received \"%.*s\"", data->data_len, data->data_ptr);
            xEventGroupSetBits(events, ANSWERED);
            break;
        case WEBSOCKET_EVENT_DISCONNECTED:
            if (data->error_handle.esp_tls_cert_verify_flags != 0) {
                ESP_LOGE(TAG, "the certificate is not accepted, flags 0x%x",
                         (unsigned)data->error_handle.esp_tls_cert_verify_flags);
            }
            break;
        case WEBSOCKET_EVENT_FINISH: xEventGroupSetBits(events, ENDED); break;
        default: break;
    }
}

void app_main(void) {
    const char *uri = getenv("EXAMPLE_URI");
    const esp_websocket_client_config_t config = {
        .uri = uri != NULL ? uri : "wss://localhost:9443",
        .disable_auto_reconnect = true,
        .cert_pem = root_pem,
        .client_cert = client_pem,
        .client_key = client_key,
    };
    esp_websocket_client_handle_t client = esp_websocket_client_init(&config);
    events = xEventGroupCreate();
    esp_websocket_register_events(client, WEBSOCKET_EVENT_ANY, on_event, NULL);
    ESP_ERROR_CHECK(esp_websocket_client_start(client));
    if (xEventGroupWaitBits(events, ANSWERED | ENDED, pdFALSE, pdFALSE, pdMS_TO_TICKS(20000)) & ANSWERED) {
        esp_websocket_client_close(client, pdMS_TO_TICKS(5000));
        ESP_LOGI(TAG, "done");
    }
    esp_websocket_client_destroy(client);
}
