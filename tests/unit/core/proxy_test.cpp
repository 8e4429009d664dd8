// Both kinds of proxy, with the answers cut in every way.
#include <gtest/gtest.h>

#include "handshake_harness.hpp"
#include "proxy_connect.hpp"
#include "proxy_socks5.hpp"

namespace tern::core {
namespace {

using Ending = HandshakeCase::Ending;
using std::string_literals::operator""s;

// --- CONNECT -------------------------------------------------------------------------------------------------------

struct ConnectBench {
    ConnectBench(std::string_view where = "wss://host.test/", std::string_view through = "http://proxy.test") {
        EXPECT_FALSE(parse_url(where, url));
        EXPECT_FALSE(parse_proxy_url(through, proxy));
    }
    HandshakeOutcome run(std::string answer, Ending ending = Ending::none, bool same_detail = true) {
        HandshakeCase test;
        test.make = [this] { return std::make_unique<ProxyConnect>(config, proxy, url, default_crypto()); };
        test.input = std::move(answer);
        test.ending = ending;
        test.same_detail = same_detail;
        return run_every_way(test);
    }
    Config config;
    Url url;
    ProxyUrl proxy;
};

TEST(ProxyConnect, TheRequest) {
    const std::string ok = "HTTP/1.1 200 OK\r\n\r\n";
    EXPECT_EQ(ConnectBench().run(ok).out,
              "CONNECT host.test:443 HTTP/1.1\r\nHost: host.test:443\r\nUser-Agent: tern\r\n\r\n");
    EXPECT_EQ(ConnectBench("ws://[2001:db8::1]:9001/path").run(ok).out,
              "CONNECT [2001:db8::1]:9001 HTTP/1.1\r\nHost: [2001:db8::1]:9001\r\nUser-Agent: tern\r\n\r\n");
    const std::string with_user = ConnectBench("ws://host.test", "http://bird:tern@proxy.test").run(ok).out;
    EXPECT_NE(with_user.find("\r\nProxy-Authorization: Basic YmlyZDp0ZXJu\r\n"), std::string::npos) << with_user;
}

TEST(ProxyConnect, AnySuccessIsATunnel) {
    for (const std::string& answer :
         {"HTTP/1.1 200 Connection established\r\n\r\n"s, "HTTP/1.0 200 Connection established\r\n\r\n"s,
          "HTTP/1.1 204 \r\nServer: x\r\n\r\n"s, "HTTP/1.1 299\r\n\r\n"s,
          "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"s,
          "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"s}) {
        EXPECT_EQ(ConnectBench().run(answer).status, Handshaker::Status::done) << answer;
    }
}

TEST(ProxyConnect, RefusalsCarryTheAnswer) {
    const HandshakeOutcome busy =
        ConnectBench().run("HTTP/1.1 503 Busy\r\nRetry-After: 5\r\nContent-Length: 5\r\n\r\nlater");
    EXPECT_EQ(busy.error, Errc::proxy_refused);
    EXPECT_EQ(busy.error.phase, Phase::proxy);
    EXPECT_EQ(busy.error.response.status, 503);
    EXPECT_EQ(busy.error.response.body, "later");
    EXPECT_NE(busy.error.detail.find("Retry-After: 5"), std::string::npos) << busy.error.detail;

    const std::string answer = "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n";
    const HandshakeOutcome who = ConnectBench().run(answer);
    EXPECT_EQ(who.error, Errc::proxy_authentication);
    EXPECT_NE(who.error.detail.find("Basic realm"), std::string::npos) << who.error.detail;
    EXPECT_NE(who.error.detail.find("no user and password"), std::string::npos) << who.error.detail;
    const HandshakeOutcome wrong = ConnectBench("ws://host.test", "http://bird:secret@proxy.test").run(answer);
    EXPECT_NE(wrong.error.detail.find("did not accept"), std::string::npos) << wrong.error.detail;
    EXPECT_EQ(wrong.error.detail.find("secret"), std::string::npos);
}

TEST(ProxyConnect, WhatIsNotHttp) {
    for (const std::string& answer :
         {"SSH-2.0-OpenSSH\r\n"s, "HTTP/2 200\r\n\r\n"s, "\x15\x03\x01"s, "\x05\x00"s, "HTTP/1.1 2x0 OK\r\n\r\n"s,
          "HTTP/1.1 200 OK\r\nno colon\r\n\r\n"s, "HTTP/1.1 101 Switching Protocols\r\n\r\n"s}) {
        EXPECT_EQ(ConnectBench().run(answer, Ending::none, false).error, Errc::proxy_malformed) << answer;
    }
    std::string endless;
    for (int i = 0; i < 20; ++i) endless += "HTTP/1.1 102 Processing\r\n\r\n";
    EXPECT_EQ(ConnectBench().run(endless).error, Errc::proxy_malformed);
}

TEST(ProxyConnect, Limits) {
    ConnectBench bench;
    bench.config.limits.max_head_size = 100;
    EXPECT_EQ(bench.run("HTTP/1.1 200 OK\r\nX: " + std::string(200, 'x')).error, Errc::response_head_too_large);
    bench.config.limits.max_head_size = 1000;
    bench.config.limits.max_head_fields = 2;
    EXPECT_EQ(bench.run("HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n").error, Errc::response_too_many_fields);
}

TEST(ProxyConnect, EndAndDeadline) {
    for (const std::string& answer : {""s, "HTTP/1.1 200 O"s, "HTTP/1.1 200 OK\r\nA: b\r\n"s}) {
        const HandshakeOutcome ended = ConnectBench().run(answer, Ending::eof);
        EXPECT_EQ(ended.error, Errc::proxy_eof) << answer;
        EXPECT_EQ(ended.error.phase, Phase::proxy);
        EXPECT_EQ(ConnectBench().run(answer, Ending::deadline).error, Errc::proxy_timeout) << answer;
    }
    // A status is an answer, whatever is missing of its body.
    EXPECT_EQ(ConnectBench().run("HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nno", Ending::eof).error,
              Errc::proxy_refused);
}

// --- SOCKS5 --------------------------------------------------------------------------------------------------------

struct SocksBench {
    SocksBench(std::string_view through = "socks5h://proxy.test", std::string_view where = "ws://host.test:258/") {
        EXPECT_FALSE(parse_url(where, url));
        EXPECT_FALSE(parse_proxy_url(through, proxy));
    }
    HandshakeOutcome run(std::string answer, Ending ending = Ending::none) {
        HandshakeCase test;
        test.make = [this] { return std::make_unique<ProxySocks5>(proxy, url, address); };
        test.input = std::move(answer);
        test.ending = ending;
        return run_every_way(test);
    }
    Url url;
    ProxyUrl proxy;
    std::optional<Address> address;
};

const std::string free_entry = "\x05\x00"s;
const std::string granted = "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"s;

TEST(ProxySocks5, AName) {
    const HandshakeOutcome outcome = SocksBench().run(free_entry + granted);
    EXPECT_EQ(outcome.status, Handshaker::Status::done);
    EXPECT_EQ(outcome.out, "\x05\x01\x00"s + "\x05\x01\x00\x03\x09host.test\x01\x02"s);
}

TEST(ProxySocks5, Addresses) {
    SocksBench bench;
    bench.address = Address{.bytes = {192, 0, 2, 1}};
    EXPECT_EQ(bench.run(free_entry + granted).out, "\x05\x01\x00"s + "\x05\x01\x00\x01\xc0\x00\x02\x01\x01\x02"s);
    bench.address =
        Address{.family = Address::Family::ipv6, .bytes = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    EXPECT_EQ(bench.run(free_entry + granted).out,
              "\x05\x01\x00"s + "\x05\x01\x00\x04\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\x01\x01\x02"s);
}

TEST(ProxySocks5, BoundAddressesOfEveryType) {
    for (const std::string& reply : {granted, "\x05\x00\x00\x03\x04name\x12\x34"s, "\x05\x00\x00\x03\x00\x12\x34"s,
                                     "\x05\x00\x00\x04"s + std::string(18, 'x')}) {
        EXPECT_EQ(SocksBench().run(free_entry + reply).status, Handshaker::Status::done);
    }
}

TEST(ProxySocks5, UserAndPassword) {
    SocksBench bench("socks5h://bird:tern@proxy.test");
    const HandshakeOutcome outcome = bench.run("\x05\x02"s + "\x01\x00"s + granted);
    EXPECT_EQ(outcome.status, Handshaker::Status::done);
    EXPECT_EQ(outcome.out,
              "\x05\x02\x00\x02"s + "\x01\x04"s + "bird\x04tern"s + "\x05\x01\x00\x03\x09host.test\x01\x02"s);
    EXPECT_EQ(bench.run(free_entry + granted).status, Handshaker::Status::done) << "the proxy does not ask";
    EXPECT_EQ(bench.run("\x05\x02"s + "\x01\x01"s).error, Errc::proxy_authentication);
    EXPECT_EQ(bench.run("\x05\x02"s + "\x05\x00"s).error, Errc::proxy_malformed);
    EXPECT_EQ(bench.run("\x05\xff"s).error, Errc::proxy_authentication);
    EXPECT_EQ(SocksBench().run("\x05\xff"s).error, Errc::proxy_authentication);
    EXPECT_EQ(SocksBench().run("\x05\x02"s).error, Errc::proxy_malformed) << "it was not offered";
    EXPECT_EQ(bench.run("\x05\x01"s).error, Errc::proxy_malformed);
    EXPECT_EQ(SocksBench("socks5h://bird@proxy.test").run("").error, Errc::proxy_url) << "an empty password";
    EXPECT_EQ(SocksBench("socks5h://" + std::string(256, 'b') + ":x@proxy.test").run("").error, Errc::proxy_url);
}

TEST(ProxySocks5, Refusals) {
    for (const auto& [code, text] :
         {std::pair(1, "general"), std::pair(2, "ruleset"), std::pair(5, "refused"), std::pair(9, "unassigned")}) {
        const HandshakeOutcome outcome = SocksBench().run(free_entry + "\x05"s + static_cast<char>(code));
        EXPECT_EQ(outcome.error, Errc::proxy_refused);
        EXPECT_NE(outcome.error.detail.find(text), std::string::npos) << outcome.error.detail;
    }
}

TEST(ProxySocks5, WhatIsNotSocks5) {
    for (const std::string& answer :
         {"HTTP/1.1 400\r\n"s, "\x04\x00"s, free_entry + "\x04"s, free_entry + "\x05\x00\x00\x02\x00"s}) {
        const HandshakeOutcome outcome = SocksBench().run(answer);
        EXPECT_EQ(outcome.error, Errc::proxy_malformed) << answer;
        EXPECT_EQ(outcome.error.phase, Phase::proxy);
    }
}

TEST(ProxySocks5, EndAndDeadline) {
    for (const std::string& answer : {""s, "\x05"s, free_entry, free_entry + granted.substr(0, 9)}) {
        EXPECT_EQ(SocksBench().run(answer, Ending::eof).error, Errc::proxy_eof);
        EXPECT_EQ(SocksBench().run(answer, Ending::deadline).error, Errc::proxy_timeout);
    }
}

}  // namespace
}  // namespace tern::core
