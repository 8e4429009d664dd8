/* Network interfaces. The host's are up already and are not touched: everything here succeeds and changes nothing. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "esp_err.h"
#include "esp_event_base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct esp_netif_obj esp_netif_t;

typedef struct {
    uint32_t addr; /* Network order. */
} esp_ip4_addr_t;
typedef struct {
    esp_ip4_addr_t ip;
    esp_ip4_addr_t netmask;
    esp_ip4_addr_t gw;
} esp_netif_ip_info_t;

typedef enum { IP_EVENT_STA_GOT_IP, IP_EVENT_STA_LOST_IP, IP_EVENT_AP_STAIPASSIGNED, IP_EVENT_GOT_IP6,
               IP_EVENT_ETH_GOT_IP, IP_EVENT_ETH_LOST_IP } ip_event_t;
ESP_EVENT_DECLARE_BASE(IP_EVENT);
typedef struct {
    esp_netif_t *esp_netif;
    esp_netif_ip_info_t ip_info;
    bool ip_changed;
} ip_event_got_ip_t;

#define IPSTR "%d.%d.%d.%d"
#define esp_ip4_addr_get_byte(ipaddr, index) (((const uint8_t *)(&(ipaddr)->addr))[index])
#define IP2STR(ipaddr)                                                                      \
    esp_ip4_addr_get_byte(ipaddr, 0), esp_ip4_addr_get_byte(ipaddr, 1),                     \
        esp_ip4_addr_get_byte(ipaddr, 2), esp_ip4_addr_get_byte(ipaddr, 3)

esp_err_t esp_netif_init(void);
esp_err_t esp_netif_deinit(void);
/* All of these are the one interface that stands for the host's. */
esp_netif_t *esp_netif_create_default_wifi_sta(void);
esp_netif_t *esp_netif_create_default_wifi_ap(void);
void esp_netif_destroy(esp_netif_t *netif);
void esp_netif_destroy_default_wifi(void *netif);
esp_netif_t *esp_netif_get_handle_from_ifkey(const char *key);
/* 127.0.0.1 */
esp_err_t esp_netif_get_ip_info(esp_netif_t *netif, esp_netif_ip_info_t *info);
bool esp_netif_is_netif_up(esp_netif_t *netif);
esp_err_t esp_netif_set_hostname(esp_netif_t *netif, const char *name);

#ifdef __cplusplus
}
#endif
