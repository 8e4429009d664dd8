// Servers that break RFC 6455, and the limits of what is taken from them.
#include <malloc.h>

#include "life.hpp"

// Only there under a sanitizer, which replaces the allocator and so knows what mallinfo2 does not.
extern "C" std::size_t __sanitizer_get_current_allocated_bytes() __attribute__((weak));

namespace tern::sim {
namespace {

/// What this process has allocated.
std::size_t allocated() {
    if (__sanitizer_get_current_allocated_bytes != nullptr) return __sanitizer_get_current_allocated_bytes();
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

struct Violation {
    const char* name;
    std::string bytes;
    Errc errc;
    unsigned code;
};

std::string unfinished(std::string payload) {
    return encode({.opcode = opcode::text, .payload = std::move(payload), .fin = false});
}

std::string continuation(std::string payload, bool fin = true) {
    return encode({.opcode = opcode::continuation, .payload = std::move(payload), .fin = fin});
}

const Violation violations[] = {
    {"rsv1", encode({.payload = "x", .rsv = 4}), Errc::reserved_bits, 1002},
    {"rsv2", encode({.payload = "x", .rsv = 2}), Errc::reserved_bits, 1002},
    {"rsv3_on_ping", encode({.opcode = opcode::ping, .rsv = 1}), Errc::reserved_bits, 1002},
    {"opcode_3", encode({.opcode = 3}), Errc::reserved_opcode, 1002},
    {"opcode_7", encode({.opcode = 7}), Errc::reserved_opcode, 1002},
    {"opcode_11", encode({.opcode = 11}), Errc::reserved_opcode, 1002},
    {"opcode_15", encode({.opcode = 15}), Errc::reserved_opcode, 1002},
    {"ping_fragment", encode({.opcode = opcode::ping, .fin = false}), Errc::control_fragmented, 1002},
    {"close_fragment", encode({.opcode = opcode::close, .fin = false}), Errc::control_fragmented, 1002},
    {"long_ping", encode(ping_frame(std::string(126, 'p'))), Errc::control_too_long, 1002},
    {"long_close", encode(close_frame(1000, std::string(124, 'r'))), Errc::control_too_long, 1002},
    {"length_2_not_minimal", encode({.payload = "short", .length_bytes = 2}), Errc::length_not_minimal, 1002},
    {"length_8_not_minimal", encode({.payload = "short", .length_bytes = 8}), Errc::length_not_minimal, 1002},
    {"length_8_for_65535", encode({.payload = "x", .length_bytes = 8, .claimed_length = 65535}),
     Errc::length_not_minimal, 1002},
    {"length_negative", encode({.length_bytes = 8, .claimed_length = 1ull << 63u}), Errc::length_overflow, 1002},
    {"masked", encode({.payload = "x", .mask = std::array<unsigned char, 4>{1, 2, 3, 4}}), Errc::masked_frame, 1002},
    {"stray_continuation", continuation("x"), Errc::unexpected_continuation, 1002},
    {"continuation_after_the_end", unfinished("a") + continuation("b") + continuation("c"),
     Errc::unexpected_continuation, 1002},
    {"message_in_message", unfinished("a") + encode(binary_frame("b")), Errc::unfinished_message, 1002},
    {"close_of_one_byte", encode({.opcode = opcode::close, .payload = "x"}), Errc::close_body_length, 1002},
    {"close_0", encode(close_frame(0)), Errc::close_code_invalid, 1002},
    {"close_999", encode(close_frame(999)), Errc::close_code_invalid, 1002},
    {"close_1004", encode(close_frame(1004)), Errc::close_code_invalid, 1002},
    {"close_1005", encode({.opcode = opcode::close, .payload = "\x03\xed"}), Errc::close_code_invalid, 1002},
    {"close_1006", encode(close_frame(1006)), Errc::close_code_invalid, 1002},
    {"close_1015", encode(close_frame(1015)), Errc::close_code_invalid, 1002},
    {"close_2999", encode(close_frame(2999)), Errc::close_code_invalid, 1002},
    {"close_5000", encode(close_frame(5000)), Errc::close_code_invalid, 1002},
    {"close_reason", encode(close_frame(1000, "\xff")), Errc::close_reason_not_utf8, 1007},
    {"text", encode(text_frame("a\xff")), Errc::text_not_utf8, 1007},
    {"text_surrogate", encode(text_frame("\xed\xa0\x80")), Errc::text_not_utf8, 1007},
    {"text_ends_in_character", encode(text_frame("\xe2\x82")), Errc::text_not_utf8, 1007},
    {"text_in_fragments", unfinished("\xe2") + continuation("\x41"), Errc::text_not_utf8, 1007},
    {"text_fragments_end_in_character", unfinished("\xe2") + continuation("\x82"), Errc::text_not_utf8, 1007},
    // RFC 6455 section 8.1: at once, not at the end of the message.
    {"text_before_its_end", encode({.payload = "a\xff", .claimed_length = 1000}), Errc::text_not_utf8, 1007},
    {"too_big", encode({.opcode = opcode::binary, .payload = "x", .claimed_length = 1001}), Errc::message_too_big,
     1009},
    {"far_too_big", encode({.opcode = opcode::binary, .claimed_length = 1ull << 62u}), Errc::message_too_big, 1009},
    {"sum_too_big", unfinished(std::string(600, 'a')) + continuation(std::string(401, 'b')), Errc::message_too_big,
     1009},
};

class SimViolation : public ::testing::TestWithParam<std::tuple<Violation, Delivery>> {};

TEST_P(SimViolation, FailsTheConnection) {
    const auto& [violation, delivery] = GetParam();
    Life life(saying(encode(text_frame("good")) + violation.bytes + encode(text_frame("behind"))),
              {.delivery = delivery, .limits = {.max_message_size = 1000}});
    ASSERT_FALSE(life.client.start());
    ASSERT_TRUE(life.until_end()) << life.log();
    EXPECT_EQ(life.error(), violation.errc) << life.error().message();
    EXPECT_EQ(life.error().phase, Phase::open);
    const CloseInfo& close = life.client.log.back().close;
    EXPECT_EQ(close.sent_code, CloseCode{static_cast<std::uint16_t>(violation.code)});
    EXPECT_TRUE(close.sent);
    EXPECT_FALSE(close.received);
    EXPECT_FALSE(close.clean());
    EXPECT_FALSE(close.will_reconnect);
    ASSERT_EQ(life.peer().received(opcode::close).size(), 1u);
    EXPECT_EQ(life.peer().received(opcode::close)[0].close_code(), violation.code);
    EXPECT_TRUE(life.peer().eof || life.peer().was_reset);
    ASSERT_FALSE(life.client.messages().empty());
    EXPECT_EQ(life.client.messages()[0].second, "good");
    EXPECT_EQ(life.log().find("behind"), std::string::npos);
    // The server ends TCP as soon as it has seen the Close.
    EXPECT_LE(life.client.log.back().at - life.client.find(Kind::open)->at, 20ms);
}

INSTANTIATE_TEST_SUITE_P(Violations, SimViolation,
                         ::testing::Combine(::testing::ValuesIn(violations),
                                            ::testing::Values(Delivery::messages, Delivery::chunks)),
                         [](const auto& param) {
                             const bool chunks = std::get<1>(param.param) == Delivery::chunks;
                             return std::string(std::get<0>(param.param).name) + (chunks ? "_chunks" : "");
                         });

TEST(SimViolation, AServerThatDoesNotEndTcpIsLeftSoon) {
    Behaviour behaviour = mute();
    Life life(behaviour);
    ASSERT_TRUE(life.open());
    life.peer().write(encode({.opcode = 3}));
    life.world.run_for(10ms);
    EXPECT_EQ(life.client.state(), State::closing);
    ASSERT_TRUE(life.world.run_until([&] { return life.client.ended(); }, Config{}.timeouts.close)) << life.log();
    EXPECT_EQ(life.error(), Errc::reserved_opcode);
}

TEST(SimViolation, AFloodBehindTheViolationIsNotKept) {
    Life life(mute());
    ASSERT_TRUE(life.open());
    life.peer().write(encode({.opcode = 3}) + std::string(4u << 20u, 'x'));
    ASSERT_TRUE(life.until_end());
    EXPECT_EQ(life.error(), Errc::reserved_opcode);
    EXPECT_EQ(life.peer().received(opcode::close).size(), 1u);
}

TEST(SimViolation, DuringALargeSendTheCloseOvertakes) {
    Behaviour behaviour = quiet();
    behaviour.up = {.bytes_per_second = 1'000'000, .capacity = 32u << 10u, .segment = 1460};
    Life life(behaviour, {.fragment_size = 4096});
    ASSERT_TRUE(life.open());
    EXPECT_FALSE(life.client.send_binary(std::string(1u << 20u, 'x')));
    life.world.run_for(100ms);
    life.peer().write(encode({.opcode = 3}));
    ASSERT_TRUE(life.until_end());
    ASSERT_EQ(life.peer().received(opcode::close).size(), 1u);
    EXPECT_TRUE(life.peer().messages.empty());
}

// --- limits --------------------------------------------------------------------------------------------------------

TEST(SimLimit, AMessageOfExactlyTheLimitPasses) {
    std::string script = encode(binary_frame(std::string(1000, 'w')));
    for (const Frame& frame : fragments(opcode::binary, std::string(1000, 'f'), 333)) script += encode(frame);
    Life life(saying(script), {.limits = {.max_message_size = 1000}});
    ASSERT_TRUE(life.open());
    life.world.run_for(1s);
    EXPECT_EQ(life.client.messages().size(), 2u);
    EXPECT_EQ(life.client.state(), State::open);
}

TEST(SimLimit, AHeadersClaimAllocatesNothing) {
    Life life(quiet(), {.limits = {.max_message_size = 1u << 30u}});
    ASSERT_TRUE(life.open());
    life.world.run_for(1s);
    const std::size_t before = allocated();
    life.peer().write(encode({.opcode = opcode::binary, .payload = "few", .claimed_length = 1u << 30u}));
    life.world.run_for(1s);
    EXPECT_LT(allocated(), before + (64u << 10u));
    EXPECT_EQ(life.client.state(), State::open);
}

TEST(SimLimit, ManyEmptyFragmentsAllocateNothing) {
    Life life;
    ASSERT_TRUE(life.open());
    life.peer().write(unfinished(""));
    life.world.run_for(1s);
    const std::size_t before = allocated();
    for (int i = 0; i < 10; ++i) {
        std::string flood;
        for (int n = 0; n < 1000; ++n) flood += continuation("", false);
        life.peer().write(flood);
        flood.clear();
        life.world.run_for(1s);
    }
    EXPECT_LT(allocated(), before + (64u << 10u));
    EXPECT_EQ(life.client.state(), State::open);
    life.peer().write(continuation("end"));
    EXPECT_TRUE(life.until(Kind::message, 1s));
}

TEST(SimLimit, PingsFasterThanTheirAnswersAreTakenKeepAFewPongs) {
    Behaviour behaviour = quiet();
    behaviour.up = {.bytes_per_second = 1000, .capacity = 4096, .segment = 512};
    Life life(behaviour, {.keepalive = {.interval = 0ms}});
    ASSERT_TRUE(life.open());
    for (int i = 0; i < 20'000; ++i) life.peer().write(encode(ping_frame(std::string(100, 'p') + std::to_string(i))));
    life.world.run_for(10s);
    EXPECT_EQ(life.client.count(Kind::ping), 20'000u);
    EXPECT_LT(life.client.stats().send_queued, 64u << 10u);
    life.world.run_for(600s);
    EXPECT_EQ(life.client.state(), State::open);
    // RFC 6455 section 5.5.3: if not all are answered, the latest is.
    ASSERT_FALSE(life.peer().frames.empty());
    EXPECT_EQ(life.peer().frames.back().frame.payload, std::string(100, 'p') + "19999");
}

TEST(SimLimit, TheSendQueue) {
    Life life(quiet(), {.limits = {.max_send_queue = 10'000}});
    ASSERT_TRUE(life.open());
    EXPECT_EQ(life.client.send_binary(std::string(10'001, 'x')), Errc::send_queue_full);
    life.peer().pause();
    // The kernels' buffers take some of it.
    std::size_t sent = 0;
    std::error_code error;
    while (sent < 1000 && !(error = life.client.send_binary(std::string(1000, 'x')))) ++sent;
    EXPECT_EQ(error, Errc::send_queue_full);
    EXPECT_GT(sent, 9u);
    EXPECT_LE(life.client.stats().send_queued, 10'000u);
    EXPECT_EQ(life.client.send_part(Opcode::binary, std::string(5000, 'x'), false), Errc::send_queue_full);
    EXPECT_EQ(life.client.state(), State::open);
    // Control frames do not depend on it.
    EXPECT_FALSE(life.client.ping("still"));
    life.world.run_for(1s);
    life.peer().resume();
    ASSERT_TRUE(life.until(Kind::writable, 10s));
    EXPECT_FALSE(life.client.send_text("room again"));
    life.world.run_for(1s);
    EXPECT_EQ(life.peer().messages.size(), sent + 1);
}

TEST(SimLimit, LargeMessagesGiveTheirMemoryBack) {
    Life life(quiet(), {.keepalive = {.interval = 1s}});
    ASSERT_TRUE(life.open());
    life.world.run_for(3s);
    const std::size_t before = allocated();
    life.peer().send_message(opcode::binary, std::string(4u << 20u, 'x'));
    ASSERT_TRUE(life.until(Kind::message, 60s));
    life.client.log.clear();
    life.client.log.shrink_to_fit();
    life.peer().sent.clear();
    life.peer().sent.shrink_to_fit();
    life.world.run_for(10s);
    EXPECT_LT(allocated(), before + (1u << 20u));
}

}  // namespace
}  // namespace tern::sim
