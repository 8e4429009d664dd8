// Many clients on one loop, and their ends in any order.
#include <tern/loop.hpp>

#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "scripted_server.hpp"
#include "watched_client.hpp"

namespace tern::interop {
namespace {

using namespace std::chrono_literals;

constexpr auto bearable = 20s;

/// Echoes messages, and answers Close frames.
void echo(Peer& peer) {
    if (!peer.upgrade()) return;
    while (const auto read = peer.read_frame()) {
        if (!peer.send(frame(read->opcode, read->payload)) || read->opcode == 8) return;
    }
}

bool comes(std::future<void>& future) { return future.wait_for(bearable) == std::future_status::ready; }

/// Counts to zero; then somebody waits no more.
class Countdown {
public:
    explicit Countdown(int count) : left_(count) {}
    void down() {
        if (--left_ == 0) zero_.set_value();
    }
    bool wait() {
        auto zero = zero_.get_future();
        return comes(zero);
    }

private:
    std::atomic<int> left_;
    std::promise<void> zero_;
};

/// What the first of so many clients of one loop has for itself when a message of its has been handled, as the second
/// sees it. The most of some tries, because a client that is quiet gives everything back.
std::size_t most_kept_behind_a_message(int count) {
    ScriptedServer server(echo);
    Loop loop;
    Countdown opens(count);
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < count; ++i) {
        Client& client = *clients.emplace_back(std::make_unique<Client>(loop, patient_config(server.url())));
        client.on_open([&](const Handshake&) { opens.down(); });
    }
    std::size_t most = 0;
    std::promise<void> seen;
    clients[0]->on_message([&](MessageView) { EXPECT_FALSE(clients[1]->send_text("look")); });
    clients[1]->on_message([&](MessageView) {
        most = std::max(most, clients[0]->stats().memory);
        seen.set_value();
    });
    for (auto& client : clients) EXPECT_FALSE(client->start());
    EXPECT_TRUE(opens.wait());
    for (int tries = 0; tries < 10; ++tries) {
        seen = std::promise<void>();
        std::future<void> future = seen.get_future();
        EXPECT_FALSE(clients[0]->send_text("go"));
        EXPECT_TRUE(comes(future));
    }
    return most;
}

TEST(MemoryOfALoop, FewKeepWhatTheyReceiveIntoAndManyDoNot) {
    const std::size_t buffer = Config().receive_buffer;
    EXPECT_GE(most_kept_behind_a_message(2), buffer);
    EXPECT_LT(most_kept_behind_a_message(9), buffer / 4);
}

class Threads : public testing::TestWithParam<std::size_t> {};

TEST_P(Threads, CarryManyClientsAndNoMoreThreads) {
    constexpr int count = 60;
    ScriptedServer server(echo);
    std::mutex mutex;
    std::set<std::thread::id> ids;
    Countdown answers(count);
    Countdown ends(count);
    Loop loop{{.threads = GetParam()}};
    EXPECT_EQ(loop.threads(), GetParam());
    std::vector<std::unique_ptr<Client>> clients;
    std::vector<std::atomic<int>> inside(count);
    for (int i = 0; i < count; ++i) {
        Client& client = *clients.emplace_back(std::make_unique<Client>(loop, patient_config(server.url())));
        client.on_event([&, i](const Event&) {
            EXPECT_EQ(++inside[static_cast<std::size_t>(i)], 1) << "two handlers of one client at a time";
            const std::lock_guard lock(mutex);
            ids.insert(std::this_thread::get_id());
            --inside[static_cast<std::size_t>(i)];
        });
        client.on_open([&client, i](const Handshake&) { EXPECT_FALSE(client.send_text(std::to_string(i))); });
        client.on_message([&, i](MessageView message) {
            EXPECT_EQ(message.text(), std::to_string(i));
            answers.down();
            EXPECT_FALSE(clients[static_cast<std::size_t>(i)]->close());
        });
        client.on_close([&](const CloseInfo& info) {
            EXPECT_TRUE(info.clean()) << info.error.message();
            ends.down();
        });
    }
    EXPECT_EQ(loop.clients(), static_cast<std::size_t>(count));
    for (auto& client : clients) ASSERT_FALSE(client->start());
    EXPECT_TRUE(answers.wait());
    EXPECT_TRUE(ends.wait());
    clients.clear();
    EXPECT_EQ(ids.size(), GetParam());
    EXPECT_EQ(ids.count(std::this_thread::get_id()), 0u);
}

INSTANTIATE_TEST_SUITE_P(Loop, Threads, testing::Values(1u, 3u));

TEST(Loop, HasOneThreadAtLeast) { EXPECT_EQ(Loop{{.threads = 0}}.threads(), 1u); }

TEST(Loop, ThatNobodyUsesEnds) {
    Loop loop;
    const Client never_started{loop, Config{.url = "ws://localhost"}};
    EXPECT_EQ(loop.clients(), 1u);
}

TEST(Loop, CarriesClientsOneAfterTheOther) {
    ScriptedServer server(echo);
    Loop loop;
    for (int i = 0; i < 5; ++i) {
        Client client{loop, short_config(server.url())};
        ASSERT_FALSE(client.connect());
        EXPECT_FALSE(client.send_text("x"));
        EXPECT_TRUE(client.receive(bearable));
        client.stop();
        ASSERT_FALSE(client.connect());
    }
}

TEST(Loop, MayEndBeforeItsClients) {
    ScriptedServer server(echo);
    auto loop = std::make_unique<Loop>(LoopConfig{.threads = 2});
    std::vector<std::unique_ptr<Client>> clients;
    std::atomic<int> ends = 0;
    for (int i = 0; i < 8; ++i) {
        Client& client = *clients.emplace_back(std::make_unique<Client>(*loop, short_config(server.url())));
        client.on_close([&](const CloseInfo&) { ++ends; });
        client.on_message([](MessageView) {});
        if (i >= 6) continue;  // two are never started
        ASSERT_FALSE(client.connect());
    }
    loop.reset();
    EXPECT_EQ(ends, 6) << "each life has its last event before the loop has ended";
    for (const auto& client : clients) {
        EXPECT_EQ(client->state(), State::idle);
        EXPECT_EQ(client->send_text("x"), make_error_code(Errc::not_connected));
        EXPECT_TRUE(client->start() == Errc::loop_ended);
        EXPECT_TRUE(client->connect() == Errc::loop_ended);
        client->stop();
    }
    EXPECT_EQ(ends, 6);
}

TEST(Loop, EndsClientsThatAreBusyConnecting) {
    ScriptedServer server([](Peer& peer) { peer.hold(); });
    Loop loop;
    std::vector<Client> clients;
    for (int i = 0; i < 10; ++i) {
        Config config = patient_config(i % 2 == 0 ? server.url() : "ws://127.0.0.1:1");
        config.reconnect = {.enabled = true, .min_delay = 1ms, .max_delay = 1ms};
        clients.emplace_back(loop, config);
    }
    for (Client& client : clients) ASSERT_FALSE(client.start());
}

TEST(Loop, MayEndInsideAHandler) {
    ScriptedServer server(echo);
    auto loop = std::make_unique<Loop>(LoopConfig{.threads = 2});
    std::promise<void> gone;
    std::promise<void> ended;
    Client other{*loop, short_config(server.url())};
    ASSERT_FALSE(other.connect());
    Client client{*loop, short_config(server.url())};
    client.on_open([&](const Handshake&) {
        loop.reset();
        EXPECT_TRUE(other.start() == Errc::already_started || other.start() == Errc::loop_ended);
        gone.set_value();
    });
    client.on_close([&](const CloseInfo& info) {
        EXPECT_TRUE(client.start() == Errc::loop_ended);
        EXPECT_FALSE(info.will_reconnect);
        ended.set_value();
    });
    ASSERT_FALSE(client.start());
    auto gone_future = gone.get_future();
    auto ended_future = ended.get_future();
    EXPECT_TRUE(comes(gone_future));
    EXPECT_TRUE(comes(ended_future));
}

TEST(Loop, AHandlerMayDestroyAnotherClient) {
    for (const std::size_t threads : {1u, 2u}) {
        ScriptedServer server(echo);
        Loop loop{{.threads = threads}};
        std::promise<void> destroyed;
        std::atomic<bool> gone = false;
        auto victim = std::make_unique<Client>(loop, short_config(server.url()));
        victim->on_event([&](const Event&) { EXPECT_FALSE(gone) << "an event after the end"; });
        ASSERT_FALSE(victim->connect());
        Client client{loop, short_config(server.url())};
        client.on_open([&](const Handshake&) {
            victim.reset();
            gone = true;
            destroyed.set_value();
        });
        ASSERT_FALSE(client.start());
        auto future = destroyed.get_future();
        EXPECT_TRUE(comes(future));
    }
}

TEST(Loop, BlockingCallsAreRefusedInEveryHandlerOfTheThread) {
    ScriptedServer server(echo);
    Loop loop;
    std::promise<void> asked;
    Client other{loop, short_config(server.url())};
    ASSERT_FALSE(other.connect());
    Client client{loop, short_config(server.url())};
    client.on_open([&](const Handshake&) {
        EXPECT_TRUE(other.receive(1s).error() == Errc::would_deadlock);
        EXPECT_TRUE(other.connect() == Errc::would_deadlock);
        other.stop();  // begins, and does not wait
        asked.set_value();
    });
    ASSERT_FALSE(client.start());
    auto future = asked.get_future();
    EXPECT_TRUE(comes(future));
}

TEST(Loop, WhatHandlersHoldIsGoneWithTheClient) {
    ScriptedServer server(echo);
    Loop loop;
    const auto held = std::make_shared<int>();
    {
        Client client{loop, short_config(server.url())};
        client.on_message([held](MessageView) {});
        client.on_event([held](const Event&) {});
        ASSERT_FALSE(client.connect());
    }
    EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace tern::interop
