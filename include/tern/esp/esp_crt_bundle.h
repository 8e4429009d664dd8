/* The bundle of certificates. On a host it is the system's trust store. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "esp_err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Give this function as crt_bundle_attach. Any function given there stands for the system's trust store, and is not
 * called: what it would change belongs to mbedTLS on a chip. */
esp_err_t esp_crt_bundle_attach(void *conf);
void esp_crt_bundle_detach(void *conf);
/* Accepted; the system's trust store stays. */
esp_err_t esp_crt_bundle_set(const uint8_t *x509_bundle, size_t bundle_size);

#ifdef __cplusplus
}
#endif
