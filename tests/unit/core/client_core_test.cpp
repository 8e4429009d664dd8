// What the coordinator takes for a configuration, what it tells of an attempt (redirects, and answers that are no
// upgrade), and what ends or follows one. What becomes of messages is in client_core_send_test.cpp, and how one
// connection takes the place of another in client_core_switch_test.cpp.
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

TEST(ClientCoreLoad, WhatHasPassedOnceCountsForTheSameQuestionOnly) {
    DrivenCore core(Config{});
    EXPECT_FALSE(core->load(true));
    EXPECT_FALSE(core->load(true));
    EXPECT_EQ(core->load(false), Errc::url_empty) << "nobody would say where to";
    EXPECT_EQ(core.start(), Errc::url_empty);
    core->prepare_attempts(true);
    EXPECT_FALSE(core->load(true));
    EXPECT_FALSE(core.start());
    core.expect(Command::Kind::prepare);
    EXPECT_EQ(core->load(true), Errc::already_started);
}

TEST(ClientCoreAttempt, ARedirectIsAnEventWithTheAnswerThatLedThere) {
    DrivenCore core({.url = "ws://host.example/"});
    ASSERT_FALSE(core.start());
    core.connect();
    std::vector<std::string> told;
    const std::string answer = "HTTP/1.1 302 Found\r\nX-Why: moved\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n";
    const std::span<std::byte> space = core->rx_space(core.stream());
    std::memcpy(space.data(), answer.data(), answer.size());
    core->rx_commit(core.stream(), answer.size(), core.now());
    for (Event event; core->next(event);) {
        told.emplace_back(event_name(event.kind));
        if (event.kind != Kind::redirected) continue;
        ASSERT_NE(event.error, nullptr);
        EXPECT_EQ(event.error->response.status, 302);
        EXPECT_EQ(event.error->response.header("X-Why"), "moved");
        EXPECT_EQ(event.error->peer, "host.example:80 (192.0.2.1)");
    }
    EXPECT_EQ(told, (std::vector<std::string>{"connecting", "redirected"}));
    core.take();
    core.expect(Command::Kind::close);
    core.connect();
    core.receive(core.answer());
    EXPECT_EQ(core.kinds, std::vector<Kind>{Kind::open});
}

TEST(ClientCoreAttempt, AnAnswerThatIsNoUpgradeIsKept) {
    DrivenCore core({.url = "ws://host.example/"});
    ASSERT_FALSE(core.start());
    core.connect();
    core.receive(core.answer("X-Server: odd\r\n", "wrong"));
    EXPECT_EQ(core.error, Errc::accept_mismatch);
    EXPECT_EQ(core.error.response.status, 101);
    EXPECT_EQ(core.error.response.reason, "Switching Protocols");
    EXPECT_EQ(core.error.response.header("X-Server"), "odd");
}

TEST(ClientCoreAttempt, ACloseBehindWhichTheConnectionComesUpFreesIt) {
    DrivenCore core({.url = "ws://example.org/"});
    ASSERT_FALSE(core.start());
    const Address address{.port = 80, .bytes = {192, 0, 2, 1}};
    core->on_resolved(core.expect(Command::Kind::resolve).id, {&address, 1}, {}, core.now());
    const StreamId stream = core.expect(Command::Kind::connect).id;
    ASSERT_FALSE(core->close(CloseCode::normal, {}));  // another thread, before the driver comes to settle
    core->on_connected(stream, {}, core.now());
    EXPECT_EQ(core.expect(Command::Kind::close).id, stream);
    EXPECT_EQ(core->state(), State::idle);
}

