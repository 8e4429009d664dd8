// tern_esp_ext.h, each function. Those that look at a connection that is open are in sending_test.cpp.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "recorder.hpp"
#include "scripted_server.hpp"
#include "server_process.hpp"
#include "tern_esp_ext.h"

namespace tern::esp::test {
namespace {

using interop::frame;
using interop::Peer;
using interop::ScriptedServer;
using interop::ServerProcess;
using Config = esp_websocket_client_config_t;

std::string authority(const std::string& name) {
    std::ifstream file(std::string(TERN_TEST_AUTHORITY) + "/" + name);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

/// The request that a client sends, once `set` has been called for it.
std::string request_of(const std::function<void(esp_websocket_client_handle_t)>& set) {
    std::promise<std::string> request;
    ScriptedServer server([&](Peer& peer) { request.set_value(peer.read_request()); });
    Recorder client(server.url());
    set(client.handle);
    EXPECT_EQ(client.start(), ESP_OK);
    EXPECT_TRUE(client.wait_for_finish());
    return request.get_future().get();
}

TEST(Extension, NoHandleIsAnswered) {
    const tern_esp_backoff_t backoff{};
    const tern_esp_tls_t tls{};
    tern_esp_stats_t stats{};
    EXPECT_EQ(tern_esp_set_proxy(nullptr, ""), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(tern_esp_set_proxy_from_environment(nullptr), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(tern_esp_set_backoff(nullptr, &backoff), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(tern_esp_set_tls(nullptr, &tls), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(tern_esp_set_bearer_token(nullptr, "x"), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(tern_esp_set_max_redirects(nullptr, 1), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(tern_esp_set_max_message_size(nullptr, 1), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(tern_esp_set_compression(nullptr, true), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(tern_esp_check_outgoing_text(nullptr, true), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(tern_esp_set_send_window(nullptr, 1), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(tern_esp_set_unix_socket(nullptr, ""), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(tern_esp_begin_stop(nullptr), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(tern_esp_flush(nullptr, 0), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(tern_esp_get_stats(nullptr, &stats), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(tern_esp_last_error(nullptr, nullptr, 0), -1);
}

TEST(Extension, OnAClientThatDoesNotRun) {
    Recorder client("ws://127.0.0.1:1/");
    tern_esp_stats_t stats{};
    EXPECT_EQ(tern_esp_begin_stop(client.handle), ESP_FAIL);
    EXPECT_EQ(tern_esp_flush(client.handle, 0), ESP_ERR_INVALID_STATE);
    EXPECT_EQ(tern_esp_get_stats(client.handle, &stats), ESP_OK);
    EXPECT_EQ(tern_esp_get_stats(client.handle, nullptr), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(tern_esp_last_error(client.handle, nullptr, 0), 0);
    EXPECT_EQ(tern_esp_set_tls(client.handle, nullptr), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(tern_esp_set_backoff(client.handle, nullptr), ESP_ERR_INVALID_ARG);
}

TEST(Compression, IsOfferedOnlyWhenAskedFor) {
    EXPECT_EQ(request_of([](auto) {}).find("permessage-deflate"), std::string::npos);
    const auto offered = [](auto handle) { EXPECT_EQ(tern_esp_set_compression(handle, true), ESP_OK); };
    EXPECT_NE(request_of(offered).find("permessage-deflate"), std::string::npos);
    const auto not_offered = [&](auto handle) {
        offered(handle);
        EXPECT_EQ(tern_esp_set_compression(handle, false), ESP_OK);
    };
    EXPECT_EQ(request_of(not_offered).find("permessage-deflate"), std::string::npos);
}

TEST(Compression, WorksBothWays) {
    std::promise<interop::ClientFrame> sent;
    ScriptedServer server([&](Peer& peer) {
        peer.send(Peer::accept(peer.read_request(), "Sec-WebSocket-Extensions: permessage-deflate\r\n"));
        peer.send(frame(1, std::string("\xf2\x48\xcd\xc9\xc9\x07\x00", 7), true, 4));  // RFC 7692 section 7.2.3.1
        if (const auto read = peer.read_frame()) sent.set_value(*read);
        peer.drain();
    });
    Recorder client(server.url(), [](Config& config) { config.buffer_size = 4096; });
    ASSERT_EQ(tern_esp_set_compression(client.handle, true), ESP_OK);
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_DATA));
    EXPECT_EQ(client.last(WEBSOCKET_EVENT_DATA).text, "Hello");
    const std::string text(20'000, 'x');
    ASSERT_EQ(esp_websocket_client_send_text(client.handle, text.data(), 20'000, portMAX_DELAY), 20'000);
    const interop::ClientFrame frame = sent.get_future().get();
    EXPECT_EQ(frame.rsv, 4u);
    EXPECT_LT(frame.payload.size(), 1000u);
}

// --- proxies and sockets -------------------------------------------------------------------------------------------

/// An HTTP proxy that is the server behind it, too.
void proxy(Peer& peer) {
    if (!peer.read_request().starts_with("CONNECT behind.example:80 HTTP/1.1\r\n")) return;
    peer.send("HTTP/1.1 200 Connected\r\n\r\n");
    if (peer.upgrade()) peer.hold();
}

TEST(Proxy, IsUsed) {
    ScriptedServer server(proxy);
    Recorder client("ws://behind.example/");
    ASSERT_EQ(tern_esp_set_proxy(client.handle, ("http://" + server.name()).c_str()), ESP_OK);
    ASSERT_EQ(client.start(), ESP_OK);
    EXPECT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
    EXPECT_EQ(esp_websocket_client_stop(client.handle), ESP_OK);
    // A proxy that is none shows at once.
    ASSERT_EQ(tern_esp_set_proxy(client.handle, "ftp://nonsense"), ESP_OK);
    EXPECT_EQ(client.start(), ESP_FAIL);
}

TEST(Proxy, NullMeansNone) {
    ScriptedServer server([](Peer& peer) {
        if (peer.upgrade()) peer.hold();
    });
    Recorder client(server.url());
    ASSERT_EQ(tern_esp_set_proxy(client.handle, "http://127.0.0.1:1"), ESP_OK);
    ASSERT_EQ(tern_esp_set_proxy(client.handle, nullptr), ESP_OK);
    ASSERT_EQ(client.start(), ESP_OK);
    EXPECT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
}

TEST(Proxy, OfTheEnvironment) {
    ScriptedServer server(proxy);
    setenv("ws_proxy", ("http://" + server.name()).c_str(), 1);
    Recorder client("ws://behind.example/");
    EXPECT_EQ(tern_esp_set_proxy_from_environment(client.handle), ESP_OK);
    unsetenv("ws_proxy");
    ASSERT_EQ(client.start(), ESP_OK);
    EXPECT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
}

TEST(UnixSocket, IsUsedInsteadOfHostAndPort) {
    const std::string path = std::filesystem::temp_directory_path() / ("tern-esp-" + std::to_string(getpid()));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof(address.sun_path), "%s", path.c_str());
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    ASSERT_EQ(listen(listener, 1), 0);
    std::promise<std::string> request;
    std::thread server([&] {
        const std::atomic<bool> ending = false;
        Peer peer(accept(listener, nullptr, nullptr), ending);
        const std::string head = peer.read_request();
        request.set_value(head);
        peer.send(Peer::accept(head));
        peer.drain();
    });
    {
        Recorder client("ws://nowhere.invalid/path");
        ASSERT_EQ(tern_esp_set_unix_socket(client.handle, path.c_str()), ESP_OK);
        ASSERT_EQ(client.start(), ESP_OK);
        EXPECT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
        EXPECT_TRUE(request.get_future().get().starts_with("GET /path HTTP/1.1"));
    }
    server.join();
    close(listener);
    std::filesystem::remove(path);
}

// --- the request and its limits ------------------------------------------------------------------------------------

TEST(Bearer, TokenIsSentAndCanBeTakenBack) {
    const auto set = [](auto handle) { EXPECT_EQ(tern_esp_set_bearer_token(handle, "abc"), ESP_OK); };
    EXPECT_NE(request_of(set).find("\r\nAuthorization: Bearer abc\r\n"), std::string::npos);
    const auto reset = [&](auto handle) {
        set(handle);
        EXPECT_EQ(tern_esp_set_bearer_token(handle, nullptr), ESP_OK);
    };
    EXPECT_EQ(request_of(reset).find("Authorization"), std::string::npos);
}

TEST(Redirects, AreCounted) {
    for (const unsigned most : {0u, 2u}) {
        std::atomic<unsigned> requests = 0;
        ScriptedServer server([&](Peer& peer) {
            ++requests;
            peer.read_request();
            peer.send("HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /?" + std::to_string(requests) +
                      "\r\n\r\n");
            peer.drain();
        });
        Recorder client(server.url());
        EXPECT_EQ(tern_esp_set_max_redirects(client.handle, most), ESP_OK);
        ASSERT_EQ(client.start(), ESP_OK);
        ASSERT_TRUE(client.wait_for_finish());
        EXPECT_EQ(requests, most + 1);
    }
}

TEST(MaxMessageSize, CountsAllFrames) {
    std::promise<unsigned> code;
    ScriptedServer server([&](Peer& peer) {
        if (!peer.upgrade()) return;
        peer.send(frame(2, std::string(600, 'x'), false) + frame(0, std::string(600, 'x')));
        const auto read = peer.read_frame();
        code.set_value(read ? read->close_code().value_or(0) : 0);
    });
    Recorder client(server.url());
    EXPECT_EQ(tern_esp_set_max_message_size(client.handle, 1000), ESP_OK);
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for_finish());
    EXPECT_EQ(code.get_future().get(), 1009u);
    EXPECT_EQ(client.count(WEBSOCKET_EVENT_ERROR), 1u);
}

TEST(SendWindow, SaysHowMuchMayWait) {
    ScriptedServer server([](Peer& peer) {
        peer.upgrade();
        peer.hold();
    });
    // More than the kernel takes, of which the peer reads nothing.
    constexpr int messages = 400;
    const std::string data(64u << 10u, 'x');
    const auto accepted = [&](std::size_t window) {
        Recorder client(server.url());
        if (window != 0) {
            EXPECT_EQ(tern_esp_set_send_window(client.handle, window), ESP_OK);
        }
        EXPECT_EQ(client.start(), ESP_OK);
        EXPECT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
        int count = 0;
        while (count < messages && esp_websocket_client_send_bin(client.handle, data.data(), 64 << 10, 0) > 0) ++count;
        return count;
    };
    EXPECT_LT(accepted(0), messages);
    EXPECT_EQ(accepted(64u << 20u), messages);
}

TEST(Backoff, DelaysStayBetweenTheShortestAndTheLongest) {
    ScriptedServer server([](Peer&) {});
    Recorder client(server.url(), [](Config& config) {
        config.disable_auto_reconnect = false;
        config.reconnect_timeout_ms = 60'000;
    });
    const tern_esp_backoff_t backoff{.max_delay_ms = 120'000, .max_attempts = 0, .give_up_after_ms = 30'000};
    EXPECT_EQ(tern_esp_set_backoff(client.handle, &backoff), ESP_OK);
    ASSERT_EQ(client.start(), ESP_OK);
    // The first delay would go beyond the time after which it is to give up.
    ASSERT_TRUE(client.wait_for_finish());
    EXPECT_EQ(client.count(WEBSOCKET_EVENT_BEFORE_CONNECT), 1u);
}

// --- TLS -----------------------------------------------------------------------------------------------------------

class TlsExtension : public ::testing::Test {
protected:
    /// The type of the error; `NONE` if there was none and an echo came.
    esp_websocket_error_type_t outcome(const tern_esp_tls_t& tls, const std::function<void(Config&)>& prepare = {},
                                       const std::string& uri = {}) {
        Recorder client(uri.empty() ? uri_ : uri, prepare);
        client.also = [&](const Seen& seen) {
            if (seen.id == WEBSOCKET_EVENT_CONNECTED) esp_websocket_client_send_text(client.handle, "hi", 2, 0);
            if (seen.id == WEBSOCKET_EVENT_DATA && seen.text == "hi") esp_websocket_client_close(client.handle, 100);
        };
        EXPECT_EQ(tern_esp_set_tls(client.handle, &tls), ESP_OK);
        EXPECT_EQ(client.start(), ESP_OK);
        EXPECT_TRUE(client.wait_for_finish());
        return client.last(WEBSOCKET_EVENT_ERROR).data.error_handle.error_type;
    }

    ServerProcess server_{{"/usr/bin/python3", TERN_SERVERS "/websockets_server.py", TERN_TEST_AUTHORITY "/good.pem",
                           TERN_TEST_AUTHORITY "/good.key"}};
    const std::string uri_ = "wss://127.0.0.1:" + std::to_string(server_.read_port()) + "/";
};

TEST_F(TlsExtension, TrustFileSwitchesVerificationOn) {
    tern_esp_tls_t tls{};
    tls.trust_file = TERN_TEST_AUTHORITY "/root.pem";
    EXPECT_EQ(outcome(tls), WEBSOCKET_ERROR_TYPE_NONE);
    tls.trust_file = TERN_TEST_AUTHORITY "/other-root.pem";
    EXPECT_EQ(outcome(tls), WEBSOCKET_ERROR_TYPE_TCP_TRANSPORT);
}

TEST_F(TlsExtension, Pins) {
    std::string right = authority("good.pin");
    right.erase(right.find_last_not_of('\n') + 1);
    const std::string wrong = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const char* pins[] = {wrong.c_str(), right.c_str()};
    tern_esp_tls_t tls{};
    tls.pins = pins;
    tls.pin_count = 2;
    EXPECT_EQ(outcome(tls), WEBSOCKET_ERROR_TYPE_NONE) << right;
    tls.pin_count = 1;
    EXPECT_EQ(outcome(tls), WEBSOCKET_ERROR_TYPE_TCP_TRANSPORT);
}

TEST_F(TlsExtension, VersionsAlpnAndKeyLog) {
    const std::string log = std::filesystem::temp_directory_path() / ("tern-esp-keys-" + std::to_string(getpid()));
    const char* alpn[] = {"http/1.1"};
    tern_esp_tls_t tls{};
    tls.alpn = alpn;
    tls.alpn_count = 1;
    tls.key_log_file = log.c_str();
    tls.min_version = tls.max_version = 12;
    EXPECT_EQ(outcome(tls), WEBSOCKET_ERROR_TYPE_NONE);
    std::ifstream file(log);
    std::string line;
    while (std::getline(file, line) && line.starts_with('#')) {
    }
    EXPECT_TRUE(line.starts_with("CLIENT_RANDOM")) << "as TLS 1.2 has it: " << line;
    std::filesystem::remove(log);
    Recorder client(uri_);
    tls.min_version = 11;
    EXPECT_EQ(tern_esp_set_tls(client.handle, &tls), ESP_ERR_INVALID_ARG);
}

TEST_F(TlsExtension, PassphraseOfTheKey) {
    ServerProcess mutual({"/usr/bin/python3", TERN_SERVERS "/websockets_server.py", TERN_TEST_AUTHORITY "/good.pem",
                          TERN_TEST_AUTHORITY "/good.key", TERN_TEST_AUTHORITY "/root.pem"});
    const std::string uri = "wss://127.0.0.1:" + std::to_string(mutual.read_port()) + "/";
    const std::string certificate = authority("client.pem");
    const std::string key = authority("client-encrypted.key");
    const auto settings = [&](Config& config) {
        config.client_cert = certificate.c_str();
        config.client_key = key.c_str();
    };
    tern_esp_tls_t tls{};
    tls.passphrase = "secret";
    EXPECT_EQ(outcome(tls, settings, uri), WEBSOCKET_ERROR_TYPE_NONE);
    tls.passphrase = "wrong";
    EXPECT_NE(outcome(tls, settings, uri), WEBSOCKET_ERROR_TYPE_NONE);
}

}  // namespace
}  // namespace tern::esp::test
