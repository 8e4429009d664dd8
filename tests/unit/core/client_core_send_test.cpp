// What becomes of messages: their fates, the offline queue, and what is kept until the kernel has it.
#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core.hpp>

#include "driven_core.hpp"
#include "wire.hpp"

namespace tern {
namespace {

using namespace std::chrono_literals;
using Kind = Event::Kind;
using Lines = std::vector<std::string>;

/// A client that keeps trying, with a fixed delay.
class Sending {
public:
    explicit Sending(Config config = {}) : core(foreseeable(std::move(config))) {
        EXPECT_FALSE(core.start(StartMode::keep_trying));
    }
    ClientCore* operator->() { return &*core; }

    void open() {
        core.connect();
        core.receive(core.answer());
        core.take();
    }
    /// Sends, and returns the number.
    std::uint64_t watch(std::string_view text, SendOptions options = {}) {
        std::uint64_t number = 0;
        options.number = &number;
        EXPECT_FALSE(core->send(Opcode::text, as_bytes(text), options)) << text;
        return number;
    }
    /// The kernel takes up to `room` bytes.
    void write(std::size_t room = ~std::size_t{0}) {
        std::array<Bytes, 4> pieces;
        while (const std::size_t count = core->tx(core.stream(), pieces)) {
            std::size_t taken = 0;
            for (std::size_t i = 0; i < count; ++i) {
                const std::size_t size = std::min(pieces[i].size(), room - taken);
                wire += as_text(pieces[i].first(size));
                taken += size;
            }
            core->tx_consume(core.stream(), taken);
            room -= taken;
            if (room == 0) break;
        }
        core.take();
    }
    /// What the kernel has got of the stream, frame by frame; `write` counts from a new stream on then.
    Lines heard() { return wire::read_client(std::exchange(wire, {})).shown(); }
    [[nodiscard]] auto count(Kind kind) const { return std::count(core.kinds.begin(), core.kinds.end(), kind); }
    void lose_connection() {
        core->on_eof(core.stream(), core.now());
        core.take();
        core.expect(Command::Kind::close);
    }
    void reopen() {
        core.pass(300ms);
        open();
    }

