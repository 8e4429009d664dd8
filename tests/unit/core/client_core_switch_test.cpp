// How one connection takes the place of another: by the user's wish (`refresh`), and when the peer says that it goes
// away.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core.hpp>

#include "driven_core.hpp"
#include "wire.hpp"

namespace tern {
namespace {

using namespace std::chrono_literals;
using Kind = Event::Kind;
using Kinds = std::vector<Kind>;
using Lines = std::vector<std::string>;

/// Its random numbers are all as small or as large as they can be.
class Dice final : public Crypto {
public:
    bool random_bytes(std::span<std::byte> out) override {
        std::fill(out.begin(), out.end(), large ? std::byte{0xff} : std::byte{0});
        return true;
    }
    std::array<std::byte, 20> sha1(Bytes bytes) override { return default_crypto().sha1(bytes); }
    std::string base64(Bytes bytes) override { return default_crypto().base64(bytes); }

    bool large = true;
};

/// A client with an open connection, `first`, and what is asked of the network for others.
class Switching {
public:
    explicit Switching(Config config = {}) : core(foreseeable(std::move(config)), dice) {
        EXPECT_FALSE(core.start(StartMode::keep_trying));
        connect_and_open();
        first = core.stream();
        core.kinds.clear();
    }
    ClientCore* operator->() { return &*core; }

    void connect_and_open() {
        core.connect();
        core.receive(core.answer());
        core.take();
    }
    void refresh() {
        EXPECT_FALSE(core->refresh(core.now()));
        core.take();
    }
    /// The lookup of an attempt that is under way fails.
    void fail() {
        core->on_resolved(core.expect(Command::Kind::resolve).id, {}, Errc::host_not_found, core.now());
        core.take();
    }
    /// The frames that were sent on that stream since the last call.
    Lines sent_on(StreamId stream) {
        core.turn_to(stream);
        const std::string bytes = core.transmit();
        core.take();
        return wire::read_client(bytes).shown();
    }
    void receive_on(StreamId stream, const std::string& bytes) {
        core.turn_to(stream);
        core.receive(bytes);
    }
    void end(StreamId stream, const Error& error = Errc::connection_lost) {
        core->on_io_error(stream, error, core.now());
        core.take();
    }
    void expect_closed(StreamId stream) { EXPECT_EQ(core.expect(Command::Kind::close).id, stream); }
    [[nodiscard]] bool asks_for_nothing() {
        Command command;
        return !core->next(command);
    }
    std::error_code text(const char* text, std::uint64_t* number = nullptr) {
        return core->send(Opcode::text, as_bytes(text), {.number = number});
    }

