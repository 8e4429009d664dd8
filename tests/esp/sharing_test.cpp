// Clients that share threads: whose handler runs where, and that a handler which takes its time keeps nobody else from
// sending and ending. And the end of a program while clients run.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <future>
#include <latch>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "recorder.hpp"
#include "scripted_server.hpp"
#include "server_process.hpp"

namespace tern::esp::test {
namespace {

using interop::frame;
using interop::Peer;
using interop::ScriptedServer;
using Config = esp_websocket_client_config_t;
using Names = std::vector<std::string>;

void echo(Peer& peer) {
    if (!peer.upgrade()) return;
    while (const auto read = peer.read_frame()) {
        if (!peer.send(frame(read->opcode == 9 ? 10 : read->opcode, read->payload, read->fin))) return;
        if (read->opcode == 8) return;
    }
}

/// Connected clients; more than there are shared threads.
class Sharing : public ::testing::Test {
protected:
    void connect(std::size_t count, const std::function<void(Config&)>& prepare = {}) {
        for (std::size_t i = 0; i < count; ++i) {
            auto& client = clients_.emplace_back(std::make_unique<Recorder>(server_.url(), prepare));
            client->also = [this](const Seen& seen) {
                if (seen.id == WEBSOCKET_EVENT_CONNECTED) note_thread();
                if (seen.id == WEBSOCKET_EVENT_DATA && seen.text == "block") released_.wait();
            };
            ASSERT_EQ(client->start(), ESP_OK);
        }
        std::unique_lock lock(mutex_);
        ASSERT_TRUE(changed_.wait_for(lock, patience, [&] { return noted_ >= count; }));
    }
    void note_thread() {
        const std::lock_guard lock(mutex_);
        threads_.insert(std::this_thread::get_id());
        ++noted_;
        changed_.notify_all();
    }
    /// The handler of that client does not return until `release_` is set.
    void block(std::size_t which) {
        EXPECT_EQ(esp_websocket_client_send_text(handle(which), "block", 5, portMAX_DELAY), 5);
        ASSERT_TRUE(clients_[which]->wait_for(WEBSOCKET_EVENT_DATA));
    }
    [[nodiscard]] esp_websocket_client_handle_t handle(std::size_t which) const { return clients_[which]->handle; }
    [[nodiscard]] Names last_two(std::size_t which) const {
        const Names names = clients_[which]->names();
        return {names.end() - 2, names.end()};
    }

