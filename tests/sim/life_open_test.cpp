// Opening a connection and exchanging messages, whatever way the bytes take.
#include "life.hpp"

namespace tern::sim {
namespace {

TEST(SimOpen, FromStartToOpen) {
    Life life;
    const TimePoint begin = life.world.now();
    ASSERT_TRUE(life.open());
    EXPECT_EQ(life.world.now() - begin, 45ms);
    ASSERT_EQ(life.client.log.size(), 2u) << life.log();
    EXPECT_EQ(life.client.log[0].kind, Kind::connecting);
    EXPECT_EQ(life.client.log[0].at, begin);
    EXPECT_EQ(life.client.log[1].kind, Kind::open);
    EXPECT_EQ(life.client.log[1].handshake.response.status, 101);
    EXPECT_EQ(life.client.log[1].handshake.response.header("x-peer"), "0");
    EXPECT_EQ(life.client.log[1].handshake.subprotocol, "");
    EXPECT_NE(life.client.log[1].handshake.peer.find("192.0.2.1"), std::string::npos);
    EXPECT_EQ(life.peer().request.target, "/path");
    EXPECT_EQ(life.peer().request.header("Host"), "host");
    EXPECT_EQ(life.client.stats().connects, 1u);
    EXPECT_EQ(life.client.stats().attempts, 1u);
}

TEST(SimOpen, RequestCarriesTheConfiguration) {
    Behaviour behaviour = quiet();
    behaviour.on_request = [](Peer& peer) { peer.upgrade("Sec-WebSocket-Protocol: b\r\n"); };
    Life life(behaviour, {.url = "ws://user:secret@host/chat?x=1",
                          .subprotocols = {"a", "b"},
                          .origin = "https://example.org",
                          .headers = {{"X-One", "1"}, {"X-Two", "2"}}});
    ASSERT_TRUE(life.open());
    const Request& request = life.peer().request;
    EXPECT_EQ(request.target, "/chat?x=1");
    EXPECT_EQ(request.header("Sec-WebSocket-Protocol"), "a, b");
    EXPECT_EQ(request.header("Origin"), "https://example.org");
    EXPECT_EQ(request.header("X-One"), "1");
    EXPECT_EQ(request.header("X-Two"), "2");
    EXPECT_EQ(request.header("Authorization"), "Basic " + base64("user:secret"));
    EXPECT_EQ(life.client.find(Kind::open)->handshake.subprotocol, "b");
}

TEST(SimOpen, KeysDiffer) {
    Life life(quiet(), {.reconnect = {.min_delay = 1ms, .max_delay = 1ms}});
    ASSERT_TRUE(life.open());
    life.peer().reset();
    ASSERT_TRUE(life.until(Kind::open, 10s, 2));
    EXPECT_NE(life.server.peers[0]->request.header("Sec-WebSocket-Key"),
              life.server.peers[1]->request.header("Sec-WebSocket-Key"));
}

/// `size` bytes of valid UTF-8 with characters of every length, and their splits everywhere.
std::string some_text(std::size_t size) {
    const std::string pattern = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
    std::string text;
    while (text.size() + pattern.size() <= size) text += pattern;
    text.resize(size, 'z');
    return text;
}

class SimEcho : public ::testing::TestWithParam<std::tuple<Delivery, std::size_t>> {};

TEST_P(SimEcho, ComesBackUnchanged) {
    const auto [delivery, size] = GetParam();
    Life life(echo(), {.delivery = delivery});
    ASSERT_TRUE(life.open());
    const std::string binary = life.world.random().bytes(size);
    EXPECT_FALSE(life.client.send_text(some_text(size)));
    EXPECT_FALSE(life.client.send_binary(binary));
    EXPECT_FALSE(life.client.send_text("end"));
    life.world.run_for(5s);
    const auto messages = life.client.messages();
    ASSERT_EQ(messages.size(), 3u);
    EXPECT_TRUE(messages[0] == std::pair(Opcode::text, some_text(size)));
    EXPECT_TRUE(messages[1] == std::pair(Opcode::binary, binary));
    EXPECT_TRUE(messages[2] == std::pair(Opcode::text, std::string("end")));
    EXPECT_EQ(life.client.stats().messages_sent, 3u);
    EXPECT_EQ(life.client.stats().messages_received, 3u);
    EXPECT_EQ(life.client.stats().send_queued, 0u);
    EXPECT_EQ(life.client.count(delivery == Delivery::chunks ? Kind::message : Kind::chunk), 0u);
}

INSTANTIATE_TEST_SUITE_P(Sizes, SimEcho,
                         ::testing::Combine(::testing::Values(Delivery::messages, Delivery::chunks),
                                            ::testing::Values(0u, 1u, 125u, 126u, 65535u, 65536u, 1u << 20u)));

// --- splits --------------------------------------------------------------------------------------------------------

/// A script of a bit of everything that a server may say.
std::string everything() {
    std::string script = encode(text_frame("hello")) + encode(text_frame(""));
    script += encode({.opcode = opcode::text, .payload = "\xe2\x82", .fin = false});
    script += encode(ping_frame("between"));
    script += encode({.opcode = opcode::continuation, .payload = "", .fin = false});
    script += encode({.opcode = opcode::continuation, .payload = "\xac!"});
    script += encode(binary_frame(std::string(130, 'b'))) + encode(pong_frame("unasked")) + encode(ping_frame(""));
    for (const Frame& frame : fragments(opcode::binary, "0123456789", 4)) script += encode(frame);
    return script + encode(close_frame(1001, "bye"));
}

/// Runs the script, cut into these pieces.
std::string run_script(const std::function<std::vector<std::string>(std::string)>& cut, Delivery delivery) {
    Behaviour behaviour = quiet();
    behaviour.on_request = [&cut](Peer& peer) {
        peer.upgraded = true;
        Duration at{0};
        for (std::string& piece : cut(peer.response() + everything())) {
            peer.schedule().after(at += 1ms, [&peer, piece = std::move(piece)] { peer.write(piece); });
        }
        peer.close_sent = true;
    };
    Life life(behaviour, no_reconnect({.delivery = delivery}));
    EXPECT_FALSE(life.client.start());
    EXPECT_TRUE(life.until_end()) << life.log();
    std::string frames;
    for (const Frame& frame : life.peer().received(opcode::pong)) frames += "pong " + frame.payload + "\n";
    return life.log() + frames;
}

class SimSplit : public ::testing::TestWithParam<Delivery> {};

TEST_P(SimSplit, EverySplitGivesTheSameEvents) {
    std::size_t size = 0;
    const auto whole = run_script(
        [&](std::string all) {
            size = all.size();
            return std::vector{std::move(all)};
        },
        GetParam());
    EXPECT_NE(whole.find("text 4 \"\\xe2\\x82\\xac!\""), std::string::npos) << whole;
    EXPECT_NE(whole.find("closed 1001 \"bye\" sent 1001 received by peer"), std::string::npos) << whole;
    EXPECT_NE(whole.find("pong between\npong \n"), std::string::npos) << whole;
    ASSERT_GT(size, 200u);

    const auto bytewise = [](const std::string& all) {
        std::vector<std::string> pieces;
        for (const char c : all) pieces.emplace_back(1, c);
        return pieces;
    };
    EXPECT_EQ(run_script(bytewise, GetParam()), whole);
    for (std::size_t at = 1; at < size; ++at) {
        const auto cut = [at](const std::string& all) { return std::vector{all.substr(0, at), all.substr(at)}; };
        ASSERT_EQ(run_script(cut, GetParam()), whole) << "split at " << at;
    }
}

INSTANTIATE_TEST_SUITE_P(Deliveries, SimSplit, ::testing::Values(Delivery::messages, Delivery::chunks));

TEST(SimOpen, EveryReadSizeGivesTheSameMessages) {
    for (std::size_t limit = 1; limit <= 40; ++limit) {
        Life life(saying(everything()), no_reconnect());
        life.client.faults.max_read = limit;
        ASSERT_FALSE(life.client.start());
        ASSERT_TRUE(life.until_end());
        EXPECT_EQ(life.client.messages().size(), 5u);
        EXPECT_EQ(life.client.log.back().close.code, CloseCode::going_away);
    }
}

TEST(SimOpen, EveryWriteSizeSendsTheSameBytes) {
    const auto run = [](std::size_t limit, std::size_t pieces) {
        Life life(quiet(), no_reconnect({.fragment_size = 300}));
        life.client.faults.max_write = limit;
        life.client.faults.tx_pieces = pieces;
        EXPECT_TRUE(life.open());
        EXPECT_FALSE(life.client.send_text("first"));
        EXPECT_FALSE(life.client.send_binary(std::string(1000, 'x')));
        EXPECT_FALSE(life.client.send_part(Opcode::text, "part", false));
        EXPECT_FALSE(life.client.send_part(Opcode::continuation, "s", true));
        EXPECT_FALSE(life.client.close(CloseCode{4000}, "done"));
        EXPECT_TRUE(life.until_end()) << life.log();
        std::string frames;
        for (const auto& [at, frame] : life.peer().frames) {
            frames += std::to_string(frame.opcode) + (frame.fin ? " fin " : " ") + frame.payload + "\n";
        }
        EXPECT_TRUE(life.client.log.back().close.clean());
        return frames;
    };
    const std::string whole = run(no_limit, 16);
    EXPECT_NE(whole.find("1 fin first\n2 xxx"), std::string::npos) << whole;
    for (std::size_t limit = 1; limit <= 64; ++limit) ASSERT_EQ(run(limit, limit % 3 + 1), whole) << limit;
    EXPECT_EQ(run(1000, 1), whole);
}

// --- fragments, pings ----------------------------------------------------------------------------------------------

TEST(SimOpen, PingsInsideAMessageAreAnsweredAndTheMessageIsWhole) {
    std::string script;
    for (const Frame& frame : fragments(opcode::text, "one two three four", 5)) {
        script += encode(frame) + encode(ping_frame("ping " + std::to_string(frame.opcode)));
    }
    Life life(saying(script));
    ASSERT_TRUE(life.open());
    life.world.run_for(1s);
    ASSERT_EQ(life.client.messages().size(), 1u);
    EXPECT_EQ(life.client.messages()[0].second, "one two three four");
    EXPECT_EQ(life.client.count(Kind::ping), 4u);
    EXPECT_EQ(life.peer().received(opcode::pong).size(), 4u);
}

TEST(SimOpen, TenPingsAreAnsweredInOrderWithTheirPayloads) {
    std::string script;
    std::vector<std::string> payloads;
    for (std::size_t i = 0; i < 10; ++i) {
        payloads.push_back(std::string(i * 125 / 9, static_cast<char>('0' + i)));
        script += encode(ping_frame(payloads.back()));
    }
    Life life(saying(script));
    ASSERT_TRUE(life.open());
    life.world.run_for(1s);
    std::vector<std::string> pongs;
    for (const Frame& frame : life.peer().received(opcode::pong)) pongs.push_back(frame.payload);
    EXPECT_EQ(pongs, payloads);
}

TEST(SimOpen, OwnPingIsAnswered) {
    Life life;
    ASSERT_TRUE(life.open());
    EXPECT_FALSE(life.client.ping("are you there"));
    ASSERT_TRUE(life.until(Kind::pong, 20ms));
    EXPECT_EQ(life.client.log.back().bytes, "are you there");
}

TEST(SimOpen, PartsGoOutAsTheyAreGiven) {
    Life life;
    ASSERT_TRUE(life.open());
    EXPECT_FALSE(life.client.send_part(Opcode::text, "one ", false));
    EXPECT_EQ(life.client.send_text("no"), Errc::message_in_progress);
    EXPECT_EQ(life.client.send_part(Opcode::binary, "no", true), Errc::message_in_progress);
    EXPECT_FALSE(life.client.ping("in between"));
    EXPECT_FALSE(life.client.send_part(Opcode::continuation, "two", true));
    EXPECT_EQ(life.client.send_part(Opcode::continuation, "no", true), Errc::no_message_in_progress);
    EXPECT_FALSE(life.client.send_binary("next"));
    life.world.run_for(100ms);
    EXPECT_EQ(life.peer().messages, (std::vector<Message>{{opcode::text, "one two"}, {opcode::binary, "next"}}));
    EXPECT_EQ(life.peer().received(opcode::ping).size(), 1u);
    EXPECT_EQ(life.client.stats().messages_sent, 2u);
}

/// A slow way up, with little room in the kernels.
Behaviour slow_up(std::uint64_t bytes_per_second) {
    Behaviour behaviour = quiet();
    behaviour.up = {.bytes_per_second = bytes_per_second, .capacity = 4096, .segment = 512};
    return behaviour;
}

/// Sends 20 fragments, and looks where in the order of frames the control frame stands that is made half a second
/// later.
void expect_overtaking(unsigned control, const std::function<void(Life&)>& make) {
    Life life(slow_up(10'000), {.fragment_size = 1000, .keepalive = {.interval = 0ms}});
    ASSERT_TRUE(life.open());
    const std::uint64_t before = life.client.stats().bytes_sent;
    EXPECT_FALSE(life.client.send_binary(std::string(20'000, 'x')));
    life.world.run_for(500ms);
    make(life);
    // The kernel has the frames that it was given, and the one that it was given a part of has to be finished.
    const std::uint64_t handed_over = life.client.stats().bytes_sent - before;
    life.world.run_for(60s);
    std::uint64_t in_front = 0;
    std::size_t behind = 0;
    bool seen = false;
    for (const auto& [at, frame] : life.peer().frames) {
        if (frame.opcode == control)
            seen = true;
        else if (seen)
            ++behind;
        else
            in_front += frame.payload.size() + 8;
    }
    EXPECT_TRUE(seen);
    EXPECT_GT(behind, 5u);
    EXPECT_LE(in_front, handed_over + 1008);
    EXPECT_EQ(life.peer().messages.size(), 1u);
    EXPECT_EQ(life.client.count(Kind::writable), 1u);
}

TEST(SimOpen, PingOvertakesABulkSend) {
    expect_overtaking(opcode::ping, [](Life& life) { EXPECT_FALSE(life.client.ping("now")); });
}

TEST(SimOpen, PongOvertakesABulkSend) {
    expect_overtaking(opcode::pong, [](Life& life) {
        life.peer().send(ping_frame("now"));
        life.world.run_for(10ms);
    });
}

TEST(SimOpen, WritableComesOnlyAfterBytesHadToWait) {
    Life life(slow_up(10'000));
    ASSERT_TRUE(life.open());
    EXPECT_FALSE(life.client.send_text("fits"));
    EXPECT_FALSE(life.client.send_text("fits too"));
    EXPECT_FALSE(life.client.ping("fits too"));
    life.world.run_for(1s);
    EXPECT_EQ(life.client.count(Kind::writable), 0u);
    EXPECT_FALSE(life.client.send_binary(std::string(10'000, 'x')));
    EXPECT_GT(life.client.stats().send_queued, 0u);
    ASSERT_TRUE(life.until(Kind::writable));
    EXPECT_EQ(life.client.stats().send_queued, 0u);
    life.world.run_for(5s);
    EXPECT_EQ(life.client.count(Kind::writable), 1u);
}

TEST(SimOpen, WhatTheKernelTakesAtOnceIsNotWaitedFor) {
    Life life;
    bool sent = false;
    life.client.on_event = [&](const Entry& entry) {
        if (entry.kind != Kind::open || std::exchange(sent, true)) return;
        // Bulk and control frames at once, which one loan does not cover.
        EXPECT_FALSE(life.client.send_text("one"));
        EXPECT_FALSE(life.client.ping("two"));
        EXPECT_FALSE(life.client.send_text("three"));
    };
    ASSERT_TRUE(life.open());
    life.world.run_for(1s);
    EXPECT_EQ(life.peer().frames.size(), 3u);
    EXPECT_EQ(life.client.count(Kind::writable), 0u);
}

// --- backpressure --------------------------------------------------------------------------------------------------

TEST(SimOpen, AUserWhoTakesNothingStopsTheServer) {
    Life life;
    ASSERT_TRUE(life.open());
    const std::uint64_t before = life.client.stats().bytes_received;
    life.client.pause();
    for (int i = 0; i < 1000; ++i) life.peer().send_message(opcode::text, std::string(1024, 'm'));
    life.world.run_for(10s);
    EXPECT_LE(life.client.stats().bytes_received - before, Config{}.receive_buffer);
    EXPECT_GT(life.client.unread(), 0u);
    EXPECT_EQ(life.client.count(Kind::message), 0u);
    life.client.resume();
    life.world.run_for(10s);
    EXPECT_EQ(life.client.count(Kind::message), 1000u);
    EXPECT_EQ(life.client.unread(), 0u);
}

TEST(SimOpen, SendingInsideAHandler) {
    Behaviour behaviour = quiet();
    behaviour.on_message = [](Peer& peer, const Message& message) {
        if (message.payload.size() < 50) peer.send_message(opcode::text, message.payload + "s");
    };
    Life life(behaviour);
    life.client.on_event = [&](const Entry& entry) {
        if (entry.kind != Kind::open && entry.kind != Kind::message) return;
        EXPECT_FALSE(life.client.send_text(entry.bytes + "c"));
    };
    ASSERT_TRUE(life.open());
    life.world.run_for(5s);
    ASSERT_FALSE(life.peer().messages.empty());
    EXPECT_EQ(life.peer().messages.back().payload.size(), 51u);
}

}  // namespace
}  // namespace tern::sim
