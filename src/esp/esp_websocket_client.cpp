// The C functions: they check their arguments and find the client.
#include "esp_websocket_client.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "esp_log.h"
#include "websocket.hpp"

using tern::Opcode;
using tern::esp::Registry;
using tern::esp::Websocket;

ESP_EVENT_DEFINE_BASE(WEBSOCKET_EVENTS);

namespace {

constexpr const char* log_tag = "websocket_client";

/// Nothing is thrown into C. What can be thrown here is the lack of memory.
template <class Result, class Call>
Result guarded(Result when_thrown, Call call) {
    try {
        return call();
    } catch (const std::exception& exception) {
        ESP_LOGE(log_tag, "%s", exception.what());
        return when_thrown;
    }
}

template <class Call>
esp_err_t with(esp_websocket_client_handle_t handle, Call call) {
    return guarded<esp_err_t>(ESP_ERR_NO_MEM, [&]() -> esp_err_t {
        const auto client = Registry::find(handle);
        return client != nullptr ? call(*client) : ESP_ERR_INVALID_ARG;
    });
}

template <class Call>
int sending(esp_websocket_client_handle_t handle, const char* data, int length, Call call) {
    if (length < 0 || (data == nullptr && length > 0)) return -1;
    return guarded(-1, [&] {
        const auto client = Registry::find(handle);
        if (client == nullptr) return -1;
        const auto size = static_cast<std::size_t>(length);
        return call(*client, size > 0 ? std::string_view(data, size) : std::string_view());
    });
}

int send_part(esp_websocket_client_handle_t client, Opcode opcode, const char* data, int length, TickType_t timeout) {
    return sending(client, data, length, [&](Websocket& websocket, std::string_view bytes) {
        return websocket.send_part(opcode, bytes, false, timeout);
    });
}

}  // namespace

esp_websocket_client_handle_t esp_websocket_client_init(const esp_websocket_client_config_t* config) {
    if (config == nullptr) return nullptr;
    if (config->cert_common_name != nullptr && config->skip_cert_common_name_check) {
        ESP_LOGE(log_tag, "cert_common_name and skip_cert_common_name_check exclude each other");
        return nullptr;
    }
    return guarded<esp_websocket_client_handle_t>(nullptr, [&]() -> esp_websocket_client_handle_t {
        tern::esp::Options options(*config);
        if (config->uri != nullptr && !tern::esp::UriParts::parse(config->uri, options.uri)) {
            ESP_LOGE(log_tag, "this is no URI: %s", config->uri);
            return nullptr;
        }
        return Registry::add(std::move(options));
    });
}

esp_err_t esp_websocket_client_set_uri(esp_websocket_client_handle_t client, const char* uri) {
    if (uri == nullptr) return ESP_ERR_INVALID_ARG;
    return with(client, [&](Websocket& websocket) { return websocket.set_uri(uri); });
}

esp_err_t esp_websocket_client_set_headers(esp_websocket_client_handle_t client, const char* headers) {
    if (headers == nullptr) return ESP_ERR_INVALID_ARG;
    return with(client, [&](Websocket& websocket) { return websocket.set_headers(headers); });
}

esp_err_t esp_websocket_client_append_header(esp_websocket_client_handle_t client, const char* key, const char* value) {
    if (key == nullptr || value == nullptr) return ESP_ERR_INVALID_ARG;
    return with(client, [&](Websocket& websocket) { return websocket.append_header(key, value); });
}

esp_err_t esp_websocket_client_start(esp_websocket_client_handle_t client) {
    return with(client, [](Websocket& websocket) { return websocket.start(); });
}

esp_err_t esp_websocket_client_stop(esp_websocket_client_handle_t client) {
    return with(client, [](Websocket& websocket) { return websocket.stop(); });
}

esp_err_t esp_websocket_client_destroy(esp_websocket_client_handle_t client) {
    return guarded<esp_err_t>(ESP_ERR_NO_MEM, [&]() -> esp_err_t {
        const auto websocket = Registry::take(client);
        if (websocket == nullptr) return ESP_ERR_INVALID_ARG;
        websocket->destroy();
        return ESP_OK;
    });
}

esp_err_t esp_websocket_client_destroy_on_exit(esp_websocket_client_handle_t client) {
    return with(client, [&](Websocket& websocket) -> esp_err_t {
        if (websocket.destroy_on_exit()) Registry::take(client);
        return ESP_OK;
    });
}

int esp_websocket_client_send_bin(esp_websocket_client_handle_t client, const char* data, int len, TickType_t timeout) {
    return sending(client, data, len, [&](Websocket& websocket, std::string_view bytes) {
        return websocket.send(Opcode::binary, bytes, timeout);
    });
}

int esp_websocket_client_send_text(esp_websocket_client_handle_t client, const char* data, int len,
                                   TickType_t timeout) {
    return sending(client, data, len, [&](Websocket& websocket, std::string_view bytes) {
        return websocket.send(Opcode::text, bytes, timeout);
    });
}

int esp_websocket_client_send_bin_partial(esp_websocket_client_handle_t client, const char* data, int len,
                                          TickType_t timeout) {
    return send_part(client, Opcode::binary, data, len, timeout);
}

int esp_websocket_client_send_text_partial(esp_websocket_client_handle_t client, const char* data, int len,
                                           TickType_t timeout) {
    return send_part(client, Opcode::text, data, len, timeout);
}

