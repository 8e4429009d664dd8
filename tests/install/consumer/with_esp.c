#include "esp_log.h"
#include "esp_websocket_client.h"
#include "freertos/semphr.h"

static SemaphoreHandle_t echoed;

static void on_data(void *arg, esp_event_base_t base, int32_t id, void *data) {
    (void)arg;
    (void)base;
    (void)id;
    if (((esp_websocket_event_data_t *)data)->data_len == 5) xSemaphoreGive(echoed);
}

static void on_connected(void *arg, esp_event_base_t base, int32_t id, void *data) {
    (void)arg;
    (void)base;
    (void)id;
    esp_websocket_client_send_text(((esp_websocket_event_data_t *)data)->client, "hello", 5, portMAX_DELAY);
}

int main(int argc, char **argv) {
    esp_websocket_client_config_t config = {.uri = argc > 1 ? argv[1] : ""};
    esp_websocket_client_handle_t client = esp_websocket_client_init(&config);
    BaseType_t done;
    if (client == NULL) return 1;
    echoed = xSemaphoreCreateBinary();
    esp_websocket_register_events(client, WEBSOCKET_EVENT_CONNECTED, on_connected, NULL);
    esp_websocket_register_events(client, WEBSOCKET_EVENT_DATA, on_data, NULL);
    ESP_ERROR_CHECK(esp_websocket_client_start(client));
    done = xSemaphoreTake(echoed, pdMS_TO_TICKS(10000));
    ESP_ERROR_CHECK(esp_websocket_client_destroy(client));
    return done == pdTRUE ? 0 : 1;
}
