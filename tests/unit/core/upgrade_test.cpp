#include "upgrade.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core.hpp>

#include "handshake_harness.hpp"

namespace tern::core {
namespace {

using namespace std::string_literals;
using Ending = HandshakeCase::Ending;

/// The key of the example in RFC 6455 section 1.3, each time.
class ExampleCrypto final : public Crypto {
public:
    explicit ExampleCrypto(bool has_entropy = true) : has_entropy_(has_entropy) {}

    bool random_bytes(std::span<std::byte> out) override {
        constexpr std::string_view nonce = "the sample nonce";
        EXPECT_EQ(out.size(), nonce.size());
        std::copy_n(as_bytes(nonce).begin(), std::min(out.size(), nonce.size()), out.begin());
        return has_entropy_;
    }
    std::array<std::byte, 20> sha1(Bytes bytes) override { return default_crypto().sha1(bytes); }
    std::string base64(Bytes bytes) override { return default_crypto().base64(bytes); }

private:
    bool has_entropy_;
};

/// Everything that an upgrade refers to.
class Upgrading final : public Handshaker {
public:
    Upgrading(Config config, std::string_view url, bool has_entropy = true)
        : config_(std::move(config)), crypto_(has_entropy), upgrade_(config_, parsed(url), crypto_) {}

    Status advance(Buffer& in, std::string& out) override {
        const Status status = upgrade_.advance(in, out);
        EXPECT_TRUE(status != Status::need_input || in.empty()) << "it waits, but not for lack of bytes";
        return status;
    }
    Status on_eof() override { return upgrade_.on_eof(); }
    Status on_deadline() override { return upgrade_.on_deadline(); }
    const Error& error() const override { return upgrade_.error(); }
    Handshake result() {
        const std::unique_ptr<Handshake> result = upgrade_.take_result();
        return result != nullptr ? std::move(*result) : Handshake();
    }

private:
    const Url& parsed(std::string_view text) {
        const Error error = parse_url(text, url_);
        EXPECT_FALSE(error) << error.message();
        return url_;
    }

