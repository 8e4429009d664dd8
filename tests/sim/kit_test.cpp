// The test kit as its users see it: public headers only.
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tern/testing/world.hpp>

namespace tern::testing {
namespace {

using namespace std::chrono_literals;

const Config usual{.url = "ws://example.test/feed"};

TEST(Kit, AnEcho) {
    World world;
    Server& server = world.server("example.test", 80, echo());
    Client client(world, usual);
    std::vector<std::string> received;
    client.on_open([&](const Handshake&) { client.send_text("hello"); });
    client.on_message([&](MessageView message) { received.emplace_back(message.text()); });
    EXPECT_FALSE(client.start());
    EXPECT_TRUE(client.on_message(nullptr)) << "too late";
    EXPECT_TRUE(world.run_until([&] { return !received.empty(); }, 1s));
    EXPECT_EQ(received.at(0), "hello");
    EXPECT_EQ(server.last().target(), "/feed");
    EXPECT_EQ(server.last().messages(), std::vector<std::string>{"hello"});
    client.stop();
    EXPECT_EQ(client.state(), State::idle);
    EXPECT_EQ(server.last().close_code(), CloseCode::going_away);
    EXPECT_EQ(world.report(), "");
}

TEST(Kit, ConnectWaitsInVirtualTime) {
    World world;
    Server& server = world.server("example.test", 80);
    server.accept(Server::Accept::black_hole);
    Client client(world, usual);
    const TimePoint begin = world.now();
    EXPECT_EQ(client.connect(), Errc::connect_timeout);
    EXPECT_GE(world.now() - begin, 10s);
    server.accept(Server::Accept::yes);
    EXPECT_FALSE(client.connect());
    EXPECT_EQ(client.state(), State::open);
}

TEST(Kit, AScript) {
    World world;
    int requests = 0;
    Server& server = world.server("example.test", 80, {.on_request = [&](Connection connection) {
                                      if (++requests == 1) {
                                          connection.refuse(503, {{"Retry-After", "20"}}, "busy");
                                          return connection.finish();
                                      }
                                      connection.accept({{"X-Server", "b"}});
                                      connection.send_text("welcome");
                                  }});
    Client client(world, usual);
    std::vector<std::string> story;
    client.on_error([&](const Error& error, bool) { story.push_back(std::to_string(error.response.status)); });
    client.on_open([&](const Handshake& handshake) { story.emplace_back(handshake.response.header("x-server")); });
    client.on_message([&](MessageView message) { story.emplace_back(message.text()); });
    client.on_close([&](const CloseInfo& info) { story.push_back(info.reason); });
    EXPECT_FALSE(client.start());
    world.run_for(15s);
    EXPECT_EQ(story, (std::vector<std::string>{"503"}));
    world.run_for(15s);
    server.last().close(CloseCode::normal, "enough");
    world.run_for(1s);
    EXPECT_EQ(story, (std::vector<std::string>{"503", "b", "welcome", "enough", "0"})) << "no status behind it";
    EXPECT_EQ(world.report(), "");
}

TEST(Kit, HandlersMayThrowAndEndTheClient) {
    World world;
    Server& server = world.server("example.test", 80, echo());
    auto client = std::make_unique<Client>(world, usual);
    std::string error;
    client->on_error([&](const Error& why, bool) { error = why.detail; });
    client->on_message([&](MessageView message) {
        if (message.text() == "throw") throw std::runtime_error("thrown");
        client.reset();
    });
    EXPECT_FALSE(client->connect());
    EXPECT_FALSE(client->send_text("throw"));
    world.run_for(1s);
    EXPECT_EQ(error, "thrown");
    EXPECT_FALSE(client->send_text("end"));
    world.run_for(1s);
    EXPECT_EQ(client, nullptr);
    EXPECT_FALSE(server.last().open());
}

TEST(Kit, AttemptsArePrepared) {
    World world;
    Server& server = world.server("example.test", 80);
    Client client(world, usual);
    int tokens = 0;
    client.before_attempt([&](Attempt& attempt) { attempt.bearer_token = "token" + std::to_string(++tokens); });
    EXPECT_FALSE(client.connect());
    EXPECT_FALSE(client.refresh());
    world.run_for(1s);
    EXPECT_EQ(server.last().header("authorization"), "Bearer token2");
}

TEST(Kit, AStormIsTheSameFromTheSameSeedAndPasses) {
    const auto live = [](std::uint64_t seed) {
        World world(seed);
        Server& server = world.server("example.test", 80, echo());
        Client client(world, usual);
        std::string story;
        client.on_event([&](const Event& event) { story += std::string(event_name(event.kind)) + "\n"; });
        EXPECT_FALSE(client.start());
        world.storm({}, 60s);
        world.run_for(61s);
        EXPECT_GT(server.attempts().size(), 3u);
        EXPECT_TRUE(world.run_until([&] { return client.state() == State::open; }, 120s));
        EXPECT_EQ(world.report(), "");
        return story;
    };
    EXPECT_EQ(live(1), live(1));
    EXPECT_NE(live(1), live(2));
}

}  // namespace
}  // namespace tern::testing
