// What happens in which order: one row of the table a scenario.
#include <atomic>
#include <functional>
#include <future>
#include <string>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "esp_tls_errors.h"
#include "recorder.hpp"
#include "scripted_server.hpp"

namespace tern::esp::test {
namespace {

using interop::close_frame;
using interop::frame;
using interop::Peer;
using interop::ScriptedServer;
using Config = esp_websocket_client_config_t;
using Names = std::vector<std::string>;

const Names opened = {"BEGIN", "BEFORE_CONNECT", "HEADER", "CONNECTED"};
const Names refused = {"BEGIN", "BEFORE_CONNECT", "HEADER", "ERROR", "DISCONNECTED", "FINISH"};
const Names failed = {"BEGIN", "BEFORE_CONNECT", "ERROR", "DISCONNECTED", "FINISH"};

Names operator+(Names left, const Names& right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}

/// The last event with an error, in numbers.
struct Codes {
    esp_websocket_error_type_t type = WEBSOCKET_ERROR_TYPE_NONE;
    int status = 0;
    esp_err_t tls = 0;
    int number = 0;
    int close = 0;
};

struct Scenario {
    std::string name;
    std::function<void(Peer&)> server;
    Names events;
    std::int32_t judged = WEBSOCKET_EVENT_DISCONNECTED;
    Codes codes;
    std::function<void(Config&)> settings = {};
    std::function<void(Recorder&)> act = {};
    std::string uri = {};  ///< Instead of the server's.
};

void answer(Peer& peer, const std::string& head) {
    peer.read_request();
    peer.send(head + "\r\n");
    peer.drain();
}

/// Answers a Close and ends TCP.
void polite(Peer& peer) {
    if (!peer.upgrade()) return;
    while (const auto read = peer.read_frame()) {
        if (read->opcode == 8) {
            peer.send(frame(8, read->payload));
            return;
        }
    }
}

void say_close(Peer& peer) {
    if (!peer.upgrade()) return;
    peer.send(close_frame(4001, "enough"));
    peer.read_frame();
}

/// Nobody listens there.
std::string dead_uri() {
    const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    bind(descriptor, generic, size);
    getsockname(descriptor, generic, &size);
    close(descriptor);
    return "ws://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/";
}

void close_when_connected(Recorder& client) {
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
    EXPECT_EQ(esp_websocket_client_close(client.handle, pdMS_TO_TICKS(5000)), ESP_OK);
}

std::vector<Scenario> table() {
    return {
        {.name = "refused",
         .server = polite,
         .events = failed,
         .codes = {WEBSOCKET_ERROR_TYPE_TCP_TRANSPORT, 0, ESP_ERR_ESP_TLS_FAILED_CONNECT_TO_HOST, ECONNREFUSED},
         .uri = dead_uri()},
        {.name = "no_such_name",
         .server = polite,
         .events = failed,
         .codes = {WEBSOCKET_ERROR_TYPE_TCP_TRANSPORT, 0, ESP_ERR_ESP_TLS_CANNOT_RESOLVE_HOSTNAME, 0},
         .uri = "ws://name.invalid/"},
        {.name = "status_401",
         .server = [](Peer& peer) { answer(peer, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n"); },
         .events = refused,
         .codes = {WEBSOCKET_ERROR_TYPE_HANDSHAKE, 401}},
        {.name = "status_404_with_a_body",
         .server = [](Peer& peer) { answer(peer, "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc"); },
         .events = refused,
         .codes = {WEBSOCKET_ERROR_TYPE_HANDSHAKE, 404}},
        {.name = "redirect_without_location",
         .server = [](Peer& peer) { answer(peer, "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n"); },
         .events = refused,
         .codes = {WEBSOCKET_ERROR_TYPE_HANDSHAKE, 302}},
        {.name = "wrong_accept",
         .server =
             [](Peer& peer) {
                 peer.read_request();
                 peer.send(
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n");
                 peer.drain();
             },
         .events = refused,
         .codes = {WEBSOCKET_ERROR_TYPE_HANDSHAKE, 101}},
        {.name = "server_close",
         .server = say_close,
         .events = opened + Names{"DATA", "CLOSED", "FINISH"},
         .judged = WEBSOCKET_EVENT_CLOSED,
         .codes = {WEBSOCKET_ERROR_TYPE_NONE, 101, 0, 0, 4001}},
        {.name = "server_close_even_with_auto_reconnect",
         .server = say_close,
         .events = opened + Names{"DATA", "CLOSED", "FINISH"},
         .judged = WEBSOCKET_EVENT_CLOSED,
         .codes = {WEBSOCKET_ERROR_TYPE_NONE, 101, 0, 0, 4001},
         .settings = [](Config& config) { config.disable_auto_reconnect = false; }},
        {.name = "server_close_that_leaves_tcp_open",
         .server =
             [](Peer& peer) {
                 if (!peer.upgrade()) return;
                 peer.send(close_frame(1000));
                 peer.hold();
             },
         .events = opened + Names{"DATA", "CLOSED", "FINISH"},
         .judged = WEBSOCKET_EVENT_CLOSED,
         .codes = {WEBSOCKET_ERROR_TYPE_NONE, 101, 0, 0, 1000}},
        {.name = "server_fin",
         .server = [](Peer& peer) { peer.upgrade(); },
         .events = opened + Names{"ERROR", "DISCONNECTED", "FINISH"},
         .codes = {WEBSOCKET_ERROR_TYPE_TCP_TRANSPORT, 101, ESP_ERR_ESP_TLS_TCP_CLOSED_FIN}},
        {.name = "server_reset",
         .server =
             [](Peer& peer) {
                 if (!peer.upgrade()) return;
                 peer.read_frame();  // the client is connected and has said something
                 peer.reset();
             },
         .events = opened + Names{"ERROR", "DISCONNECTED", "FINISH"},
         .codes = {WEBSOCKET_ERROR_TYPE_TCP_TRANSPORT, 101, 0, ECONNRESET},
         .act =
             [](Recorder& client) {
                 client.wait_for(WEBSOCKET_EVENT_CONNECTED);
                 EXPECT_EQ(esp_websocket_client_send_text(client.handle, "x", 1, portMAX_DELAY), 1);
             }},
        {.name = "pong_missing",
         .server =
             [](Peer& peer) {
                 peer.upgrade();
                 peer.hold();
             },
         .events = opened + Names{"ERROR", "DISCONNECTED", "FINISH"},
         .codes = {WEBSOCKET_ERROR_TYPE_PONG_TIMEOUT, 101},
         .settings =
             [](Config& config) {
                 config.ping_interval_sec = 1;
                 config.pingpong_timeout_sec = 1;
             }},
        {.name = "protocol_error",
         .server =
             [](Peer& peer) {
                 if (!peer.upgrade()) return;
                 peer.send(frame(3, "x"));
                 peer.drain();
             },
         .events = opened + Names{"ERROR", "DISCONNECTED", "FINISH"},
         .codes = {WEBSOCKET_ERROR_TYPE_TCP_TRANSPORT, 101}},
        {.name = "close",
         .server = polite,
         .events = opened + Names{"DATA", "CLOSED", "FINISH"},
         .judged = WEBSOCKET_EVENT_CLOSED,
         .codes = {WEBSOCKET_ERROR_TYPE_NONE, 101},
         .act = close_when_connected},
        {.name = "close_with_code",
         .server = polite,
         .events = opened + Names{"DATA", "CLOSED", "FINISH"},
         .judged = WEBSOCKET_EVENT_CLOSED,
         .codes = {WEBSOCKET_ERROR_TYPE_NONE, 101, 0, 0, 4002},
         .act =
             [](Recorder& client) {
                 client.wait_for(WEBSOCKET_EVENT_CONNECTED);
                 EXPECT_EQ(esp_websocket_client_close_with_code(client.handle, 4002, "bye", 3, portMAX_DELAY), ESP_OK);
             }},
        {.name = "close_that_leaves_tcp_open",
         .server =
             [](Peer& peer) {
                 if (!peer.upgrade()) return;
                 const auto read = peer.read_frame();
                 if (read) peer.send(frame(8, read->payload));
                 peer.hold();
             },
         .events = opened + Names{"DATA", "CLOSED", "FINISH"},
         .judged = WEBSOCKET_EVENT_CLOSED,
         .codes = {WEBSOCKET_ERROR_TYPE_NONE, 101},
         .act = close_when_connected},
        {.name = "close_without_an_answer",
         .server =
             [](Peer& peer) {
                 peer.upgrade();
                 peer.hold();
             },
         .events = opened + Names{"DISCONNECTED", "FINISH"},
         .codes = {},
         .act =
             [](Recorder& client) {
                 client.wait_for(WEBSOCKET_EVENT_CONNECTED);
                 EXPECT_EQ(esp_websocket_client_close(client.handle, pdMS_TO_TICKS(200)), ESP_OK);
             }},
        {.name = "stop",
         .server =
             [](Peer& peer) {
                 if (!peer.upgrade()) return;
                 EXPECT_FALSE(peer.read_frame()) << "stop sends no Close";
             },
         .events = opened + Names{"DISCONNECTED", "FINISH"},
         .act =
             [](Recorder& client) {
                 client.wait_for(WEBSOCKET_EVENT_CONNECTED);
                 EXPECT_EQ(esp_websocket_client_stop(client.handle), ESP_OK);
                 EXPECT_EQ(esp_websocket_client_stop(client.handle), ESP_FAIL);
             }},
        {.name = "stop_while_connecting",
         .server = [](Peer& peer) { peer.hold(); },
         .events = failed,
         .act =
             [](Recorder& client) {
                 client.wait_for(WEBSOCKET_EVENT_BEFORE_CONNECT);
                 EXPECT_EQ(esp_websocket_client_stop(client.handle), ESP_OK);
             }},
        {.name = "stop_while_waiting",
         .server = [](Peer& peer) { peer.upgrade(); },
         .events = opened + Names{"ERROR", "DISCONNECTED", "FINISH"},
         .codes = {WEBSOCKET_ERROR_TYPE_TCP_TRANSPORT, 101, ESP_ERR_ESP_TLS_TCP_CLOSED_FIN},
         .settings = [](Config& config) { config.disable_auto_reconnect = false; },
         .act =
             [](Recorder& client) {
                 client.wait_for(WEBSOCKET_EVENT_DISCONNECTED);
                 EXPECT_EQ(esp_websocket_client_stop(client.handle), ESP_OK);
             }},
    };
}

class InOrder : public ::testing::TestWithParam<Scenario> {};

TEST_P(InOrder, AndWithTheRightCodes) {
    const Scenario& scenario = GetParam();
    ScriptedServer server(scenario.server);
    Recorder client(scenario.uri.empty() ? server.url() : scenario.uri, scenario.settings);
    ASSERT_EQ(client.start(), ESP_OK);
    if (scenario.act) scenario.act(client);
    ASSERT_TRUE(client.wait_for_finish()) << ::testing::PrintToString(client.names());
    EXPECT_EQ(client.names(), scenario.events);
    EXPECT_FALSE(esp_websocket_client_is_connected(client.handle));

    for (const Seen& each : client.seen()) {
        EXPECT_EQ(each.data.client, client.handle);
        EXPECT_EQ(each.data.user_context, &client);
        const auto& codes = each.data.error_handle;
        const bool judged = each.id == scenario.judged ||
                            (each.id == WEBSOCKET_EVENT_ERROR && scenario.judged == WEBSOCKET_EVENT_DISCONNECTED);
        if (each.id == WEBSOCKET_EVENT_ERROR) {
            EXPECT_FALSE(each.text.empty());
        }
        if (!judged) {
            EXPECT_EQ(codes.error_type, WEBSOCKET_ERROR_TYPE_NONE) << each.name();
            EXPECT_EQ(codes.esp_tls_last_esp_err, 0) << each.name();
        } else {
            EXPECT_EQ(codes.error_type, scenario.codes.type) << each.name();
            EXPECT_EQ(codes.esp_tls_last_esp_err, scenario.codes.tls) << each.name();
            EXPECT_EQ(codes.esp_transport_sock_errno, scenario.codes.number) << each.name();
            if (scenario.codes.type != WEBSOCKET_ERROR_TYPE_NONE || scenario.codes.status != 0) {
                EXPECT_EQ(codes.esp_ws_handshake_status_code, scenario.codes.status) << each.name();
            }
            EXPECT_EQ(each.data.close_status_code, scenario.codes.close) << each.name();
        }
        if (each.id != WEBSOCKET_EVENT_DATA) {
            EXPECT_EQ(each.data.op_code, 0) << each.name();
            EXPECT_EQ(each.data.payload_len, 0) << each.name();
            EXPECT_FALSE(each.data.fin) << each.name();
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Scenario, InOrder, ::testing::ValuesIn(table()),
                         [](const auto& instance) { return instance.param.name; });

// --- scenarios that go on ------------------------------------------------------------------------------------------

TEST(Reconnect, AfterAFailureAndItsDelayWithoutFinish) {
    std::atomic<int> connections = 0;
    ScriptedServer server([&](Peer& peer) {
        if (++connections == 1) return;  // ends before it has answered
        if (connections == 2) return answer(peer, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n");
        polite(peer);
    });
    Recorder client(server.url(), [](Config& config) {
        config.disable_auto_reconnect = false;
        config.reconnect_timeout_ms = 20;
    });
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
    EXPECT_EQ(client.names(), (Names{"BEGIN", "BEFORE_CONNECT", "ERROR", "DISCONNECTED", "BEFORE_CONNECT", "HEADER",
                                     "ERROR", "DISCONNECTED", "BEFORE_CONNECT", "HEADER", "CONNECTED"}));
    const auto ends = client.of(WEBSOCKET_EVENT_DISCONNECTED);
    EXPECT_EQ(ends[0].data.error_handle.esp_ws_handshake_status_code, 0);
    EXPECT_EQ(ends[1].data.error_handle.esp_ws_handshake_status_code, 503);
    EXPECT_EQ(client.last(WEBSOCKET_EVENT_CONNECTED).data.error_handle.error_type, WEBSOCKET_ERROR_TYPE_NONE);
}

TEST(Reconnect, AfterACloseWhenThatIsWanted) {
    std::atomic<int> connections = 0;
    ScriptedServer server([&](Peer& peer) { ++connections == 1 ? say_close(peer) : polite(peer); });
    Recorder client(server.url(), [](Config& config) {
        config.disable_auto_reconnect = false;
        config.enable_close_reconnect = true;
        config.reconnect_timeout_ms = 20;
    });
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED, 2));
    EXPECT_EQ(client.names(), opened + (Names{"DATA", "CLOSED", "BEFORE_CONNECT", "HEADER", "CONNECTED"}));
    const Seen closed = client.last(WEBSOCKET_EVENT_CLOSED);
    EXPECT_EQ(closed.data.error_handle.error_type, WEBSOCKET_ERROR_TYPE_SERVER_CLOSE);
    EXPECT_EQ(closed.data.close_status_code, 4001);
    EXPECT_EQ(client.last(WEBSOCKET_EVENT_CONNECTED).data.close_status_code, 0);

    // close() only begins, and the client comes back.
    EXPECT_EQ(esp_websocket_client_close(client.handle, portMAX_DELAY), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED, 3));
    EXPECT_EQ(client.count(WEBSOCKET_EVENT_CLOSED), 2u);
    EXPECT_EQ(client.count(WEBSOCKET_EVENT_FINISH), 0u);
}

TEST(Reconnect, CloseWhileWaitingIsRefusedAndChangesNothing) {
    std::atomic<int> connections = 0;
    ScriptedServer server([&](Peer& peer) {
        if (++connections > 1) polite(peer);
    });
    Recorder client(server.url(), [](Config& config) {
        config.disable_auto_reconnect = false;
        config.reconnect_timeout_ms = 60'000;
    });
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_DISCONNECTED));
    EXPECT_EQ(esp_websocket_client_close(client.handle, 0), ESP_FAIL);
    EXPECT_EQ(client.count(WEBSOCKET_EVENT_FINISH), 0u);
    // The new delay takes effect on the wait in progress.
    EXPECT_EQ(esp_websocket_client_set_reconnect_timeout(client.handle, 20), ESP_OK);
    EXPECT_EQ(esp_websocket_client_get_reconnect_timeout(client.handle), 20);
    EXPECT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
}

TEST(Restart, TheSameHandleAgainAfterEachEnd) {
    ScriptedServer server(polite);
    Recorder client(server.url());
    for (std::size_t round = 1; round <= 3; ++round) {
        ASSERT_EQ(client.start(), ESP_OK);
        EXPECT_EQ(client.start(), ESP_FAIL);
        ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED, round));
        EXPECT_TRUE(esp_websocket_client_is_connected(client.handle));
        EXPECT_EQ(round % 2 == 0 ? esp_websocket_client_stop(client.handle)
                                 : esp_websocket_client_close(client.handle, portMAX_DELAY),
                  ESP_OK);
        EXPECT_EQ(client.count(WEBSOCKET_EVENT_FINISH), round);
        EXPECT_EQ(client.count(WEBSOCKET_EVENT_BEGIN), round);
    }
}

TEST(Restart, InsideTheHandlerOfFinish) {
    ScriptedServer server(say_close);
    Recorder client(server.url());
    client.also = [&](const Seen& seen) {
        if (seen.id == WEBSOCKET_EVENT_FINISH && client.count(WEBSOCKET_EVENT_FINISH) < 3) {
            EXPECT_EQ(client.start(), ESP_OK);
        }
    };
    ASSERT_EQ(client.start(), ESP_OK);
    EXPECT_TRUE(client.wait_for(WEBSOCKET_EVENT_FINISH, 3));
    EXPECT_EQ(client.count(WEBSOCKET_EVENT_CLOSED), 3u);
}

TEST(DestroyOnExit, FreesTheHandleAfterFinish) {
    ScriptedServer server(say_close);
    Recorder client(server.url());
    EXPECT_EQ(esp_websocket_client_destroy_on_exit(client.handle), ESP_OK);
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for_finish());
    EXPECT_EQ(client.names(), opened + (Names{"DATA", "CLOSED", "FINISH"}));
    for (int i = 0; esp_websocket_client_start(client.handle) != ESP_ERR_INVALID_ARG; ++i) {
        ASSERT_LT(i, 10'000) << "it is not freed";
        std::this_thread::sleep_for(1ms);
    }
    // Whoever comes late gets an answer.
    EXPECT_EQ(esp_websocket_client_stop(client.handle), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(esp_websocket_client_destroy(client.handle), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(esp_websocket_client_send_text(client.handle, "x", 1, 0), -1);
    EXPECT_FALSE(esp_websocket_client_is_connected(client.handle));
}

TEST(Headers, EachLineButAcceptIsAnEvent) {
    ScriptedServer server([](Peer& peer) {
        const std::string request = peer.read_request();
        peer.send(Peer::accept(request, "X-One: 1\r\nSet-Cookie: a=b; Path=/\r\n"));
        peer.hold();
    });
    Recorder client(server.url());
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
    Names lines;
    for (const Seen& each : client.of(WEBSOCKET_EVENT_HEADER_RECEIVED)) lines.push_back(each.text);
    EXPECT_EQ(lines, (Names{"Upgrade: websocket", "Connection: Upgrade", "X-One: 1", "Set-Cookie: a=b; Path=/"}));
}

TEST(Redirect, EachHopIsAnAttempt) {
    ScriptedServer target(polite);
    ScriptedServer server([&](Peer& peer) {
        answer(peer,
               "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nLocation: " + target.url("/b?c") + "\r\n");
    });
    Recorder client(server.url());
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
    EXPECT_EQ(client.names(), (Names{"BEGIN", "BEFORE_CONNECT", "HEADER", "BEFORE_CONNECT", "HEADER", "CONNECTED"}));
}

// --- DATA ----------------------------------------------------------------------------------------------------------

struct Part {
    int opcode;
    bool fin;
    std::string text;
    int length;
    int offset;
    friend bool operator==(const Part&, const Part&) = default;
    friend void PrintTo(const Part& part, std::ostream* out) {
        *out << part.opcode << (part.fin ? " fin " : " ") << part.text.size() << "@" << part.offset << "/"
             << part.length;
    }
};

std::vector<Part> parts_of(const Recorder& client) {
    std::vector<Part> parts;
    for (const Seen& each : client.of(WEBSOCKET_EVENT_DATA)) {
        parts.push_back({each.data.op_code, each.data.fin, each.text, each.data.payload_len, each.data.payload_offset});
    }
    return parts;
}

/// What is sent behind the upgrade, whole, and what comes of it.
std::vector<Part> received(const std::vector<std::string>& pieces, std::size_t events, int buffer_size = 0) {
    std::promise<void> done;
    ScriptedServer server([&](Peer& peer) {
        if (!peer.upgrade()) return;
        for (const std::string& piece : pieces) peer.send(piece);
        peer.hold();
    });
    Recorder client(server.url(), [&](Config& config) { config.buffer_size = buffer_size; });
    EXPECT_EQ(client.start(), ESP_OK);
    EXPECT_TRUE(client.wait_for(WEBSOCKET_EVENT_DATA, events));
    return parts_of(client);
}

TEST(Data, APieceIsNeverLargerThanTheBuffer) {
    const std::string whole(1024, 'a');
    EXPECT_EQ(received({frame(1, whole)}, 1), (std::vector<Part>{{1, true, whole, 1024, 0}}));
    EXPECT_EQ(received({frame(2, whole + "b")}, 2),
              (std::vector<Part>{{2, true, whole, 1025, 0}, {2, true, "b", 1025, 1024}}));
    EXPECT_EQ(received({frame(1, "abcdefg")}, 3, 3),
              (std::vector<Part>{{1, true, "abc", 7, 0}, {1, true, "def", 7, 3}, {1, true, "g", 7, 6}}));
}

TEST(Data, FragmentsAndControlFramesAreFrames) {
    EXPECT_EQ(
        received({frame(1, "Hel", false) + frame(9, "p") + frame(0, "lo", false) + frame(10, "q") + frame(0, "!")}, 5),
        (std::vector<Part>{{1, false, "Hel", 3, 0},
                           {9, true, "p", 1, 0},
                           {0, false, "lo", 2, 0},
                           {10, true, "q", 1, 0},
                           {0, true, "!", 1, 0}}));
}

TEST(Data, EmptyFramesAreEventsToo) {
    EXPECT_EQ(received({frame(1, "")}, 1), (std::vector<Part>{{1, true, "", 0, 0}}));
    EXPECT_EQ(received({frame(2, "", false) + frame(0, "")}, 2),
              (std::vector<Part>{{2, false, "", 0, 0}, {0, true, "", 0, 0}}));
}

TEST(Data, ALargeFrameIsCompleteWhateverItsPieces) {
    const std::string large(300'000, 'x');
    const std::vector<Part> parts = received({frame(2, large)}, 300'000 / 1024 + 1);
    std::string all;
    for (const Part& part : parts) {
        EXPECT_EQ(part.length, 300'000);
        EXPECT_EQ(part.offset, static_cast<int>(all.size()));
        EXPECT_LE(part.text.size(), 1024u);
        all += part.text;
    }
    EXPECT_EQ(all.substr(0, 200'000), large.substr(0, 200'000));
}

TEST(Data, TheCloseFrameHasItsCodeAlready) {
    ScriptedServer server(say_close);
    Recorder client(server.url());
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for_finish());
    const Seen data = client.last(WEBSOCKET_EVENT_DATA);
    EXPECT_EQ(data.data.op_code, 8);
    EXPECT_EQ(data.text, std::string("\x0f\xa1", 2) + "enough");
    EXPECT_EQ(data.data.close_status_code, 4001);
}

}  // namespace
}  // namespace tern::esp::test
