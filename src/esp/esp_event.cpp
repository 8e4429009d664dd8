#include "esp_event.h"

#include <cstring>
#include <deque>
#include <pthread.h>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "handlers.hpp"
#include "signals.hpp"

using tern::esp::Clock;
using tern::esp::Handlers;

namespace {

constexpr std::int32_t default_queue = 32;

struct Posted {
    esp_event_base_t base = nullptr;
    std::int32_t id = 0;
    bool has_data = false;
    std::vector<std::byte> data;
};

class Loop {
public:
    explicit Loop(const esp_event_loop_args_t& arguments)
        : size_(arguments.queue_size > 0 ? static_cast<std::size_t>(arguments.queue_size) : 1u),
          has_thread_(arguments.task_name != nullptr),
          name_(has_thread_ ? arguments.task_name : "") {}

    [[nodiscard]] bool has_thread() const { return has_thread_; }
    Handlers& handlers() { return handlers_; }

    esp_err_t post(esp_event_base_t base, std::int32_t id, const void* data, std::size_t size, TickType_t ticks) {
        if (base == nullptr || id == ESP_EVENT_ANY_ID) return ESP_ERR_INVALID_ARG;
        Posted posted{.base = base, .id = id, .has_data = data != nullptr && size > 0, .data = {}};
        if (posted.has_data) {
            posted.data.resize(size);
            std::memcpy(posted.data.data(), data, size);
        }
        std::unique_lock lock(mutex_);
        const bool own = std::this_thread::get_id() == runner_;
        const auto room = [this] { return queue_.size() < size_ || ended_; };
        if (!tern::esp::wait_until(changed_, lock, own ? Clock::now() : tern::esp::after(ticks), room)) {
            return ESP_ERR_TIMEOUT;
        }
        if (ended_) return ESP_ERR_INVALID_STATE;
        queue_.push_back(std::move(posted));
        changed_.notify_all();
        return ESP_OK;
    }

    /// Delivers until then, or until the loop is ended.
    void run(Clock::time_point until) {
        std::unique_lock lock(mutex_);
        runner_ = std::this_thread::get_id();
        for (;;) {
            if (!tern::esp::wait_until(changed_, lock, until, [this] { return !queue_.empty() || ended_; })) break;
            if (ended_) break;
            Posted posted = std::move(queue_.front());
            queue_.pop_front();
            changed_.notify_all();
            lock.unlock();
            handlers_.call(posted.base, posted.id, posted.has_data ? posted.data.data() : nullptr);
            lock.lock();
        }
        runner_ = {};
        idle_ = true;
        changed_.notify_all();
    }

    bool begin(const std::shared_ptr<Loop>& self) {
        const tern::esp::SignalsBlocked blocked;
        idle_ = false;
        try {
            std::thread([self] {
                pthread_setname_np(pthread_self(), self->name_.substr(0, 15).c_str());
                self->run(Clock::time_point::max());
            }).detach();
        } catch (const std::system_error&) {
            return false;
        }
        return true;
    }

    void end() {
        handlers_.mute();
        std::unique_lock lock(mutex_);
        ended_ = true;
        changed_.notify_all();
        if (!Handlers::inside()) changed_.wait(lock, [this] { return idle_; });
    }

private:
    const std::size_t size_;
    const bool has_thread_;
    const std::string name_;
    Handlers handlers_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Posted> queue_;
    std::thread::id runner_;
    bool idle_ = true;  ///< No thread is in `run`.
    bool ended_ = false;
};

using Shared = std::shared_ptr<Loop>;

std::mutex& default_mutex() {
    static auto* const mutex = new std::mutex;
    return *mutex;
}
Shared& default_slot() {
    static auto* const loop = new Shared;
    return *loop;
}
Shared default_loop() {
    const std::lock_guard lock(default_mutex());
    return default_slot();
}

/// A handle is a shared pointer in a box.
Shared loop_of(esp_event_loop_handle_t handle) { return handle != nullptr ? *static_cast<Shared*>(handle) : nullptr; }

esp_err_t add(const Shared& loop, esp_event_base_t base, std::int32_t id, esp_event_handler_t function, void* argument,
              esp_event_handler_instance_t* instance, bool replace, esp_err_t without_loop) {
    if (loop == nullptr) return without_loop;
    if (function == nullptr || (base == nullptr && id != ESP_EVENT_ANY_ID)) return ESP_ERR_INVALID_ARG;
    const auto handler = loop->handlers().add(base, id, function, argument, replace);
    if (instance != nullptr) *instance = handler.get();
    return ESP_OK;
}

}  // namespace

esp_err_t esp_event_loop_create(const esp_event_loop_args_t* event_loop_args, esp_event_loop_handle_t* event_loop) {
    if (event_loop_args == nullptr || event_loop == nullptr) return ESP_ERR_INVALID_ARG;
    auto loop = std::make_shared<Loop>(*event_loop_args);
    if (loop->has_thread() && !loop->begin(loop)) return ESP_FAIL;
    *event_loop = new Shared(std::move(loop));
    return ESP_OK;
}

esp_err_t esp_event_loop_delete(esp_event_loop_handle_t event_loop) {
    if (event_loop == nullptr) return ESP_ERR_INVALID_ARG;
    const std::unique_ptr<Shared> box(static_cast<Shared*>(event_loop));
    (*box)->end();
    return ESP_OK;
}

esp_err_t esp_event_loop_create_default() {
    const std::lock_guard lock(default_mutex());
    if (default_slot() != nullptr) return ESP_ERR_INVALID_STATE;
    const esp_event_loop_args_t arguments{.queue_size = default_queue,
                                          .task_name = "sys_evt",
                                          .task_priority = 20,
                                          .task_stack_size = 2304,
                                          .task_core_id = 0};
    auto loop = std::make_shared<Loop>(arguments);
    if (!loop->begin(loop)) return ESP_FAIL;
    default_slot() = std::move(loop);
    return ESP_OK;
}