int esp_websocket_client_send_cont_msg(esp_websocket_client_handle_t client, const char* data, int len,
                                       TickType_t timeout) {
    return sending(client, data, len, [&](Websocket& websocket, std::string_view bytes) {
        // Nothing to add is nothing to send, as long as there is a connection.
        if (bytes.empty()) return websocket.connected() ? 0 : -1;
        return websocket.send_part(Opcode::continuation, bytes, false, timeout);
    });
}

int esp_websocket_client_send_fin(esp_websocket_client_handle_t client, TickType_t timeout) {
    return sending(client, nullptr, 0, [&](Websocket& websocket, std::string_view bytes) {
        return websocket.send_part(Opcode::continuation, bytes, true, timeout);
    });
}

int esp_websocket_client_send_with_opcode(esp_websocket_client_handle_t client, ws_transport_opcodes_t opcode,
                                          const uint8_t* data, int len, TickType_t timeout) {
    const auto* const text = reinterpret_cast<const char*>(data);
    return sending(client, text, len, [&](Websocket& websocket, std::string_view bytes) {
        // FIN is set in any case.
        switch (static_cast<unsigned>(opcode) & ~static_cast<unsigned>(WS_TRANSPORT_OPCODES_FIN)) {
            case WS_TRANSPORT_OPCODES_CONT: return websocket.send_part(Opcode::continuation, bytes, true, timeout);
            case WS_TRANSPORT_OPCODES_TEXT: return websocket.send(Opcode::text, bytes, timeout);
            case WS_TRANSPORT_OPCODES_BINARY: return websocket.send(Opcode::binary, bytes, timeout);
            case WS_TRANSPORT_OPCODES_CLOSE: return websocket.send_control(Opcode::close, bytes, timeout);
            case WS_TRANSPORT_OPCODES_PING: return websocket.send_control(Opcode::ping, bytes, timeout);
            case WS_TRANSPORT_OPCODES_PONG: return websocket.send_control(Opcode::pong, bytes, timeout);
            default: ESP_LOGE(log_tag, "send: there is no opcode %d", static_cast<int>(opcode)); return -1;
        }
    });
}

esp_err_t esp_websocket_client_close(esp_websocket_client_handle_t client, TickType_t timeout) {
    return with(client, [&](Websocket& websocket) { return websocket.close(tern::CloseCode::no_status, {}, timeout); });
}

esp_err_t esp_websocket_client_close_with_code(esp_websocket_client_handle_t client, int code, const char* data,
                                               int len, TickType_t timeout) {
    if (len < 0 || (data == nullptr && len > 0) || code < 0 || code > 0xffff) return ESP_ERR_INVALID_ARG;
    const auto number = static_cast<tern::CloseCode>(code);
    if (!tern::is_sendable(number)) return ESP_ERR_INVALID_ARG;
    const auto size = static_cast<std::size_t>(len);
    return with(client, [&](Websocket& websocket) {
        return websocket.close(number, size > 0 ? std::string_view(data, size) : std::string_view(), timeout);
    });
}

bool esp_websocket_client_is_connected(esp_websocket_client_handle_t client) {
    const auto websocket = Registry::find(client);
    return websocket != nullptr && websocket->connected();
}

size_t esp_websocket_client_get_ping_interval_sec(esp_websocket_client_handle_t client) {
    const auto websocket = Registry::find(client);
    return websocket != nullptr ? static_cast<std::size_t>(websocket->ping_interval().count()) : 0;
}

esp_err_t esp_websocket_client_set_ping_interval_sec(esp_websocket_client_handle_t client, size_t ping_interval_sec) {
    constexpr std::size_t year = 31'536'000;
    const std::size_t interval = ping_interval_sec == 0 ? 10 : std::min(ping_interval_sec, year);
    return with(client, [&](Websocket& websocket) -> esp_err_t {
        websocket.set_ping_interval(std::chrono::seconds(interval));
        return ESP_OK;
    });
}

int esp_websocket_client_get_reconnect_timeout(esp_websocket_client_handle_t client) {
    const auto websocket = Registry::find(client);
    if (websocket == nullptr) return -1;
    const auto timeout = websocket->reconnect_timeout();
    return timeout ? static_cast<int>(timeout->count()) : -1;
}

esp_err_t esp_websocket_client_set_reconnect_timeout(esp_websocket_client_handle_t client, int reconnect_timeout_ms) {
    return with(client, [&](Websocket& websocket) {
        return websocket.set_reconnect_timeout(std::chrono::milliseconds(reconnect_timeout_ms));
    });
}

esp_err_t esp_websocket_register_events(esp_websocket_client_handle_t client, esp_websocket_event_id_t event,
                                        esp_event_handler_t event_handler, void* event_handler_arg) {
    if (event_handler == nullptr) return ESP_ERR_INVALID_ARG;
    return with(client, [&](Websocket& websocket) -> esp_err_t {
        websocket.handlers().add(WEBSOCKET_EVENTS, event, event_handler, event_handler_arg, true);
        return ESP_OK;
    });
}

esp_err_t esp_websocket_unregister_events(esp_websocket_client_handle_t client, esp_websocket_event_id_t event,
                                          esp_event_handler_t event_handler) {
    if (event_handler == nullptr) return ESP_ERR_INVALID_ARG;
    return with(client, [&](Websocket& websocket) -> esp_err_t {
        return websocket.handlers().remove(WEBSOCKET_EVENTS, event, event_handler) ? ESP_OK : ESP_ERR_NOT_FOUND;
    });
}
