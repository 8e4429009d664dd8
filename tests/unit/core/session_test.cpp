#include "session.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "wire.hpp"

namespace tern::core {
namespace {

using namespace std::chrono_literals;
using wire::close_body;
using wire::fragment;
using wire::frame;

using Lines = std::vector<std::string>;

/// A session with its receive buffer, a clock that only moves when it is told, and the test as its peer and kernel.
class Bench {
public:
    explicit Bench(Config settings = {})
        : config(std::move(settings)), memory_(config.receive_buffer), in(memory_), session(config, crypto, now) {}

    /// Bytes arrive, and nobody takes them.
    void arrive(std::string_view bytes) {
        in.compact();
        ASSERT_LE(bytes.size(), in.writable().size());
        if (bytes.empty()) return;
        std::memcpy(in.writable().data(), bytes.data(), bytes.size());
        in.commit(bytes.size());
        session.on_received(now);
        drained = false;
    }

    /// The user takes all there is.
    void take_events() {
        for (Event event; session.next(in, event);) {
            std::string line(event_name(event.kind));
            if (event.kind != Event::Kind::closing) line += " " + wire::shown(as_text(event.bytes));
            if (event.round_trip.count() >= 0) line += " after " + std::to_string(event.round_trip.count()) + " us";
            events.push_back(line);
        }
        drained = true;
    }

    void receive(std::string_view bytes) {
        arrive(bytes);
        take_events();
        session.settle(now);
    }

    /// The kernel takes up to `room` bytes, and refuses what is beyond.
    void flush(std::size_t room = ~std::size_t{0}) {
        for (;;) {
            std::array<Bytes, 16> pieces;
            const std::size_t count = session.tx(pieces);
            std::size_t taken = 0;
            std::size_t lent = 0;
            for (std::size_t i = 0; i < count; ++i) {
                const std::size_t size = std::min(pieces[i].size(), room - taken);
                wire += as_text(pieces[i].first(size));
                taken += size;
                lent += pieces[i].size();
            }
            session.tx_consume(taken);
            room -= taken;
            if (count == 0 || taken < lent) return;
        }
    }

    /// What has been sent since the last call.
    Lines sent() {
        flush();
        session.settle(now);
        const Lines lines = wire::read_client(wire).shown();
        const Lines news(lines.begin() + static_cast<std::ptrdiff_t>(seen_), lines.end());
        seen_ = lines.size();
        return news;
    }

    void pass(std::chrono::milliseconds time) {
        now += time;
        session.on_timeout(drained, now);
        session.settle(now);
        EXPECT_TRUE(!session.deadline() || *session.deadline() > now) << "a deadline that has passed";
    }

    [[nodiscard]] std::optional<std::chrono::milliseconds> until_deadline() const {
        if (!session.deadline()) return std::nullopt;
        return std::chrono::duration_cast<std::chrono::milliseconds>(*session.deadline() - now);
    }

    std::error_code text(std::string_view payload) { return session.send(Opcode::text, as_bytes(payload), {}); }
    std::error_code binary(std::string_view payload) { return session.send(Opcode::binary, as_bytes(payload), {}); }
    std::error_code part(Opcode opcode, std::string_view payload, bool fin = false) {
        return session.send_part(opcode, as_bytes(payload), fin, {});
    }
    void close(CloseCode code, std::string_view reason = {}) {
        ASSERT_FALSE(session.close(code, reason));
        session.settle(now);
    }

    [[nodiscard]] Stats stats() const {
        Stats all;
        session.add_to(all);
        return all;
    }

