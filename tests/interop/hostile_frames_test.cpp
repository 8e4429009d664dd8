// Servers that break RFC 6455 on an open connection: each way has its error for the user and its close code for the
// server.
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "scripted_server.hpp"
#include "watched_client.hpp"

namespace tern::interop {
namespace {

using namespace std::string_literals;

struct Violation {
    std::string name;
    std::string bytes;  ///< What the server says after the upgrade.
    Errc expected;
    unsigned close_code;
};

std::vector<Violation> violations() {
    std::vector<Violation> rows = {
        {"control_fragmented", frame(9, "p", false), Errc::control_fragmented, 1002},
        {"control_too_long", frame(9, std::string(126, 'p')), Errc::control_too_long, 1002},
        {"length_16_not_minimal", "\x82\x7e\x00\x7d"s + std::string(125, 'x'), Errc::length_not_minimal, 1002},
        {"length_64_not_minimal", "\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff"s, Errc::length_not_minimal, 1002},
        {"length_overflow", "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00"s, Errc::length_overflow, 1002},
        {"masked", "\x81\x85\x01\x02\x03\x04hello"s, Errc::masked_frame, 1002},
        {"continuation_without_start", frame(0, "x"), Errc::unexpected_continuation, 1002},
        {"continuation_after_end", frame(1, "a", false) + frame(0, "b") + frame(0, "c"), Errc::unexpected_continuation,
         1002},
        {"new_message_inside_another", frame(1, "a", false) + frame(1, "b"), Errc::unfinished_message, 1002},
        {"close_body_of_one_byte", frame(8, "\x03"), Errc::close_body_length, 1002},
        {"close_reason_not_utf8", close_frame(1000, "\xff\xfe"), Errc::close_reason_not_utf8, 1007},
        {"text_not_utf8", frame(1, "ab\xff"), Errc::text_not_utf8, 1007},
        {"text_ends_in_a_character", frame(1, "\xc3"), Errc::text_not_utf8, 1007},
        {"text_split_in_a_character_wrongly", frame(1, "\xce", false) + frame(0, "x"), Errc::text_not_utf8, 1007},
        {"impossible_byte_in_a_frame_that_never_ends", "\x81\x7e\x04\x00ok\xf4\x90"s, Errc::text_not_utf8, 1007},
        {"impossible_byte_in_a_large_frame", "\x81\x7f\x00\x00\x00\x00\x00\x10\x00\x00ok\xed\xa0"s, Errc::text_not_utf8,
         1007},
        {"message_too_big_by_its_header", "\x82\x7f\x00\x00\x01\x00\x00\x00\x00\x00"s, Errc::message_too_big, 1009},
        {"message_too_big_by_the_sum", frame(2, std::string(600'000, 'x'), false) + frame(0, std::string(600'000, 'x')),
         Errc::message_too_big, 1009},
    };
    for (const unsigned rsv : {1u, 2u, 4u}) {
        rows.push_back({"reserved_bit_" + std::to_string(rsv), frame(1, "x", true, rsv), Errc::reserved_bits, 1002});
    }
    for (const unsigned opcode : {3u, 4u, 5u, 6u, 7u, 11u, 12u, 13u, 14u, 15u}) {
        rows.push_back({"opcode_" + std::to_string(opcode), frame(opcode, "x"), Errc::reserved_opcode, 1002});
    }
    for (const unsigned code : {0u, 999u, 1004u, 1005u, 1006u, 1015u, 1016u, 1100u, 2000u, 2999u, 5000u, 65535u}) {
        rows.push_back({"close_code_" + std::to_string(code), close_frame(code), Errc::close_code_invalid, 1002});
    }
    return rows;
}

class HostileFrame : public testing::TestWithParam<Violation> {};

TEST_P(HostileFrame, FailsTheConnection) {
    const Violation& row = GetParam();
    std::vector<ClientFrame> frames;
    {
        ScriptedServer server([&](Peer& peer) {
            if (!peer.upgrade() || !peer.send(row.bytes)) return;
            while (auto read = peer.read_frame()) frames.push_back(*read);
        });
        Config config = patient_config(server.url());
        config.limits.max_message_size = 1u << 20u;
        WatchedClient client(config);
        ASSERT_TRUE(client.wait_for_end());
        const Error error = client.error();
        EXPECT_EQ(error.code, make_error_code(row.expected)) << error.message();
        EXPECT_TRUE(client.closed());
        EXPECT_NE(error.message().find("open with " + server.name()), std::string::npos) << error.message();
        EXPECT_TRUE(client.messages().empty() || row.name == "continuation_after_end");
        EXPECT_EQ(static_cast<unsigned>(client.close().sent_code), row.close_code);
        EXPECT_FALSE(client.close().clean() && row.name.find("close_") != 0);
    }
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].close_code(), row.close_code);
    EXPECT_TRUE(frames[0].masked);
    EXPECT_TRUE(frames[0].minimal);
}

