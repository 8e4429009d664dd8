#include "http_date.hpp"

#include <gtest/gtest.h>

namespace tern::core {
namespace {

using namespace std::chrono;

constexpr sys_seconds example = sys_days(1994y / November / 6) + 8h + 49min + 37s;

TEST(HttpDate, TheThreeFormats) {
    for (const char* text :
         {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"}) {
        EXPECT_EQ(parse_http_date(text), example) << text;
    }
    EXPECT_EQ(parse_http_date("Thu, 29 Feb 2024 23:59:60 GMT"), sys_days(2024y / March / 1));
    EXPECT_EQ(parse_http_date("Tuesday, 24-Nov-26 00:00:00 GMT"), sys_days(2026y / November / 24));
}

TEST(HttpDate, WhatIsNone) {
    for (const char* text :
         {"", "soon", "120", "Sun, 06 Nov 1994", "Sun, 06 Nov 1994 08:49 GMT", "Sun, 06 Nov 1994 08:49:37 1 GMT",
          "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
          "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 Nov Dec 1994 08:49:37", "Sun, 06 Xxx 1994 08:49:37 GMT",
          "06 1994 08:49:37 Nov", "Sun, 06 Nov 19944 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 \xff",
          "Sun, 00 Nov 1994 08:49:37 GMT", "99999999999999999999999999999999999999999999"}) {
        EXPECT_FALSE(parse_http_date(text)) << text;
    }
}

}  // namespace
}  // namespace tern::core
