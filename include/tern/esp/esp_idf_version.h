/* The version of ESP-IDF that these headers claim: the CMake option TERN_ESP_IDF_VERSION, 6.0 by default. */
#pragma once

#ifndef TERN_ESP_IDF_VERSION_MAJOR
#define TERN_ESP_IDF_VERSION_MAJOR 6
#endif
#ifndef TERN_ESP_IDF_VERSION_MINOR
#define TERN_ESP_IDF_VERSION_MINOR 0
#endif
#ifndef TERN_ESP_IDF_VERSION_PATCH
#define TERN_ESP_IDF_VERSION_PATCH 0
#endif

#define ESP_IDF_VERSION_MAJOR TERN_ESP_IDF_VERSION_MAJOR
#define ESP_IDF_VERSION_MINOR TERN_ESP_IDF_VERSION_MINOR
#define ESP_IDF_VERSION_PATCH TERN_ESP_IDF_VERSION_PATCH

#define ESP_IDF_VERSION_VAL(major, minor, patch) (((major) << 16) | ((minor) << 8) | (patch))
#define ESP_IDF_VERSION ESP_IDF_VERSION_VAL(ESP_IDF_VERSION_MAJOR, ESP_IDF_VERSION_MINOR, ESP_IDF_VERSION_PATCH)

#ifdef __cplusplus
extern "C" {
#endif

/* "v6.0-tern" */
const char *esp_get_idf_version(void);

#ifdef __cplusplus
}
#endif
