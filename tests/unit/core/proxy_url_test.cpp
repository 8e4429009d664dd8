#include "proxy_url.hpp"

#include <gtest/gtest.h>

namespace tern::core {
namespace {

std::string shown(std::string_view text) {
    ProxyUrl proxy;
    if (const Error error = parse_proxy_url(text, proxy)) return error.message();
    return proxy.text() + (proxy.has_user_info ? " as " + proxy.user + " with " + proxy.password : "");
}

TEST(ProxyUrl, SchemesAndTheirPorts) {
    EXPECT_EQ(shown("http://proxy.test"), "http://proxy.test:1080");
    EXPECT_EQ(shown("http://proxy.test:80"), "http://proxy.test:80");
    EXPECT_EQ(shown("HTTPS://Proxy.Test"), "https://proxy.test:443");
    EXPECT_EQ(shown("socks5://192.0.2.1:9050/"), "socks5://192.0.2.1:9050");
    EXPECT_EQ(shown("socks5h://[2001:db8::1]"), "socks5h://[2001:db8::1]:1080");
    EXPECT_EQ(shown("proxy.test:3128"), "http://proxy.test:3128") << "as curl has it";
}

TEST(ProxyUrl, UserAndPassword) {
    EXPECT_EQ(shown("http://bird:t%3Arn@proxy.test"), "http://proxy.test:1080 as bird with t:rn");
    EXPECT_EQ(shown("bird@proxy.test"), "http://proxy.test:1080 as bird with ");
}

TEST(ProxyUrl, WhatCannotBeUsed) {
    for (const char* text : {"", "ftp://proxy.test", "http://", "http://proxy.test/path", "http://proxy.test?query",
                             "http://proxy.test:0", "http://proxy.test#x", "socks4://proxy.test", "http://a b"}) {
        ProxyUrl proxy;
        EXPECT_EQ(parse_proxy_url(text, proxy), Errc::proxy_url) << text;
    }
    ProxyUrl proxy;
    const Error error = parse_proxy_url("http://bird:secret@proxy.test:port", proxy);
    EXPECT_EQ(error, Errc::proxy_url);
    EXPECT_EQ(error.message().find("secret"), std::string::npos) << error.message();
    const Error odd = parse_proxy_url("bird:secret://x@proxy.test", proxy);
    EXPECT_EQ(odd, Errc::proxy_url);
    EXPECT_EQ(odd.message().find("secret"), std::string::npos) << odd.message();
}

}  // namespace
}  // namespace tern::core
