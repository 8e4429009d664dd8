// What goes out: the request, frames, and what a send returns.
#include <algorithm>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "recorder.hpp"
#include "scripted_server.hpp"
#include "tern_esp_ext.h"

namespace tern::esp::test {
namespace {

using interop::ClientFrame;
using interop::frame;
using interop::Peer;
using interop::ScriptedServer;
using Config = esp_websocket_client_config_t;

/// Keeps the request and all frames.
class Listener {
public:
    Listener() : server_([this](Peer& peer) { listen(peer); }) {}

    [[nodiscard]] std::string url(std::string_view path = "/") const { return server_.url(path); }
    [[nodiscard]] std::string name() const { return server_.name(); }
    std::string request() { return request_.get_future().get(); }
    std::vector<ClientFrame> frames(std::size_t count) {
        std::unique_lock lock(mutex_);
        EXPECT_TRUE(changed_.wait_for(lock, patience, [&] { return frames_.size() >= count; }));
        return frames_;
    }

private:
    void listen(Peer& peer) {
        const std::string request = peer.read_request();
        if (!std::exchange(asked_, true)) request_.set_value(request);
        peer.send(Peer::accept(request));
        while (const auto read = peer.read_frame()) {
            const std::lock_guard lock(mutex_);
            frames_.push_back(*read);
            changed_.notify_all();
            if (read->opcode == 8) peer.send(frame(8, read->payload));
        }
    }

