// TLS, against servers of somebody else's.
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "esp_crt_bundle.h"
#include "recorder.hpp"
#include "server_process.hpp"
#include "tern_esp_ext.h"

namespace tern::esp::test {
namespace {

using interop::ServerProcess;
using Config = esp_websocket_client_config_t;

std::string authority(const std::string& name) {
    std::ifstream file(std::string(TERN_TEST_AUTHORITY) + "/" + name);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class Wss : public ::testing::Test {
protected:
    std::string uri(const std::string& host = "127.0.0.1") {
        if (port_ == 0) port_ = server_.read_port();
        return "wss://" + host + ":" + std::to_string(port_) + "/";
    }
    /// Empty if an echo came, or the codes of the failure.
    esp_websocket_error_codes_t codes_of(const std::string& address, const std::function<void(Config&)>& settings) {
        Recorder client(address, settings);
        client.also = [&](const Seen& seen) {
            if (seen.id == WEBSOCKET_EVENT_CONNECTED) esp_websocket_client_send_text(client.handle, "hi", 2, 0);
            if (seen.id == WEBSOCKET_EVENT_DATA && seen.text == "hi") esp_websocket_client_close(client.handle, 100);
        };
        EXPECT_EQ(client.start(), ESP_OK);
        EXPECT_TRUE(client.wait_for_finish());
        return client.last(WEBSOCKET_EVENT_ERROR).data.error_handle;
    }

    ServerProcess server_{{"/usr/bin/python3", TERN_SERVERS "/websockets_server.py", TERN_TEST_AUTHORITY "/good.pem",
                           TERN_TEST_AUTHORITY "/good.key"}};
    std::uint16_t port_ = 0;
};

TEST_F(Wss, EachSourceOfTrust) {
    const std::string root = authority("root.pem");
    const std::string der = authority("root.der");
    const std::string other = authority("other-root.pem");
    // Nothing to trust: not verified, as documented.
    EXPECT_EQ(codes_of(uri(), [](Config&) {}).error_type, WEBSOCKET_ERROR_TYPE_NONE);
    EXPECT_EQ(codes_of(uri(), [&](Config& config) { config.cert_pem = root.c_str(); }).error_type,
              WEBSOCKET_ERROR_TYPE_NONE);
    EXPECT_EQ(codes_of(uri(),
                       [&](Config& config) {
                           config.cert_pem = der.data();
                           config.cert_len = der.size();
                       })
                  .error_type,
              WEBSOCKET_ERROR_TYPE_NONE);
    for (const auto& distrust : std::vector<std::function<void(Config&)>>{
             [&](Config& config) { config.cert_pem = other.c_str(); },
             [](Config& config) { config.crt_bundle_attach = esp_crt_bundle_attach; },
             [](Config& config) { config.use_global_ca_store = true; }}) {
        const auto codes = codes_of(uri(), distrust);
        EXPECT_EQ(codes.error_type, WEBSOCKET_ERROR_TYPE_TCP_TRANSPORT);
        EXPECT_EQ(codes.esp_tls_last_esp_err, 0x801A);
        EXPECT_EQ(codes.esp_tls_cert_verify_flags, 8);
        EXPECT_NE(codes.esp_tls_stack_err, 0);
    }
}

TEST_F(Wss, TheNameIsChecked) {
    const std::string root = authority("root.pem");
    EXPECT_EQ(codes_of(uri(),
                       [&](Config& config) {
                           config.cert_pem = root.c_str();
                           config.cert_common_name = "elsewhere.test";
                       })
                  .esp_tls_cert_verify_flags,
              4);
    EXPECT_EQ(codes_of(uri(),
                       [&](Config& config) {
                           config.cert_pem = root.c_str();
                           config.cert_common_name = "good.test";
                       })
                  .error_type,
              WEBSOCKET_ERROR_TYPE_NONE);
    EXPECT_EQ(codes_of(uri("127.0.0.2"),
                       [&](Config& config) {
                           config.cert_pem = root.c_str();
                           config.skip_cert_common_name_check = true;
                       })
                  .esp_tls_cert_verify_flags,
              0);
}

TEST_F(Wss, WhatIsNoCertificateShowsAsEvents) {
    const auto codes = codes_of(uri(), [](Config& config) { config.cert_pem = "-----BEGIN CERTIFICATE-----\nx\n"; });
    EXPECT_EQ(codes.error_type, WEBSOCKET_ERROR_TYPE_TCP_TRANSPORT);
    EXPECT_EQ(codes.esp_tls_last_esp_err, 0x8015);
}

TEST(MutualTls, TheClientShowsItsCertificate) {
    ServerProcess server({"/usr/bin/python3", TERN_SERVERS "/websockets_server.py", TERN_TEST_AUTHORITY "/good.pem",
                          TERN_TEST_AUTHORITY "/good.key", TERN_TEST_AUTHORITY "/root.pem"});
    const std::string uri = "wss://127.0.0.1:" + std::to_string(server.read_port()) + "/";
    const std::string root = authority("root.pem");
    const std::string certificate = authority("client.pem");
    const std::string key = authority("client.key");
    Recorder with(uri, [&](Config& config) {
        config.cert_pem = root.c_str();
        config.client_cert = certificate.c_str();
        config.client_key = key.c_str();
        config.client_key_len = key.size() + 1;
    });
    ASSERT_EQ(with.start(), ESP_OK);
    with.wait_for(WEBSOCKET_EVENT_CONNECTED);
    EXPECT_EQ(esp_websocket_client_send_text(with.handle, "hello", 5, portMAX_DELAY), 5);
    EXPECT_TRUE(with.wait_for(WEBSOCKET_EVENT_DATA));
    Recorder without(uri, [&](Config& config) { config.cert_pem = root.c_str(); });
    ASSERT_EQ(without.start(), ESP_OK);
    ASSERT_TRUE(without.wait_for_finish());
    EXPECT_EQ(without.count(WEBSOCKET_EVENT_DATA), 0u);
}

// --- other servers, plain ------------------------------------------------------------------------------------------

class Others : public ::testing::TestWithParam<std::pair<const char*, std::vector<std::string>>> {};

TEST_P(Others, EchoAndClose) {
    ServerProcess server(GetParam().second);
    Recorder client("ws://127.0.0.1:" + std::to_string(server.read_port()) + "/");
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_CONNECTED));
    const std::string large(5000, 'x');
    EXPECT_EQ(esp_websocket_client_send_text(client.handle, large.data(), 5000, portMAX_DELAY), 5000);
    EXPECT_EQ(esp_websocket_client_send_bin_partial(client.handle, "a", 1, portMAX_DELAY), 1);
    EXPECT_EQ(esp_websocket_client_send_cont_msg(client.handle, "b", 1, portMAX_DELAY), 1);
    EXPECT_EQ(esp_websocket_client_send_fin(client.handle, portMAX_DELAY), 0);
    std::string text;
    ASSERT_TRUE(client.wait_for(WEBSOCKET_EVENT_DATA, 6));
    for (const Seen& each : client.of(WEBSOCKET_EVENT_DATA)) text += each.text;
    EXPECT_EQ(text.substr(0, 5000), large);
    EXPECT_EQ(esp_websocket_client_close_with_code(client.handle, 4000, "bye", 3, pdMS_TO_TICKS(10'000)), ESP_OK);
    EXPECT_EQ(client.count(WEBSOCKET_EVENT_CLOSED), 1u);
    EXPECT_EQ(client.last(WEBSOCKET_EVENT_CLOSED).data.close_status_code, 4000);
}

INSTANTIATE_TEST_SUITE_P(
    Server, Others,
    ::testing::Values(std::pair("websockets",
                                std::vector<std::string>{"/usr/bin/python3", TERN_SERVERS "/websockets_server.py"}),
                      std::pair("ws", std::vector<std::string>{TERN_NODE, TERN_SERVERS "/ws_server.js"}),
                      std::pair("beast", std::vector<std::string>{TERN_COMMAND, "echo", "--port", "0"})),
    [](const auto& instance) { return instance.param.first; });

}  // namespace
}  // namespace tern::esp::test
