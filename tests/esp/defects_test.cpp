// The fifteen defects of the reference, each with what its user would have expected. docs/espressif.md has the list.
#include <atomic>
#include <filesystem>
#include <fstream>
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

using interop::frame;
using interop::Peer;
using interop::ScriptedServer;
using Config = esp_websocket_client_config_t;
using Names = std::vector<std::string>;

void deaf(Peer& peer) {
    peer.upgrade();
    peer.hold();
}

void echo(Peer& peer) {
    if (!peer.upgrade()) return;
    while (const auto read = peer.read_frame()) {
        if (read->opcode == 8) {
            peer.send(frame(8, read->payload));
            return;
        }
        if (!peer.send(frame(read->opcode == 9 ? 10 : read->opcode, read->payload, read->fin))) return;
    }
}

/// Runs it on a thread of its own; false if it has not returned in time. Then the thread is left behind.
bool returns(const std::function<void()>& call) {
    auto done = std::make_shared<std::promise<void>>();
    std::future<void> future = done->get_future();
    std::thread thread([call, done] {
        call();
        done->set_value();
    });
    const bool returned = future.wait_for(patience) == std::future_status::ready;
    if (returned) {
        thread.join();
    } else {
        thread.detach();
    }
    return returned;
}

std::size_t descriptors() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
    return count;
}

// 1. A peer that stalls inside a frame.

void stall(Peer& peer) {
    if (!peer.upgrade()) return;
    peer.send(frame(2, std::string(1000, 'x')).substr(0, 500));
    peer.hold();
}

TEST(Defect1, AStalledFrameMeetsThePongDeadline) {
    ScriptedServer server(stall);
    Recorder client(server.url(), [](Config& config) {
        config.ping_interval_sec = 1;
        config.pingpong_timeout_sec = 1;
        config.network_timeout_ms = 200;
    });
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for_finish());
    EXPECT_EQ(client.last(WEBSOCKET_EVENT_DISCONNECTED).data.error_handle.error_type,
              WEBSOCKET_ERROR_TYPE_PONG_TIMEOUT);
    for (const Seen& each : client.of(WEBSOCKET_EVENT_DATA)) EXPECT_GT(each.data.data_len, 0);
}

TEST(Defect1, AStalledFrameBlocksNeitherSendNorStop) {
    ScriptedServer server(stall);
    Recorder client(server.url());
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_DATA));
    EXPECT_EQ(esp_websocket_client_send_text(client.handle, "x", 1, 0), 1);
    EXPECT_TRUE(returns([&] { EXPECT_EQ(esp_websocket_client_stop(client.handle), ESP_OK); }));
}

// 2. stop and close right after start.

TEST(Defect2, StopRightAfterStart) {
    ScriptedServer server(echo);
    for (int i = 0; i < 50; ++i) {
        Recorder client(server.url());
        ASSERT_EQ(client.start(), ESP_OK);
        ASSERT_TRUE(returns([&] { EXPECT_EQ(esp_websocket_client_stop(client.handle), ESP_OK); }));
        EXPECT_EQ(client.count(WEBSOCKET_EVENT_FINISH), 1u);
    }
}

TEST(Defect2, CloseRightAfterStart) {
    ScriptedServer server(echo);
    for (int i = 0; i < 50; ++i) {
        Recorder client(server.url(), [](Config& config) { config.disable_auto_reconnect = false; });
        ASSERT_EQ(client.start(), ESP_OK);
        ASSERT_TRUE(returns([&] { EXPECT_EQ(esp_websocket_client_close(client.handle, portMAX_DELAY), ESP_OK); }));
        EXPECT_EQ(client.count(WEBSOCKET_EVENT_FINISH), 1u);
    }
}

// 3. Unregistering inside a handler.

struct Once {
    esp_websocket_client_handle_t client = nullptr;
    std::atomic<int> calls = 0;
    esp_err_t result = ESP_FAIL;
};
void once(void* argument, esp_event_base_t /*base*/, std::int32_t /*id*/, void* /*data*/) {
    auto& self = *static_cast<Once*>(argument);
    ++self.calls;
    self.result = esp_websocket_unregister_events(self.client, WEBSOCKET_EVENT_ANY, once);
}

