// The configuration: precedence, defaults, URIs.
#include "options.hpp"

#include <algorithm>
#include <functional>
#include <net/if.h>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "esp_crt_bundle.h"

namespace tern::esp::test {
namespace {

using EspConfig = esp_websocket_client_config_t;

std::string url_of(const Options& options) {
    Attempt attempt;
    options.prepare(attempt, options.headers);
    return attempt.url;
}

Options with(const char* uri, EspConfig config = {}) {
    Options options(config);
    EXPECT_TRUE(UriParts::parse(uri, options.uri)) << uri;
    return options;
}

TEST(Uri, Parts) {
    EXPECT_EQ(url_of(with("ws://host")), "ws://host:80/");
    EXPECT_EQ(url_of(with("WSS://host")), "wss://host:443/");
    EXPECT_EQ(url_of(with("ws://host:81/a/b?c=d#fragment")), "ws://host:81/a/b?c=d");
    EXPECT_EQ(url_of(with("ws://host?c")), "ws://host:80/?c");
    EXPECT_EQ(url_of(with("ws://[::1]:82/x")), "ws://[::1]:82/x");
    EXPECT_EQ(url_of(with("ws://user:pass@host/")), "ws://host:80/");
}

TEST(Uri, RefusesWhatIsNone) {
    UriParts parts;
    for (const char* text : {"", "host", "://host", "ws:/host", "ws://", "ws://:80/", "ws://host:70000/", "ws://host:x",
                             "ws://host:0/", "ws://[::1", "ws://[::1]x", "ws://ho st/", "ws://host/\r\n"}) {
        EXPECT_FALSE(UriParts::parse(text, parts)) << text;
    }
    EspConfig config{};
    config.uri = "no uri";
    EXPECT_EQ(esp_websocket_client_init(&config), nullptr);
    EXPECT_EQ(esp_websocket_client_init(nullptr), nullptr);
    config.uri = "http://host/";
    auto* const handle = esp_websocket_client_init(&config);
    ASSERT_NE(handle, nullptr);
    EXPECT_EQ(esp_websocket_client_start(handle), ESP_FAIL);
    EXPECT_EQ(esp_websocket_client_set_uri(handle, "no uri"), ESP_FAIL);
    EXPECT_EQ(esp_websocket_client_set_uri(handle, nullptr), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(esp_websocket_client_destroy(handle), ESP_OK);
}

TEST(Precedence, FieldsBeatTheUriButTheSchemeBeatsTransport) {
    EspConfig config{};
    config.host = "other";
    config.port = 99;
    config.path = "/p";
    config.transport = WEBSOCKET_TRANSPORT_OVER_SSL;
    EXPECT_EQ(url_of(with("ws://host:81/x", config)), "ws://other:99/p");
    const Options alone(config);
    EXPECT_EQ(url_of(alone), "wss://other:99/p");
    config.transport = WEBSOCKET_TRANSPORT_UNKNOWN;
    config.port = 0;
    EXPECT_EQ(url_of(Options(config)), "ws://other:80/p");
}

TEST(Precedence, ALaterUriBeatsTheFields) {
    EspConfig config{};
    config.port = 99;
    Options options = with("ws://host/x", config);
    options.uri_was_set = true;
    ASSERT_TRUE(UriParts::parse("wss://new/y", options.uri));
    EXPECT_EQ(url_of(options), "wss://new:99/y");
    ASSERT_TRUE(UriParts::parse("ws://new:5", options.uri));
    EXPECT_EQ(url_of(options), "ws://new:5/");
}

TEST(Precedence, CredentialsNeedBoth) {
    EspConfig config{};
    config.username = "user";
    Attempt attempt;
    with("ws://host", config).prepare(attempt, "");
    EXPECT_EQ(attempt.user, "");
    with("ws://:secret@host", config).prepare(attempt, "");
    EXPECT_EQ(attempt.user, "user");
    EXPECT_EQ(attempt.password, "secret");
}

TEST(Defaults, AreTheReferences) {
    const Options options{EspConfig{}};
    EXPECT_EQ(options.buffer_size, 1024u);
    EXPECT_EQ(options.pong_timeout, std::chrono::seconds(120));
    EXPECT_EQ(options.ping_interval, std::chrono::seconds(10));
    EXPECT_EQ(options.reconnect_timeout, std::chrono::milliseconds(10'000));
    EXPECT_EQ(options.network_timeout, std::chrono::milliseconds(10'000));
    EXPECT_TRUE(options.auto_reconnect);
    EXPECT_FALSE(options.close_reconnect);
    EXPECT_EQ(options.keepalive.idle.count(), 0);
    EspConfig config{};
    config.keep_alive_enable = true;
    const Options alive(config);
    EXPECT_EQ(alive.keepalive.idle.count(), 5);
    EXPECT_EQ(alive.keepalive.interval.count(), 5);
    EXPECT_EQ(alive.keepalive.count, 3);
    ifreq interface{};
    std::snprintf(interface.ifr_name, sizeof(interface.ifr_name), "lo");
    config.if_name = &interface;
    EXPECT_EQ(Options(config).config().socket.interface, "lo");
}

TEST(Tls, SourcesOfTrust) {
    EspConfig config{};
    EXPECT_EQ(Options(config).tls.verify, TlsVerify::insecurely_not_at_all);
    config.cert_pem = "-----BEGIN CERTIFICATE-----\n";
    const Options pem(config);
    EXPECT_EQ(pem.tls.verify, TlsVerify::full);
    ASSERT_EQ(pem.tls.trust.size(), 1u);
    EXPECT_EQ(pem.tls.trust[0].kind, TlsSource::Kind::pem);
    config.skip_cert_common_name_check = true;
    EXPECT_EQ(Options(config).tls.verify, TlsVerify::without_name);
    config.crt_bundle_attach = esp_crt_bundle_attach;
    EXPECT_TRUE(Options(config).tls.trust.empty()) << "the bundle beats it";
    config.cert_common_name = "name";
    EXPECT_EQ(esp_websocket_client_init(&config), nullptr) << "a name, and the wish not to check it";
    EspConfig der{};
    der.cert_pem = "\x30\x82\x01";
    der.cert_len = 3;
    EXPECT_EQ(Options(der).tls.trust.at(0).kind, TlsSource::Kind::der);
    EspConfig global{};
    global.use_global_ca_store = true;
    EXPECT_EQ(Options(global).tls.verify, TlsVerify::full);
}

TEST(ExtTransport, DoesNotStart) {
    EspConfig config{};
    config.uri = "ws://localhost";
    config.ext_transport = esp_transport_init();
    auto* const handle = esp_websocket_client_init(&config);
    EXPECT_EQ(esp_websocket_client_start(handle), ESP_FAIL);
    EXPECT_EQ(esp_websocket_client_destroy(handle), ESP_OK);
    EXPECT_EQ(esp_transport_destroy(config.ext_transport), ESP_OK);
}

TEST(NullHandles, AreAnswered) {
    EXPECT_EQ(esp_websocket_client_start(nullptr), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(esp_websocket_client_stop(nullptr), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(esp_websocket_client_close(nullptr, 0), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(esp_websocket_client_destroy(nullptr), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(esp_websocket_client_destroy_on_exit(nullptr), ESP_ERR_INVALID_ARG);
    EXPECT_FALSE(esp_websocket_client_is_connected(nullptr));
    EXPECT_EQ(esp_websocket_client_get_ping_interval_sec(nullptr), 0u);
    EXPECT_EQ(esp_websocket_client_set_ping_interval_sec(nullptr, 1), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(esp_websocket_client_get_reconnect_timeout(nullptr), -1);
    EXPECT_EQ(esp_websocket_client_set_reconnect_timeout(nullptr, 1), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(esp_websocket_client_append_header(nullptr, "a", "b"), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(esp_websocket_client_set_headers(nullptr, "a: b\r\n"), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(esp_websocket_register_events(nullptr, WEBSOCKET_EVENT_ANY, nullptr, nullptr), ESP_ERR_INVALID_ARG);
    EspConfig config{};
    config.disable_auto_reconnect = true;
    auto* const handle = esp_websocket_client_init(&config);
    EXPECT_EQ(esp_websocket_client_get_reconnect_timeout(handle), -1);
    EXPECT_EQ(esp_websocket_client_set_reconnect_timeout(handle, 1), ESP_ERR_INVALID_STATE);
    EXPECT_EQ(esp_websocket_client_set_reconnect_timeout(handle, 0), ESP_ERR_INVALID_ARG);
    EXPECT_EQ(esp_websocket_client_stop(handle), ESP_FAIL);
    EXPECT_EQ(esp_websocket_client_close(handle, 0), ESP_FAIL);
    EXPECT_EQ(esp_websocket_client_destroy(handle), ESP_OK);
}

TEST(Layout, IsTheReferences) {
    static_assert(sizeof(void*) != 8 || sizeof(esp_websocket_event_data_t) == 72);
    const auto in_order = [](const std::vector<std::size_t>& offsets) {
        return std::adjacent_find(offsets.begin(), offsets.end(), std::greater_equal<>()) == offsets.end();
    };
    EXPECT_TRUE(in_order({offsetof(EspConfig, uri),
                          offsetof(EspConfig, host),
                          offsetof(EspConfig, port),
                          offsetof(EspConfig, username),
                          offsetof(EspConfig, password),
                          offsetof(EspConfig, path),
                          offsetof(EspConfig, disable_auto_reconnect),
                          offsetof(EspConfig, enable_close_reconnect),
                          offsetof(EspConfig, user_context),
                          offsetof(EspConfig, task_core_id_set),
                          offsetof(EspConfig, task_core_id),
                          offsetof(EspConfig, task_prio),
                          offsetof(EspConfig, task_name),
                          offsetof(EspConfig, task_stack),
                          offsetof(EspConfig, buffer_size),
                          offsetof(EspConfig, cert_pem),
                          offsetof(EspConfig, cert_len),
                          offsetof(EspConfig, client_cert),
                          offsetof(EspConfig, client_cert_len),
                          offsetof(EspConfig, client_key),
                          offsetof(EspConfig, client_key_len),
                          offsetof(EspConfig, transport),
                          offsetof(EspConfig, subprotocol),
                          offsetof(EspConfig, user_agent),
                          offsetof(EspConfig, headers),
                          offsetof(EspConfig, pingpong_timeout_sec),
                          offsetof(EspConfig, disable_pingpong_discon),
                          offsetof(EspConfig, use_global_ca_store),
                          offsetof(EspConfig, crt_bundle_attach),
                          offsetof(EspConfig, cert_common_name),
                          offsetof(EspConfig, skip_cert_common_name_check),
                          offsetof(EspConfig, keep_alive_enable),
                          offsetof(EspConfig, keep_alive_idle),
                          offsetof(EspConfig, keep_alive_interval),
                          offsetof(EspConfig, keep_alive_count),
                          offsetof(EspConfig, reconnect_timeout_ms),
                          offsetof(EspConfig, network_timeout_ms),
                          offsetof(EspConfig, ping_interval_sec),
                          offsetof(EspConfig, if_name),
                          offsetof(EspConfig, ext_transport)}));
    EXPECT_TRUE(in_order(
        {offsetof(esp_websocket_event_data_t, data_ptr), offsetof(esp_websocket_event_data_t, data_len),
         offsetof(esp_websocket_event_data_t, fin), offsetof(esp_websocket_event_data_t, op_code),
         offsetof(esp_websocket_event_data_t, client), offsetof(esp_websocket_event_data_t, user_context),
         offsetof(esp_websocket_event_data_t, payload_len), offsetof(esp_websocket_event_data_t, payload_offset),
         offsetof(esp_websocket_event_data_t, error_handle), offsetof(esp_websocket_event_data_t, close_status_code)}));
    EXPECT_TRUE(in_order({offsetof(esp_websocket_error_codes_t, esp_tls_last_esp_err),
                          offsetof(esp_websocket_error_codes_t, esp_tls_stack_err),
                          offsetof(esp_websocket_error_codes_t, esp_tls_cert_verify_flags),
                          offsetof(esp_websocket_error_codes_t, error_type),
                          offsetof(esp_websocket_error_codes_t, esp_ws_handshake_status_code),
                          offsetof(esp_websocket_error_codes_t, esp_transport_sock_errno)}));
    const std::vector<int> ids = {WEBSOCKET_EVENT_ERROR,          WEBSOCKET_EVENT_HEADER_RECEIVED,
                                  WEBSOCKET_EVENT_CONNECTED,      WEBSOCKET_EVENT_DISCONNECTED,
                                  WEBSOCKET_EVENT_DATA,           WEBSOCKET_EVENT_CLOSED,
                                  WEBSOCKET_EVENT_BEFORE_CONNECT, WEBSOCKET_EVENT_BEGIN,
                                  WEBSOCKET_EVENT_FINISH,         WEBSOCKET_EVENT_MAX};
    EXPECT_EQ(ids, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

}  // namespace
}  // namespace tern::esp::test
