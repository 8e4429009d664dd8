// Queues, semaphores and mutexes: one structure, as in FreeRTOS.
#include <cstring>
#include <deque>
#include <new>
#include <vector>

#include "freertos/semphr.h"
#include "task.hpp"

struct QueueDefinition {
    enum class Kind : std::uint8_t { queue, semaphore, mutex, recursive };

    std::mutex mutex;
    std::condition_variable changed;
    Kind kind = Kind::queue;
    std::size_t item_size = 0;
    std::size_t length = 0;
    std::deque<std::vector<std::uint8_t>> items;  ///< Of a queue.
    std::size_t count = 0;                        ///< Of the others.
    TaskHandle_t holder = nullptr;
    std::size_t depth = 0;  ///< How often the holder has taken a recursive mutex.

    [[nodiscard]] std::size_t size() const { return kind == Kind::queue ? items.size() : count; }
};

namespace {

using Kind = QueueDefinition::Kind;

QueueHandle_t make(Kind kind, std::size_t length, std::size_t item_size, std::size_t count) {
    if (length == 0) return nullptr;
    auto* const queue = new (std::nothrow) QueueDefinition;
    if (queue == nullptr) return nullptr;
    queue->kind = kind;
    queue->length = length;
    queue->item_size = item_size;
    queue->count = count;
    return queue;
}

enum class Place : std::uint8_t { back, front, over };

BaseType_t put(QueueDefinition& queue, const void* item, TickType_t ticks, Place place) {
    if (ticks != 0) tern::esp::obey_other_tasks();
    if (queue.kind != Kind::queue) return xSemaphoreGive(&queue);
    std::vector<std::uint8_t> copy(queue.item_size);
    if (item != nullptr && !copy.empty()) std::memcpy(copy.data(), item, copy.size());
    std::unique_lock lock(queue.mutex);
    if (place == Place::over) {
        if (queue.items.size() == queue.length) queue.items.pop_back();
    } else if (!tern::esp::wait_until(queue.changed, lock, tern::esp::after(ticks),
                                      [&] { return queue.items.size() < queue.length; })) {
        return errQUEUE_FULL;
    }
    if (place == Place::front) {
        queue.items.push_front(std::move(copy));
    } else {
        queue.items.push_back(std::move(copy));
    }
    queue.changed.notify_all();
    return pdTRUE;
}

BaseType_t take(QueueDefinition& queue, void* item, TickType_t ticks, bool remove) {
    if (ticks != 0) tern::esp::obey_other_tasks();
    std::unique_lock lock(queue.mutex);
    if (!tern::esp::wait_until(queue.changed, lock, tern::esp::after(ticks), [&] { return queue.size() > 0; })) {
        return pdFALSE;
    }
    if (queue.kind != Kind::queue) {
        if (!remove) return pdTRUE;
        --queue.count;
        if (queue.kind != Kind::semaphore) queue.holder = xTaskGetCurrentTaskHandle();
        return pdTRUE;
    }
    if (item != nullptr && queue.item_size != 0) std::memcpy(item, queue.items.front().data(), queue.item_size);
    if (remove) {
        queue.items.pop_front();
        queue.changed.notify_all();
    }
    return pdTRUE;
}

void not_woken(BaseType_t* woken) {
    if (woken != nullptr) *woken = pdFALSE;
}

}  // namespace

QueueHandle_t xQueueCreate(UBaseType_t length, UBaseType_t item_size) {
    return make(item_size == 0 ? Kind::semaphore : Kind::queue, length, item_size, 0);
}
QueueHandle_t xQueueCreateStatic(UBaseType_t length, UBaseType_t item_size, uint8_t* /*storage*/,
                                 StaticQueue_t* /*memory*/) {
    return xQueueCreate(length, item_size);
}
void vQueueDelete(QueueHandle_t queue) { delete queue; }
BaseType_t xQueueSend(QueueHandle_t queue, const void* item, TickType_t ticks) {
    return put(*queue, item, ticks, Place::back);
}
BaseType_t xQueueSendToBack(QueueHandle_t queue, const void* item, TickType_t ticks) {
    return put(*queue, item, ticks, Place::back);
}
BaseType_t xQueueSendToFront(QueueHandle_t queue, const void* item, TickType_t ticks) {
    return put(*queue, item, ticks, Place::front);
}
BaseType_t xQueueOverwrite(QueueHandle_t queue, const void* item) { return put(*queue, item, 0, Place::over); }
BaseType_t xQueueReceive(QueueHandle_t queue, void* item, TickType_t ticks) { return take(*queue, item, ticks, true); }
BaseType_t xQueuePeek(QueueHandle_t queue, void* item, TickType_t ticks) { return take(*queue, item, ticks, false); }

BaseType_t xQueueReset(QueueHandle_t queue) {
    const std::lock_guard lock(queue->mutex);
    queue->items.clear();
    queue->count = 0;
    queue->changed.notify_all();
    return pdPASS;
}

UBaseType_t uxQueueMessagesWaiting(QueueHandle_t queue) {
    const std::lock_guard lock(queue->mutex);
    return static_cast<UBaseType_t>(queue->size());
}
UBaseType_t uxQueueSpacesAvailable(QueueHandle_t queue) {
    const std::lock_guard lock(queue->mutex);
    return static_cast<UBaseType_t>(queue->length - queue->size());
}

