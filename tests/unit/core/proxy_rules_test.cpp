#include "proxy_rules.hpp"

#include <gtest/gtest.h>

namespace tern::core {
namespace {

TEST(ProxyRules, NamesAndAllBelowThem) {
    EXPECT_TRUE(bypasses_proxy("host.test", "host.test"));
    EXPECT_TRUE(bypasses_proxy("host.test", "HOST.Test"));
    EXPECT_TRUE(bypasses_proxy("host.test", "a.host.test"));
    EXPECT_TRUE(bypasses_proxy(".host.test", "host.test"));
    EXPECT_TRUE(bypasses_proxy("host.test.", "a.host.test."));
    EXPECT_FALSE(bypasses_proxy("host.test", "ghost.test"));
    EXPECT_FALSE(bypasses_proxy("a.host.test", "host.test"));
    EXPECT_FALSE(bypasses_proxy("", "host.test"));
    EXPECT_FALSE(bypasses_proxy(".", "host.test"));
}

TEST(ProxyRules, Lists) {
    EXPECT_TRUE(bypasses_proxy("other.test,host.test", "host.test"));
    EXPECT_TRUE(bypasses_proxy("other.test host.test", "host.test"));
    EXPECT_TRUE(bypasses_proxy(" , other.test,\thost.test,", "host.test"));
    EXPECT_TRUE(bypasses_proxy("*", "host.test"));
    EXPECT_FALSE(bypasses_proxy("*,x", "host.test")) << "a star stands alone";
}

TEST(ProxyRules, AddressesAndNetworks) {
    EXPECT_TRUE(bypasses_proxy("192.0.2.1", "192.0.2.1"));
    EXPECT_FALSE(bypasses_proxy("192.0.2.1", "192.0.2.10"));
    EXPECT_FALSE(bypasses_proxy("2.1", "192.0.2.1")) << "an address has no suffixes";
    EXPECT_TRUE(bypasses_proxy("192.0.2.0/24", "192.0.2.255"));
    EXPECT_FALSE(bypasses_proxy("192.0.2.0/24", "192.0.3.0"));
    EXPECT_TRUE(bypasses_proxy("192.0.2.128/25", "192.0.2.129"));
    EXPECT_FALSE(bypasses_proxy("192.0.2.128/25", "192.0.2.127"));
    EXPECT_TRUE(bypasses_proxy("0.0.0.0/0", "192.0.2.1"));
    EXPECT_TRUE(bypasses_proxy("2001:db8::1", "2001:db8:0::1"));
    EXPECT_TRUE(bypasses_proxy("[2001:db8::1]", "2001:db8::1"));
    EXPECT_TRUE(bypasses_proxy("fe80::/10", "fe90::1"));
    EXPECT_FALSE(bypasses_proxy("fe80::/10", "2001:db8::1"));
    EXPECT_FALSE(bypasses_proxy("192.0.2.0/33", "192.0.2.1"));
    EXPECT_FALSE(bypasses_proxy("192.0.2.0/x", "192.0.2.1"));
    EXPECT_FALSE(bypasses_proxy("192.0.2.0/24", "host.test"));
}

TEST(ProxyRules, WhichVariable) {
    ProxyEnvironment all{.all_proxy = "socks5://all"};
    EXPECT_EQ(proxy_for(all, "ws://host.test"), "socks5://all");
    EXPECT_EQ(proxy_for(all, "wss://host.test"), "socks5://all");
    all.http_proxy = "http";
    all.https_proxy = "https";
    EXPECT_EQ(proxy_for(all, "ws://host.test"), "http");
    EXPECT_EQ(proxy_for(all, "wss://host.test"), "https");
    all.ws_proxy = "ws";
    all.wss_proxy = "wss";
    EXPECT_EQ(proxy_for(all, "ws://host.test"), "ws");
    EXPECT_EQ(proxy_for(all, "wss://host.test"), "wss");
    all.no_proxy = "host.test";
    EXPECT_EQ(proxy_for(all, "wss://a.host.test"), "");
    EXPECT_EQ(proxy_for(all, "wss://other.test"), "wss");
    EXPECT_EQ(proxy_for(all, "nonsense"), "");
}

}  // namespace
}  // namespace tern::core