TEST(Defect3, UnregisterInsideTheHandler) {
    ScriptedServer server(echo);
    Recorder client(server.url());
    Once handler;
    handler.client = client.handle;
    ASSERT_EQ(esp_websocket_register_events(client.handle, WEBSOCKET_EVENT_ANY, once, &handler), ESP_OK);
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
    EXPECT_EQ(handler.calls, 1);
    EXPECT_EQ(handler.result, ESP_OK);
    EXPECT_EQ(esp_websocket_unregister_events(client.handle, WEBSOCKET_EVENT_ANY, once), ESP_ERR_NOT_FOUND);
}

TEST(Defect3, UnregisterWaitsForAHandlerOnAnotherThread) {
    ScriptedServer server(echo);
    Recorder client(server.url());
    struct Slow {
        std::promise<void> entered;
        std::atomic<bool> left = false;
    } slow;
    const auto handler = [](void* argument, esp_event_base_t, std::int32_t, void*) {
        auto& self = *static_cast<Slow*>(argument);
        self.entered.set_value();
        std::this_thread::sleep_for(50ms);  // longer than a call that does not wait
        self.left = true;
    };
    ASSERT_EQ(esp_websocket_register_events(client.handle, WEBSOCKET_EVENT_BEGIN, handler, &slow), ESP_OK);
    ASSERT_EQ(client.start(), ESP_OK);
    slow.entered.get_future().wait();
    EXPECT_EQ(esp_websocket_unregister_events(client.handle, WEBSOCKET_EVENT_BEGIN, handler), ESP_OK);
    EXPECT_TRUE(slow.left);
}

// 4. stop and destroy inside handlers.

TEST(Defect4, StopInsideEveryHandler) {
    for (const std::int32_t where :
         {WEBSOCKET_EVENT_BEGIN, WEBSOCKET_EVENT_BEFORE_CONNECT, WEBSOCKET_EVENT_HEADER_RECEIVED,
          WEBSOCKET_EVENT_CONNECTED, WEBSOCKET_EVENT_DATA}) {
        ScriptedServer server(echo);
        std::atomic<bool> done = false;
        Recorder client(server.url(), [](Config& config) { config.disable_auto_reconnect = false; });
        client.also = [&](const Seen& seen) {
            if (seen.id == WEBSOCKET_EVENT_CONNECTED) esp_websocket_client_send_text(client.handle, "x", 1, 0);
            if (seen.id == where && !done.exchange(true)) {
                EXPECT_EQ(esp_websocket_client_stop(client.handle), ESP_OK);
            }
        };
        ASSERT_EQ(client.start(), ESP_OK);
        ASSERT_TRUE(client.wait_for_finish()) << name_of(where);
        EXPECT_EQ(client.names().back(), "FINISH");
        EXPECT_EQ(client.start(), ESP_OK) << name_of(where);
    }
}

TEST(Defect4, CloseInsideAHandler) {
    ScriptedServer server(echo);
    Recorder client(server.url());
    client.also = [&](const Seen& seen) {
        if (seen.id == WEBSOCKET_EVENT_CONNECTED) {
            EXPECT_EQ(esp_websocket_client_close(client.handle, portMAX_DELAY), ESP_OK);
        }
    };
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for_finish());
    EXPECT_EQ(client.count(WEBSOCKET_EVENT_CLOSED), 1u);
}

TEST(Defect4, CloseInsideAHandlerWithoutAnAnswer) {
    ScriptedServer server(deaf);
    Recorder client(server.url());
    client.also = [&](const Seen& seen) {
        if (seen.id == WEBSOCKET_EVENT_CONNECTED) {
            EXPECT_EQ(esp_websocket_client_close(client.handle, pdMS_TO_TICKS(100)), ESP_OK);
        }
    };
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for_finish());
    EXPECT_EQ(client.count(WEBSOCKET_EVENT_DISCONNECTED), 1u);
}

