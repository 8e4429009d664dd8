// Attempts that the program prepares: fresh URLs, headers and credentials, at once or later.
#include "life.hpp"

namespace tern::sim {
namespace {

const Attempt fresh{.url = "ws://host/fresh", .bearer_token = "token"};

/// Each attempt is prepared like this, after so long.
struct PreparedLife : Life {
    explicit PreparedLife(Attempt attempt, Duration after = 10ms, Config config = {}, Error error = {})
        : Life(quiet(), std::move(config)) {
        client.on_prepare = [this, attempt, after, error](StreamId id, std::uint32_t number) {
            asked.push_back(number);
            world.after(after, [this, id, attempt, error] { client.prepared(id, attempt, error); });
        };
    }
    std::vector<std::uint32_t> asked;
};

TEST(SimPrepare, TheAttemptUsesTheAnswer) {
    PreparedLife life(fresh);
    ASSERT_TRUE(life.open()) << life.log();
    const std::string& request = life.client.find(Kind::open)->handshake.request;
    EXPECT_NE(request.find("GET /fresh HTTP/1.1"), std::string::npos) << request;
    EXPECT_NE(request.find("Authorization: Bearer token"), std::string::npos) << request;
    EXPECT_EQ(life.client.stats().phases.prepare, 10ms);
    EXPECT_EQ(life.client.stats().phases.resolve, 5ms);
}

TEST(SimPrepare, EachAttemptIsAskedForAnew) {
    PreparedLife life(fresh, 10ms, {.reconnect = {.min_delay = 100ms, .max_delay = 100ms}});
    life.server.behaviour.accept = Behaviour::Accept::refuse;
    ASSERT_FALSE(life.client.start());
    ASSERT_TRUE(life.until(Kind::reconnecting, 10s, 2));
    life.server.behaviour.accept = Behaviour::Accept::yes;
    ASSERT_TRUE(life.until(Kind::open));
    life.peer().reset();
    ASSERT_TRUE(life.until(Kind::open, 10s, 2));
    EXPECT_EQ(life.asked, (std::vector<std::uint32_t>{1, 2, 3, 4}));
}

TEST(SimPrepare, ARedirectDoesNotAskAgain) {
    PreparedLife life(fresh);
    life.server.behaviour.on_request = [](Peer& peer) {
        if (peer.request.target != "/fresh") return peer.upgrade();
        peer.write("HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n");
    };
    ASSERT_TRUE(life.open()) << life.log();
    EXPECT_EQ(life.asked.size(), 1u);
}

TEST(SimPrepare, NoAnswerMeetsTheDeadlineOfTheAttempt) {
    Config config = no_reconnect();
    config.timeouts.attempt = 1234ms;
    PreparedLife life(fresh, 3000ms, config);
    ASSERT_FALSE(life.client.start());
    ASSERT_TRUE(life.until_end()) << life.log();
    EXPECT_EQ(life.error(), Errc::attempt_timeout);
    EXPECT_EQ(life.error().phase, Phase::prepare);
    EXPECT_EQ(life.error().elapsed, 1234ms);
}

TEST(SimPrepare, TheProgramCanFailTheAttempt) {
    PreparedLife life({}, 10ms, {.reconnect = {.min_delay = 100ms, .max_delay = 100ms, .max_attempts = 3}},
                      Error(Errc::prepare_failed, Phase::prepare, "no token"));
    ASSERT_FALSE(life.client.start());
    ASSERT_TRUE(life.until_end()) << life.log();
    EXPECT_EQ(life.asked.size(), 3u) << "the next attempt may find a token";
    EXPECT_EQ(life.error(), Errc::prepare_failed);
    EXPECT_EQ(life.error().detail, "no token; given up after 3 attempts");
}

TEST(SimPrepare, AnAnswerThatCannotBeUsedIsFinal) {
    const std::pair<Attempt, Errc> answers[] = {
        {{.url = ""}, Errc::url_empty},
        {{.url = "http://host/"}, Errc::url_scheme},
        {{.url = "wss://host/"}, Errc::tls_unavailable},
        {{.url = "ws://host/", .headers = {{"X", "a\r\nb"}}}, Errc::invalid_header},
    };
    for (const auto& [answer, errc] : answers) {
        PreparedLife life(answer);
        ASSERT_FALSE(life.client.start());
        ASSERT_TRUE(life.until_end()) << life.log();
        EXPECT_EQ(life.error(), errc) << life.error().message();
        EXPECT_EQ(life.error().phase, Phase::prepare);
    }
}

TEST(SimPrepare, TheConfiguredUrlMayBeEmptyButNotWrong) {
    CheckedWorld world;
    Client& client = world.client({});
    EXPECT_EQ(client.start(), Errc::url_empty);
    client.on_prepare = [](StreamId, std::uint32_t) {};
    EXPECT_FALSE(client.start());
    client.stop();
    Client& wrong = world.client({.url = "http://host/"});
    wrong.on_prepare = [](StreamId, std::uint32_t) {};
    EXPECT_EQ(wrong.start(), Errc::url_scheme);
}

TEST(SimPrepare, StopAndCloseEndTheAsking) {
    for (const bool stop : {false, true}) {
        PreparedLife life(fresh, 1s);
        ASSERT_FALSE(life.client.start());
        life.world.run_for(100ms);
        if (stop) {
            life.client.stop();
        } else {
            EXPECT_FALSE(life.client.close());
        }
        EXPECT_EQ(life.client.state(), State::idle) << "at once";
        ASSERT_TRUE(life.until_end()) << life.log();
        EXPECT_EQ(life.error(), stop ? Errc::stopped : Errc::closed_locally);
    }
}

}  // namespace
}  // namespace tern::sim
