#include "tern_esp_ext.h"

#include <cstdio>
#include <exception>

#include "websocket.hpp"

using tern::Config;
using tern::esp::Options;
using tern::esp::Registry;

namespace {

esp_err_t change(esp_websocket_client_handle_t handle, const std::function<void(Options&)>& how) {
    try {
        const auto client = Registry::find(handle);
        if (client == nullptr) return ESP_ERR_INVALID_ARG;
        client->change(how);
        return ESP_OK;
    } catch (const std::exception&) {
        return ESP_ERR_NO_MEM;
    }
}

/// The last call of each kind counts, because they are made in order.
esp_err_t change_config(esp_websocket_client_handle_t handle, std::function<void(Config&)> how) {
    return change(handle, [&](Options& options) { options.extras.push_back(std::move(how)); });
}

std::vector<std::string> strings(const char* const* texts, std::size_t count) { return {texts, texts + count}; }

}  // namespace

esp_err_t tern_esp_set_proxy(esp_websocket_client_handle_t client, const char* url) {
    return change_config(client,
                         [text = std::string(url != nullptr ? url : "")](Config& config) { config.proxy = text; });
}

esp_err_t tern_esp_set_proxy_from_environment(esp_websocket_client_handle_t client) {
    return change(client, [](Options& options) {
        const tern::ProxyEnvironment environment = tern::ProxyEnvironment::current();
        tern::Attempt attempt;
        options.prepare(attempt, {});
        options.extras.emplace_back(
            [proxy = tern::proxy_for(environment, attempt.url)](Config& config) { config.proxy = proxy; });
    });
}

esp_err_t tern_esp_set_backoff(esp_websocket_client_handle_t client, const tern_esp_backoff_t* backoff) {
    if (backoff == nullptr) return ESP_ERR_INVALID_ARG;
    return change(client, [&](Options& options) {
        options.backoff = {.longest = std::chrono::milliseconds(backoff->max_delay_ms),
                           .max_attempts = backoff->max_attempts,
                           .give_up_after = std::chrono::milliseconds(backoff->give_up_after_ms)};
    });
}

esp_err_t tern_esp_set_tls(esp_websocket_client_handle_t client, const tern_esp_tls_t* tls) {
    if (tls == nullptr) return ESP_ERR_INVALID_ARG;
    for (const int version : {tls->min_version, tls->max_version}) {
        if (version != 0 && version != 12 && version != 13) return ESP_ERR_INVALID_ARG;
    }
    return change(client, [&](Options& options) {
        tern::Tls& settings = options.tls;
        const auto version = [](int number) {
            return number == 12 ? tern::TlsVersion::tls1_2 : tern::TlsVersion::tls1_3;
        };
        if (tls->pins != nullptr) settings.pins = strings(tls->pins, tls->pin_count);
        if (tls->min_version != 0) settings.min_version = version(tls->min_version);
        if (tls->max_version != 0) settings.max_version = version(tls->max_version);
        if (tls->alpn != nullptr) settings.alpn = strings(tls->alpn, tls->alpn_count);
        if (tls->passphrase != nullptr) settings.passphrase = tls->passphrase;
        if (tls->key_log_file != nullptr) settings.key_log_file = tls->key_log_file;
        if (tls->trust_file != nullptr) {
            settings.trust.push_back(tern::TlsSource::file(tls->trust_file));
            if (settings.verify == tern::TlsVerify::insecurely_not_at_all) settings.verify = tern::TlsVerify::full;
            options.verifies = true;
        }
    });
}

esp_err_t tern_esp_set_bearer_token(esp_websocket_client_handle_t client, const char* token) {
    return change(client, [&](Options& options) { options.bearer_token = token != nullptr ? token : ""; });
}

esp_err_t tern_esp_set_max_redirects(esp_websocket_client_handle_t client, unsigned int count) {
    return change_config(client, [count](Config& config) { config.max_redirects = count; });
}

esp_err_t tern_esp_set_compression(esp_websocket_client_handle_t client, bool offered) {
    return change_config(client, [offered](Config& config) { config.compression.enabled = offered; });
}

esp_err_t tern_esp_set_max_message_size(esp_websocket_client_handle_t client, size_t size) {
    return change_config(client, [size](Config& config) { config.limits.max_message_size = size; });
}

esp_err_t tern_esp_check_outgoing_text(esp_websocket_client_handle_t client, bool check) {
    return change_config(client, [check](Config& config) { config.check_outgoing_text = check; });
}

esp_err_t tern_esp_set_send_window(esp_websocket_client_handle_t client, size_t bytes) {
    return change(client, [bytes](Options& options) { options.send_window = bytes; });
}

esp_err_t tern_esp_set_unix_socket(esp_websocket_client_handle_t client, const char* path) {
    return change_config(
        client, [text = std::string(path != nullptr ? path : "")](Config& config) { config.socket.unix_path = text; });
}

esp_err_t tern_esp_begin_stop(esp_websocket_client_handle_t client) {
    const auto websocket = Registry::find(client);
    return websocket != nullptr ? websocket->begin_stop() : ESP_ERR_INVALID_ARG;
}

esp_err_t tern_esp_flush(esp_websocket_client_handle_t client, TickType_t timeout) {
    const auto websocket = Registry::find(client);
    return websocket != nullptr ? websocket->flush(timeout) : ESP_ERR_INVALID_ARG;
}

esp_err_t tern_esp_get_stats(esp_websocket_client_handle_t client, tern_esp_stats_t* stats) {
    const auto websocket = Registry::find(client);
    if (websocket == nullptr || stats == nullptr) return ESP_ERR_INVALID_ARG;
    const tern::Stats numbers = websocket->stats();
    *stats = {.messages_received = numbers.messages_received,
              .messages_sent = numbers.messages_sent,
              .bytes_received = numbers.bytes_received,
              .bytes_sent = numbers.bytes_sent,
              .send_queued = numbers.send_queued,
              .connects = numbers.connects,
              .attempts = numbers.attempts};
    return ESP_OK;
}

int tern_esp_last_error(esp_websocket_client_handle_t client, char* buffer, size_t size) {
    const auto websocket = Registry::find(client);
    if (websocket == nullptr) return -1;
    const std::string text = websocket->last_error();
    if (buffer != nullptr && size > 0) std::snprintf(buffer, size, "%s", text.c_str());
    return static_cast<int>(text.size());
}
