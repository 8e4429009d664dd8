#include "freertos/event_groups.h"

#include <list>
#include <memory>
#include <new>

#include "task.hpp"

namespace {

struct Waiter {
    EventBits_t bits = 0;
    bool clear = false;
    bool all = false;
    bool woken = false;
    EventBits_t seen = 0;
};

struct Group {
    std::mutex mutex;
    std::condition_variable changed;
    EventBits_t bits = 0;
    bool deleted = false;
    std::list<Waiter*> waiters;
};

constexpr EventBits_t usable = 0x00ffffffU;

bool met(EventBits_t bits, EventBits_t wanted, bool all) {
    return all ? (bits & wanted) == wanted : (bits & wanted) != 0;
}

/// As FreeRTOS does it: all waiters are judged by the same bits, and what they clear is cleared afterwards.
EventBits_t set(Group& group, EventBits_t bits) {
    group.bits |= bits & usable;
    EventBits_t cleared = 0;
    std::erase_if(group.waiters, [&](Waiter* waiter) {
        if (!met(group.bits, waiter->bits, waiter->all)) return false;
        waiter->woken = true;
        waiter->seen = group.bits;
        if (waiter->clear) cleared |= waiter->bits;
        return true;
    });
    group.bits &= ~cleared;
    group.changed.notify_all();
    return group.bits;
}

EventBits_t wait(Group& group, std::unique_lock<std::mutex>& lock, Waiter waiter, TickType_t ticks) {
    if (met(group.bits, waiter.bits, waiter.all)) {
        const EventBits_t seen = group.bits;
        if (waiter.clear) group.bits &= ~waiter.bits;
        return seen;
    }
    if (ticks == 0) return group.bits;
    const auto place = group.waiters.insert(group.waiters.end(), &waiter);
    tern::esp::wait_until(group.changed, lock, tern::esp::after(ticks), [&] { return waiter.woken || group.deleted; });
    if (waiter.woken) return waiter.seen;
    group.waiters.erase(place);
    return group.bits;
}

}  // namespace

/// Shared with those who wait, so that the group can be deleted meanwhile.
struct EventGroupDef_t {
    std::shared_ptr<Group> group = std::make_shared<Group>();
};

EventGroupHandle_t xEventGroupCreate() { return new (std::nothrow) EventGroupDef_t; }
EventGroupHandle_t xEventGroupCreateStatic(StaticEventGroup_t* /*memory*/) { return xEventGroupCreate(); }

void vEventGroupDelete(EventGroupHandle_t handle) {
    {
        const std::lock_guard lock(handle->group->mutex);
        handle->group->deleted = true;
        handle->group->changed.notify_all();
    }
    delete handle;
}

EventBits_t xEventGroupSetBits(EventGroupHandle_t handle, EventBits_t bits) {
    const std::lock_guard lock(handle->group->mutex);
    return set(*handle->group, bits);
}

EventBits_t xEventGroupClearBits(EventGroupHandle_t handle, EventBits_t bits) {
    const std::lock_guard lock(handle->group->mutex);
    const EventBits_t before = handle->group->bits;
    handle->group->bits &= ~bits;
    return before;
}

EventBits_t xEventGroupGetBits(EventGroupHandle_t handle) {
    const std::lock_guard lock(handle->group->mutex);
    return handle->group->bits;
}

EventBits_t xEventGroupWaitBits(EventGroupHandle_t handle, EventBits_t bits, BaseType_t clear_on_exit,
                                BaseType_t wait_for_all, TickType_t ticks) {
    if (ticks != 0) tern::esp::obey_other_tasks();
    const std::shared_ptr<Group> group = handle->group;
    std::unique_lock lock(group->mutex);
    return wait(*group, lock, {.bits = bits, .clear = clear_on_exit != pdFALSE, .all = wait_for_all != pdFALSE}, ticks);
}

EventBits_t xEventGroupSync(EventGroupHandle_t handle, EventBits_t bits, EventBits_t wait_for, TickType_t ticks) {
    if (ticks != 0) tern::esp::obey_other_tasks();
    const std::shared_ptr<Group> group = handle->group;
    std::unique_lock lock(group->mutex);
    const EventBits_t together = group->bits | (bits & usable);
    set(*group, bits);
    if (met(together, wait_for, true)) {
        group->bits &= ~wait_for;
        return together;
    }
    return wait(*group, lock, {.bits = wait_for, .clear = true, .all = true}, ticks);
}

BaseType_t xEventGroupSetBitsFromISR(EventGroupHandle_t group, EventBits_t bits, BaseType_t* woken) {
    if (woken != nullptr) *woken = pdFALSE;
    xEventGroupSetBits(group, bits);
    return pdPASS;
}
BaseType_t xEventGroupClearBitsFromISR(EventGroupHandle_t group, EventBits_t bits) {
    xEventGroupClearBits(group, bits);
    return pdPASS;
}
EventBits_t xEventGroupGetBitsFromISR(EventGroupHandle_t group) { return xEventGroupGetBits(group); }
