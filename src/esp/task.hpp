// The inside of a task, for what waits.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>

#include "freertos/task.h"
#include "ticks.hpp"

/// One for each task that was created, and for each other thread that asked for its handle.
struct tskTaskControlBlock {
    std::mutex mutex;
    std::condition_variable changed;
    std::string name;
    UBaseType_t priority = 1;
    std::uint32_t stack_size = 0;
    BaseType_t core = tskNO_AFFINITY;
    bool created = false;  ///< By xTaskCreate, so that it can be deleted.
    bool delete_wanted = false;
    bool suspended = false;
    bool waiting = false;
    bool abort_wanted = false;
    bool notified = false;
    std::uint32_t notification = 0;
    TaskFunction_t function = nullptr;
    void* argument = nullptr;
};

namespace tern::esp {

/// Called by everything that may wait: ends or holds the calling task if another one has asked for that.
void obey_other_tasks();
/// Are tasks left that were created and have not ended?
[[nodiscard]] bool tasks_left();

}  // namespace tern::esp
