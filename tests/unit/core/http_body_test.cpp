#include "http_body.hpp"

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

/// The reader as a handshake, so that the harness can cut its input.
class BodyHandshake final : public Handshaker {
public:
    BodyHandshake(const HttpHead& head, std::size_t limit) : reader_(head, limit) {}

    Status advance(Buffer& in, std::string&) override {
        reader_.advance(in);
        EXPECT_TRUE(reader_.finished() || in.empty()) << "it waits, but not for lack of bytes";
        return reader_.finished() ? Status::done : Status::need_input;
    }
    Status on_eof() override { return Status::failed; }
    Status on_deadline() override { return Status::failed; }
    const Error& error() const override { return error_; }
    std::string& body() { return reader_.body(); }

private:
    HttpBodyReader reader_;
    Error error_;
};

HttpHead head_of(int status, std::vector<Header> fields) { return {status, "", std::move(fields)}; }
HttpHead chunked() { return head_of(404, {{"Transfer-Encoding", "chunked"}}); }

HandshakeCase body_case(const HttpHead& head, std::string input, std::size_t limit = 4096) {
    HandshakeCase test;
    test.make = [=] { return std::make_unique<BodyHandshake>(head, limit); };
    test.input = std::move(input);
    test.summary = [](Handshaker& it) { return static_cast<BodyHandshake&>(it).body(); };
    return test;
}

struct Framing {
    const char* name;
    HttpHead head;
    std::string input;
    std::string body;
    bool finished = true;
};
void PrintTo(const Framing& framing, std::ostream* stream) { *stream << framing.name; }

class Body : public ::testing::TestWithParam<Framing> {};

TEST_P(Body, IsReadHoweverItArrives) {
    const Framing& expected = GetParam();
    const HandshakeOutcome outcome = run_every_way(body_case(expected.head, expected.input));
    EXPECT_EQ(outcome.status, expected.finished ? Handshaker::Status::done : Handshaker::Status::need_input);
    EXPECT_EQ(outcome.summary, expected.body);
}

