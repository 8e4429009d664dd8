#include "task.hpp"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <pthread.h>
#include <sched.h>
#include <thread>
#include <vector>

#include "signals.hpp"

using tern::esp::Clock;

namespace {

std::mutex& list_mutex() {
    static auto* const mutex = new std::mutex;
    return *mutex;
}
/// Tasks that live. Blocks are never freed: a handle may be asked about after its task has ended.
std::vector<TaskHandle_t>& living() {
    static auto* const list = new std::vector<TaskHandle_t>;
    return *list;
}
std::vector<std::unique_ptr<tskTaskControlBlock>>& blocks() {
    static auto* const list = new std::vector<std::unique_ptr<tskTaskControlBlock>>;
    return *list;
}

thread_local TaskHandle_t current = nullptr;

TaskHandle_t make_block() {
    const std::lock_guard lock(list_mutex());
    return blocks().emplace_back(std::make_unique<tskTaskControlBlock>()).get();
}

TaskHandle_t self_or(TaskHandle_t task) { return task != nullptr ? task : xTaskGetCurrentTaskHandle(); }

void leave() {
    const std::lock_guard lock(list_mutex());
    std::erase(living(), current);
}

/// Leaves the list however the thread ends.
struct Presence {
    Presence() = default;
    Presence(const Presence&) = delete;
    Presence& operator=(const Presence&) = delete;
    ~Presence() { leave(); }
};

void* run(void* argument) {
    current = static_cast<TaskHandle_t>(argument);
    const Presence presence;
    pthread_setname_np(pthread_self(), current->name.substr(0, configMAX_TASK_NAME_LEN - 1).c_str());
    current->function(current->argument);
    return nullptr;
}

bool begin_thread(TaskHandle_t task) {
    // A chip's stack sizes are too small for a host's printf; the system's default is not.
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread{};
    const tern::esp::SignalsBlocked blocked;
    const bool begun = pthread_create(&thread, &attributes, run, task) == 0;
    pthread_attr_destroy(&attributes);
    return begun;
}

/// Waits on the calling task's own condition.
template <class Predicate>
bool wait_here(tskTaskControlBlock& task, std::unique_lock<std::mutex>& lock, TickType_t ticks, Predicate predicate) {
    task.waiting = true;
    const bool met = tern::esp::wait_until(task.changed, lock, tern::esp::after(ticks), [&] {
        return predicate() || task.delete_wanted || task.abort_wanted || task.suspended;
    });
    task.waiting = false;
    task.abort_wanted = false;
    return met && predicate();
}

}  // namespace

namespace tern::esp {

void obey_other_tasks() {
    if (current == nullptr) return;
    std::unique_lock lock(current->mutex);
    current->changed.wait(lock, [] { return !current->suspended || current->delete_wanted; });
    const bool end = current->created && current->delete_wanted;
    lock.unlock();
    if (end) pthread_exit(nullptr);
}

bool tasks_left() {
    const std::lock_guard lock(list_mutex());
    return !living().empty();
}

}  // namespace tern::esp

BaseType_t xTaskCreatePinnedToCore(TaskFunction_t function, const char* name, uint32_t stack_size, void* argument,
                                   UBaseType_t priority, TaskHandle_t* handle, BaseType_t core) {
    const TaskHandle_t task = make_block();
    task->name = name != nullptr ? name : "";
    task->priority = std::min<UBaseType_t>(priority, configMAX_PRIORITIES - 1);
    task->stack_size = stack_size;
    task->core = core;
    task->created = true;
    task->function = function;
    task->argument = argument;
    {
        const std::lock_guard lock(list_mutex());
        living().push_back(task);
    }
    // Before the task runs: it may use its own handle through the variable.
    if (handle != nullptr) *handle = task;
    if (function != nullptr && begin_thread(task)) return pdPASS;
    const std::lock_guard lock(list_mutex());
    std::erase(living(), task);
    return errCOULD_NOT_ALLOCATE_REQUIRED_MEMORY;
}

BaseType_t xTaskCreate(TaskFunction_t function, const char* name, uint32_t stack_size, void* argument,
                       UBaseType_t priority, TaskHandle_t* handle) {
    return xTaskCreatePinnedToCore(function, name, stack_size, argument, priority, handle, tskNO_AFFINITY);
}