TEST(ClientCoreAttempt, APongCanBeSentUnasked) {
    DrivenCore core({.url = "ws://host.example/"});
    EXPECT_EQ(core->pong(as_bytes("early")), Errc::not_connected);
    core.open();
    EXPECT_FALSE(core->pong(as_bytes("p")));
    const std::string sent = core.transmit();
    ASSERT_EQ(sent.size(), 2u + 4u + 1u);
    EXPECT_EQ(sent.substr(0, 2), "\x8a\x81");
    EXPECT_EQ(sent[6] ^ sent[2], 'p');
    EXPECT_EQ(core->pong(as_bytes(std::string(126, 'p'))), Errc::control_payload_too_long);
}

TEST(ClientCoreEvents, AreAnnouncedAndMayBeTakenBeforeTheyAreSettled) {
    DrivenCore core({.url = "ws://host.example/"});
    EXPECT_FALSE(core->has_events());
    EXPECT_FALSE(core.start());
    EXPECT_TRUE(core->has_events()) << "connecting";
    core.connect();
    core.receive(core.answer());
    EXPECT_FALSE(core->has_events()) << "open was taken";

    const std::string bytes = "\x81\x01m\x89\x01p\x81";
    const std::span<std::byte> space = core->rx_space(core.stream());
    std::memcpy(space.data(), bytes.data(), bytes.size());
    core->rx_commit(core.stream(), bytes.size(), core.now());
    EXPECT_TRUE(core->has_events());
    std::vector<Event::Kind> kinds;
    for (Event event; core->next(event);) kinds.push_back(event.kind);
    EXPECT_EQ(kinds, (std::vector{Event::Kind::message, Event::Kind::ping}));
    EXPECT_FALSE(core->has_events());
    core->settle(core.now());
    EXPECT_EQ(core.transmit().size(), 2u + 4u + 1u) << "the pong";
    EXPECT_FALSE(core->needs_settle());
    EXPECT_FALSE(core->has_events());
}

TEST(ClientCoreEvents, AViolationNeedsSettlingOnceMoreWhenItsCloseHasLeft) {
    DrivenCore core({.url = "ws://host.example/"});
    core.open();
    core.receive("\x83\x01m");
    EXPECT_FALSE(core->needs_settle());
    EXPECT_FALSE(core.transmit().empty());
    EXPECT_TRUE(core->needs_settle()) << "for FIN";
    core->settle(core.now());
    EXPECT_FALSE(core->needs_settle());
    core.expect(Command::Kind::half_close);
}

/// A client that keeps trying, with a fixed delay.
struct Persistent : DrivenCore {
    Persistent()
        : DrivenCore({.url = "ws://host.example/",
                      .reconnect = {.min_delay = 300ms, .max_delay = 300ms, .stable_after = 1h}}) {}

    void open_again() {
        connect();
        receive(answer());
        take();
    }
    void fail_to_connect() {
        (*this)->on_resolved(expect(Command::Kind::resolve).id, {}, Errc::host_not_found, now());
        take();
    }
    [[nodiscard]] bool waits_for(std::chrono::milliseconds time) {
        return (*this)->deadline() == std::optional(now() + time);
    }
};

TEST(ClientCoreAbort, IsAsIfTheNetworkHadEndedIt) {
    Persistent core;
    EXPECT_EQ(core->abort(core.now()), Errc::not_connected);
    ASSERT_FALSE(core.start(StartMode::keep_trying));
    core.open_again();
    ASSERT_EQ(core->state(), State::open);
    EXPECT_FALSE(core->abort(core.now()));
    core.take();
    EXPECT_EQ(core.error, Errc::connection_lost);
    EXPECT_TRUE(core.close.will_reconnect);
    EXPECT_FALSE(core.close.sent);
    EXPECT_EQ(core->state(), State::reconnecting);
    core.expect(Command::Kind::close);
    core.pass(300ms);
    core.open_again();
    EXPECT_EQ(core->state(), State::open);
    // Also when the peer does not answer a Close; what the user wanted then counts.
    EXPECT_FALSE(core->close());
    core.transmit();
    core->settle(core.now());
    EXPECT_EQ(core->state(), State::closing);
    EXPECT_FALSE(core->abort(core.now()));
    core.take();
    EXPECT_EQ(core->state(), State::idle);
    EXPECT_FALSE(core.close.will_reconnect);
}