    Dice dice;
    DrivenCore core;
    StreamId first = 0;
};

const std::string bye = wire::frame(wire::close, wire::close_body(1000));

TEST(ClientCoreRefresh, TheSecondTakesThePlaceOfTheFirst) {
    Switching client;
    EXPECT_FALSE(client.text("on the first"));
    client.refresh();
    EXPECT_EQ(client->state(), State::open);
    EXPECT_EQ(client.core.kinds, Kinds{}) << "nobody is told of the attempt";
    client.refresh();  // once is enough
    client.connect_and_open();
    const StreamId second = client.core.stream();
    EXPECT_EQ(client.core.kinds, Kinds{Kind::switched});
    EXPECT_FALSE(client.text("on the second"));
    EXPECT_EQ(client.sent_on(client.first), (Lines{R"(text "on the first")", "close " + wire::shown("\x03\xe8")}));
    EXPECT_EQ(client.sent_on(second), Lines{R"(text "on the second")"});
    client.receive_on(client.first, bye);
    EXPECT_TRUE(client.asks_for_nothing());
    client.end(client.first);
    client.expect_closed(client.first);
    EXPECT_EQ(client.core.kinds, Kinds{Kind::switched}) << "the end of the first is nobody's business";
    EXPECT_EQ(client->stats().switches, 1u);
    EXPECT_EQ(client->stats().connects, 2u);
    EXPECT_EQ(client->stats().messages_sent, 2u);
    EXPECT_EQ(client->state(), State::open);
}

TEST(ClientCoreRefresh, WhatTheFirstStillReceivesIsDelivered) {
    Switching client;
    client.refresh();
    client.connect_and_open();
    client.receive_on(client.core.stream(), wire::frame(wire::text, "of the second"));
    client.receive_on(client.first, wire::frame(wire::text, "of the first") + bye);
    EXPECT_EQ(client.core.texts, (Lines{"of the second", "of the first"}));
    EXPECT_EQ(std::count(client.core.kinds.begin(), client.core.kinds.end(), Kind::closing), 0);
}

TEST(ClientCoreRefresh, PiecesOfTwoMessagesDoNotMix) {
    Switching client({.delivery = Delivery::chunks});
    client.refresh();
    client.connect_and_open();
    const StreamId second = client.core.stream();
    client.receive_on(second, wire::fragment(wire::text, "begun "));
    client.receive_on(client.first, wire::frame(wire::text, "of the first"));
    EXPECT_EQ(client.core.texts, Lines{"begun "});
    client.receive_on(second, wire::frame(wire::continuation, "and ended"));
    EXPECT_EQ(client.core.texts, (Lines{"begun ", "and ended", "of the first"}));
}

TEST(ClientCoreRefresh, AMessageInPartsEndsWhereItBegan) {
    Switching client;
    EXPECT_FALSE(client->send_part(Opcode::text, as_bytes("one "), false));
    client.refresh();
    client.connect_and_open();
    const StreamId second = client.core.stream();
    EXPECT_EQ(client.core.kinds, Kinds{}) << "the second waits";
    EXPECT_FALSE(client->send_part(Opcode::continuation, as_bytes("two"), true));
    client.core.take();
    EXPECT_EQ(client.core.kinds, Kinds{Kind::switched});
    EXPECT_EQ(client.sent_on(client.first),
              (Lines{R"(text unfinished "one ")", R"(continuation "two")", "close " + wire::shown("\x03\xe8")}));
    EXPECT_EQ(client.sent_on(second), Lines{});
}

TEST(ClientCoreRefresh, ASecondThatEndsWhileItWaitsWasNone) {
    Switching client;
    EXPECT_FALSE(client->send_part(Opcode::text, as_bytes("one "), false));
    client.refresh();
    client.connect_and_open();
    const StreamId second = client.core.stream();
    client.end(second);
    client.expect_closed(second);
    EXPECT_EQ(client.core.kinds, Kinds{Kind::switch_failed});
    EXPECT_EQ(client.core.error, Errc::connection_lost);
    EXPECT_FALSE(client->send_part(Opcode::continuation, as_bytes("two"), true));
    client.core.pass(300ms);
    client.connect_and_open();
    EXPECT_EQ(client.core.kinds.back(), Kind::switched) << "it is tried again";
}

TEST(ClientCoreRefresh, ASecondMakesRoomForTheMessageThatItWaitsFor) {
    Config config;
    config.receive_buffer = 4096;
    config.limits = {.max_head_size = 4096, .max_error_body = 1024, .max_memory = 36'000};
    Switching client(config);
    EXPECT_FALSE(client->send_part(Opcode::binary, as_bytes(std::string(4'000, 'x')), false));
    EXPECT_EQ(client.sent_on(client.first).size(), 1u);
    client.refresh();
    client.connect_and_open();
    const StreamId second = client.core.stream();
    const std::string rest(14'000, 'y');
    EXPECT_EQ(client->send_part(Opcode::continuation, as_bytes(rest), true), Errc::send_queue_full);
    EXPECT_TRUE(client->needs_settle());
    client.core.take();
    EXPECT_EQ(client.core.kinds, Kinds{Kind::switch_failed});
    EXPECT_EQ(client.core.error, Errc::memory_limit);
    EXPECT_EQ(client.core.error.peer, "host.example:80 (192.0.2.1)");
    client.expect_closed(second);
    EXPECT_FALSE(client->send_part(Opcode::continuation, as_bytes(rest), true));
    client.core.turn_to(client.first);
    EXPECT_GT(client.core.transmit().size(), rest.size());
}

TEST(ClientCoreRefresh, AFailureLeavesTheFirstAlone) {
    Switching client;
    client.refresh();
    client.fail();
    EXPECT_EQ(client.core.kinds, Kinds{Kind::switch_failed});
    EXPECT_EQ(client.core.error, Errc::host_not_found);
    EXPECT_EQ(client->state(), State::open);
    EXPECT_FALSE(client.text("still here"));
    EXPECT_EQ(client.sent_on(client.first), Lines{R"(text "still here")"});
    EXPECT_EQ(client->deadline(), client.core.now() + 300ms);
    client.core.pass(300ms);
    client.connect_and_open();
    EXPECT_EQ(client.core.kinds, (Kinds{Kind::switch_failed, Kind::switched})) << "it is tried again";
}

TEST(ClientCoreRefresh, AFinalFailureIsNotTriedAgain) {
    Switching client;
    client.refresh();
    client.core.connect();
    client.core.receive("HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(client.core.kinds, Kinds{Kind::switch_failed});
    EXPECT_EQ(client.core.error, Errc::upgrade_refused);
    EXPECT_EQ(client->state(), State::open);
    EXPECT_EQ(client->deadline(), std::nullopt);
    client.expect_closed(client.core.stream());
    client.refresh();
    client.connect_and_open();
    EXPECT_EQ(client.core.kinds.back(), Kind::switched) << "who asks can ask again";
}

TEST(ClientCoreRefresh, BehindAFinalFailureTheFirstCanBeReopened) {
    Switching client;
    client.refresh();
    EXPECT_EQ(client->reopen(), Errc::not_connected) << "its place is being taken";
    client.core.connect();
    client.core.receive("HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n");
    EXPECT_FALSE(client->reopen());
}

TEST(ClientCoreRefresh, AThirdTakesThePlaceOfTheSecondBeforeTheFirstIsGone) {
    Switching client;
    std::uint64_t number = 0;
    EXPECT_FALSE(client.text("on the first", &number));
    client.refresh();
    client.connect_and_open();
    const StreamId second = client.core.stream();
    client.refresh();
    client.connect_and_open();
    const StreamId third = client.core.stream();
    client.expect_closed(client.first);
    EXPECT_EQ(std::count(client.core.kinds.begin(), client.core.kinds.end(), Kind::switched), 2);
    EXPECT_EQ(client.core.fates, Lines{"1 dropped stopped"}) << "it got no more time";
    EXPECT_EQ(client->stats().messages_sent, 1u) << "accepted for sending, that is";
    EXPECT_EQ(client->stats().connects, 3u);
    EXPECT_TRUE(client->rx_space(client.first).empty());
    EXPECT_FALSE(client->rx_space(second).empty()) << "that one is closed in peace";
    client->rx_commit(second, 0, client.core.now());
    EXPECT_FALSE(client.text("on the third"));
    EXPECT_EQ(client.sent_on(third), Lines{R"(text "on the third")"});
}

TEST(ClientCoreRefresh, TheFirstDiesWhileTheSecondIsMade) {
    Switching client;
    client.refresh();
    client.end(client.first);
    EXPECT_EQ(client.core.kinds, (Kinds{Kind::closed, Kind::reconnecting, Kind::connecting}));
    EXPECT_TRUE(client.core.close.will_reconnect);
    EXPECT_EQ(client.core.waits, Lines{"attempt 2 in 0 ms"});
    EXPECT_EQ(client->state(), State::connecting);
    client.core.expect(Command::Kind::resolve);
    client.expect_closed(client.first);
}

TEST(ClientCoreRefresh, TheAttemptUnderWayIsTheOneThatIsUsed) {
    Switching client;
    client.refresh();
    client.core.connect();
    client.end(client.first);
    client.core.receive(client.core.answer());
    EXPECT_EQ(client.core.kinds.back(), Kind::open) << "there is nothing any more whose place it takes";
    EXPECT_EQ(client->stats().switches, 0u);
    EXPECT_EQ(client->stats().attempts, 2u);
}

TEST(ClientCoreRefresh, TheFirstDiesBetweenTwoAttempts) {
    Switching client;
    client.refresh();
    client.fail();
    client.core.pass(100ms);
    client.end(client.first);
    EXPECT_EQ(client.core.kinds, (Kinds{Kind::switch_failed, Kind::closed, Kind::reconnecting}));
    EXPECT_EQ(client.core.waits, Lines{"attempt 3 in 200 ms"}) << "what is left of the wait";
    client.expect_closed(client.first);
    client.core.pass(200ms);
    EXPECT_EQ(client.core.kinds.back(), Kind::connecting);
    client.connect_and_open();
    EXPECT_EQ(client.core.kinds.back(), Kind::open);
}

TEST(ClientCoreRefresh, TheSecondDiesWhileTheFirstIsThere) {
    Switching client;
    client.refresh();
    client.connect_and_open();
    const StreamId second = client.core.stream();
    client.end(second);
    EXPECT_EQ(client.core.kinds, (Kinds{Kind::switched, Kind::closed, Kind::reconnecting}));
    client.expect_closed(second);
    client.expect_closed(client.first);
    client.receive_on(client.first, wire::frame(wire::text, "too late"));
    EXPECT_EQ(client.core.texts, Lines{}) << "behind closed comes no message";
}

TEST(ClientCoreRefresh, WhatTheFirstReceivedBeforeTheSecondDiedComesBeforeItsEnd) {
    Switching client;
    client.refresh();
    client.connect_and_open();
    const StreamId second = client.core.stream();
    client.core.kinds.clear();
    const std::string message = wire::frame(wire::text, "just in time");
    std::memcpy(client->rx_space(client.first).data(), message.data(), message.size());
    client->rx_commit(client.first, message.size(), client.core.now());
    client->on_eof(second, client.core.now());
    client.expect_closed(second);
    client.expect_closed(client.first);
    client.core.take();
    EXPECT_EQ(client.core.kinds, (Kinds{Kind::message, Kind::closed, Kind::reconnecting}));
}

TEST(ClientCoreRefresh, StopAndCloseEndAllOfIt) {
    for (const bool stop : {false, true}) {
        // While the second is made.
        Switching early;
        early.refresh();
        const StreamId lookup = early.core.expect(Command::Kind::resolve).id;
        if (stop) early->stop(early.core.now());
        if (!stop) {
            EXPECT_FALSE(early->close());
        }
        early.core.take();
        early.expect_closed(lookup);
        EXPECT_EQ(early->state(), stop ? State::idle : State::closing);

        // While the first is left.
        Switching late;
        late.refresh();
        late.connect_and_open();
        const StreamId second = late.core.stream();
        if (stop) {
            late->stop(late.core.now());
        } else {
            EXPECT_FALSE(late->close());
            EXPECT_EQ(late.sent_on(second).size(), 1u);
            late.receive_on(second, bye);
            late.end(second);
        }
        late.core.take();
        EXPECT_EQ(late.core.kinds.back(), Kind::closed);
        EXPECT_FALSE(late.core.close.will_reconnect);
        EXPECT_EQ(late.core.error, stop ? Errc::stopped : Errc::closed_locally);
        EXPECT_EQ(late->state(), State::idle);
        late.expect_closed(second);
        late.expect_closed(late.first);
        EXPECT_EQ(late->deadline(), std::nullopt);
    }
}

// --- the peer goes away --------------------------------------------------------------------------------------------

/// A stable connection whose peer has said that it goes away, and has ended it.
struct Left : Switching {
    explicit Left(unsigned code = 1001) {
        core.pass(15s);
        receive_on(first, wire::frame(wire::close, wire::close_body(code, "restart")));
        EXPECT_EQ(core.kinds, Kinds{Kind::closing});
        EXPECT_EQ(sent_on(first).size(), 1u) << "its answer";
        end(first);
        expect_closed(first);
        core.kinds.clear();
    }
};

TEST(ClientCoreGoingAway, IsNoInterruption) {
    for (const unsigned code : {1001u, 1012u}) {
        Left client(code);
        EXPECT_EQ(client->state(), State::open) << "nobody was told of an end";
        EXPECT_EQ(client->deadline(), client.core.now() + 300ms) << "all clients were told so at once";
        std::uint64_t number = 0;
        EXPECT_FALSE(client.text("in between", &number));
        EXPECT_EQ(client->send_queued(), 10u);
        client.core.pass(300ms);
        client.connect_and_open();
        EXPECT_EQ(client.core.kinds, Kinds{Kind::switched});
        EXPECT_EQ(client.sent_on(client.core.stream()), Lines{R"(text "in between")"});
        EXPECT_EQ(client.core.fates, Lines{"1 sent"});
    }
}

TEST(ClientCoreGoingAway, WithoutADelayTheSecondIsMadeAtOnce) {
    Switching client;
    client.dice.large = false;
    client.core.pass(15s);
    client.receive_on(client.first, wire::frame(wire::close, wire::close_body(1001)));
    client.connect_and_open();
    EXPECT_EQ(client.core.kinds, (Kinds{Kind::closing, Kind::switched}));
    EXPECT_EQ(client.sent_on(client.first).size(), 1u) << "the answer to the Close, which is owed still";
}

TEST(ClientCoreGoingAway, IsAnOrdinaryEndForAnUnstableConnectionAndIfItIsSwitchedOff) {
    for (const bool unstable : {false, true}) {
        Config config;
        config.reconnect.make_before_break = unstable;
        Switching client(config);
        if (!unstable) client.core.pass(15s);
        client.receive_on(client.first, wire::frame(wire::close, wire::close_body(1001)));
        EXPECT_EQ(client->state(), State::closing);
        EXPECT_EQ(client.sent_on(client.first).size(), 1u);
        client.end(client.first);
        EXPECT_EQ(client.core.kinds, (Kinds{Kind::closing, Kind::closed, Kind::reconnecting}));
    }
}

TEST(ClientCoreGoingAway, ForGoodIsToldAsAnEnd) {
    Left client;
    std::uint64_t number = 0;
    EXPECT_FALSE(client.text("in between", &number));
    client.core.pass(300ms);
    client.fail();
    EXPECT_EQ(client.core.kinds, (Kinds{Kind::fate, Kind::closed, Kind::reconnecting}));
    EXPECT_EQ(client.core.close.code, CloseCode::going_away);
    EXPECT_EQ(client.core.close.reason, "restart");
    EXPECT_TRUE(client.core.close.will_reconnect);
    EXPECT_EQ(client.core.fates, Lines{"1 dropped host_not_found"});
    EXPECT_EQ(client.text("too late"), Errc::not_connected);
    client.core.pass(300ms);
    client.connect_and_open();
    EXPECT_EQ(client.core.kinds.back(), Kind::open);
}

TEST(ClientCoreGoingAway, AFinalFailureEndsTheLife) {
    Left client;
    client.core.pass(300ms);
    client.core.connect();
    client.core.receive("HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(client.core.kinds, Kinds{Kind::closed});
    EXPECT_FALSE(client.core.close.will_reconnect);
    EXPECT_EQ(client.core.close.code, CloseCode::going_away);
    EXPECT_EQ(client->state(), State::idle);
}

TEST(ClientCoreGoingAway, StopAndCloseEndTheSearch) {
    for (const bool stop : {false, true}) {
        Left client;
        std::uint64_t number = 0;
        EXPECT_FALSE(client.text("in between", &number));
        if (stop) client->stop(client.core.now());
        if (!stop) {
            EXPECT_FALSE(client->close());
        }
        client.core.take();
        EXPECT_EQ(client.core.kinds, (Kinds{Kind::fate, Kind::closed}));
        EXPECT_FALSE(client.core.close.will_reconnect);
        EXPECT_EQ(client.core.close.code, CloseCode::going_away);
        EXPECT_EQ(client.core.error, stop ? Errc::stopped : Errc::closed_locally);
        EXPECT_EQ(client.core.fates, Lines{stop ? "1 dropped stopped" : "1 dropped closed_locally"});
        EXPECT_EQ(client->state(), State::idle);
        EXPECT_EQ(client->deadline(), std::nullopt);
    }
}

TEST(ClientCoreGoingAway, DelaysThatChangeDoNotChangeTheSpread) {
    Left client;
    EXPECT_FALSE(client->set_reconnect_delays(5s, 5s, client.core.now()));
    EXPECT_EQ(client->deadline(), client.core.now() + 300ms);
}

}  // namespace
}  // namespace tern