    std::promise<std::string> request_;
    bool asked_ = false;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<ClientFrame> frames_;
    ScriptedServer server_;
};

std::string request_for(const std::function<void(Config&, const Listener&)>& settings, std::string_view path = "/") {
    Listener listener;
    Recorder client(listener.url(path), [&](Config& config) { settings(config, listener); });
    EXPECT_EQ(client.start(), ESP_OK);
    return listener.request();
}

bool has_line(const std::string& request, const std::string& line) {
    return request.find("\r\n" + line + "\r\n") != std::string::npos;
}

TEST(Request, HasTheDefaults) {
    const std::string request = request_for([](Config&, const Listener&) {}, "?x=1");
    EXPECT_EQ(request.substr(0, request.find('\r')), "GET /?x=1 HTTP/1.1");
    EXPECT_TRUE(has_line(request, "User-Agent: ESP32 Websocket Client")) << request;
    EXPECT_EQ(request.find("Authorization"), std::string::npos);
    EXPECT_EQ(request.find("Origin"), std::string::npos);
    EXPECT_EQ(request.find("Extensions"), std::string::npos);
}

TEST(Request, AFieldBeatsTheUri) {
    const std::string request = request_for(
        [](Config& config, const Listener&) {
            config.path = "/field";
            config.username = "user";
            config.password = "pass";
            config.subprotocol = "mqtt, chat";
            config.user_agent = "agent";
            config.headers = "X-One: 1\r\nX-Two: 2\r\nHost: elsewhere\r\nSec-WebSocket-Key: mine\r\n";
        },
        "/uri");
    EXPECT_EQ(request.substr(0, request.find('\r')), "GET /field HTTP/1.1");
    EXPECT_TRUE(has_line(request, "Authorization: Basic dXNlcjpwYXNz")) << request;
    EXPECT_TRUE(has_line(request, "Sec-WebSocket-Protocol: mqtt, chat")) << request;
    EXPECT_TRUE(has_line(request, "User-Agent: agent"));
    EXPECT_TRUE(has_line(request, "X-One: 1"));
    EXPECT_TRUE(has_line(request, "X-Two: 2"));
    EXPECT_EQ(request.find("elsewhere"), std::string::npos);
    EXPECT_EQ(request.find("mine"), std::string::npos);
}

TEST(Request, CredentialsOfTheUriAsTheyStand) {
    Listener listener;
    Recorder client("ws://us%65r:pass@" + listener.name() + "/");
    ASSERT_EQ(client.start(), ESP_OK);
    EXPECT_TRUE(has_line(listener.request(), "Authorization: Basic dXMlNjVyOnBhc3M="));
}

TEST(Request, HeadersBeyondAKilobyteBothWays) {
    const std::string token(5'000, 't');
    const std::string request = request_for([&](Config& config, const Listener&) {
        static std::string headers;
        headers = "Authorization: Bearer " + token + "\r\n";
        config.headers = headers.c_str();
    });
    EXPECT_TRUE(has_line(request, "Authorization: Bearer " + token));

    ScriptedServer server([&](Peer& peer) {
        const std::string head = peer.read_request();
        peer.send(Peer::accept(head, "X-Long: " + token + "\r\n"));
        peer.hold();
    });
    Recorder client(server.url());
    ASSERT_EQ(client.start(), ESP_OK);
    EXPECT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
}

TEST(Request, HeadersOfTheNextAttempt) {
    std::vector<std::string> requests;
    std::mutex mutex;
    ScriptedServer server([&](Peer& peer) {
        const std::string request = peer.read_request();
        {
            const std::lock_guard lock(mutex);
            requests.push_back(request);
        }
        peer.send(Peer::accept(request));
        peer.read_frame();  // and ends
    });
    Recorder client(server.url(), [](Config& config) {
        config.disable_auto_reconnect = false;
        config.reconnect_timeout_ms = 10;
        config.headers = "X-First: yes";
    });
    EXPECT_EQ(esp_websocket_client_set_headers(client.handle, "X-Later: yes\r\n"), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(esp_websocket_client_append_header(client.handle, "X-Added", "1"), ESP_OK);
    EXPECT_EQ(esp_websocket_client_append_header(client.handle, "X Bad", "1"), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(esp_websocket_client_append_header(client.handle, "X-Bad", "1\r\nX-Injected: 1"), ESP_ERR_INVALID_ARG);
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
    EXPECT_EQ(esp_websocket_client_set_headers(client.handle, "X-Later: yes\r\n"), ESP_OK);
    EXPECT_EQ(esp_websocket_client_send_text(client.handle, "x", 1, portMAX_DELAY), 1);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED, 2));
    EXPECT_EQ(esp_websocket_client_stop(client.handle), ESP_OK);
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED, 3));
    EXPECT_EQ(esp_websocket_client_stop(client.handle), ESP_OK);
    const std::lock_guard lock(mutex);
    ASSERT_EQ(requests.size(), 3u);
    EXPECT_TRUE(has_line(requests[0], "X-First: yes") && has_line(requests[0], "X-Added: 1"));
    EXPECT_TRUE(has_line(requests[1], "X-Later: yes") && !has_line(requests[1], "X-First: yes"));
    EXPECT_TRUE(has_line(requests[2], "X-First: yes") && !has_line(requests[2], "X-Later: yes"));
}

// --- frames --------------------------------------------------------------------------------------------------------

struct Expected {
    unsigned opcode;
    bool fin;
    std::size_t size;
};

class Sending : public ::testing::Test {
protected:
    void SetUp() override {
        ASSERT_EQ(client_.start(), ESP_OK);
        ASSERT_TRUE(client_.wait_for(WEBSOCKET_EVENT_CONNECTED));
    }
    void expect(const std::vector<Expected>& expected) {
        const std::vector<ClientFrame> frames = listener_.frames(expected.size());
        ASSERT_EQ(frames.size(), expected.size());
        for (std::size_t i = 0; i < frames.size(); ++i) {
            EXPECT_EQ(frames[i].opcode, expected[i].opcode) << i;
            EXPECT_EQ(frames[i].fin, expected[i].fin) << i;
            EXPECT_EQ(frames[i].payload.size(), expected[i].size) << i;
            EXPECT_TRUE(frames[i].masked);
        }
    }
    int with_opcode(int opcode, const std::string& data) {
        return esp_websocket_client_send_with_opcode(handle(), static_cast<ws_transport_opcodes_t>(opcode),
                                                     reinterpret_cast<const std::uint8_t*>(data.data()),
                                                     static_cast<int>(data.size()), portMAX_DELAY);
    }
    [[nodiscard]] esp_websocket_client_handle_t handle() const { return client_.handle; }

