#include "url.hpp"

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace tern::core {
namespace {

using namespace std::string_literals;

/// A URL that is taken, and what has to come of it.
struct Good {
    const char* name;
    std::string text;
    std::string host;
    std::uint16_t port;
    std::string target;
    std::string host_header;
    bool secure = false;
};
void PrintTo(const Good& good, std::ostream* stream) { *stream << good.text; }

class GoodUrl : public ::testing::TestWithParam<Good> {};

TEST_P(GoodUrl, Parses) {
    const Good& expected = GetParam();
    Url url;
    const Error error = parse_url(expected.text, url);
    ASSERT_FALSE(error) << error.message();
    EXPECT_EQ(url.host, expected.host);
    EXPECT_EQ(url.port, expected.port);
    EXPECT_EQ(url.target, expected.target);
    EXPECT_EQ(url.host_header(), expected.host_header);
    EXPECT_EQ(url.secure, expected.secure);
    const bool brackets = expected.text.find('[') != std::string::npos;
    EXPECT_EQ(url.host_is_ipv6, brackets);
    EXPECT_EQ(url.authority(), (brackets ? '[' + url.host + ']' : url.host) + ':' + std::to_string(expected.port));

    Url again;
    EXPECT_FALSE(parse_accepted_url(expected.text, again));
    EXPECT_EQ(again, url);
}

INSTANTIATE_TEST_SUITE_P(
    Url, GoodUrl,
    ::testing::Values(
        Good{"plain", "ws://example.org/chat", "example.org", 80, "/chat", "example.org"},
        Good{"secure", "wss://example.org/chat", "example.org", 443, "/chat", "example.org", true},
        Good{"scheme_in_capitals", "WsS://example.org/", "example.org", 443, "/", "example.org", true},
        Good{"no_path", "ws://example.org", "example.org", 80, "/", "example.org"},
        Good{"query_without_path", "ws://example.org?a=1", "example.org", 80, "/?a=1", "example.org"},
        Good{"empty_query", "ws://example.org/?", "example.org", 80, "/?", "example.org"},
        Good{"query_kept", "ws://h/a?x=%7B%22a%22%3A1%7D&y=/?&z='()*", "h", 80, "/a?x=%7B%22a%22%3A1%7D&y=/?&z='()*",
             "h"},
        Good{"path_kept", "ws://h/a/../b/./c//d;e=%2f/", "h", 80, "/a/../b/./c//d;e=%2f/", "h"},
        Good{"at_in_path", "ws://h/@a/b@c:80?d@e", "h", 80, "/@a/b@c:80?d@e", "h"},
        Good{"url_in_query", "ws://h/?to=ws://other:99/", "h", 80, "/?to=ws://other:99/", "h"},
        Good{"port", "ws://example.org:8080/", "example.org", 8080, "/", "example.org:8080"},
        Good{"default_port_given", "ws://example.org:80/", "example.org", 80, "/", "example.org"},
        Good{"other_default_port", "ws://example.org:443/", "example.org", 443, "/", "example.org:443"},
        Good{"secure_default_port", "wss://example.org:443/", "example.org", 443, "/", "example.org", true},
        Good{"secure_port_80", "wss://example.org:80/", "example.org", 80, "/", "example.org:80", true},
        Good{"empty_port", "ws://example.org:/", "example.org", 80, "/", "example.org"},
        Good{"empty_port_secure", "wss://example.org:", "example.org", 443, "/", "example.org", true},
        Good{"port_with_zeros", "ws://h:0008080", "h", 8080, "/", "h:8080"},
        Good{"lowest_port", "ws://h:1", "h", 1, "/", "h:1"},
        Good{"highest_port", "ws://h:65535", "h", 65535, "/", "h:65535"},
        Good{"host_in_capitals", "ws://EXAMPLE.org/A", "example.org", 80, "/A", "example.org"},
        Good{"root_dot", "ws://example.org./", "example.org.", 80, "/", "example.org."},
        Good{"single_label", "ws://localhost:9001", "localhost", 9001, "/", "localhost:9001"},
        Good{"underscore", "ws://my_service/", "my_service", 80, "/", "my_service"},
        Good{"hyphens", "ws://r3---sn.example-.org/", "r3---sn.example-.org", 80, "/", "r3---sn.example-.org"},
        Good{"digits_in_name", "ws://4.example.7a/", "4.example.7a", 80, "/", "4.example.7a"},
        Good{"escaped_host", "ws://ex%61mple.org/", "example.org", 80, "/", "example.org"},
        Good{"ipv4", "ws://192.0.2.1:81/x", "192.0.2.1", 81, "/x", "192.0.2.1:81"},
        Good{"ipv4_bounds", "ws://0.255.9.10", "0.255.9.10", 80, "/", "0.255.9.10"},
        Good{"ipv6", "ws://[2001:DB8::1]/", "2001:db8::1", 80, "/", "[2001:db8::1]"},
        Good{"ipv6_port", "wss://[::1]:8443/", "::1", 8443, "/", "[::1]:8443", true},
        Good{"ipv6_any", "ws://[::]", "::", 80, "/", "[::]"},
        Good{"ipv6_full", "ws://[1:2:3:4:5:6:7:8]", "1:2:3:4:5:6:7:8", 80, "/", "[1:2:3:4:5:6:7:8]"},
        Good{"ipv6_with_ipv4", "ws://[::ffff:192.0.2.1]:", "::ffff:192.0.2.1", 80, "/", "[::ffff:192.0.2.1]"},
        // RFC 6874: the zone stays on this machine.
        Good{"ipv6_zone", "ws://[FE80::1%25Eth0]:81/", "fe80::1%Eth0", 81, "/", "[fe80::1]:81"},
        Good{"ipv6_zone_with_mark", "ws://[fe80::1%25br%3Alan]/", "fe80::1%br:lan", 80, "/", "[fe80::1]"},
        Good{"ipv6_zone_escaped", "ws://[fe80::1%25a%2Db]/", "fe80::1%a-b", 80, "/", "[fe80::1]"},
        Good{"idn",
             "ws://b\xc3\xbc"
             "cher.example/",
             "xn--bcher-kva.example", 80, "/", "xn--bcher-kva.example"},
        Good{"idn_capitals",
             "ws://B\xc3\x9c"
             "CHER.example/",
             "xn--bcher-kva.example", 80, "/", "xn--bcher-kva.example"},
        Good{"idn_escaped", "ws://b%C3%BCcher.example/", "xn--bcher-kva.example", 80, "/", "xn--bcher-kva.example"},
        Good{"idn_decomposed",
             "ws://bu\xcc\x88"
             "cher.example/",
             "xn--bcher-kva.example", 80, "/", "xn--bcher-kva.example"},
        // Nontransitional: the sharp s is a letter of its own.
        Good{"idn_sharp_s", "ws://fa\xc3\x9f.de:82/", "xn--fa-hia.de", 82, "/", "xn--fa-hia.de:82"},
        Good{"idn_ideographic_dot", "ws://\xe4\xbe\x8b\xe3\x81\x88\xe3\x80\x82\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88/",
             "xn--r8jz45g.xn--zckzah", 80, "/", "xn--r8jz45g.xn--zckzah"},
        Good{"a_label", "ws://xn--bcher-kva.example/", "xn--bcher-kva.example", 80, "/", "xn--bcher-kva.example"},
        Good{"a_label_of_emoji", "ws://xn--ls8h.la/", "xn--ls8h.la", 80, "/", "xn--ls8h.la"},
        Good{"idn_full_width_address", "ws://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1/", "127.0.0.1", 80, "/",
             "127.0.0.1"},
        Good{"longest_label", "ws://" + std::string(63, 'a') + ".b", std::string(63, 'a') + ".b", 80, "/",
             std::string(63, 'a') + ".b"}),
    [](const auto& row) { return std::string(row.param.name); });

/// A URL that is refused, and a part of the reason.
struct Bad {
    const char* name;
    std::string text;
    Errc code;
    std::string detail;
};
void PrintTo(const Bad& bad, std::ostream* stream) { *stream << bad.name; }

class BadUrl : public ::testing::TestWithParam<Bad> {};

TEST_P(BadUrl, IsRefusedForItsOwnReason) {
    const Bad& expected = GetParam();
    Url url;
    const Error error = parse_url(expected.text, url);
    EXPECT_EQ(error.code, make_error_code(expected.code)) << error.message();
    EXPECT_EQ(error.phase, Phase::none);
    EXPECT_NE(error.detail.find(expected.detail), std::string::npos) << error.detail;
    EXPECT_EQ(error.detail.empty(), expected.code == Errc::url_empty) << "what and where is missing";
    EXPECT_LT(error.detail.size(), 500u);
    for (const char c : error.detail) EXPECT_TRUE(c >= ' ' && c < 0x7f) << error.detail;
}

INSTANTIATE_TEST_SUITE_P(
    Url, BadUrl,
    ::testing::Values(
        Bad{"empty", "", Errc::url_empty, ""},

        Bad{"cr", "ws://h/\rx", Errc::url_control_character, "\"\\r\" at position 8"},
        Bad{"lf", "ws://h/\n", Errc::url_control_character, "\"\\n\" at position 8"},
        Bad{"nul", "ws://h\0/"s, Errc::url_control_character, "\"\\x00\" at position 7"},
        Bad{"tab", "\tws://h/", Errc::url_control_character, "\"\\t\" at position 1"},
        Bad{"del", "ws://h/\x7f", Errc::url_control_character, "\"\\x7f\""},
        Bad{"escape", "ws://h/\x1b", Errc::url_control_character, "\"\\x1b\""},
        Bad{"control_before_scheme_fault", "http://h/\r", Errc::url_control_character, ""},
        Bad{"escaped_cr_in_user", "ws://a%0Db@h/", Errc::url_control_character, "percent-encoded at position 7"},
        Bad{"escaped_nul_in_password", "ws://a:b%00@h/", Errc::url_control_character, "percent-encoded at position 9"},
        Bad{"escaped_lf_in_host", "ws://h%0a/", Errc::url_control_character, "percent-encoded at position 7"},
        Bad{"escaped_lf_in_zone", "ws://[fe80::1%25a%0a]/", Errc::url_control_character, "percent-encoded"},

        Bad{"space_in_path", "ws://h/a b", Errc::url_space, "\" \" at position 9"},
        Bad{"space_in_front", " ws://h/", Errc::url_space, "\" \" at position 1"},
        Bad{"space_behind", "ws://h/ ", Errc::url_space, "position 8"},
        Bad{"only_space", " ", Errc::url_space, "position 1"},
        Bad{"no_break_space", "ws://h\xc2\xa0/", Errc::url_space, "\"\\xc2\\xa0\" at position 7"},
        Bad{"ideographic_space", "ws://h/\xe3\x80\x80", Errc::url_space, "position 8"},
        Bad{"thin_space", "ws://h/\xe2\x80\x89", Errc::url_space, "position 8"},

        Bad{"http", "http://h/", Errc::url_scheme, "ws://"}, Bad{"https", "https://h/", Errc::url_scheme, "wss://"},
        Bad{"other_scheme", "ftp://h/", Errc::url_scheme, "ws:// or wss://"},
        Bad{"longer_scheme", "wsss://h/", Errc::url_scheme, ""},
        Bad{"no_scheme", "example.org/chat", Errc::url_scheme, ""},
        Bad{"no_scheme_but_port", "example.org:80", Errc::url_scheme, ""},
        Bad{"only_slashes", "//example.org/", Errc::url_scheme, ""}, Bad{"empty_scheme", "://h/", Errc::url_scheme, ""},
        Bad{"no_slashes", "ws:example.org", Errc::url_scheme, "\"//\" is missing behind \"ws:\""},
        Bad{"one_slash", "ws:/example.org", Errc::url_scheme, "\"//\" is missing"},
        Bad{"scheme_only", "wss", Errc::url_scheme, ""}, Bad{"scheme_in_query", "h?ws://x", Errc::url_scheme, ""},

        Bad{"fragment", "ws://h/a#b", Errc::url_fragment, "'#' at position 9"},
        Bad{"empty_fragment", "ws://h/#", Errc::url_fragment, "%23"},
        Bad{"fragment_in_authority", "ws://h#", Errc::url_fragment, ""},

        Bad{"port_zero", "ws://h:0/", Errc::url_port, "\"0\" at position 8"},
        Bad{"port_many_zeros", "ws://h:00000/", Errc::url_port, ""},
        Bad{"port_65536", "ws://h:65536/", Errc::url_port, "\"65536\""},
        Bad{"port_huge", "ws://h:" + std::string(100, '9'), Errc::url_port, ""},
        Bad{"port_wraps", "ws://h:4294967376/", Errc::url_port, ""},
        Bad{"port_name", "ws://h:http/", Errc::url_port, "\"http\""},
        Bad{"port_sign", "ws://h:+80/", Errc::url_port, ""}, Bad{"port_minus", "ws://h:-1", Errc::url_port, ""},
        Bad{"port_digits_and_letter", "ws://h:80a", Errc::url_port, ""},
        Bad{"port_twice", "ws://host:80:80/", Errc::url_port, "\"80:80\""},
        Bad{"port_of_ipv6", "ws://[::1]:x/", Errc::url_port, ""},
        Bad{"port_without_host", "ws://:99999/", Errc::url_port, ""},

        Bad{"no_host", "ws://", Errc::url_host, "empty"}, Bad{"no_host_but_path", "ws:///a", Errc::url_host, "empty"},
        Bad{"no_host_but_port", "ws://:80/", Errc::url_host, "empty"},
        Bad{"no_host_but_user", "ws://user@/", Errc::url_host, "empty"},
        Bad{"no_host_but_query", "ws://?a", Errc::url_host, "empty"},
        Bad{"empty_label", "ws://a..b/", Errc::url_host, "a label is empty"},
        Bad{"leading_dot", "ws://.a/", Errc::url_host, "a label is empty"},
        Bad{"only_dot", "ws://./", Errc::url_host, "a label is empty"},
        Bad{"two_root_dots", "ws://a../", Errc::url_host, "a label is empty"},
        Bad{"long_label", "ws://" + std::string(64, 'a') + ".b/", Errc::url_host, "63"},
        Bad{"character_in_host", "ws://a,b/", Errc::url_host, "\",\""},
        Bad{"escaped_slash_in_host", "ws://a%2fb/", Errc::url_host, "\"/\""},
        Bad{"escaped_at_in_host", "ws://a%40b/", Errc::url_host, "\"@\""},
        Bad{"escaped_colon_in_host", "ws://a%3A1/", Errc::url_host, "\":\""},
        Bad{"backslash_in_host", "ws://a\\b/", Errc::url_host, "\"\\\\\""},
        Bad{"not_utf8", "ws://\xff.example/", Errc::url_host, "encoding"},
        Bad{"idn_disallowed", "ws://\xf0\x9f\x92\xa9.la/", Errc::url_host, "disallowed"},
        Bad{"idn_maps_to_slash", "ws://\xe2\x84\x80.com/", Errc::url_host, "\"/\""},
        Bad{"idn_maps_to_nothing", "ws://\xe2\x80\x8b/", Errc::url_host, "a label is empty"},
        Bad{"idn_long_label", "ws://" + std::string(60, 'a') + "\xc3\xbc.de", Errc::url_host, ""},
        Bad{"ipv4_out_of_range", "ws://1.2.3.256/", Errc::url_host, "no address"},
        Bad{"ipv4_short", "ws://127.1/", Errc::url_host, "no address"},
        Bad{"ipv4_long", "ws://1.2.3.4.5/", Errc::url_host, "no address"},
        Bad{"ipv4_octal", "ws://0177.0.0.1/", Errc::url_host, "no address"},
        Bad{"ipv4_hexadecimal", "ws://0x7f000001/", Errc::url_host, "no address"},
        Bad{"ipv4_number", "ws://2130706433/", Errc::url_host, "no address"},
        Bad{"ipv4_root_dot", "ws://127.0.0.1./", Errc::url_host, "no address"},
        Bad{"ipv6_without_brackets", "ws://::1/", Errc::url_host, "[::1]"},
        Bad{"ipv6_without_brackets_long", "ws://2001:db8::1/x", Errc::url_host, "[2001:db8::1]"},
        Bad{"ipv6_empty", "ws://[]/", Errc::url_host, "no IPv6 address"},
        Bad{"ipv6_open", "ws://[::1/", Errc::url_host, "']' is missing"},
        Bad{"ipv6_tail", "ws://[::1]x/", Errc::url_host, "only a port"},
        Bad{"ipv6_two_gaps", "ws://[1::2::3]/", Errc::url_host, "no IPv6 address"},
        Bad{"ipv6_too_short", "ws://[1:2:3:4:5:6:7]/", Errc::url_host, "no IPv6 address"},
        Bad{"ipv6_too_long", "ws://[1:2:3:4:5:6:7:8:9]/", Errc::url_host, "no IPv6 address"},
        Bad{"ipv6_long_group", "ws://[::12345]/", Errc::url_host, "no IPv6 address"},
        Bad{"ipv6_letter", "ws://[::g]/", Errc::url_host, "no IPv6 address"},
        Bad{"ipv6_bad_ipv4", "ws://[::1.2.3.256]/", Errc::url_host, "no IPv6 address"},
        Bad{"ipv4_in_brackets", "ws://[1.2.3.4]/", Errc::url_host, "no IPv6 address"},
        Bad{"name_in_brackets", "ws://[example]/", Errc::url_host, "no IPv6 address"},
        Bad{"non_ascii_in_brackets", "ws://[::\xc3\xbc]/", Errc::url_host, "no IPv6 address"},
        Bad{"ip_future", "ws://[v1.fe80::a+en1]/", Errc::url_host, "no IPv6 address"},
        Bad{"zone_without_25", "ws://[fe80::1%eth0]/", Errc::url_host, "%25eth0"},
        Bad{"zone_empty", "ws://[fe80::1%25]/", Errc::url_host, "%25eth0"},
        Bad{"zone_with_slash", "ws://[fe80::1%25a%2Fb]/", Errc::url_host, "interface"},
        Bad{"zone_with_raw_mark", "ws://[fe80::1%25br:lan]/", Errc::url_host, "interface"},
        Bad{"zone_with_space", "ws://[fe80::1%25a%20b]/", Errc::url_host, "interface"},
        Bad{"zone_beyond_ascii", "ws://[fe80::1%25%C3%BC]/", Errc::url_host, "interface"},
        Bad{"zone_too_long", "ws://[fe80::1%25" + std::string(64, 'a') + "]/", Errc::url_host, "interface"},
        Bad{"zone_of_nothing", "ws://[%25eth0]/", Errc::url_host, "no IPv6 address"},

        Bad{"bad_escape_in_path", "ws://h/%zz", Errc::url_syntax, "\"%zz\" at position 8"},
        Bad{"short_escape_in_path", "ws://h/%a", Errc::url_syntax, "\"%a\" at position 8"},
        Bad{"bare_percent_in_query", "ws://h/?%", Errc::url_syntax, "%25"},
        Bad{"bad_escape_in_host", "ws://h%g0/", Errc::url_syntax, "'%' at position 7"},
        Bad{"short_escape_in_host", "ws://h%a/", Errc::url_syntax, "'%' at position 7"},
        Bad{"bad_escape_in_user", "ws://a%0@h/", Errc::url_syntax, "'%' at position 7"},
        Bad{"bad_escape_in_zone", "ws://[fe80::1%25%g0]/", Errc::url_syntax, "'%' at position 17"},
        Bad{"non_ascii_in_path", "ws://h/\xc3\xbc", Errc::url_syntax,
            "\"\\xc3\\xbc\" at position 8 must be percent-encoded: %C3%BC"},
        Bad{"non_ascii_in_query", "ws://h/?q=\xe4\xbe\x8b!", Errc::url_syntax, "%E4%BE%8B"},
        Bad{"non_ascii_in_user", "ws://\xc3\xbc@h/", Errc::url_syntax, "at position 6 must be percent-encoded: %C3%BC"},
        Bad{"brace_in_query", "ws://h/?q={1}", Errc::url_syntax, "\"{\" at position 11 must be percent-encoded: %7B"},
        Bad{"bracket_in_path", "ws://h/[a]", Errc::url_syntax, "%5B"},
        Bad{"backslash_in_path", "ws://h/a\\b", Errc::url_syntax, "%5C"},
        Bad{"quote_in_query", "ws://h?\"a\"", Errc::url_syntax, "%22"},
        Bad{"bracket_in_user", "ws://a[b@h/", Errc::url_syntax, "\"[\" at position 7"},
        Bad{"bracket_in_password", "ws://a:b[@h/", Errc::url_syntax, "\"[\" at position 9"},
        Bad{"backslash_in_user", "ws://good.example\\@evil.example/", Errc::url_syntax, "%5C"},
        Bad{"two_at", "ws://a@b@h/", Errc::url_syntax, "%40"},
        Bad{"colon_in_user_name", "ws://a%3Ab:c@h/", Errc::url_syntax, "%3A"},
        Bad{"too_long", "ws://h/" + std::string(8186, 'a'), Errc::url_syntax, "8193 bytes"}),
    [](const auto& row) { return std::string(row.param.name); });

Url parsed(std::string_view text) {
    Url url;
    const Error error = parse_url(text, url);
    EXPECT_FALSE(error) << text << ": " << error.message();
    return url;
}

Error error_of(std::string_view text) {
    Url url;
    return parse_url(text, url);
}

TEST(Url, TakesUserInfoApartAndDecodesIt) {
    const Url url = parsed("ws://us%65r:p%40ss:w%3ard%C3%BC@example.org/");
    Url again;
    EXPECT_FALSE(parse_accepted_url("ws://us%65r:p%40ss:w%3ard%C3%BC@example.org/", again));
    EXPECT_EQ(again, url);
    EXPECT_TRUE(url.has_user_info);
    EXPECT_EQ(url.user, "user");
    EXPECT_EQ(url.password, "p@ss:w:rd\xc3\xbc");
    EXPECT_EQ(url.host, "example.org");
    EXPECT_EQ(url.host_header(), "example.org");
    EXPECT_EQ(url.authority(), "example.org:80");
}

TEST(Url, UserWithoutPassword) {
    EXPECT_EQ(parsed("ws://user@h/").user, "user");
    EXPECT_EQ(parsed("ws://user@h/").password, "");
    EXPECT_EQ(parsed("ws://:secret@h/").password, "secret");
    EXPECT_TRUE(parsed("ws://:@h/").has_user_info);
}

TEST(Url, NoUserInfo) {
    EXPECT_FALSE(parsed("ws://h/a@b").has_user_info);
    EXPECT_FALSE(parsed("ws://@h/").has_user_info);
}

TEST(Url, ForgetsWhatWasInTheResult) {
    Url url = parsed("wss://u:p@[::1]:99/x?y");
    ASSERT_FALSE(parse_url("ws://h", url));
    EXPECT_FALSE(url.secure);
    EXPECT_FALSE(url.host_is_ipv6);
    EXPECT_FALSE(url.has_user_info);
    EXPECT_EQ(url.user + url.password, "");
    EXPECT_EQ(url.authority(), "h:80");
    EXPECT_EQ(url.target, "/");
}

TEST(Url, NeverShowsAPassword) {
    for (const char* text : {"http://user:secret@h/", "user:secret@h", "ws:user:secret@h", "ws://user:sec%zzret@h/",
                             "ws://user:secret^x@h/", "ws://user:secret@h:x/", "ws://user:secret@h,x/",
                             "ws://user:secret@h/#", "ws://user:secret/x@h/", "ws://user:secret?x@h/",
                             "ws://user:secret@x@h/", "ws://user:secret@[::g]/", "ws://user:secret@h/%"}) {
        const Error error = error_of(text);
        EXPECT_TRUE(error) << text;
        EXPECT_EQ(error.detail.find("sec"), std::string::npos) << text << ": " << error.detail;
    }
}

TEST(Url, LimitsOfLength) {
    EXPECT_FALSE(error_of("ws://h/" + std::string(8192 - 7, 'a')));
    EXPECT_EQ(error_of("ws://h/" + std::string(8192 - 6, 'a')), Errc::url_syntax);

    const std::string label(61, 'a');
    const std::string longest = label + '.' + label + '.' + label + '.' + label + ".abcde";
    ASSERT_EQ(longest.size(), 253u);
    EXPECT_FALSE(error_of("ws://" + longest));
    EXPECT_FALSE(error_of("ws://" + longest + "./"));
    const Error error = error_of("ws://" + longest + "f");
    EXPECT_EQ(error, Errc::url_host);
    EXPECT_NE(error.detail.find("253"), std::string::npos) << error.detail;
}

/// The characters of RFC 3986, once more and differently: a byte either stands for itself or is refused with the reason
/// that it has.
TEST(Url, EveryByteInEveryPlace) {
    const std::string_view unreserved_marks = "-._~";
    const std::string_view sub_delims = "!$&'()*+,;=";
    for (int value = 0; value < 256; ++value) {
        SCOPED_TRACE(value);
        const char c = static_cast<char>(value);
        const std::string one(1, c);
        const bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool usual = alphanumeric || unreserved_marks.find(c) != std::string_view::npos ||
                           sub_delims.find(c) != std::string_view::npos;

        const auto expected = [&](bool allowed, Errc otherwise) {
            if (value < 0x20 || value == 0x7f) return Errc::url_control_character;
            if (c == ' ') return Errc::url_space;
            if (c == '#') return Errc::url_fragment;
            return allowed ? Errc{} : otherwise;
        };
        const auto code_of = [](const std::string& text) { return error_of(text).errc(); };

        const bool path = usual || c == ':' || c == '@' || c == '/' || c == '?';
        EXPECT_EQ(code_of("ws://h/a" + one + "b"), expected(path, Errc::url_syntax));
        EXPECT_EQ(code_of("ws://h/a" + one), expected(path, Errc::url_syntax));
        EXPECT_EQ(code_of("ws://h?a" + one + "b"), expected(path, Errc::url_syntax));

        const bool user = usual || c == ':';
        // These two end the authority, and leave an '@' that is part of path or query.
        const bool ends = c == '/' || c == '?';
        EXPECT_EQ(code_of("ws://a" + one + "b@h/"), expected(user || ends, Errc::url_syntax));
        if (!ends) {
            EXPECT_EQ(code_of("ws://a:a" + one + "@h/"), expected(user, Errc::url_syntax));
        }

        const bool host = alphanumeric || c == '-' || c == '_' || c == '.' || c == '@' || ends;
        const Errc in_host = c == ':' ? Errc::url_port : c == '%' ? Errc::url_syntax : Errc::url_host;
        EXPECT_EQ(code_of("ws://h" + one + "x/"), expected(host, in_host));
        const bool in_zone = alphanumeric || unreserved_marks.find(c) != std::string_view::npos;
        const Errc not_in_zone = c == '%' ? Errc::url_syntax : Errc::url_host;
        EXPECT_EQ(code_of("ws://[fe80::1%25a" + one + "b]/"), expected(in_zone, not_in_zone));
    }
}

}  // namespace
}  // namespace tern::core