BaseType_t xQueueSendFromISR(QueueHandle_t queue, const void* item, BaseType_t* woken) {
    not_woken(woken);
    return put(*queue, item, 0, Place::back);
}
BaseType_t xQueueSendToBackFromISR(QueueHandle_t queue, const void* item, BaseType_t* woken) {
    not_woken(woken);
    return put(*queue, item, 0, Place::back);
}
BaseType_t xQueueSendToFrontFromISR(QueueHandle_t queue, const void* item, BaseType_t* woken) {
    not_woken(woken);
    return put(*queue, item, 0, Place::front);
}
BaseType_t xQueueOverwriteFromISR(QueueHandle_t queue, const void* item, BaseType_t* woken) {
    not_woken(woken);
    return put(*queue, item, 0, Place::over);
}
BaseType_t xQueueReceiveFromISR(QueueHandle_t queue, void* item, BaseType_t* woken) {
    not_woken(woken);
    return take(*queue, item, 0, true);
}
UBaseType_t uxQueueMessagesWaitingFromISR(QueueHandle_t queue) { return uxQueueMessagesWaiting(queue); }
BaseType_t xQueueIsQueueFullFromISR(QueueHandle_t queue) {
    return uxQueueSpacesAvailable(queue) == 0 ? pdTRUE : pdFALSE;
}
BaseType_t xQueueIsQueueEmptyFromISR(QueueHandle_t queue) {
    return uxQueueMessagesWaiting(queue) == 0 ? pdTRUE : pdFALSE;
}

// --- semaphores ----------------------------------------------------------------------------------------------------

SemaphoreHandle_t xSemaphoreCreateBinary() { return make(Kind::semaphore, 1, 0, 0); }
SemaphoreHandle_t xSemaphoreCreateBinaryStatic(StaticSemaphore_t* /*memory*/) { return xSemaphoreCreateBinary(); }
SemaphoreHandle_t xSemaphoreCreateCounting(UBaseType_t maximum, UBaseType_t initial) {
    return initial > maximum ? nullptr : make(Kind::semaphore, maximum, 0, initial);
}
SemaphoreHandle_t xSemaphoreCreateCountingStatic(UBaseType_t maximum, UBaseType_t initial,
                                                 StaticSemaphore_t* /*memory*/) {
    return xSemaphoreCreateCounting(maximum, initial);
}
SemaphoreHandle_t xSemaphoreCreateMutex() { return make(Kind::mutex, 1, 0, 1); }
SemaphoreHandle_t xSemaphoreCreateMutexStatic(StaticSemaphore_t* /*memory*/) { return xSemaphoreCreateMutex(); }
SemaphoreHandle_t xSemaphoreCreateRecursiveMutex() { return make(Kind::recursive, 1, 0, 1); }
SemaphoreHandle_t xSemaphoreCreateRecursiveMutexStatic(StaticSemaphore_t* /*memory*/) {
    return xSemaphoreCreateRecursiveMutex();
}
void vSemaphoreDelete(SemaphoreHandle_t semaphore) { delete semaphore; }

BaseType_t xSemaphoreTake(SemaphoreHandle_t semaphore, TickType_t ticks) {
    return take(*semaphore, nullptr, ticks, true);
}

BaseType_t xSemaphoreGive(SemaphoreHandle_t semaphore) {
    const std::lock_guard lock(semaphore->mutex);
    if (semaphore->count == semaphore->length) return pdFALSE;
    if (semaphore->kind != Kind::semaphore && semaphore->holder != xTaskGetCurrentTaskHandle()) return pdFALSE;
    semaphore->holder = nullptr;
    ++semaphore->count;
    semaphore->changed.notify_all();
    return pdTRUE;
}

BaseType_t xSemaphoreTakeRecursive(SemaphoreHandle_t mutex, TickType_t ticks) {
    {
        const std::lock_guard lock(mutex->mutex);
        if (mutex->holder == xTaskGetCurrentTaskHandle()) {
            ++mutex->depth;
            return pdTRUE;
        }
    }
    if (take(*mutex, nullptr, ticks, true) != pdTRUE) return pdFALSE;
    const std::lock_guard lock(mutex->mutex);
    mutex->depth = 1;
    return pdTRUE;
}

BaseType_t xSemaphoreGiveRecursive(SemaphoreHandle_t mutex) {
    {
        const std::lock_guard lock(mutex->mutex);
        if (mutex->holder != xTaskGetCurrentTaskHandle()) return pdFALSE;
        if (--mutex->depth > 0) return pdTRUE;
    }
    return xSemaphoreGive(mutex);
}

BaseType_t xSemaphoreTakeFromISR(SemaphoreHandle_t semaphore, BaseType_t* woken) {
    not_woken(woken);
    return take(*semaphore, nullptr, 0, true);
}
BaseType_t xSemaphoreGiveFromISR(SemaphoreHandle_t semaphore, BaseType_t* woken) {
    not_woken(woken);
    return xSemaphoreGive(semaphore);
}
UBaseType_t uxSemaphoreGetCount(SemaphoreHandle_t semaphore) { return uxQueueMessagesWaiting(semaphore); }
TaskHandle_t xSemaphoreGetMutexHolder(SemaphoreHandle_t mutex) {
    const std::lock_guard lock(mutex->mutex);
    return mutex->holder;
}