TaskHandle_t xTaskCreateStaticPinnedToCore(TaskFunction_t function, const char* name, uint32_t stack_size,
                                           void* argument, UBaseType_t priority, StackType_t* /*stack*/,
                                           StaticTask_t* /*memory*/, BaseType_t core) {
    TaskHandle_t task = nullptr;
    return xTaskCreatePinnedToCore(function, name, stack_size, argument, priority, &task, core) == pdPASS ? task
                                                                                                          : nullptr;
}

TaskHandle_t xTaskCreateStatic(TaskFunction_t function, const char* name, uint32_t stack_size, void* argument,
                               UBaseType_t priority, StackType_t* stack, StaticTask_t* memory) {
    return xTaskCreateStaticPinnedToCore(function, name, stack_size, argument, priority, stack, memory, tskNO_AFFINITY);
}

void vTaskDelete(TaskHandle_t task) {
    if (task == nullptr || task == current) pthread_exit(nullptr);
    const std::lock_guard lock(task->mutex);
    task->delete_wanted = true;
    task->changed.notify_all();
}

void vTaskDelay(TickType_t ticks) {
    tern::esp::obey_other_tasks();
    const TaskHandle_t task = xTaskGetCurrentTaskHandle();
    if (ticks == 0) return tern_esp_yield();
    {
        std::unique_lock lock(task->mutex);
        wait_here(*task, lock, ticks, [] { return false; });
    }
    tern::esp::obey_other_tasks();
}

BaseType_t xTaskDelayUntil(TickType_t* previous, TickType_t increment) {
    const TickType_t at = *previous + increment;
    const auto left = static_cast<std::int32_t>(at - xTaskGetTickCount());
    *previous = at;
    if (left <= 0) return pdFALSE;
    vTaskDelay(static_cast<TickType_t>(left));
    return pdTRUE;
}

BaseType_t xTaskAbortDelay(TaskHandle_t task) {
    const std::lock_guard lock(task->mutex);
    if (!task->waiting) return pdFAIL;
    task->abort_wanted = true;
    task->changed.notify_all();
    return pdPASS;
}

TaskHandle_t xTaskGetCurrentTaskHandle() {
    if (current == nullptr) {
        current = make_block();
        current->name = "host";
    }
    return current;
}

TaskHandle_t xTaskGetHandle(const char* name) {
    const std::lock_guard lock(list_mutex());
    const auto found = std::find_if(living().begin(), living().end(), [&](auto* task) { return task->name == name; });
    return found == living().end() ? nullptr : *found;
}

char* pcTaskGetName(TaskHandle_t task) { return self_or(task)->name.data(); }

UBaseType_t uxTaskPriorityGet(TaskHandle_t task) {
    task = self_or(task);
    const std::lock_guard lock(task->mutex);
    return task->priority;
}

void vTaskPrioritySet(TaskHandle_t task, UBaseType_t priority) {
    task = self_or(task);
    const std::lock_guard lock(task->mutex);
    task->priority = std::min<UBaseType_t>(priority, configMAX_PRIORITIES - 1);
}

UBaseType_t uxTaskGetStackHighWaterMark(TaskHandle_t task) { return self_or(task)->stack_size; }

UBaseType_t uxTaskGetNumberOfTasks() {
    const std::lock_guard lock(list_mutex());
    return static_cast<UBaseType_t>(living().size());
}

BaseType_t xTaskGetAffinity(TaskHandle_t task) { return self_or(task)->core; }
BaseType_t xTaskGetCoreID(TaskHandle_t task) { return self_or(task)->core; }
BaseType_t xTaskGetSchedulerState() { return taskSCHEDULER_RUNNING; }

eTaskState eTaskGetState(TaskHandle_t task) {
    {
        const std::lock_guard lock(list_mutex());
        if (std::find(living().begin(), living().end(), task) == living().end()) return eDeleted;
    }
    if (task == current) return eRunning;
    const std::lock_guard lock(task->mutex);
    if (task->suspended) return eSuspended;
    return task->waiting ? eBlocked : eReady;
}

void vTaskSuspend(TaskHandle_t task) {
    const bool own = task == nullptr || task == current;
    task = self_or(task);
    {
        const std::lock_guard lock(task->mutex);
        task->suspended = true;
        task->changed.notify_all();
    }
    if (own) tern::esp::obey_other_tasks();
}

