// Espressif's API on tern. Its documentation has no advice for speed but a larger buffer; messages are sent by the main
// task, because that is how its programs do it. What Espressif's own client costs on a device is not comparable.
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <string>
#include <utility>

#include "esp_event.h"
#include "esp_websocket_client.h"
#include "task.hpp"

namespace {

using Step = bench::Course::Step;

/// The steps that the handler has for the main task.
class Steps {
public:
    void put(Step step) {
        const std::lock_guard lock(mutex_);
        step_ = step;
        there_ = true;
        changed_.notify_one();
    }
    Step take() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return there_; });
        there_ = false;
        return step_;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    Step step_ = Step::wait;
    bool there_ = false;
};

struct Player {
    explicit Player(const bench::Task& task) : course(task) {}
    bench::Course course;
    Steps steps;
    std::size_t size = 0;  ///< Of the message that is coming.
};

void on_event(void* argument, esp_event_base_t, int32_t id, void* data) {
    Player& player = *static_cast<Player*>(argument);
    const auto& event = *static_cast<esp_websocket_event_data_t*>(data);
    if (id == WEBSOCKET_EVENT_CONNECTED) return player.steps.put(player.course.opened());
    if (id == WEBSOCKET_EVENT_ERROR) bench::fail("WEBSOCKET_EVENT_ERROR");
    if (id != WEBSOCKET_EVENT_DATA || event.op_code > 2) return;
    player.size += static_cast<std::size_t>(event.data_len);
    if (!event.fin || event.payload_offset + event.data_len < event.payload_len) return;
    const Step step = player.course.received(std::exchange(player.size, 0));
    if (step != Step::wait) player.steps.put(step);
}

}  // namespace

int main(int argc, char** argv) {
    const bench::Task task = bench::parse(argc, argv);
    if (task.row == "idle" || task.row == "connect" || task.connections > 1 || task.kind == "deflate" || task.spin) {
        bench::unsupported("this row");
    }
    const std::string url = task.url();
    esp_websocket_client_config_t config{};
    config.uri = url.c_str();
    config.buffer_size = 16 << 10;
    config.disable_auto_reconnect = true;
    const esp_websocket_client_handle_t client = esp_websocket_client_init(&config);
    Player player(task);
    esp_websocket_register_events(client, WEBSOCKET_EVENT_ANY, on_event, &player);
    if (client == nullptr || esp_websocket_client_start(client) != ESP_OK) bench::fail("start");
    const std::string payload = task.payload();
    const auto send = [&](bool text, const std::string& bytes) {
        const auto size = static_cast<int>(bytes.size());
        const int sent = text ? esp_websocket_client_send_text(client, bytes.data(), size, portMAX_DELAY)
                              : esp_websocket_client_send_bin(client, bytes.data(), size, portMAX_DELAY);
        if (sent != size) bench::fail("send");
    };
    for (;;) {
        const Step step = player.steps.take();
        if (step == Step::done) break;
        if (step == Step::ask) send(true, player.course.command());
        const std::uint64_t messages = step == Step::ask ? player.course.to_send() : 1;
        for (std::uint64_t i = 0; i < messages; ++i) send(false, payload);
    }
    player.course.report();
    std::_Exit(0);
}