esp_err_t esp_event_loop_delete_default() {
    Shared loop;
    {
        const std::lock_guard lock(default_mutex());
        loop.swap(default_slot());
    }
    if (loop == nullptr) return ESP_ERR_INVALID_STATE;
    loop->end();
    return ESP_OK;
}

esp_err_t esp_event_loop_run(esp_event_loop_handle_t event_loop, TickType_t ticks_to_run) {
    const Shared loop = loop_of(event_loop);
    if (loop == nullptr) return ESP_ERR_INVALID_ARG;
    if (loop->has_thread()) return ESP_ERR_INVALID_STATE;
    loop->run(tern::esp::after(ticks_to_run));
    return ESP_OK;
}

esp_err_t esp_event_handler_register(esp_event_base_t event_base, int32_t event_id, esp_event_handler_t event_handler,
                                     void* event_handler_arg) {
    return add(default_loop(), event_base, event_id, event_handler, event_handler_arg, nullptr, true,
               ESP_ERR_INVALID_STATE);
}
esp_err_t esp_event_handler_register_with(esp_event_loop_handle_t event_loop, esp_event_base_t event_base,
                                          int32_t event_id, esp_event_handler_t event_handler,
                                          void* event_handler_arg) {
    return add(loop_of(event_loop), event_base, event_id, event_handler, event_handler_arg, nullptr, true,
               ESP_ERR_INVALID_ARG);
}
esp_err_t esp_event_handler_instance_register(esp_event_base_t event_base, int32_t event_id,
                                              esp_event_handler_t event_handler, void* event_handler_arg,
                                              esp_event_handler_instance_t* instance) {
    return add(default_loop(), event_base, event_id, event_handler, event_handler_arg, instance, false,
               ESP_ERR_INVALID_STATE);
}
esp_err_t esp_event_handler_instance_register_with(esp_event_loop_handle_t event_loop, esp_event_base_t event_base,
                                                   int32_t event_id, esp_event_handler_t event_handler,
                                                   void* event_handler_arg, esp_event_handler_instance_t* instance) {
    return add(loop_of(event_loop), event_base, event_id, event_handler, event_handler_arg, instance, false,
               ESP_ERR_INVALID_ARG);
}

esp_err_t esp_event_handler_unregister(esp_event_base_t event_base, int32_t event_id,
                                       esp_event_handler_t event_handler) {
    const Shared loop = default_loop();
    if (loop == nullptr) return ESP_ERR_INVALID_STATE;
    return loop->handlers().remove(event_base, event_id, event_handler) ? ESP_OK : ESP_ERR_NOT_FOUND;
}
esp_err_t esp_event_handler_unregister_with(esp_event_loop_handle_t event_loop, esp_event_base_t event_base,
                                            int32_t event_id, esp_event_handler_t event_handler) {
    const Shared loop = loop_of(event_loop);
    if (loop == nullptr) return ESP_ERR_INVALID_ARG;
    return loop->handlers().remove(event_base, event_id, event_handler) ? ESP_OK : ESP_ERR_NOT_FOUND;
}
esp_err_t esp_event_handler_instance_unregister(esp_event_base_t /*event_base*/, int32_t /*event_id*/,
                                                esp_event_handler_instance_t instance) {
    const Shared loop = default_loop();
    if (loop == nullptr) return ESP_ERR_INVALID_STATE;
    return loop->handlers().remove(instance) ? ESP_OK : ESP_ERR_NOT_FOUND;
}
esp_err_t esp_event_handler_instance_unregister_with(esp_event_loop_handle_t event_loop,
                                                     esp_event_base_t /*event_base*/, int32_t /*event_id*/,
                                                     esp_event_handler_instance_t instance) {
    const Shared loop = loop_of(event_loop);
    if (loop == nullptr) return ESP_ERR_INVALID_ARG;
    return loop->handlers().remove(instance) ? ESP_OK : ESP_ERR_NOT_FOUND;
}

esp_err_t esp_event_post(esp_event_base_t event_base, int32_t event_id, const void* event_data, size_t event_data_size,
                         TickType_t ticks_to_wait) {
    const Shared loop = default_loop();
    if (loop == nullptr) return ESP_ERR_INVALID_STATE;
    return loop->post(event_base, event_id, event_data, event_data_size, ticks_to_wait);
}
esp_err_t esp_event_post_to(esp_event_loop_handle_t event_loop, esp_event_base_t event_base, int32_t event_id,
                            const void* event_data, size_t event_data_size, TickType_t ticks_to_wait) {
    const Shared loop = loop_of(event_loop);
    if (loop == nullptr) return ESP_ERR_INVALID_ARG;
    return loop->post(event_base, event_id, event_data, event_data_size, ticks_to_wait);
}
esp_err_t esp_event_isr_post(esp_event_base_t event_base, int32_t event_id, const void* event_data,
                             size_t event_data_size, BaseType_t* task_unblocked) {
    if (task_unblocked != nullptr) *task_unblocked = pdFALSE;
    return esp_event_post(event_base, event_id, event_data, event_data_size, 0);
}
esp_err_t esp_event_isr_post_to(esp_event_loop_handle_t event_loop, esp_event_base_t event_base, int32_t event_id,
                                const void* event_data, size_t event_data_size, BaseType_t* task_unblocked) {
    if (task_unblocked != nullptr) *task_unblocked = pdFALSE;
    return esp_event_post_to(event_loop, event_base, event_id, event_data, event_data_size, 0);
}
