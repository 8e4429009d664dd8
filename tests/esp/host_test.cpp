// esp_event, esp_log, esp_err, and what a host has instead of a chip.
#include <atomic>
#include <cstdarg>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "esp_event.h"
#include "esp_log.h"
#include "esp_netif.h"
#include "esp_system.h"
#include "esp_tls_errors.h"
#include "esp_transport.h"
#include "esp_wifi.h"
#include "nvs_flash.h"

extern "C" int c11_everything(void);

namespace {

ESP_EVENT_DEFINE_BASE(TEST_EVENTS);

TEST(C11, AProgramInStrictC) { EXPECT_EQ(c11_everything(), 0); }

struct Noted {
    std::mutex mutex;
    std::vector<std::string> lines;
    void add(std::string line) {
        const std::lock_guard lock(mutex);
        lines.push_back(std::move(line));
    }
};
Noted noted;

void note(void* argument, esp_event_base_t base, std::int32_t id, void* data) {
    noted.add(std::string(static_cast<const char*>(argument)) + " " + base + " " + std::to_string(id) +
              (data != nullptr ? " " + std::string(static_cast<const char*>(data)) : ""));
}
void note_too(void* argument, esp_event_base_t base, std::int32_t id, void* data) { note(argument, base, id, data); }

char one[] = "one";
char two[] = "two";
char three[] = "three";

TEST(Event, ALoopWithoutAThread) {
    noted.lines.clear();
    const esp_event_loop_args_t arguments{
        .queue_size = 2, .task_name = nullptr, .task_priority = 0, .task_stack_size = 0, .task_core_id = 0};
    esp_event_loop_handle_t loop = nullptr;
    ASSERT_EQ(esp_event_loop_create(&arguments, &loop), ESP_OK);
    EXPECT_EQ(esp_event_handler_register_with(loop, TEST_EVENTS, 1, note, one), ESP_OK);
    EXPECT_EQ(esp_event_handler_register_with(loop, TEST_EVENTS, ESP_EVENT_ANY_ID, note, two), ESP_OK);
    EXPECT_EQ(esp_event_handler_register_with(loop, ESP_EVENT_ANY_BASE, 1, note, one), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(esp_event_handler_register_with(loop, TEST_EVENTS, 1, nullptr, one), ESP_ERR_INVALID_ARG);
    // The same again: another argument, in the same place.
    EXPECT_EQ(esp_event_handler_register_with(loop, TEST_EVENTS, 1, note, three), ESP_OK);
    EXPECT_EQ(esp_event_post_to(loop, TEST_EVENTS, 1, "data", 5, 0), ESP_OK);
    EXPECT_EQ(esp_event_post_to(loop, TEST_EVENTS, 2, nullptr, 0, 0), ESP_OK);
    EXPECT_EQ(esp_event_post_to(loop, TEST_EVENTS, 3, nullptr, 0, 1), ESP_ERR_TIMEOUT);
    EXPECT_EQ(esp_event_loop_run(loop, 1), ESP_OK);
    EXPECT_EQ(noted.lines,
              (std::vector<std::string>{"three TEST_EVENTS 1 data", "two TEST_EVENTS 1 data", "two TEST_EVENTS 2"}));
    EXPECT_EQ(esp_event_handler_unregister_with(loop, TEST_EVENTS, 1, note), ESP_OK);
    EXPECT_EQ(esp_event_handler_unregister_with(loop, TEST_EVENTS, 1, note), ESP_ERR_NOT_FOUND);
    EXPECT_EQ(esp_event_loop_delete(loop), ESP_OK);
}

TEST(Event, TheDefaultLoopAndWifi) {
    EXPECT_EQ(esp_event_post(TEST_EVENTS, 1, nullptr, 0, 0), ESP_ERR_INVALID_STATE);
    EXPECT_EQ(esp_event_loop_delete_default(), ESP_ERR_INVALID_STATE);
    ASSERT_EQ(esp_event_loop_create_default(), ESP_OK);
    EXPECT_EQ(esp_event_loop_create_default(), ESP_ERR_INVALID_STATE);
    std::promise<esp_netif_ip_info_t> got;
    const auto on_ip = [](void* argument, esp_event_base_t, std::int32_t, void* data) {
        static_cast<std::promise<esp_netif_ip_info_t>*>(argument)->set_value(
            static_cast<ip_event_got_ip_t*>(data)->ip_info);
    };
    const auto on_start = [](void*, esp_event_base_t, std::int32_t, void*) { esp_wifi_connect(); };
    ASSERT_EQ(esp_event_handler_register(IP_EVENT, IP_EVENT_STA_GOT_IP, on_ip, &got), ESP_OK);
    ASSERT_EQ(esp_event_handler_register(WIFI_EVENT, WIFI_EVENT_STA_START, on_start, nullptr), ESP_OK);
    EXPECT_EQ(esp_wifi_start(), ESP_OK);
    const esp_netif_ip_info_t info = got.get_future().get();
    char text[32];
    std::snprintf(text, sizeof(text), IPSTR, IP2STR(&info.ip));
    EXPECT_STREQ(text, "127.0.0.1");
    EXPECT_EQ(esp_event_loop_delete_default(), ESP_OK);
}

TEST(Event, InstancesAndUnregisteringInside) {
    noted.lines.clear();
    const esp_event_loop_args_t arguments{
        .queue_size = 8, .task_name = "loop", .task_priority = 0, .task_stack_size = 0, .task_core_id = 0};
    esp_event_loop_handle_t loop = nullptr;
    ASSERT_EQ(esp_event_loop_create(&arguments, &loop), ESP_OK);
    EXPECT_EQ(esp_event_loop_run(loop, 0), ESP_ERR_INVALID_STATE);
    struct Self {
        esp_event_loop_handle_t loop;
        esp_event_handler_instance_t instance;
        std::atomic<int> calls;
        std::promise<void> end;
    } self{loop, nullptr, 0, {}};
    const auto handler = [](void* argument, esp_event_base_t, std::int32_t id, void*) {
        auto& me = *static_cast<Self*>(argument);
        ++me.calls;
        esp_event_handler_instance_unregister_with(me.loop, TEST_EVENTS, id, me.instance);
    };
    const auto end = [](void* argument, esp_event_base_t, std::int32_t, void*) {
        static_cast<Self*>(argument)->end.set_value();
    };
    ASSERT_EQ(esp_event_handler_instance_register_with(loop, TEST_EVENTS, 1, handler, &self, &self.instance), ESP_OK);
    ASSERT_EQ(esp_event_handler_register_with(loop, TEST_EVENTS, 2, end, &self), ESP_OK);
    for (const int id : {1, 1, 2}) EXPECT_EQ(esp_event_post_to(loop, TEST_EVENTS, id, nullptr, 0, 10), ESP_OK);
    self.end.get_future().wait();
    EXPECT_EQ(self.calls, 1);
    EXPECT_EQ(esp_event_loop_delete(loop), ESP_OK);
    static_cast<void>(note_too);
}

std::string logged;
int keep(const char* format, va_list arguments) {
    char text[1024];
    const int size = std::vsnprintf(text, sizeof(text), format, arguments);
    logged += text;
    return size;
}

TEST(Log, LevelsForEachTag) {
    const vprintf_like_t before = esp_log_set_vprintf(keep);
    esp_log_level_set("*", ESP_LOG_WARN);
    esp_log_level_set("loud", ESP_LOG_VERBOSE);
    EXPECT_EQ(esp_log_level_get("loud"), ESP_LOG_VERBOSE);
    EXPECT_EQ(esp_log_level_get("other"), ESP_LOG_WARN);
    ESP_LOGI("quiet", "not seen");
    ESP_LOGW("quiet", "number %d", 5);
    ESP_LOGD("loud", "plain");
    const unsigned char bytes[] = {0, 1, 'A', 0xff};
    ESP_LOG_BUFFER_HEX_LEVEL("loud", bytes, sizeof(bytes), ESP_LOG_INFO);
    ESP_LOG_BUFFER_HEXDUMP("loud", bytes, sizeof(bytes), ESP_LOG_INFO);
    esp_log_set_vprintf(before);
    esp_log_level_set("*", ESP_LOG_NONE);
    EXPECT_EQ(logged.find("not seen"), std::string::npos);
    EXPECT_NE(logged.find(") quiet: number 5"), std::string::npos) << logged;
    EXPECT_NE(logged.find("D ("), std::string::npos);
    EXPECT_NE(logged.find("00 01 41 ff"), std::string::npos);
    EXPECT_NE(logged.find("|..A.|"), std::string::npos);
}

TEST(Err, Names) {
    EXPECT_STREQ(esp_err_to_name(ESP_OK), "ESP_OK");
    EXPECT_STREQ(esp_err_to_name(ESP_ERR_ESP_TLS_FAILED_CONNECT_TO_HOST), "ESP_ERR_ESP_TLS_FAILED_CONNECT_TO_HOST");
    EXPECT_EQ(ESP_ERR_ESP_TLS_FAILED_CONNECT_TO_HOST, 0x8004);
    EXPECT_STREQ(esp_err_to_name(4711), "UNKNOWN ERROR");
    char text[64];
    EXPECT_STREQ(esp_err_to_name_r(0x7777, text, sizeof(text)), "UNKNOWN ERROR 0x7777(30583)");
    ESP_ERROR_CHECK(ESP_OK);
    EXPECT_DEATH(ESP_ERROR_CHECK(ESP_FAIL), "ESP_FAIL");
}

TEST(Host, HasWhatProgramsAsk) {
    EXPECT_EQ(nvs_flash_init(), ESP_OK);
    EXPECT_GT(esp_get_free_heap_size(), 0u);
    EXPECT_EQ(esp_reset_reason(), ESP_RST_POWERON);
    EXPECT_STREQ(esp_get_idf_version(), "v6.0-tern");
    EXPECT_NE(esp_random() | esp_random() | esp_random(), 0u);
    EXPECT_EQ(esp_wifi_set_mode(WIFI_MODE_STA), ESP_OK);
    wifi_mode_t mode = WIFI_MODE_NULL;
    EXPECT_EQ(esp_wifi_get_mode(&mode), ESP_OK);
    EXPECT_EQ(mode, WIFI_MODE_STA);
    EXPECT_EXIT(esp_restart(), ::testing::ExitedWithCode(0), "");
}

TEST(Transport, CallsWhatWasSet) {
    const esp_transport_handle_t transport = esp_transport_init();
    EXPECT_EQ(esp_transport_write(transport, "x", 1, 0), -1);
    static int destroyed = 0;
    const auto write = [](esp_transport_handle_t, const char*, int length, int) { return length; };
    const auto destroy = [](esp_transport_handle_t) { return ++destroyed; };
    EXPECT_EQ(esp_transport_set_func(transport, nullptr, nullptr, write, nullptr, nullptr, nullptr, destroy), ESP_OK);
    EXPECT_EQ(esp_transport_write(transport, "xyz", 3, 0), 3);
    const esp_transport_list_handle_t list = esp_transport_list_init();
    EXPECT_EQ(esp_transport_list_add(list, transport, "ws"), ESP_OK);
    EXPECT_EQ(esp_transport_list_get_transport(list, "ws"), transport);
    EXPECT_EQ(esp_transport_list_get_transport(list, "wss"), nullptr);
    EXPECT_EQ(esp_transport_list_destroy(list), ESP_OK);
    EXPECT_EQ(destroyed, 1);
}

}  // namespace
