// The ways in which an open connection ends.
#include "life.hpp"

namespace tern::sim {
namespace {

/// Upgrades, answers Close frames, and leaves TCP open.
Behaviour lingering() {
    Behaviour behaviour = mute();
    behaviour.on_frame = [](Peer& peer, const Frame& frame) {
        if (frame.opcode == opcode::close && !peer.close_sent) peer.send(close_frame(frame.close_code(), "too"));
    };
    return behaviour;
}

TEST(SimClose, ByTheUserAfterWhatWasQueued) {
    Life life(quiet(), {.fragment_size = 100});
    ASSERT_TRUE(life.open());
    EXPECT_FALSE(life.client.send_binary(std::string(1000, 'x')));
    EXPECT_FALSE(life.client.send_text("last words"));
    EXPECT_FALSE(life.client.close(CloseCode{4321}, "enough"));
    EXPECT_EQ(life.client.state(), State::closing);
    ASSERT_TRUE(life.until_end()) << life.log();
    EXPECT_EQ(life.peer().messages.size(), 2u);
    EXPECT_EQ(life.peer().messages.back().payload, "last words");
    ASSERT_EQ(life.peer().received(opcode::close).size(), 1u);
    EXPECT_EQ(life.peer().received(opcode::close)[0].close_code(), 4321u);
    EXPECT_EQ(life.peer().received(opcode::close)[0].close_reason(), "enough");
    const CloseInfo& close = life.client.log.back().close;
    EXPECT_TRUE(close.clean());
    EXPECT_EQ(close.code, CloseCode{4321});
    EXPECT_EQ(close.sent_code, CloseCode{4321});
    EXPECT_FALSE(close.by_peer);
    EXPECT_FALSE(close.will_reconnect);
    EXPECT_EQ(close.error, Errc::closed_locally) << close.error.message();
    // The Close takes 10 ms, the answer and the FIN behind it 10 more.
    EXPECT_EQ(life.client.log.back().at - life.client.find(Kind::open)->at, 20ms);
    EXPECT_TRUE(life.peer().eof);
}

TEST(SimClose, WithoutAStatus) {
    Life life;
    ASSERT_TRUE(life.open());
    EXPECT_FALSE(life.client.close(CloseCode::no_status));
    ASSERT_TRUE(life.until_end());
    EXPECT_EQ(life.peer().received(opcode::close)[0].payload, "");
    EXPECT_EQ(life.client.log.back().close.code, CloseCode::no_status);
    EXPECT_TRUE(life.client.log.back().close.clean());
}

TEST(SimClose, ByThePeerIsAnsweredWithItsCode) {
    for (const unsigned code : {1000u, 1001u, 1011u, 1014u, 3000u, 4999u, 1005u}) {
        Life life(quiet(), no_reconnect());
        ASSERT_TRUE(life.open());
        life.peer().send_message(opcode::text, "before");
        life.peer().send(close_frame(code, code == 1005 ? "" : "bye"));
        life.peer().write(encode(text_frame("behind the Close, to be ignored")));
        ASSERT_TRUE(life.until_end());
        ASSERT_EQ(life.peer().received(opcode::close).size(), 1u);
        EXPECT_EQ(life.peer().received(opcode::close)[0].close_code(), code);
        EXPECT_EQ(life.client.messages().size(), 1u);
        ASSERT_EQ(life.client.count(Kind::closing), 1u);
        EXPECT_EQ(life.client.find(Kind::closing)->close.code, CloseCode{static_cast<std::uint16_t>(code)});
        const CloseInfo& close = life.client.log.back().close;
        EXPECT_TRUE(close.clean());
        EXPECT_TRUE(close.by_peer);
        EXPECT_EQ(close.code, CloseCode{static_cast<std::uint16_t>(code)});
        EXPECT_EQ(close.reason, code == 1005 ? "" : "bye");
        EXPECT_EQ(close.error, Errc::closed_by_peer);
    }
}

TEST(SimClose, ByThePeerIsFollowedByAnotherAttempt) {
    Life life(quiet(), {.reconnect = {.min_delay = 100ms, .max_delay = 100ms}});
    ASSERT_TRUE(life.open());
    life.peer().send(close_frame(1000));
    ASSERT_TRUE(life.until(Kind::open, 1s, 2)) << life.log();
    EXPECT_TRUE(life.client.find(Kind::closed)->close.will_reconnect);
    EXPECT_EQ(life.client.find(Kind::reconnecting)->error, Errc::closed_by_peer);
}

TEST(SimClose, SilentServer) {
    Life life(mute(), {.timeouts = {.close = 700ms}});
    ASSERT_TRUE(life.open());
    const TimePoint begin = life.world.now();
    EXPECT_FALSE(life.client.close());
    ASSERT_TRUE(life.until_end());
    EXPECT_EQ(life.client.log.back().at - begin, 700ms);
    const CloseInfo& close = life.client.log.back().close;
    EXPECT_EQ(close.error, Errc::close_timeout);
    EXPECT_EQ(close.error.phase, Phase::closing);
    EXPECT_EQ(close.code, CloseCode::abnormal);
    EXPECT_TRUE(close.sent);
    EXPECT_FALSE(close.received);
    EXPECT_FALSE(close.clean());
    EXPECT_FALSE(close.will_reconnect);
    EXPECT_TRUE(life.peer().eof || life.peer().was_reset);
}

TEST(SimClose, TheServerAnswersAndLeavesTcpOpen) {
    Life life(lingering(), {.timeouts = {.close = 700ms}});
    ASSERT_TRUE(life.open());
    const TimePoint begin = life.world.now();
    EXPECT_FALSE(life.client.close());
    ASSERT_TRUE(life.until_end());
    EXPECT_EQ(life.client.log.back().at - begin, 700ms);
    EXPECT_TRUE(life.client.log.back().close.clean());
    EXPECT_EQ(life.client.log.back().error, Errc::closed_locally);
    EXPECT_TRUE(life.peer().eof);
}

TEST(SimClose, ThePeerClosesAndLeavesTcpOpen) {
    Life life(lingering(), no_reconnect({.timeouts = {.close = 700ms}}));
    ASSERT_TRUE(life.open());
    life.peer().send(close_frame(1000));
    const TimePoint begin = life.world.now();
    ASSERT_TRUE(life.until_end());
    EXPECT_EQ(life.client.log.back().at - begin, 710ms);
    EXPECT_TRUE(life.client.log.back().close.clean());
    EXPECT_EQ(life.client.log.back().error, Errc::closed_by_peer);
}

TEST(SimClose, BothAtTheSameTime) {
    Life life(quiet(), {.timeouts = {.close = 700ms}});
    ASSERT_TRUE(life.open());
    EXPECT_FALSE(life.client.close(CloseCode{4001}));
    life.peer().send(close_frame(4002));
    ASSERT_TRUE(life.until_end());
    EXPECT_EQ(life.peer().received(opcode::close).size(), 1u);
    EXPECT_EQ(life.peer().received(opcode::close)[0].close_code(), 4001u);
    EXPECT_TRUE(life.client.log.back().close.clean());
    EXPECT_FALSE(life.client.log.back().close.will_reconnect);
}

TEST(SimClose, TheDeadlineIsNotExtendedByTheAnswer) {
    Behaviour behaviour = mute();
    behaviour.on_frame = [](Peer& peer, const Frame& frame) {
        if (frame.opcode != opcode::close) return;
        peer.schedule().after(500ms, [&peer] { peer.send(close_frame(1000)); });
    };
    Life life(behaviour, {.timeouts = {.close = 700ms}});
    ASSERT_TRUE(life.open());
    const TimePoint begin = life.world.now();
    EXPECT_FALSE(life.client.close());
    ASSERT_TRUE(life.until_end());
    EXPECT_EQ(life.client.log.back().at - begin, 700ms);
    EXPECT_TRUE(life.client.log.back().close.clean());
}

TEST(SimClose, ALargeSendThatIsStuckDoesNotHoldUpTheEnd) {
    Life life(quiet(), {.timeouts = {.close = 700ms}});
    ASSERT_TRUE(life.open());
    life.peer().pause();
    EXPECT_FALSE(life.client.send_binary(std::string(1u << 20u, 'x')));
    const TimePoint begin = life.world.now();
    EXPECT_FALSE(life.client.close());
    ASSERT_TRUE(life.until_end());
    EXPECT_EQ(life.client.log.back().at - begin, 700ms);
    EXPECT_EQ(life.client.log.back().error, Errc::close_timeout);
    EXPECT_FALSE(life.client.log.back().close.sent);
}

TEST(SimClose, ThePeerClosesDuringALargeSend) {
    Behaviour behaviour = quiet();
    behaviour.up = {.bytes_per_second = 1'000'000, .capacity = 32u << 10u, .segment = 1460};
    Life life(behaviour, no_reconnect({.fragment_size = 4096}));
    ASSERT_TRUE(life.open());
    EXPECT_FALSE(life.client.send_binary(std::string(1u << 20u, 'x')));
    life.world.run_for(100ms);
    life.peer().send(close_frame(1001));
    ASSERT_TRUE(life.until_end());
    // The reply waits for the frame that the kernel has a part of, not for the message.
    EXPECT_EQ(life.peer().received(opcode::close).size(), 1u);
    EXPECT_TRUE(life.peer().messages.empty());
    EXPECT_TRUE(life.client.log.back().close.clean()) << life.log();
}

TEST(SimClose, EndOfStreamWithoutAClose) {
    Life life(quiet(), no_reconnect());
    ASSERT_TRUE(life.open());
    life.peer().send_message(opcode::text, "last");
    life.peer().finish();
    ASSERT_TRUE(life.until_end());
    EXPECT_EQ(life.client.messages().size(), 1u);
    EXPECT_EQ(life.error(), Errc::connection_lost);
    EXPECT_EQ(life.client.log.back().close.code, CloseCode::abnormal);
    EXPECT_FALSE(life.client.log.back().close.received);
}

TEST(SimClose, EndOfStreamInsideAMessageSaysSo) {
    const std::string cuts[] = {encode({.opcode = opcode::text, .payload = "half", .fin = false}),
                                encode({.opcode = opcode::text, .payload = "half", .claimed_length = 9})};
    for (const std::string& cut : cuts) {
        Life life(quiet(), no_reconnect());
        ASSERT_TRUE(life.open());
        life.peer().write(cut);
        life.peer().finish();
        ASSERT_TRUE(life.until_end());
        EXPECT_EQ(life.error(), Errc::connection_lost);
        EXPECT_NE(life.error().detail, "");
        EXPECT_TRUE(life.client.messages().empty());
    }
}

TEST(SimClose, Reset) {
    Life life(quiet(), no_reconnect());
    ASSERT_TRUE(life.open());
    life.peer().send_message(opcode::text, "last");
    life.peer().reset();
    ASSERT_TRUE(life.until_end());
    EXPECT_EQ(life.client.messages().size(), 1u);
    EXPECT_EQ(life.error(), Errc::connection_reset);
    EXPECT_EQ(life.error().native, 104);
}

TEST(SimClose, ResetWhileWaitingForTheAnswer) {
    Life life(mute());
    ASSERT_TRUE(life.open());
    EXPECT_FALSE(life.client.close());
    life.world.run_for(100ms);
    life.peer().reset();
    ASSERT_TRUE(life.until_end());
    EXPECT_EQ(life.error(), Errc::connection_reset);
    EXPECT_FALSE(life.client.log.back().close.clean());
}

TEST(SimClose, ResetBehindTheAnswerIsStillClean) {
    Behaviour behaviour = mute();
    behaviour.on_frame = [](Peer& peer, const Frame& frame) {
        if (frame.opcode != opcode::close) return;
        peer.send(close_frame(1000));
        peer.reset();
    };
    Life life(behaviour);
    ASSERT_TRUE(life.open());
    EXPECT_FALSE(life.client.close());
    ASSERT_TRUE(life.until_end());
    EXPECT_TRUE(life.client.log.back().close.clean());
    EXPECT_EQ(life.error(), Errc::closed_locally);
}

TEST(SimClose, UntakenMessagesAreDeliveredBeforeTheEnd) {
    Life life(quiet(), no_reconnect());
    ASSERT_TRUE(life.open());
    life.client.pause();
    for (int i = 0; i < 10; ++i) life.peer().send_message(opcode::text, "message");
    life.peer().send(close_frame(1000, "bye"));
    life.peer().finish();
    life.world.run_for(60s);
    EXPECT_EQ(life.client.count(Kind::message), 0u);
    life.client.resume();
    ASSERT_TRUE(life.until_end());
    EXPECT_EQ(life.client.count(Kind::message), 10u);
    EXPECT_EQ(life.client.log.back().close.reason, "bye");
}

TEST(SimClose, StopEndsAtOnce) {
    Life life(mute());
    ASSERT_TRUE(life.open());
    EXPECT_FALSE(life.client.send_binary(std::string(1u << 20u, 'x')));
    life.client.stop();
    EXPECT_EQ(life.client.log.back().kind, Kind::closed);
    EXPECT_EQ(life.error(), Errc::stopped);
    EXPECT_FALSE(life.client.log.back().close.will_reconnect);
    ASSERT_TRUE(life.until_end());
    life.client.stop();
    EXPECT_EQ(life.client.count(Kind::closed), 1u);
}

/// Of the simulator: what a closed socket had received is thrown away, and keeps no server writing.
TEST(SimClose, AServerIsNotLeftWritingToAClosedSocket) {
    Behaviour behaviour = quiet();
    behaviour.down.capacity = 1000;
    Config config = no_reconnect();
    config.receive_buffer = 4096;
    Life life(behaviour, config);
    ASSERT_TRUE(life.open());
    life.client.pause();
    for (int i = 0; i < 20; ++i) {
        life.peer().send_message(opcode::binary, std::string(1000, 'x'));
        life.world.run_for(100ms);
    }
    EXPECT_TRUE(life.peer().writing());
    EXPECT_NE(life.client.unread(), 0u);
    life.client.stop();
    life.world.run_for(10s);
    EXPECT_FALSE(life.peer().writing());
}

TEST(SimClose, StopEndsALifeWhoseConnectionHasJustEndedByItself) {
    Life life(quiet());
    ASSERT_TRUE(life.open());
    life.client.on_event = [&](const Entry& entry) {
        if (entry.kind == Kind::closing) life.client.pause();
    };
    life.peer().send(close_frame(1001, "bye"));
    life.world.run_for(20s);
    EXPECT_EQ(life.client.count(Kind::closed), 0u) << "nobody was told yet";
    life.client.stop();
    EXPECT_EQ(life.client.state(), State::idle);
    life.client.resume();
    ASSERT_TRUE(life.until_end()) << life.log();
    ASSERT_EQ(life.client.count(Kind::closed), 1u);
    EXPECT_FALSE(life.client.find(Kind::closed)->close.will_reconnect);
    EXPECT_EQ(life.error(), Errc::closed_by_peer) << "that is how it ended";
    EXPECT_EQ(life.client.count(Kind::connecting), 1u);
}

TEST(SimClose, BeforeTheConnectionIsOpenItEndsTheAttempt) {
    for (const Duration when : {0ms, 1ms, 10ms, 30ms}) {
        Life life;
        ASSERT_FALSE(life.client.start());
        life.world.run_for(when);
        EXPECT_FALSE(life.client.close());
        ASSERT_TRUE(life.until_end());
        EXPECT_EQ(life.client.log.back().kind, Kind::failed);
        EXPECT_EQ(life.error(), Errc::closed_locally);
        EXPECT_EQ(life.client.count(Kind::open), 0u);
    }
}

TEST(SimClose, WhileWaitingForTheNextAttemptItEndsTheWait) {
    Behaviour refusing = quiet();
    refusing.accept = Behaviour::Accept::refuse;
    Life life(refusing);
    ASSERT_FALSE(life.client.start());
    ASSERT_TRUE(life.until(Kind::reconnecting));
    EXPECT_FALSE(life.client.close());
    EXPECT_EQ(life.client.log.back().kind, Kind::failed);
    EXPECT_EQ(life.error(), Errc::closed_locally);
    ASSERT_TRUE(life.until_end());
}

TEST(SimClose, AnotherLifeAfterTheEnd) {
    Life life(echo());
    for (std::size_t i = 1; i <= 3; ++i) {
        ASSERT_TRUE(life.open());
        EXPECT_EQ(life.client.start(), Errc::already_started);
        EXPECT_FALSE(life.client.send_text("again"));
        ASSERT_TRUE(life.until(Kind::message, 1s, i));
        EXPECT_FALSE(life.client.close());
        ASSERT_TRUE(life.until_end());
        EXPECT_TRUE(life.client.log.back().close.clean());
    }
}

// --- misuse --------------------------------------------------------------------------------------------------------

TEST(SimMisuse, LeavesTheConnectionIntact) {
    Life life(echo());
    EXPECT_EQ(life.client.send_text("early"), Errc::not_connected);
    EXPECT_EQ(life.client.ping(""), Errc::not_connected);
    EXPECT_EQ(life.client.close(), Errc::not_connected);
    ASSERT_FALSE(life.client.start());
    EXPECT_EQ(life.client.send_text("early"), Errc::not_connected);
    ASSERT_TRUE(life.until(Kind::open));
    EXPECT_EQ(life.client.start(), Errc::already_started);
    for (const unsigned code : {0u, 999u, 1004u, 1006u, 1015u, 1016u, 2999u, 5000u, 65535u}) {
        EXPECT_EQ(life.client.close(CloseCode{static_cast<std::uint16_t>(code)}), Errc::invalid_close_code) << code;
    }
    EXPECT_EQ(life.client.close(CloseCode::normal, std::string(124, 'r')), Errc::invalid_close_reason);
    EXPECT_EQ(life.client.close(CloseCode::normal, "\xff"), Errc::invalid_close_reason);
    EXPECT_EQ(life.client.close(CloseCode::no_status, "reason"), Errc::invalid_close_reason);
    EXPECT_EQ(life.client.ping(std::string(126, 'p')), Errc::control_payload_too_long);
    EXPECT_EQ(life.client.send_text("\xc3"), Errc::outgoing_text_not_utf8);
    EXPECT_EQ(life.client.send_part(Opcode::text, "\xff", false), Errc::outgoing_text_not_utf8);
    EXPECT_EQ(life.client.send_part(Opcode::continuation, "", true), Errc::no_message_in_progress);
    EXPECT_FALSE(life.client.send_text("still here"));
    ASSERT_TRUE(life.until(Kind::message, 1s)) << life.log();
    EXPECT_EQ(life.peer().frames.size(), 1u);

    EXPECT_FALSE(life.client.close(CloseCode::normal, std::string(123, 'r')));
    EXPECT_EQ(life.client.close(), Errc::already_closing);
    EXPECT_EQ(life.client.send_text("late"), Errc::already_closing);
    EXPECT_EQ(life.client.ping(""), Errc::already_closing);
    ASSERT_TRUE(life.until_end());
    EXPECT_TRUE(life.client.log.back().close.clean());
    EXPECT_EQ(life.client.send_text("late"), Errc::not_connected);
}

TEST(SimMisuse, ATextInPartsMayEndInsideACharacterOnlyBetweenTheParts) {
    Life life;
    ASSERT_TRUE(life.open());
    EXPECT_FALSE(life.client.send_part(Opcode::text, "\xe2\x82", false));
    EXPECT_EQ(life.client.send_part(Opcode::continuation, "", true), Errc::outgoing_text_not_utf8);
    EXPECT_FALSE(life.client.send_part(Opcode::continuation, "\xac", true));
    life.world.run_for(1s);
    ASSERT_EQ(life.peer().messages.size(), 1u);
    EXPECT_EQ(life.peer().messages[0].payload, "\xe2\x82\xac");
}

}  // namespace
}  // namespace tern::sim
