#include "http_head.hpp"

#include <cstddef>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "handshake_harness.hpp"

namespace tern::core {
namespace {

using namespace std::string_literals;

/// The parser as a handshake, so that the harness can cut its input.
class HeadHandshake final : public Handshaker {
public:
    HeadHandshake(std::size_t max_size, std::size_t max_fields) : parser_(max_size, max_fields) {}

    Status advance(Buffer& in, std::string&) override {
        const auto status = parser_.advance(in);
        EXPECT_TRUE(status != HttpHeadParser::Status::need_input || in.empty())
            << "it waits, but not for lack of bytes";
        return translate(status);
    }
    Status on_eof() override { return Status::failed; }
    Status on_deadline() override { return Status::failed; }
    const Error& error() const override { return parser_.error(); }
    HttpHead& head() { return parser_.head(); }
    std::size_t received() const { return parser_.received(); }

private:
    static Status translate(HttpHeadParser::Status status) {
        if (status == HttpHeadParser::Status::done) return Status::done;
        return status == HttpHeadParser::Status::failed ? Status::failed : Status::need_input;
    }

    HttpHeadParser parser_;
};

constexpr std::size_t plenty = 64u << 10u;

std::string describe(const HttpHead& head) {
    std::string text = std::to_string(head.status) + '|' + head.reason;
    for (const Header& field : head.fields) text += "|" + field.name + '=' + field.value;
    return text;
}

HandshakeCase head_case(std::string input, std::size_t max_size = plenty, std::size_t max_fields = 128) {
    HandshakeCase test;
    test.make = [=] { return std::make_unique<HeadHandshake>(max_size, max_fields); };
    test.input = std::move(input);
    test.summary = [](Handshaker& it) { return describe(static_cast<HeadHandshake&>(it).head()); };
    return test;
}

// --- what is taken -------------------------------------------------------------------------------------------------

struct Good {
    const char* name;
    std::string input;
    std::string expected;
};
void PrintTo(const Good& good, std::ostream* stream) { *stream << good.name; }

class GoodHead : public ::testing::TestWithParam<Good> {};

TEST_P(GoodHead, ParsesHoweverItArrives) {
    const HandshakeOutcome outcome = run_every_way(head_case(GetParam().input));
    ASSERT_EQ(outcome.status, Handshaker::Status::done) << outcome.error.message();
    EXPECT_EQ(outcome.summary, GetParam().expected);
    EXPECT_FALSE(outcome.error);
}

INSTANTIATE_TEST_SUITE_P(
    HttpHead, GoodHead,
    ::testing::Values(Good{"usual",
                           "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
                           "101|Switching Protocols|Upgrade=websocket|Connection=Upgrade"},
                      Good{"no_fields", "HTTP/1.1 404 Not Found\r\n\r\n", "404|Not Found"},
                      Good{"empty_reason", "HTTP/1.1 200 \r\n\r\n", "200|"},
                      Good{"no_reason", "HTTP/1.1 200\r\n\r\n", "200|"},
                      Good{"reason_of_spaces", "HTTP/1.1 200  a\tb \r\n\r\n", "200| a\tb "},
                      Good{"reason_beyond_ascii", "HTTP/1.1 200 \xc3\xbc\xff\r\n\r\n", "200|\xc3\xbc\xff"},
                      Good{"odd_status", "HTTP/1.1 999 Denied\r\n\r\n", "999|Denied"},
                      Good{"lowest_status", "HTTP/1.1 100 Continue\r\n\r\n", "100|Continue"},
                      Good{"white_space_trimmed", "HTTP/1.1 200 OK\r\na: \t b c \t\r\nd:e\r\n\r\n", "200|OK|a=b c|d=e"},
                      Good{"empty_values", "HTTP/1.1 200 OK\r\na:\r\nb: \t \r\n\r\n", "200|OK|a=|b="},
                      Good{"colons_in_value", "HTTP/1.1 200 OK\r\na: b:c::d\r\n\r\n", "200|OK|a=b:c::d"},
                      Good{"value_beyond_ascii", "HTTP/1.1 200 OK\r\na: \x80\xff\tx\r\n\r\n", "200|OK|a=\x80\xff\tx"},
                      Good{"repeated_names", "HTTP/1.1 200 OK\r\na: 1\r\nA: 2\r\na: 1\r\n\r\n", "200|OK|a=1|A=2|a=1"},
                      Good{"every_token_character", "HTTP/1.1 200 OK\r\n!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n",
                           "200|OK|!#$%&'*+-.^_`|~09azAZ=x"}),
    [](const auto& row) { return std::string(row.param.name); });

// --- what is refused -----------------------------------------------------------------------------------------------

struct Bad {
    const char* name;
    std::string input;  ///< The last byte is the one that makes it an error.
    Errc code;
    std::string detail;
};
void PrintTo(const Bad& bad, std::ostream* stream) { *stream << bad.name; }

class BadHead : public ::testing::TestWithParam<Bad> {};

TEST_P(BadHead, FailsAtItsLastByte) {
    const Bad& expected = GetParam();
    HandshakeCase test = head_case(expected.input);
    test.same_detail = expected.code != Errc::response_version;
    const HandshakeOutcome outcome = run_every_way(test);
    EXPECT_EQ(outcome.status, Handshaker::Status::failed);
    EXPECT_EQ(outcome.error.code, make_error_code(expected.code)) << outcome.error.message();
    EXPECT_EQ(outcome.error.phase, Phase::upgrade);
    EXPECT_NE(outcome.error.detail.find(expected.detail), std::string::npos) << outcome.error.detail;
    EXPECT_LT(outcome.error.detail.size(), 500u);
    for (const char c : outcome.error.detail) EXPECT_TRUE(c >= ' ' && c < 0x7f) << outcome.error.detail;

    test.input.pop_back();
    EXPECT_EQ(run_every_way(test).status, Handshaker::Status::need_input);
}

TEST_P(BadHead, StaysFailed) {
    const HandshakeOutcome outcome =
        run_handshake(head_case(GetParam().input + "\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), {GetParam().input}, 4096);
    EXPECT_EQ(outcome.status, Handshaker::Status::failed);
    EXPECT_EQ(outcome.error.code, make_error_code(GetParam().code));
}

INSTANTIATE_TEST_SUITE_P(
    HttpHead, BadHead,
    ::testing::Values(
        Bad{"another_protocol", "S", Errc::response_version, "\"S\""},
        Bad{"lower_case", "h", Errc::response_version, ""}, Bad{"blank_line_first", "\r", Errc::response_version, ""},
        Bad{"nul_first", "\0"s, Errc::response_version, "\\x00"},
        Bad{"late_difference", "HTTQ", Errc::response_version, "\"HTTQ\""},
        Bad{"http_2", "HTTP/2", Errc::response_version, "\"HTTP/2\""},
        Bad{"http_1_0", "HTTP/1.0", Errc::response_version, "\"HTTP/1.0\""},
        Bad{"http_1_2", "HTTP/1.2", Errc::response_version, "\"HTTP/1.2\""},
        Bad{"version_cut", "HTTP/1\r", Errc::response_version, "\"HTTP/1\""},

        Bad{"version_only", "HTTP/1.1\r\n", Errc::response_malformed, "\"HTTP/1.1\""},
        Bad{"longer_version", "HTTP/1.10 200 OK\r\n", Errc::response_malformed, "\"HTTP/1.10 200 OK\""},
        Bad{"no_status", "HTTP/1.1 \r\n", Errc::response_malformed, "status line"},
        Bad{"two_spaces", "HTTP/1.1  200 OK\r\n", Errc::response_malformed, "status line"},
        Bad{"tab_for_space", "HTTP/1.1\t200 OK\r\n", Errc::response_malformed, "status line"},
        Bad{"two_digits", "HTTP/1.1 20 OK\r\n", Errc::response_malformed, "status line"},
        Bad{"two_digits_only", "HTTP/1.1 20\r\n", Errc::response_malformed, "status line"},
        Bad{"four_digits", "HTTP/1.1 2000 OK\r\n", Errc::response_malformed, "status line"},
        Bad{"letters", "HTTP/1.1 abc OK\r\n", Errc::response_malformed, "status line"},
        Bad{"sign", "HTTP/1.1 +10 OK\r\n", Errc::response_malformed, "status line"},
        Bad{"zero_status", "HTTP/1.1 000 OK\r\n", Errc::response_malformed, "status line"},
        Bad{"status_below_100", "HTTP/1.1 099 OK\r\n", Errc::response_malformed, "status line"},
        Bad{"nul_in_reason", "HTTP/1.1 200 a\0b\r\n"s, Errc::response_malformed, "a\\x00b"},
        Bad{"cr_in_reason", "HTTP/1.1 200 a\rb\r\n", Errc::response_malformed, "a\\rb"},
        Bad{"status_line_with_lf", "HTTP/1.1 200 OK\n", Errc::response_malformed, "CR LF"},

        Bad{"field_with_lf", "HTTP/1.1 200 OK\r\na: b\n", Errc::response_malformed, "CR LF"},
        Bad{"blank_line_with_lf", "HTTP/1.1 200 OK\r\na: b\r\n\n", Errc::response_malformed, "CR LF"},
        Bad{"bare_cr", "HTTP/1.1 200 OK\r\na: b\rc: d\r\n", Errc::response_malformed, "b\\rc"},
        Bad{"cr_cr_lf", "HTTP/1.1 200 OK\r\na: b\r\r\n", Errc::response_malformed, "control"},
        Bad{"blank_line_with_two_cr", "HTTP/1.1 200 OK\r\n\r\r\n", Errc::response_malformed, ""},
        Bad{"nul_in_value", "HTTP/1.1 200 OK\r\na: b\0\r\n"s, Errc::response_malformed, "b\\x00"},
        Bad{"escape_in_value", "HTTP/1.1 200 OK\r\na: \x1b[2J\r\n", Errc::response_malformed, "\\x1b"},
        Bad{"del_in_value", "HTTP/1.1 200 OK\r\na: \x7f\r\n", Errc::response_malformed, "\\x7f"},
        Bad{"folded_with_space", "HTTP/1.1 200 OK\r\na: b\r\n c\r\n", Errc::response_malformed, "folded"},
        Bad{"folded_with_tab", "HTTP/1.1 200 OK\r\na: b\r\n\tc: d\r\n", Errc::response_malformed, "folded"},
        Bad{"space_before_first_field", "HTTP/1.1 200 OK\r\n a: b\r\n", Errc::response_malformed, "folded"},
        Bad{"blank_line_with_space", "HTTP/1.1 200 OK\r\n \r\n", Errc::response_malformed, "folded"},
        Bad{"space_before_colon", "HTTP/1.1 200 OK\r\na : b\r\n", Errc::response_malformed, "before the colon"},
        Bad{"tab_before_colon", "HTTP/1.1 200 OK\r\na\t: b\r\n", Errc::response_malformed, "before the colon"},
        Bad{"empty_name", "HTTP/1.1 200 OK\r\n: b\r\n", Errc::response_malformed, "not a token"},
        Bad{"space_in_name", "HTTP/1.1 200 OK\r\na b: c\r\n", Errc::response_malformed, "not a token"},
        Bad{"name_beyond_ascii", "HTTP/1.1 200 OK\r\n\xc3\xbc: c\r\n", Errc::response_malformed, "not a token"},
        Bad{"nul_in_name", "HTTP/1.1 200 OK\r\na\0: c\r\n"s, Errc::response_malformed, "not a token"},
        Bad{"no_colon", "HTTP/1.1 200 OK\r\nabc\r\n", Errc::response_malformed, "no colon"},
        Bad{"long_line_is_shortened", "HTTP/1.1 200 OK\r\n" + std::string(9000, 'x') + "\r\n", Errc::response_malformed,
            "xxx..."}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(HttpHead, RefusesEveryByteThatIsNotOfAToken) {
    const std::string_view marks = "!#$%&'*+-.^_`|~";
    for (int value = 0; value < 256; ++value) {
        const char c = static_cast<char>(value);
        if (c == '\n' || c == ':') continue;  // these end the line and the name
        const bool token = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           marks.find(c) != std::string_view::npos;
        EXPECT_EQ(is_token({&c, 1}), token) << value;
        const std::string input = "HTTP/1.1 200 OK\r\na" + std::string(1, c) + "b: c\r\n\r\n";
        const HandshakeOutcome outcome = run_handshake(head_case(input), {input}, 4096);
        EXPECT_EQ(outcome.status, token ? Handshaker::Status::done : Handshaker::Status::failed) << value;
    }
    EXPECT_FALSE(is_token(""));
}

TEST(HttpHead, ShowsTheBannerOfAnotherProtocol) {
    const std::string banner = "SSH-2.0-OpenSSH_9.2p1 with a very long comment behind it\r\n";
    const Error error = run_handshake(head_case(banner), {banner}, 4096).error;
    EXPECT_EQ(error, Errc::response_version);
    EXPECT_EQ(error.detail, "it begins with \"SSH-2.0-OpenSSH_9.2p1 with a very long c\"");
}

TEST(HttpHead, RecognisesTls) {
    const std::string alert = "\x15\x03\x01\x00\x02\x02\x46"s;
    const Error error = run_handshake(head_case(alert), {alert}, 4096).error;
    EXPECT_EQ(error, Errc::response_version);
    EXPECT_NE(error.detail.find("wss://"), std::string::npos) << error.detail;
}

// --- limits --------------------------------------------------------------------------------------------------------

constexpr std::string_view two_fields = "HTTP/1.1 200 OK\r\na: b\r\nc: d\r\n\r\n";

TEST(HttpHead, TheSizeMayBeExactlyTheLimit) {
    EXPECT_EQ(run_every_way(head_case(std::string(two_fields), two_fields.size())).status, Handshaker::Status::done);
}

TEST(HttpHead, OneByteMoreThanTheLimitIsTooMuch) {
    // Whichever byte it is: in the version, in a name, at a line's end, in the blank line.
    for (std::size_t limit = 1; limit < two_fields.size(); ++limit) {
        SCOPED_TRACE(limit);
        HandshakeCase test = head_case(std::string(two_fields), limit);
        const HandshakeOutcome outcome = run_every_way(test);
        EXPECT_EQ(outcome.error, Errc::response_head_too_large);
        EXPECT_EQ(outcome.error.phase, Phase::upgrade);
        EXPECT_NE(outcome.error.detail.find(std::to_string(limit)), std::string::npos);
        test.input.resize(limit);
        EXPECT_EQ(run_every_way(test).status, Handshaker::Status::need_input) << "it fails before the limit";
        test.input = two_fields.substr(0, limit + 1);
        EXPECT_EQ(run_every_way(test).status, Handshaker::Status::failed) << "it does not fail at once";
    }
}

TEST(HttpHead, NothingBeyondTheLimitIsLookedAt) {
    EXPECT_EQ(run_every_way(head_case("HTTQ", 3)).error, Errc::response_head_too_large);
}

TEST(HttpHead, AnEndlessLineEndsAtTheLimit) {
    for (const std::string& begin : {"HTTP/1.1 200 "s, "HTTP/1.1 200 OK\r\n"s, "HTTP/1.1 200 OK\r\na: "s}) {
        HandshakeCase test = head_case(begin + std::string(plenty, 'x'), plenty);
        test.input.resize(plenty + 1);
        EXPECT_EQ(run_every_way(test).error, Errc::response_head_too_large);
        test.input.pop_back();
        EXPECT_EQ(run_every_way(test).status, Handshaker::Status::need_input);
    }
}

TEST(HttpHead, AHeadMuchLargerThanTheBuffer) {
    std::string input = "HTTP/1.1 200 OK\r\n";
    std::string expected = "200|OK";
    for (int i = 0; i < 20; ++i) {
        const std::string value(1500 + static_cast<std::size_t>(i), static_cast<char>('a' + i));
        input += "x: " + value + "\r\n";
        expected += "|x=" + value;
    }
    input += "\r\n";
    const HandshakeOutcome outcome = run_every_way(head_case(input));
    EXPECT_EQ(outcome.status, Handshaker::Status::done);
    EXPECT_EQ(outcome.summary, expected);
}

TEST(HttpHead, AsManyFieldsAsTheLimit) {
    EXPECT_EQ(run_every_way(head_case(std::string(two_fields), plenty, 2)).status, Handshaker::Status::done);
}

TEST(HttpHead, OneFieldMoreThanTheLimitFailsWithItsFirstByte) {
    HandshakeCase test = head_case("HTTP/1.1 200 OK\r\na: b\r\nc", plenty, 1);
    const HandshakeOutcome outcome = run_every_way(test);
    EXPECT_EQ(outcome.error, Errc::response_too_many_fields);
    EXPECT_EQ(outcome.error.phase, Phase::upgrade);
    EXPECT_NE(outcome.error.detail.find('1'), std::string::npos);
    test.input.pop_back();
    EXPECT_EQ(run_every_way(test).status, Handshaker::Status::need_input);
}

TEST(HttpHead, CountsWhatItHasTaken) {
    HeadHandshake handshake(plenty, 8);
    std::string memory = std::string(two_fields) + "behind";
    Buffer in{std::as_writable_bytes(std::span(memory))};
    in.commit(memory.size());
    std::string out;
    ASSERT_EQ(handshake.advance(in, out), Handshaker::Status::done);
    EXPECT_EQ(handshake.received(), two_fields.size());
    EXPECT_EQ(as_text(in.readable()), "behind");
}

// --- lists ---------------------------------------------------------------------------------------------------------

TEST(HttpHead, ComparesWithoutCase) {
    EXPECT_TRUE(iequals("Sec-WebSocket-Key", "sec-websocket-KEY"));
    EXPECT_TRUE(iequals("", ""));
    EXPECT_FALSE(iequals("a", "ab"));
    EXPECT_FALSE(iequals("a", "b"));
    // Only letters have a case: these differ by the same bit.
    EXPECT_FALSE(iequals("@[", "`{"));
    EXPECT_FALSE(iequals("\xc3\x9c", "\xc3\xbc"));
}

TEST(HttpHead, JudgesFieldValues) {
    EXPECT_TRUE(is_field_value(""));
    EXPECT_TRUE(is_field_value("a b\tc\x80\xff"));
    for (const std::string& value : {"a\r"s, "a\n"s, "\0"s, "\x1f"s, "\x7f"s}) EXPECT_FALSE(is_field_value(value));
}

std::string elements(std::string_view list) {
    std::string all;
    std::string_view element;
    while (next_element(list, element)) all += '[' + std::string(element) + ']';
    return all;
}

TEST(HttpHead, SplitsLists) {
    EXPECT_EQ(elements(""), "");
    EXPECT_EQ(elements(" ,\t, ,"), "");
    EXPECT_EQ(elements("a"), "[a]");
    EXPECT_EQ(elements(" a ,b,\tc\t"), "[a][b][c]");
    EXPECT_EQ(elements(",a,, ,b,"), "[a][b]");
    EXPECT_EQ(elements("a b,c"), "[a b][c]");
    EXPECT_EQ(elements("\"a,b\",c"), "[\"a,b\"][c]");
    EXPECT_EQ(elements("x=\"a\\\",b\",c"), "[x=\"a\\\",b\"][c]");
    EXPECT_EQ(elements("\"a\\\\\",b"), "[\"a\\\\\"][b]");
    EXPECT_EQ(elements("a\\,b"), "[a\\][b]");  // outside of a string a backslash is nothing
    EXPECT_EQ(elements("\"open, a"), "[\"open, a]");
    EXPECT_EQ(elements("\"open\\"), "[\"open\\]");
}

TEST(HttpHead, FindsTokensInAllFieldsOfTheName) {
    const std::vector<Header> fields = {
        {"Connection", "keep-alive, \"x, close\""}, {"Other", "secret"}, {"CONNECTION", ",, UpGrade ,"}};
    EXPECT_TRUE(has_token(fields, "connection", "keep-alive"));
    EXPECT_TRUE(has_token(fields, "Connection", "upgrade"));
    EXPECT_FALSE(has_token(fields, "Connection", "close")) << "it stands in a quoted string";
    EXPECT_FALSE(has_token(fields, "Connection", "secret"));
    EXPECT_FALSE(has_token(fields, "Connection", "up"));
    EXPECT_FALSE(has_token(fields, "Connection", "upgrades"));
    EXPECT_FALSE(has_token(fields, "Connection", ""));
    EXPECT_FALSE(has_token(fields, "Upgrade", "upgrade"));
    EXPECT_FALSE(has_token({}, "Connection", "upgrade"));
}

TEST(HttpHead, CountsFields) {
    const std::vector<Header> fields = {{"a", "1"}, {"b", "2"}, {"A", "3"}};
    EXPECT_EQ(count_fields(fields, "a"), 2u);
    EXPECT_EQ(count_fields(fields, "B"), 1u);
    EXPECT_EQ(count_fields(fields, "c"), 0u);
}

}  // namespace
}  // namespace tern::core
