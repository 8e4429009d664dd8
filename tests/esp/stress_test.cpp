// start, stop, close, destroy, register and unregister from random threads and handlers. The seed decides what each
// thread does; the system decides how it falls out. Nothing may hang, crash or race (the sanitizers look on). The seeds
// are printed as they begin, so the last number is the one that failed; TERN_ESP_SEED=n runs that one again and again,
// TERN_ESP_SEEDS=n so many of them.
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "recorder.hpp"
#include "scripted_server.hpp"
#include "tern_esp_ext.h"

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

/// What one thread, or the handlers, will do.
class Plan {
public:
    explicit Plan(unsigned seed) : random_(seed) { random_.discard(10); }
    unsigned draw(unsigned below) { return static_cast<unsigned>(random_() % below); }

private:
    std::minstd_rand random_;
};

struct Life {
    explicit Life(unsigned seed) : handlers(4 * seed + 1) {}

    void act(Plan& plan, bool inside) const;

    std::mutex mutex;
    Plan handlers;  ///< Under the lock: they run on any thread.
    esp_websocket_client_handle_t client = nullptr;
    std::atomic<int> events = 0;
};

std::atomic<int> extra_events = 0;

void extra(void* /*argument*/, esp_event_base_t /*base*/, std::int32_t /*id*/, void* /*data*/) { ++extra_events; }

void on_event(void* argument, esp_event_base_t /*base*/, std::int32_t /*id*/, void* /*data*/) {
    auto& life = *static_cast<Life*>(argument);
    ++life.events;
    Plan plan{0};
    {
        const std::lock_guard lock(life.mutex);
        if (life.handlers.draw(4) != 0) return;
        plan = Plan(life.handlers.draw(1u << 30u));
    }
    life.act(plan, true);
}

void Life::act(Plan& plan, bool inside) const {
    const auto draw = [&](unsigned below) { return plan.draw(below); };
    switch (draw(inside ? 10 : 11)) {
        case 0: esp_websocket_client_start(client); break;
        case 1: esp_websocket_client_stop(client); break;
        case 2: esp_websocket_client_close(client, draw(3)); break;
        case 3: esp_websocket_register_events(client, WEBSOCKET_EVENT_ANY, extra, nullptr); break;
        case 4: esp_websocket_unregister_events(client, WEBSOCKET_EVENT_ANY, extra); break;
        case 5: esp_websocket_client_send_text(client, "hello", 5, draw(2)); break;
        case 6: esp_websocket_client_set_reconnect_timeout(client, 1 + static_cast<int>(draw(3))); break;
        case 7:
            if (draw(6) == 0) esp_websocket_client_destroy(client);
            break;
        case 8:
            if (draw(6) == 0) esp_websocket_client_destroy_on_exit(client);
            break;
        case 9: tern_esp_begin_stop(client); break;
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
    Plan plan(4 * seed);
    config.enable_close_reconnect = plan.draw(2) == 0;
    config.disable_auto_reconnect = plan.draw(3) == 0;
    config.task_core_id_set = plan.draw(4) == 0;
    life.client = esp_websocket_client_init(&config);
    ASSERT_NE(life.client, nullptr);
    esp_websocket_register_events(life.client, WEBSOCKET_EVENT_ANY, on_event, &life);
    esp_websocket_client_start(life.client);
    std::array<std::thread, 3> threads;
    unsigned number = 4 * seed + 2;
    for (std::thread& thread : threads) {
        thread = std::thread([&life, number] {
            Plan own(number * 7);
            for (int i = 0; i < 6; ++i) life.act(own, false);
        });
        ++number;
    }
    for (std::thread& thread : threads) thread.join();
    esp_websocket_client_destroy(life.client);
}

unsigned number_of(const char* name, unsigned otherwise) {
    const char* value = std::getenv(name);
    return value != nullptr ? static_cast<unsigned>(std::atoi(value)) : otherwise;
}

TEST(Stress, RandomCallsFromEverywhere) {
    const bool one = std::getenv("TERN_ESP_SEED") != nullptr;
    const unsigned only = number_of("TERN_ESP_SEED", 0);
    const unsigned runs = number_of("TERN_ESP_SEEDS", 1000);
    constexpr unsigned per_server = 100;  // a server keeps the threads of its scripts
    for (unsigned first = 0; first < runs; first += per_server) {
        std::atomic<unsigned> mood = 0;
        ScriptedServer server([&](Peer& peer) { moody(peer, mood++); });
        for (unsigned run = first; run < std::min(first + per_server, runs); ++run) {
            const unsigned seed = one ? only : run;
            std::fprintf(stderr, "%u ", seed);
            SCOPED_TRACE("TERN_ESP_SEED=" + std::to_string(seed));
            mood = seed;
            live(seed, server.url());
            if (::testing::Test::HasFailure()) return;
        }
    }
    std::fprintf(stderr, "\n");
}

}  // namespace
}  // namespace tern::esp::test
