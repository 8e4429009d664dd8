// FreeRTOS on a host. Times are only ever a lower bound here.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "esp_timer.h"
#include "freertos/event_groups.h"
#include "freertos/semphr.h"
#include "freertos/timers.h"

namespace {

constexpr TickType_t brief = 2;
constexpr TickType_t ample = pdMS_TO_TICKS(20'000);

TEST(Ticks, GoOn) {
    EXPECT_EQ(configTICK_RATE_HZ, 100u);
    EXPECT_EQ(portTICK_PERIOD_MS, 10u);
    EXPECT_EQ(pdMS_TO_TICKS(1000), 100u);
    EXPECT_EQ(pdTICKS_TO_MS(100), 1000u);
    const TickType_t before = xTaskGetTickCount();
    vTaskDelay(brief);
    EXPECT_GE(xTaskGetTickCount(), before + brief);
    TickType_t at = xTaskGetTickCount();
    EXPECT_EQ(xTaskDelayUntil(&at, brief), pdTRUE);
    at -= 1000;
    EXPECT_EQ(xTaskDelayUntil(&at, 1), pdFALSE);
}

struct Job {
    std::function<void()> work;
    SemaphoreHandle_t done = xSemaphoreCreateBinary();
    Job() = default;
    Job(const Job&) = delete;
    Job& operator=(const Job&) = delete;
    ~Job() { vSemaphoreDelete(done); }
};

void run(void* argument) {
    auto& job = *static_cast<Job*>(argument);
    job.work();
    xSemaphoreGive(job.done);
    vTaskDelete(nullptr);
}

TEST(Task, RunsAndKnowsItself) {
    Job job;
    std::string name;
    UBaseType_t priority = 0;
    TaskHandle_t self = nullptr;
    job.work = [&] {
        name = pcTaskGetName(nullptr);
        priority = uxTaskPriorityGet(nullptr);
        self = xTaskGetCurrentTaskHandle();
    };
    TaskHandle_t handle = nullptr;
    ASSERT_EQ(xTaskCreate(run, "worker", 4096, &job, 5, &handle), pdPASS);
    ASSERT_EQ(xSemaphoreTake(job.done, ample), pdTRUE);
    EXPECT_EQ(name, "worker");
    EXPECT_EQ(priority, 5u);
    EXPECT_EQ(self, handle);
    EXPECT_EQ(uxTaskGetStackHighWaterMark(handle), 4096u);
    while (eTaskGetState(handle) != eDeleted) vTaskDelay(1);
}

TEST(Task, IsDeletedWhereItWaits) {
    std::atomic<int> turns = 0;
    const auto turn = [](void* argument) {
        for (;;) {
            ++*static_cast<std::atomic<int>*>(argument);
            vTaskDelay(1);
        }
    };
    TaskHandle_t handle = nullptr;
    ASSERT_EQ(xTaskCreate(turn, "turner", 2048, &turns, 1, &handle), pdPASS);
    while (turns == 0) std::this_thread::yield();
    vTaskSuspend(handle);
    vTaskResume(handle);
    vTaskDelete(handle);
    while (eTaskGetState(handle) != eDeleted) std::this_thread::yield();
    const int last = turns;
    vTaskDelay(3);
    EXPECT_EQ(turns, last);
}

TEST(Task, Notifications) {
    const TaskHandle_t self = xTaskGetCurrentTaskHandle();
    EXPECT_EQ(ulTaskNotifyTake(pdTRUE, 0), 0u);
    xTaskNotifyGive(self);
    xTaskNotifyGive(self);
    EXPECT_EQ(ulTaskNotifyTake(pdFALSE, 0), 2u);
    EXPECT_EQ(ulTaskNotifyTake(pdTRUE, 0), 1u);
    Job job;
    job.work = [&] { xTaskNotify(self, 0x5, eSetBits); };
    ASSERT_EQ(xTaskCreate(run, "notifier", 2048, &job, 1, nullptr), pdPASS);
    std::uint32_t value = 0;
    EXPECT_EQ(xTaskNotifyWait(0, 0x1, &value, ample), pdTRUE);
    EXPECT_EQ(value, 0x5u);
    EXPECT_EQ(xTaskNotifyWait(0, 0, &value, 0), pdFALSE);
    EXPECT_EQ(value, 0x4u);
    EXPECT_EQ(xTaskNotify(self, 1, eSetValueWithoutOverwrite), pdPASS);
    EXPECT_EQ(xTaskNotify(self, 2, eSetValueWithoutOverwrite), pdFAIL);
    EXPECT_EQ(ulTaskNotifyValueClear(nullptr, ~0U), 1u);
    EXPECT_EQ(xTaskNotifyStateClear(nullptr), pdTRUE);
    ASSERT_EQ(xSemaphoreTake(job.done, ample), pdTRUE);
}

TEST(Semaphore, Binary) {
    const SemaphoreHandle_t semaphore = xSemaphoreCreateBinary();
    EXPECT_EQ(xSemaphoreTake(semaphore, brief), pdFALSE);
    EXPECT_EQ(xSemaphoreGive(semaphore), pdTRUE);
    EXPECT_EQ(xSemaphoreGive(semaphore), pdFALSE);
    EXPECT_EQ(uxSemaphoreGetCount(semaphore), 1u);
    EXPECT_EQ(xSemaphoreTake(semaphore, 0), pdTRUE);
    BaseType_t woken = pdTRUE;
    EXPECT_EQ(xSemaphoreGiveFromISR(semaphore, &woken), pdTRUE);
    EXPECT_EQ(woken, pdFALSE);
    vSemaphoreDelete(semaphore);
}

TEST(Semaphore, Counting) {
    EXPECT_EQ(xSemaphoreCreateCounting(1, 2), nullptr);
    const SemaphoreHandle_t semaphore = xSemaphoreCreateCounting(2, 1);
    EXPECT_EQ(xSemaphoreGive(semaphore), pdTRUE);
    EXPECT_EQ(xSemaphoreGive(semaphore), pdFALSE);
    EXPECT_EQ(xSemaphoreTake(semaphore, 0), pdTRUE);
    EXPECT_EQ(xSemaphoreTake(semaphore, 0), pdTRUE);
    EXPECT_EQ(xSemaphoreTake(semaphore, 0), pdFALSE);
    vSemaphoreDelete(semaphore);
}

TEST(Semaphore, Mutex) {
    const SemaphoreHandle_t mutex = xSemaphoreCreateMutex();
    EXPECT_EQ(xSemaphoreGetMutexHolder(mutex), nullptr);
    EXPECT_EQ(xSemaphoreTake(mutex, 0), pdTRUE);
    EXPECT_EQ(xSemaphoreGetMutexHolder(mutex), xTaskGetCurrentTaskHandle());
    EXPECT_EQ(xSemaphoreTake(mutex, 0), pdFALSE);
    Job job;
    job.work = [&] { EXPECT_EQ(xSemaphoreGive(mutex), pdFALSE) << "it is another's"; };
    xTaskCreate(run, "other", 2048, &job, 1, nullptr);
    ASSERT_EQ(xSemaphoreTake(job.done, ample), pdTRUE);
    EXPECT_EQ(xSemaphoreGive(mutex), pdTRUE);
    EXPECT_EQ(xSemaphoreGive(mutex), pdFALSE);
    vSemaphoreDelete(mutex);
}

TEST(Semaphore, RecursiveMutex) {
    const SemaphoreHandle_t mutex = xSemaphoreCreateRecursiveMutex();
    EXPECT_EQ(xSemaphoreTakeRecursive(mutex, 0), pdTRUE);
    EXPECT_EQ(xSemaphoreTakeRecursive(mutex, 0), pdTRUE);
    Job job;
    job.work = [&] { EXPECT_EQ(xSemaphoreTakeRecursive(mutex, 0), pdFALSE); };
    xTaskCreate(run, "other", 2048, &job, 1, nullptr);
    ASSERT_EQ(xSemaphoreTake(job.done, ample), pdTRUE);
    EXPECT_EQ(xSemaphoreGiveRecursive(mutex), pdTRUE);
    EXPECT_EQ(uxSemaphoreGetCount(mutex), 0u);
    EXPECT_EQ(xSemaphoreGiveRecursive(mutex), pdTRUE);
    EXPECT_EQ(uxSemaphoreGetCount(mutex), 1u);
    EXPECT_EQ(xSemaphoreGiveRecursive(mutex), pdFALSE);
    vSemaphoreDelete(mutex);
}

TEST(Queue, KeepsTheOrder) {
    const QueueHandle_t queue = xQueueCreate(2, sizeof(int));
    int item = 1;
    EXPECT_EQ(xQueueReceive(queue, &item, brief), pdFALSE);
    EXPECT_EQ(xQueueSend(queue, &item, 0), pdTRUE);
    item = 2;
    EXPECT_EQ(xQueueSendToFront(queue, &item, 0), pdTRUE);
    EXPECT_EQ(xQueueSendToBack(queue, &item, brief), errQUEUE_FULL);
    EXPECT_EQ(uxQueueMessagesWaiting(queue), 2u);
    EXPECT_EQ(uxQueueSpacesAvailable(queue), 0u);
    item = 0;
    EXPECT_EQ(xQueuePeek(queue, &item, 0), pdTRUE);
    EXPECT_EQ(item, 2);
    EXPECT_EQ(xQueueReceive(queue, &item, 0), pdTRUE);
    EXPECT_EQ(item, 2);
    EXPECT_EQ(xQueueReceive(queue, &item, 0), pdTRUE);
    EXPECT_EQ(item, 1);
    EXPECT_EQ(xQueueReset(queue), pdPASS);
    vQueueDelete(queue);
    EXPECT_EQ(xQueueCreate(0, 1), nullptr);
}

TEST(Queue, OverwritesAndWakes) {
    const QueueHandle_t queue = xQueueCreate(1, sizeof(int));
    for (int item = 1; item <= 3; ++item) EXPECT_EQ(xQueueOverwrite(queue, &item), pdTRUE);
    int item = 0;
    EXPECT_EQ(xQueueReceive(queue, &item, 0), pdTRUE);
    EXPECT_EQ(item, 3);
    Job job;
    job.work = [&] {
        const int sent = 7;
        xQueueSend(queue, &sent, portMAX_DELAY);
    };
    xTaskCreate(run, "sender", 2048, &job, 1, nullptr);
    EXPECT_EQ(xQueueReceive(queue, &item, portMAX_DELAY), pdTRUE);
    EXPECT_EQ(item, 7);
    ASSERT_EQ(xSemaphoreTake(job.done, ample), pdTRUE);
    vQueueDelete(queue);
}

TEST(EventGroup, BitsAndWaiting) {
    const EventGroupHandle_t group = xEventGroupCreate();
    EXPECT_EQ(xEventGroupSetBits(group, BIT0 | BIT1), BIT0 | BIT1);
    EXPECT_EQ(xEventGroupWaitBits(group, BIT0 | BIT2, pdFALSE, pdTRUE, brief), BIT0 | BIT1);
    EXPECT_EQ(xEventGroupWaitBits(group, BIT0 | BIT2, pdTRUE, pdFALSE, 0), BIT0 | BIT1);
    EXPECT_EQ(xEventGroupGetBits(group), BIT1);
    EXPECT_EQ(xEventGroupClearBits(group, BIT1), BIT1);
    Job job;
    job.work = [&] { xEventGroupSetBits(group, BIT5); };
    xTaskCreate(run, "setter", 2048, &job, 1, nullptr);
    EXPECT_EQ(xEventGroupWaitBits(group, BIT5, pdTRUE, pdTRUE, ample), BIT5);
    ASSERT_EQ(xSemaphoreTake(job.done, ample), pdTRUE);
    EXPECT_EQ(xEventGroupGetBits(group), 0u);
    vEventGroupDelete(group);
}

TEST(EventGroup, SyncIsARendezvous) {
    const EventGroupHandle_t group = xEventGroupCreate();
    Job job;
    job.work = [&] { EXPECT_EQ(xEventGroupSync(group, BIT0, BIT0 | BIT1, ample), BIT0 | BIT1); };
    xTaskCreate(run, "one", 2048, &job, 1, nullptr);
    EXPECT_EQ(xEventGroupSync(group, BIT1, BIT0 | BIT1, ample), BIT0 | BIT1);
    ASSERT_EQ(xSemaphoreTake(job.done, ample), pdTRUE);
    EXPECT_EQ(xEventGroupGetBits(group), 0u);
    vEventGroupDelete(group);
}

void count_up(TimerHandle_t timer) { ++*static_cast<std::atomic<int>*>(pvTimerGetTimerID(timer)); }

TEST(Timer, OnceAndAgain) {
    std::atomic<int> once = 0;
    std::atomic<int> again = 0;
    EXPECT_EQ(xTimerCreate("none", 0, pdFALSE, nullptr, count_up), nullptr);
    const TimerHandle_t first = xTimerCreate("first", 1, pdFALSE, &once, count_up);
    const TimerHandle_t second = xTimerCreate("second", 1, pdTRUE, &again, count_up);
    EXPECT_STREQ(pcTimerGetName(first), "first");
    EXPECT_EQ(xTimerIsTimerActive(first), pdFALSE);
    EXPECT_EQ(xTimerStart(first, 0), pdPASS);
    EXPECT_EQ(xTimerStart(second, 0), pdPASS);
    while (again < 3) std::this_thread::yield();
    EXPECT_EQ(once, 1);
    EXPECT_EQ(xTimerIsTimerActive(first), pdFALSE);
    EXPECT_EQ(xTimerStop(second, 0), pdPASS);
    EXPECT_EQ(xTimerChangePeriod(first, 2, 0), pdPASS);
    EXPECT_EQ(xTimerGetPeriod(first), 2u);
    while (once < 2) std::this_thread::yield();
    EXPECT_EQ(xTimerDelete(first, 0), pdPASS);
    EXPECT_EQ(xTimerDelete(second, 0), pdPASS);
    std::atomic<bool> called = false;
    const auto call = [](void* flag, std::uint32_t) { *static_cast<std::atomic<bool>*>(flag) = true; };
    EXPECT_EQ(xTimerPendFunctionCall(call, &called, 0, 0), pdPASS);
    while (!called) std::this_thread::yield();
}

TEST(EspTimer, OnceAndAgain) {
    std::atomic<int> calls = 0;
    const auto count = [](void* argument) { ++*static_cast<std::atomic<int>*>(argument); };
    const esp_timer_create_args_t arguments{.callback = count,
                                            .arg = &calls,
                                            .dispatch_method = ESP_TIMER_TASK,
                                            .name = "t",
                                            .skip_unhandled_events = false};
    esp_timer_handle_t timer = nullptr;
    EXPECT_EQ(esp_timer_create(nullptr, &timer), ESP_ERR_INVALID_ARG);
    ASSERT_EQ(esp_timer_create(&arguments, &timer), ESP_OK);
    EXPECT_EQ(esp_timer_stop(timer), ESP_ERR_INVALID_STATE);
    const std::int64_t before = esp_timer_get_time();
    EXPECT_EQ(esp_timer_start_once(timer, 2000), ESP_OK);
    while (calls == 0) std::this_thread::yield();
    EXPECT_GE(esp_timer_get_time(), before + 2000);
    EXPECT_EQ(esp_timer_start_periodic(timer, 1000), ESP_OK);
    EXPECT_EQ(esp_timer_start_periodic(timer, 1000), ESP_ERR_INVALID_STATE);
    EXPECT_EQ(esp_timer_delete(timer), ESP_ERR_INVALID_STATE);
    while (calls < 4) std::this_thread::yield();
    EXPECT_TRUE(esp_timer_is_active(timer));
    EXPECT_EQ(esp_timer_restart(timer, 500), ESP_OK);
    EXPECT_EQ(esp_timer_stop(timer), ESP_OK);
    EXPECT_EQ(esp_timer_delete(timer), ESP_OK);
}

}  // namespace