TEST(ClientCoreReopen, SaysCloseAndConnectsAnew) {
    Persistent core;
    EXPECT_EQ(core->reopen(), Errc::not_connected);
    ASSERT_FALSE(core.start(StartMode::keep_trying));
    EXPECT_EQ(core->reopen(), Errc::not_connected);
    core.open_again();
    EXPECT_EQ(core->reopen(CloseCode(5)), Errc::invalid_close_code);
    EXPECT_EQ(core->reopen(CloseCode::normal, std::string(124, 'r')), Errc::invalid_close_reason);
    EXPECT_FALSE(core->reopen(CloseCode::normal, "again"));
    EXPECT_EQ(core->reopen(), Errc::already_closing);
    core.transmit();
    core.receive("\x88\x02\x03\xe8");
    core.finish();
    EXPECT_TRUE(core.close.clean());
    EXPECT_TRUE(core.close.will_reconnect);
    EXPECT_EQ(core.error, Errc::closed_locally);
    core.expect(Command::Kind::close);
    EXPECT_TRUE(core.waits_for(300ms));
    core.pass(300ms);
    core.open_again();
    EXPECT_EQ(core->state(), State::open);
    // What the user says later counts.
    EXPECT_FALSE(core->reopen());
    EXPECT_FALSE(core->close());
    core.transmit();
    core.receive("\x88\x02\x03\xe8");
    core.finish();
    EXPECT_FALSE(core.close.will_reconnect);
    EXPECT_EQ(core->state(), State::idle);
}

TEST(ClientCoreReopen, StopEndsItAll) {
    Persistent core;
    ASSERT_FALSE(core.start(StartMode::keep_trying));
    core.open_again();
    EXPECT_FALSE(core->reopen());
    core->stop(core.now());
    core.take();
    EXPECT_EQ(core.error, Errc::stopped);
    EXPECT_EQ(core->state(), State::idle);
}

TEST(ClientCoreDelays, ChangeAWaitThatIsGoingOn) {
    Persistent core;
    EXPECT_EQ(core->set_reconnect_delays(1ms, 1ms, core.now()), Errc::not_connected);
    ASSERT_FALSE(core.start(StartMode::keep_trying));
    EXPECT_EQ(core->set_reconnect_delays(2ms, 1ms, core.now()), Errc::invalid_config);
    EXPECT_EQ(core->set_reconnect_delays(-1ms, 1ms, core.now()), Errc::invalid_config);
    EXPECT_EQ(core->set_reconnect_delays(0ms, 24h * 366, core.now()), Errc::invalid_config);
    core.fail_to_connect();
    ASSERT_EQ(core->state(), State::reconnecting);
    EXPECT_TRUE(core.waits_for(300ms));
    core.pass(100ms);
    EXPECT_FALSE(core->set_reconnect_delays(1s, 1s, core.now()));
    EXPECT_TRUE(core.waits_for(900ms)) << "longer, from its beginning";
    EXPECT_FALSE(core->set_reconnect_delays(50ms, 50ms, core.now()));
    EXPECT_TRUE(core.waits_for(0ms)) << "it is over already";
    core.pass(0ms);
    core.fail_to_connect();
    EXPECT_TRUE(core.waits_for(50ms)) << "and for the waits to come";
}

