#include "esp_err.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "esp_log.h"
#include "esp_tls_errors.h"
#include "esp_wifi.h"
#include "nvs_flash.h"

namespace {

struct Row {
    esp_err_t code;
    const char* name;
};
#define ROW(name) {name, #name}
constexpr Row rows[] = {
    ROW(ESP_OK),
    ROW(ESP_FAIL),
    ROW(ESP_ERR_NO_MEM),
    ROW(ESP_ERR_INVALID_ARG),
    ROW(ESP_ERR_INVALID_STATE),
    ROW(ESP_ERR_INVALID_SIZE),
    ROW(ESP_ERR_NOT_FOUND),
    ROW(ESP_ERR_NOT_SUPPORTED),
    ROW(ESP_ERR_TIMEOUT),
    ROW(ESP_ERR_INVALID_RESPONSE),
    ROW(ESP_ERR_INVALID_CRC),
    ROW(ESP_ERR_INVALID_VERSION),
    ROW(ESP_ERR_INVALID_MAC),
    ROW(ESP_ERR_NOT_FINISHED),
    ROW(ESP_ERR_NOT_ALLOWED),
    ROW(ESP_ERR_NVS_NOT_INITIALIZED),
    ROW(ESP_ERR_NVS_NOT_FOUND),
    ROW(ESP_ERR_NVS_NO_FREE_PAGES),
    ROW(ESP_ERR_NVS_NEW_VERSION_FOUND),
    ROW(ESP_ERR_WIFI_NOT_INIT),
    ROW(ESP_ERR_WIFI_NOT_STARTED),
    ROW(ESP_ERR_ESP_TLS_CANNOT_RESOLVE_HOSTNAME),
    ROW(ESP_ERR_ESP_TLS_CANNOT_CREATE_SOCKET),
    ROW(ESP_ERR_ESP_TLS_UNSUPPORTED_PROTOCOL_FAMILY),
    ROW(ESP_ERR_ESP_TLS_FAILED_CONNECT_TO_HOST),
    ROW(ESP_ERR_ESP_TLS_SOCKET_SETOPT_FAILED),
    ROW(ESP_ERR_ESP_TLS_CONNECTION_TIMEOUT),
    ROW(ESP_ERR_ESP_TLS_SE_FAILED),
    ROW(ESP_ERR_ESP_TLS_TCP_CLOSED_FIN),
    ROW(ESP_ERR_ESP_TLS_SERVER_HANDSHAKE_TIMEOUT),
    ROW(ESP_ERR_MBEDTLS_X509_CRT_PARSE_FAILED),
    ROW(ESP_ERR_MBEDTLS_SSL_SETUP_FAILED),
    ROW(ESP_ERR_MBEDTLS_PK_PARSE_KEY_FAILED),
    ROW(ESP_ERR_MBEDTLS_SSL_HANDSHAKE_FAILED),
};
#undef ROW

const char* name_of(esp_err_t code) {
    for (const Row& row : rows) {
        if (row.code == code) return row.name;
    }
    return nullptr;
}

void tell(esp_err_t code, const char* file, int line, const char* function, const char* expression, const char* what) {
    std::fprintf(stderr, "%s: esp_err_t 0x%x (%s) at %s:%d\nfunction: %s\nexpression: %s\n", what,
                 static_cast<unsigned>(code), esp_err_to_name(code), file, line, function, expression);
}

}  // namespace

const char* esp_err_to_name(esp_err_t code) {
    const char* const name = name_of(code);
    return name != nullptr ? name : "UNKNOWN ERROR";
}

const char* esp_err_to_name_r(esp_err_t code, char* buffer, size_t size) {
    const char* const name = name_of(code);
    if (name != nullptr) {
        std::snprintf(buffer, size, "%s", name);
    } else if (code > 0 && code < 0x100) {
        std::snprintf(buffer, size, "%s", strerrordesc_np(code) != nullptr ? strerrordesc_np(code) : "UNKNOWN ERROR");
    } else {
        std::snprintf(buffer, size, "UNKNOWN ERROR 0x%x(%d)", static_cast<unsigned>(code), code);
    }
    return buffer;
}

void _esp_error_check_failed(esp_err_t code, const char* file, int line, const char* function, const char* expression) {
    tell(code, file, line, function, expression, "ESP_ERROR_CHECK failed");
    std::abort();
}

void _esp_error_check_failed_without_abort(esp_err_t code, const char* file, int line, const char* function,
                                           const char* expression) {
    tell(code, file, line, function, expression, "ESP_ERROR_CHECK_WITHOUT_ABORT failed");
}
