// What a chip has and a host has in another way, or not at all.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <limits>
#include <mutex>
#include <set>
#include <string>
#include <unistd.h>
#include <vector>

#include <sys/random.h>

#include "esp_crt_bundle.h"
#include "esp_heap_caps.h"
#include "esp_idf_version.h"
#include "esp_log.h"
#include "esp_netif.h"
#include "esp_random.h"
#include "esp_system.h"
#include "esp_wifi.h"
#include "freertos/FreeRTOS.h"
#include "nvs_flash.h"
#include "protocol_examples_common.h"

namespace {

constexpr const char* log_tag = "tern_esp";

/// The successful no-op.
esp_err_t nothing(const char* function) {
    static auto* const mutex = new std::mutex;
    static auto* const told = new std::set<std::string>;
    {
        const std::lock_guard lock(*mutex);
        if (!told->emplace(function).second) return ESP_OK;
    }
    ESP_LOGD(log_tag, "%s does nothing on a host", function);
    return ESP_OK;
}

std::uint32_t free_memory() {
    const long pages = sysconf(_SC_AVPHYS_PAGES);
    const long size = sysconf(_SC_PAGESIZE);
    if (pages <= 0 || size <= 0) return 0;
    const auto bytes = static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(size);
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes, std::numeric_limits<std::uint32_t>::max()));
}

struct Shutdown {
    std::mutex mutex;
    std::vector<shutdown_handler_t> handlers;
};
Shutdown& shutdown_handlers() {
    static auto* const instance = new Shutdown;
    return *instance;
}

}  // namespace

// --- esp_system, esp_random, versions, heap ------------------------------------------------------------------------

#define TERN_TEXT_(x) #x
#define TERN_TEXT(x) TERN_TEXT_(x)
const char* esp_get_idf_version() {
    return "v" TERN_TEXT(TERN_ESP_IDF_VERSION_MAJOR) "." TERN_TEXT(TERN_ESP_IDF_VERSION_MINOR) "-tern";
}

esp_err_t esp_register_shutdown_handler(shutdown_handler_t handler) {
    constexpr std::size_t most = 5;
    const std::lock_guard lock(shutdown_handlers().mutex);
    auto& handlers = shutdown_handlers().handlers;
    if (std::find(handlers.begin(), handlers.end(), handler) != handlers.end()) return ESP_ERR_INVALID_STATE;
    if (handlers.size() == most) return ESP_ERR_NO_MEM;
    handlers.push_back(handler);
    return ESP_OK;
}

esp_err_t esp_unregister_shutdown_handler(shutdown_handler_t handler) {
    const std::lock_guard lock(shutdown_handlers().mutex);
    return std::erase(shutdown_handlers().handlers, handler) != 0 ? ESP_OK : ESP_ERR_INVALID_STATE;
}

void esp_restart() {
    std::vector<shutdown_handler_t> handlers;
    {
        const std::lock_guard lock(shutdown_handlers().mutex);
        handlers = shutdown_handlers().handlers;
    }
    for (auto it = handlers.rbegin(); it != handlers.rend(); ++it) (*it)();
    ESP_LOGI(log_tag, "esp_restart: the program ends");
    std::fflush(nullptr);
    // Other threads run on, so nothing of theirs may be destroyed.
    std::_Exit(0);
}

void esp_system_abort(const char* details) {
    std::fprintf(stderr, "abort: %s\n", details);
    std::abort();
}

esp_reset_reason_t esp_reset_reason() { return ESP_RST_POWERON; }
uint32_t esp_get_free_heap_size() { return free_memory(); }
uint32_t esp_get_free_internal_heap_size() { return free_memory(); }
uint32_t esp_get_minimum_free_heap_size() { return free_memory(); }
size_t xPortGetFreeHeapSize() { return free_memory(); }
size_t xPortGetMinimumEverFreeHeapSize() { return free_memory(); }