    DrivenCore core;
    std::string wire;
};

Config queueing(OfflineQueue queue) { return {.offline_queue = queue}; }

Config with_little_memory(std::size_t max_memory) {
    Config config = queueing({.max_bytes = 100'000});
    config.receive_buffer = 4096;
    config.limits.max_head_size = 4096;
    config.limits.max_error_body = 1024;
    config.limits.max_memory = max_memory;
    return config;
}

// --- fates ---------------------------------------------------------------------------------------------------------

TEST(ClientCoreFates, AreToldToThoseWhoAskOnceTheKernelHasAllOfIt) {
    Sending client;
    client.open();
    EXPECT_EQ(client.watch("one"), 1u);
    EXPECT_FALSE(client->send(Opcode::text, as_bytes("nobody asks")));
    EXPECT_EQ(client.watch("two"), 2u);
    EXPECT_FALSE(client->needs_settle());
    client.write(2 + 4 + 2);
    EXPECT_EQ(client.core.fates, Lines{});
    std::array<Bytes, 1> piece;
    ASSERT_EQ(client->tx(client.core.stream(), piece), 1u);
    client->tx_consume(client.core.stream(), 1);
    EXPECT_TRUE(client->needs_settle()) << "there is an event";
    client.core.take();
    EXPECT_FALSE(client->needs_settle());
    EXPECT_EQ(client.core.fates, Lines{"1 sent"});
    client.write();
    EXPECT_EQ(client.core.fates, (Lines{"1 sent", "2 sent"}));
}

TEST(ClientCoreFates, OfAMessageInParts) {
    Sending client;
    client.open();
    std::uint64_t number = 0;
    EXPECT_FALSE(client->send_part(Opcode::text, as_bytes("begun "), false, {.number = &number}));
    EXPECT_EQ(number, 0u) << "it is not complete";
    EXPECT_FALSE(client->send_part(Opcode::continuation, as_bytes("and ended"), true, {.number = &number}));
    EXPECT_EQ(number, 1u);
    client.write();
    EXPECT_EQ(client.core.fates, Lines{"1 sent"});
    EXPECT_EQ(client->send_part(Opcode::continuation, as_bytes("x"), true, {.number = &number}),
              Errc::no_message_in_progress);
    EXPECT_EQ(number, 1u) << "what is refused has no number";
    EXPECT_EQ(client.watch("next"), 2u);
}

TEST(ClientCoreFates, WithoutAQueueWhatHasNotLeftIsLostWithTheConnection) {
    Sending client;
    client.open();
    client.watch("one");
    client.write();
    client.watch("two");
    client.watch("three");
    client.write(3);
    client.lose_connection();
    EXPECT_EQ(client.core.fates, (Lines{"1 sent", "2 dropped connection_lost", "3 dropped connection_lost"}));
    EXPECT_EQ(client.core.kinds.back(), Kind::reconnecting);
    client.heard();
    client.reopen();
    client.write();
    EXPECT_EQ(client.heard(), Lines{});
}

TEST(ClientCoreFates, AreToldBeforeTheLastEvent) {
    Sending client;
    client.open();
    client.watch("one");
    client->stop(client.core.now());
    client.core.kinds.clear();
    client.core.take();
    EXPECT_EQ(client.core.kinds, (std::vector<Kind>{Kind::fate, Kind::closed}));
    EXPECT_EQ(client.core.fates, Lines{"1 dropped stopped"});
}

// --- the offline queue ---------------------------------------------------------------------------------------------

TEST(ClientCoreQueue, WhatWaitsIsSentInItsOrderOnceThereIsAConnection) {
    Sending client(queueing({.max_bytes = 100}));
    EXPECT_EQ(client.watch("one"), 1u);
    EXPECT_FALSE(client->send(Opcode::binary, as_bytes("two")));
    EXPECT_EQ(client.watch(""), 3u) << "all of them count";
    EXPECT_EQ(client->send_queued(), 6u);
    EXPECT_EQ(client->stats().send_queued, 6u);
    client.open();
    EXPECT_EQ(client.watch("four"), 4u);
    client.write();
    EXPECT_EQ(client.heard(), (Lines{R"(text "one")", R"(binary "two")", R"(text "")", R"(text "four")"}));
    EXPECT_EQ(client.core.fates, (Lines{"1 sent", "3 sent", "4 sent"}));
    EXPECT_EQ(client->send_queued(), 0u);
    EXPECT_EQ(client->stats().messages_sent, 4u);
}

TEST(ClientCoreQueue, TakesWhatAConnectionWouldTake) {
    Sending client(queueing({.max_bytes = 10}));
    const auto send = [&](Opcode opcode, std::string_view text, SendOptions options = {}) {
        return client->send(opcode, as_bytes(text), options);
    };
    EXPECT_EQ(send(Opcode::ping, "x"), Errc::invalid_opcode);
    EXPECT_EQ(send(Opcode::continuation, "x"), Errc::invalid_opcode);
    EXPECT_EQ(send(Opcode::text, "\xff"), Errc::outgoing_text_not_utf8);
    EXPECT_EQ(client->send_part(Opcode::text, as_bytes("x"), false), Errc::not_connected) << "no parts";
    EXPECT_FALSE(send(Opcode::binary, "\xff"));
    EXPECT_FALSE(send(Opcode::text, "\xfe", {.trusted_utf8 = true})) << "who says so is believed";
    std::uint64_t number = 0;
    EXPECT_EQ(send(Opcode::text, "12345678901", {.number = &number}), Errc::send_queue_full);
    EXPECT_EQ(number, 0u);
    client.open();
    client.write();
    EXPECT_EQ(client.heard(), (Lines{"binary \"\xff\"", "text \"\xfe\""}));
    EXPECT_FALSE(client->close());
    EXPECT_EQ(send(Opcode::text, "x"), Errc::already_closing);
    EXPECT_EQ(client->send_part(Opcode::text, as_bytes("x"), true), Errc::already_closing);

    Sending without;
    EXPECT_EQ(without->send(Opcode::text, as_bytes("x")), Errc::not_connected);
}

TEST(ClientCoreQueue, MessagesExpireAtTheDeadlineOfTheCore) {
    Sending client(queueing({.max_bytes = 100, .expire_after = 10s}));
    client.core->on_resolved(client.core.expect(Command::Kind::resolve).id, {}, Errc::host_not_found,
                             client.core.now());
    client.core.take();
    EXPECT_EQ(client->deadline(), client.core.now() + 300ms);
    client.watch("for less", {.expires = client.core.now() + 100ms});
    EXPECT_TRUE(client->needs_settle()) << "the deadline moves";
    client->settle(client.core.now());
    EXPECT_EQ(client->deadline(), client.core.now() + 100ms);
    client.watch("for the queue's time");
    client.core.pass(100ms);
    EXPECT_EQ(client.core.fates, Lines{"1 expired"});
    client.core.pass(10s);
    EXPECT_EQ(client.core.fates, (Lines{"1 expired", "2 expired"}));
}

TEST(ClientCoreQueue, TheEndOfTheLifeDropsWhatWaits) {
    Sending client(queueing({.max_bytes = 100}));
    client.watch("one");
    client.core.kinds.clear();
    EXPECT_FALSE(client->close());
    client.core.take();
    EXPECT_EQ(client.core.fates, Lines{"1 dropped closed_locally"});
    EXPECT_EQ(client.core.kinds.back(), Kind::failed);
    EXPECT_EQ(client->send_queued(), 0u);
    EXPECT_EQ(client->stats().memory, 0u);
    EXPECT_EQ(client->send(Opcode::text, as_bytes("x")), Errc::not_connected);
}

TEST(ClientCoreQueue, WhatTheKernelHasNotGotIsSentAgain) {
    Sending client(queueing({.max_bytes = 100}));
    client.open();
    client.watch("one");
    EXPECT_FALSE(client->send(Opcode::text, as_bytes("two")));
    client.watch("three");
    client.write(2 + 4 + 3 + 5);
    EXPECT_EQ(client.core.fates, Lines{"1 sent"});
    client.lose_connection();
    client.watch("four");
    EXPECT_EQ(client->send_queued(), 12u);
    client.heard();
    client.reopen();
    client.write();
    EXPECT_EQ(client.heard(), (Lines{R"(text "two")", R"(text "three")", R"(text "four")"}));
    EXPECT_EQ(client.core.fates, (Lines{"1 sent", "3 sent", "4 sent"})) << "of the second nobody asked";
}

TEST(ClientCoreQueue, NotIfThatIsNotWanted) {
    Sending client(queueing({.max_bytes = 100, .resend = false}));
    client.watch("waits");
    client.open();
    client.write();
    client.watch("lost");
    client.lose_connection();
    EXPECT_EQ(client.core.fates, (Lines{"1 sent", "2 dropped connection_lost"}));
}

TEST(ClientCoreQueue, PartsAreNotSentAgain) {
    Sending client(queueing({.max_bytes = 100}));
    client.open();
    std::uint64_t number = 0;
    EXPECT_FALSE(client->send_part(Opcode::text, as_bytes("a part"), true, {.number = &number}));
    client.watch("whole");
    client.lose_connection();
    EXPECT_EQ(client.core.fates, Lines{"1 dropped connection_lost"});
    client.reopen();
    client.write();
    EXPECT_EQ(client.heard(), Lines{R"(text "whole")"});
}

TEST(ClientCoreQueue, WhatTheUserClosesBeforeItLeftIsNotSentAgain) {
    Sending client(queueing({.max_bytes = 100}));
    client.open();
    client.watch("one");
    EXPECT_FALSE(client->send(Opcode::text, as_bytes("nobody asks")));
    EXPECT_FALSE(client->close());
    client.core.take();
    client->on_eof(client.core.stream(), client.core.now());
    client.core.take();
    EXPECT_EQ(client.core.fates, Lines{"1 dropped connection_lost"});
    EXPECT_EQ(client->state(), State::idle);
}

TEST(ClientCoreQueue, GoesToTheConnectionAsThereIsRoom) {
    Config config = queueing({.max_bytes = 2000});
    config.limits.max_send_queue = 100;
    Sending client(config);
    client.watch(std::string(60, 'a'));
    client.watch(std::string(60, 'b'));
    client.watch(std::string(500, 'c'));
    EXPECT_FALSE(client->send(Opcode::text, as_bytes(std::string(500, 'd'))));
    client.watch("e");
    client.open();
    EXPECT_EQ(client->send_part(Opcode::text, as_bytes("a part"), false), Errc::send_queue_full)
        << "it would come before what waits";
    client.write();
    EXPECT_EQ(client.heard().size(), 3u);
    EXPECT_EQ(client.core.fates, (Lines{"1 sent", "2 sent", "3 dropped send_queue_full", "5 sent"}))
        << "what never fits does not block the rest";
}

TEST(ClientCoreQueue, WhoIsRefusedIsToldWhenThereIsRoom) {
    Config config;
    config.limits.max_send_queue = 100;
    Sending client(config);
    client.open();
    const auto writable = [&] { return client.count(Kind::writable); };
    EXPECT_EQ(client->send(Opcode::text, as_bytes(std::string(500, 'x'))), Errc::send_queue_full);
    EXPECT_FALSE(client->needs_settle());
    EXPECT_FALSE(client->send(Opcode::text, as_bytes(std::string(60, 'x'))));
    client.write();
    EXPECT_EQ(writable(), 0) << "what is refused when nothing waits will never fit";

    EXPECT_FALSE(client->send(Opcode::text, as_bytes(std::string(60, 'x'))));
    EXPECT_EQ(client->send(Opcode::text, as_bytes(std::string(60, 'x'))), Errc::send_queue_full);
    client.write();
    EXPECT_EQ(writable(), 1);
    EXPECT_EQ(client->send_part(Opcode::text, as_bytes(std::string(60, 'x')), false), std::error_code());
    EXPECT_EQ(client->send_part(Opcode::continuation, as_bytes(std::string(60, 'x')), true), Errc::send_queue_full);
    client.write();
    EXPECT_EQ(writable(), 2);
    client.write();
    EXPECT_EQ(writable(), 2) << "once";
}

TEST(ClientCoreQueue, WhoIsRefusedBecauseOfTheQueueIsToldToo) {
    Config config = queueing({.max_bytes = 150});
    config.limits.max_send_queue = 100;
    Sending client(config);
    client.watch(std::string(60, 'a'));
    client.watch(std::string(60, 'b'));
    EXPECT_EQ(client->send(Opcode::text, as_bytes(std::string(60, 'c'))), Errc::send_queue_full);
    client.open();
    EXPECT_EQ(client->send(Opcode::text, as_bytes(std::string(100, 'c'))), Errc::send_queue_full) << "`b` waits yet";
    client.write();
    EXPECT_EQ(client.count(Kind::writable), 1);
    client.watch(std::string(60, 'c'));
}

TEST(ClientCoreQueue, ACopyForWhichThereIsNoMemoryRefusesTheMessage) {
    Sending client(with_little_memory(40'000));
    client.open();
    std::uint64_t number = 0;
    const std::string large(30'000, 'x');
    EXPECT_EQ(client->send(Opcode::text, as_bytes(large), {.number = &number}), Errc::send_queue_full);
    EXPECT_EQ(number, 0u);
    EXPECT_EQ(client.watch("small"), 1u);
    // A copy of what the connection refuses is not kept either.
    EXPECT_EQ(client->send(Opcode::text, as_bytes("\xff")), Errc::outgoing_text_not_utf8);
    client.write();
    client.lose_connection();
    EXPECT_EQ(client.core.fates, Lines{"1 sent"});
    EXPECT_EQ(client->send_queued(), 0u);
}

TEST(ClientCoreQueue, ACopyGetsMemoryThatWasOnlyKept) {
    Sending client(with_little_memory(46'000));
    client.open();
    // What a message was put together in is kept for the next one.
    const std::string half(14'000, 'a');
    client.core.receive(wire::fragment(wire::text, half));
    client.core.receive(wire::frame(wire::continuation, half));
    client.core.take();
    const std::string text(16'000, 'x');
    std::error_code error = client->send(Opcode::text, as_bytes(text));
    EXPECT_EQ(error, Errc::send_queue_full);
    for (int tries = 0; error && tries < 3; ++tries) {
        client.core.take();
        error = client->send(Opcode::text, as_bytes(text));
    }
    EXPECT_FALSE(error) << "refused for ever";
}

// --- while one connection takes the place of another ---------------------------------------------------------------

/// The first connection has messages left that nobody takes, and the second is there.
struct Replaced : Sending {
    Replaced() : Sending(queueing({.max_bytes = 10})) {
        open();
        first = core.stream();
        watch("1");
        write();
        watch("2");
        EXPECT_FALSE(core->refresh(core.now()));
        open();
        second = core.stream();
        EXPECT_EQ(core.kinds.back(), Kind::switched);
        watch("3");
        watch("more than the queue takes, which is not what it is");
        EXPECT_EQ(core->send_part(Opcode::text, as_bytes("a part"), false), Errc::send_queue_full);
        write();
        heard_by_first = heard();
        EXPECT_EQ(heard_by_first, Lines{R"(text "1")"}) << "what came before it may yet come back";
    }
    StreamId first = 0;
    StreamId second = 0;
    Lines heard_by_first;
    const std::string later = R"(text "more than the queue takes, which is not what it is")";
};

TEST(ClientCoreReplaced, WhatTheFirstDoesSendIsNotSentAgain) {
    Replaced client;
    client.core.turn_to(client.first);
    client.write();
    EXPECT_EQ(client.heard().at(0), R"(text "2")");
    client.core.turn_to(client.second);
    client.write();
    EXPECT_EQ(client.heard().at(0), R"(text "3")");
    EXPECT_EQ(client.core.fates, (Lines{"1 sent", "2 sent", "3 sent", "4 sent"}));
}

TEST(ClientCoreReplaced, WhatTheFirstCannotSendComesFirst) {
    Replaced client;
    client->on_eof(client.first, client.core.now());
    client.core.take();
    client.write();
    const Lines heard = client.heard();
    ASSERT_EQ(heard.size(), 3u);
    EXPECT_EQ(heard[0], R"(text "2")");
    EXPECT_EQ(heard[1], R"(text "3")");
    EXPECT_EQ(client.core.fates, (Lines{"1 sent", "2 sent", "3 sent", "4 sent"}));
}

TEST(ClientCoreReplaced, WhatTheFirstCannotSendDoesNotWaitForWhoTakesWhatItReceived) {
    Replaced client;
    const std::string message = wire::frame(wire::text, "nobody takes this");
    std::memcpy(client->rx_space(client.first).data(), message.data(), message.size());
    client->rx_commit(client.first, message.size(), client.core.now());
    client->on_timeout(client.core.now() + Config().timeouts.close);
    std::array<Bytes, 1> piece;
    ASSERT_EQ(client->tx(client.second, piece), 1u);
    const auto frame = wire::read_client(as_text(piece[0])).frames.at(0);
    EXPECT_EQ(frame.payload, "2");
    client->tx_consume(client.second, 0);
    client.core.take();
    EXPECT_EQ(client.core.texts, Lines{"nobody takes this"}) << "and yet it is delivered";
}

TEST(ClientCoreReplaced, CloseWaitsForNobody) {
    Replaced client;
    EXPECT_FALSE(client->close());
    client.write();
    const Lines heard = client.heard();
    ASSERT_EQ(heard.size(), 3u);
    EXPECT_EQ(heard[0], R"(text "3")");
    EXPECT_TRUE(heard[2].starts_with("close ")) << heard[2];
    EXPECT_EQ(client->close(), Errc::already_closing);
    client.core.receive(wire::frame(wire::close, wire::close_body(1000)));
    client->on_eof(client.second, client.core.now());
    client.core.take();
    EXPECT_EQ(client.core.fates, (Lines{"1 sent", "3 sent", "4 sent", "2 dropped connection_lost"}));
    EXPECT_EQ(client.core.kinds.back(), Kind::closed);
}

}  // namespace
}  // namespace tern
