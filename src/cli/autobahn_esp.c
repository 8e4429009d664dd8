/* The testee for the Autobahn suite in a second form, on Espressif's API; see docs/autobahn.md:
 *     tern-autobahn-esp BASE_URL AGENT [first [last]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esp_log.h"
#include "esp_websocket_client.h"
#include "freertos/semphr.h"

/* A case: messages are put together from their pieces, and echoed when they are complete. */
typedef struct {
    SemaphoreHandle_t finished;
    char *message;
    size_t length;
    size_t room;
    int text;
    int echo;
} testee_t;

static void keep(testee_t *testee, const char *data, size_t length) {
    if (testee->length + length > testee->room) {
        testee->room = 2 * (testee->length + length);
        testee->message = realloc(testee->message, testee->room);
        if (testee->message == NULL) abort();
    }
    if (length > 0) memcpy(testee->message + testee->length, data, length);
    testee->length += length;
}

static void on_event(void *argument, esp_event_base_t base, int32_t id, void *event) {
    testee_t *testee = argument;
    const esp_websocket_event_data_t *data = event;
    (void)base;
    if (id == WEBSOCKET_EVENT_FINISH) xSemaphoreGive(testee->finished);
    if (id != WEBSOCKET_EVENT_DATA || data->op_code > WS_TRANSPORT_OPCODES_BINARY) return;
    if (data->op_code != WS_TRANSPORT_OPCODES_CONT && data->payload_offset == 0) {
        testee->length = 0;
        testee->text = data->op_code == WS_TRANSPORT_OPCODES_TEXT;
    }
    keep(testee, data->data_ptr, (size_t)data->data_len);
    if (!testee->echo || !data->fin || data->payload_offset + data->data_len != data->payload_len) return;
    /* A refusal means that the connection is ending. */
    if (testee->text) {
        esp_websocket_client_send_text(data->client, testee->message, (int)testee->length, portMAX_DELAY);
    } else {
        esp_websocket_client_send_bin(data->client, testee->message, (int)testee->length, portMAX_DELAY);
    }
}

/* Until the connection ends; how it ends is the server's to judge. What was received last stays in the testee. */
static int run(testee_t *testee, const char *url, int echo) {
    const esp_websocket_client_config_t config = {
        .uri = url,
        .disable_auto_reconnect = true,
        .buffer_size = 65536,
    };
    esp_websocket_client_handle_t client = esp_websocket_client_init(&config);
    int ended;
    if (client == NULL) return 0;
    testee->echo = echo;
    testee->length = 0;
    esp_websocket_register_events(client, WEBSOCKET_EVENT_ANY, on_event, testee);
    ended = esp_websocket_client_start(client) == ESP_OK &&
            xSemaphoreTake(testee->finished, pdMS_TO_TICKS(60000)) == pdTRUE;
    esp_websocket_client_destroy(client);
    if (!ended) xSemaphoreTake(testee->finished, 0);
    return ended;
}

/* As it stands in a query. */
static void encode(char *to, size_t room, const char *from) {
    size_t used = 0;
    for (; *from != '\0' && used + 4 < room; ++from) {
        const unsigned char c = (unsigned char)*from;
        const int plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' || c == '-';
        used += (size_t)snprintf(to + used, room - used, plain ? "%c" : "%%%02X", c);
    }
}

int main(int argc, char **argv) {
    testee_t testee = {0};
    char url[1024];
    char agent[256] = "";
    char number[16] = "";
    int count;
    int first;
    int last;
    if (argc < 3 || argc > 5) {
        fprintf(stderr, "usage: tern-autobahn-esp BASE_URL AGENT [first [last]]\n");
        return 2;
    }
    esp_log_level_set("*", ESP_LOG_NONE);
    encode(agent, sizeof(agent), argv[2]);
    testee.finished = xSemaphoreCreateBinary();
    snprintf(url, sizeof(url), "%s/getCaseCount", argv[1]);
    if (!run(&testee, url, 0) || testee.length == 0) {
        fprintf(stderr, "tern-autobahn-esp: the number of cases cannot be had from %s\n", argv[1]);
        return 1;
    }
    snprintf(number, sizeof(number), "%.*s", (int)testee.length, testee.message);
    count = atoi(number);
    first = argc > 3 ? atoi(argv[3]) : 1;
    last = argc > 4 ? atoi(argv[4]) : count;
    for (int each = first; each <= last; ++each) {
        snprintf(url, sizeof(url), "%s/runCase?case=%d&agent=%s", argv[1], each, agent);
        printf("case %d of %d: %s\n", each, count, run(&testee, url, 1) ? "ended" : "not ended in time");
    }
    snprintf(url, sizeof(url), "%s/updateReports?agent=%s", argv[1], agent);
    run(&testee, url, 0);
    free(testee.message);
    vSemaphoreDelete(testee.finished);
    return 0;
}
