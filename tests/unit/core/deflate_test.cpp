// Compression, with zlib itself as the peer.
#include "deflate.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <zlib.h>

#include <tern/core.hpp>

#include "driven_core.hpp"
#include "message_reader.hpp"
#include "scarce_malloc.hpp"
#include "session.hpp"
#include "wire.hpp"

namespace tern::core {
namespace {

using namespace std::string_literals;
using wire::fragment;
using wire::frame;

const std::string tail("\0\0\xff\xff", 4);

CompressionInfo agreed(int client_bits = 15, int server_bits = 15, bool client_takeover = true,
                       bool server_takeover = true) {
    return {.active = true,
            .client_context_takeover = client_takeover,
            .server_context_takeover = server_takeover,
            .client_window_bits = client_bits,
            .server_window_bits = server_bits};
}

std::string random_bytes(std::size_t size, unsigned seed = 1) {
    std::mt19937 random(seed);
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>(random());
    return bytes;
}

std::string prose(std::size_t size, unsigned seed = 1) {
    constexpr std::array<std::string_view, 8> words{"the ",  "tern ",  "flies ", "over ",
                                                    "grey ", "water ", "and ",   "back "};
    std::mt19937 random(seed);
    std::string text;
    while (text.size() < size) text += words[random() % words.size()];
    text.resize(size);
    return text;
}

/// zlib as a server uses it.
class Peer {
public:
    explicit Peer(const CompressionInfo& info, int level = 6) : info_(info) {
        deflateInit2(&out_, level, Z_DEFLATED, -std::max(info.server_window_bits, 9), 8, Z_DEFAULT_STRATEGY);
        inflateInit2(&in_, -info.client_window_bits);
    }
    ~Peer() {
        deflateEnd(&out_);
        inflateEnd(&in_);
    }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    /// The payload of a compressed message. Its order with other messages matters: one a statement.
    std::string compress(std::string_view message, int flush = Z_SYNC_FLUSH) {
        if (message.empty()) return "\0"s;
        std::string made(deflateBound(&out_, message.size()) + 32, '\0');
        out_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(message.data()));
        out_.avail_in = static_cast<uInt>(message.size());
        out_.next_out = reinterpret_cast<Bytef*>(made.data());
        out_.avail_out = static_cast<uInt>(made.size());
        deflate(&out_, flush);
        made.resize(made.size() - out_.avail_out);
        if (flush == Z_FINISH) deflateReset(&out_);
        if (flush == Z_SYNC_FLUSH) made.resize(made.size() - tail.size());
        if (!info_.server_context_takeover) deflateReset(&out_);
        return made;
    }
    /// What the payload of a compressed message means; "?" if it means nothing.
    std::string inflate(std::string payload) {
        payload += tail;
        std::string made;
        std::array<char, 4096> piece{};
        in_.next_in = reinterpret_cast<Bytef*>(payload.data());
        in_.avail_in = static_cast<uInt>(payload.size());
        for (;;) {
            in_.next_out = reinterpret_cast<Bytef*>(piece.data());
            in_.avail_out = static_cast<uInt>(piece.size());
            const int status = ::inflate(&in_, Z_SYNC_FLUSH);
            made.append(piece.data(), piece.size() - in_.avail_out);
            if (status != Z_OK && status != Z_BUF_ERROR) return "?";
            if (in_.avail_out != 0) break;
        }
        if (in_.avail_in != 0) return "?";
        if (!info_.client_context_takeover) inflateReset(&in_);
        return made;
    }

private:
    CompressionInfo info_;
    z_stream out_{};
    z_stream in_{};
};

/// A frame of the server whose message is compressed.
std::string compressed(unsigned opcode, std::string_view payload, bool fin = true) {
    std::string bytes = frame(opcode, payload, fin);
    bytes[0] = static_cast<char>(static_cast<unsigned char>(bytes[0]) | 0x40u);
    return bytes;
}

// --- compressing ---------------------------------------------------------------------------------------------------

std::string output(const Compressor& compressor) { return std::string(as_text(compressor.output())); }

TEST(CompressorTest, ZlibInflatesWhatItMakes) {
    for (const int bits : {9, 10, 12, 15}) {
        for (const int level : {1, 6, 9}) {
            for (const bool takeover : {true, false}) {
                const CompressionInfo info = agreed(bits, 15, takeover);
                Compressor compressor(info, {.level = level, .memory_level = level});
                Peer peer(info);
                for (const std::size_t size :
                     std::initializer_list<std::size_t>{0, 1, 2, 63, 125, 126, 1000, 4096, 65536, 300'000}) {
                    for (const std::string& message : {prose(size), random_bytes(size), std::string(size, 'x')}) {
                        ASSERT_EQ(compressor.compress(as_bytes(message), true), Errc{});
                        ASSERT_EQ(peer.inflate(output(compressor)), message) << bits << ' ' << level << ' ' << size;
                    }
                }
            }
        }
    }
}

TEST(CompressorTest, AWindowOf512BytesIsKept) {
    // Repeats itself at a distance that a larger window would find. A peer that keeps 512 bytes has to understand it.
    const CompressionInfo info = agreed(9);
    Compressor compressor(info, {});
    Peer peer(info);
    std::string message;
    for (int i = 0; i < 20; ++i) message += random_bytes(700, 7);
    ASSERT_EQ(compressor.compress(as_bytes(message), true), Errc{});
    EXPECT_EQ(peer.inflate(output(compressor)), message);
}

TEST(CompressorTest, EmptyMessagesAreOneByte) {
    for (const bool takeover : {true, false}) {
        Compressor compressor(agreed(15, 15, takeover), {});
        Peer peer(agreed(15, 15, takeover));
        for (int i = 0; i < 3; ++i) {
            ASSERT_EQ(compressor.compress({}, true), Errc{});
            EXPECT_EQ(output(compressor), "\0"s);
            EXPECT_EQ(peer.inflate(output(compressor)), "");
            ASSERT_EQ(compressor.compress(as_bytes("text"), true), Errc{});
            EXPECT_EQ(peer.inflate(output(compressor)), "text");
        }
    }
}

TEST(CompressorTest, ContextTakeoverMakesTheSecondSmaller) {
    const std::string message = random_bytes(200);
    Compressor compressor(agreed(), {});
    ASSERT_EQ(compressor.compress(as_bytes(message), true), Errc{});
    const std::size_t first = output(compressor).size();
    ASSERT_EQ(compressor.compress(as_bytes(message), true), Errc{});
    EXPECT_LT(output(compressor).size(), first / 4);

    Compressor alone(agreed(15, 15, false), {});
    ASSERT_EQ(alone.compress(as_bytes(message), true), Errc{});
    const std::string once = output(alone);
    ASSERT_EQ(alone.compress(as_bytes(message), true), Errc{});
    EXPECT_EQ(output(alone), once) << "each message stands for itself";
}

TEST(CompressorTest, PartsCanBeReadAsTheyCome) {
    Compressor compressor(agreed(), {});
    Inflater reader(agreed());
    const std::vector<std::string> parts{prose(500), "", prose(10, 2), random_bytes(3000), ""};
    for (const std::string& part : parts) {
        const bool fin = &part == &parts.back();
        ASSERT_EQ(compressor.compress(as_bytes(part), fin), Errc{});
        Bytes in = compressor.output();
        std::vector<std::byte> memory(4000);
        std::span<std::byte> out(memory);
        ASSERT_EQ(reader.advance(in, out), Errc{});
        EXPECT_TRUE(in.empty());
        EXPECT_EQ(as_text(Bytes(memory).first(memory.size() - out.size())), part);
        bool done = false;
        if (fin) {
            ASSERT_EQ(reader.finish(out, done), Errc{});
            EXPECT_TRUE(done);
        }
    }
}

TEST(CompressorTest, WhatIsForgottenIsNotReferredTo) {
    Compressor compressor(agreed(), {});
    Peer peer(agreed());
    const std::string message = random_bytes(300);
    ASSERT_EQ(compressor.compress(as_bytes(message), true), Errc{});
    compressor.forget();
    EXPECT_TRUE(compressor.output().empty());
    ASSERT_EQ(compressor.compress(as_bytes(message), true), Errc{});
    EXPECT_EQ(peer.inflate(output(compressor)), message);
    compressor.forget();  // in the middle of a life, too
    ASSERT_EQ(compressor.compress(as_bytes(message), true), Errc{});
    EXPECT_EQ(peer.inflate(output(compressor)), message);
}

TEST(CompressorTest, MemoryIsCountedAndGivenBack) {
    Compressor keeping(agreed(), {});
    EXPECT_EQ(keeping.memory(), 0u) << "nothing before the first message";
    ASSERT_EQ(keeping.compress(as_bytes(prose(1000)), true), Errc{});
    // zlib.h: (1 << (windowBits + 2)) + (1 << (memLevel + 9)), and a little.
    EXPECT_GT(keeping.memory(), 256u << 10u);
    EXPECT_LT(keeping.memory(), 280u << 10u);
    keeping.trim();
    EXPECT_GT(keeping.memory(), 256u << 10u) << "the window is needed for the next message";

    Compressor small(agreed(9), {.memory_level = 1});
    ASSERT_EQ(small.compress(as_bytes(prose(1000)), true), Errc{});
    EXPECT_LT(small.memory(), 16u << 10u);

    Compressor freeing(agreed(15, 15, false), {});
    ASSERT_EQ(freeing.compress(as_bytes(prose(1000)), false), Errc{});
    EXPECT_GT(freeing.memory(), 256u << 10u);
    ASSERT_EQ(freeing.compress(as_bytes(prose(1000)), true), Errc{});
    EXPECT_LT(freeing.memory(), 4u << 10u) << "only the output";
    freeing.trim();
    EXPECT_EQ(freeing.memory(), 0u);
}

/// Whatever it was that `scarce` left no memory for: what comes later refers to nothing that was refused.
template <class Scarce>
void expect_every_lack_survived(Scarce scarce, std::size_t most_steps) {
    const std::string large = random_bytes(100'000);
    bool complete = false;
    std::size_t step = 0;
    for (; !complete; ++step) {
        ASSERT_LT(step, most_steps);
        MemoryBudget budget(1u << 20u);
        {
            Compressor compressor(agreed(), {}, &budget);
            Peer peer(agreed());
            const Errc error = scarce(step, budget, [&] { return compressor.compress(as_bytes(large), true); });
            complete = error == Errc{};
            if (complete) {
                EXPECT_EQ(peer.inflate(output(compressor)), large);
            } else {
                EXPECT_EQ(error, Errc::out_of_memory) << step;
            }
            ASSERT_EQ(compressor.compress(as_bytes(prose(1000)), true), Errc{}) << step;
            EXPECT_EQ(peer.inflate(output(compressor)), prose(1000)) << step;
        }
        EXPECT_EQ(budget.used(), 0u) << step;
    }
    EXPECT_GT(step, 3u) << "or this proves little";
}

TEST(CompressorTest, WithoutMemoryInTheBudget) {
    constexpr std::size_t each = 16u << 10u;
    expect_every_lack_survived(
        [](std::size_t step, MemoryBudget& budget, auto compress) {
            const std::size_t others = (1u << 20u) - step * each;
            EXPECT_TRUE(budget.take(others));
            const Errc error = compress();
            budget.give(others);
            return error;
        },
        (1u << 20u) / each);
}

#if defined(TERN_TEST_MALLOC)
TEST(CompressorTest, WithoutMemoryInTheMachine) {
    expect_every_lack_survived(
        [](std::size_t step, MemoryBudget&, auto compress) {
            mallocs_left = static_cast<int>(step);
            const Errc error = compress();
            mallocs_left = -1;
            return error;
        },
        20);
}
#endif

// --- inflating: a reader that is fed -------------------------------------------------------------------------------

struct Rules {
    Delivery delivery = Delivery::messages;
    std::size_t limit = 1u << 20u;
    std::uint32_t max_ratio = 0;
    CompressionInfo info = agreed();
    std::size_t capacity = 4096;
};

/// What came of some bytes: messages put together, and how it ended.
struct Outcome {
    std::vector<std::string> messages;
    std::string end = "open";
    std::string unfinished;  ///< Of a message in chunks.
    std::size_t largest_chunk = 0;
    std::size_t consumed = 0;  ///< Bytes that had been given when it ended.
    std::size_t memory = 0;
};

class Feed {
public:
    explicit Feed(const Rules& setup)
        : memory_(setup.capacity), in_(memory_), reader_(setup.delivery, setup.limit, setup.info, setup.max_ratio) {}

    void add(std::string_view bytes) {
        while (!bytes.empty() && outcome.end == "open") {
            in_.compact();
            const std::size_t size = std::min(bytes.size(), in_.writable().size());
            ASSERT_GT(size, 0u);
            std::memcpy(in_.writable().data(), bytes.data(), size);
            in_.commit(size);
            bytes.remove_prefix(size);
            outcome.consumed += size;
            drain();
        }
    }

    Outcome outcome;

private:
    void drain() {
        for (Event event;;) {
            const auto status = reader_.next(in_, event);
            outcome.memory = std::max(outcome.memory, reader_.compression_memory());
            if (status == MessageReader::Status::need_input) break;
            if (status == MessageReader::Status::failed) {
                outcome.end = error_row(reader_.error())->name;
                return;
            }
            if (event.kind == Event::Kind::message) {
                outcome.messages.emplace_back(as_text(event.bytes));
            } else if (event.kind == Event::Kind::chunk) {
                note(event.chunk);
            } else {
                outcome.messages.push_back(std::string(event_name(event.kind)) + ' ' +
                                           std::string(as_text(event.bytes)));
            }
        }
    }
    void note(const ChunkView& chunk) {
        EXPECT_EQ(chunk.first, !in_message_);
        EXPECT_TRUE(chunk.last || !chunk.bytes.empty() || !chunk.compressed) << "a piece of nothing";
        in_message_ = !chunk.last;
        outcome.unfinished += as_text(chunk.bytes);
        outcome.largest_chunk = std::max(outcome.largest_chunk, chunk.bytes.size());
        if (chunk.last) outcome.messages.push_back(std::exchange(outcome.unfinished, {}));
    }

    std::vector<std::byte> memory_;
    Buffer in_;
    MessageReader reader_;
    bool in_message_ = false;
};

Outcome fed(const Rules& setup, const std::vector<std::string_view>& pieces) {
    Feed feed(setup);
    for (const std::string_view piece : pieces) feed.add(piece);
    return feed.outcome;
}

/// Whole, byte by byte, at every split (or at many, of a long script), in both deliveries.
Outcome every_way(const std::string& script, Rules setup = {}) {
    const std::string_view all = script;
    std::vector<std::string_view> bytewise;
    for (std::size_t i = 0; i < all.size(); ++i) bytewise.push_back(all.substr(i, 1));
    setup.delivery = Delivery::messages;
    const Outcome expected = fed(setup, {all});
    for (const Delivery delivery : {Delivery::messages, Delivery::chunks}) {
        for (const std::size_t capacity : {std::size_t{256}, std::size_t{4096}, std::size_t{64} << 10u}) {
            setup.delivery = delivery;
            setup.capacity = capacity;
            const auto same = [&](const Outcome& outcome) {
                EXPECT_EQ(outcome.messages, expected.messages);
                EXPECT_EQ(outcome.end, expected.end);
                return outcome.messages == expected.messages && outcome.end == expected.end;
            };
            EXPECT_TRUE(same(fed(setup, {all}))) << "whole";
            EXPECT_TRUE(same(fed(setup, bytewise))) << "byte by byte";
            const std::size_t step = all.size() / 400 + 1;
            for (std::size_t at = 0; at <= all.size(); at += step) {
                if (!same(fed(setup, {all.substr(0, at), all.substr(at)}))) {
                    ADD_FAILURE() << "split at " << at << ", buffer " << capacity;
                    return expected;
                }
            }
        }
    }
    return expected;
}

using Messages = std::vector<std::string>;

TEST(InflaterTest, MessagesInEveryWay) {
    Peer peer(agreed());
    std::string script = compressed(wire::text, peer.compress("Hello"));
    script += compressed(wire::text, peer.compress("Hello"));
    script += frame(wire::text, "plain");
    script += compressed(wire::binary, peer.compress(random_bytes(300)));
    script += compressed(wire::text, peer.compress(prose(500)));
    EXPECT_EQ(every_way(script).messages, (Messages{"Hello", "Hello", "plain", random_bytes(300), prose(500)}));
}

/// The examples of RFC 7692 section 7.2.3, byte by byte as they stand there.
TEST(InflaterTest, ExamplesOfTheRfc) {
    const std::string hello = "\xf2\x48\xcd\xc9\xc9\x07\x00"s;
    EXPECT_EQ(every_way(compressed(wire::text, hello)).messages, Messages{"Hello"});
    EXPECT_EQ(every_way(compressed(wire::text, hello.substr(0, 3), false) + frame(wire::continuation, hello.substr(3)))
                  .messages,
              Messages{"Hello"});
    EXPECT_EQ(every_way(compressed(wire::text, hello) + compressed(wire::text, "\xf2\x00\x11\x00\x00"s)).messages,
              (Messages{"Hello", "Hello"}));
    EXPECT_EQ(every_way(compressed(wire::text, "\x00\x05\x00\xfa\xffHello\x00"s)).messages, Messages{"Hello"})
        << "stored";
    EXPECT_EQ(every_way(compressed(wire::text, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"s)).messages, Messages{"Hello"})
        << "BFINAL";
    EXPECT_EQ(every_way(compressed(wire::text, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"s)).messages,
              Messages{"Hello"})
        << "two blocks";
    EXPECT_EQ(every_way(compressed(wire::text, "\0"s)).messages, Messages{""}) << "empty";
}

TEST(InflaterTest, FragmentsAreOneMessage) {
    Peer peer(agreed());
    const std::string message = prose(3000);
    const std::string payload = peer.compress(message);
    std::string script = compressed(wire::text, "", false);
    for (const char c : payload) script += fragment(wire::continuation, std::string(1, c));
    script += frame(wire::ping, "between") + frame(wire::continuation, "");
    script += compressed(wire::text, peer.compress("next"));
    const Outcome outcome = every_way(script);
    EXPECT_EQ(outcome.messages, (Messages{"ping between", message, "next"}));
}

TEST(InflaterTest, BlocksWithBfinalGoOn) {
    Peer peer(agreed());
    const std::string first = random_bytes(400);
    const std::string one = peer.compress(first, Z_FINISH);
    const std::string two = peer.compress(first);
    // A stream that ends, another behind it in the same message, and a message behind that.
    EXPECT_EQ(every_way(compressed(wire::binary, one + two) + compressed(wire::binary, peer.compress("x"))).messages,
              (Messages{first + first, "x"}));
    // Without the empty block that should follow; it is clear enough.
    EXPECT_EQ(every_way(compressed(wire::binary, one) + frame(wire::text, "y")).messages, (Messages{first, "y"}));
    EXPECT_EQ(every_way(compressed(wire::binary, one) + compressed(wire::binary, one)).messages,
              (Messages{first, first}));
}

TEST(InflaterTest, TheWindowGoesOnBehindBfinal) {
    // A sender may keep its own window: what follows refers back across the end of the stream.
    const std::string first = random_bytes(400);
    Peer ending(agreed());
    const std::string one = ending.compress(first, Z_FINISH) + '\0';
    z_stream z{};
    deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
    deflateSetDictionary(&z, reinterpret_cast<const Bytef*>(first.data()), static_cast<uInt>(first.size()));
    std::string two(2000, '\0');
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(first.data()));
    z.avail_in = static_cast<uInt>(first.size());
    z.next_out = reinterpret_cast<Bytef*>(two.data());
    z.avail_out = static_cast<uInt>(two.size());
    deflate(&z, Z_SYNC_FLUSH);
    two.resize(two.size() - z.avail_out - 4);
    deflateEnd(&z);
    ASSERT_LT(two.size(), 50u);
    EXPECT_EQ(every_way(compressed(wire::binary, one) + compressed(wire::binary, two)).messages,
              (Messages{first, first}));
}

TEST(InflaterTest, WithoutContextTakeoverNothingIsKept) {
    const CompressionInfo info = agreed(15, 15, true, false);
    Peer peer(info);
    const std::string once = compressed(wire::text, peer.compress("Hello"));
    EXPECT_EQ(every_way(once + once, {.info = info}).messages, (Messages{"Hello", "Hello"}));
    // A reference to the message before, which is gone.
    EXPECT_EQ(every_way(once + compressed(wire::text, "\xf2\x00\x11\x00\x00"s), {.info = info}).end, "compressed_data");

    Inflater inflater(info);
    Bytes in = as_bytes(std::string_view("\xf2\x48\xcd\xc9\xc9\x07\x00", 7));
    std::array<std::byte, 100> memory{};
    std::span<std::byte> out(memory);
    bool done = false;
    ASSERT_EQ(inflater.advance(in, out), Errc{});
    EXPECT_GT(inflater.memory(), 0u);
    ASSERT_EQ(inflater.finish(out, done), Errc{});
    EXPECT_TRUE(done);
    EXPECT_EQ(inflater.memory(), 0u);
}

TEST(InflaterTest, WindowsOfTheServer) {
    for (const int bits : {9, 12, 15}) {
        const CompressionInfo info = agreed(15, bits);
        Peer peer(info);
        std::string message;
        for (int i = 0; i < 8; ++i) message += random_bytes(3000, 3);
        const Outcome outcome = fed({.info = info}, {compressed(wire::binary, peer.compress(message))});
        EXPECT_EQ(outcome.messages, Messages{message}) << bits;
        EXPECT_LT(outcome.memory, (1u << bits) + (12u << 10u)) << bits;
    }
    // A window of 256 bytes cannot be made by zlib, but read: this refers back by 200.
    const CompressionInfo info = agreed(15, 8);
    Peer peer(agreed(15, 9));
    const std::string block = random_bytes(200);
    EXPECT_EQ(every_way(compressed(wire::binary, peer.compress(block + block)), {.info = info}).messages,
              Messages{block + block});
}

TEST(InflaterTest, WhatIsNotDeflate) {
    for (const std::string& payload : {"\x07"s, ""s, "\x06\x06"s, "Hello"s, "\x04"s, std::string(50, '\xff'),
                                       "\xf2\x48\xcd"s, "\xf2\x48\xcd\xc9\xc9"s, "\x00\x05\x00\xfa\xffHell"s}) {
        EXPECT_EQ(every_way(compressed(wire::binary, payload) + frame(wire::text, "after")).end, "compressed_data")
            << wire::hex(payload);
    }
    // A reference to before the beginning.
    EXPECT_EQ(every_way(compressed(wire::text, "\xf2\x00\x11\x00\x00"s)).end, "compressed_data");
}

TEST(InflaterTest, Rsv1OnlyWhereAMessageBegins) {
    const std::string hello = "\xf2\x48\xcd\xc9\xc9\x07\x00"s;
    for (const unsigned opcode : {wire::ping, wire::pong, wire::close}) {
        EXPECT_EQ(every_way(compressed(opcode, "")).end, "reserved_bits");
    }
    EXPECT_EQ(
        every_way(compressed(wire::text, hello.substr(0, 2), false) + compressed(wire::continuation, hello.substr(2)))
            .end,
        "reserved_bits");
    EXPECT_EQ(every_way(fragment(wire::text, "a") + compressed(wire::continuation, "b")).end, "reserved_bits");
    std::string other = compressed(wire::text, hello);
    other[0] = static_cast<char>(static_cast<unsigned char>(other[0]) | 0x20u);
    EXPECT_EQ(every_way(other).end, "reserved_bits");
    EXPECT_EQ(every_way(compressed(wire::text, hello), {.info = {}}).end, "reserved_bits") << "not agreed on";
}

TEST(InflaterTest, TextFailsAtItsFirstImpossibleByte) {
    for (const std::string& text : {"ok\xff"s + std::string(500, 'x'), "\xed\xa0"s + std::string(100, 'x'), "\xc3"s}) {
        Peer peer(agreed(), 0);  // stored blocks: where a byte stands is known
        const std::string script = compressed(wire::text, peer.compress(text));
        const Outcome outcome = every_way(script);
        EXPECT_EQ(outcome.end, "text_not_utf8");
        const std::size_t bad = text.find_first_of("\xff\xa0");
        if (bad == text.npos) continue;
        const std::size_t at = (text.size() + 6 > 125 ? 4u : 2u) + 5 + bad;  // headers of the frame and of the block
        EXPECT_EQ(fed({}, {std::string_view(script).substr(0, at)}).end, "open") << "the byte has not come";
        EXPECT_EQ(fed({}, {std::string_view(script).substr(0, at + 1)}).end, "text_not_utf8")
            << "nothing else is needed";
    }
    Peer peer(agreed());
    EXPECT_EQ(every_way(compressed(wire::binary, peer.compress("\xff"))).messages, Messages{"\xff"});
}

TEST(InflaterTest, TheFirstFaultIsTheVerdict) {
    // Text that goes wrong, and behind it a block that is none: the same verdict however the bytes arrive.
    const std::string stored = "\x00\x03\x00\xfc\xff"s;
    EXPECT_EQ(every_way(compressed(wire::text, stored + "a\xff"
                                                        "b\x07\x07"s))
                  .end,
              "text_not_utf8");
    EXPECT_EQ(every_way(compressed(wire::binary, stored + "abc\x07\x07"s), {.limit = 2}).end, "message_too_big");
    EXPECT_EQ(every_way(compressed(wire::binary, stored + "abc\x07\x07"s)).end, "compressed_data");
}

TEST(InflaterTest, TheLimitIsExact) {
    for (const std::size_t limit :
         {std::size_t{1}, std::size_t{100}, std::size_t{4096}, std::size_t{16384}, std::size_t{20000}}) {
        for (const bool noise : {false, true}) {
            const auto message = [&](std::size_t size) { return noise ? random_bytes(size) : std::string(size, 'x'); };
            Peer exact(agreed());
            std::string good = compressed(wire::binary, exact.compress(message(limit)));
            good += compressed(wire::binary, exact.compress(message(limit)));
            const Outcome taken = every_way(good, {.limit = limit});
            EXPECT_EQ(taken.messages, (Messages{message(limit), message(limit)})) << limit;
            EXPECT_EQ(taken.end, "open");
            Peer more(agreed());
            const std::string bad = compressed(wire::binary, more.compress(message(limit + 1)));
            EXPECT_EQ(every_way(bad, {.limit = limit}).end, "message_too_big") << limit;
            // As fragments, the last of which brings the byte too much.
            Peer split(agreed());
            const std::string payload = split.compress(message(limit + 1));
            std::string script = compressed(wire::binary, payload.substr(0, 1), false);
            for (std::size_t i = 1; i < payload.size(); i += 100)
                script += fragment(wire::continuation, payload.substr(i, 100));
            EXPECT_EQ(every_way(script + frame(wire::continuation, ""), {.limit = limit}).end, "message_too_big")
                << limit;
        }
    }
    EXPECT_EQ(every_way(compressed(wire::binary, "\0"s), {.limit = 0}).messages, Messages{""});
}

/// Of 1 GB in 1 MB; the payload is not kept for every split.
std::string bomb(std::size_t size) {
    Peer peer(agreed(), 9);
    const std::string zeros(1u << 20u, '\0');
    std::string payload = peer.compress(zeros) + tail;
    // With a window full of zeros every further piece is compressed alike.
    const std::string more = peer.compress(zeros) + tail;
    for (std::size_t done = zeros.size(); done < size; done += zeros.size()) payload += more;
    return payload;
}

TEST(InflaterTest, BombsEndAtTheLimit) {
    constexpr std::size_t limit = 4u << 20u;
    const std::string payload = bomb(std::size_t{1} << 30u);
    ASSERT_LT(payload.size(), 2u << 20u);
    for (const Delivery delivery : {Delivery::messages, Delivery::chunks}) {
        for (const bool in_fragments : {false, true}) {
            std::string script;
            if (in_fragments) {
                script = compressed(wire::binary, "", false);
                for (std::size_t i = 0; i < payload.size(); i += 1000) {
                    script += fragment(wire::continuation, payload.substr(i, 1000));
                }
            } else {
                script = compressed(wire::binary, payload);
            }
            const Outcome outcome = fed({.delivery = delivery, .limit = limit, .capacity = 64u << 10u}, {script});
            EXPECT_EQ(outcome.end, "message_too_big");
            EXPECT_LE(outcome.unfinished.size(), limit);
            EXPECT_LE(outcome.largest_chunk, 16u << 10u);
            EXPECT_LT(outcome.memory, 48u << 10u) << "zlib's state and window";
            EXPECT_LT(outcome.consumed, payload.size() / 10) << "it fails as soon as the limit is met";
        }
    }
}

TEST(InflaterTest, TheRatioIsGuarded) {
    Peer peer(agreed());
    const std::string zeros(1u << 20u, '\0');
    const std::string script = compressed(wire::binary, peer.compress(zeros));
    EXPECT_EQ(fed({.max_ratio = 100}, {script}).end, "compression_ratio");
    EXPECT_EQ(fed({.delivery = Delivery::chunks, .max_ratio = 100}, {script}).end, "compression_ratio");
    EXPECT_EQ(fed({.max_ratio = 1100}, {script}).messages, Messages{zeros});
    // A small message may be as dense as it likes.
    Peer small(agreed());
    const std::string few(64u << 10u, '\0');
    EXPECT_EQ(fed({.max_ratio = 10}, {compressed(wire::binary, small.compress(few))}).messages, Messages{few});
}

/// With any amount of memory that is too little it is the ceiling that ends it, and all is given back.
TEST(InflaterTest, WithoutMemoryInTheBudget) {
    const std::string message = prose(60'000);
    const std::string script = compressed(wire::binary, Peer(agreed()).compress(message));
    for (const Delivery delivery : {Delivery::messages, Delivery::chunks}) {
        std::size_t limit = 1;
        for (std::string made; made != message; limit += 4096) {
            ASSERT_LT(limit, 1u << 20u);
            MemoryBudget budget(limit);
            {
                std::vector<std::byte> memory(script.size());
                Buffer in(memory);
                std::memcpy(in.writable().data(), script.data(), script.size());
                in.commit(script.size());
                MessageReader reader(delivery, 1u << 20u, agreed(), 0, &budget);
                auto status = MessageReader::Status::event;
                made.clear();
                for (Event event; status == MessageReader::Status::event;) {
                    status = reader.next(in, event);
                    if (status == MessageReader::Status::event) made += as_text(event.bytes);
                }
                EXPECT_EQ(message.substr(0, made.size()), made);
                EXPECT_EQ(reader.error(), made == message ? Errc{} : Errc::memory_limit) << limit;
                EXPECT_LE(budget.used(), limit);
            }
            EXPECT_EQ(budget.used(), 0u);
        }
        EXPECT_GT(limit, 40'000u) << "or this proves little: the window alone is that large";
    }
}

TEST(InflaterTest, ChunksSayWhereTheyStand) {
    Peer peer(agreed());
    MessageReader reader(Delivery::chunks, 1u << 20u, agreed(), 0);
    std::vector<std::byte> memory(8192);
    Buffer in(memory);
    const std::string message(40'000, 'x');
    const std::string payload = peer.compress(message);
    const std::string script = compressed(wire::text, payload);
    std::memcpy(in.writable().data(), script.data(), script.size());
    in.commit(script.size());
    std::uint64_t offset = 0;
    for (Event event; reader.next(in, event) == MessageReader::Status::event;) {
        EXPECT_TRUE(event.chunk.compressed);
        EXPECT_TRUE(event.chunk.frame_fin);
        EXPECT_EQ(event.chunk.frame_length, payload.size());
        EXPECT_EQ(event.chunk.frame_offset, offset);
        EXPECT_EQ(event.chunk.first, offset == 0);
        offset += event.bytes.size();
        EXPECT_EQ(event.chunk.last, offset == message.size());
        reader.trim();  // takes nothing away that an event still refers to
        reader.trim();
        EXPECT_EQ(as_text(event.bytes), std::string(event.bytes.size(), 'x'));
    }
    EXPECT_EQ(offset, message.size());
    EXPECT_EQ(reader.messages(), 1u);
    reader.trim();
    reader.trim();
}

TEST(InflaterTest, RandomMessagesInRandomPieces) {
    std::minstd_rand engine(7692);
    const auto random = [&] { return static_cast<unsigned>(engine()); };
    for (int round = 0; round < 60; ++round) {
        const CompressionInfo info = agreed(15, static_cast<int>(9 + random() % 7), true, random() % 2 == 0);
        Peer peer(info, static_cast<int>(random() % 10));
        Messages messages;
        std::string script;
        for (int i = 0; i < 8; ++i) {
            const std::size_t size = random() % 3 == 0 ? random() % 50'000 : random() % 300;
            messages.push_back(random() % 2 == 0 ? prose(size, random()) : random_bytes(size, random()));
            if (random() % 4 == 0) {
                script += frame(wire::binary, messages.back());
                continue;
            }
            const std::string payload = peer.compress(messages.back());
            const std::size_t cut = random() % (payload.size() + 1);
            script += compressed(wire::binary, payload.substr(0, cut), false) +
                      frame(wire::continuation, payload.substr(cut));
        }
        std::vector<std::string_view> pieces;
        for (std::string_view rest = script; !rest.empty();) {
            const std::size_t size = std::min<std::size_t>(rest.size(), 1 + random() % 5000);
            pieces.push_back(rest.substr(0, size));
            rest.remove_prefix(size);
        }
        const Rules setup{.delivery = random() % 2 == 0 ? Delivery::messages : Delivery::chunks, .info = info};
        EXPECT_EQ(fed(setup, pieces).messages, messages) << round;
    }
}

// --- sending through a core ----------------------------------------------------------------------------------------

struct SentMessage {
    unsigned opcode = 0;
    bool rsv1 = false;
    std::size_t frames = 0;
    std::string payload;
};

/// Cuts what a client has sent into messages. Control frames are messages of their own.
std::vector<SentMessage> sent_messages(std::string wire) {
    std::vector<SentMessage> all;
    std::optional<SentMessage> open;
    while (!wire.empty()) {
        const bool rsv1 = (static_cast<unsigned char>(wire[0]) & 0x40u) != 0;
        wire[0] = static_cast<char>(static_cast<unsigned char>(wire[0]) & ~0x40u);
        std::string offence;
        const auto next = wire::first_client_frame(wire, offence);
        EXPECT_TRUE(next) << offence;
        if (!next) break;
        if (next->opcode != wire::continuation) open = SentMessage{next->opcode, rsv1, 0, {}};
        EXPECT_TRUE(next->opcode != wire::continuation || !rsv1) << "RSV1 only in the first frame";
        ++open->frames;
        open->payload += next->payload;
        if (next->fin) all.push_back(*open);
        wire.erase(0, next->size);
    }
    return all;
}

const std::string deflate_header = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

class CompressedCore {
public:
    explicit CompressedCore(Config config = {}, const std::string& header = deflate_header) : core(with_url(config)) {
        core.open(header);
    }
    static Config with_url(Config config) {
        config.url = "ws://host.example/";
        return config;
    }
    DrivenCore core;
};

TEST(CompressedSending, FromTheThresholdOn) {
    CompressedCore one;
    Peer peer(agreed());
    const std::string below = prose(63);
    const std::string at = prose(64);
    for (const std::string& each : {below, at, ""s}) ASSERT_FALSE(one.core->send(Opcode::text, as_bytes(each)));
    ASSERT_FALSE(one.core->send(Opcode::text, as_bytes(below), {.compress = Compress::always}));
    ASSERT_FALSE(one.core->send(Opcode::binary, as_bytes(at), {.compress = Compress::never}));
    ASSERT_FALSE(one.core->send(Opcode::binary, as_bytes(""), {.compress = Compress::always}));
    ASSERT_FALSE(one.core->ping(as_bytes(prose(100))));
    const auto sent = sent_messages(one.core.transmit());
    ASSERT_EQ(sent.size(), 7u);
    EXPECT_EQ(sent[0].opcode, wire::ping);
    EXPECT_FALSE(sent[0].rsv1) << "control frames are never compressed";
    EXPECT_FALSE(sent[1].rsv1);
    EXPECT_EQ(sent[1].payload, below);
    EXPECT_TRUE(sent[2].rsv1);
    EXPECT_EQ(peer.inflate(sent[2].payload), at);
    EXPECT_FALSE(sent[3].rsv1);
    EXPECT_TRUE(sent[4].rsv1);
    EXPECT_EQ(peer.inflate(sent[4].payload), below);
    EXPECT_FALSE(sent[5].rsv1);
    EXPECT_EQ(sent[5].payload, at);
    EXPECT_TRUE(sent[6].rsv1);
    EXPECT_EQ(peer.inflate(sent[6].payload), "");
    EXPECT_EQ(one.core->stats().messages_sent, 6u);
}

TEST(CompressedSending, NotWithoutAgreement) {
    CompressedCore one({}, "");
    ASSERT_FALSE(one.core->send(Opcode::text, as_bytes(prose(1000)), {.compress = Compress::always}));
    EXPECT_FALSE(sent_messages(one.core.transmit()).at(0).rsv1);
}

TEST(CompressedSending, FragmentsAreOneMessage) {
    CompressedCore one({.fragment_size = 100});
    Peer peer(agreed());
    const std::string message = random_bytes(1000);
    ASSERT_FALSE(one.core->send(Opcode::binary, as_bytes(message)));
    const auto sent = sent_messages(one.core.transmit());
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_GT(sent[0].frames, 9u);
    EXPECT_TRUE(sent[0].rsv1);
    EXPECT_EQ(peer.inflate(sent[0].payload), message);
}

TEST(CompressedSending, Parts) {
    for (const bool takeover : {true, false}) {
        CompressedCore one({.compression = {.offers = {{.client_context_takeover = takeover}}}});
        Peer peer(agreed(15, 15, takeover));
        for (int round = 0; round < 2; ++round) {
            ASSERT_FALSE(one.core->send_part(Opcode::text, as_bytes("gr\xc3"), false));
            ASSERT_FALSE(one.core->send_part(Opcode::continuation, as_bytes(""), false));
            EXPECT_EQ(one.core->send_part(Opcode::continuation, as_bytes("\xff"), false), Errc::outgoing_text_not_utf8);
            EXPECT_EQ(one.core->send(Opcode::text, as_bytes("x")), Errc::message_in_progress);
            ASSERT_FALSE(one.core->send_part(Opcode::continuation,
                                             as_bytes("\xbc"
                                                      "n"),
                                             false));
            ASSERT_FALSE(one.core->send_part(Opcode::continuation, as_bytes(""), true));
            ASSERT_FALSE(one.core->send_part(Opcode::binary, as_bytes("plain"), false, {.compress = Compress::never}));
            ASSERT_FALSE(one.core->send_part(Opcode::continuation, as_bytes(prose(500)), true));
            const auto sent = sent_messages(one.core.transmit());
            ASSERT_EQ(sent.size(), 2u);
            EXPECT_TRUE(sent[0].rsv1);
            EXPECT_EQ(sent[0].frames, 4u);
            EXPECT_EQ(peer.inflate(sent[0].payload),
                      "gr\xc3\xbc"
                      "n");
            EXPECT_FALSE(sent[1].rsv1) << "the first part decides";
            EXPECT_EQ(sent[1].payload, "plain" + prose(500));
        }
    }
}

TEST(CompressedSending, WithoutContextTakeoverToNoPurpose) {
    CompressedCore one({.compression = {.offers = {{.client_context_takeover = false}}}});
    const std::string noise = random_bytes(500);
    ASSERT_FALSE(one.core->send(Opcode::binary, as_bytes(noise)));
    const auto sent = sent_messages(one.core.transmit());
    EXPECT_FALSE(sent.at(0).rsv1) << "it would only be larger";
    EXPECT_EQ(sent.at(0).payload, noise);
}

TEST(CompressedSending, WhatTheQueueRefusesIsForgotten) {
    CompressedCore one({.limits = {.max_send_queue = 1000}});
    Peer peer(agreed());
    const std::string noise = random_bytes(1200);
    EXPECT_EQ(one.core->send(Opcode::binary, as_bytes(noise)), Errc::send_queue_full);
    const std::string some = noise.substr(0, 900);
    ASSERT_FALSE(one.core->send(Opcode::binary, as_bytes(some))) << "it refers to nothing that was refused";
    EXPECT_FALSE(one.core->send(Opcode::binary, as_bytes(some))) << "what is compressed may well fit";
    EXPECT_EQ(one.core->send_part(Opcode::binary, as_bytes(random_bytes(700, 9)), false), Errc::send_queue_full);
    ASSERT_FALSE(one.core->send(Opcode::binary, as_bytes(prose(64)))) << "no message was begun";
    const auto sent = sent_messages(one.core.transmit());
    ASSERT_EQ(sent.size(), 3u);
    EXPECT_EQ(peer.inflate(sent[0].payload), some);
    EXPECT_EQ(peer.inflate(sent[1].payload), some);
    EXPECT_EQ(peer.inflate(sent[2].payload), prose(64));
}

TEST(CompressedSending, APartThatIsRefusedCanBeSentAgain) {
    CompressedCore one({.limits = {.max_send_queue = 1000}});
    Peer peer(agreed());
    ASSERT_FALSE(one.core->send_part(Opcode::binary, as_bytes(random_bytes(600)), false));
    const std::string more = random_bytes(600, 2);
    EXPECT_EQ(one.core->send_part(Opcode::continuation, as_bytes(more), true), Errc::send_queue_full);
    std::string wire = one.core.transmit();
    ASSERT_FALSE(one.core->send_part(Opcode::continuation, as_bytes(more), true));
    wire += one.core.transmit();
    EXPECT_EQ(peer.inflate(sent_messages(wire).at(0).payload), random_bytes(600) + more);
}

TEST(CompressedSending, InSteps) {
    CompressedCore one;
    Peer peer(agreed());
    const std::string message = prose(5000);
    Outgoing outgoing(Opcode::text, as_bytes(message));
    ASSERT_TRUE(outgoing.may_be_compressed({}));
    one.core->begin(outgoing);
    ASSERT_TRUE(outgoing.compresses());
    // Meanwhile anything may happen that needs no compressor, on the connection and to it.
    ASSERT_FALSE(one.core->send(Opcode::text, as_bytes("small")));
    ASSERT_FALSE(one.core->send(Opcode::text, as_bytes(message))) << "the compressor is lent, so it goes as it is";
    std::thread([&] { outgoing.compress(); }).join();
    one.core.pass(std::chrono::milliseconds(1));
    ASSERT_FALSE(one.core->finish(outgoing));
    const auto sent = sent_messages(one.core.transmit());
    ASSERT_EQ(sent.size(), 3u);
    EXPECT_EQ(sent[0].payload, "small");
    EXPECT_EQ(sent[1].payload, message);
    EXPECT_TRUE(sent[2].rsv1);
    EXPECT_EQ(peer.inflate(sent[2].payload), message);

    Outgoing plain(Opcode::text, as_bytes(message));
    plain.leave_plain();
    EXPECT_FALSE(plain.may_be_compressed({}));
    one.core->begin(plain);
    EXPECT_FALSE(plain.compresses());
    plain.compress();
    ASSERT_FALSE(one.core->finish(plain));
    EXPECT_EQ(sent_messages(one.core.transmit()).at(0).payload, message);
}

TEST(CompressedSending, WhatChangesBetweenTheSteps) {
    const std::string message = prose(500);
    const auto begun = [&](CompressedCore& one, Outgoing& outgoing) {
        one.core->begin(outgoing);
        ASSERT_TRUE(outgoing.compresses());
        outgoing.compress();
        EXPECT_LT(outgoing.size(), message.size());
    };
    {
        CompressedCore one;
        Peer peer(agreed());
        {
            Outgoing outgoing(Opcode::text, as_bytes(message));
            begun(one, outgoing);
            ASSERT_FALSE(one.core->send_part(Opcode::text, as_bytes("other"), false, {.compress = Compress::never}));
            EXPECT_EQ(one.core->finish(outgoing), Errc::message_in_progress);
            ASSERT_FALSE(one.core->send_part(Opcode::continuation, as_bytes(""), true));
            ASSERT_FALSE(one.core->finish(outgoing)) << "the same once more, when that is over";
            EXPECT_FALSE(outgoing.compresses());
        }
        ASSERT_FALSE(one.core->send(Opcode::text, as_bytes(message)));
        const auto sent = sent_messages(one.core.transmit());
        ASSERT_EQ(sent.size(), 3u);
        EXPECT_EQ(peer.inflate(sent[1].payload), message);
        EXPECT_EQ(peer.inflate(sent[2].payload), message);
    }
    {
        CompressedCore one;
        Peer peer(agreed());
        {
            Outgoing outgoing(Opcode::text, as_bytes(message));
            begun(one, outgoing);
        }
        ASSERT_FALSE(one.core->send(Opcode::text, as_bytes(message))) << "the one before was never sent";
        EXPECT_EQ(peer.inflate(sent_messages(one.core.transmit()).at(0).payload), message);
    }
    {
        CompressedCore one;
        Outgoing outgoing(Opcode::text, as_bytes(message));
        begun(one, outgoing);
        ASSERT_FALSE(one.core->close());
        EXPECT_EQ(one.core->finish(outgoing), Errc::already_closing);
    }
    {
        CompressedCore one;
        Outgoing outgoing(Opcode::text, as_bytes(message));
        begun(one, outgoing);
        one.core->stop(one.core.now());
        EXPECT_EQ(one.core->finish(outgoing), Errc::not_connected) << "the compressor has outlived its connection";
    }
    {
        // Another connection has taken its place.
        CompressedCore one;
        Outgoing outgoing(Opcode::text, as_bytes(message));
        begun(one, outgoing);
        one.core->on_eof(one.core.stream(), one.core.now());
        one.core.take();
        one.core.expect(Command::Kind::close);
        one.core.pass(std::chrono::seconds(60));
        one.core.connect();
        one.core.receive(one.core.answer(deflate_header));
        one.core.take();
        ASSERT_EQ(one.core->state(), State::open);
        ASSERT_FALSE(one.core->finish(outgoing));
        const auto sent = sent_messages(one.core.transmit());
        ASSERT_EQ(sent.size(), 1u);
        EXPECT_FALSE(sent[0].rsv1) << "that compressor is not this one's";
        EXPECT_EQ(sent[0].payload, message);
    }
}

TEST(CompressedSending, TheHandshakeSaysWhatWasAgreedOn) {
    DrivenCore core(CompressedCore::with_url({.compression = {.offers = {{.server_window_bits = 10}}}}));
    EXPECT_FALSE(core.start());
    core.connect();
    EXPECT_NE(core.request().find("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; "
                                  "server_max_window_bits=10\r\n"),
              std::string::npos);
    const std::string answer = core.answer(
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9; "
        "client_no_context_takeover; client_max_window_bits=11\r\n");
    const std::span<std::byte> space = core->rx_space(core.stream());
    std::memcpy(space.data(), answer.data(), answer.size());
    core->rx_commit(core.stream(), answer.size(), core.now());
    Event event;
    while (core->next(event) && event.kind != Event::Kind::open) {
    }
    ASSERT_EQ(event.kind, Event::Kind::open);
    const CompressionInfo& info = event.handshake->compression;
    EXPECT_TRUE(info.active);
    EXPECT_FALSE(info.client_context_takeover);
    EXPECT_TRUE(info.server_context_takeover);
    EXPECT_EQ(info.client_window_bits, 11);
    EXPECT_EQ(info.server_window_bits, 9);
}

}  // namespace
}  // namespace tern::core