    ScriptedServer server_{echo};
    std::promise<void> release_;
    std::shared_future<void> released_ = release_.get_future().share();
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t noted_ = 0;
    std::set<std::thread::id> threads_;
    std::vector<std::unique_ptr<Recorder>> clients_;
};

TEST_F(Sharing, ManyClientsHaveFewThreads) {
    connect(20);
    EXPECT_LE(threads_.size(), static_cast<std::size_t>(CONFIG_TERN_ESP_SHARED_TASKS));
    EXPECT_GT(threads_.size(), 1u);
}

TEST_F(Sharing, WhoAsksForATaskHasOne) {
    connect(6, [](Config& config) { config.task_core_id_set = true; });
    EXPECT_EQ(threads_.size(), 6u);
}

TEST_F(Sharing, AHandlerThatBlocksKeepsNobodyElseFromSendingAndEnding) {
    connect(16);
    block(0);
    for (std::size_t i = 1; i < clients_.size(); ++i) {
        EXPECT_EQ(esp_websocket_client_send_text(handle(i), "hello", 5, pdMS_TO_TICKS(1000)), 5) << i;
    }
    // Those of the same thread are ended by the thread that asks for it.
    for (std::size_t i = 1; i < 6; ++i) {
        EXPECT_EQ(esp_websocket_client_stop(handle(i)), ESP_OK) << i;
        EXPECT_EQ(last_two(i), (Names{"DISCONNECTED", "FINISH"})) << i;
    }
    for (std::size_t i = 6; i < 11; ++i) {
        EXPECT_EQ(esp_websocket_client_close(handle(i), pdMS_TO_TICKS(300)), ESP_OK) << i;
        const std::string before = last_two(i).front();
        EXPECT_TRUE(before == "CLOSED" || before == "DISCONNECTED") << i;
        EXPECT_EQ(last_two(i).back(), "FINISH") << i;
    }
    for (std::size_t i = 11; i < clients_.size(); ++i) {
        EXPECT_EQ(esp_websocket_client_destroy(handle(i)), ESP_OK) << i;
        EXPECT_EQ(last_two(i), (Names{"DISCONNECTED", "FINISH"})) << i;
    }
    EXPECT_EQ(clients_[0]->count(WEBSOCKET_EVENT_FINISH), 0u);
    release_.set_value();
    // They begin again as ever, and nothing of the life before comes late.
    for (std::size_t i = 1; i < 11; ++i) {
        ASSERT_EQ(clients_[i]->start(), ESP_OK) << i;
        ASSERT_TRUE(clients_[i]->wait_for(WEBSOCKET_EVENT_CONNECTED, 2)) << i;
        EXPECT_EQ(clients_[i]->count(WEBSOCKET_EVENT_FINISH), 1u) << i;
        EXPECT_EQ(clients_[i]->count(WEBSOCKET_EVENT_BEGIN), 2u) << i;
    }
}

TEST_F(Sharing, AStartBehindABlockedHandlerCanBeStopped) {
    connect(CONFIG_TERN_ESP_SHARED_TASKS);
    for (std::size_t i = 0; i < clients_.size(); ++i) block(i);
    Recorder late(server_.url());
    ASSERT_EQ(late.start(), ESP_OK);
    EXPECT_EQ(esp_websocket_client_stop(late.handle), ESP_OK);
    EXPECT_EQ(late.names(), (Names{"BEGIN", "FINISH"}));
    release_.set_value();
    ASSERT_EQ(late.start(), ESP_OK);
    EXPECT_TRUE(late.wait_for(WEBSOCKET_EVENT_CONNECTED));
}

TEST_F(Sharing, AHeldUpThreadIsNoMissingPong) {
    connect(8, [](Config& config) {
        config.ping_interval_sec = 1;
        config.pingpong_timeout_sec = 1;
    });
    block(0);
    // Longer than a ping and the deadline of its pong, which nobody can read meanwhile.
    std::this_thread::sleep_for(2500ms);
    release_.set_value();
    for (const auto& client : clients_) {
        ASSERT_EQ(esp_websocket_client_send_text(client->handle, "after", 5, portMAX_DELAY), 5);
    }
    // What the server has answered came behind the pong.
    for (const auto& client : clients_) {
        while (client->last(WEBSOCKET_EVENT_DATA).text != "after" && client->count(WEBSOCKET_EVENT_FINISH) == 0) {
            std::this_thread::sleep_for(1ms);
        }
        EXPECT_EQ(client->count(WEBSOCKET_EVENT_DISCONNECTED), 0u);
    }
}

/// Each waits for the other in its handler, and destroys it.
TEST(Destroying, HandlersThatDestroyEachOthersClients) {
    ScriptedServer server(echo);
    for (const bool own_task : {false, true}) {
        auto latch = std::make_shared<std::latch>(2);
        std::atomic<int> destroyed = 0;
        std::vector<std::unique_ptr<Recorder>> two;
        for (int i = 0; i < 2; ++i) {
            two.push_back(std::make_unique<Recorder>(server.url(), [&](Config& c) { c.task_core_id_set = own_task; }));
        }
        for (const std::size_t i : {0u, 1u}) {
            two[i]->also = [&destroyed, latch, other = two[1 - i]->handle](const Seen& seen) {
                if (seen.id != WEBSOCKET_EVENT_CONNECTED) return;
                latch->arrive_and_wait();
                EXPECT_EQ(esp_websocket_client_destroy(other), ESP_OK);
                ++destroyed;
            };
        }
        for (const auto& each : two) ASSERT_EQ(each->start(), ESP_OK);
        const auto until = std::chrono::steady_clock::now() + patience;
        while (destroyed < 2 && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(1ms);
        EXPECT_EQ(destroyed, 2);
    }
}

// --- the end of the program ----------------------------------------------------------------------------------------

/// Runs clients in a process of its own, which ends while they are running: connected, connecting and waiting.
void end_with_clients(const std::string& uri, bool own_task, const std::function<void()>& end) {
    std::vector<std::unique_ptr<Recorder>> clients;
    for (int i = 0; i < 8; ++i) {
        clients.push_back(std::make_unique<Recorder>(uri, [&](Config& c) { c.task_core_id_set = own_task; }));
        if (clients.back()->start() != ESP_OK) std::_Exit(3);
    }
    for (const auto& each : clients) {
        if (!each->wait_for(WEBSOCKET_EVENT_CONNECTED)) std::_Exit(4);
    }
    Recorder waiting("ws://127.0.0.1:1/", [](Config& config) { config.disable_auto_reconnect = false; });
    if (waiting.start() != ESP_OK || !waiting.wait_for(WEBSOCKET_EVENT_DISCONNECTED)) std::_Exit(5);
    Recorder connecting(uri);
    if (connecting.start() != ESP_OK) std::_Exit(6);
    end();
}

class Exit : public ::testing::TestWithParam<bool> {
protected:
    Exit() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
    /// The process that ends runs this test again up to there; it must not start another server.
    static std::string uri(const char* scheme, std::unique_ptr<interop::ServerProcess>& server,
                           const std::vector<std::string>& command) {
        constexpr const char* name = "TERN_EXIT_TEST_URI";
        if (const char* known = std::getenv(name)) return known;
        server = std::make_unique<interop::ServerProcess>(command);
        const std::string uri = std::string(scheme) + "://127.0.0.1:" + std::to_string(server->read_port()) + "/";
        setenv(name, uri.c_str(), 1);
        return uri;
    }
    void TearDown() override { unsetenv("TERN_EXIT_TEST_URI"); }
};

TEST_P(Exit, WithClientsThatRun) {
    std::unique_ptr<interop::ServerProcess> server;
    const std::string address = uri("ws", server, {TERN_COMMAND, "echo", "--port", "0"});
    EXPECT_EXIT(end_with_clients(address, GetParam(), [] { std::exit(0); }), ::testing::ExitedWithCode(0), "");
}

TEST_P(Exit, WithClientsThatRunOverTls) {
    std::unique_ptr<interop::ServerProcess> server;
    const std::string address = uri("wss", server,
                                    {"/usr/bin/python3", TERN_SERVERS "/websockets_server.py",
                                     TERN_TEST_AUTHORITY "/good.pem", TERN_TEST_AUTHORITY "/good.key"});
    EXPECT_EXIT(end_with_clients(address, GetParam(), [] { std::exit(0); }), ::testing::ExitedWithCode(0), "");
}

TEST_P(Exit, InsideAHandler) {
    std::unique_ptr<interop::ServerProcess> server;
    const std::string address = uri("ws", server, {TERN_COMMAND, "echo", "--port", "0"});
    const auto end = [&] {
        Recorder last(address, [&](Config& config) { config.task_core_id_set = GetParam(); });
        last.also = [](const Seen& seen) {
            if (seen.id == WEBSOCKET_EVENT_CONNECTED) std::exit(0);
        };
        last.start();
        std::this_thread::sleep_for(patience);
    };
    EXPECT_EXIT(end_with_clients(address, GetParam(), end), ::testing::ExitedWithCode(0), "");
}

INSTANTIATE_TEST_SUITE_P(Threads, Exit, ::testing::Bool(),
                         [](const auto& instance) { return instance.param ? "own" : "shared"; });

}  // namespace
}  // namespace tern::esp::test
