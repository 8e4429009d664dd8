/* A program in strict C11 that uses what programs use; c11_everything() is called by host_test.cpp. */
#include "esp_check.h"
#include "esp_crt_bundle.h"
#include "esp_event.h"
#include "esp_heap_caps.h"
#include "esp_log.h"
#include "esp_netif.h"
#include "esp_system.h"
#include "esp_timer.h"
#include "esp_websocket_client.h"
#include "esp_wifi.h"
#include "freertos/FreeRTOS.h"
#include "freertos/event_groups.h"
#include "freertos/queue.h"
#include "freertos/semphr.h"
#include "freertos/task.h"
#include "freertos/timers.h"
#include "nvs_flash.h"
#include "protocol_examples_common.h"
#include "tern_esp_ext.h"

static const char *TAG = "c11";

static void on_event(void *handler_args, esp_event_base_t base, int32_t event_id, void *event_data) {
    esp_websocket_event_data_t *data = (esp_websocket_event_data_t *)event_data;
    (void)handler_args;
    (void)base;
    switch ((esp_websocket_event_id_t)event_id) {
        case WEBSOCKET_EVENT_DATA:
            ESP_LOGI(TAG, "opcode=%d", data->op_code);
            ESP_LOG_BUFFER_HEX(TAG, data->data_ptr, (uint16_t)data->data_len);
            break;
        default: ESP_LOGD(TAG, "event"); break;
    }
}

static esp_err_t checked(esp_err_t code) {
    ESP_RETURN_ON_ERROR(code, TAG, "no luck");
    ESP_RETURN_ON_FALSE(code == ESP_OK, ESP_FAIL, TAG, "code %d", code);
    return ESP_OK;
}

int c11_everything(void);
int c11_everything(void) {
    const esp_websocket_client_config_t config = {
        .uri = "ws://localhost:1/",
        .disable_auto_reconnect = true,
        .crt_bundle_attach = esp_crt_bundle_attach,
        .reconnect_timeout_ms = 10,
    };
    esp_websocket_client_handle_t client;
    wifi_init_config_t wifi = WIFI_INIT_CONFIG_DEFAULT();
    portMUX_TYPE mux = portMUX_INITIALIZER_UNLOCKED;
    ESP_ERROR_CHECK(nvs_flash_init());
    ESP_ERROR_CHECK(esp_netif_init());
    ESP_ERROR_CHECK(esp_wifi_init(&wifi));
    ESP_ERROR_CHECK(esp_wifi_set_ps(WIFI_PS_NONE));
    ESP_ERROR_CHECK(example_connect());
    if (checked(ESP_OK) != ESP_OK || checked(ESP_FAIL) != ESP_FAIL) return 1;
    portENTER_CRITICAL(&mux);
    portEXIT_CRITICAL(&mux);
    vTaskDelay(pdMS_TO_TICKS(10) + 10 / portTICK_PERIOD_MS);
    client = esp_websocket_client_init(&config);
    if (client == NULL) return 2;
    ESP_ERROR_CHECK(esp_websocket_register_events(client, WEBSOCKET_EVENT_ANY, on_event, NULL));
    ESP_ERROR_CHECK(esp_websocket_client_start(client));
    ESP_ERROR_CHECK(esp_websocket_client_destroy(client));
    return 0;
}