    Config config;
    TimePoint now{1000h};
    wire::SeededCrypto crypto;

private:
    std::vector<std::byte> memory_;
    std::size_t seen_ = 0;

public:
    Buffer in;
    Session session;
    bool drained = true;
    std::string wire;
    Lines events;
};

/// How it ended, in one line to compare.
std::string ending(const Bench& bench) {
    if (!bench.session.ended()) return bench.session.open() ? "open" : "ending";
    const CloseInfo info = bench.session.close_info();
    std::string line(error_row(info.error.errc())->name);
    line += " in " + std::string(phase_name(info.error.phase));
    line += ", code " + std::to_string(static_cast<unsigned>(info.code)) + " \"" + info.reason + '"';
    if (info.sent) line += ", sent " + std::to_string(static_cast<unsigned>(info.sent_code));
    if (info.received) line += ", received";
    if (info.by_peer) line += ", by peer";
    if (info.clean()) line += ", clean";
    return line;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

Config quiet() {
    Config config;
    config.keepalive.interval = 0ms;
    return config;
}

std::string close_line(unsigned code, std::string_view reason = {}) {
    return "close " + wire::shown(close_body(code, reason));
}

// --- pings of the peer ---------------------------------------------------------------------------------------------

TEST(SessionTest, PingsAreAnsweredInOrder) {
    Bench bench;
    std::string pings;
    Lines events;
    Lines pongs;
    for (unsigned i = 0; i < 10; ++i) {
        const std::string payload(i * 125 / 9, static_cast<char>('0' + i));
        pings += frame(wire::ping, payload);
        events.push_back("ping " + wire::shown(payload));
        pongs.push_back("pong " + wire::shown(payload));
    }
    bench.receive(pings);
    EXPECT_EQ(bench.events, events);
    EXPECT_EQ(bench.sent(), pongs);
    EXPECT_EQ(bench.sent(), Lines{});
}

TEST(SessionTest, PingsAreAnsweredInFrontOfWaitingMessages) {
    Bench bench;
    ASSERT_FALSE(bench.binary("first"));
    ASSERT_FALSE(bench.binary("second"));
    bench.flush(3);
    bench.receive(fragment(wire::text, "a") + frame(wire::ping, "1"));
    bench.receive(frame(wire::ping, "2") + frame(wire::continuation, "b"));
    EXPECT_EQ(bench.sent(), (Lines{R"(binary "first")", R"(pong "1")", R"(pong "2")", R"(binary "second")"}));
    EXPECT_EQ(bench.events, (Lines{R"(ping "1")", R"(ping "2")", R"(message "ab")"}));
}

TEST(SessionTest, AFloodOfPingsCostsLittleAndTheLatestIsAnswered) {
    for (const std::size_t size : {4u, 125u}) {
        Bench bench(quiet());
        Lines pings;
        std::size_t most = 0;
        for (unsigned round = 0; round < 200; ++round) {
            std::string batch;
            for (unsigned i = 0; i < 400; ++i) {
                std::string payload = wire::big_endian(round * 400 + i, 4);
                payload.resize(size, 'p');
                pings.push_back("pong " + wire::shown(payload));
                batch += frame(wire::ping, payload);
            }
            // The kernel takes nothing.
            bench.receive(batch);
            most = std::max(most, bench.session.queued());
        }
        EXPECT_LT(most, 128u << 10u);
        // The first answers were queued before the flood was noticed. After them comes the end of it.
        Lines pongs = bench.sent();
        const Lines later = bench.sent();
        pongs.insert(pongs.end(), later.begin(), later.end());
        ASSERT_FALSE(pongs.empty());
        EXPECT_EQ(pongs.back(), pings.back());
        EXPECT_TRUE(std::includes(pings.begin(), pings.end(), pongs.begin(), pongs.end())) << "answered once, in order";
        EXPECT_LT(pongs.size(), pings.size());
        // And all is well afterwards.
        bench.receive(frame(wire::ping, "calm"));
        EXPECT_EQ(bench.sent(), Lines{R"(pong "calm")"});
    }
}

TEST(SessionTest, AFloodOfPingsInOneBatch) {
    Bench bench({.receive_buffer = 1u << 20u, .keepalive = {.interval = 0ms}});
    std::string batch;
    for (unsigned i = 0; i < 5'000; ++i) batch += frame(wire::ping, wire::big_endian(i, 4) + std::string(100, 'p'));
    bench.receive(batch);
    EXPECT_LT(bench.session.queued(), 20u << 10u);
    const Lines pongs = bench.sent();
    ASSERT_FALSE(pongs.empty());
    EXPECT_EQ(pongs.back(), "pong " + wire::shown(wire::big_endian(4'999, 4) + std::string(100, 'p')));
}

// --- our own pings -------------------------------------------------------------------------------------------------

/// The payload of the last frame that was sent, which has to be a ping.
std::string take_ping(Bench& bench) {
    static_cast<void>(bench.sent());
    const wire::ClientBytes read = wire::read_client(bench.wire);
    if (read.frames.empty() || read.frames.back().opcode != wire::ping) {
        ADD_FAILURE() << "no ping: " << testing::PrintToString(read.shown());
        return "";
    }
    return read.frames.back().payload;
}

Config pinging() {
    Config config;
    config.keepalive = {.interval = 10s, .pong_timeout = 3s};
    return config;
}

TEST(SessionTest, APongTellsTheRoundTrip) {
    Bench bench(pinging());
    EXPECT_LT(bench.stats().round_trip.count(), 0);
    bench.pass(10s);
    const std::string first = take_ping(bench);
    bench.now += 30ms;
    bench.receive(frame(wire::pong, "unasked") + frame(wire::pong, first) + frame(wire::pong, first));
    EXPECT_EQ(bench.events, (Lines{R"(pong "unasked")", "pong " + wire::shown(first) + " after 30000 us",
                                   "pong " + wire::shown(first)}));
    EXPECT_EQ(bench.stats().round_trip, 30ms);

    bench.pass(10s - 30ms);
    const std::string second = take_ping(bench);
    EXPECT_NE(first, second);
    bench.now += 500us;
    bench.receive(frame(wire::pong, first) + frame(wire::pong, second));
    EXPECT_EQ(bench.events.back(), "pong " + wire::shown(second) + " after 500 us");
    EXPECT_EQ(bench.events[3], "pong " + wire::shown(first)) << "an answer to an old ping says nothing";
    EXPECT_EQ(bench.stats().round_trip, 500us);
}

TEST(SessionTest, PingsAtEveryIntervalAsLongAsTheyAreAnswered) {
    Bench bench(pinging());
    const TimePoint start = bench.now;
    for (int i = 1; i <= 5; ++i) {
        EXPECT_EQ(bench.session.deadline(), start + i * 10s);
        bench.pass(*bench.until_deadline() - 1ms);
        EXPECT_EQ(bench.sent(), Lines{}) << "too early";
        bench.pass(1ms);
        const std::string ping = take_ping(bench);
        EXPECT_EQ(bench.until_deadline(), 3s);
        bench.pass(1s);
        bench.receive(frame(wire::pong, ping));
        bench.sent();
    }
    EXPECT_TRUE(bench.session.open());
}

TEST(SessionTest, ASilentPeerIsDead) {
    Bench bench(pinging());
    bench.pass(10s);
    take_ping(bench);
    bench.pass(3s - 1ms);
    EXPECT_EQ(ending(bench), "open");
    bench.pass(1ms);
    EXPECT_EQ(ending(bench), R"(pong_timeout in open, code 1006 "")");
    EXPECT_EQ(bench.session.deadline(), std::nullopt);
    EXPECT_EQ(bench.text("late"), Errc::already_closing);
}

TEST(SessionTest, EveryByteThatArrivesIsASignOfLife) {
    Bench bench(pinging());
    bench.pass(10s);
    take_ping(bench);
    const std::string message = frame(wire::binary, std::string(100, 'x'));
    for (const char& byte : message) {
        bench.pass(3s - 1ms);
        ASSERT_EQ(ending(bench), "open");
        bench.receive({&byte, 1});
        EXPECT_EQ(bench.until_deadline(), 3s);
    }
    EXPECT_EQ(bench.sent(), Lines{}) << "no second ping before the first is answered";
    bench.pass(3s);
    EXPECT_TRUE(contains(ending(bench), "pong_timeout"));
}

TEST(SessionTest, AfterALatePongThePingThatIsDueGoesOutAtOnce) {
    Bench bench(pinging());
    bench.pass(10s);
    const std::string ping = take_ping(bench);
    for (int i = 0; i < 10; ++i) {
        bench.pass(2s);
        bench.receive(frame(wire::text, "busy"));
    }
    bench.receive(frame(wire::pong, ping));
    bench.pass(0ms);
    EXPECT_NE(take_ping(bench), ping);
    EXPECT_EQ(bench.until_deadline(), 3s);
}

TEST(SessionTest, WithoutAnIntervalThereAreNoPingsAndNoDeadline) {
    Bench bench(quiet());
    EXPECT_EQ(bench.session.deadline(), std::nullopt);
    bench.pass(24h);
    EXPECT_EQ(bench.sent(), Lines{});
    EXPECT_EQ(ending(bench), "open");
}

TEST(SessionTest, InputThatTheUserHasNotTakenDoesNotKillThePeer) {
    Bench bench(pinging());
    bench.pass(10s);
    const std::string ping = take_ping(bench);
    bench.arrive(frame(wire::text, "slow user") + frame(wire::pong, ping));
    for (int i = 0; i < 10; ++i) bench.pass(5s);
    EXPECT_EQ(ending(bench), "open");
    bench.take_events();
    bench.session.settle(bench.now);
    bench.pass(0ms);
    EXPECT_EQ(ending(bench), "open");
    // The ping that was due meanwhile; the clock of silence begins anew with it.
    EXPECT_NE(take_ping(bench), ping);
    bench.pass(3s - 1ms);
    EXPECT_EQ(ending(bench), "open");
    bench.pass(1ms);
    EXPECT_TRUE(contains(ending(bench), "pong_timeout"));
}

TEST(SessionTest, ProgressOnAFullLinkIsASignOfLife) {
    Bench bench(pinging());
    ASSERT_FALSE(bench.binary(std::string(100'000, 'x')));
    bench.flush(1'000);
    bench.pass(10s);
    for (int i = 0; i < 20; ++i) {
        bench.pass(3s - 1ms);
        ASSERT_EQ(ending(bench), "open");
        bench.flush(100);
        bench.session.settle(bench.now);
        EXPECT_EQ(bench.until_deadline(), 3s);
    }
    // A kernel that refuses everything says nothing.
    bench.pass(3s - 1ms);
    bench.flush(0);
    bench.session.settle(bench.now);
    EXPECT_EQ(bench.until_deadline(), 1ms);
    bench.pass(1ms);
    EXPECT_TRUE(contains(ending(bench), "pong_timeout"));
}

TEST(SessionTest, ProgressCountsWithoutASettleInBetween) {
    Bench bench(pinging());
    ASSERT_FALSE(bench.binary(std::string(100'000, 'x')));
    bench.flush(1'000);
    bench.pass(10s);
    bench.now += 3s;
    bench.flush(100);
    bench.session.on_timeout(true, bench.now);
    EXPECT_EQ(ending(bench), "open");
}

TEST(SessionTest, ALinkThatWasNeverFullIsNoSignOfLife) {
    Bench bench(pinging());
    bench.pass(10s);
    take_ping(bench);
    bench.pass(2s);
    // More segments than the driver asks for at once, and a message that comes while bytes are lent.
    ASSERT_FALSE(bench.binary(std::string(300'000, 'x')));
    for (;;) {
        std::array<Bytes, 1> piece;
        if (bench.session.tx(piece) == 0) break;
        bench.session.tx_consume(piece[0].size());
    }
    ASSERT_FALSE(bench.text("one"));
    std::array<Bytes, 1> piece;
    ASSERT_EQ(bench.session.tx(piece), 1u);
    ASSERT_FALSE(bench.text("two"));
    bench.session.tx_consume(piece[0].size());
    bench.flush();
    bench.session.settle(bench.now);
    EXPECT_EQ(bench.until_deadline(), 1s) << "the kernel has refused nothing, so its room says nothing";
    EXPECT_FALSE(bench.session.take_writable()) << "nothing had to wait";
}

// --- sending -------------------------------------------------------------------------------------------------------

TEST(SessionTest, MessagesAreSentInOrder) {
    Bench bench;
    ASSERT_FALSE(bench.text("one"));
    ASSERT_FALSE(bench.binary("\xff"));
    ASSERT_FALSE(bench.text(""));
    ASSERT_FALSE(bench.session.ping(as_bytes("p")));
    EXPECT_EQ(bench.sent(), (Lines{R"(ping "p")", R"(text "one")", "binary \"\xff\"", R"(text "")"}));
    EXPECT_EQ(bench.stats().messages_sent, 3u);
}

TEST(SessionTest, FragmentSizeOfTheConfiguration) {
    Bench bench({.fragment_size = 4});
    ASSERT_FALSE(bench.text("123456789"));
    ASSERT_FALSE(bench.part(Opcode::binary, "12345"));
    ASSERT_FALSE(bench.part(Opcode::continuation, "6", true));
    EXPECT_EQ(bench.sent(),
              (Lines{R"(text unfinished "1234")", R"(continuation unfinished "5678")", R"(continuation "9")",
                     R"(binary unfinished "1234")", R"(continuation unfinished "5")", R"(continuation "6")"}));
}

TEST(SessionTest, WritableOnceEverythingThatHadToWaitHasLeft) {
    Bench bench;
    ASSERT_FALSE(bench.text("no wait"));
    bench.flush();
    EXPECT_FALSE(bench.session.take_writable());
    ASSERT_FALSE(bench.text("has to wait"));
    bench.flush(3);
    EXPECT_FALSE(bench.session.take_writable());
    EXPECT_EQ(bench.stats().send_queued, 6u + 11 - 3);
    bench.flush(3);
    EXPECT_FALSE(bench.session.take_writable());
    bench.flush();
    EXPECT_TRUE(bench.session.take_writable());
    EXPECT_FALSE(bench.session.take_writable()) << "once";
    EXPECT_EQ(bench.stats().send_queued, 0u);
}

TEST(SessionTest, WritableOnceThereIsRoomForWhatWasRefused) {
    Config config;
    config.limits.max_send_queue = 1'000;
    config.water_marks.low = 200;
    Bench bench(config);
    ASSERT_FALSE(bench.text(std::string(800, 'x')));
    bench.session.want_writable();
    EXPECT_FALSE(bench.session.needs_settle());
    bench.flush();
    EXPECT_TRUE(bench.session.needs_settle());
    EXPECT_TRUE(bench.session.take_writable());
    EXPECT_FALSE(bench.session.take_writable()) << "once";

    ASSERT_FALSE(bench.text(std::string(100, 'x')));
    bench.session.want_writable();
    bench.flush(0);
    EXPECT_FALSE(bench.session.take_writable()) << "nothing has left";
    bench.flush(1);
    EXPECT_TRUE(bench.session.take_writable()) << "there is more room";
    bench.flush();
    EXPECT_FALSE(bench.session.take_writable());
}

TEST(SessionTest, APongThatHadToWaitNeedsSettlingWhenThereIsRoom) {
    Bench bench;
    std::string pings;
    for (int i = 0; i < 130; ++i) pings += frame(wire::ping, std::string(125, 'p'));
    bench.receive(pings);
    EXPECT_FALSE(bench.session.needs_settle());
    bench.receive(frame(wire::ping, "one more"));
    EXPECT_FALSE(bench.session.needs_settle()) << "the kernel has taken nothing yet";
    bench.flush();
    EXPECT_TRUE(bench.session.needs_settle());
    EXPECT_EQ(bench.sent().size(), 130u);
    EXPECT_FALSE(bench.session.needs_settle());
    EXPECT_EQ(bench.sent(), Lines{R"(pong "one more")"});
}

TEST(SessionTest, PartsOfAMessage) {
    Bench bench;
    ASSERT_FALSE(bench.part(Opcode::text, "one"));
    EXPECT_EQ(bench.stats().messages_sent, 0u) << "it is not finished";
    ASSERT_FALSE(bench.session.ping(as_bytes("p")));
    ASSERT_FALSE(bench.part(Opcode::continuation, ""));
    ASSERT_FALSE(bench.part(Opcode::continuation, "two", true));
    EXPECT_EQ(bench.stats().messages_sent, 1u);
    ASSERT_FALSE(bench.part(Opcode::binary, "\xff", true));
    ASSERT_FALSE(bench.text("three"));
    EXPECT_EQ(bench.sent(), (Lines{R"(ping "p")", R"(text unfinished "one")", R"(continuation unfinished "")",
                                   R"(continuation "two")", "binary \"\xff\"", R"(text "three")"}));
}

TEST(SessionTest, ACharacterMayBeSplitAcrossParts) {
    const std::string character = "\xf0\x9f\x92\xa9";
    for (std::size_t cut = 0; cut <= character.size(); ++cut) {
        Bench bench;
        EXPECT_FALSE(bench.part(Opcode::text, "a" + character.substr(0, cut)));
        EXPECT_FALSE(bench.part(Opcode::continuation, ""));
        EXPECT_FALSE(bench.part(Opcode::continuation, character.substr(cut), true));
        EXPECT_EQ(bench.sent().size(), 3u);
    }
}

// --- misuse --------------------------------------------------------------------------------------------------------

/// After a call that was refused everything works as before, and nothing of it was sent.
void expect_usable(Bench& bench) {
    EXPECT_EQ(bench.sent(), Lines{});
    ASSERT_FALSE(bench.text("still here"));
    ASSERT_FALSE(bench.session.ping(as_bytes("p")));
    EXPECT_EQ(bench.sent(), (Lines{R"(ping "p")", R"(text "still here")"}));
    bench.receive(frame(wire::text, "and you"));
    EXPECT_EQ(bench.events.back(), R"(message "and you")");
    EXPECT_EQ(ending(bench), "open");
}

TEST(SessionTest, InvalidOpcodes) {
    Bench bench;
    for (const Opcode opcode :
         {Opcode::continuation, Opcode::close, Opcode::ping, Opcode::pong, Opcode{3}, Opcode{15}}) {
        EXPECT_EQ(bench.session.send(opcode, as_bytes("x"), {}), Errc::invalid_opcode);
    }
    for (const Opcode opcode : {Opcode::close, Opcode::ping, Opcode::pong, Opcode{3}, Opcode{15}}) {
        EXPECT_EQ(bench.part(opcode, "x", true), Errc::invalid_opcode);
    }
    expect_usable(bench);
}

TEST(SessionTest, OutgoingTextIsChecked) {
    Bench bench;
    for (const std::string_view text : {"\xff", "abc\xc3", "\xed\xa0\x80"}) {
        EXPECT_EQ(bench.text(text), Errc::outgoing_text_not_utf8);
        EXPECT_EQ(bench.part(Opcode::text, text, true), Errc::outgoing_text_not_utf8);
    }
    EXPECT_EQ(bench.part(Opcode::text, "\xff"), Errc::outgoing_text_not_utf8);
    expect_usable(bench);
}

TEST(SessionTest, OutgoingTextIsNotCheckedWhereTheUserSaysSo) {
    Bench trusted;
    EXPECT_FALSE(trusted.session.send(Opcode::text, as_bytes("\xff"), {.trusted_utf8 = true}));
    EXPECT_FALSE(trusted.session.send_part(Opcode::text, as_bytes("\xff"), true, {.trusted_utf8 = true}));
    EXPECT_EQ(trusted.sent().size(), 2u);
    Bench unchecked({.check_outgoing_text = false});
    EXPECT_FALSE(unchecked.text("\xff"));
    EXPECT_FALSE(unchecked.part(Opcode::text, "\xff"));
    EXPECT_FALSE(unchecked.part(Opcode::continuation, "\xff", true));
    EXPECT_EQ(unchecked.sent().size(), 3u);
}

TEST(SessionTest, ARefusedPartMayBeReplaced) {
    Bench bench;
    ASSERT_FALSE(bench.part(Opcode::text, "a\xe2\x82"));
    EXPECT_EQ(bench.part(Opcode::continuation, "x"), Errc::outgoing_text_not_utf8);
    EXPECT_EQ(bench.part(Opcode::continuation, "", true), Errc::outgoing_text_not_utf8) << "it ends inside a character";
    EXPECT_EQ(bench.text("b"), Errc::message_in_progress) << "the message is still there";
    EXPECT_FALSE(bench.part(Opcode::continuation, "\xac", true));
    EXPECT_EQ(bench.sent(), (Lines{"text unfinished \"a\xe2\x82\"", "continuation \"\xac\""}));
    expect_usable(bench);
}

TEST(SessionTest, MessagesWaitForTheOneInParts) {
    Bench bench;
    ASSERT_FALSE(bench.part(Opcode::binary, "1"));
    EXPECT_EQ(bench.text("x"), Errc::message_in_progress);
    EXPECT_EQ(bench.binary("x"), Errc::message_in_progress);
    EXPECT_EQ(bench.part(Opcode::binary, "x", true), Errc::message_in_progress);
    EXPECT_EQ(bench.part(Opcode::text, "x"), Errc::message_in_progress);
    EXPECT_FALSE(bench.part(Opcode::continuation, "2", true));
    EXPECT_EQ(bench.sent(), (Lines{R"(binary unfinished "1")", R"(continuation "2")"}));
    expect_usable(bench);
}

TEST(SessionTest, NothingToContinue) {
    Bench bench;
    EXPECT_EQ(bench.part(Opcode::continuation, "x"), Errc::no_message_in_progress);
    EXPECT_EQ(bench.part(Opcode::continuation, "x", true), Errc::no_message_in_progress);
    ASSERT_FALSE(bench.part(Opcode::text, "x", true));
    EXPECT_EQ(bench.part(Opcode::continuation, "x"), Errc::no_message_in_progress);
    EXPECT_EQ(bench.sent(), Lines{R"(text "x")"});
    expect_usable(bench);
}

TEST(SessionTest, PingsAreLimited) {
    Bench bench;
    EXPECT_EQ(bench.session.ping(as_bytes(std::string(126, 'p'))), Errc::control_payload_too_long);
    expect_usable(bench);
    // Nobody reads them.
    std::size_t accepted = 0;
    while (!bench.session.ping(as_bytes(std::string(125, 'p')))) ASSERT_LT(++accepted, 1'000u);
    EXPECT_EQ(bench.session.ping(as_bytes("")), Errc::send_queue_full);
    EXPECT_EQ(bench.sent().size(), accepted);
    expect_usable(bench);
}

TEST(SessionTest, TheSendQueueIsLimited) {
    Bench bench({.limits = {.max_send_queue = 1'000}});
    const std::string payload(600, 'x');
    ASSERT_FALSE(bench.binary(payload));
    EXPECT_EQ(bench.binary(payload), Errc::send_queue_full);
    EXPECT_EQ(bench.part(Opcode::binary, payload), Errc::send_queue_full);
    EXPECT_EQ(bench.part(Opcode::text, payload, true), Errc::send_queue_full);
    EXPECT_EQ(bench.stats().messages_sent, 1u);
    EXPECT_EQ(bench.sent().size(), 1u);
    expect_usable(bench);
    // In the middle of a message in parts: the same part can be sent again.
    ASSERT_FALSE(bench.part(Opcode::text, payload + "\xc3"));
    EXPECT_EQ(bench.part(Opcode::continuation, "\xb6" + payload, true), Errc::send_queue_full);
    EXPECT_EQ(bench.sent().size(), 1u);
    EXPECT_FALSE(bench.part(Opcode::continuation, "\xb6" + payload, true));
    EXPECT_EQ(bench.sent().size(), 1u);
    expect_usable(bench);
}

TEST(SessionTest, WithoutEntropyNothingIsSent) {
    Bench bench;
    bench.crypto.calls_left = 0;
    EXPECT_EQ(bench.text("x"), Errc::no_entropy);
    EXPECT_EQ(bench.part(Opcode::text, "x"), Errc::no_entropy);
    EXPECT_EQ(bench.part(Opcode::continuation, "x"), Errc::no_message_in_progress);
    EXPECT_EQ(bench.session.ping(as_bytes("p")), Errc::no_entropy);
    EXPECT_EQ(bench.session.close(CloseCode::normal, ""), Errc::no_entropy);
    EXPECT_FALSE(bench.session.close_requested());
    EXPECT_EQ(bench.stats().messages_sent, 0u);
    bench.session.settle(bench.now);
    bench.crypto.calls_left = -1;
    expect_usable(bench);
}

TEST(SessionTest, NothingIsSentBehindAClose) {
    Bench bench;
    ASSERT_FALSE(bench.session.close(CloseCode::normal, ""));
    // At once, and also when it has taken effect.
    for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(bench.text("x"), Errc::already_closing);
        EXPECT_EQ(bench.part(Opcode::text, "x"), Errc::already_closing);
        EXPECT_EQ(bench.session.ping(as_bytes("p")), Errc::already_closing);
        EXPECT_EQ(bench.session.close(CloseCode::normal, ""), Errc::already_closing);
        bench.session.settle(bench.now);
    }
    EXPECT_EQ(bench.sent(), Lines{close_line(1000)});
    bench.receive(frame(wire::close, close_body(1000)));
    EXPECT_EQ(bench.sent(), Lines{});
    bench.session.on_end(Errc::connection_lost);
    EXPECT_EQ(ending(bench), R"(closed_locally in closing, code 1000 "", sent 1000, received, clean)");
    EXPECT_EQ(bench.text("x"), Errc::already_closing);
}

// --- closing, begun here -------------------------------------------------------------------------------------------

TEST(SessionTest, CloseComesBehindWhatWasSentBefore) {
    Bench bench;
    ASSERT_FALSE(bench.text("one"));
    ASSERT_FALSE(bench.binary(std::string(100'000, 'x')));
    bench.close(CloseCode{4000}, "done");
    EXPECT_TRUE(bench.session.close_requested());
    EXPECT_EQ(ending(bench), "ending");
    EXPECT_EQ(bench.sent(),
              (Lines{R"(text "one")", "binary " + wire::shown(std::string(100'000, 'x')), close_line(4000, "done")}));
    // The peer may still send, and is answered no more.
    bench.receive(frame(wire::text, "late") + frame(wire::ping, "p"));
    EXPECT_EQ(bench.events, (Lines{R"(message "late")", R"(ping "p")"}));
    EXPECT_EQ(bench.sent(), Lines{});
    bench.receive(frame(wire::close, close_body(4000, "ok")) + frame(wire::text, "too late"));
    EXPECT_EQ(bench.events.back(), "closing");
    EXPECT_EQ(bench.session.peer_close().code, CloseCode{4000});
    EXPECT_EQ(bench.session.peer_close().reason, "ok");
    EXPECT_EQ(bench.sent(), Lines{});
    EXPECT_EQ(ending(bench), "ending") << "the server closes TCP first";
    bench.session.on_end(Errc::connection_lost);
    EXPECT_EQ(ending(bench), R"(closed_locally in closing, code 4000 "ok", sent 4000, received, clean)");
    EXPECT_TRUE(contains(bench.session.close_info().error.detail, "4000"));
    EXPECT_FALSE(bench.session.take_half_close());
}

TEST(SessionTest, CloseInTheMiddleOfAMessageInParts) {
    Bench bench;
    ASSERT_FALSE(bench.part(Opcode::text, "begun"));
    bench.close(CloseCode::going_away);
    EXPECT_EQ(bench.sent(), (Lines{R"(text unfinished "begun")", close_line(1001)}));
}

TEST(SessionTest, CloseWithoutACode) {
    Bench bench;
    bench.close(CloseCode::no_status);
    EXPECT_EQ(bench.sent(), Lines{R"(close "")"});
    bench.receive(frame(wire::close, ""));
    bench.session.on_end(Errc::connection_lost);
    EXPECT_EQ(ending(bench), R"(closed_locally in closing, code 1005 "", sent 1005, received, clean)");
}

TEST(SessionTest, PingsAreAnsweredWhileOurCloseWaits) {
    Bench bench;
    ASSERT_FALSE(bench.text("first"));
    ASSERT_FALSE(bench.text("second"));
    bench.flush(1);
    bench.close(CloseCode::normal);
    bench.receive(frame(wire::ping, "p"));
    EXPECT_EQ(bench.sent(), (Lines{R"(text "first")", R"(pong "p")", R"(text "second")", close_line(1000)}));
}

// --- closing, begun by the peer ------------------------------------------------------------------------------------

TEST(SessionTest, ACloseIsAnsweredWithItsCode) {
    for (const unsigned code : {1000u, 1001u, 1011u, 3000u, 4999u}) {
        Bench bench;
        bench.receive(frame(wire::text, "last words") + frame(wire::ping, "p") +
                      frame(wire::close, close_body(code, "bye")) + frame(wire::ping, "too late"));
        EXPECT_EQ(bench.events, (Lines{R"(message "last words")", R"(ping "p")", "closing"}));
        EXPECT_EQ(bench.sent(), (Lines{R"(pong "p")", close_line(code)}));
        EXPECT_FALSE(bench.session.open());
        EXPECT_EQ(bench.text("x"), Errc::already_closing);
        EXPECT_EQ(bench.session.close(CloseCode::normal, ""), Errc::already_closing);
        bench.session.on_end(Errc::connection_lost);
        const std::string number = std::to_string(code);
        EXPECT_EQ(ending(bench), "closed_by_peer in closing, code " + number + R"( "bye", sent )" + number +
                                     ", received, by peer, clean");
        EXPECT_TRUE(contains(bench.session.close_info().error.detail, number));
        EXPECT_TRUE(contains(bench.session.close_info().error.detail, "bye"));
    }
}

TEST(SessionTest, ACloseWithoutACodeIsAnsweredWithoutOne) {
    Bench bench;
    bench.receive(frame(wire::close, ""));
    EXPECT_EQ(bench.sent(), Lines{R"(close "")"});
    bench.session.on_end(Errc::connection_lost);
    EXPECT_EQ(ending(bench), R"(closed_by_peer in closing, code 1005 "", sent 1005, received, by peer, clean)");
}

TEST(SessionTest, WhatWaitsWhenThePeerClosesIsDropped) {
    Bench bench;
    ASSERT_FALSE(bench.text("begun"));
    ASSERT_FALSE(bench.text("not begun"));
    bench.flush(1);
    bench.receive(frame(wire::close, close_body(1001)));
    EXPECT_EQ(bench.sent(), (Lines{R"(text "begun")", close_line(1001)}));
}

TEST(SessionTest, ThePeerEndsTheStreamBeforeItHasOurAnswer) {
    Bench bench;
    bench.receive(frame(wire::close, close_body(1000)));
    bench.session.on_end(Errc::connection_lost);
    EXPECT_EQ(ending(bench), R"(closed_by_peer in closing, code 1000 "", received, by peer)");
}

// --- closing, begun by both ----------------------------------------------------------------------------------------

TEST(SessionTest, BothCloseAndOursHasLeft) {
    Bench bench;
    bench.close(CloseCode{4000});
    EXPECT_EQ(bench.sent(), Lines{close_line(4000)});
    bench.receive(frame(wire::close, close_body(1001)));
    EXPECT_EQ(bench.sent(), Lines{}) << "a second Close";
    bench.session.on_end(Errc::connection_lost);
    EXPECT_EQ(ending(bench), R"(closed_locally in closing, code 1001 "", sent 4000, received, clean)");
}

TEST(SessionTest, BothCloseAndOursHasBegun) {
    Bench bench;
    bench.close(CloseCode{4000});
    bench.flush(3);
    bench.receive(frame(wire::close, close_body(1001)));
    EXPECT_EQ(bench.sent(), Lines{close_line(4000)});
}

TEST(SessionTest, BothCloseAndOursWaits) {
    Bench bench;
    ASSERT_FALSE(bench.text("begun"));
    ASSERT_FALSE(bench.text("not begun"));
    bench.flush(1);
    bench.close(CloseCode{4000}, "mine");
    bench.receive(frame(wire::close, close_body(1001, "yours")));
    EXPECT_EQ(bench.sent(), (Lines{R"(text "begun")", close_line(4000, "mine")}));
    bench.session.on_end(Errc::connection_lost);
    EXPECT_EQ(ending(bench), R"(closed_locally in closing, code 1001 "yours", sent 4000, received, clean)");
}

TEST(SessionTest, BothCloseBetweenTwoSettles) {
    Bench bench;
    bench.arrive(frame(wire::close, close_body(1001)));
    bench.take_events();
    ASSERT_FALSE(bench.session.close(CloseCode{4000}, ""));
    bench.session.settle(bench.now);
    EXPECT_EQ(bench.sent(), Lines{close_line(4000)});
    bench.session.on_end(Errc::connection_lost);
    EXPECT_EQ(ending(bench), R"(closed_locally in closing, code 1001 "", sent 4000, received, clean)");
}

// --- deadlines of closing ------------------------------------------------------------------------------------------

TEST(SessionTest, ThePeerDoesNotAnswerOurClose) {
    Bench bench({.timeouts = {.close = 2s}});
    bench.close(CloseCode::normal);
    bench.flush();
    EXPECT_EQ(bench.until_deadline(), 2s);
    bench.pass(2s - 1ms);
    EXPECT_EQ(ending(bench), "ending");
    bench.pass(1ms);
    EXPECT_EQ(ending(bench), R"(close_timeout in closing, code 1006 "", sent 1000)");
    EXPECT_EQ(bench.session.deadline(), std::nullopt);
}

TEST(SessionTest, ASignOfLifeDoesNotDelayTheEndOfClosing) {
    Bench bench({.timeouts = {.close = 2s}, .keepalive = {.interval = 1s, .pong_timeout = 1s}});
    bench.close(CloseCode::normal);
    bench.flush();
    for (int i = 0; i < 19; ++i) {
        bench.pass(100ms);
        bench.receive(frame(wire::text, "chatter"));
    }
    EXPECT_EQ(ending(bench), "ending");
    bench.pass(100ms);
    EXPECT_TRUE(contains(ending(bench), "close_timeout"));
    EXPECT_EQ(bench.sent(), Lines{close_line(1000)}) << "no pings any more";
}

TEST(SessionTest, OurCloseCannotLeave) {
    Bench bench({.timeouts = {.close = 2s}});
    ASSERT_FALSE(bench.text("stuck"));
    bench.flush(1);
    bench.close(CloseCode::normal);
    bench.pass(2s);
    EXPECT_EQ(ending(bench), R"(close_timeout in closing, code 1006 "")");
}

TEST(SessionTest, ThePeerDoesNotEndTcp) {
    // After both Close frames it does not matter who ends TCP.
    Bench by_peer({.timeouts = {.close = 2s}});
    by_peer.receive(frame(wire::close, close_body(1000)));
    by_peer.flush();
    EXPECT_EQ(by_peer.until_deadline(), 2s);
    by_peer.pass(2s - 1ms);
    EXPECT_EQ(ending(by_peer), "ending");
    by_peer.pass(1ms);
    EXPECT_EQ(ending(by_peer), R"(closed_by_peer in closing, code 1000 "", sent 1000, received, by peer, clean)");

    Bench by_us({.timeouts = {.close = 2s}});
    by_us.close(CloseCode::normal);
    by_us.flush();
    by_us.pass(1s);
    by_us.receive(frame(wire::close, close_body(1000)));
    EXPECT_EQ(by_us.until_deadline(), 1s) << "one deadline for all of it";
    by_us.pass(1s);
    EXPECT_EQ(ending(by_us), R"(closed_locally in closing, code 1000 "", sent 1000, received, clean)");
}

TEST(SessionTest, TheAnswerToACloseCannotLeave) {
    Bench bench({.timeouts = {.close = 2s}});
    ASSERT_FALSE(bench.text("stuck"));
    bench.flush(1);
    bench.receive(frame(wire::close, close_body(1000)));
    bench.flush(8);
    bench.pass(2s);
    EXPECT_EQ(ending(bench), R"(close_timeout in closing, code 1000 "", received, by peer)");
}

// --- failing -------------------------------------------------------------------------------------------------------

struct Violation {
    Errc error;
    std::string script;
    unsigned close_code;
};

std::vector<Violation> violations() {
    return {
        {Errc::reserved_bits, "\xc1", 1002},
        {Errc::reserved_opcode, "\x83", 1002},
        {Errc::control_fragmented, "\x09", 1002},
        {Errc::control_too_long, "\x89\x7e", 1002},
        {Errc::length_not_minimal, wire::header(wire::text, 5, true, 2), 1002},
        {Errc::length_overflow, "\x82\x7f\xff", 1002},
        {Errc::masked_frame, "\x81\x80", 1002},
        {Errc::unexpected_continuation, frame(wire::continuation, "x"), 1002},
        {Errc::unfinished_message, fragment(wire::text, "x") + frame(wire::text, "y"), 1002},
        {Errc::close_body_length, frame(wire::close, "x"), 1002},
        {Errc::close_code_invalid, frame(wire::close, close_body(1006)), 1002},
        {Errc::close_reason_not_utf8, frame(wire::close, close_body(1000, "\xff")), 1007},
        {Errc::text_not_utf8, frame(wire::text, "\xff"), 1007},
        {Errc::message_too_big, wire::header(wire::binary, (16u << 20u) + 1), 1009},
    };
}

TEST(SessionTest, EveryViolationIsAnsweredWithItsCode) {
    for (const Violation& violation : violations()) {
        const ErrorRow& row = *error_row(violation.error);
        SCOPED_TRACE(row.name);
        const std::string code = std::to_string(violation.close_code);
        Bench bench;
        ASSERT_FALSE(bench.text("begun"));
        ASSERT_FALSE(bench.text("not begun"));
        bench.flush(3);
        bench.receive(frame(wire::text, "before") + frame(wire::ping, "p") + violation.script +
                      frame(wire::text, "after"));
        EXPECT_EQ(bench.events, (Lines{R"(message "before")", R"(ping "p")"}));
        EXPECT_EQ(ending(bench), "ending");
        EXPECT_EQ(bench.text("x"), Errc::already_closing);
        EXPECT_FALSE(bench.session.take_half_close()) << "the Close has not left";
        bench.flush(5);
        EXPECT_FALSE(bench.session.take_half_close());
        EXPECT_EQ(bench.sent(), (Lines{R"(text "begun")", R"(pong "p")", close_line(violation.close_code, row.text)}));
        EXPECT_TRUE(bench.session.half_close_due());
        EXPECT_TRUE(bench.session.take_half_close());
        EXPECT_FALSE(bench.session.take_half_close()) << "once";

        // For a while the peer may read our Close. What it sends is not looked at, not even its Close.
        bench.receive(frame(wire::text, "after") + frame(wire::ping, "p") + frame(wire::close, close_body(1000)));
        EXPECT_EQ(bench.events.size(), 2u);
        EXPECT_EQ(bench.sent(), Lines{});
        EXPECT_EQ(bench.until_deadline(), 1s);
        const std::string expected = std::string(row.name) + " in open, code 1006 \"\", sent " + code;
        bench.pass(1s - 1ms);
        EXPECT_EQ(ending(bench), "ending");
        bench.pass(1ms);
        EXPECT_EQ(ending(bench), expected);

        Bench by_end;
        by_end.receive(violation.script);
        by_end.flush();
        by_end.session.on_end(Errc::connection_reset);
        EXPECT_EQ(ending(by_end), expected) << "the violation is the reason, not the reset after it";
    }
}

TEST(SessionTest, EveryRowOfAViolationIsTested) {
    for (const ErrorRow& row : error_table()) {
        if (row.condition != Condition::protocol_violation || row.code == Errc::compressed_data)
            continue;  // deflate_test
        const std::vector<Violation> all = violations();
        const auto found =
            std::find_if(all.begin(), all.end(), [&](const Violation& each) { return each.error == row.code; });
        EXPECT_NE(found, all.end()) << row.name;
    }
}

TEST(SessionTest, TheReasonIsNotLongerThanACloseFrameAllows) {
    for (const ErrorRow& row : error_table()) {
        EXPECT_TRUE(row.close_code == 0 || row.text.size() <= 123) << row.name;
    }
}

TEST(SessionTest, TheDetailOfAViolationReachesTheUser) {
    Bench bench;
    bench.receive(frame(wire::close, close_body(1006)));
    bench.session.on_end(Errc::connection_lost);
    EXPECT_EQ(bench.session.close_info().error.detail, "1006");
}

TEST(SessionTest, AViolationWhoseCloseCannotLeave) {
    Bench bench({.timeouts = {.close = 300ms}});
    ASSERT_FALSE(bench.text("stuck"));
    bench.flush(1);
    bench.receive("\xff");
    EXPECT_EQ(bench.until_deadline(), 300ms) << "never longer than timeouts.close";
    EXPECT_FALSE(bench.session.take_half_close());
    bench.pass(300ms);
    EXPECT_EQ(ending(bench), R"(reserved_bits in open, code 1006 "")");
    EXPECT_FALSE(bench.session.take_half_close());
}

TEST(SessionTest, AViolationWhileOurCloseIsUnderWay) {
    Bench left;
    left.close(CloseCode{4000});
    left.flush();
    left.receive("\xff");
    EXPECT_EQ(left.sent(), Lines{close_line(4000)});
    EXPECT_TRUE(left.session.take_half_close());
    left.session.on_end(Errc::connection_lost);
    EXPECT_EQ(ending(left), R"(reserved_bits in open, code 1006 "", sent 4000)");

    Bench waits;
    ASSERT_FALSE(waits.text("begun"));
    waits.flush(1);
    waits.close(CloseCode{4000});
    waits.receive("\xff");
    EXPECT_EQ(waits.sent(), (Lines{R"(text "begun")", close_line(1002, error_row(Errc::reserved_bits)->text)}));
    waits.session.on_end(Errc::connection_lost);
    EXPECT_EQ(ending(waits), R"(reserved_bits in open, code 1006 "", sent 1002)");
}

TEST(SessionTest, BytesBehindAPeersCloseAreNoViolation) {
    Bench bench;
    bench.receive(frame(wire::close, close_body(1000)));
    bench.receive("\xff\xff\xff");
    bench.flush();
    bench.session.on_end(Errc::connection_lost);
    EXPECT_EQ(ending(bench), R"(closed_by_peer in closing, code 1000 "", sent 1000, received, by peer, clean)");
}

TEST(SessionTest, WithoutEntropyAPeersCloseCannotBeAnswered) {
    Bench bench;
    bench.crypto.calls_left = 0;
    bench.receive(frame(wire::close, close_body(1000)));
    EXPECT_EQ(ending(bench), R"(no_entropy in closing, code 1000 "", received, by peer)");
}

TEST(SessionTest, WithoutEntropyAViolationEndsAtOnce) {
    Bench bench;
    bench.crypto.calls_left = 0;
    bench.receive("\xff");
    EXPECT_EQ(ending(bench), R"(reserved_bits in open, code 1006 "")");
}

TEST(SessionTest, WithoutEntropyThereAreNoPongsAndNoPings) {
    Bench bench(pinging());
    bench.crypto.calls_left = 0;
    bench.receive(frame(wire::ping, "p"));
    bench.pass(10s);
    EXPECT_EQ(bench.sent(), Lines{});
    EXPECT_EQ(ending(bench), "open");
    EXPECT_EQ(bench.until_deadline(), 3s) << "the deadline stands";
}

// --- the end of the stream -----------------------------------------------------------------------------------------

Error reset_by_kernel() {
    Error error(Errc::connection_reset, Phase::open, "read");
    error.native = 104;
    return error;
}

TEST(SessionTest, TheStreamEndsWhileOpen) {
    Bench lost;
    lost.receive(frame(wire::text, "last"));
    lost.session.on_end(Error(Errc::connection_lost, Phase::open));
    EXPECT_EQ(ending(lost), R"(connection_lost in open, code 1006 "")");
    EXPECT_EQ(lost.session.close_info().error.detail, "");

    Bench reset;
    reset.session.on_end(reset_by_kernel());
    EXPECT_EQ(ending(reset), R"(connection_reset in open, code 1006 "")");
    EXPECT_EQ(reset.session.close_info().error.native, 104);
    EXPECT_EQ(reset.session.close_info().error.detail, "read");
}

TEST(SessionTest, TheStreamEndsInTheMiddleOfAMessage) {
    for (const std::string& torn : {fragment(wire::text, "begun"), wire::header(wire::binary, 100'000) + "begun",
                                    wire::header(wire::text, 10) + "begun"}) {
        Bench bench;
        bench.receive(torn);
        bench.session.on_end(reset_by_kernel());
        EXPECT_EQ(ending(bench), R"(connection_reset in open, code 1006 "")");
        EXPECT_TRUE(contains(bench.session.close_info().error.detail, "in the middle of a message"))
            << bench.session.close_info().error.detail << " after " << wire::hex(torn);
    }
}

TEST(SessionTest, TheStreamEndsInsteadOfAnAnswerToOurClose) {
    Bench bench;
    bench.close(CloseCode::normal);
    bench.flush();
    bench.session.on_end(reset_by_kernel());
    EXPECT_EQ(ending(bench), R"(connection_reset in closing, code 1006 "", sent 1000)");
    EXPECT_EQ(bench.session.close_info().error.native, 104);
    EXPECT_TRUE(contains(bench.session.close_info().error.detail, "did not answer"));
}

TEST(SessionTest, OnlyTheFirstEndCounts) {
    Bench bench;
    bench.session.on_end(Error(Errc::connection_lost, Phase::open));
    const std::string first = ending(bench);
    bench.session.on_end(reset_by_kernel());
    bench.pass(24h);
    bench.receive(frame(wire::close, close_body(1000)) + "\xff");
    bench.session.stop();
    EXPECT_TRUE(ending(bench).starts_with("connection_lost")) << ending(bench);
    EXPECT_TRUE(first.starts_with("connection_lost"));
    EXPECT_EQ(bench.session.deadline(), std::nullopt);
}

TEST(SessionTest, StopEndsItInEveryState) {
    const auto stopped = [](const std::function<void(Bench&)>& prepare) {
        Bench bench;
        prepare(bench);
        bench.session.stop();
        EXPECT_EQ(bench.session.deadline(), std::nullopt);
        // Nothing is delivered any more.
        const std::size_t before = bench.events.size();
        bench.receive(frame(wire::text, "late"));
        EXPECT_EQ(bench.events.size(), before);
        return ending(bench);
    };
    EXPECT_EQ(stopped([](Bench&) {}), R"(stopped in open, code 1006 "")");
    EXPECT_EQ(stopped([](Bench& bench) {
                  bench.close(CloseCode::normal);
                  bench.flush();
              }),
              R"(stopped in closing, code 1006 "", sent 1000)");
    EXPECT_EQ(stopped([](Bench& bench) { bench.receive(frame(wire::close, close_body(1001))); }),
              R"(stopped in closing, code 1001 "", received, by peer)");
    EXPECT_EQ(stopped([](Bench& bench) { bench.receive("\xff"); }), R"(stopped in closing, code 1006 "")");
}

// --- numbers -------------------------------------------------------------------------------------------------------

TEST(SessionTest, MessagesAreCounted) {
    for (const Delivery delivery : {Delivery::messages, Delivery::chunks}) {
        Bench bench({.delivery = delivery});
        bench.receive(frame(wire::text, "1") + fragment(wire::text, "2") + frame(wire::ping, ""));
        EXPECT_EQ(bench.stats().messages_received, 1u);
        bench.arrive(frame(wire::continuation, "2") + frame(wire::binary, ""));
        bench.take_events();
        EXPECT_EQ(bench.stats().messages_received, 1u) << "as of the last settle";
        bench.session.settle(bench.now);
        EXPECT_EQ(bench.stats().messages_received, 3u);
    }
}

// --- what becomes of messages, and memory --------------------------------------------------------------------------

TEST(SessionTest, NumbersOfWhatHasLeftAndOfWhatHasNot) {
    Bench bench(quiet());
    EXPECT_FALSE(bench.session.any_unsent());
    ASSERT_FALSE(bench.session.send(Opcode::binary, as_bytes("one"), {}, 11));
    ASSERT_FALSE(bench.binary("nobody asks"));
    ASSERT_FALSE(bench.session.send_part(Opcode::text, as_bytes("half"), false, {}, 12));
    ASSERT_FALSE(bench.session.send_part(Opcode::continuation, as_bytes("half"), true, {}, 13));
    EXPECT_EQ(bench.session.take_sent(), 0u);
    bench.flush(2 + 4 + 3 - 1);
    EXPECT_EQ(bench.session.take_sent(), 0u) << "a byte is missing";
    bench.flush(1);
    EXPECT_EQ(bench.session.take_sent(), 11u);
    EXPECT_EQ(bench.session.take_sent(), 0u);
    EXPECT_TRUE(bench.session.any_unsent());
    bench.flush(2 + 4 + 11 + 3);
    bench.session.on_end(Errc::connection_lost);
    EXPECT_EQ(bench.session.take_sent(), 0u);
    EXPECT_EQ(bench.session.take_unsent(), 13u) << "the end of the message counts";
    EXPECT_EQ(bench.session.take_unsent(), 0u);
}

TEST(SessionTest, WhatHasLeftIsNotUnsentThoughNobodyWasToldYet) {
    Bench bench(quiet());
    ASSERT_FALSE(bench.session.send(Opcode::binary, as_bytes("one"), {}, 11));
    EXPECT_TRUE(bench.session.any_unsent());
    bench.flush();
    EXPECT_FALSE(bench.session.any_unsent());
    EXPECT_EQ(bench.session.take_sent(), 11u);
}

TEST(SessionTest, AProbeIsAPingAtOnceWithTheDeadlineOfAKeepalive) {
    Config config = quiet();
    config.keepalive.pong_timeout = 3s;
    Bench bench(config);
    EXPECT_EQ(bench.until_deadline(), std::nullopt);
    bench.session.probe(bench.now);
    EXPECT_LE(bench.until_deadline(), 0ms);
    bench.pass(0ms);
    EXPECT_EQ(bench.sent().size(), 1u);
    EXPECT_EQ(bench.until_deadline(), 3s);
    bench.pass(3s);
    EXPECT_TRUE(contains(ending(bench), "pong_timeout")) << ending(bench);
}

TEST(SessionTest, KnowsWhetherAMessageHasBegun) {
    Bench bench(quiet());
    EXPECT_TRUE(bench.session.between_messages());
    bench.receive(fragment(wire::text, "a"));
    EXPECT_FALSE(bench.session.between_messages());
    bench.receive(frame(wire::ping, "") + frame(wire::continuation, "b").substr(0, 1));
    EXPECT_FALSE(bench.session.between_messages());
    bench.receive(frame(wire::continuation, "b").substr(1));
    EXPECT_TRUE(bench.session.between_messages());
}

TEST(SessionTest, CongestionWantsToBeTold) {
    Config config = quiet();
    config.water_marks = {.high = 100, .low = 10};
    Bench bench(config);
    ASSERT_FALSE(bench.binary(std::string(50, 'x')));
    EXPECT_FALSE(bench.session.needs_settle());
    ASSERT_FALSE(bench.binary(std::string(50, 'x')));
    EXPECT_TRUE(bench.session.needs_settle());
    EXPECT_TRUE(bench.session.take_congested());
    EXPECT_FALSE(bench.session.needs_settle());
    EXPECT_FALSE(bench.session.take_congested());
}

/// One that was sent as usual makes room for those behind it.
TEST(SessionTest, MessagesWithNothingSpecialAboutThemAreQuick) {
    const auto quick = [](Bench& bench, Opcode opcode = Opcode::binary, std::string_view payload = "1234567890") {
        return bench.session.send_quickly(opcode, as_bytes(payload), {});
    };
    Config config = quiet();
    config.water_marks = {.high = 100, .low = 10};
    {
        Bench bench(config);
        ASSERT_FALSE(bench.binary(""));
        EXPECT_TRUE(quick(bench));
        EXPECT_TRUE(quick(bench, Opcode::text));
        EXPECT_FALSE(quick(bench, Opcode::text, "\xff"));
        EXPECT_FALSE(quick(bench, Opcode::ping));
        EXPECT_FALSE(quick(bench, Opcode::continuation));
        // Until the high mark could be reached; beyond it, there is nothing more to tell.
        EXPECT_FALSE(quick(bench, Opcode::binary, std::string(48, 'x')));
        EXPECT_TRUE(quick(bench, Opcode::binary, std::string(47, 'x')));
        EXPECT_FALSE(bench.session.take_congested());
        ASSERT_FALSE(bench.binary("12345678901234567890"));
        EXPECT_TRUE(bench.session.take_congested());
        EXPECT_TRUE(quick(bench));
        Stats stats;
        bench.session.add_to(stats);
        EXPECT_EQ(stats.messages_sent, 6u);
    }
    {
        Bench bench(config);
        ASSERT_FALSE(bench.part(Opcode::text, "part", false));
        EXPECT_FALSE(quick(bench));
        ASSERT_FALSE(bench.part(Opcode::continuation, "part", true));
        EXPECT_TRUE(quick(bench));
        ASSERT_FALSE(bench.session.close(CloseCode::normal, {}));
        EXPECT_FALSE(quick(bench));
    }
    {
        Bench bench(config);
        ASSERT_FALSE(bench.binary(""));
        bench.session.stop();
        EXPECT_FALSE(quick(bench));
    }
    config.fragment_size = 1'000;
    Bench bench(config);
    ASSERT_FALSE(bench.binary(""));
    EXPECT_FALSE(quick(bench));
}

TEST(SessionTest, AMessageForWhichTheCeilingLeavesNoRoomCanComeLater) {
    const Config config = quiet();
    const TimePoint now{1000h};
    wire::SeededCrypto crypto;
    MemoryBudget budget(40'000);
    Session session(config, crypto, now, {}, &budget);
    const std::string large(15'000, 'x');
    const std::size_t others = 40'000 - budget.used() - 10'000;
    ASSERT_TRUE(budget.take(others));
    EXPECT_EQ(session.send(Opcode::binary, as_bytes(large), {}), Errc::send_queue_full);
    EXPECT_TRUE(session.starving());
    EXPECT_TRUE(session.needs_settle()) << "memory that is only kept may help";
    session.settle(now);
    EXPECT_FALSE(session.needs_settle());
    EXPECT_TRUE(session.starving());
    EXPECT_TRUE(session.open());
    budget.give(others);
    EXPECT_FALSE(session.send(Opcode::binary, as_bytes(large), {}));
    EXPECT_FALSE(session.starving());
}

}  // namespace
}  // namespace tern::core