INSTANTIATE_TEST_SUITE_P(
    HttpBody, Body,
    ::testing::Values(
        Framing{"length", head_of(404, {{"Content-Length", "5"}}), "hello", "hello"},
        Framing{"length_zero", head_of(404, {{"content-length", "0"}}), "", ""},
        Framing{"length_missing_bytes", head_of(404, {{"Content-Length", "6"}}), "hello", "hello", false},
        Framing{"length_twice_the_same", head_of(404, {{"Content-Length", "2, 2"}, {"Content-Length", "2"}}), "ab",
                "ab"},
        Framing{"length_huge", head_of(404, {{"Content-Length", "99999999999999999999999999"}}), "ab", "ab", false},
        // Without a length that can be believed, only the end of the stream ends it.
        Framing{"until_the_end", head_of(404, {}), "ab", "ab", false},
        Framing{"length_twice_differently", head_of(404, {{"Content-Length", "1"}, {"Content-Length", "2"}}), "abc",
                "abc", false},
        Framing{"length_negative", head_of(404, {{"Content-Length", "-1"}}), "abc", "abc", false},
        Framing{"length_empty", head_of(404, {{"Content-Length", ""}}), "abc", "abc", false},
        Framing{"length_not_a_number", head_of(404, {{"Content-Length", "0x"}}), std::string(100, 'a'),
                std::string(100, 'a'), false},
        Framing{"length_with_other_elements", head_of(404, {{"Content-Length", "x, 1"}}), "abc", "abc", false},
        Framing{"length_that_wraps", head_of(404, {{"Content-Length", "18446744073709551617"}}), "abc", "abc", false},
        Framing{"chunked_in_another_field", head_of(404, {{"Content-Length", "2"}, {"X", "chunked"}}), "ab", "ab"},
        Framing{"other_encoding", head_of(404, {{"Transfer-Encoding", "chunked, gzip"}, {"Content-Length", "1"}}),
                "abc", "abc", false},

        Framing{"no_content", head_of(204, {{"Content-Length", "5"}}), "", ""},
        Framing{"not_modified", head_of(304, {{"Content-Length", "5"}}), "", ""},
        Framing{"informational", head_of(101, {{"Transfer-Encoding", "chunked"}}), "", ""},

        Framing{"chunks", chunked(), "3\r\nabc\r\n2\r\nde\r\n0\r\n", "abcde"},
        Framing{"chunked_before_length",
                head_of(404, {{"Content-Length", "1"}, {"Transfer-Encoding", "gzip, Chunked,"}}), "3\r\nabc\r\n0\r\n",
                "abc"},
        Framing{"chunk_sizes", chunked(), "00000a\r\n0123456789\r\nA;x=\"y\"\r\n0123456789\r\n1 \t;z\r\n!\r\n000\r\n",
                "01234567890123456789!"},
        Framing{"chunks_unfinished", chunked(), "3\r\nabc\r\n2", "abc", false},
        Framing{"chunk_data_unfinished", chunked(), "3\r\nab", "ab", false},
        Framing{"chunk_that_is_huge", chunked(), "fffffffffffffff\r\nabc", "abc", false},
        Framing{"chunk_with_binary", chunked(), "4\r\n\r\n\0\xff\r\n0\r\n"s, "\r\n\0\xff"s},

        // Broken framing ends the body; what is there is kept.
        Framing{"chunk_without_size", chunked(), "\r", ""},
        Framing{"second_chunk_without_size", chunked(), "1\r\na\r\n\r", "a"},
        Framing{"chunk_with_extension_only", chunked(), ";", ""},
        Framing{"chunk_size_not_hexadecimal", chunked(), "1g", ""}, Framing{"chunk_size_negative", chunked(), "-", ""},
        Framing{"chunk_size_overflow", chunked(), "11111111111111111", ""},
        Framing{"chunk_size_with_lf", chunked(), "3\n", ""}, Framing{"chunk_size_with_cr_only", chunked(), "3\ra", ""},
        Framing{"chunk_longer_than_said", chunked(), "3\r\nabcd", "abc"},
        Framing{"chunk_with_cr_only", chunked(), "3\r\nabc\rd", "abc"},
        Framing{"chunk_line_too_long", chunked(), "3;" + std::string(255, 'x'), ""},
        Framing{"last_chunk_with_cr_only", chunked(), "0\rx", ""}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(HttpBody, IsFinishedAtTheLimit) {
    for (const std::string& size : {"5"s, "6"s, "1000000000000"s}) {
        const auto outcome = run_every_way(body_case(head_of(404, {{"Content-Length", size}}), "hello", 5));
        EXPECT_EQ(outcome.status, Handshaker::Status::done) << size;
        EXPECT_EQ(outcome.summary, "hello");
    }
    EXPECT_EQ(run_every_way(body_case(head_of(404, {}), "hello", 5)).summary, "hello");
    EXPECT_EQ(run_every_way(body_case(chunked(), "3\r\nhel\r\nfff\r\nlo", 5)).status, Handshaker::Status::done);
}

TEST(HttpBody, ManySmallChunks) {
    std::string input;
    for (int i = 0; i < 200; ++i) input += "1\r\na\r\n";
    EXPECT_EQ(run_every_way(body_case(chunked(), input)).summary, std::string(200, 'a'));
}

TEST(HttpBody, ALimitOfZeroWantsNothing) {
    EXPECT_EQ(run_every_way(body_case(head_of(404, {}), "", 0)).status, Handshaker::Status::done);
    EXPECT_EQ(run_every_way(body_case(chunked(), "", 0)).status, Handshaker::Status::done);
}

TEST(HttpBody, ABodyMuchLargerThanTheBuffer) {
    std::string input;
    std::string body;
    for (int i = 0; i < 12; ++i) {
        const std::string data(0x5dc, static_cast<char>('a' + i));
        input += "5DC\r\n" + data + "\r\n";
        body += data;
    }
    input += "0\r\n";
    const HandshakeOutcome outcome = run_every_way(body_case(chunked(), input, 1u << 20u));
    EXPECT_EQ(outcome.status, Handshaker::Status::done);
    EXPECT_EQ(outcome.summary, body);
}

}  // namespace
}  // namespace tern::core