uint32_t esp_random() {
    std::uint32_t number = 0;
    esp_fill_random(&number, sizeof(number));
    return number;
}

void esp_fill_random(void* buffer, size_t length) {
    auto* at = static_cast<unsigned char*>(buffer);
    while (length > 0) {
        const ssize_t got = getrandom(at, length, 0);
        if (got < 0 && errno != EINTR) std::abort();  // a program that goes on would use what is no random number
        if (got <= 0) continue;
        at += got;
        length -= static_cast<std::size_t>(got);
    }
}

void* heap_caps_malloc(size_t size, uint32_t /*caps*/) { return std::malloc(size); }
void* heap_caps_calloc(size_t count, size_t size, uint32_t /*caps*/) { return std::calloc(count, size); }
void* heap_caps_realloc(void* memory, size_t size, uint32_t /*caps*/) { return std::realloc(memory, size); }
void* heap_caps_aligned_alloc(size_t alignment, size_t size, uint32_t /*caps*/) {
    void* memory = nullptr;
    return posix_memalign(&memory, std::max(alignment, sizeof(void*)), size) == 0 ? memory : nullptr;
}
void heap_caps_free(void* memory) { std::free(memory); }
size_t heap_caps_get_free_size(uint32_t /*caps*/) { return free_memory(); }
size_t heap_caps_get_minimum_free_size(uint32_t /*caps*/) { return free_memory(); }
size_t heap_caps_get_largest_free_block(uint32_t /*caps*/) { return free_memory(); }
size_t heap_caps_get_total_size(uint32_t /*caps*/) { return free_memory(); }

// --- storage and certificates --------------------------------------------------------------------------------------

esp_err_t nvs_flash_init() { return nothing("nvs_flash_init"); }
esp_err_t nvs_flash_deinit() { return nothing("nvs_flash_deinit"); }
esp_err_t nvs_flash_erase() { return nothing("nvs_flash_erase"); }

esp_err_t esp_crt_bundle_attach(void* /*conf*/) { return ESP_OK; }
void esp_crt_bundle_detach(void* /*conf*/) {}
esp_err_t esp_crt_bundle_set(const uint8_t* /*x509_bundle*/, size_t /*bundle_size*/) {
    return nothing("esp_crt_bundle_set");
}

// --- network -------------------------------------------------------------------------------------------------------

ESP_EVENT_DEFINE_BASE(IP_EVENT);
ESP_EVENT_DEFINE_BASE(WIFI_EVENT);

struct esp_netif_obj {};

namespace {

esp_netif_obj the_interface;
std::atomic<wifi_mode_t> wifi_mode = WIFI_MODE_NULL;

esp_netif_ip_info_t loopback() {
    esp_netif_ip_info_t info{};
    const std::uint8_t address[4] = {127, 0, 0, 1};
    const std::uint8_t mask[4] = {255, 0, 0, 0};
    std::copy(std::begin(address), std::end(address), reinterpret_cast<std::uint8_t*>(&info.ip.addr));
    std::copy(std::begin(mask), std::end(mask), reinterpret_cast<std::uint8_t*>(&info.netmask.addr));
    return info;
}

}  // namespace

esp_err_t esp_netif_init() { return nothing("esp_netif_init"); }
esp_err_t esp_netif_deinit() { return nothing("esp_netif_deinit"); }
esp_netif_t* esp_netif_create_default_wifi_sta() { return &the_interface; }
esp_netif_t* esp_netif_create_default_wifi_ap() { return &the_interface; }
void esp_netif_destroy(esp_netif_t* /*netif*/) {}
void esp_netif_destroy_default_wifi(void* /*netif*/) {}
esp_netif_t* esp_netif_get_handle_from_ifkey(const char* /*key*/) { return &the_interface; }
esp_err_t esp_netif_get_ip_info(esp_netif_t* netif, esp_netif_ip_info_t* info) {
    if (netif == nullptr || info == nullptr) return ESP_ERR_INVALID_ARG;
    *info = loopback();
    return ESP_OK;
}
bool esp_netif_is_netif_up(esp_netif_t* netif) { return netif != nullptr; }
esp_err_t esp_netif_set_hostname(esp_netif_t* /*netif*/, const char* /*name*/) {
    return nothing("esp_netif_set_hostname");
}

