// Transport objects: a bundle of function pointers, and lists of them by scheme.
#include <cerrno>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "esp_transport.h"

struct esp_transport_item_t {
    connect_func connect = nullptr;
    connect_async_func connect_async = nullptr;
    io_read_func read = nullptr;
    io_func write = nullptr;
    trans_func close = nullptr;
    trans_func destroy = nullptr;
    poll_func poll_read = nullptr;
    poll_func poll_write = nullptr;
    payload_transfer_func parent = nullptr;
    void* data = nullptr;
    int port = 0;
    int error = 0;

    int noted(int result) {
        if (result < 0) error = errno;
        return result;
    }
};

struct esp_transport_internal {
    std::vector<std::pair<std::string, esp_transport_handle_t>> transports;
};

esp_transport_list_handle_t esp_transport_list_init() { return new (std::nothrow) esp_transport_internal; }

esp_err_t esp_transport_list_clean(esp_transport_list_handle_t list) {
    if (list == nullptr) return ESP_ERR_INVALID_ARG;
    for (const auto& [scheme, transport] : list->transports) esp_transport_destroy(transport);
    list->transports.clear();
    return ESP_OK;
}

esp_err_t esp_transport_list_destroy(esp_transport_list_handle_t list) {
    if (esp_transport_list_clean(list) != ESP_OK) return ESP_ERR_INVALID_ARG;
    delete list;
    return ESP_OK;
}

esp_err_t esp_transport_list_add(esp_transport_list_handle_t list, esp_transport_handle_t t, const char* scheme) {
    if (list == nullptr || t == nullptr || scheme == nullptr) return ESP_ERR_INVALID_ARG;
    list->transports.emplace_back(scheme, t);
    return ESP_OK;
}

esp_transport_handle_t esp_transport_list_get_transport(esp_transport_list_handle_t list, const char* scheme) {
    if (list == nullptr || scheme == nullptr) return nullptr;
    for (const auto& [name, transport] : list->transports) {
        if (name == scheme) return transport;
    }
    return nullptr;
}

esp_transport_handle_t esp_transport_init() { return new (std::nothrow) esp_transport_item_t; }

esp_err_t esp_transport_destroy(esp_transport_handle_t t) {
    if (t == nullptr) return ESP_FAIL;
    if (t->destroy != nullptr) t->destroy(t);
    delete t;
    return ESP_OK;
}

int esp_transport_get_default_port(esp_transport_handle_t t) { return t != nullptr ? t->port : -1; }
esp_err_t esp_transport_set_default_port(esp_transport_handle_t t, int port) {
    if (t == nullptr) return ESP_FAIL;
    t->port = port;
    return ESP_OK;
}
int esp_transport_connect(esp_transport_handle_t t, const char* host, int port, int timeout_ms) {
    return t != nullptr && t->connect != nullptr ? t->noted(t->connect(t, host, port, timeout_ms)) : -1;
}
int esp_transport_connect_async(esp_transport_handle_t t, const char* host, int port, int timeout_ms) {
    return t != nullptr && t->connect_async != nullptr ? t->noted(t->connect_async(t, host, port, timeout_ms)) : -1;
}
int esp_transport_read(esp_transport_handle_t t, char* buffer, int len, int timeout_ms) {
    return t != nullptr && t->read != nullptr ? t->noted(t->read(t, buffer, len, timeout_ms)) : -1;
}
int esp_transport_poll_read(esp_transport_handle_t t, int timeout_ms) {
    return t != nullptr && t->poll_read != nullptr ? t->noted(t->poll_read(t, timeout_ms)) : -1;
}
int esp_transport_write(esp_transport_handle_t t, const char* buffer, int len, int timeout_ms) {
    return t != nullptr && t->write != nullptr ? t->noted(t->write(t, buffer, len, timeout_ms)) : -1;
}
int esp_transport_poll_write(esp_transport_handle_t t, int timeout_ms) {
    return t != nullptr && t->poll_write != nullptr ? t->noted(t->poll_write(t, timeout_ms)) : -1;
}
int esp_transport_close(esp_transport_handle_t t) { return t != nullptr && t->close != nullptr ? t->close(t) : -1; }
void* esp_transport_get_context_data(esp_transport_handle_t t) { return t != nullptr ? t->data : nullptr; }
esp_err_t esp_transport_set_context_data(esp_transport_handle_t t, void* data) {
    if (t == nullptr) return ESP_FAIL;
    t->data = data;
    return ESP_OK;
}
esp_transport_handle_t esp_transport_get_payload_transport_handle(esp_transport_handle_t t) {
    return t != nullptr && t->parent != nullptr ? t->parent(t) : t;
}
esp_err_t esp_transport_set_func(esp_transport_handle_t t, connect_func connect_function, io_read_func read_function,
                                 io_func write_function, trans_func close_function, poll_func poll_read_function,
                                 poll_func poll_write_function, trans_func destroy_function) {
    if (t == nullptr) return ESP_FAIL;
    t->connect = connect_function;
    t->read = read_function;
    t->write = write_function;
    t->close = close_function;
    t->poll_read = poll_read_function;
    t->poll_write = poll_write_function;
    t->destroy = destroy_function;
    return ESP_OK;
}
esp_err_t esp_transport_set_async_connect_func(esp_transport_handle_t t, connect_async_func function) {
    if (t == nullptr) return ESP_FAIL;
    t->connect_async = function;
    return ESP_OK;
}
esp_err_t esp_transport_set_parent_transport_func(esp_transport_handle_t t, payload_transfer_func function) {
    if (t == nullptr) return ESP_FAIL;
    t->parent = function;
    return ESP_OK;
}
esp_tls_error_handle_t esp_transport_get_error_handle(esp_transport_handle_t /*t*/) { return nullptr; }
int esp_transport_get_errno(esp_transport_handle_t t) { return t != nullptr ? std::exchange(t->error, 0) : -1; }
