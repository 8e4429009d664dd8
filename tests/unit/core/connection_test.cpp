#include "connection.hpp"

#include <array>
#include <cstring>
#include <functional>

#include <gtest/gtest.h>

#include "counting_pool.hpp"
#include "fake_tls.hpp"
#include "wire.hpp"

namespace tern::core {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
constexpr TimePoint start{std::chrono::hours(1)};

/// A connection along a route, and its other end: the proxy and the server, as functions of what they were sent.
struct Way {
    bool proxy = false;
    bool proxy_tls = false;
    bool tls = false;
    bool socks = false;  ///< The proxy.
};

std::string name_of(const Way& way) {
    return std::string(way.socks       ? "socks_proxy_"
                       : way.proxy_tls ? "https_proxy_"
                       : way.proxy     ? "http_proxy_"
                                       : "direct_") +
           (way.tls ? "wss" : "ws");
}

class Bench {
public:
    Bench(const Way& way, std::size_t piece, Config settings = {}, MemoryBudget* budget = nullptr)
        : way_(way), piece_(piece), config(std::move(settings)) {
        config.receive_buffer = 4096;
        EXPECT_FALSE(parse_url(way.tls ? "wss://host.test/path" : "ws://host.test/path", url));
        EXPECT_FALSE(parse_proxy_url(way.socks       ? "socks5h://proxy.test"
                                     : way.proxy_tls ? "https://proxy.test"
                                                     : "http://proxy.test",
                                     proxy));
        context = library.create({}, error);
        connection = std::make_unique<Connection>(config,
                                                  Route{.url = url,
                                                        .proxy = way.proxy ? &proxy : nullptr,
                                                        .tls = way.tls ? context.get() : nullptr,
                                                        .proxy_tls = way.proxy_tls ? context.get() : nullptr},
                                                  library, now, budget);
    }

    /// Bytes arrive in pieces; events are taken after each.
    void receive(std::string bytes) {
        while (!bytes.empty()) {
            const std::span<std::byte> space = connection->rx_space();
            if (space.empty()) break;
            const std::size_t size = std::min({space.size(), bytes.size(), piece_});
            std::memcpy(space.data(), bytes.data(), size);
            connection->rx_commit(size, now);
            bytes.erase(0, size);
            settle();
        }
        refused_bytes += bytes.size();
    }
    void settle() {
        connection->settle(now);
        for (Event event; connection->next(event);) {
            events.push_back(std::string(event_name(event.kind)) + " " + std::to_string(event.bytes.size()));
            if (event.kind == Event::Kind::message) messages += as_text(event.bytes);
        }
        connection->settle(now);
    }
    /// What is sent, as it is on the wire.
    std::string sent(std::size_t at_once = 1'000'000) {
        std::string bytes;
        for (;;) {
            std::array<Bytes, 4> pieces;
            const std::size_t count = connection->tx(pieces);
            if (count == 0) return bytes;
            std::size_t size = 0;
            for (std::size_t i = 0; i < count && size < at_once; ++i) {
                const std::size_t taken = std::min(pieces[i].size(), at_once - size);
                bytes += as_text(pieces[i].first(taken));
                size += taken;
            }
            connection->tx_consume(size);
        }
    }

