#include "redirect.hpp"

#include <gtest/gtest.h>

#include "http_refusal.hpp"

namespace tern::core {
namespace {

Error refusal(int status, std::vector<Header> headers) {
    Error error(Errc::upgrade_refused, Phase::upgrade);
    error.response.status = status;
    error.response.headers = std::move(headers);
    return error;
}

/// Where a Location leads from a base, or the name of the error.
std::string target(std::string_view base, const std::string& location) {
    Url from;
    Url to;
    EXPECT_FALSE(parse_url(base, from));
    const Error error = resolve_redirect(from, refusal(302, {{"Location", location}}), to);
    if (error) return std::string(error_row(error.errc())->name);
    return to.text() + (to.has_user_info ? " as " + to.user + ":" + to.password : "");
}

TEST(Redirect, TheStatusesThatLeadElsewhere) {
    for (int status = 300; status < 400; ++status) {
        const bool leads = status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
        EXPECT_EQ(is_redirect(refusal(status, {})), leads) << status;
    }
    EXPECT_FALSE(is_redirect(Error(Errc::upgrade_eof)));
}

/// RFC 3986 section 5.4.
TEST(Redirect, References) {
    const std::string base = "ws://host.test:9001/b/c/d?q";
    EXPECT_EQ(target(base, "ws://other.test/x"), "ws://other.test/x");
    EXPECT_EQ(target(base, "http://other.test"), "ws://other.test/");
    EXPECT_EQ(target(base, "HTTPS://other.test/"), "wss://other.test/");
    EXPECT_EQ(target(base, "wss://host.test"), "wss://host.test/");
    EXPECT_EQ(target(base, "//other.test/x"), "ws://other.test/x");
    EXPECT_EQ(target(base, "/x?y"), "ws://host.test:9001/x?y");
    EXPECT_EQ(target(base, "x"), "ws://host.test:9001/b/c/x");
    EXPECT_EQ(target(base, "../x"), "ws://host.test:9001/b/x");
    EXPECT_EQ(target(base, "?y"), "ws://host.test:9001/b/c/d?y");
    EXPECT_EQ(target(base, "/x#fragment"), "ws://host.test:9001/x");
}

TEST(Redirect, WhatCannotBeFollowed) {
    for (const char* location :
         {"", "ftp://host.test/", "ws://", "ws://host.test:0/", "ws://a b/", "mailto:x@host.test"}) {
        EXPECT_EQ(target("ws://host.test/", location), "redirect_location") << location;
    }
    Url base;
    Url to;
    ASSERT_FALSE(parse_url("ws://host.test/", base));
    EXPECT_EQ(resolve_redirect(base, refusal(301, {}), to), Errc::redirect_location);
    EXPECT_EQ(resolve_redirect(base, refusal(301, {{"Location", "/a"}, {"location", "/b"}}), to),
              Errc::redirect_location);
}

TEST(Redirect, TlsIsNotGivenUp) {
    EXPECT_EQ(target("wss://host.test/", "ws://host.test/"), "redirect_insecure");
    EXPECT_EQ(target("wss://host.test/", "http://host.test/"), "redirect_insecure");
    EXPECT_EQ(target("wss://host.test/", "/x"), "wss://host.test/x");
}

TEST(Redirect, UserInfoIsNotShown) {
    Url base;
    Url to;
    ASSERT_FALSE(parse_url("wss://host.test/", base));
    for (const char* location :
         {"ws://bird:secret@host.test/", "ftp://bird:secret@host.test/?x@y", "//secret@ho st/"}) {
        const Error refused = refusal(302, {{"Location", location}});
        const Error error = resolve_redirect(base, refused, to);
        EXPECT_TRUE(error) << location;
        EXPECT_EQ(error.message().find("secret"), std::string::npos) << error.message();
        EXPECT_NE(error.message().find("ho"), std::string::npos) << error.message();
        EXPECT_EQ(refusal_detail(refused.response).find("secret"), std::string::npos);
    }
}

TEST(Redirect, UserInfoStaysWithinTheOrigin) {
    EXPECT_EQ(target("ws://bird:tern@host.test/", "/x"), "ws://host.test/x as bird:tern");
    EXPECT_EQ(target("ws://bird:tern@host.test/", "ws://other.test/"), "ws://other.test/");
    EXPECT_EQ(target("ws://bird:tern@host.test/", "wss://host.test/"), "wss://host.test/");
    EXPECT_EQ(target("ws://bird:tern@host.test/", "ws://host.test:81/"), "ws://host.test:81/");
    EXPECT_EQ(target("ws://host.test/", "ws://a:b@other.test/"), "ws://other.test/ as a:b");
}

}  // namespace
}  // namespace tern::core
