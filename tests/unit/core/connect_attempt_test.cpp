#include "connect_attempt.hpp"

#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "counting_pool.hpp"
#include "wire.hpp"

namespace tern::core {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using Status = ConnectAttempt::Status;
using Lines = std::vector<std::string>;

constexpr TimePoint start{std::chrono::hours(1)};
constexpr Address address{.port = 80, .bytes = {192, 0, 2, 1}};

/// An attempt, everything that it has asked for, and the test as resolver, network and server.
class Bench {
public:
    explicit Bench(const std::string& text, Config settings = {}, bool prepare = false, BufferPool* pool = nullptr)
        : config(std::make_shared<Config>(std::move(settings))), common(*config, crypto, pool) {
        Url url;
        if (!prepare) {
            EXPECT_FALSE(parse_url(text, url));
        }
        if (!config->proxy.empty()) {
            EXPECT_FALSE(parse_proxy_url(config->proxy, common.proxy.emplace()));
        }
        attempt.emplace(config, common, std::move(url), text, prepare, 3, start);
        attempt->update(start);
    }

    /// "resolve host:80", "connect 192.0.2.1", "close 3", in the order in which it asked. Keeps the last id.
    Lines asked() {
        Lines lines;
        while (!common.commands.empty()) {
            const Command command = common.commands.pop();
            switch (command.kind) {
                case Command::Kind::prepare: lines.push_back("prepare " + command.host); break;
                case Command::Kind::resolve:
                    lines.push_back("resolve " + command.host + ":" + std::to_string(command.port));
                    break;
                case Command::Kind::connect: lines.push_back("connect " + command.address.to_string()); break;
                case Command::Kind::half_close: lines.emplace_back("half_close"); break;
                case Command::Kind::close: lines.push_back("close " + std::to_string(command.id)); continue;
            }
            id = command.id;
            number = command.attempt;
        }
        return lines;
    }
    void prepared(Attempt answer, Error error = {}) {
        asked();
        attempt->on_prepared(id, std::move(answer), std::move(error), start);
        attempt->update(start);
    }
    Lines resolved(const Address& to = address) {
        attempt->on_resolved(id, {&to, 1}, {}, start);
        attempt->update(start);
        return asked();
    }
    void connected(Error error = {}) {
        attempt->on_connected(id, std::move(error), start);
        attempt->update(start);
    }
    void receive(std::string_view bytes) {
        Connection& connection = *attempt->link().connection;
        const std::span<std::byte> space = connection.rx_space();
        ASSERT_LE(bytes.size(), space.size());
        std::memcpy(space.data(), bytes.data(), bytes.size());
        connection.rx_commit(bytes.size(), start);
        attempt->update(start);
    }
    std::string sent() {
        std::string bytes;
        std::array<Bytes, 4> pieces;
        Connection& connection = *attempt->link().connection;
        while (connection.tx(pieces) != 0) {
            bytes += as_text(pieces[0]);
            connection.tx_consume(pieces[0].size());
        }
        return bytes;
    }

