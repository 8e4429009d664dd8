// What a connected client that has nothing to do takes from the heap, counted by the allocator. No more than the
// reference does: 7.6 KB, measured with its buffers of 1 KiB (docs/espressif.md).
#include <atomic>
#include <cstdlib>
#include <malloc.h>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "recorder.hpp"
#include "server_process.hpp"

namespace {
std::atomic<std::size_t> live = 0;  ///< Bytes.

void* counted(void* memory) {
    if (memory == nullptr) std::abort();
    live += malloc_usable_size(memory) + sizeof(std::size_t);  // and the allocator's own word
    return memory;
}
void uncount(void* memory) noexcept {
    if (memory != nullptr) live -= malloc_usable_size(memory) + sizeof(std::size_t);
    std::free(memory);
}
std::size_t rounded(std::size_t size, std::size_t alignment) { return (size + alignment - 1) / alignment * alignment; }
}  // namespace

// All of the library's memory is from here, apart from that of received bytes, which an idle client has given back.
[[gnu::noinline]] void* operator new(std::size_t size) { return counted(std::malloc(size)); }
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t align) {
    const auto alignment = static_cast<std::size_t>(align);
    return counted(std::aligned_alloc(alignment, rounded(size, alignment)));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { uncount(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { uncount(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { uncount(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { uncount(memory); }

namespace tern::esp::test {
namespace {

std::atomic<int> connected = 0;
std::atomic<int> received = 0;

void count(void* /*argument*/, esp_event_base_t /*base*/, std::int32_t id, void* /*data*/) {
    connected += id == WEBSOCKET_EVENT_CONNECTED ? 1 : 0;
    received += id == WEBSOCKET_EVENT_DATA ? 1 : 0;
}

void wait_for(const std::atomic<int>& number, int value) {
    const auto until = std::chrono::steady_clock::now() + 3 * patience;
    while (number < value && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(1ms);
    ASSERT_GE(number, value);
}

/// Clients that are quiet give memory back after a while; until then, or for ever if they do not.
std::size_t settled(std::size_t before, std::size_t clients, std::size_t ceiling) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while ((live - before) / clients > ceiling && std::chrono::steady_clock::now() < until) {
        std::this_thread::sleep_for(10ms);
    }
    return (live - before) / clients;
}

TEST(Memory, AnIdleClientTakesNoMoreThanTheReferences) {
    constexpr std::size_t ceiling = 7'600;
    constexpr int clients = 200;
    interop::ServerProcess server({TERN_COMMAND, "echo", "--port", "0"});
    const std::string uri = "ws://127.0.0.1:" + std::to_string(server.read_port()) + "/";
    esp_websocket_client_config_t config{};
    config.uri = uri.c_str();
    std::vector<esp_websocket_client_handle_t> handles;
    const auto start_one = [&] {
        auto* const handle = esp_websocket_client_init(&config);
        ASSERT_EQ(esp_websocket_register_events(handle, WEBSOCKET_EVENT_ANY, count, nullptr), ESP_OK);
        ASSERT_EQ(esp_websocket_client_start(handle), ESP_OK);
        handles.push_back(handle);
        wait_for(connected, static_cast<int>(handles.size()));
    };
    handles.reserve(clients + 4);
    // The first ones pay for what all of them share.
    for (int i = 0; i < 4; ++i) start_one();
    std::this_thread::sleep_for(100ms);
    const std::size_t before = live;
    for (int i = 0; i < clients; ++i) start_one();
    const std::size_t silent = settled(before, clients, ceiling);
    EXPECT_LE(silent, ceiling);
    const std::string text(1000, 'x');
    for (auto* const handle : handles) ASSERT_EQ(esp_websocket_client_send_text(handle, text.data(), 1000, 100), 1000);
    wait_for(received, clients + 4);
    const std::size_t used = settled(before, clients, ceiling);
    EXPECT_LE(used, ceiling);
    std::printf("heap of a client: %zu bytes before, %zu after an echo of 1000 bytes\n", silent, used);
    for (auto* const handle : handles) EXPECT_EQ(esp_websocket_client_destroy(handle), ESP_OK);
    // All of it comes back, but for what lists that all share keep for the next ones.
    const std::size_t most = before + 100 * clients;
    EXPECT_LE(settled(0, 1, most), most);
}

}  // namespace
}  // namespace tern::esp::test
