// start, stop, close, destroy, register and unregister from random threads and handlers. The seed decides what each
// thread does; the system decides how it falls out. Nothing may hang, crash or race (the sanitizers look on).
#include <array>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "recorder.hpp"
#include "scripted_server.hpp"

namespace tern::esp::test {
namespace {

using interop::frame;
using interop::Peer;
using interop::ScriptedServer;

/// What a server can be like; each connection draws one.
void moody(Peer& peer, unsigned mood) {
    if (mood % 7 == 0) return;
    if (mood % 7 == 1) {
        peer.read_request();
        peer.send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
        return;
    }
    if (!peer.upgrade()) return;
    if (mood % 7 == 2) {
        peer.send(interop::close_frame(1000));
    } else if (mood % 7 == 3) {
        peer.send(frame(1, "half").substr(0, 3));
    } else if (mood % 7 == 4) {
        return peer.reset();
    }
    for (int i = 0; i < 3; ++i) {
        if (!peer.send(frame(1, "text"))) return;
    }
    while (const auto read = peer.read_frame()) {
        if (!peer.send(frame(read->opcode == 9 ? 10 : read->opcode, read->payload, read->fin))) return;
        if (read->opcode == 8) return;
    }
}

struct Life {
    explicit Life(unsigned seed) : random(seed) {}

    unsigned draw(unsigned below) {
        const std::lock_guard lock(mutex);
        return static_cast<unsigned>(random() % below);
    }
    void act(bool inside);

    std::mutex mutex;
    std::minstd_rand random;
    esp_websocket_client_handle_t client = nullptr;
    std::atomic<bool> over = false;
    std::atomic<int> events = 0;
};

void extra(void* argument, esp_event_base_t /*base*/, std::int32_t /*id*/, void* /*data*/) {
    ++static_cast<Life*>(argument)->events;
}

void on_event(void* argument, esp_event_base_t /*base*/, std::int32_t /*id*/, void* /*data*/) {
    auto& life = *static_cast<Life*>(argument);
    ++life.events;
    if (life.draw(4) == 0) life.act(true);
}

void Life::act(bool inside) {
    switch (draw(inside ? 9 : 10)) {
        case 0: esp_websocket_client_start(client); break;
        case 1: esp_websocket_client_stop(client); break;
        case 2: esp_websocket_client_close(client, draw(3)); break;
        case 3: esp_websocket_register_events(client, WEBSOCKET_EVENT_ANY, extra, this); break;
        case 4: esp_websocket_unregister_events(client, WEBSOCKET_EVENT_ANY, extra); break;
        case 5: esp_websocket_client_send_text(client, "hello", 5, draw(2)); break;
        case 6: esp_websocket_client_set_reconnect_timeout(client, 1 + static_cast<int>(draw(3))); break;
        case 7:
            if (draw(6) == 0) esp_websocket_client_destroy(client);
            break;
        case 8:
            if (draw(6) == 0) esp_websocket_client_destroy_on_exit(client);
            break;
        default: std::this_thread::yield();
    }
}

void live(unsigned seed, const std::string& url) {
    // A destroy inside a handler does not wait for that handler, which has the life as its argument: lives are kept.
    static auto* const lives = new std::vector<std::unique_ptr<Life>>;
    Life& life = *lives->emplace_back(std::make_unique<Life>(seed));
    esp_websocket_client_config_t config{};
    config.uri = url.c_str();
    config.network_timeout_ms = 10'000;
    config.reconnect_timeout_ms = 1;
    config.enable_close_reconnect = life.draw(2) == 0;
    config.disable_auto_reconnect = life.draw(3) == 0;
    life.client = esp_websocket_client_init(&config);
    ASSERT_NE(life.client, nullptr);
    esp_websocket_register_events(life.client, WEBSOCKET_EVENT_ANY, on_event, &life);
    esp_websocket_client_start(life.client);
    std::array<std::thread, 3> threads;
    for (std::thread& thread : threads) {
        thread = std::thread([&] {
            for (int i = 0; i < 6; ++i) life.act(false);
        });
    }
    for (std::thread& thread : threads) thread.join();
    esp_websocket_client_destroy(life.client);
}

TEST(Stress, RandomCallsFromEverywhere) {
    const char* wanted = std::getenv("TERN_ESP_SEEDS");
    const unsigned seeds = wanted != nullptr ? static_cast<unsigned>(std::atoi(wanted)) : 1000;
    constexpr unsigned per_server = 100;  // a server keeps the threads of its scripts
    for (unsigned seed = 0; seed < seeds; seed += per_server) {
        std::atomic<unsigned> mood = seed;
        ScriptedServer server([&](Peer& peer) { moody(peer, mood++); });
        for (unsigned each = seed; each < std::min(seed + per_server, seeds); ++each) {
            SCOPED_TRACE("seed " + std::to_string(each));
            live(each, server.url());
            if (::testing::Test::HasFatalFailure()) return;
        }
    }
}

}  // namespace
}  // namespace tern::esp::test
