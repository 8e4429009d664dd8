#include "esp_log.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <unistd.h>
#include <utility>

#include "ticks.hpp"

namespace {

struct Log {
    std::mutex mutex;
    esp_log_level_t level = static_cast<esp_log_level_t>(CONFIG_LOG_DEFAULT_LEVEL);
    std::map<std::string, esp_log_level_t, std::less<>> levels;
    vprintf_like_t output = vprintf;
    bool colours = isatty(STDOUT_FILENO) != 0;

    Log() {
        const char* wanted = std::getenv("TERN_ESP_LOG");  // NOLINT(concurrency-mt-unsafe): once
        if (wanted != nullptr && *wanted >= '0' && *wanted <= '5' && wanted[1] == '\0') {
            level = static_cast<esp_log_level_t>(*wanted - '0');
        }
    }
    esp_log_level_t level_of(const char* tag) {
        const auto found = levels.find(std::string_view(tag));
        return found != levels.end() ? found->second : level;
    }
};

Log& log() {
    static auto* const instance = new Log;
    return *instance;
}

constexpr std::string_view letters = "NEWIDV";

const char* colour(esp_log_level_t level) {
    switch (level) {
        case ESP_LOG_ERROR: return "\033[0;31m";
        case ESP_LOG_WARN: return "\033[0;33m";
        case ESP_LOG_INFO: return "\033[0;32m";
        default: return "";
    }
}

std::string formatted(const char* format, va_list arguments) {
    va_list copy;
    va_copy(copy, arguments);
    const int size = std::vsnprintf(nullptr, 0, format, copy);
    va_end(copy);
    std::string text(static_cast<std::size_t>(std::max(size, 0)) + 1, '\0');
    std::vsnprintf(text.data(), text.size(), format, arguments);
    text.pop_back();
    return text;
}

// What esp_log_set_vprintf was given takes a va_list. NOLINTNEXTLINE(cert-dcl50-cpp)
__attribute__((format(printf, 1, 2))) void put(const char* format, ...) {
    vprintf_like_t output = nullptr;
    {
        const std::lock_guard lock(log().mutex);
        output = log().output;
    }
    va_list arguments;
    va_start(arguments, format);
    output(format, arguments);
    va_end(arguments);
}

bool shown(esp_log_level_t level, const char* tag) {
    const std::lock_guard lock(log().mutex);
    return level != ESP_LOG_NONE && level <= log().level_of(tag);
}

constexpr std::size_t row = 16;

template <class Render>
void by_rows(const char* tag, const void* buffer, std::size_t length, esp_log_level_t level, Render render) {
    if (!shown(level, tag)) return;
    const auto* const bytes = static_cast<const unsigned char*>(buffer);
    for (std::size_t at = 0; at < length; at += row) {
        tern_esp_log_line(level, tag, "%s", render(bytes + at, std::min(row, length - at), at).c_str());
    }
}

std::string hex(const unsigned char* bytes, std::size_t size) {
    std::string text;
    std::array<char, 4> one{};
    for (std::size_t i = 0; i < size; ++i) {
        std::snprintf(one.data(), one.size(), "%02x ", bytes[i]);
        text += one.data();
    }
    return text;
}

std::string characters(const unsigned char* bytes, std::size_t size) {
    std::string text;
    for (std::size_t i = 0; i < size; ++i) text += std::isprint(bytes[i]) != 0 ? static_cast<char>(bytes[i]) : '.';
    return text;
}

}  // namespace

void esp_log_level_set(const char* tag, esp_log_level_t level) {
    const std::lock_guard lock(log().mutex);
    if (std::strcmp(tag, "*") == 0) {
        log().levels.clear();
        log().level = level;
    } else {
        log().levels[tag] = level;
    }
}

esp_log_level_t esp_log_level_get(const char* tag) {
    const std::lock_guard lock(log().mutex);
    return log().level_of(tag);
}

vprintf_like_t esp_log_set_vprintf(vprintf_like_t function) {
    const std::lock_guard lock(log().mutex);
    return std::exchange(log().output, function);
}

uint32_t esp_log_timestamp() {
    const auto time = tern::esp::Clock::now() - tern::esp::began_at();
    return static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
}
uint32_t esp_log_early_timestamp() { return esp_log_timestamp(); }

char* esp_log_system_timestamp() {
    thread_local std::array<char, 32> text{};
    const std::uint32_t time = esp_log_timestamp();
    std::snprintf(text.data(), text.size(), "%02u:%02u:%02u.%03u", time / 3'600'000, time / 60'000 % 60,
                  time / 1000 % 60, time % 1000);
    return text.data();
}

void esp_log_writev(esp_log_level_t level, const char* tag, const char* format, va_list arguments) {
    if (!shown(level, tag)) return;
    put("%s", formatted(format, arguments).c_str());
}

void esp_log_write(esp_log_level_t level, const char* tag, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    esp_log_writev(level, tag, format, arguments);
    va_end(arguments);
}

void tern_esp_log_line(esp_log_level_t level, const char* tag, const char* format, ...) {
    if (!shown(level, tag)) return;
    va_list arguments;
    va_start(arguments, format);
    const std::string text = formatted(format, arguments);
    va_end(arguments);
    const bool coloured = log().colours && *colour(level) != '\0';
    put("%s%c (%u) %s: %s%s\n", coloured ? colour(level) : "", letters[static_cast<std::size_t>(level) % 6],
        esp_log_timestamp(), tag, text.c_str(), coloured ? "\033[0m" : "");
}

void esp_log_buffer_hex_internal(const char* tag, const void* buffer, uint16_t length, esp_log_level_t level) {
    by_rows(tag, buffer, length, level,
            [](const unsigned char* bytes, std::size_t size, std::size_t) { return hex(bytes, size); });
}
void esp_log_buffer_char_internal(const char* tag, const void* buffer, uint16_t length, esp_log_level_t level) {
    by_rows(tag, buffer, length, level,
            [](const unsigned char* bytes, std::size_t size, std::size_t) { return characters(bytes, size); });
}
void esp_log_buffer_hexdump_internal(const char* tag, const void* buffer, uint16_t length, esp_log_level_t level) {
    by_rows(tag, buffer, length, level, [](const unsigned char* bytes, std::size_t size, std::size_t at) {
        std::array<char, 16> offset{};
        std::snprintf(offset.data(), offset.size(), "%04zx  ", at);
        std::string text = hex(bytes, size);
        text.resize(3 * row, ' ');
        return offset.data() + text + " |" + characters(bytes, size) + "|";
    });
}
