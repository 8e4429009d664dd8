// Servers that stop, dawdle or vanish, at every point of a life. Nothing may hang past its deadline. The cases only
// wait, so they wait side by side.
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "scripted_server.hpp"
#include "watched_client.hpp"

namespace tern::interop {
namespace {

using namespace std::chrono_literals;

/// Runs one client for each server, all at once.
struct Case {
    std::string name;
    std::unique_ptr<ScriptedServer> server;
    std::unique_ptr<WatchedClient> client;

    Case(std::string title, Config config, std::function<void(Peer&)> script)
        : name(std::move(title)), server(std::make_unique<ScriptedServer>(std::move(script))) {
        config.url = server->url();
        client = std::make_unique<WatchedClient>(std::move(config));
    }
};

void expect_end(Case& one, Errc expected) {
    ASSERT_TRUE(one.client->wait_for_end()) << one.name << " hangs";
    const Error error = one.client->error();
    EXPECT_EQ(error.code, make_error_code(expected)) << one.name << ": " << error.message();
    EXPECT_NE(error.message().find(one.server->name()), std::string::npos) << error.message();
    EXPECT_EQ(error.message().find(std::string(phase_name(error.phase)) + " with"), 0u) << error.message();
}

Config with_keepalive(Config config) {
    config.keepalive = {.interval = 200ms, .pong_timeout = 200ms};
    return config;
}

enum class Ending { stall, fin, reset };

void end(Peer& peer, Ending ending) {
    if (ending == Ending::stall) peer.hold();
    if (ending == Ending::reset) peer.reset();
}

/// Sends the first `size` bytes of a right answer to the upgrade, and then nothing, or FIN, or a reset.
void handshake_cut_everywhere(Ending ending) {
    const std::size_t whole = Peer::accept("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==").size();
    std::vector<Case> cases;
    for (std::size_t size = 0; size < whole; ++size) {
        const Config config = ending == Ending::stall ? impatient_config("") : patient_config("");
        cases.emplace_back(std::to_string(size) + " bytes", config, [size, ending](Peer& peer) {
            const std::string request = peer.read_request();
            peer.send(Peer::accept(request).substr(0, size));
            end(peer, ending);
        });
    }
    for (Case& one : cases) {
        ASSERT_TRUE(one.client->wait_for_end()) << one.name << " hangs";
        const Error error = one.client->error();
        const bool right = ending == Ending::stall ? error == Errc::upgrade_timeout
                           : ending == Ending::fin ? error == Errc::upgrade_eof
                                                   : error == Errc::connection_reset || error == Errc::upgrade_eof;
        EXPECT_TRUE(right) << one.name << ": " << error.message();
        EXPECT_EQ(error.phase, Phase::upgrade) << error.message();
        EXPECT_FALSE(one.client->closed());
    }
}

TEST(Stall, AtEveryByteOfTheHandshake) { handshake_cut_everywhere(Ending::stall); }
TEST(Drop, AtEveryByteOfTheHandshakeByFin) { handshake_cut_everywhere(Ending::fin); }
TEST(Drop, AtEveryByteOfTheHandshakeByReset) { handshake_cut_everywhere(Ending::reset); }

/// The same in the bytes of two frames, with keepalive against silence.
void frames_cut_everywhere(Ending ending) {
    const std::string bytes = frame(1, "hello") + frame(2, std::string(130, 'x'));
    std::vector<Case> cases;
    for (std::size_t size = 0; size < bytes.size(); size += size < 16 ? 1 : 9) {
        const Config config = ending == Ending::stall ? with_keepalive(patient_config("")) : patient_config("");
        cases.emplace_back(std::to_string(size) + " bytes", config, [=](Peer& peer) {
            if (!peer.upgrade()) return;
            peer.send(std::string_view(bytes).substr(0, size));
            end(peer, ending);
        });
    }
    for (Case& one : cases) {
        ASSERT_TRUE(one.client->wait_for_end()) << one.name << " hangs";
        const Error error = one.client->error();
        const bool right = ending == Ending::stall ? error == Errc::pong_timeout
                           : ending == Ending::fin ? error == Errc::connection_lost
                                                   : error == Errc::connection_reset || error == Errc::connection_lost;
        // A reset may even overtake the answer to the upgrade.
        EXPECT_TRUE(right || (ending == Ending::reset && !one.client->closed())) << one.name << ": " << error.message();
        if (one.client->closed()) {
            EXPECT_EQ(one.client->close().code, CloseCode::abnormal);
        }
    }
}

TEST(Stall, AtEveryByteOfAFrame) { frames_cut_everywhere(Ending::stall); }
TEST(Drop, AtEveryByteOfAFrameByFin) { frames_cut_everywhere(Ending::fin); }
TEST(Drop, AtEveryByteOfAFrameByReset) { frames_cut_everywhere(Ending::reset); }

TEST(Drop, RightAfterTheConnectionWasAccepted) {
    Case one("accept", patient_config(""), [](Peer&) {});
    ASSERT_TRUE(one.client->wait_for_end());
    EXPECT_TRUE(one.client->error() == Errc::upgrade_eof || one.client->error() == Errc::connection_reset)
        << one.client->error().message();
}

TEST(Drop, AfterACloseFrameIsStillAnOrderlyEnd) {
    Case one("close", short_config(""), [](Peer& peer) {
        peer.upgrade();
        peer.send(close_frame(1001));
        peer.read_frame();
    });
    expect_end(one, Errc::closed_by_peer);
    EXPECT_EQ(one.client->close().code, CloseCode::going_away);
    EXPECT_TRUE(one.client->close().by_peer);
}

TEST(Trickle, OneByteAtATimeDoesNotExtendTheUpgradeDeadline) {
    Case one("trickle", impatient_config(""), [](Peer& peer) {
        const std::string answer = Peer::accept(peer.read_request(), "X-Long: " + std::string(5000, 'x') + "\r\n");
        for (const char byte : answer) {
            if (!peer.send({&byte, 1})) return;
            std::this_thread::sleep_for(10ms);
        }
    });
    expect_end(one, Errc::upgrade_timeout);
}

TEST(Trickle, OneByteAtATimeIsAWorkingConnection) {
    Case one("trickle", with_keepalive(patient_config("")), [](Peer& peer) {
        if (!peer.upgrade()) return;
        for (const char byte : frame(1, std::string(60, 'x'))) {
            if (!peer.send({&byte, 1})) return;
            std::this_thread::sleep_for(20ms);
        }
        peer.drain();
    });
    EXPECT_TRUE(one.client->wait_for_messages(1)) << one.client->error().message();
}

TEST(Silence, InTheMiddleOfALargeFrameIsNoticed) {
    Case one("silence", with_keepalive(short_config("")), [](Peer& peer) {
        peer.upgrade();
        peer.send(frame(2, std::string(5'000'000, 'x')).substr(0, 2'500'000));
        peer.hold();
    });
    expect_end(one, Errc::pong_timeout);
}

TEST(Silence, WhileALargeMessageIsStuckIsNoticed) {
    const std::string message(40'000'000, 'x');
    Config config = with_keepalive(short_config(""));
    config.keepalive.interval = 2s;  // masking so much takes a while where somebody watches it
    Case one("silence", config, [](Peer& peer) {
        peer.upgrade();
        peer.hold();
    });
    ASSERT_TRUE(one.client->wait_for_open());
    EXPECT_FALSE((*one.client)->send_binary(as_bytes(message)));
    expect_end(one, Errc::pong_timeout);
}

TEST(NeverReading, FillsTheQueueAndNotMore) {
    Config config = short_config("");
    config.limits.max_send_queue = 1u << 20u;
    Case one("never reads", config, [](Peer& peer) {
        peer.upgrade();
        peer.hold();
    });
    ASSERT_TRUE(one.client->wait_for_open());
    const std::string message(64u << 10u, 'x');
    std::error_code error;
    // The kernel's buffers take some of it first.
    for (int i = 0; i < 10'000 && !error; ++i) error = (*one.client)->send_text(message);
    EXPECT_EQ(error, make_error_code(Errc::send_queue_full));
    EXPECT_LE((*one.client)->stats().send_queued, 1u << 20u);
    EXPECT_FALSE((*one.client)->stop(300ms));
    EXPECT_EQ((*one.client)->state(), State::idle);
}

TEST(Close, ThatIsNotAnsweredMeetsItsDeadline) {
    Case one("mute", short_config(""), [](Peer& peer) {
        peer.upgrade();
        peer.drain();
    });
    ASSERT_TRUE(one.client->wait_for_open());
    EXPECT_FALSE((*one.client)->close());
    expect_end(one, Errc::close_timeout);
    EXPECT_FALSE(one.client->close().clean());
    EXPECT_TRUE(one.client->close().sent);
}

TEST(Close, ThatLeavesTcpOpenEndsAnyway) {
    Case one("lazy", short_config(""), [](Peer& peer) {
        peer.upgrade();
        peer.read_frame();
        peer.send(close_frame(1000));
        peer.hold();
    });
    ASSERT_TRUE(one.client->wait_for_open());
    EXPECT_FALSE((*one.client)->close());
    expect_end(one, Errc::closed_locally);
    EXPECT_TRUE(one.client->close().clean());
}

TEST(Close, OfASilentServerAfterAViolationEndsSoon) {
    Case one("violation", patient_config(""), [](Peer& peer) {
        peer.upgrade();
        peer.send(frame(3, "x"));
        peer.hold();
    });
    expect_end(one, Errc::reserved_opcode);
}

TEST(Nobody, ListensIsAClearError) {
    std::uint16_t port = 0;
    {
        const ScriptedServer server([](Peer&) {});
        port = server.port();
    }
    WatchedClient client(short_config("ws://127.0.0.1:" + std::to_string(port)));
    ASSERT_TRUE(client.wait_for_end());
    Error error = client.error();
    error.elapsed = {};
    EXPECT_EQ(error.message(),
              "connect with 127.0.0.1:" + std::to_string(port) + ": the connection was refused: 127.0.0.1");
    EXPECT_EQ(client.error().native, ECONNREFUSED);
}

}  // namespace
}  // namespace tern::interop