    wire::SeededCrypto crypto;  ///< Without TLS.
    std::shared_ptr<const Config> config;
    Common common;
    std::optional<ConnectAttempt> attempt;
    StreamId id = 0;
    std::uint32_t number = 0;
};

// --- what the program says to it -----------------------------------------------------------------------------------

TEST(ConnectAttemptPrepare, AsksAndUsesTheAnswer) {
    Bench bench("ws://first.test/", {.bearer_token = "old"}, true);
    EXPECT_EQ(bench.asked(), Lines{"prepare ws://first.test/"});
    EXPECT_EQ(bench.number, 3u);
    EXPECT_EQ(bench.attempt->number(), 3u);
    EXPECT_EQ(bench.attempt->phase(), Phase::prepare);
    bench.attempt->on_prepared(bench.id + 1, {.url = "ws://wrong.test/"}, {}, start);
    bench.attempt->update(start);
    EXPECT_EQ(bench.asked(), Lines{}) << "that is not the answer";
    bench.prepared({.url = "ws://second.test:81/path", .headers = {{"X-Own", "1"}}, .bearer_token = "new"});
    EXPECT_EQ(bench.asked(), Lines{"resolve second.test:81"});
    EXPECT_EQ(bench.attempt->phase(), Phase::resolve);
    EXPECT_EQ(bench.resolved(), Lines{"connect 192.0.2.1"});
    EXPECT_EQ(bench.attempt->phase(), Phase::connect);
    bench.connected();
    EXPECT_EQ(bench.attempt->phase(), Phase::upgrade);
    EXPECT_EQ(bench.attempt->peer(), "second.test:81 (192.0.2.1)");
    const std::string request = bench.sent();
    EXPECT_TRUE(request.starts_with("GET /path HTTP/1.1\r\n")) << request;
    for (const char* part : {"X-Own: 1\r\n", "Authorization: Bearer new\r\n"}) {
        EXPECT_NE(request.find(part), request.npos) << part << " in " << request;
    }
}

TEST(ConnectAttemptPrepare, MistakesInTheAnswerFailIt) {
    const auto failed = [](Attempt answer, Error error = {}) {
        Bench bench("ws://first.test/", {}, true);
        bench.prepared(std::move(answer), std::move(error));
        EXPECT_EQ(bench.attempt->status(), Status::failed);
        EXPECT_EQ(bench.attempt->error().phase, Phase::prepare);
        EXPECT_EQ(bench.asked(), Lines{});
        return bench.attempt->error();
    };
    EXPECT_EQ(failed({.url = "http://host.test/"}), Errc::url_scheme);
    EXPECT_EQ(failed({.url = "ws://host.test/", .headers = {{"a b", "1"}}}), Errc::invalid_header);
    EXPECT_EQ(failed({.url = "wss://host.test/"}), Errc::tls_unavailable);
    EXPECT_EQ(failed({.url = "ws://host.test/"}, Errc::stopped), Errc::stopped) << "the program's own";
}

TEST(ConnectAttemptPrepare, WhatIsAbandonedHasNoAnswer) {
    Bench bench("ws://first.test/", {}, true);
    bench.asked();
    bench.attempt->abandon();
    EXPECT_EQ(bench.asked(), Lines{"close " + std::to_string(bench.id)});
    bench.prepared({.url = "ws://host.test/"});
    EXPECT_EQ(bench.asked(), Lines{});
}

TEST(ConnectAttemptPrepare, CountsTowardsTheDeadline) {
    Config config;
    config.timeouts.attempt = 7s;
    Bench bench("ws://first.test/", config, true);
    bench.asked();
    EXPECT_EQ(bench.attempt->deadline(), start + 7s);
    bench.attempt->on_timeout(start + 7s);
    EXPECT_EQ(bench.attempt->error(), Errc::attempt_timeout);
    EXPECT_EQ(bench.attempt->error().phase, Phase::prepare);
    EXPECT_EQ(bench.attempt->error().elapsed, 7s);
    EXPECT_EQ(bench.asked(), Lines{"close " + std::to_string(bench.id)});
}

// --- proxies that want an address ----------------------------------------------------------------------------------

TEST(ConnectAttemptSocks, TheServersNameIsResolvedHere) {
    Bench bench("ws://host.test:258/", {.proxy = "socks5://proxy.test"});
    EXPECT_EQ(bench.asked(), Lines{"resolve host.test:258"});
    EXPECT_EQ(bench.resolved(), Lines{"resolve proxy.test:1080"});
    EXPECT_EQ(bench.resolved({.port = 1080, .bytes = {192, 0, 2, 9}}), Lines{"connect 192.0.2.9"});
    bench.connected();
    EXPECT_EQ(bench.attempt->phase(), Phase::proxy);
    EXPECT_EQ(bench.attempt->peer(), "host.test:258 through socks5://proxy.test:1080 (192.0.2.9)");
    EXPECT_EQ(bench.sent(), "\x05\x01\x00"s);
    bench.receive("\x05\x00"s);
    EXPECT_EQ(bench.sent(), "\x05\x01\x00\x01\xc0\x00\x02\x01\x01\x02"s) << "the address, not the name";
}

TEST(ConnectAttemptSocks, OnlyANameIsLeftToTheProxy) {
    EXPECT_EQ(Bench("ws://host.test/", {.proxy = "socks5h://proxy.test"}).asked(), Lines{"resolve proxy.test:1080"});
    EXPECT_EQ(Bench("ws://192.0.2.7/", {.proxy = "socks5h://proxy.test"}).asked(), Lines{"resolve 192.0.2.7:80"});
    EXPECT_EQ(Bench("ws://[2001:db8::1]/", {.proxy = "socks5h://proxy.test"}).asked(), Lines{"resolve 2001:db8::1:80"});
    EXPECT_EQ(Bench("ws://192.0.2.7/", {.proxy = "http://proxy.test"}).asked(), Lines{"resolve proxy.test:1080"});
}

TEST(ConnectAttemptSocks, AServerWithoutAnAddress) {
    Bench bench("ws://host.test/", {.proxy = "socks5://proxy.test"});
    bench.asked();
    bench.attempt->on_resolved(bench.id, {}, Errc::host_not_found, start);
    bench.attempt->update(start);
    EXPECT_EQ(bench.attempt->status(), Status::failed);
    EXPECT_EQ(bench.attempt->error(), Errc::host_not_found);
    EXPECT_EQ(bench.attempt->error().phase, Phase::resolve);
    EXPECT_EQ(bench.asked(), Lines{});
}

// --- the rest ------------------------------------------------------------------------------------------------------

TEST(ConnectAttemptUnix, ThePathStandsForTheAddress) {
    Config config;
    config.socket.unix_path = "/run/tern.sock";
    Bench refused("ws://host.test/", config);
    refused.asked();
    refused.resolved(Address{});
    refused.connected(Error(Errc::connection_refused, Phase::none, "nobody listens"));
    EXPECT_EQ(refused.attempt->error(), Errc::connection_refused);
    EXPECT_EQ(refused.attempt->error().detail, "/run/tern.sock: nobody listens");

    Bench open("ws://host.test/", config);
    open.asked();
    open.resolved(Address{});
    open.connected();
    EXPECT_EQ(open.attempt->peer(), "host.test:80 (/run/tern.sock)");
    EXPECT_EQ(open.attempt->link().peer, open.attempt->peer());
}

TEST(ConnectAttemptRedirect, ToTlsThatIsNotThere) {
    Bench bench("ws://host.test/");
    bench.asked();
    bench.resolved();
    bench.connected();
    static_cast<void>(bench.sent());
    bench.receive("HTTP/1.1 302 Found\r\nLocation: wss://secure.test/\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(bench.attempt->status(), Status::failed);
    EXPECT_EQ(bench.attempt->error(), Errc::tls_unavailable);
    EXPECT_EQ(bench.attempt->error().phase, Phase::upgrade);
    EXPECT_EQ(bench.attempt->error().response.status, 302);
    EXPECT_FALSE(bench.attempt->take_redirect());
    EXPECT_EQ(bench.asked(), Lines{"close " + std::to_string(bench.id)});
}

/// Which origin is the user's is a matter of where the attempt began, however often it was sent on.
TEST(ConnectAttemptRedirect, OnlyTheFirstOriginGetsTheCredentials) {
    Bench bench("ws://host.test/", {.bearer_token = "secret"});
    const auto request_after = [&](const std::string& host) {
        EXPECT_EQ(bench.asked().back(), "resolve " + host + ":80");
        bench.resolved();
        bench.connected();
        return bench.sent();
    };
    const auto redirect = [&](const std::string& location) {
        bench.receive("HTTP/1.1 302 Found\r\nLocation: " + location + "\r\nContent-Length: 0\r\n\r\n");
        EXPECT_EQ(bench.attempt->take_redirect().response.status, 302);
    };
    EXPECT_NE(request_after("host.test").find("Authorization: Bearer secret\r\n"), std::string::npos);
    redirect("ws://other.test/");
    EXPECT_EQ(request_after("other.test").find("Authorization"), std::string::npos);
    redirect("/elsewhere");
    EXPECT_EQ(request_after("other.test").find("Authorization"), std::string::npos);
    redirect("ws://host.test/again");
    EXPECT_NE(request_after("host.test").find("Authorization: Bearer secret\r\n"), std::string::npos);
}

TEST(ConnectAttemptMemory, ALackOfItEndsTheHandshake) {
    CountingPool pool;
    Bench bench("ws://host.test/", {}, false, &pool);
    bench.asked();
    bench.resolved();
    bench.connected();
    pool.blocks_left = 0;
    EXPECT_TRUE(bench.attempt->link().connection->rx_space().empty());
    bench.attempt->update(start);
    EXPECT_EQ(bench.attempt->status(), Status::failed);
    EXPECT_EQ(bench.attempt->error(), Errc::out_of_memory);
    EXPECT_EQ(bench.asked(), Lines{"close " + std::to_string(bench.id)});
}

}  // namespace
}  // namespace tern::core
