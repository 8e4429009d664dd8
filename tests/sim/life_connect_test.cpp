// From the start to the open connection, and everything that prevents it.
#include "life.hpp"

namespace tern::sim {
namespace {

using Accept = Behaviour::Accept;

Behaviour accepting(Accept accept) {
    Behaviour behaviour = quiet();
    behaviour.accept = accept;
    return behaviour;
}

/// Long limits, so that only the one that a test sets can strike.
Config patient() {
    return no_reconnect({.timeouts = {.resolve = 600s, .connect = 600s, .upgrade = 600s, .attempt = 600s}});
}

void expect_failure_after(Life& life, Duration time, Errc errc, Phase phase) {
    const TimePoint begin = life.world.now();
    ASSERT_FALSE(life.client.start());
    ASSERT_TRUE(life.until_end(3600s)) << life.log();
    EXPECT_EQ(life.client.log.back().kind, Kind::failed);
    EXPECT_EQ(life.error(), errc) << life.error().message();
    EXPECT_EQ(life.error().phase, phase) << life.error().message();
    EXPECT_EQ(life.client.log.back().at - begin, time) << life.log();
    EXPECT_NE(life.error().peer.find("host"), std::string::npos);
}

TEST(SimTimeout, Resolve) {
    Config config = patient();
    config.timeouts.resolve = 1234ms;
    Life life(quiet(), config);
    life.world.dns("host").silent = true;
    expect_failure_after(life, 1234ms, Errc::resolve_timeout, Phase::resolve);
}

TEST(SimTimeout, Connect) {
    Config config = patient();
    config.timeouts.connect = 1234ms;
    Life life(accepting(Accept::black_hole), config);
    expect_failure_after(life, 5ms + 1234ms, Errc::connect_timeout, Phase::connect);
}

TEST(SimTimeout, Upgrade) {
    Config config = patient();
    config.timeouts.upgrade = 1234ms;
    Life life({}, config);
    expect_failure_after(life, 25ms + 1234ms, Errc::upgrade_timeout, Phase::upgrade);
    EXPECT_TRUE(life.peer().eof);
}

TEST(SimTimeout, UpgradeDripping) {
    Config config = patient();
    config.timeouts.upgrade = 1234ms;
    Behaviour behaviour;
    behaviour.on_request = [](Peer& peer) {
        for (std::size_t i = 0; i < 20; ++i) {
            const std::string byte = peer.response().substr(i, 1);
            peer.schedule().after(i * 100ms, [&peer, byte] { peer.write(byte); });
        }
    };
    Life life(behaviour, config);
    expect_failure_after(life, 25ms + 1234ms, Errc::upgrade_timeout, Phase::upgrade);
}

TEST(SimTimeout, AttemptInEachPhase) {
    Config config = patient();
    config.timeouts.attempt = 1234ms;
    Life resolving(quiet(), config);
    resolving.world.dns("host").silent = true;
    expect_failure_after(resolving, 1234ms, Errc::attempt_timeout, Phase::resolve);
    Life connecting(accepting(Accept::black_hole), config);
    expect_failure_after(connecting, 1234ms, Errc::attempt_timeout, Phase::connect);
    Life upgrading({}, config);
    expect_failure_after(upgrading, 1234ms, Errc::attempt_timeout, Phase::upgrade);
}

TEST(SimTimeout, TheAttemptsDeadlineEndsWithTheOpenConnection) {
    Config config = patient();
    config.timeouts.attempt = config.timeouts.upgrade = 100ms;
    Life life(echo(), config);
    ASSERT_TRUE(life.open());
    life.world.run_for(600s);
    EXPECT_EQ(life.client.state(), State::open);
}

TEST(SimTimeout, EachAttemptHasItsOwn) {
    Config config = patient();
    config.timeouts.attempt = 1s;
    config.reconnect = {.min_delay = 500ms, .max_delay = 500ms, .max_attempts = 3};
    Life life(accepting(Accept::black_hole), config);
    expect_failure_after(life, 4s, Errc::attempt_timeout, Phase::connect);
    EXPECT_EQ(life.client.count(Kind::connecting), 3u);
}

// --- names ---------------------------------------------------------------------------------------------------------

TEST(SimResolve, ErrorsAreReported) {
    for (const Errc errc : {Errc::host_not_found, Errc::resolver_unavailable, Errc::resolver_error}) {
        Life life(quiet(), patient());
        life.world.dns("host").error = Error(errc);
        expect_failure_after(life, 5ms, errc, Phase::resolve);
    }
}

TEST(SimResolve, NoAddresses) {
    Life life(quiet(), patient());
    life.world.dns("host").addresses.clear();
    expect_failure_after(life, 5ms, Errc::host_not_found, Phase::resolve);
}

TEST(SimResolve, ALateAnswerDoesNothing) {
    Config config = no_reconnect({.timeouts = {.resolve = 100ms}});
    config.reconnect = {.min_delay = 10ms, .max_delay = 10ms};
    Life life(quiet(), config);
    life.world.dns("host").delay = 150ms;
    ASSERT_FALSE(life.client.start());
    life.world.run_for(120ms);
    EXPECT_EQ(life.client.count(Kind::connecting), 2u);
    life.world.dns("host").delay = 5ms;
    ASSERT_TRUE(life.until(Kind::open, 1s)) << life.log();
    life.world.run_for(10s);
    EXPECT_EQ(life.server.attempts.size(), 1u);
}

TEST(SimResolve, ALiteralAddressNeedsNoName) {
    CheckedWorld world;
    world.server("192.0.2.7", 9001, quiet());
    Server& six = world.server("2001:db8::7", 80, quiet());
    Client& client = world.client({.url = "ws://192.0.2.7:9001/"});
    ASSERT_FALSE(client.start());
    EXPECT_TRUE(world.run_until([&] { return client.state() == State::open; }, 1s));
    Client& other = world.client({.url = "ws://[2001:db8::7]/"});
    ASSERT_FALSE(other.start());
    EXPECT_TRUE(world.run_until([&] { return other.state() == State::open; }, 1s)) << describe(other.log);
    EXPECT_EQ(six.last().request.header("Host"), "[2001:db8::7]");
}

// --- addresses -----------------------------------------------------------------------------------------------------

TEST(SimConnect, Refused) {
    Life life(accepting(Accept::refuse), patient());
    expect_failure_after(life, 25ms, Errc::connection_refused, Phase::connect);
    EXPECT_NE(life.error().message().find("192.0.2.1"), std::string::npos) << life.error().message();
}

TEST(SimConnect, Unreachable) {
    Life life(accepting(Accept::unreachable), patient());
    expect_failure_after(life, 25ms, Errc::host_unreachable, Phase::connect);
}

TEST(SimConnect, TheSecondAddressIsUsedWhenTheFirstIsRefused) {
    Life life(accepting(Accept::refuse), patient());
    Server& second = life.world.server("192.0.2.2", 80, quiet());
    life.world.dns("host", {"192.0.2.1", "192.0.2.2"});
    ASSERT_TRUE(life.open(65ms)) << life.log();
    EXPECT_EQ(second.peers.size(), 1u);
    EXPECT_NE(life.client.find(Kind::open)->handshake.peer.find("192.0.2.2"), std::string::npos);
}

TEST(SimConnect, AllAddressesRefusedAreAllNamed) {
    Life life(accepting(Accept::refuse), patient());
    life.world.server("192.0.2.2", 80, accepting(Accept::unreachable));
    life.world.dns("host", {"192.0.2.1", "192.0.2.2", "2001:db8::1"});
    ASSERT_FALSE(life.client.start());
    ASSERT_TRUE(life.until_end());
    const std::string text = life.error().message();
    EXPECT_EQ(life.error(), Errc::connection_refused);
    for (const char* where : {"192.0.2.1", "192.0.2.2", "2001:db8::1"}) {
        EXPECT_NE(text.find(where), std::string::npos) << text;
    }
}

TEST(SimConnect, ABlackHoleDoesNotHoldUpTheSecondAddress) {
    Life life(accepting(Accept::black_hole), patient());
    life.world.server("192.0.2.2", 80, quiet());
    life.world.dns("host", {"192.0.2.1", "192.0.2.2"});
    // RFC 8305 section 5: the next attempt begins after 250 ms.
    ASSERT_TRUE(life.open(5ms + 250ms + 40ms)) << life.log();
    life.world.run_for(700s);
    EXPECT_EQ(life.client.state(), State::open);
    EXPECT_EQ(life.client.open_ids(), 1u);
}

TEST(SimConnect, TheFasterOfTwoWinsAndTheOtherIsGivenUp) {
    Behaviour slow = quiet();
    slow.up.delay = slow.down.delay = 400ms;
    Life life(slow, patient());
    life.world.server("2001:db8::1", 80, quiet());
    life.world.dns("host", {"192.0.2.1", "2001:db8::1"});
    ASSERT_TRUE(life.open(300ms));
    life.world.run_for(10s);
    EXPECT_EQ(life.client.open_ids(), 1u);
    ASSERT_EQ(life.server.peers.size(), 1u);
    EXPECT_FALSE(life.peer().requested);
    EXPECT_TRUE(life.peer().eof);
}

// --- the answer to the upgrade -------------------------------------------------------------------------------------

struct Answer {
    const char* name;
    std::function<std::string(Peer&)> make;
    Errc errc;
    bool retried;
};

std::string without(std::string text, const std::string& line) {
    const std::size_t at = text.find(line);
    EXPECT_NE(at, std::string::npos) << line;
    return text.erase(at, text.find("\r\n", at) + 2 - at);
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    EXPECT_NE(text.find(from), std::string::npos) << from;
    return text.replace(text.find(from), from.size(), to);
}

const Answer answers[] = {
    {"not_found", [](Peer&) { return "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope"; },
     Errc::upgrade_refused, false},
    {"unavailable", [](Peer&) { return "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"; }, Errc::upgrade_refused,
     true},
    {"old_http", [](Peer& p) { return replaced(p.response(), "HTTP/1.1", "HTTP/1.0"); }, Errc::response_version, false},
    {"no_colon", [](Peer& p) { return replaced(p.response(), "X-Peer: ", "X-Peer "); }, Errc::response_malformed,
     false},
    {"no_upgrade", [](Peer& p) { return without(p.response(), "Upgrade: "); }, Errc::upgrade_header, false},
    {"other_upgrade", [](Peer& p) { return replaced(p.response(), "websocket", "h2c"); }, Errc::upgrade_header, false},
    {"no_connection", [](Peer& p) { return without(p.response(), "Connection: "); }, Errc::connection_header, false},
    {"no_accept", [](Peer& p) { return without(p.response(), "Sec-WebSocket-Accept: "); }, Errc::accept_missing, false},
    {"wrong_accept",
     [](Peer& p) { return replaced(p.response(), accept_key(p.request.header("Sec-WebSocket-Key")), accept_key("?")); },
     Errc::accept_mismatch, false},
    {"two_accepts",
     [](Peer& p) {
         return p.response("Sec-WebSocket-Accept: " + accept_key(p.request.header("Sec-WebSocket-Key")) + "\r\n");
     },
     Errc::duplicate_header, false},
    {"extension", [](Peer& p) { return p.response("Sec-WebSocket-Extensions: permessage-bzip2\r\n"); },
     Errc::extension_not_offered, false},
    {"subprotocol", [](Peer& p) { return p.response("Sec-WebSocket-Protocol: chat\r\n"); },
     Errc::subprotocol_not_offered, false},
    {"huge_head", [](Peer& p) { return p.response("X-Long: " + std::string(100'000, 'x') + "\r\n"); },
     Errc::response_head_too_large, false},
    {"endless_head", [](Peer&) { return "HTTP/1.1 101 Switching Protocols\r\nX-Long: " + std::string(200'000, 'x'); },
     Errc::response_head_too_large, false},
    {"many_fields",
     [](Peer& p) {
         std::string lines;
         for (int i = 0; i < 200; ++i) lines += "X-" + std::to_string(i) + ": 1\r\n";
         return p.response(lines);
     },
     Errc::response_too_many_fields, false},
};

class SimAnswer : public ::testing::TestWithParam<Answer> {};

TEST_P(SimAnswer, IsRefused) {
    Behaviour behaviour;
    behaviour.on_request = [](Peer& peer) { peer.write(GetParam().make(peer)); };
    behaviour.on_eof = [](Peer& peer) { peer.finish(); };
    Life life(behaviour, {.reconnect = {.max_attempts = 2}});
    ASSERT_FALSE(life.client.start());
    ASSERT_TRUE(life.until_end()) << life.log();
    EXPECT_EQ(life.error(), GetParam().errc) << life.error().message();
    EXPECT_EQ(life.error().phase, Phase::upgrade);
    EXPECT_EQ(life.client.log.back().kind, Kind::failed);
    EXPECT_EQ(life.client.count(Kind::connecting), GetParam().retried ? 2u : 1u);
    EXPECT_TRUE(life.peer().eof || life.peer().was_reset);
    EXPECT_EQ(life.client.count(Kind::open), 0u);
}

INSTANTIATE_TEST_SUITE_P(Answers, SimAnswer, ::testing::ValuesIn(answers),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(SimUpgrade, ARefusalIsShownWithItsBody) {
    Life life(answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\nX-Why: no token\r\n\r\nno token!rest"),
              no_reconnect());
    ASSERT_FALSE(life.client.start());
    ASSERT_TRUE(life.until_end());
    const Response& response = life.error().response;
    EXPECT_EQ(response.status, 403);
    EXPECT_EQ(response.reason, "Forbidden");
    EXPECT_EQ(response.header("x-why"), "no token");
    EXPECT_EQ(response.body, "no token!");
}

TEST(SimUpgrade, EndOfStreamBeforeTheAnswer) {
    for (const std::size_t size : {0u, 1u, 20u, 100u}) {
        Behaviour behaviour;
        behaviour.on_request = [size](Peer& peer) {
            peer.write(peer.response().substr(0, size));
            peer.finish();
        };
        Life life(behaviour, {.reconnect = {.max_attempts = 2}});
        ASSERT_FALSE(life.client.start());
        ASSERT_TRUE(life.until_end());
        EXPECT_EQ(life.error(), Errc::upgrade_eof) << size;
        EXPECT_EQ(life.client.count(Kind::connecting), 2u);
    }
}

TEST(SimUpgrade, ResetBeforeTheAnswer) {
    Behaviour behaviour;
    behaviour.on_request = [](Peer& peer) { peer.reset(); };
    Life life(behaviour, {.reconnect = {.max_attempts = 2}});
    ASSERT_FALSE(life.client.start());
    ASSERT_TRUE(life.until_end());
    EXPECT_EQ(life.error(), Errc::connection_reset);
    EXPECT_EQ(life.error().phase, Phase::upgrade);
    EXPECT_EQ(life.client.count(Kind::connecting), 2u);
}

TEST(SimUpgrade, AnySubprotocolIfTheUserWantsIt) {
    Behaviour behaviour = quiet();
    behaviour.on_request = [](Peer& peer) { peer.upgrade("Sec-WebSocket-Protocol: chat\r\n"); };
    Life life(behaviour, {.accept_any_subprotocol = true});
    ASSERT_TRUE(life.open()) << life.log();
    EXPECT_EQ(life.client.find(Kind::open)->handshake.subprotocol, "chat");
}

// --- start ---------------------------------------------------------------------------------------------------------

TEST(SimStart, ErrorsOfUrlAndConfigurationStartNothing) {
    const std::pair<Config, Errc> errors[] = {
        {{.url = ""}, Errc::url_empty},
        {{.url = "http://host/"}, Errc::url_scheme},
        {{.url = "wss://host/"}, Errc::tls_unavailable},
        {{.url = "ws://host/#x"}, Errc::url_fragment},
        {{.url = "ws://host:0/"}, Errc::url_port},
        {{.url = "ws://ho st/"}, Errc::url_space},
        {{.url = "ws://host/\r\nX: y"}, Errc::url_control_character},
        {{.url = "ws:///path"}, Errc::url_host},
        {{.url = "ws://host/", .subprotocols = {"a b"}}, Errc::invalid_subprotocol},
        {{.url = "ws://host/", .headers = {{"X", "a\r\nb"}}}, Errc::invalid_header},
        {{.url = "ws://host/", .headers = {{"Host", "other"}}}, Errc::reserved_header},
        {{.url = "ws://host/", .receive_buffer = 1}, Errc::invalid_config},
        {{.url = "ws://host/", .timeouts = {.close = 0ms}}, Errc::invalid_config},
        {{.url = "ws://host/", .reconnect = {.max_delay = 1ms}}, Errc::invalid_config},
    };
    for (const auto& [config, errc] : errors) {
        CheckedWorld world;
        Client& client = world.client(config);
        EXPECT_EQ(client.start(), errc) << config.url;
        EXPECT_EQ(client.state(), State::idle);
        world.run_for(60s);
        EXPECT_TRUE(client.log.empty());
        EXPECT_EQ(client.send_text("x"), Errc::not_connected);
    }
}

TEST(SimStart, OnceMakesTheFirstFailureFinal) {
    Life life(accepting(Accept::refuse));
    ASSERT_FALSE(life.client.start(StartMode::once));
    ASSERT_TRUE(life.until_end());
    EXPECT_EQ(life.client.count(Kind::connecting), 1u);
    EXPECT_EQ(life.error(), Errc::connection_refused);
}

TEST(SimStart, OnceReconnectsAfterTheConnectionWasOpen) {
    Life life(quiet(), {.reconnect = {.min_delay = 10ms, .max_delay = 10ms}});
    ASSERT_FALSE(life.client.start(StartMode::once));
    ASSERT_TRUE(life.until(Kind::open));
    life.peer().reset();
    life.server.behaviour.accept = Accept::refuse;
    ASSERT_TRUE(life.until(Kind::connecting, 60s, 4));
    life.server.behaviour.accept = Accept::yes;
    EXPECT_TRUE(life.until(Kind::open, 10s, 2));
}

TEST(SimStart, WithoutEntropyThereIsNoAttemptUntilThereIsSome) {
    Life life(quiet(), {.reconnect = {.min_delay = 100ms, .max_delay = 100ms}});
    life.client.crypto.broken = true;
    ASSERT_FALSE(life.client.start());
    ASSERT_TRUE(life.until(Kind::reconnecting));
    EXPECT_EQ(life.error(), Errc::no_entropy);
    life.client.crypto.broken = false;
    EXPECT_TRUE(life.until(Kind::open, 1s));
}

}  // namespace
}  // namespace tern::sim