TEST(Defect4, DestroyInsideEveryHandler) {
    for (const std::int32_t where :
         {WEBSOCKET_EVENT_BEGIN, WEBSOCKET_EVENT_BEFORE_CONNECT, WEBSOCKET_EVENT_HEADER_RECEIVED,
          WEBSOCKET_EVENT_CONNECTED, WEBSOCKET_EVENT_DATA, WEBSOCKET_EVENT_CLOSED, WEBSOCKET_EVENT_FINISH}) {
        ScriptedServer server([](Peer& peer) {
            if (!peer.upgrade()) return;
            peer.send(frame(1, "a") + frame(1, "b") + interop::close_frame(1000));
            peer.read_frame();
        });
        std::atomic<bool> destroyed = false;
        std::atomic<int> later = 0;
        Recorder client(server.url());
        client.also = [&](const Seen& seen) {
            if (destroyed) ++later;
            if (seen.id != where || destroyed) return;
            EXPECT_EQ(esp_websocket_client_destroy(client.handle), ESP_OK);
            destroyed = true;
        };
        ASSERT_EQ(client.start(), ESP_OK);
        ASSERT_TRUE(client.wait_for_finish()) << name_of(where);
        while (!destroyed) std::this_thread::yield();
        EXPECT_EQ(client.count(WEBSOCKET_EVENT_FINISH), 1u) << name_of(where);
        EXPECT_EQ(esp_websocket_client_start(client.handle), ESP_ERR_INVALID_ARG);
        std::this_thread::sleep_for(5ms);  // for what must not come
        EXPECT_EQ(later, 0) << name_of(where);
    }
}

// 5. Short writes, and 8. the time a send may take.

TEST(Defect5, ALargeMessageThatTheNetworkTakesSlowlyArrivesWhole) {
    std::string received;
    std::promise<void> done;
    ScriptedServer server([&](Peer& peer) {
        if (!peer.upgrade()) return;
        std::this_thread::sleep_for(100ms);  // the kernel's buffers fill up
        while (const auto read = peer.read_frame()) {
            received += read->payload;
            if (read->fin) break;
        }
        done.set_value();
        peer.hold();
    });
    Recorder client(server.url(), [](Config& config) { config.network_timeout_ms = 50; });
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
    std::string large(8u << 20u, '\0');
    for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 31 >> 8);
    ASSERT_EQ(esp_websocket_client_send_bin(client.handle, large.data(), static_cast<int>(large.size()), portMAX_DELAY),
              static_cast<int>(large.size()));
    ASSERT_EQ(done.get_future().wait_for(patience), std::future_status::ready);
    EXPECT_TRUE(received == large);
}

TEST(Defect8, ASendWithoutRoomReturnsMinusOneAndTheConnectionStays) {
    std::atomic<bool> read_on = false;
    ScriptedServer server([&](Peer& peer) {
        if (!peer.upgrade()) return;
        while (!read_on) std::this_thread::sleep_for(1ms);
        peer.drain();
    });
    Recorder client(server.url());
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
    const std::string data(1u << 20u, 'x');
    const auto send = [&](TickType_t ticks) {
        return esp_websocket_client_send_bin(client.handle, data.data(), static_cast<int>(data.size()), ticks);
    };
    int result = 0;
    for (int i = 0; i < 64 && result != -1; ++i) result = send(pdMS_TO_TICKS(50));
    EXPECT_EQ(result, -1);
    EXPECT_EQ(send(0), -1);
    EXPECT_TRUE(esp_websocket_client_is_connected(client.handle));
    EXPECT_EQ(client.count(WEBSOCKET_EVENT_ERROR), 0u);
    read_on = true;
    EXPECT_EQ(send(portMAX_DELAY), static_cast<int>(data.size()));
}

TEST(Defect8, AlsoInsideAHandler) {
    ScriptedServer server(deaf);
    std::promise<int> outcome;
    Recorder client(server.url());
    client.also = [&](const Seen& seen) {
        if (seen.id != WEBSOCKET_EVENT_CONNECTED) return;
        const std::string data(1u << 20u, 'x');
        int result = 0;
        for (int i = 0; i < 64 && result != -1; ++i) {
            result = esp_websocket_client_send_bin(client.handle, data.data(), static_cast<int>(data.size()),
                                                   pdMS_TO_TICKS(20));
        }
        outcome.set_value(result);
    };
    ASSERT_EQ(client.start(), ESP_OK);
    EXPECT_EQ(outcome.get_future().get(), -1);
    EXPECT_TRUE(esp_websocket_client_is_connected(client.handle));
}