INSTANTIATE_TEST_SUITE_P(Rows, HostileFrame, testing::ValuesIn(violations()),
                         [](const auto& one) { return one.param.name; });

TEST(HostileFrames, AfterACloseAreDiscarded) {
    ScriptedServer server([](Peer& peer) {
        peer.upgrade();
        peer.send(frame(1, "before") + close_frame(1000, "bye") + frame(1, "after") + frame(7, "nonsense"));
        const auto reply = peer.read_frame();
        if (reply && reply->close_code() == 1000u) peer.half_close();
        peer.drain();
    });
    WatchedClient client(patient_config(server.url()));
    ASSERT_TRUE(client.wait_for_end());
    ASSERT_EQ(client.messages().size(), 1u);
    EXPECT_EQ(client.messages()[0].text(), "before");
    EXPECT_TRUE(client.close().clean());
    EXPECT_EQ(client.error().code, make_error_code(Errc::closed_by_peer));
    EXPECT_EQ(client.close().reason, "bye");
}

TEST(HostileFrames, AClaimOfSizeCostsNoMemory) {
    ScriptedServer server([](Peer& peer) {
        peer.upgrade();
        peer.send("\x82\x7f\x00\x00\x00\x00\x3f\xff\xff\xff"s + std::string(1000, 'x'));  // one GiB, they say
        peer.drain();
    });
    Config config = patient_config(server.url());
    config.limits.max_message_size = std::size_t{1} << 30u;
    WatchedClient client(config);
    ASSERT_TRUE(client.wait_for_open());
    while (client->stats().bytes_received < 1000) std::this_thread::yield();
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    EXPECT_LT(usage.ru_maxrss, 700'000) << "KiB; a sanitizer's shadow is included";
}

TEST(ClientFrames, AreMaskedMinimalAndUnlikeEachOther) {
    std::vector<ClientFrame> frames;
    {
        ScriptedServer server([&](Peer& peer) {
            peer.upgrade();
            while (auto read = peer.read_frame()) frames.push_back(*read);
        });
        WatchedClient client(patient_config(server.url()));
        ASSERT_TRUE(client.wait_for_open());
        for (const std::size_t size : {0u, 1u, 125u, 126u, 65535u, 65536u, 200'000u}) {
            EXPECT_FALSE(client->send_binary(as_bytes(std::string(size, 'x'))));
        }
        for (int i = 0; i < 1000; ++i) EXPECT_FALSE(client->send_text("same"));
        client->stop();
    }
    ASSERT_EQ(frames.size(), 1008u);
    std::set<std::string> keys;
    for (const ClientFrame& read : frames) {
        EXPECT_TRUE(read.masked && read.minimal && read.fin && read.rsv == 0);
        keys.insert(read.key);
    }
    EXPECT_GE(keys.size(), 1007u) << "four random bytes may repeat once by chance";
    EXPECT_EQ(frames[6].payload, std::string(200'000, 'x'));
    EXPECT_EQ(frames.back().close_code(), 1001u);
}

}  // namespace
}  // namespace tern::interop