    Listener listener_;
    Recorder client_{listener_.url()};
};

TEST_F(Sending, LargeMessagesAreCutToTheBuffer) {
    const std::string data(3000, 'x');
    EXPECT_EQ(esp_websocket_client_send_bin(handle(), data.data(), 3000, portMAX_DELAY), 3000);
    EXPECT_EQ(esp_websocket_client_send_text(handle(), data.data(), 1024, portMAX_DELAY), 1024);
    EXPECT_EQ(esp_websocket_client_send_text(handle(), nullptr, 0, portMAX_DELAY), 0);
    expect({{2, false, 1024}, {0, false, 1024}, {0, true, 952}, {1, true, 1024}, {1, true, 0}});
}

TEST_F(Sending, InParts) {
    EXPECT_EQ(esp_websocket_client_send_text_partial(handle(), "Hel", 3, portMAX_DELAY), 3);
    EXPECT_EQ(esp_websocket_client_send_cont_msg(handle(), nullptr, 0, portMAX_DELAY), 0);
    EXPECT_EQ(esp_websocket_client_send_bin(handle(), "x", 1, portMAX_DELAY), -1);
    EXPECT_EQ(with_opcode(WS_TRANSPORT_OPCODES_PING, "p"), 1);
    EXPECT_EQ(esp_websocket_client_send_cont_msg(handle(), "lo", 2, portMAX_DELAY), 2);
    EXPECT_EQ(esp_websocket_client_send_fin(handle(), portMAX_DELAY), 0);
    EXPECT_EQ(esp_websocket_client_send_fin(handle(), portMAX_DELAY), -1);
    EXPECT_EQ(esp_websocket_client_send_cont_msg(handle(), "lo", 2, portMAX_DELAY), -1);
    EXPECT_EQ(esp_websocket_client_send_bin_partial(handle(), "b", 1, portMAX_DELAY), 1);
    EXPECT_EQ(with_opcode(WS_TRANSPORT_OPCODES_CONT, "c"), 1);
    expect({{1, false, 3}, {9, true, 1}, {0, false, 2}, {0, true, 0}, {2, false, 1}, {0, true, 1}});
}

TEST_F(Sending, ByOpcode) {
    EXPECT_EQ(with_opcode(WS_TRANSPORT_OPCODES_TEXT, "t"), 1);
    EXPECT_EQ(with_opcode(WS_TRANSPORT_OPCODES_BINARY | WS_TRANSPORT_OPCODES_FIN, "bb"), 2);
    EXPECT_EQ(with_opcode(WS_TRANSPORT_OPCODES_PING, ""), 0);
    EXPECT_EQ(with_opcode(WS_TRANSPORT_OPCODES_PONG, "pong"), 4);
    EXPECT_EQ(with_opcode(3, "x"), -1);
    EXPECT_EQ(with_opcode(WS_TRANSPORT_OPCODES_PING, std::string(126, 'p')), -1);
    EXPECT_EQ(with_opcode(WS_TRANSPORT_OPCODES_CLOSE, "x"), -1);
    EXPECT_EQ(with_opcode(WS_TRANSPORT_OPCODES_CLOSE, "\x0f\xa1"), 2);
    EXPECT_EQ(with_opcode(WS_TRANSPORT_OPCODES_TEXT, "t"), -1);
    expect({{1, true, 1}, {2, true, 2}, {9, true, 0}, {10, true, 4}, {8, true, 2}});
    EXPECT_TRUE(client_.wait_for_finish());
}

TEST_F(Sending, BadArgumentsAreRefused) {
    EXPECT_EQ(esp_websocket_client_send_text(nullptr, "x", 1, 0), -1);
    EXPECT_EQ(esp_websocket_client_send_text(handle(), nullptr, 1, 0), -1);
    EXPECT_EQ(esp_websocket_client_send_text(handle(), "x", -1, 0), -1);
    EXPECT_EQ(esp_websocket_client_close_with_code(handle(), 5, nullptr, 0, 0), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(esp_websocket_client_close_with_code(handle(), 1005, nullptr, 0, 0), ESP_ERR_INVALID_ARG);
    const std::string longer(124, 'x');
    EXPECT_EQ(esp_websocket_client_close_with_code(handle(), 1000, longer.data(), 124, 0), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(esp_websocket_client_close_with_code(handle(), 1000, "\xff", 1, 0), ESP_ERR_INVALID_ARG);
    EXPECT_TRUE(esp_websocket_client_is_connected(handle()));
    EXPECT_EQ(esp_websocket_client_stop(handle()), ESP_OK);
    EXPECT_EQ(esp_websocket_client_send_text(handle(), "x", 1, 0), -1);
}

TEST_F(Sending, PingsAreEmptyAndCanBeMadeFrequent) {
    EXPECT_EQ(esp_websocket_client_get_ping_interval_sec(handle()), 10u);
    EXPECT_EQ(esp_websocket_client_set_ping_interval_sec(handle(), 1), ESP_OK);
    EXPECT_EQ(esp_websocket_client_get_ping_interval_sec(handle()), 1u);
    expect({{9, true, 0}});
    EXPECT_EQ(esp_websocket_client_set_ping_interval_sec(handle(), 0), ESP_OK);
    EXPECT_EQ(esp_websocket_client_get_ping_interval_sec(handle()), 10u);
}

TEST_F(Sending, ExtensionsOfTern) {
    EXPECT_EQ(esp_websocket_client_send_text(handle(), "x", 1, 0), 1);
    EXPECT_EQ(tern_esp_flush(handle(), portMAX_DELAY), ESP_OK);
    tern_esp_stats_t stats{};
    ASSERT_EQ(tern_esp_get_stats(handle(), &stats), ESP_OK);
    EXPECT_EQ(stats.messages_sent, 1u);
    EXPECT_EQ(stats.send_queued, 0u);
    EXPECT_EQ(stats.connects, 1u);
    EXPECT_EQ(tern_esp_check_outgoing_text(handle(), true), ESP_OK);
    EXPECT_EQ(tern_esp_set_backoff(handle(), nullptr), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(tern_esp_set_max_redirects(nullptr, 1), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(esp_websocket_client_send_text(handle(), "\xff", 1, 0), 1);
    EXPECT_EQ(tern_esp_begin_stop(handle()), ESP_OK);
    ASSERT_TRUE(client_.wait_for_finish());
    ASSERT_EQ(client_.start(), ESP_OK);
    ASSERT_TRUE(client_.wait_for(WEBSOCKET_EVENT_CONNECTED, 2));
    EXPECT_EQ(esp_websocket_client_send_text(handle(), "\xff", 1, 0), -1);
}

TEST(Backoff, GivesUpAfterSoManyAttempts) {
    ScriptedServer server([](Peer&) {});
    Recorder client(server.url(), [](Config& config) {
        config.disable_auto_reconnect = false;
        config.reconnect_timeout_ms = 1;
    });
    const tern_esp_backoff_t backoff{.max_delay_ms = 4, .max_attempts = 4, .give_up_after_ms = 0};
    EXPECT_EQ(tern_esp_set_backoff(client.handle, &backoff), ESP_OK);
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for_finish());
    EXPECT_EQ(client.count(WEBSOCKET_EVENT_BEFORE_CONNECT), 4u);
    std::string text(100, '\0');
    const int size = tern_esp_last_error(client.handle, text.data(), text.size());
    EXPECT_GT(size, 0);
    EXPECT_EQ(text.substr(0, 7), "upgrade");
}

}  // namespace
}  // namespace tern::esp::test
