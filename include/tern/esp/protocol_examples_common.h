/* What Espressif's examples include to get a network. A host has one. */
#pragma once

#include "esp_err.h"
#include "esp_netif.h"

#ifdef __cplusplus
extern "C" {
#endif

esp_err_t example_connect(void);
esp_err_t example_disconnect(void);
esp_err_t example_configure_stdin_stdout(void);
esp_netif_t *get_example_netif(void);
esp_netif_t *get_example_netif_from_desc(const char *description);

#ifdef __cplusplus
}
#endif