esp_err_t esp_wifi_init(const wifi_init_config_t* /*config*/) { return nothing("esp_wifi_init"); }
esp_err_t esp_wifi_deinit() { return nothing("esp_wifi_deinit"); }
esp_err_t esp_wifi_set_mode(wifi_mode_t mode) {
    wifi_mode = mode;
    return nothing("esp_wifi_set_mode");
}
esp_err_t esp_wifi_get_mode(wifi_mode_t* mode) {
    if (mode == nullptr) return ESP_ERR_INVALID_ARG;
    *mode = wifi_mode;
    return ESP_OK;
}
esp_err_t esp_wifi_set_config(wifi_interface_t /*interface*/, wifi_config_t* /*config*/) {
    return nothing("esp_wifi_set_config");
}
esp_err_t esp_wifi_set_storage(wifi_storage_t /*storage*/) { return nothing("esp_wifi_set_storage"); }
esp_err_t esp_wifi_start() {
    esp_event_post(WIFI_EVENT, WIFI_EVENT_STA_START, nullptr, 0, portMAX_DELAY);
    return nothing("esp_wifi_start");
}
esp_err_t esp_wifi_stop() {
    esp_event_post(WIFI_EVENT, WIFI_EVENT_STA_STOP, nullptr, 0, portMAX_DELAY);
    return nothing("esp_wifi_stop");
}
esp_err_t esp_wifi_connect() {
    esp_event_post(WIFI_EVENT, WIFI_EVENT_STA_CONNECTED, nullptr, 0, portMAX_DELAY);
    const ip_event_got_ip_t got{.esp_netif = &the_interface, .ip_info = loopback(), .ip_changed = true};
    esp_event_post(IP_EVENT, IP_EVENT_STA_GOT_IP, &got, sizeof(got), portMAX_DELAY);
    return nothing("esp_wifi_connect");
}
esp_err_t esp_wifi_disconnect() {
    esp_event_post(WIFI_EVENT, WIFI_EVENT_STA_DISCONNECTED, nullptr, 0, portMAX_DELAY);
    return nothing("esp_wifi_disconnect");
}
esp_err_t esp_wifi_set_ps(wifi_ps_type_t /*type*/) { return nothing("esp_wifi_set_ps"); }
esp_err_t esp_wifi_get_ps(wifi_ps_type_t* type) {
    if (type == nullptr) return ESP_ERR_INVALID_ARG;
    *type = WIFI_PS_NONE;
    return ESP_OK;
}
esp_err_t esp_wifi_set_max_tx_power(int8_t /*power*/) { return nothing("esp_wifi_set_max_tx_power"); }
esp_err_t esp_wifi_get_mac(wifi_interface_t interface, uint8_t mac[6]) {
    if (mac == nullptr) return ESP_ERR_INVALID_ARG;
    // Locally administered, and the same each time.
    const std::uint8_t address[6] = {0x02, 't', 'e', 'r', 'n', static_cast<std::uint8_t>(interface)};
    std::copy(std::begin(address), std::end(address), mac);
    return ESP_OK;
}

esp_err_t example_connect() { return nothing("example_connect"); }
esp_err_t example_disconnect() { return nothing("example_disconnect"); }
esp_err_t example_configure_stdin_stdout() { return nothing("example_configure_stdin_stdout"); }
esp_netif_t* get_example_netif() { return &the_interface; }
esp_netif_t* get_example_netif_from_desc(const char* /*description*/) { return &the_interface; }