// 6. The handshake is checked.

TEST(Defect6, EmptyAndCutAcceptValuesAndA200AreRefused) {
    for (const std::string kind : {"empty", "cut", "200", "no upgrade"}) {
        ScriptedServer server([&](Peer& peer) {
            std::string answer = Peer::accept(peer.read_request());
            const std::size_t at = answer.find("Accept: ") + 8;
            if (kind == "empty") answer.erase(at, 28);
            if (kind == "cut") answer.erase(at + 1, 27);
            if (kind == "200") answer.replace(answer.find("101"), 3, "200");
            if (kind == "no upgrade") answer.erase(answer.find("Upgrade:"), 20);
            peer.send(answer);
            peer.half_close();
            peer.drain();
        });
        Recorder client(server.url());
        ASSERT_EQ(client.start(), ESP_OK);
        ASSERT_TRUE(client.wait_for_finish());
        EXPECT_EQ(client.count(WEBSOCKET_EVENT_CONNECTED), 0u) << kind;
        const auto codes = client.last(WEBSOCKET_EVENT_ERROR).data.error_handle;
        EXPECT_EQ(codes.error_type, WEBSOCKET_ERROR_TYPE_HANDSHAKE) << kind;
        EXPECT_EQ(codes.esp_ws_handshake_status_code, kind == "200" ? 200 : 101) << kind;
    }
}

TEST(Defect6, BlanksAroundTheAcceptValueMeanNothing) {
    for (const std::string blanks : {"", " \t"}) {
        ScriptedServer server([&](Peer& peer) {
            std::string answer = Peer::accept(peer.read_request());
            answer.replace(answer.find("Accept: ") + 7, 1, blanks);
            peer.send(answer);
            peer.hold();
        });
        Recorder client(server.url());
        ASSERT_EQ(client.start(), ESP_OK);
        EXPECT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
    }
}

TEST(Promise, AnySubprotocolIsAccepted) {
    ScriptedServer server([](Peer& peer) {
        peer.send(Peer::accept(peer.read_request(), "Sec-WebSocket-Protocol: never.offered\r\n"));
        peer.hold();
    });
    Recorder client(server.url(), [](Config& config) { config.subprotocol = "mqtt"; });
    ASSERT_EQ(client.start(), ESP_OK);
    EXPECT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
}

// 7. Redirects.

TEST(Defect7, ARedirectUsesThePathKeepsCredentialsAtHomeAndLeaksNothing) {
    std::promise<std::string> request;
    ScriptedServer target([&](Peer& peer) {
        const std::string head = peer.read_request();
        request.set_value(head);
        peer.send(Peer::accept(head));
        peer.hold();
    });
    ScriptedServer server([&](Peer& peer) {
        peer.read_request();
        peer.send("HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + target.url("/new?q") + "\r\n\r\n");
        peer.drain();
    });
    Recorder client(server.url("/old"), [](Config& config) {
        config.username = "user";
        config.password = "secret";
        config.headers = "Cookie: a=b\r\n";
    });
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
    const std::string head = request.get_future().get();
    EXPECT_EQ(head.substr(0, head.find('\r')), "GET /new?q HTTP/1.1");
    EXPECT_EQ(head.find("Authorization"), std::string::npos);
    EXPECT_EQ(head.find("Cookie"), std::string::npos);
}

TEST(Defect7, ACircleEndsAndTheConfiguredUriStays) {
    std::atomic<int> requests = 0;
    ScriptedServer server([&](Peer& peer) {
        ++requests;
        peer.read_request();
        peer.send("HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /?" + std::to_string(requests) + "\r\n\r\n");
        peer.drain();
    });
    Recorder client(server.url());
    const std::size_t before = descriptors();
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for_finish());
    EXPECT_LE(requests, 6);
    EXPECT_EQ(client.last(WEBSOCKET_EVENT_DISCONNECTED).data.error_handle.esp_ws_handshake_status_code, 302);
    EXPECT_LE(descriptors(), before + 10);
    ASSERT_EQ(client.start(), ESP_OK);
    EXPECT_TRUE(client.wait_for(WEBSOCKET_EVENT_FINISH, 2));
}

