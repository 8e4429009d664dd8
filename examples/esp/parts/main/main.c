/* A message that is sent in parts, while it comes into being, and one that is put together from its frames again. */
#include <stdlib.h>
#include <string.h>

#include "esp_check.h"
#include "esp_log.h"
#include "esp_websocket_client.h"
#include "freertos/FreeRTOS.h"
#include "freertos/queue.h"
#include "freertos/task.h"

static const char *TAG = "parts";

typedef struct {
    char text[256];
    size_t length;
} message_t;
static QueueHandle_t messages;

/* A message is complete with the last byte of the frame that has FIN. */
static void on_data(void *arg, esp_event_base_t base, int32_t event_id, void *event_data) {
    static message_t message;
    const esp_websocket_event_data_t *data = event_data;
    (void)arg;
    (void)base;
    (void)event_id;
    if (data->op_code > WS_TRANSPORT_OPCODES_BINARY) return;
    if (data->op_code != WS_TRANSPORT_OPCODES_CONT && data->payload_offset == 0) message.length = 0;
    if (message.length + (size_t)data->data_len > sizeof(message.text)) return;
    if (data->data_len > 0) memcpy(message.text + message.length, data->data_ptr, (size_t)data->data_len);
    message.length += (size_t)data->data_len;
    if (data->fin && data->payload_offset + data->data_len == data->payload_len) {
        xQueueSend(messages, &message, portMAX_DELAY);
    }
}

static esp_err_t send_in_parts(esp_websocket_client_handle_t client) {
    const char *parts[] = {"one ", "message ", "in ", "four parts"};
    const int count = sizeof(parts) / sizeof(parts[0]);
    for (int i = 0; i < count; ++i) {
        const int length = (int)strlen(parts[i]);
        const int sent = i == 0 ? esp_websocket_client_send_text_partial(client, parts[i], length, portMAX_DELAY)
                                : esp_websocket_client_send_cont_msg(client, parts[i], length, portMAX_DELAY);
        ESP_RETURN_ON_FALSE(sent == length, ESP_FAIL, TAG, "part %d could not be sent", i);
        vTaskDelay(pdMS_TO_TICKS(20));
    }
    ESP_RETURN_ON_FALSE(esp_websocket_client_send_fin(client, portMAX_DELAY) == 0, ESP_FAIL, TAG, "no end");
    return ESP_OK;
}

void app_main(void) {
    const char *uri = getenv("EXAMPLE_URI");
    const esp_websocket_client_config_t config = {
        .uri = uri != NULL ? uri : "ws://localhost:9001",
        .buffer_size = 8, /* so that even short frames come in pieces */
    };
    esp_websocket_client_handle_t client = esp_websocket_client_init(&config);
    message_t message;
    messages = xQueueCreate(4, sizeof(message_t));
    esp_websocket_register_events(client, WEBSOCKET_EVENT_DATA, on_data, NULL);
    ESP_ERROR_CHECK(esp_websocket_client_start(client));
    while (!esp_websocket_client_is_connected(client)) vTaskDelay(pdMS_TO_TICKS(20));
    ESP_ERROR_CHECK(send_in_parts(client));
    if (xQueueReceive(messages, &message, pdMS_TO_TICKS(5000)) == pdTRUE) {
        ESP_LOGI(TAG, "received \"%.*s\"", (int)message.length, message.text);
    }
    esp_websocket_client_close(client, pdMS_TO_TICKS(5000));
    esp_websocket_client_destroy(client);
}