void vTaskResume(TaskHandle_t task) {
    const std::lock_guard lock(task->mutex);
    task->suspended = false;
    task->changed.notify_all();
}

BaseType_t xTaskResumeFromISR(TaskHandle_t task) {
    vTaskResume(task);
    return pdFALSE;
}

void vTaskStartScheduler() {}
void vTaskSuspendAll() {}
BaseType_t xTaskResumeAll() { return pdFALSE; }

// --- notifications -------------------------------------------------------------------------------------------------

BaseType_t xTaskNotify(TaskHandle_t task, uint32_t value, eNotifyAction action) {
    const std::lock_guard lock(task->mutex);
    switch (action) {
        case eNoAction: break;
        case eSetBits: task->notification |= value; break;
        case eIncrement: ++task->notification; break;
        case eSetValueWithOverwrite: task->notification = value; break;
        case eSetValueWithoutOverwrite:
            if (task->notified) return pdFAIL;
            task->notification = value;
            break;
    }
    task->notified = true;
    task->changed.notify_all();
    return pdPASS;
}

BaseType_t xTaskNotifyFromISR(TaskHandle_t task, uint32_t value, eNotifyAction action, BaseType_t* woken) {
    if (woken != nullptr) *woken = pdFALSE;
    return xTaskNotify(task, value, action);
}

BaseType_t xTaskNotifyGive(TaskHandle_t task) { return xTaskNotify(task, 0, eIncrement); }

void vTaskNotifyGiveFromISR(TaskHandle_t task, BaseType_t* woken) {
    if (woken != nullptr) *woken = pdFALSE;
    xTaskNotifyGive(task);
}

uint32_t ulTaskNotifyTake(BaseType_t clear_on_exit, TickType_t ticks) {
    tern::esp::obey_other_tasks();
    const TaskHandle_t task = xTaskGetCurrentTaskHandle();
    std::uint32_t value = 0;
    {
        std::unique_lock lock(task->mutex);
        wait_here(*task, lock, ticks, [&] { return task->notification != 0; });
        value = task->notification;
        if (value != 0) task->notification = clear_on_exit != pdFALSE ? 0 : value - 1;
        task->notified = false;
    }
    tern::esp::obey_other_tasks();
    return value;
}

BaseType_t xTaskNotifyWait(uint32_t clear_on_entry, uint32_t clear_on_exit, uint32_t* value, TickType_t ticks) {
    tern::esp::obey_other_tasks();
    const TaskHandle_t task = xTaskGetCurrentTaskHandle();
    bool notified = false;
    {
        std::unique_lock lock(task->mutex);
        if (!task->notified) task->notification &= ~clear_on_entry;
        wait_here(*task, lock, ticks, [&] { return task->notified; });
        notified = task->notified;
        if (value != nullptr) *value = task->notification;
        if (notified) task->notification &= ~clear_on_exit;
        task->notified = false;
    }
    tern::esp::obey_other_tasks();
    return notified ? pdTRUE : pdFALSE;
}

BaseType_t xTaskNotifyStateClear(TaskHandle_t task) {
    task = self_or(task);
    const std::lock_guard lock(task->mutex);
    const bool notified = task->notified;
    task->notified = false;
    return notified ? pdTRUE : pdFALSE;
}

uint32_t ulTaskNotifyValueClear(TaskHandle_t task, uint32_t bits) {
    task = self_or(task);
    const std::lock_guard lock(task->mutex);
    const std::uint32_t value = task->notification;
    task->notification &= ~bits;
    return value;
}

// --- the rest of FreeRTOS.h ----------------------------------------------------------------------------------------

namespace {

std::recursive_mutex& critical_section() {
    static auto* const mutex = new std::recursive_mutex;
    return *mutex;
}

}  // namespace

void vPortEnterCritical() { critical_section().lock(); }
void vPortExitCritical() { critical_section().unlock(); }
void tern_esp_mux_initialize(portMUX_TYPE* mux) { *mux = portMUX_TYPE portMUX_INITIALIZER_UNLOCKED; }
void tern_esp_yield() { std::this_thread::yield(); }
BaseType_t xPortInIsrContext() { return pdFALSE; }
BaseType_t xPortGetCoreID() { return sched_getcpu() % portNUM_PROCESSORS; }
void* pvPortMalloc(size_t size) { return std::malloc(size); }
void vPortFree(void* memory) { std::free(memory); }
