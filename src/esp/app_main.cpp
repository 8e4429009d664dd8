// main() of a program that has app_main(), as on a chip. It ends when app_main has returned and no task and no client
// is left, or by exit() and esp_restart().
#include <chrono>
#include <cstdlib>
#include <thread>

#include "esp_log.h"
#include "freertos/task.h"
#include "task.hpp"
#include "websocket.hpp"

extern "C" void app_main(void);

namespace {

void run(void* /*argument*/) { app_main(); }

}  // namespace

int main() {
    using namespace std::chrono_literals;
    if (xTaskCreate(run, "main", 8192, nullptr, 1, nullptr) != pdPASS) return EXIT_FAILURE;
    while (tern::esp::tasks_left() || tern::esp::Registry::size() != 0) std::this_thread::sleep_for(20ms);
    ESP_LOGI("main_task", "nothing is left to run");
    std::fflush(nullptr);
    return EXIT_SUCCESS;
}
