#include "errors.hpp"

#include <cerrno>

#include "esp_tls_errors.h"

namespace tern::esp {
namespace {

esp_websocket_error_type_t type_of(const Error& error) {
    const ErrorRow* row = error_row(error.errc());
    if (row == nullptr || row->esp_type == "tcp_transport") return WEBSOCKET_ERROR_TYPE_TCP_TRANSPORT;
    if (row->esp_type == "pong_timeout") return WEBSOCKET_ERROR_TYPE_PONG_TIMEOUT;
    if (row->esp_type == "handshake") return WEBSOCKET_ERROR_TYPE_HANDSHAKE;
    if (row->esp_type == "server_close") return WEBSOCKET_ERROR_TYPE_SERVER_CLOSE;
    if (row->condition == Condition::cancelled) return WEBSOCKET_ERROR_TYPE_NONE;
    // A configuration that cannot be used shows when the attempt is made.
    return WEBSOCKET_ERROR_TYPE_TCP_TRANSPORT;
}

esp_err_t tls_code(Errc code) {
    switch (code) {
        case Errc::connect_timeout:
        case Errc::attempt_timeout:
        case Errc::tls_timeout: return ESP_ERR_ESP_TLS_CONNECTION_TIMEOUT;
        case Errc::resolve_timeout: return ESP_ERR_ESP_TLS_CANNOT_RESOLVE_HOSTNAME;
        case Errc::tls_configuration: return ESP_ERR_MBEDTLS_X509_CRT_PARSE_FAILED;
        case Errc::tls_unavailable: return ESP_ERR_MBEDTLS_SSL_SETUP_FAILED;
        case Errc::connection_lost:
        case Errc::tls_truncated:
        case Errc::upgrade_eof: return ESP_ERR_ESP_TLS_TCP_CLOSED_FIN;
        default: return ESP_OK;
    }
}

/// MBEDTLS_X509_BADCERT_...
int verify_flags(Errc code) {
    switch (code) {
        case Errc::certificate_expired: return 0x01;
        case Errc::certificate_name: return 0x04;
        case Errc::certificate_untrusted: return 0x08;
        case Errc::certificate_not_yet_valid: return 0x0200;
        default: return 0;
    }
}

}  // namespace

esp_websocket_error_codes_t error_codes(const Error& error) {
    esp_websocket_error_codes_t codes{};
    codes.error_type = type_of(error);
    codes.esp_tls_last_esp_err = tls_code(error.errc());
    codes.esp_tls_cert_verify_flags = verify_flags(error.errc());
    if (error == Condition::resolve_failed) codes.esp_tls_last_esp_err = ESP_ERR_ESP_TLS_CANNOT_RESOLVE_HOSTNAME;
    if (error == Condition::tls_failed) {
        codes.esp_tls_stack_err = error.native;
        if (codes.esp_tls_last_esp_err == ESP_OK) codes.esp_tls_last_esp_err = ESP_ERR_MBEDTLS_SSL_HANDSHAKE_FAILED;
    }
    if (error == Condition::connect_failed) {
        codes.esp_tls_last_esp_err = ESP_ERR_ESP_TLS_FAILED_CONNECT_TO_HOST;
        codes.esp_transport_sock_errno = error.native;
    }
    if (error == Condition::closed) codes.esp_transport_sock_errno = error.native;
    if (error == Errc::connect_timeout) codes.esp_transport_sock_errno = ETIMEDOUT;
    return codes;
}

}  // namespace tern::esp