TEST(ClientCoreStop, EndsAnAttemptInEachOfItsPhases) {
    for (const Phase phase : {Phase::resolve, Phase::connect, Phase::upgrade}) {
        DrivenCore core({.url = "ws://host.example/"});
        core->stop(core.now());  // nothing to stop
        ASSERT_FALSE(core.start());
        StreamId id = core.expect(Command::Kind::resolve).id;
        const Address address{.port = 80, .bytes = {192, 0, 2, 1}};
        if (phase != Phase::resolve) {
            core->on_resolved(id, {&address, 1}, {}, core.now());
            id = core.expect(Command::Kind::connect).id;
        }
        if (phase == Phase::upgrade) core->on_connected(id, {}, core.now());
        core->stop(core.now());
        core.take();
        EXPECT_EQ(core.kinds, (std::vector<Kind>{Kind::connecting, Kind::failed}));
        EXPECT_EQ(core.error, Errc::stopped);
        EXPECT_EQ(core.error.phase, phase);
        EXPECT_EQ(core.error.peer, phase == Phase::upgrade ? "host.example:80 (192.0.2.1)" : "host.example:80");
        EXPECT_EQ(core.expect(Command::Kind::close).id, id);
        EXPECT_EQ(core->state(), State::idle);
        EXPECT_EQ(core->deadline(), std::nullopt);
    }
}

TEST(ClientCoreStop, EndsAWait) {
    Persistent core;
    ASSERT_FALSE(core.start(StartMode::keep_trying));
    core.fail_to_connect();
    core->stop(core.now());
    core.take();
    EXPECT_EQ(core.error, Errc::stopped);
    EXPECT_EQ(core.error.phase, Phase::none);
    EXPECT_EQ(core.kinds.back(), Kind::failed);
    EXPECT_EQ(core->deadline(), std::nullopt);
    // And another life begins like the first.
    ASSERT_FALSE(core.start());
    core.open_again();
    EXPECT_EQ(core->state(), State::open);
}

TEST(ClientCoreClose, IsNothingNewWhileThePeerCloses) {
    Persistent core;
    ASSERT_FALSE(core.start(StartMode::keep_trying));
    core.open_again();
    core.receive(wire::frame(wire::close, wire::close_body(1000)));
    EXPECT_EQ(core->state(), State::closing);
    EXPECT_EQ(core->close(), Errc::already_closing);
    EXPECT_EQ(core->reopen(), Errc::already_closing);
    EXPECT_EQ(core->refresh(core.now()), Errc::not_connected);
    EXPECT_EQ(core->send(Opcode::text, as_bytes("x")), Errc::already_closing);
    core.finish();
    EXPECT_TRUE(core.close.by_peer);
    EXPECT_TRUE(core.close.will_reconnect);
}

TEST(ClientCoreLimits, GivingUpSaysAfterHowMany) {
    DrivenCore core(
        {.url = "ws://host.example/", .reconnect = {.min_delay = 100ms, .max_delay = 100ms, .max_attempts = 2}});
    ASSERT_FALSE(core.start(StartMode::keep_trying));
    const auto fail = [&](const char* detail) {
        core->on_resolved(core.expect(Command::Kind::resolve).id, {}, Error(Errc::host_not_found, Phase::none, detail),
                          core.now());
        core.take();
    };
    fail("");
    EXPECT_EQ(core.waits, std::vector<std::string>{"attempt 2 in 100 ms"});
    core.pass(100ms);
    fail("no such name");
    EXPECT_EQ(core.kinds.back(), Kind::failed);
    EXPECT_EQ(core.error, Errc::host_not_found);
    EXPECT_EQ(core.error.detail, "no such name; given up after 2 attempts");
    ASSERT_FALSE(core.start(StartMode::keep_trying));
    fail("");
    core.pass(100ms);
    fail("");
    EXPECT_EQ(core.error.detail, "given up after 2 attempts");
}

TEST(ClientCoreReconnectNow, EndsAWaitAndLeavesAnAttemptAlone) {
    Persistent core;
    core->reconnect_now(core.now());
    EXPECT_EQ(core->deadline(), std::nullopt) << "it has not begun";
    ASSERT_FALSE(core.start(StartMode::keep_trying));
    core->reconnect_now(core.now());
    core.fail_to_connect();
    Command command;
    EXPECT_FALSE(core->next(command));
    core->reconnect_now(core.now());
    core.open_again();
    EXPECT_EQ(core->state(), State::open);
    EXPECT_EQ(core->stats().attempts, 2u);
}