// 9. Small messages leave in one piece, and at once.

TEST(Defect9, HeaderAndPayloadLeaveTogetherWithoutNagle) {
    ScriptedServer server(echo);
    std::promise<void> done;
    std::atomic<int> left = 200;
    Recorder client(server.url());
    client.also = [&](const Seen& seen) {
        if (seen.id != WEBSOCKET_EVENT_CONNECTED && seen.id != WEBSOCKET_EVENT_DATA) return;
        if (left-- == 0) return done.set_value();
        EXPECT_EQ(esp_websocket_client_send_text(client.handle, "ping-pong", 9, portMAX_DELAY), 9);
    };
    ASSERT_EQ(client.start(), ESP_OK);
    // 200 round trips of 44 ms would take nearly nine seconds; this is no claim about speed.
    EXPECT_EQ(done.get_future().wait_for(patience), std::future_status::ready);
}

// 10. What the peer does wrong is noticed, and it is told.

TEST(Defect10, ViolationsAreAnsweredWithTheirCode) {
    const std::vector<std::pair<std::string, unsigned>> cases = {
        {frame(1, "\xff"), 1007},
        {frame(0, "x"), 1002},
        {frame(1, "a", false) + frame(1, "b"), 1002},
        {std::string("\x81\x81\0\0\0\0x", 7), 1002},  // masked
        {frame(8, "\x03\xed"), 1002},                 // 1005
        {frame(8, "x"), 1002},
        {std::string("\x82\x7e\0\x05hello", 9), 1002},  // length not in the fewest bytes
    };
    for (const auto& [bytes, code] : cases) {
        std::promise<unsigned> told;
        ScriptedServer server([&, &sent = bytes](Peer& peer) {
            if (!peer.upgrade()) return;
            peer.send(sent);
            const auto read = peer.read_frame();
            told.set_value(read ? read->close_code().value_or(0) : 0);
        });
        Recorder client(server.url());
        ASSERT_EQ(client.start(), ESP_OK);
        ASSERT_TRUE(client.wait_for_finish());
        EXPECT_EQ(told.get_future().get(), code);
        EXPECT_EQ(client.last(WEBSOCKET_EVENT_ERROR).data.error_handle.error_type, WEBSOCKET_ERROR_TYPE_TCP_TRANSPORT);
    }
}

// 11 is in every row of scenario_test.cpp.

// 12. Credentials are in sending_test.cpp. A host that is missing:

TEST(Defect12, WithoutAHostThereIsNoStart) {
    ScriptedServer server(echo);
    Recorder client("");
    ASSERT_NE(client.handle, nullptr);
    EXPECT_EQ(client.start(), ESP_FAIL);
    EXPECT_EQ(esp_websocket_client_set_uri(client.handle, server.url().c_str()), ESP_OK);
    EXPECT_EQ(client.start(), ESP_OK);
    EXPECT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
}

// 13. A new URI: options_test.cpp has the rules; here it runs.

TEST(Defect13, ANewUriHasItsOwnPathAndCredentials) {
    std::vector<std::string> heads;
    std::mutex mutex;
    const auto script = [&](Peer& peer) {
        const std::string head = peer.read_request();
        {
            const std::lock_guard lock(mutex);
            heads.push_back(head);
        }
        peer.send(Peer::accept(head));
        peer.hold();
    };
    ScriptedServer one(script);
    ScriptedServer two(script);
    Recorder client(one.url("/first?x"));
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
    ASSERT_EQ(esp_websocket_client_stop(client.handle), ESP_OK);
    EXPECT_EQ(esp_websocket_client_set_uri(client.handle, ("ws://u:p@" + two.name()).c_str()), ESP_OK);
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED, 2));
    const std::lock_guard lock(mutex);
    ASSERT_EQ(heads.size(), 2u);
    EXPECT_EQ(heads[1].substr(0, heads[1].find('\r')), "GET / HTTP/1.1");
    EXPECT_NE(heads[1].find("Authorization: Basic dTpw\r\n"), std::string::npos);
}