    Config config_;
    Url url_;
    ExampleCrypto crypto_;
    Upgrade upgrade_;
};

constexpr std::string_view server_url = "ws://example.org/chat";

std::string describe(const Handshake& result) {
    std::string text = std::to_string(result.response.status) + '|' + result.response.reason + '|' + result.subprotocol;
    for (const Header& field : result.response.headers) text += "|" + field.name + '=' + field.value;
    return text + '|' + result.response.body + result.peer;
}

HandshakeCase upgrade_case(const Config& config, std::string input, Ending ending = Ending::none) {
    HandshakeCase test;
    test.make = [=] { return std::make_unique<Upgrading>(config, server_url); };
    test.input = std::move(input);
    test.ending = ending;
    test.summary = [](Handshaker& it) { return describe(static_cast<Upgrading&>(it).result()); };
    return test;
}

HandshakeOutcome run(const Config& config, std::string input, Ending ending = Ending::none) {
    return run_every_way(upgrade_case(config, std::move(input), ending));
}

// --- the request ---------------------------------------------------------------------------------------------------

std::string request_of(const Config& config, std::string_view url = server_url) {
    Upgrading upgrade(config, url);
    Buffer in;
    std::string out;
    EXPECT_EQ(upgrade.advance(in, out), Handshaker::Status::need_input);
    const std::string once = out;
    EXPECT_EQ(upgrade.advance(in, out), Handshaker::Status::need_input);
    EXPECT_EQ(out, once) << "the request is sent once";
    return out;
}

TEST(UpgradeRequest, Plain) {
    EXPECT_EQ(request_of({.compression = {.enabled = false}}),
              "GET /chat HTTP/1.1\r\n"
              "Host: example.org\r\n"
              "Upgrade: websocket\r\n"
              "Connection: Upgrade\r\n"
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
              "Sec-WebSocket-Version: 13\r\n"
              "User-Agent: tern\r\n"
              "\r\n");
}

TEST(UpgradeRequest, WithEverything) {
    const Config config{.subprotocols = {"chat.v2", "chat"},
                        .origin = "https://example.com",
                        .headers = {{"X-B", "1"}, {"X-A", ""}, {"X-B", "2 \xc3\xbc"}}};
    EXPECT_EQ(request_of(config, "ws://Aladdin:open%20sesame@[::1]:9001/a?b"),
              "GET /a?b HTTP/1.1\r\n"
              "Host: [::1]:9001\r\n"
              "Upgrade: websocket\r\n"
              "Connection: Upgrade\r\n"
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
              "Sec-WebSocket-Version: 13\r\n"
              "Sec-WebSocket-Protocol: chat.v2, chat\r\n"
              "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
              "Origin: https://example.com\r\n"
              "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"
              "User-Agent: tern\r\n"
              "X-B: 1\r\n"
              "X-A: \r\n"
              "X-B: 2 \xc3\xbc\r\n"
              "\r\n");
}

TEST(UpgradeRequest, TheUsersOwnAgentAndAuthorizationReplaceOurs) {
    const Config config{.headers = {{"user-agent", "mine"}, {"AUTHORIZATION", "Bearer x"}}};
    const std::string request = request_of(config, "ws://user:password@h/");
    EXPECT_NE(request.find("bits\r\nuser-agent: mine\r\nAUTHORIZATION: Bearer x\r\n\r\n"), std::string::npos)
        << request;
    EXPECT_EQ(request.find("User-Agent"), std::string::npos);
    EXPECT_EQ(request.find("Basic"), std::string::npos);
}

TEST(UpgradeRequest, UserInfoIsNowhereElse) {
    const std::string request = request_of({}, "ws://user:password@h/x");
    EXPECT_EQ(request.find("user:"), std::string::npos);
    EXPECT_EQ(request.find("password"), std::string::npos);
    EXPECT_NE(request.find("Authorization: Basic dXNlcjpwYXNzd29yZA==\r\n"), std::string::npos);
}

TEST(UpgradeRequest, WithoutEntropyNothingIsSent) {
    Upgrading upgrade({}, server_url, false);
    Buffer in;
    std::string out;
    EXPECT_EQ(upgrade.advance(in, out), Handshaker::Status::failed);
    EXPECT_EQ(out, "");
    EXPECT_EQ(upgrade.error(), Errc::no_entropy);
    EXPECT_EQ(upgrade.error().phase, Phase::upgrade);
    EXPECT_EQ(upgrade.on_eof(), Handshaker::Status::failed);
    EXPECT_EQ(upgrade.error(), Errc::no_entropy);
}

// --- a 101 that is accepted ----------------------------------------------------------------------------------------

constexpr std::string_view status_101 = "HTTP/1.1 101 Switching Protocols\r\n";
constexpr std::string_view accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

/// A valid 101 but for what is added.
std::string switching(std::string_view more = {}) {
    return std::string(status_101) + "Upgrade: websocket\r\nConnection: Upgrade\r\n" + std::string(accept) +
           std::string(more) + "\r\n";
}
/// A 101 with other headers.
std::string switching_with(std::string_view headers) { return std::string(status_101) + std::string(headers) + "\r\n"; }

TEST(Upgrade, Accepts) {
    const HandshakeOutcome outcome = run({}, switching());
    ASSERT_EQ(outcome.status, Handshaker::Status::done) << outcome.error.message();
    EXPECT_FALSE(outcome.error);
    EXPECT_EQ(outcome.summary,
              "101|Switching Protocols||Upgrade=websocket|Connection=Upgrade|"
              "Sec-WebSocket-Accept=s3pPLMBiTxaQ9kYGzzhZRbK+xOo=|");
}

struct Accepted {
    const char* name;
    std::string response;
};
void PrintTo(const Accepted& accepted, std::ostream* stream) { *stream << accepted.name; }

class UpgradeAccepts : public ::testing::TestWithParam<Accepted> {};

TEST_P(UpgradeAccepts, WhatTheRfcAllows) {
    const HandshakeOutcome outcome = run({.subprotocols = {"chat"}}, GetParam().response);
    EXPECT_EQ(outcome.status, Handshaker::Status::done) << outcome.error.message();
}

INSTANTIATE_TEST_SUITE_P(
    Upgrade, UpgradeAccepts,
    ::testing::Values(
        Accepted{"other_case", switching_with("UPGRADE: WebSocket\r\nconnection: upgrade\r\n"
                                              "SEC-WEBSOCKET-ACCEPT:s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\t\r\n")},
        Accepted{"lists", switching_with("Upgrade: h2c, websocket\r\nConnection: keep-alive , Upgrade\r\n" +
                                         std::string(accept))},
        Accepted{"several_lines", switching_with("Upgrade: h2c\r\nUpgrade: websocket\r\nConnection: keep-alive\r\n"
                                                 "Connection: ,Upgrade,\r\n" +
                                                 std::string(accept))},
        Accepted{"no_reason", "HTTP/1.1 101\r\n" + switching().substr(status_101.size())},
        Accepted{"empty_extensions", switching("Sec-WebSocket-Extensions: \r\nSec-WebSocket-Extensions: , ,\r\n")},
        Accepted{"version_header", switching("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 8\r\n")},
        Accepted{"content_length", switching("Content-Length: 5\r\n")},
        Accepted{"transfer_encoding", switching("Transfer-Encoding: chunked\r\n")},
        Accepted{"after_continue", "HTTP/1.1 100 Continue\r\n\r\n" + switching()},
        Accepted{"after_early_hints",
                 "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 \r\n\r\n" + switching()}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(Upgrade, EightInterimResponsesAreEnough) {
    std::string input;
    for (int i = 0; i < 8; ++i) input += "HTTP/1.1 102 Processing\r\nConnection: x\r\n\r\n";
    EXPECT_EQ(run({}, input + switching()).status, Handshaker::Status::done);
    EXPECT_EQ(run({}, input + "HTTP/1.1 404 Not Found\r\n\r\n", Ending::eof).error, Errc::upgrade_refused);

    const HandshakeOutcome outcome = run({}, input + "HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT_EQ(outcome.error, Errc::response_malformed);
    EXPECT_NE(outcome.error.detail.find("8 interim"), std::string::npos) << outcome.error.detail;
}

TEST(Upgrade, TakesTheSubprotocolThatWasChosen) {
    const Config config{.subprotocols = {"chat.v2", "Chat"}};
    const HandshakeOutcome outcome = run(config, switching("Sec-WebSocket-Protocol: Chat\r\n"));
    ASSERT_EQ(outcome.status, Handshaker::Status::done) << outcome.error.message();
    EXPECT_TRUE(outcome.summary.starts_with("101|Switching Protocols|Chat|")) << outcome.summary;
}

TEST(Upgrade, TakesAnySubprotocolIfToldTo) {
    const Config config{.accept_any_subprotocol = true};
    const HandshakeOutcome outcome = run(config, switching("Sec-WebSocket-Protocol: mqtt\r\n"));
    ASSERT_EQ(outcome.status, Handshaker::Status::done) << outcome.error.message();
    EXPECT_TRUE(outcome.summary.starts_with("101|Switching Protocols|mqtt|")) << outcome.summary;
    EXPECT_EQ(run(config, switching("Sec-WebSocket-Protocol: \r\n")).status, Handshaker::Status::done);
    EXPECT_EQ(run(config, switching("Sec-WebSocket-Protocol: a, b\r\n")).error, Errc::duplicate_header);
}

// --- answers that are refused --------------------------------------------------------------------------------------

struct Refused {
    const char* name;
    std::string response;
    Errc code;
    std::vector<std::string> detail;
};
void PrintTo(const Refused& refused, std::ostream* stream) { *stream << refused.name; }

class UpgradeRefuses : public ::testing::TestWithParam<Refused> {};

TEST_P(UpgradeRefuses, ForItsOwnReason) {
    HandshakeCase test = upgrade_case({.subprotocols = {"chat", "chat.v2"}}, GetParam().response);
    test.same_detail = GetParam().code != Errc::response_version;
    const HandshakeOutcome outcome = run_every_way(test);
    EXPECT_EQ(outcome.status, Handshaker::Status::failed);
    const Error& error = outcome.error;
    EXPECT_EQ(error.code, make_error_code(GetParam().code)) << error.message();
    EXPECT_EQ(error.phase, Phase::upgrade);
    // A head that could be read is kept.
    EXPECT_EQ(error.response.status, error.response.headers.empty() ? 0 : 101);
    for (const std::string& part : GetParam().detail)
        EXPECT_NE(error.detail.find(part), std::string::npos) << error.detail;
    EXPECT_FALSE(error.detail.empty());
    EXPECT_LT(error.detail.size(), 1000u);
    for (const char c : error.detail) EXPECT_TRUE(c >= ' ' && c < 0x7f) << error.detail;
}

std::string rest_of_101() { return "Connection: Upgrade\r\n" + std::string(accept); }

INSTANTIATE_TEST_SUITE_P(
    Upgrade, UpgradeRefuses,
    ::testing::Values(
        Refused{"not_http", "SSH-2.0-x\r\n", Errc::response_version, {}},
        Refused{"http_1_0", "HTTP/1.0 101 Switching Protocols\r\n", Errc::response_version, {}},
        Refused{"malformed",
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade : websocket\r\n\r\n",
                Errc::response_malformed,
                {"before the colon"}},

        Refused{"no_upgrade", switching_with(rest_of_101()), Errc::upgrade_header, {"\"websocket\"", "no such header"}},
        Refused{"other_upgrade",
                switching_with("Upgrade: h2c\r\n" + rest_of_101()),
                Errc::upgrade_header,
                {"\"websocket\"", "received \"h2c\""}},
        Refused{"upgrade_with_version",
                switching_with("Upgrade: websocket/13\r\n" + rest_of_101()),
                Errc::upgrade_header,
                {"received \"websocket/13\""}},
        Refused{"upgrade_in_a_string",
                switching_with("Upgrade: \"a, websocket\"\r\n" + rest_of_101()),
                Errc::upgrade_header,
                {"received \"\\\"a, websocket\\\"\""}},
        Refused{
            "upgrade_empty", switching_with("Upgrade:\r\n" + rest_of_101()), Errc::upgrade_header, {"received \"\""}},
        Refused{"upgrade_long",
                switching_with("Upgrade: " + std::string(5000, 'x') + "\r\n" + rest_of_101()),
                Errc::upgrade_header,
                {"xxx"}},

        Refused{"no_connection",
                switching_with("Upgrade: websocket\r\n" + std::string(accept)),
                Errc::connection_header,
                {"no such header"}},
        Refused{"other_connection",
                switching_with("Upgrade: websocket\r\nConnection: close\r\nConnection: TE\r\n" + std::string(accept)),
                Errc::connection_header,
                {"\"Upgrade\"", "received \"close, TE\""}},

        Refused{"no_accept",
                switching_with("Upgrade: websocket\r\nConnection: Upgrade\r\n"),
                Errc::accept_missing,
                {"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}},
        Refused{"two_accepts", switching(accept), Errc::duplicate_header, {"Sec-WebSocket-Accept"}},
        Refused{"accept_of_another_key",
                switching_with("Upgrade: websocket\r\nConnection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"),
                Errc::accept_mismatch,
                {"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}},
        // Whole and with case: a prefix of the value must not do.
        Refused{"accept_cut",
                switching_with("Upgrade: websocket\r\nConnection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo\r\n"),
                Errc::accept_mismatch,
                {}},
        Refused{"accept_empty",
                switching_with("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept:\r\n"),
                Errc::accept_mismatch,
                {"received \"\""}},
        Refused{"accept_with_tail",
                switching_with("Upgrade: websocket\r\nConnection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=x\r\n"),
                Errc::accept_mismatch,
                {}},
        Refused{"accept_in_other_case",
                switching_with("Upgrade: websocket\r\nConnection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: S3PPLMBITXAQ9KYGZZHZRBK+XOO=\r\n"),
                Errc::accept_mismatch,
                {}},
        Refused{"accept_is_the_key",
                switching_with("Upgrade: websocket\r\nConnection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
                Errc::accept_mismatch,
                {}},

        Refused{"extension",
                switching("Sec-WebSocket-Extensions: permessage-bzip2; x=1\r\n"),
                Errc::extension_not_offered,
                {"expected \"permessage-deflate\"", "permessage-bzip2; x=1"}},
        Refused{"compression_parameter",
                switching("Sec-WebSocket-Extensions: permessage-deflate; x=1\r\n"),
                Errc::compression_parameter,
                {"\"x\"", "permessage-deflate; x=1"}},
        Refused{"extension_in_second_line",
                switching("Sec-WebSocket-Extensions:\r\nsec-websocket-extensions: , x\r\n"),
                Errc::extension_not_offered,
                {"\"x\""}},

        Refused{"subprotocol_not_offered",
                switching("Sec-WebSocket-Protocol: mqtt\r\n"),
                Errc::subprotocol_not_offered,
                {"chat, chat.v2", "\"mqtt\""}},
        Refused{"subprotocol_in_other_case",
                switching("Sec-WebSocket-Protocol: CHAT\r\n"),
                Errc::subprotocol_not_offered,
                {"\"CHAT\""}},
        Refused{"subprotocol_prefix", switching("Sec-WebSocket-Protocol: cha\r\n"), Errc::subprotocol_not_offered, {}},
        Refused{"subprotocol_empty", switching("Sec-WebSocket-Protocol:\r\n"), Errc::subprotocol_not_offered, {"\"\""}},
        Refused{"subprotocol_list",
                switching("Sec-WebSocket-Protocol: chat, chat.v2\r\n"),
                Errc::duplicate_header,
                {"Sec-WebSocket-Protocol", "chat, chat.v2"}},
        Refused{"subprotocol_twice",
                switching("Sec-WebSocket-Protocol: chat\r\nsec-websocket-protocol: chat\r\n"),
                Errc::duplicate_header,
                {"Sec-WebSocket-Protocol"}}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(Upgrade, RefusesASubprotocolWhenNoneWasOffered) {
    const Error error = run({}, switching("Sec-WebSocket-Protocol: chat\r\n")).error;
    EXPECT_EQ(error, Errc::subprotocol_not_offered);
    EXPECT_EQ(error.detail, "expected none, received \"chat\"");
}

TEST(Upgrade, KeepsTheLimitsOfTheHead) {
    Config config;
    config.limits.max_head_size = switching().size() - 1;
    EXPECT_EQ(run(config, switching()).error, Errc::response_head_too_large);
    config.limits.max_head_size += 1;
    EXPECT_EQ(run(config, switching()).status, Handshaker::Status::done);
    config.limits.max_head_fields = 2;
    EXPECT_EQ(run(config, switching()).error, Errc::response_too_many_fields);
    config.limits.max_head_fields = 3;
    EXPECT_EQ(run(config, switching()).status, Handshaker::Status::done);
}

TEST(Upgrade, TheLimitsHoldForEachInterimResponse) {
    Config config;
    config.limits.max_head_size = switching().size();
    config.limits.max_head_fields = 3;
    const std::string interim = "HTTP/1.1 103 Early Hints\r\na: b\r\nc: d\r\ne: f\r\n\r\n";
    EXPECT_EQ(run(config, interim + interim + switching()).status, Handshaker::Status::done);
}

TEST(Upgrade, AResponseMuchLargerThanTheBuffer) {
    const std::string filler = "X: " + std::string(20'000, 'x') + "\r\n";
    const HandshakeOutcome outcome = run({}, switching(filler + filler));
    EXPECT_EQ(outcome.status, Handshaker::Status::done) << outcome.error.message();
}

// --- another status ------------------------------------------------------------------------------------------------

TEST(UpgradeRefusal, BringsTheResponse) {
    const HandshakeOutcome outcome = run({}, "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nX: y\r\n\r\nhello");
    EXPECT_EQ(outcome.status, Handshaker::Status::failed);
    const Error& error = outcome.error;
    EXPECT_EQ(error, Errc::upgrade_refused);
    EXPECT_EQ(error.phase, Phase::upgrade);
    EXPECT_EQ(error.detail, "404 Not Found");
    EXPECT_EQ(error.response.status, 404);
    EXPECT_EQ(error.response.reason, "Not Found");
    EXPECT_EQ(error.response.header("x"), "y");
    EXPECT_EQ(error.response.headers.size(), 2u);
    EXPECT_EQ(error.response.body, "hello");
}

TEST(UpgradeRefusal, ReadsChunks) {
    const Error error =
        run({}, "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n").error;
    EXPECT_EQ(error, Errc::upgrade_refused);
    EXPECT_EQ(error.response.body, "abcde");
}

TEST(UpgradeRefusal, BrokenChunksEndTheBody) {
    const Error error = run({}, "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd").error;
    EXPECT_EQ(error, Errc::upgrade_refused);
    EXPECT_EQ(error.response.body, "abc");
}

TEST(UpgradeRefusal, TheEndOfTheStreamAndTheDeadlineEndTheBody) {
    for (const Ending ending : {Ending::eof, Ending::deadline}) {
        for (const std::string& framing : {"Content-Length: 100\r\n"s, "Transfer-Encoding: chunked\r\n"s, ""s}) {
            const std::string body = framing.starts_with("T") ? "64\r\nabc" : "abc";
            const HandshakeCase test = upgrade_case({}, "HTTP/1.1 503 Busy\r\n" + framing + "\r\n" + body, ending);
            const HandshakeOutcome outcome = run_every_way(test);
            EXPECT_EQ(outcome.error, Errc::upgrade_refused) << framing;
            EXPECT_EQ(outcome.error.response.body, "abc") << framing;
            EXPECT_EQ(run({}, test.input).status, Handshaker::Status::need_input) << framing;
        }
    }
}

TEST(UpgradeRefusal, DoesNotWaitForABodyThatCannotCome) {
    for (const std::string& head :
         {"HTTP/1.1 204 No Content\r\n\r\n"s, "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"s,
          "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n"s}) {
        const HandshakeOutcome outcome = run({}, head);
        EXPECT_EQ(outcome.error, Errc::upgrade_refused) << head;
        EXPECT_EQ(outcome.error.response.body, "");
    }
}

TEST(UpgradeRefusal, DoesNotWaitForTheBodyOfARedirectThatIsFollowed) {
    const std::string head = "HTTP/1.1 302 Found\r\nLocation: /there\r\n\r\n";
    EXPECT_EQ(run({}, head).error, Errc::upgrade_refused);
    Config off;
    off.max_redirects = 0;
    EXPECT_EQ(run(off, head).status, Handshaker::Status::need_input) << "then the body is for the user";
}

TEST(UpgradeRefusal, TheBodyIsLimited) {
    Config config;
    config.limits.max_error_body = 2000;
    for (const std::string& length : {""s, "Content-Length: 1000000000\r\n"s}) {
        const HandshakeOutcome outcome = run(config, "HTTP/1.1 404 No\r\n" + length + "\r\n" + std::string(2000, 'x'));
        EXPECT_EQ(outcome.error, Errc::upgrade_refused) << length;
        EXPECT_EQ(outcome.error.response.body, std::string(2000, 'x')) << length;
    }
    config.limits.max_error_body = 0;
    EXPECT_EQ(run(config, "HTTP/1.1 404 No\r\n\r\n").error, Errc::upgrade_refused);
}

TEST(UpgradeRefusal, ASuccessIsNoUpgrade) {
    const Error error = run({}, "HTTP/1.1 200 OK\r\n" + switching().substr(status_101.size()), Ending::eof).error;
    EXPECT_EQ(error, Errc::upgrade_refused);
    EXPECT_EQ(error.detail, "200 OK");
}

struct Telling {
    const char* name;
    std::string head;
    std::string detail;
};
void PrintTo(const Telling& telling, std::ostream* stream) { *stream << telling.name; }

class UpgradeRefusalDetail : public ::testing::TestWithParam<Telling> {};

TEST_P(UpgradeRefusalDetail, SaysWhatToDo) {
    const Error error = run({}, "HTTP/1.1 " + GetParam().head + "Content-Length: 0\r\n\r\n").error;
    EXPECT_EQ(error, Errc::upgrade_refused);
    EXPECT_EQ(error.detail, GetParam().detail);
}

INSTANTIATE_TEST_SUITE_P(
    Upgrade, UpgradeRefusalDetail,
    ::testing::Values(
        Telling{"unauthorized",
                "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"a\"\r\nwww-authenticate: Bearer\r\n",
                "401 Unauthorized; WWW-Authenticate: Basic realm=\"a\"; WWW-Authenticate: Bearer"},
        Telling{"proxy", "407 Who\r\nProxy-Authenticate: NTLM\r\n", "407 Who; Proxy-Authenticate: NTLM"},
        Telling{"moved", "301 Moved\r\nLocation: https://example.org/\r\n",
                "301 Moved; Location: https://example.org/"},
        Telling{"redirect", "308 \r\nLocation: /b\r\n", "308; Location: /b"},
        Telling{"version", "426 Upgrade Required\r\nSec-WebSocket-Version: 8, 7\r\nUpgrade: websocket\r\n",
                "426 Upgrade Required; Upgrade: websocket; Sec-WebSocket-Version: 8, 7"},
        Telling{"version_in_400", "400 Bad\r\nSec-WebSocket-Version: 8\r\n", "400 Bad; Sec-WebSocket-Version: 8"},
        Telling{"retry", "503 Busy\r\nRetry-After: 120\r\n", "503 Busy; Retry-After: 120"},
        Telling{"rate", "429 Slow down\r\nRetry-After: 3\r\n", "429 Slow down; Retry-After: 3"},
        Telling{"not_telling", "404 No\r\nLocation: /x\r\nRetry-After: 1\r\n", "404 No"},
        Telling{"escaped", "500 \xc3\xbc\t\x9b\r\n", "500 \\xc3\\xbc\\t\\x9b"},
        Telling{"long", "302 Found\r\nLocation: " + std::string(500, 'x') + "\r\n",
                "302 Found; Location: " + std::string(200, 'x') + "..."},
        Telling{"many",
                "401 A\r\n" +
                    []() {
                        std::string lines;
                        for (int i = 0; i < 9; ++i) lines += "WWW-Authenticate: x\r\n";
                        return lines;
                    }(),
                "401 A; WWW-Authenticate: x; WWW-Authenticate: x; WWW-Authenticate: x; WWW-Authenticate: x"}),
    [](const auto& row) { return std::string(row.param.name); });

// --- no answer -----------------------------------------------------------------------------------------------------

TEST(Upgrade, EndOfTheStreamBeforeTheAnswer) {
    const Error error = run({}, "", Ending::eof).error;
    EXPECT_EQ(error, Errc::upgrade_eof);
    EXPECT_EQ(error.phase, Phase::upgrade);
    EXPECT_EQ(error.detail, "nothing of the answer had arrived");
}

TEST(Upgrade, EndOfTheStreamWithinTheAnswer) {
    const std::string whole = switching();
    for (std::size_t size = 1; size < whole.size(); ++size) {
        const HandshakeOutcome outcome = run({}, whole.substr(0, size), Ending::eof);
        EXPECT_EQ(outcome.error, Errc::upgrade_eof) << size;
        EXPECT_NE(outcome.error.detail.find(std::to_string(size) + " bytes"), std::string::npos);
    }
    EXPECT_EQ(run({}, whole.substr(0, 40), Ending::eof).error.detail,
              "40 bytes of the answer's head had arrived (101 Switching Protocols)");
}

TEST(Upgrade, EndOfTheStreamBehindAnInterimResponse) {
    const std::string interim = "HTTP/1.1 100 Continue\r\n\r\n";
    EXPECT_EQ(run({}, interim, Ending::eof).error.detail, "1 interim response, then nothing of the answer had arrived");
    EXPECT_EQ(run({}, interim + interim + "HTTP", Ending::eof).error.detail,
              "2 interim responses, then 4 bytes of the answer's head had arrived");
}

TEST(Upgrade, DeadlineBeforeTheAnswer) {
    const Error error = run({}, "", Ending::deadline).error;
    EXPECT_EQ(error, Errc::upgrade_timeout);
    EXPECT_EQ(error.phase, Phase::upgrade);
    EXPECT_EQ(error.detail, "nothing of the answer had arrived");
}

TEST(Upgrade, DeadlineWithinTheAnswer) {
    const Error error = run({}, "HTTP/1.1 1", Ending::deadline).error;
    EXPECT_EQ(error, Errc::upgrade_timeout);
    EXPECT_EQ(error.detail, "10 bytes of the answer's head had arrived");
}

TEST(Upgrade, NothingChangesAfterItsEnd) {
    std::string memory = switching() + switching();
    Buffer in{std::as_writable_bytes(std::span(memory))};
    in.commit(memory.size());
    std::string out;
    Upgrading done({}, server_url);
    ASSERT_EQ(done.advance(in, out), Handshaker::Status::done);
    const std::string sent = out;
    EXPECT_EQ(done.advance(in, out), Handshaker::Status::done);
    EXPECT_EQ(done.on_eof(), Handshaker::Status::done);
    EXPECT_EQ(done.on_deadline(), Handshaker::Status::done);
    EXPECT_EQ(as_text(in.readable()), switching());
    EXPECT_EQ(out, sent);
    EXPECT_FALSE(done.error());

    Upgrading failed({}, server_url);
    memory[memory.size() / 2] = '-';  // the first byte of the second response
    ASSERT_EQ(failed.advance(in, out), Handshaker::Status::failed);
    EXPECT_EQ(failed.on_eof(), Handshaker::Status::failed);
    EXPECT_EQ(failed.on_deadline(), Handshaker::Status::failed);
    EXPECT_EQ(failed.error(), Errc::response_version);
}

// --- the configuration ---------------------------------------------------------------------------------------------

struct BadConfig {
    const char* name;
    Config config;
    Errc code;
    std::string detail;
};
void PrintTo(const BadConfig& bad, std::ostream* stream) { *stream << bad.name; }

Config with_header(std::string name, std::string value = "x") {
    return {.headers = {{"X-Good", "y"}, {std::move(name), std::move(value)}}};
}

class UpgradeConfig : public ::testing::TestWithParam<BadConfig> {};

TEST_P(UpgradeConfig, IsRefused) {
    const Error error = check_upgrade_config(GetParam().config);
    EXPECT_EQ(error.code, make_error_code(GetParam().code)) << error.message();
    EXPECT_EQ(error.phase, Phase::none);
    EXPECT_NE(error.detail.find(GetParam().detail), std::string::npos) << error.detail;
    EXPECT_FALSE(error.detail.empty());
    EXPECT_EQ(error.detail.find("secret"), std::string::npos) << error.detail;
}

INSTANTIATE_TEST_SUITE_P(
    Upgrade, UpgradeConfig,
    ::testing::Values(
        BadConfig{"empty_name", with_header(""), Errc::invalid_header, "\"\""},
        BadConfig{"space_in_name", with_header("a b"), Errc::invalid_header, "\"a b\""},
        BadConfig{"colon_in_name", with_header("a:"), Errc::invalid_header, "\"a:\""},
        BadConfig{"line_break_in_name", with_header("a\r\nb"), Errc::invalid_header, "\"a\\r\\nb\""},
        BadConfig{"cr_in_value", with_header("a", "secret\r"), Errc::invalid_header, "\"a\""},
        BadConfig{"lf_in_value", with_header("a", "secret\nb: c"), Errc::invalid_header, "\"a\""},
        BadConfig{"nul_in_value", with_header("a", "secret\0"s), Errc::invalid_header, "\"a\""},
        BadConfig{"escape_in_value", with_header("a", "\x1bsecret"), Errc::invalid_header, "\"a\""},
        BadConfig{"cr_in_origin", Config{.origin = "null\r"}, Errc::invalid_header, "origin"},
        BadConfig{"lf_in_origin", Config{.origin = "null\nx"}, Errc::invalid_header, "origin"},
        BadConfig{"lf_in_bearer_token", Config{.bearer_token = "a\nb"}, Errc::invalid_header, "bearer_token"},
        BadConfig{"host", with_header("Host"), Errc::reserved_header, "\"Host\""},
        BadConfig{"upgrade", with_header("upgrade"), Errc::reserved_header, "\"upgrade\""},
        BadConfig{"connection", with_header("CONNECTION"), Errc::reserved_header, "\"CONNECTION\""},
        BadConfig{"key", with_header("Sec-WebSocket-Key"), Errc::reserved_header, "Key"},
        BadConfig{"websocket_anything", with_header("sec-websocket-x"), Errc::reserved_header, "sec-websocket-x"},
        BadConfig{"websocket_prefix", with_header("Sec-WebSocket-"), Errc::reserved_header, "Sec-WebSocket-"},
        BadConfig{"content_length", with_header("Content-Length"), Errc::reserved_header, "Content-Length"},
        BadConfig{"transfer_encoding", with_header("transfer-encoding"), Errc::reserved_header, "transfer-encoding"},
        BadConfig{"origin_twice", Config{.origin = "null", .headers = {{"ORIGIN", "x"}}}, Errc::reserved_header,
                  "ORIGIN"},
        BadConfig{"subprotocol_empty", Config{.subprotocols = {""}}, Errc::invalid_subprotocol, "\"\""},
        BadConfig{"subprotocol_list", Config{.subprotocols = {"a,b"}}, Errc::invalid_subprotocol, "\"a,b\""},
        BadConfig{"subprotocol_line_break", Config{.subprotocols = {"a\r\nb"}}, Errc::invalid_subprotocol, "\\r\\n"},
        BadConfig{"subprotocol_space", Config{.subprotocols = {"a", "b "}}, Errc::invalid_subprotocol, "\"b \""},
        BadConfig{"subprotocol_twice", Config{.subprotocols = {"a", "b", "a"}}, Errc::invalid_subprotocol, "twice"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(UpgradeConfigCheck, Accepts) {
    EXPECT_FALSE(check_upgrade_config({}));
    EXPECT_FALSE(check_upgrade_config({.subprotocols = {"a", "A", "chat.v2"},
                                       .origin = "https://example.com",
                                       .headers = {{"Authorization", "Bearer x"},
                                                   {"Cookie", "a=b\t; c=\xc3\xbc"},
                                                   {"Cookie", ""},
                                                   {"Sec-WebSocke", "x"},
                                                   {"Hosts", "x"}}}));
    EXPECT_FALSE(check_upgrade_config({.headers = {{"Origin", "null"}}}));
}

}  // namespace
}  // namespace tern::core