TEST(ClientCoreReconnectNow, DelaysBeginSmallAgain) {
    const auto third_wait = [](bool now) {
        DrivenCore core({.url = "ws://host.example/", .reconnect = {.min_delay = 1ms, .max_delay = 1h}});
        EXPECT_FALSE(core.start(StartMode::keep_trying));
        for (int i = 0; i < 20; ++i) {
            core->on_resolved(core.expect(Command::Kind::resolve).id, {}, Errc::host_not_found, core.now());
            core.take();
            if (i == 19) break;
            if (now) core->reconnect_now(core.now());
            if (!now) core.pass(1h);
        }
        return *core->deadline() - core.now();
    };
    EXPECT_LE(third_wait(true), 2ms);
    EXPECT_GT(third_wait(false), 2ms) << "of up to an hour";
}

TEST(ClientCoreReconnectNow, AsksAnOpenConnectionForASignOfLife) {
    DrivenCore core({.url = "ws://host.example/", .keepalive = {.interval = 0ms, .pong_timeout = 500ms}});
    core.open();
    EXPECT_EQ(core->deadline(), std::nullopt);
    core->reconnect_now(core.now());
    ASSERT_TRUE(core->deadline());
    EXPECT_LE(*core->deadline(), core.now());
    core.pass(0ms);
    const wire::ClientBytes sent = wire::read_client(core.transmit());
    ASSERT_EQ(sent.frames.size(), 1u);
    EXPECT_EQ(sent.frames[0].opcode, wire::ping);
    EXPECT_EQ(core->deadline(), core.now() + 500ms);
    core.receive(wire::frame(wire::pong, sent.frames[0].payload));
    EXPECT_EQ(core->deadline(), std::nullopt) << "it lives";
    core->reconnect_now(core.now());
    core.pass(0ms);
    core.pass(500ms);
    EXPECT_EQ(core.error, Errc::pong_timeout) << "it does not";
}

TEST(ClientCoreStats, CountHowThingsEnded) {
    Persistent core;
    const auto ends = [&](Condition condition) { return core->stats().ends[static_cast<std::size_t>(condition)]; };
    ASSERT_FALSE(core.start(StartMode::keep_trying));
    core.fail_to_connect();
    EXPECT_EQ(ends(Condition::resolve_failed) + ends(Condition::connect_failed), 1u);
    core->reconnect_now(core.now());
    core.open_again();
    core.receive(wire::frame(wire::text, "one"));
    EXPECT_EQ(ends(Condition::closed), 0u);
    core->on_eof(core.stream(), core.now());
    core.take();
    EXPECT_EQ(ends(Condition::closed), 1u);
    EXPECT_EQ(core->stats().messages_received, 1u) << "of the connection that has ended";
    core->run_out_of_memory();
    core.take();
    EXPECT_EQ(core.error, Errc::out_of_memory);
    EXPECT_EQ(ends(Condition::limit_exceeded), 1u);
    EXPECT_EQ(ends(Condition::closed), 1u);
    EXPECT_EQ(core->stats().connects, 1u);
    EXPECT_EQ(core->stats().attempts, 2u);
}

TEST(ClientCoreTrim, GivesBackWhatALargeMessageTookAndNothingElse) {
    DrivenCore core({.url = "ws://host.example/", .keepalive = {.interval = 0ms}});
    core->trim();
    ASSERT_FALSE(core.start());
    core->trim();
    core.connect();
    core->trim();
    core.receive(core.answer());
    const std::size_t before = core->stats().memory;
    core.receive(wire::frame(wire::binary, std::string(300'000, 'x')));
    EXPECT_GT(core->stats().memory, before + 300'000);
    core->trim();
    core->trim();
    EXPECT_LE(core->stats().memory, before);
    core.receive(wire::frame(wire::text, "still here"));
    EXPECT_EQ(core.texts.back(), "still here");
}

}  // namespace
}  // namespace tern
