// The reference codec against the examples of the RFCs, so that the simulator's verdicts can be trusted.
#include <gtest/gtest.h>

#include "reference_codec.hpp"

namespace tern::sim {
namespace {

using namespace std::string_literals;

std::string hex(std::string_view bytes) {
    std::string out;
    for (const char c : bytes) {
        for (const unsigned shift : {4u, 0u}) out += "0123456789abcdef"[static_cast<unsigned char>(c) >> shift & 15u];
    }
    return out;
}

constexpr std::array<unsigned char, 4> example_key{0x37, 0xfa, 0x21, 0x3d};

Frame masked(Frame frame) {
    frame.mask = example_key;
    return frame;
}

TEST(ReferenceDigest, Sha1OfFips180Examples) {
    EXPECT_EQ(hex(sha1("")), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    EXPECT_EQ(hex(sha1("abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
    EXPECT_EQ(hex(sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
              "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    EXPECT_EQ(hex(sha1(std::string(1'000'000, 'a'))), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

TEST(ReferenceDigest, Base64OfRfc4648Section10) {
    const std::pair<const char*, const char*> examples[] = {{"", ""},
                                                            {"f", "Zg=="},
                                                            {"fo", "Zm8="},
                                                            {"foo", "Zm9v"},
                                                            {"foob", "Zm9vYg=="},
                                                            {"fooba", "Zm9vYmE="},
                                                            {"foobar", "Zm9vYmFy"}};
    for (const auto& [plain, encoded] : examples) {
        EXPECT_EQ(base64(plain), encoded);
        EXPECT_EQ(unbase64(encoded), plain);
    }
    EXPECT_EQ(unbase64("Zg="), std::nullopt);
    EXPECT_EQ(unbase64("Z==="), std::nullopt);
    EXPECT_EQ(unbase64("Zg==Zg=="), std::nullopt);
    EXPECT_EQ(unbase64("Zm9*"), std::nullopt);
}

TEST(ReferenceUpgrade, AcceptOfRfc6455Section1_3) {
    EXPECT_EQ(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(ReferenceUpgrade, RequestOfRfc6455Section1_2) {
    std::string buffer =
        "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n"
        "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Protocol:chat \r\nSec-WebSocket-Version: 13\r\n\r";
    EXPECT_FALSE(take_request(buffer));
    buffer += "\nrest";
    const auto request = take_request(buffer);
    ASSERT_TRUE(request);
    EXPECT_EQ(buffer, "rest");
    EXPECT_EQ(request->offence(), "");
    EXPECT_EQ(request->target, "/chat");
    EXPECT_EQ(request->header("host"), "server.example.com");
    EXPECT_EQ(request->header("sec-websocket-protocol"), "chat");
    EXPECT_EQ(request->header("origin"), "");
}

TEST(ReferenceUpgrade, OffencesAreFound) {
    const std::string good =
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    const std::pair<const char*, const char*> changes[] = {{"GET", "PUT"},
                                                           {"HTTP/1.1", "HTTP/1.0"},
                                                           {"GET /", "GET *"},
                                                           {"Host: a\r\n", ""},
                                                           {"websocket", "h2c"},
                                                           {": Upgrade", ": close"},
                                                           {"dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25j"},
                                                           {"Version: 13", "Version: 8"},
                                                           {"Host: a", "Host: a\r\nHost: a"}};
    for (const auto& [from, to] : changes) {
        std::string buffer = good;
        buffer.replace(buffer.find(from), std::string(from).size(), to);
        const auto request = take_request(buffer);
        ASSERT_TRUE(request) << from;
        EXPECT_NE(request->offence(), "") << from;
    }
}

TEST(ReferenceUtf8, AcceptsCharactersOfEveryLengthAtEverySplit) {
    const std::string text = "a\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf";
    EXPECT_TRUE(is_utf8(text));
    for (std::size_t i = 0; i <= text.size(); ++i) {
        Utf8Check check;
        EXPECT_TRUE(check.add(text.substr(0, i)));
        EXPECT_TRUE(check.add(text.substr(i)));
        EXPECT_TRUE(check.complete());
    }
}

TEST(ReferenceUtf8, RefusesWhatIsNotUtf8AtTheFirstWrongByte) {
    for (const std::string bad : {"\x80", "\xc0", "\xc1", "\xf5", "\xff", "\xc2\x41", "\xe0\x9f", "\xed\xa0",
                                  "\xf0\x8f", "\xf4\x90", "\xe1\x80\x41", "\xf1\x80\x80\xc0"}) {
        Utf8Check check;
        EXPECT_TRUE(check.add(bad.substr(0, bad.size() - 1))) << hex(bad);
        EXPECT_FALSE(check.add(bad.substr(bad.size() - 1))) << hex(bad);
    }
    EXPECT_FALSE(is_utf8("\xe2\x82"));
}

// RFC 6455 section 5.7.
TEST(ReferenceFrame, ExamplesOfRfc6455Section5_7) {
    EXPECT_EQ(hex(encode(text_frame("Hello"))), "810548656c6c6f");
    EXPECT_EQ(hex(encode(masked(text_frame("Hello")))), "818537fa213d7f9f4d5158");
    const auto parts = fragments(opcode::text, "Hello", 3);
    ASSERT_EQ(parts.size(), 2u);
    EXPECT_EQ(hex(encode(parts[0])), "010348656c");
    EXPECT_EQ(hex(encode(parts[1])), "80026c6f");
    EXPECT_EQ(hex(encode(ping_frame("Hello"))), "890548656c6c6f");
    EXPECT_EQ(hex(encode(masked(pong_frame("Hello")))), "8a8537fa213d7f9f4d5158");
    EXPECT_EQ(hex(encode(binary_frame(std::string(256, 'x')))).substr(0, 8), "827e0100");
    EXPECT_EQ(hex(encode(binary_frame(std::string(65536, 'x')))).substr(0, 20), "827f0000000000010000");
    EXPECT_EQ(hex(encode(close_frame(1000, "bye"))), "880503e8627965");
    EXPECT_EQ(hex(encode(close_frame(1005))), "8800");
}

TEST(ReferenceFrame, ReaderUndoesTheWriterByteByByte) {
    std::string wire;
    for (const std::size_t size : {0u, 1u, 4u, 125u, 126u, 65535u, 65536u}) {
        wire += encode(masked(binary_frame(std::string(size, 'q'))));
    }
    FrameReader reader;
    std::vector<std::size_t> sizes;
    for (const char c : wire) {
        reader.add({&c, 1});
        while (const auto frame = reader.next()) {
            EXPECT_EQ(frame->payload, std::string(frame->payload.size(), 'q'));
            sizes.push_back(frame->payload.size());
        }
    }
    EXPECT_EQ(sizes, (std::vector<std::size_t>{0, 1, 4, 125, 126, 65535, 65536}));
    EXPECT_EQ(reader.offence(), "");
    EXPECT_EQ(reader.left(), 0u);
}

TEST(ReferenceFrame, ReaderStopsAtOffences) {
    const Frame offences[] = {
        text_frame("not masked"),
        masked({.opcode = 3}),
        masked({.opcode = 11}),
        masked({.rsv = 4}),
        masked({.opcode = opcode::ping, .fin = false}),
        masked({.opcode = opcode::ping, .payload = std::string(126, 'p')}),
        masked({.payload = "short", .length_bytes = 2}),
        masked({.payload = std::string(300, 'l'), .length_bytes = 8}),
    };
    for (const Frame& frame : offences) {
        FrameReader reader;
        reader.add(encode(frame));
        EXPECT_FALSE(reader.next());
        EXPECT_NE(reader.offence(), "");
    }
}

}  // namespace
}  // namespace tern::sim