// 14. Small buffers.

TEST(Defect14, ControlFramesAreLargerThanASmallBuffer) {
    const std::string ping(125, 'p');
    std::promise<std::string> pong;
    ScriptedServer server([&](Peer& peer) {
        if (!peer.upgrade()) return;
        peer.send(frame(9, ping));
        const auto read = peer.read_frame();
        pong.set_value(read && read->opcode == 10 ? read->payload : "");
        peer.hold();
    });
    Recorder client(server.url(), [](Config& config) { config.buffer_size = 64; });
    ASSERT_EQ(client.start(), ESP_OK);
    EXPECT_EQ(pong.get_future().get(), ping);
    EXPECT_TRUE(client.wait_for(WEBSOCKET_EVENT_DATA));
    EXPECT_EQ(client.last(WEBSOCKET_EVENT_DATA).text, ping);
    EXPECT_TRUE(esp_websocket_client_is_connected(client.handle));
}

// 15 is in scenario_test.cpp: stop, close_without_an_answer.

// --- traps of the other sections -----------------------------------------------------------------------------------

TEST(Trap, ABusyHandlerBlocksNoSender) {
    ScriptedServer server([](Peer& peer) {
        if (!peer.upgrade()) return;
        peer.send(frame(1, "x"));
        peer.drain();
    });
    Recorder client(server.url());
    std::promise<void> release;
    std::shared_future<void> released = release.get_future().share();
    client.also = [released](const Seen& seen) {
        if (seen.id == WEBSOCKET_EVENT_DATA) released.wait();
    };
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_DATA));
    EXPECT_EQ(esp_websocket_client_send_text(client.handle, "x", 1, 0), 1);
    release.set_value();
}

TEST(Trap, StopWithABusyHandlerIsBounded) {
    ScriptedServer server(echo);
    std::promise<void> release;
    std::shared_future<void> released = release.get_future().share();
    Recorder client(server.url(), [](Config& config) { config.network_timeout_ms = 300; });
    client.also = [released](const Seen& seen) {
        if (seen.id == WEBSOCKET_EVENT_CONNECTED) released.wait();
    };
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
    EXPECT_TRUE(returns([&] { EXPECT_EQ(esp_websocket_client_stop(client.handle), ESP_FAIL); }));
    release.set_value();
    EXPECT_TRUE(client.wait_for_finish());
}

TEST(Trap, APeerThatSendsEndlesslyDoesNotHideAMissingPong) {
    ScriptedServer server([](Peer& peer) {
        if (!peer.upgrade()) return;
        while (peer.send(frame(1, "x"))) std::this_thread::sleep_for(2ms);
    });
    Recorder client(server.url(), [](Config& config) {
        config.ping_interval_sec = 1;
        config.pingpong_timeout_sec = 1;
    });
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for_finish());
    EXPECT_EQ(client.last(WEBSOCKET_EVENT_DISCONNECTED).data.error_handle.error_type,
              WEBSOCKET_ERROR_TYPE_PONG_TIMEOUT);
}

TEST(Promise, WithDisablePingpongDisconPingsGoOutAndNothingElse) {
    std::promise<void> two_pings;
    ScriptedServer server([&](Peer& peer) {
        if (!peer.upgrade()) return;
        for (int i = 0; i < 3; ++i) {
            const auto read = peer.read_frame();
            if (!read || read->opcode != 9 || !read->payload.empty()) return;
        }
        two_pings.set_value();
        peer.hold();
    });
    Recorder client(server.url(), [](Config& config) {
        config.ping_interval_sec = 1;
        config.pingpong_timeout_sec = 1;
        config.disable_pingpong_discon = true;
    });
    ASSERT_EQ(client.start(), ESP_OK);
    EXPECT_EQ(two_pings.get_future().wait_for(patience), std::future_status::ready);
    EXPECT_TRUE(esp_websocket_client_is_connected(client.handle));
}

