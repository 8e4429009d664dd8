// A thousand clients in one program: descriptors above 1024, and what each costs.
#include <condition_variable>
#include <malloc.h>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "recorder.hpp"
#include "server_process.hpp"

namespace tern::esp::test {
namespace {

struct Tally {
    std::mutex mutex;
    std::condition_variable changed;
    int connected = 0;
    int echoed = 0;

    static void note(void* argument, esp_event_base_t /*base*/, std::int32_t id, void* data) {
        auto& self = *static_cast<Tally*>(argument);
        const auto& event = *static_cast<esp_websocket_event_data_t*>(data);
        if (id == WEBSOCKET_EVENT_CONNECTED) esp_websocket_client_send_text(event.client, "hello", 5, 0);
        const std::lock_guard lock(self.mutex);
        self.connected += id == WEBSOCKET_EVENT_CONNECTED ? 1 : 0;
        self.echoed += id == WEBSOCKET_EVENT_DATA && event.data_len == 5 ? 1 : 0;
        self.changed.notify_all();
    }
};

TEST(Many, AThousandClients) {
    constexpr int count = 1000;
    rlimit limit{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 8 * count) GTEST_SKIP() << "the system allows too few descriptors";
    // The server is a program of its own, so that the heap is the clients'.
    interop::ServerProcess server({TERN_COMMAND, "echo", "--port", "0"});
    const std::string uri = "ws://127.0.0.1:" + std::to_string(server.read_port()) + "/";
    Tally tally;
    std::vector<esp_websocket_client_handle_t> clients;
    esp_websocket_client_config_t config{};
    config.uri = uri.c_str();
    config.network_timeout_ms = 60'000;
    const auto before = mallinfo2().uordblks;
    for (int i = 0; i < count; ++i) {
        auto* const client = esp_websocket_client_init(&config);
        ASSERT_NE(client, nullptr);
        ASSERT_EQ(esp_websocket_register_events(client, WEBSOCKET_EVENT_ANY, Tally::note, &tally), ESP_OK);
        ASSERT_EQ(esp_websocket_client_start(client), ESP_OK) << i;
        clients.push_back(client);
    }
    {
        std::unique_lock lock(tally.mutex);
        EXPECT_TRUE(tally.changed.wait_for(lock, 3 * patience, [&] { return tally.echoed >= count; }))
            << tally.connected << " connected, " << tally.echoed << " echoed";
    }
    RecordProperty("heap_bytes_each", std::to_string((mallinfo2().uordblks - before) / count));
    std::printf("heap of each client: %zu bytes\n", (mallinfo2().uordblks - before) / count);
    for (auto* const client : clients) EXPECT_EQ(esp_websocket_client_destroy(client), ESP_OK);
}

}  // namespace
}  // namespace tern::esp::test
