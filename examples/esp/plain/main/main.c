/* The smallest program in Espressif's style: connect, say something, log what comes back, close.
 * The URI is the environment's EXAMPLE_URI, or that of a local echo server. */
#include <stdio.h>
#include <stdlib.h>

#include "esp_event.h"
#include "esp_log.h"
#include "esp_netif.h"
#include "esp_websocket_client.h"
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"
#include "freertos/task.h"
#include "nvs_flash.h"
#include "protocol_examples_common.h"

static const char *TAG = "plain";
static SemaphoreHandle_t answered;

static void on_event(void *arg, esp_event_base_t base, int32_t event_id, void *event_data) {
    const esp_websocket_event_data_t *data = event_data;
    (void)arg;
    (void)base;
    switch (event_id) {
        case WEBSOCKET_EVENT_BEGIN: ESP_LOGI(TAG, "begin"); break;
        case WEBSOCKET_EVENT_CONNECTED: ESP_LOGI(TAG, "connected"); break;
        case WEBSOCKET_EVENT_DATA:
            if (data->op_code == WS_TRANSPORT_OPCODES_CLOSE) {
                ESP_LOGI(TAG, "the server says close, code %d", data->close_status_code);
                break;
            }
            ESP_LOGI(TAG, "received \"%.*s\"", data->data_len, data->data_ptr);
            xSemaphoreGive(answered);
            break;
        case WEBSOCKET_EVENT_ERROR: ESP_LOGE(TAG, "%.*s", data->data_len, data->data_ptr); break;
        case WEBSOCKET_EVENT_DISCONNECTED:
            ESP_LOGW(TAG, "disconnected; tls 0x%x, errno %d, status %d",
                     (unsigned)data->error_handle.esp_tls_last_esp_err, data->error_handle.esp_transport_sock_errno,
                     data->error_handle.esp_ws_handshake_status_code);
            break;
        case WEBSOCKET_EVENT_FINISH: ESP_LOGI(TAG, "finish"); break;
        default: break;
    }
}

void app_main(void) {
    const char *uri = getenv("EXAMPLE_URI");
    const esp_websocket_client_config_t config = {
        .uri = uri != NULL ? uri : "ws://localhost:9001",
        .reconnect_timeout_ms = 1000,
        .network_timeout_ms = 5000,
    };
    esp_websocket_client_handle_t client;

    ESP_ERROR_CHECK(nvs_flash_init());
    ESP_ERROR_CHECK(esp_netif_init());
    ESP_ERROR_CHECK(esp_event_loop_create_default());
    ESP_ERROR_CHECK(example_connect());

    answered = xSemaphoreCreateCounting(5, 0);
    client = esp_websocket_client_init(&config);
    esp_websocket_register_events(client, WEBSOCKET_EVENT_ANY, on_event, NULL);
    ESP_ERROR_CHECK(esp_websocket_client_start(client));

    for (int i = 0; i < 5; ++i) {
        char text[32];
        const int length = snprintf(text, sizeof(text), "hello %04d", i);
        while (!esp_websocket_client_is_connected(client)) vTaskDelay(pdMS_TO_TICKS(20));
        if (esp_websocket_client_send_text(client, text, length, portMAX_DELAY) != length) continue;
        if (xSemaphoreTake(answered, pdMS_TO_TICKS(5000)) != pdTRUE) ESP_LOGE(TAG, "no answer came");
    }
    esp_websocket_client_close(client, pdMS_TO_TICKS(5000));
    esp_websocket_client_destroy(client);
    ESP_LOGI(TAG, "done");
}