    /// Plays proxy and server until the connection is open, or does not answer any more.
    void open(const std::function<std::string(const std::string& request)>& answer = {}) {
        if (way_.proxy_tls) greet();
        if (way_.proxy) pass_proxy();
        if (way_.tls) {
            EXPECT_EQ(unwrapped(way_.proxy_tls ? 1 : 0), "hello\n");
            say("welcome\n", way_.proxy_tls ? 1 : 0);
        }
        const std::string request = unwrapped(2);
        EXPECT_TRUE(request.starts_with("GET /path HTTP/1.1\r\nHost: host.test\r\n")) << request;
        if (answer) return say(answer(request));
        const std::string name = "Sec-WebSocket-Key: ";
        const std::string key = request.substr(request.find(name) + name.size(), 24);
        const auto digest = library.sha1(as_bytes(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
        say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
            library.base64(digest) + "\r\n\r\n" + behind_upgrade);
    }
    void pass_proxy() {
        if (way_.socks) {
            EXPECT_EQ(unwrapped(1), "\x05\x01\x00"s);
            say("\x05\x00"s, 1);
            EXPECT_EQ(unwrapped(1), "\x05\x01\x00\x03\x09host.test"s + (way_.tls ? "\x01\xbb"s : "\x00\x50"s));
            return say("\x05\x00\x00\x01"s + std::string(6, '\0'), 1);
        }
        const std::string request = unwrapped(1);
        EXPECT_TRUE(request.starts_with("CONNECT host.test:" + std::string(way_.tls ? "443" : "80") + " HTTP/1.1\r\n"))
            << request;
        say("HTTP/1.1 200 Connection established\r\n\r\n", 1);
    }
    /// In records of all layers that are up, or of the outer ones only.
    void say(std::string bytes, int layers = 2) { receive(wrapped(std::move(bytes), layers)); }
    std::string wrapped(std::string bytes, int layers = 2) const {
        if (way_.tls && layers == 2) bytes = FakeTls::record(bytes);
        if (way_.proxy_tls && layers >= 1) bytes = FakeTls::record(bytes);
        return bytes;
    }
    std::string unwrapped(int layers = 2) {
        std::string bytes = sent();
        if (way_.proxy_tls && layers >= 1) bytes = FakeTls::read_records(bytes);
        if (way_.tls && layers == 2) bytes = FakeTls::read_records(bytes);
        return bytes;
    }

    FakeTls library;
    Error error;
    std::unique_ptr<tls::Context> context;
    TimePoint now = start;

private:
    void greet() {
        EXPECT_EQ(sent(), "hello\n");
        receive("welcome\n");
    }
    const Way way_;
    const std::size_t piece_;

public:
    Config config;
    Url url;
    ProxyUrl proxy;
    std::unique_ptr<Connection> connection;
    std::string behind_upgrade;
    std::vector<std::string> events;
    std::string messages;
    std::size_t refused_bytes = 0;
};

class ConnectionTest : public testing::TestWithParam<Way> {
protected:
    static constexpr std::size_t pieces[] = {1, 2, 7, 1000, 1'000'000};
};

TEST_P(ConnectionTest, OpensAndTalks) {
    for (const std::size_t piece : pieces) {
        Bench bench(GetParam(), piece);
        bench.behind_upgrade = wire::frame(wire::text, "first");
        bench.open();
        ASSERT_EQ(bench.connection->stage(), Connection::Stage::session) << bench.connection->error().message();
        EXPECT_EQ(bench.messages, "first");
        EXPECT_EQ(bench.connection->phase(), Phase::open);
        const std::unique_ptr<Handshake> handshake = bench.connection->take_handshake();
        EXPECT_EQ(handshake->tls.version, GetParam().tls ? "fake" : "");
        EXPECT_EQ(handshake->proxy_tls.version, GetParam().proxy_tls ? "fake" : "");

        ASSERT_FALSE(bench.connection->session().send(Opcode::text, as_bytes("hello"), {}));
        EXPECT_EQ(wire::read_client(bench.unwrapped()).shown(), std::vector<std::string>{"text \"hello\""});
        bench.say(wire::frame(wire::text, "answer"));
        EXPECT_EQ(bench.messages, "firstanswer");
        EXPECT_EQ(bench.refused_bytes, 0u);
    }
}

/// Frames of every size around the buffer's, in records that do not match them.
TEST_P(ConnectionTest, LargeMessagesFindRoom) {
    for (const std::size_t piece : {std::size_t{977}, std::size_t{1'000'000}}) {
        for (const std::size_t size : {4000u, 4092u, 4093u, 4096u, 5000u, 100'000u}) {
            Bench bench(GetParam(), piece);
            bench.open();
            const std::string payload(size, 'x');
            std::string stream;
            for (int i = 0; i < 3; ++i) stream += wire::frame(wire::binary, payload);
            std::string records;
            for (std::size_t at = 0; at < stream.size(); at += 16'000)
                records += bench.wrapped(stream.substr(at, 16'000));
            bench.receive(records);
            EXPECT_EQ(bench.messages.size(), 3 * size) << size << " in pieces of " << piece;
            EXPECT_EQ(bench.refused_bytes, 0u);
        }
    }
}

TEST_P(ConnectionTest, WhatTheKernelTakesInPiecesArrivesWhole) {
    for (const std::size_t at_once : {1u, 10u, 5000u}) {
        Bench bench(GetParam(), 1'000'000);
        bench.open();
        const std::string payload(20'000, 'y');
        ASSERT_FALSE(bench.connection->session().send(Opcode::binary, as_bytes(payload), {}));
        ASSERT_FALSE(bench.connection->session().send(Opcode::text, as_bytes("end"), {}));
        std::string bytes = bench.sent(at_once);
        if (GetParam().proxy_tls) bytes = FakeTls::read_records(bytes);
        if (GetParam().tls) bytes = FakeTls::read_records(bytes);
        const auto frames = wire::read_client(bytes).shown();
        ASSERT_EQ(frames.size(), 2u);
        EXPECT_EQ(frames[1], "text \"end\"");
        EXPECT_EQ(bench.connection->session().queued(), 0u);
    }
}

TEST_P(ConnectionTest, EachStepHasItsDeadlineAndItsPhase) {
    Config config;
    config.timeouts.proxy = 2s;
    config.timeouts.tls = 3s;
    config.timeouts.upgrade = 4s;
    const Way& way = GetParam();
    Bench bench(way, 100, config);
    const auto until = [&] { return bench.connection->deadline().value_or(start) - start; };
    if (way.proxy_tls) {
        EXPECT_EQ(until(), 3s);
        EXPECT_EQ(bench.connection->phase(), Phase::tls);
        static_cast<void>(bench.sent());
        bench.receive("welcome\n");
    }
    if (way.proxy) {
        EXPECT_EQ(until(), 2s);
        EXPECT_EQ(bench.connection->phase(), Phase::proxy);
        bench.pass_proxy();
    }
    EXPECT_EQ(until(), way.tls ? 3s : 4s);
    bench.now += 5s;
    bench.connection->on_timeout(bench.now);
    ASSERT_EQ(bench.connection->stage(), Connection::Stage::failed);
    EXPECT_EQ(bench.connection->error(), way.tls ? Errc::tls_timeout : Errc::upgrade_timeout);
}

TEST_P(ConnectionTest, TheEndOfTheStream) {
    const bool layered = GetParam().tls || GetParam().proxy_tls;
    Bench cut(GetParam(), 100);
    cut.open();
    cut.connection->on_end(Errc::connection_lost, start);
    cut.settle();
    ASSERT_TRUE(cut.connection->session().ended());
    EXPECT_EQ(cut.connection->session().close_info().error, layered ? Errc::tls_truncated : Errc::connection_lost);
    if (!layered) return;

    Bench clean(GetParam(), 100);
    clean.open();
    const bool both = GetParam().tls && GetParam().proxy_tls;
    clean.receive(clean.wrapped(wire::frame(wire::text, "last")) + (both ? FakeTls::record("c") : "") + "c");
    clean.settle();
    EXPECT_EQ(clean.messages, "last");
    ASSERT_TRUE(clean.connection->session().ended());
    EXPECT_EQ(clean.connection->session().close_info().error, Errc::connection_lost);

    if (both) {
        Bench half(GetParam(), 100);
        half.open();
        half.receive("c");
        half.settle();
        ASSERT_TRUE(half.connection->session().ended());
        EXPECT_EQ(half.connection->session().close_info().error, Errc::tls_truncated)
            << "the proxy said close_notify, the server did not";
    }

    Bench broken(GetParam(), 100);
    broken.open();
    broken.receive("x");
    broken.settle();
    ASSERT_TRUE(broken.connection->session().ended());
    EXPECT_EQ(broken.connection->session().close_info().error, Errc::tls_record);
}

TEST_P(ConnectionTest, ARefusalThatEndsInAResetIsARefusal) {
    for (const std::string_view head : {"HTTP/1.1 401 Unauthorized\r\n\r\nwho are", "HTTP/1.1 401 Una"}) {
        Bench bench(GetParam(), 100);
        bench.open([&](const std::string&) { return std::string(head); });
        bench.connection->on_end(Errc::connection_reset, start);
        ASSERT_EQ(bench.connection->stage(), Connection::Stage::failed);
        const Error& error = bench.connection->error();
        const bool whole = head.ends_with("are");
        EXPECT_EQ(error, whole ? Errc::upgrade_refused : Errc::connection_reset) << error.message();
        EXPECT_EQ(error.phase, Phase::upgrade);
        EXPECT_EQ(error.response.body, whole ? "who are" : "");
    }
}

TEST_P(ConnectionTest, AFailureIsFollowedByCloseNotifyAndFin) {
    Bench bench(GetParam(), 100);
    bench.open();
    bench.say("\xff\xff");
    bench.settle();
    EXPECT_FALSE(bench.connection->take_half_close()) << "the Close is not sent yet";
    const std::string bytes = bench.sent();
    EXPECT_TRUE(bench.connection->take_half_close() || !bench.sent().empty());
    EXPECT_FALSE(bytes.empty());
}

/// The proxy answers before it was asked; its words of the handshake still go to it, and not into TLS.
TEST_P(ConnectionTest, AProxyThatDoesNotWaitForTheRequest) {
    const Way& way = GetParam();
    if (!way.proxy || way.socks) return;
    Bench bench(way, 100);
    if (way.proxy_tls) {
        EXPECT_EQ(bench.sent(), "hello\n");
        bench.receive("welcome\n");
    }
    bench.say("HTTP/1.1 200 OK\r\n\r\n", 1);
    std::string words = bench.unwrapped(1);
    const std::string request = words.substr(0, words.find("\r\n\r\n") + 4);
    EXPECT_TRUE(request.starts_with("CONNECT host.test:")) << words;
    words.erase(0, request.size());
    if (way.tls) {
        EXPECT_EQ(words, "hello\n");
        bench.say("welcome\n", 1);
        words = bench.unwrapped();
    }
    EXPECT_TRUE(words.starts_with("GET /path HTTP/1.1\r\n")) << words;
}

TEST_P(ConnectionTest, AMessageHasLeftWhenTheKernelHasItsRecord) {
    if (!GetParam().tls && !GetParam().proxy_tls) return;
    for (const bool all_but_one : {false, true}) {
        Bench bench(GetParam(), 1'000'000);
        bench.open();
        Session& session = bench.connection->session();
        ASSERT_FALSE(session.send(Opcode::binary, as_bytes(std::string(10'000, 'x')), {}, 1));
        ASSERT_FALSE(session.send(Opcode::binary, as_bytes(std::string(20'000, 'y')), {}, 2));
        std::array<Bytes, 4> lent;
        ASSERT_EQ(bench.connection->tx(lent), 1u);
        ASSERT_GT(lent[0].size(), 30'000u);
        bench.connection->tx_consume(all_but_one ? lent[0].size() - 1 : 8'000);
        EXPECT_EQ(session.take_sent(), 0u) << "that is told when all of it has left";
        bench.connection->account_for_records();
        EXPECT_EQ(session.take_sent(), all_but_one ? 1u : 0u) << "nobody can read a part of a record";
        EXPECT_EQ(session.take_sent(), 0u);
        bench.connection->account_for_records();
        EXPECT_EQ(session.take_unsent(), all_but_one ? 2u : 1u);
    }
}

TEST_P(ConnectionTest, TrimTakesNothingThatIsNeeded) {
    Bench bench(GetParam(), 1'000'000);
    bench.connection->trim();
    bench.open();
    const std::string payload(20'000, 'y');
    ASSERT_FALSE(bench.connection->session().send(Opcode::binary, as_bytes(payload), {}));
    std::string bytes;
    for (std::array<Bytes, 4> lent; bench.connection->tx(lent) != 0;) {
        const std::size_t size = std::min<std::size_t>(lent[0].size(), 3'000);
        bytes += as_text(lent[0].first(size));
        bench.connection->tx_consume(size);
        bench.connection->trim();
    }
    if (GetParam().proxy_tls) bytes = FakeTls::read_records(bytes);
    if (GetParam().tls) bytes = FakeTls::read_records(bytes);
    EXPECT_EQ(wire::read_client(bytes).shown(), std::vector<std::string>{"binary " + wire::shown(payload)});
    const std::string half = wire::fragment(wire::binary, std::string(10'000, 'x'));
    bench.say(half);
    bench.connection->trim();
    bench.say(wire::frame(wire::continuation, "x"));
    EXPECT_EQ(bench.messages, std::string(10'001, 'x'));
    ASSERT_FALSE(bench.connection->session().send(Opcode::text, as_bytes("end"), {}));
    EXPECT_EQ(wire::read_client(bench.unwrapped()).shown(), std::vector<std::string>{"text \"end\""});
}

TEST_P(ConnectionTest, TrimGivesBackWhatALargeMessageTook) {
    MemoryBudget budget;
    Bench bench(GetParam(), 1'000'000, {}, &budget);
    bench.open();
    const std::size_t before = budget.used();
    const std::string message = wire::frame(wire::binary, std::string(50'000, 'x'));
    for (std::size_t at = 0; at < message.size(); at += 16'000) bench.say(message.substr(at, 16'000));
    ASSERT_EQ(bench.messages.size(), 50'000u);
    EXPECT_GE(budget.used(), before + 50'000);
    bench.connection->trim();
    bench.connection->trim();
    EXPECT_EQ(budget.used(), before);
}

// --- memory --------------------------------------------------------------------------------------------------------

TEST_P(ConnectionTest, AnIdleOneKeepsNoMemoryOfThePool) {
    CountingPool pool;
    MemoryBudget budget(0, &pool);
    Bench bench(GetParam(), 1'000'000, {}, &budget);
    EXPECT_EQ(pool.lent, 0u) << "before the first answer";
    bench.open();
    EXPECT_EQ(pool.lent, 0u);
    const std::string message = bench.wrapped(wire::frame(wire::text, "text"));
    bench.receive(message.substr(0, message.size() - 2));
    EXPECT_EQ(pool.lent, 0u) << "a few bytes wait elsewhere for the rest";
    EXPECT_GT(budget.used(), 0u);
    bench.receive(message.substr(message.size() - 2));
    EXPECT_EQ(bench.messages, "text");
    EXPECT_EQ(pool.lent, 0u);

    ASSERT_FALSE(bench.connection->rx_space().empty());
    EXPECT_GT(pool.lent, 0u);
    bench.connection->settle(start);
    for (Event event; bench.connection->next(event);) continue;
    EXPECT_GT(pool.lent, 0u) << "it is lent to the driver";
    bench.connection->rx_commit(0, start);
    EXPECT_EQ(pool.lent, 0u);

    ASSERT_FALSE(bench.connection->session().send(Opcode::text, as_bytes("text"), {}));
    static_cast<void>(bench.sent());
    EXPECT_EQ(pool.lent, 0u);
}

TEST_P(ConnectionTest, WhereThereAreFewOneKeepsItUntilItIsQuiet) {
    CountingPool pool;
    pool.lets_keep = true;
    MemoryBudget budget(0, &pool);
    Bench bench(GetParam(), 1'000'000, {}, &budget);
    bench.open();
    bench.say(wire::frame(wire::text, "one"));
    const std::size_t lent = pool.lent;
    const std::size_t given = pool.given;
    EXPECT_GT(lent, 0u);
    const std::string message = bench.wrapped(wire::frame(wire::text, "two"));
    bench.receive(message.substr(0, 3));
    bench.receive(message.substr(3));
    EXPECT_EQ(bench.messages, "onetwo");
    EXPECT_EQ(pool.lent, lent);
    EXPECT_EQ(pool.given, given) << "and nothing was asked for in between";
    bench.connection->trim();
    EXPECT_EQ(pool.lent, 0u);
    bench.say(wire::frame(wire::text, "!"));
    EXPECT_EQ(bench.messages, "onetwo!");
    EXPECT_GT(pool.lent, 0u);
    pool.lets_keep = false;
    bench.say(wire::frame(wire::text, "!"));
    EXPECT_EQ(pool.lent, 0u) << "others have come";
}

TEST_P(ConnectionTest, ALargePartOfAMessageStaysWhereItIs) {
    if (GetParam().tls || GetParam().proxy_tls) return;  // there it is the record that waits
    CountingPool pool;
    MemoryBudget budget(0, &pool);
    Bench bench(GetParam(), 1'000'000, {}, &budget);
    bench.open();
    const std::string message = bench.wrapped(wire::frame(wire::text, std::string(2000, 'x')));
    bench.receive(message.substr(0, 1500));
    EXPECT_GT(pool.lent, 0u);
    bench.receive(message.substr(1500));
    EXPECT_EQ(bench.messages, std::string(2000, 'x'));
    EXPECT_EQ(pool.lent, 0u);
}

TEST_P(ConnectionTest, AFloodIsReadInLargerPieces) {
    if (GetParam().tls || GetParam().proxy_tls) return;  // there decrypting takes most of the time
    CountingPool pool;
    MemoryBudget budget(0, &pool);
    Bench bench(GetParam(), 1'000'000, {}, &budget);
    bench.open();
    std::string flood;
    while (flood.size() < 30'000) flood += wire::frame(wire::binary, std::string(100, 'x'));
    bench.receive(flood.substr(0, 4096));  // all that there is room for
    EXPECT_EQ(bench.connection->rx_space().size(), 4 * 4096 - 4096 % 102) << "behind the beginning of a message";
    bench.connection->rx_commit(0, start);
    bench.receive(flood.substr(4096));
    EXPECT_EQ(bench.messages.size(), flood.size() / 102 * 100);
    EXPECT_EQ(bench.connection->rx_space().size(), 4 * 4096u) << "the last one took more than usual";
    bench.connection->rx_commit(0, start);
    bench.say(wire::frame(wire::text, "quiet again"));
    EXPECT_EQ(bench.connection->rx_space().size(), 4096u);
    bench.connection->rx_commit(0, start);
    EXPECT_EQ(pool.lent, 0u);
}

TEST_P(ConnectionTest, WhereThereIsNoMemoryAFloodIsReadAsUsual) {
    if (GetParam().tls || GetParam().proxy_tls) return;
    CountingPool pool;
    MemoryBudget budget(0, &pool);
    Bench bench(GetParam(), 1'000'000, {}, &budget);
    bench.open();
    std::string flood;
    for (int i = 0; i < 10; ++i) flood += wire::frame(wire::binary, std::string(1500, 'x'));
    bench.receive(flood.substr(0, 4096));
    pool.blocks_left = 0;
    bench.receive(flood.substr(4096, 400));  // where the beginning of a message is held
    pool.blocks_left = -1;
    bench.receive(flood.substr(4496));
    EXPECT_EQ(bench.messages, std::string(10 * 1500, 'x'));
}

TEST_P(ConnectionTest, WhatIsLeftOfALargeMessageIsReadToItsPlace) {
    if (GetParam().tls || GetParam().proxy_tls) return;
    CountingPool pool;
    MemoryBudget budget(0, &pool);
    Bench bench(GetParam(), 1'000'000, {}, &budget);
    bench.open();
    std::string payload;
    for (std::size_t i = 0; i < 30'000; ++i) payload += static_cast<char>('a' + i % 26);
    const std::string message = wire::frame(wire::text, payload) + wire::frame(wire::text, "!");
    bench.receive(message.substr(0, 4));  // its header
    const std::span<std::byte> space = bench.connection->rx_space();
    ASSERT_FALSE(space.empty());
    EXPECT_EQ(pool.lent, 0u) << "it is not the receive buffer";
    const std::size_t used = budget.used();
    bench.connection->trim();
    bench.connection->trim();
    EXPECT_EQ(budget.used(), used) << "it is lent to the driver";
    EXPECT_EQ(bench.connection->rx_space().data(), space.data());
    bench.connection->rx_commit(0, start);
    bench.receive(message.substr(4));
    EXPECT_EQ(bench.messages, payload + "!");
    EXPECT_EQ(pool.lent, 0u);
    EXPECT_EQ(bench.connection->rx_space().size(), 4096u) << "what came last was a small one";
}

TEST_P(ConnectionTest, BehindALargeMessageLittleIsRead) {
    if (GetParam().tls || GetParam().proxy_tls) return;
    CountingPool pool;
    MemoryBudget budget(0, &pool);
    Bench bench(GetParam(), 1'000'000, {}, &budget);
    bench.open();
    const std::string message = wire::frame(wire::binary, std::string(100'000, 'x'));
    bench.receive(message);
    EXPECT_EQ(bench.connection->rx_space().size(), 1024u) << "of the next large one the rest would have to be moved";
    bench.connection->rx_commit(0, start);
    bench.receive(message.substr(0, 1024));
    EXPECT_EQ(bench.connection->rx_space().size(), 16 * 4096u) << "others have their turn";
    bench.connection->rx_commit(0, start);
    bench.receive(message.substr(1024) + wire::frame(wire::text, "small"));
    EXPECT_EQ(bench.connection->rx_space().size(), 4096u);
}

TEST_P(ConnectionTest, WithACeilingItKeepsItsMemory) {
    CountingPool pool;
    MemoryBudget budget(1u << 20u, &pool);
    Bench bench(GetParam(), 1'000'000, {}, &budget);
    bench.open();
    EXPECT_GT(pool.lent, 0u) << "or the rest of the client could take it";
    pool.blocks_left = 0;
    bench.say(wire::frame(wire::text, "text"));
    EXPECT_EQ(bench.messages, "text");
}

TEST_P(ConnectionTest, AnIdleOneForWhichThereIsNoMemoryAnyMoreEnds) {
    CountingPool pool;
    MemoryBudget budget(0, &pool);
    Bench bench(GetParam(), 1'000'000, {}, &budget);
    bench.open();
    pool.blocks_left = 0;
    EXPECT_TRUE(bench.connection->rx_space().empty());
    bench.settle();
    ASSERT_TRUE(bench.connection->session().ended());
    const Error error = bench.connection->session().close_info().error;
    EXPECT_EQ(error, Errc::out_of_memory);
    EXPECT_EQ(error.phase, Phase::open);
}

TEST_P(ConnectionTest, AHandshakeForWhoseAnswerThereIsNoMemoryFails) {
    CountingPool pool;
    MemoryBudget budget(0, &pool);
    Bench bench(GetParam(), 1'000'000, {}, &budget);
    ASSERT_EQ(bench.connection->stage(), Connection::Stage::handshake);
    const Phase phase = bench.connection->phase();
    pool.blocks_left = 0;
    EXPECT_TRUE(bench.connection->rx_space().empty());
    ASSERT_EQ(bench.connection->stage(), Connection::Stage::failed);
    EXPECT_EQ(bench.connection->error(), Errc::out_of_memory);
    EXPECT_EQ(bench.connection->error().phase, phase);
}

/// The first blocks that it needs are missing, or the rest of what it counts.
TEST_P(ConnectionTest, WithoutMemoryItFailsBeforeItBegins) {
    const int layers = (GetParam().tls ? 1 : 0) + (GetParam().proxy_tls ? 1 : 0);
    for (int blocks = 0; blocks <= 1; ++blocks) {
        CountingPool pool;
        MemoryBudget budget(0, &pool);
        pool.blocks_left = blocks;
        {
            Bench bench(GetParam(), 1'000'000, {}, &budget);
            const bool in_tls = GetParam().proxy_tls || (GetParam().tls && !GetParam().proxy);
            const bool fails = blocks == 0 || in_tls;
            EXPECT_EQ(bench.connection->stage() == Connection::Stage::failed, fails) << blocks;
            if (!fails) continue;
            EXPECT_EQ(bench.connection->error(), Errc::out_of_memory);
            EXPECT_EQ(bench.connection->error().phase, blocks == 0 ? Phase::upgrade : Phase::tls);
            EXPECT_EQ(bench.connection->deadline(), std::nullopt);
            EXPECT_TRUE(bench.connection->rx_space().empty());
            EXPECT_EQ(bench.sent(), "");
        }
        EXPECT_EQ(pool.lent, 0u);
        EXPECT_EQ(budget.used(), 0u);
    }
    Config config;
    config.limits.max_head_size = 1000;
    config.limits.max_error_body = 1000;
    // The receive buffer fits, but not the heads; or both, but no TLS.
    for (const std::size_t limit : {std::size_t{5000}, std::size_t{60'000}}) {
        MemoryBudget budget(limit);
        Bench bench(GetParam(), 1'000'000, config, &budget);
        if (bench.connection->stage() == Connection::Stage::handshake && layers != 0 && GetParam().proxy) {
            if (!GetParam().proxy_tls) bench.pass_proxy();
        }
        const bool fails = limit == 5000 || layers != 0;
        ASSERT_EQ(bench.connection->stage() == Connection::Stage::failed, fails) << limit;
        if (fails) {
            EXPECT_EQ(bench.connection->error(), Errc::memory_limit);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Routes, ConnectionTest,
                         testing::Values(Way{}, Way{.tls = true}, Way{.proxy = true}, Way{.proxy = true, .tls = true},
                                         Way{.proxy = true, .socks = true},
                                         Way{.proxy = true, .tls = true, .socks = true},
                                         Way{.proxy = true, .proxy_tls = true},
                                         Way{.proxy = true, .proxy_tls = true, .tls = true}),
                         [](const auto& one) { return name_of(one.param); });

}  // namespace
}  // namespace tern::core