TEST(Trap, NobodyIsConnectedInsideErrorDisconnectedAndFinish) {
    ScriptedServer server([](Peer& peer) { peer.upgrade(); });
    std::atomic<int> asked = 0;
    Recorder client(server.url());
    client.also = [&](const Seen& seen) {
        if (seen.id == WEBSOCKET_EVENT_CONNECTED) return;
        ++asked;
        EXPECT_FALSE(esp_websocket_client_is_connected(client.handle)) << seen.name();
    };
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait([&] { return asked >= 6; })) << "BEGIN, BEFORE_CONNECT, headers, and the three of the end";
}

TEST(Trap, AStatusIsNotThatOfAnEarlierAttempt) {
    std::atomic<int> connections = 0;
    ScriptedServer server([&](Peer& peer) {
        peer.read_request();
        if (++connections > 1) return;
        peer.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
        peer.drain();
    });
    Recorder client(server.url(), [](Config& config) {
        config.disable_auto_reconnect = false;
        config.reconnect_timeout_ms = 1;
    });
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_DISCONNECTED, 2));
    const auto ends = client.of(WEBSOCKET_EVENT_DISCONNECTED);
    EXPECT_EQ(ends[0].data.error_handle.esp_ws_handshake_status_code, 401);
    EXPECT_EQ(ends[1].data.error_handle.esp_ws_handshake_status_code, 0);
}

TEST(Trap, RegisteringTheSameAgainReplacesItsArgument) {
    ScriptedServer server(echo);
    Recorder client(server.url());
    const auto add_one = [](void* argument, esp_event_base_t, std::int32_t, void*) {
        ++*static_cast<std::atomic<int>*>(argument);
    };
    std::atomic<int> first = 0;
    std::atomic<int> second = 0;
    EXPECT_EQ(esp_websocket_register_events(client.handle, WEBSOCKET_EVENT_BEGIN, add_one, &first), ESP_OK);
    EXPECT_EQ(esp_websocket_register_events(client.handle, WEBSOCKET_EVENT_BEGIN, add_one, &second), ESP_OK);
    EXPECT_EQ(esp_websocket_register_events(client.handle, WEBSOCKET_EVENT_BEGIN, nullptr, nullptr),
              ESP_ERR_INVALID_ARG);
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
    EXPECT_EQ(first, 0);
    EXPECT_EQ(second, 1);
    EXPECT_EQ(client.start(), ESP_FAIL) << "it runs";
}

TEST(Trap, DestroyOnExitAfterTheEndFreesAtOnce) {
    ScriptedServer server([](Peer& peer) { peer.upgrade(); });
    Recorder client(server.url());
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for_finish());
    while (esp_websocket_client_stop(client.handle) == ESP_OK) {  // until FINISH has returned
    }
    EXPECT_EQ(esp_websocket_client_destroy_on_exit(client.handle), ESP_OK);
    const auto until = std::chrono::steady_clock::now() + patience;
    while (esp_websocket_client_stop(client.handle) != ESP_ERR_INVALID_ARG) {
        ASSERT_LT(std::chrono::steady_clock::now(), until) << "it is not freed";
    }
}

TEST(Trap, AMessageThatTricklesInBlocksNoSender) {
    std::promise<std::string> heard;
    ScriptedServer server([&](Peer& peer) {
        if (!peer.upgrade()) return;
        const std::string message = frame(2, std::string(10'000, 'x'));
        peer.send(message.substr(0, 5'000));
        const auto read = peer.read_frame();  // in the middle of it
        heard.set_value(read ? read->payload : "");
        peer.send(message.substr(5'000));
        peer.drain();
    });
    Recorder client(server.url());
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_DATA));
    EXPECT_EQ(esp_websocket_client_send_text(client.handle, "now", 3, 0), 3);
    EXPECT_EQ(heard.get_future().get(), "now");
    EXPECT_TRUE(client.wait_for(WEBSOCKET_EVENT_DATA, 10));
}

}  // namespace
}  // namespace tern::esp::test
