#include "outbox.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "counting_pool.hpp"
#include "scarce_malloc.hpp"
#include "wire.hpp"

namespace tern::core {
namespace {

// --- the harness ---------------------------------------------------------------------------------------------------

constexpr std::size_t plenty = 1u << 30u;

/// An outbox, and a kernel that takes from it what the test wants. Everything that was taken is kept, and whether lent
/// bytes stay what they were is checked whenever a loan ends.
class Link {
public:
    explicit Link(std::size_t limit = plenty, MemoryBudget* budget = nullptr) : outbox(crypto, limit, budget) {}

    /// Asks for a loan in up to `pieces` pieces; its size.
    std::size_t lend(std::size_t pieces = 16) {
        loan_.resize(pieces);
        loan_.resize(outbox.front(loan_));
        lent_.clear();
        for (const Bytes piece : loan_) {
            EXPECT_FALSE(piece.empty());
            lent_ += as_text(piece);
        }
        return lent_.size();
    }

    /// Ends the loan; the kernel has taken `n` bytes of it.
    void take(std::size_t n) {
        std::string now;
        for (const Bytes piece : loan_) now += as_text(piece);
        ASSERT_EQ(now, lent_) << "lent bytes have changed";
        ASSERT_LE(n, lent_.size());
        wire.append(lent_, 0, n);
        loan_.clear();
        lent_.clear();
        outbox.consume(n);
    }

    /// Takes all that there is, in steps of up to `step` bytes.
    void drain(std::size_t step = plenty) {
        while (const std::size_t size = lend()) take(std::min(step, size));
        EXPECT_EQ(outbox.queued(), 0u);
    }

    [[nodiscard]] std::vector<std::string> shown() const { return wire::read_client(wire).shown(); }

    /// What the kernel has or is being offered.
    [[nodiscard]] std::string offered() const { return wire + lent_; }

    wire::SeededCrypto crypto;
    Outbox outbox;
    std::string wire;

private:
    std::vector<Bytes> loan_;
    std::string lent_;
};

std::string random_text(std::size_t size, unsigned seed = 1) {
    std::minstd_rand random(seed);
    std::string text(size, '\0');
    for (char& byte : text) byte = static_cast<char>(random() >> 8u);
    return text;
}

std::size_t size_on_wire(std::size_t payload) { return (payload < 126 ? 2 : payload < 65536 ? 4 : 10) + 4 + payload; }

using Lines = std::vector<std::string>;

// --- frames --------------------------------------------------------------------------------------------------------

TEST(OutboxTest, EmptyAtFirst) {
    Link link;
    EXPECT_EQ(link.lend(), 0u);
    link.take(0);
    EXPECT_EQ(link.outbox.queued(), 0u);
    EXPECT_FALSE(link.outbox.close_final());
    EXPECT_FALSE(link.outbox.close_sent());
}

TEST(OutboxTest, AFrameByteForByte) {
    Link link;
    ASSERT_FALSE(link.outbox.push(Opcode::text, as_bytes("Hello"), true));
    EXPECT_EQ(link.outbox.queued(), 11u);
    link.drain();
    ASSERT_EQ(link.wire.size(), 11u);
    EXPECT_EQ(wire::hex(link.wire.substr(0, 2)), "81 85 ");
    for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(link.wire[6 + i] ^ link.wire[2 + i % 4], "Hello"[i]);
}

TEST(OutboxTest, PayloadsOfEverySize) {
    for (const std::size_t size :
         {0u,    1u,     3u,     124u,   125u,   126u,   127u,   4083u,   4088u,   4089u,    4095u,     4096u,
          4097u, 65521u, 65522u, 65523u, 65535u, 65536u, 65537u, 131057u, 131058u, 200'000u, 1'000'000u}) {
        SCOPED_TRACE(size);
        const std::string payload = random_text(size);
        for (const std::size_t step : {std::size_t{plenty}, std::size_t{1000}}) {
            Link link;
            ASSERT_FALSE(link.outbox.push(Opcode::binary, as_bytes(payload), true));
            EXPECT_EQ(link.outbox.queued(), size_on_wire(size));
            link.drain(step);
            const wire::ClientBytes read = wire::read_client(link.wire);
            ASSERT_EQ(read.shown(), Lines{"binary " + wire::shown(payload)});
            EXPECT_EQ(read.frames[0].payload, payload);
        }
    }
}

TEST(OutboxTest, OpcodeAndFin) {
    Link link;
    ASSERT_FALSE(link.outbox.push(Opcode::text, as_bytes("a"), false));
    ASSERT_FALSE(link.outbox.push(Opcode::continuation, as_bytes(""), false));
    ASSERT_FALSE(link.outbox.push(Opcode::continuation, as_bytes("b"), true));
    ASSERT_FALSE(link.outbox.push(Opcode::binary, as_bytes(""), true));
    ASSERT_FALSE(link.outbox.push_control(Opcode::pong, as_bytes("p")));
    ASSERT_FALSE(link.outbox.push_control(Opcode::ping, as_bytes("")));
    link.drain(1);
    EXPECT_EQ(link.shown(), (Lines{R"(pong "p")", R"(ping "")", R"(text unfinished "a")",
                                   R"(continuation unfinished "")", R"(continuation "b")", R"(binary "")"}));
}

TEST(OutboxTest, EveryFrameHasItsOwnKey) {
    Link link;
    std::set<std::string> keys;
    for (int i = 0; i < 300; ++i) {
        ASSERT_FALSE(link.outbox.push(Opcode::text, as_bytes("same"), true));
        ASSERT_FALSE(link.outbox.push_control(Opcode::ping, as_bytes("same")));
    }
    ASSERT_FALSE(link.outbox.push(Opcode::binary, as_bytes(random_text(1000)), true, 10));
    ASSERT_FALSE(link.outbox.push_close(as_bytes("")));
    link.drain();
    const wire::ClientBytes read = wire::read_client(link.wire);
    ASSERT_EQ(read.frames.size(), 701u);
    for (const wire::ClientFrame& each : read.frames) keys.insert(each.key);
    EXPECT_EQ(keys.size(), read.frames.size());
}

TEST(OutboxTest, QuickFramesAreTheSame) {
    Link link;
    link.outbox.set_quick_limit(plenty);
    EXPECT_FALSE(link.outbox.push_quickly(Opcode::text, as_bytes("no memory yet")));
    Lines expected;
    for (const std::size_t size : {0u, 1u, 3u, 5u, 17u, 40u, 65u, 125u, 126u, 127u, 1000u, 4000u, 20'000u}) {
        const std::string payload = random_text(size);
        // The first segment is a small one. The second has room behind this.
        const std::string before = random_text(4'090);
        for (int i = 0; i < 2; ++i) ASSERT_FALSE(link.outbox.push(Opcode::text, as_bytes(before), true));
        ASSERT_TRUE(link.outbox.push_quickly(Opcode::binary, as_bytes(payload))) << size;
        EXPECT_EQ(link.outbox.queued(), 2 * size_on_wire(before.size()) + size_on_wire(size));
        EXPECT_EQ(link.outbox.pushed(), link.outbox.consumed() + link.outbox.queued());
        expected.insert(expected.end(), 2, "text " + wire::shown(before));
        expected.push_back("binary " + wire::shown(payload));
        link.drain();
    }
    EXPECT_EQ(link.shown(), expected);
    EXPECT_FALSE(link.outbox.push_quickly(Opcode::binary, as_bytes(random_text(70'000))));
}

TEST(OutboxTest, QuickFramesFillTheSegment) {
    Link link;
    link.outbox.set_quick_limit(plenty);
    ASSERT_FALSE(link.outbox.push(Opcode::text, as_bytes("x"), true));
    Lines expected = {R"(text "x")"};
    while (link.outbox.push_quickly(Opcode::text, as_bytes("quick"))) expected.emplace_back(R"(text "quick")");
    EXPECT_GT(link.outbox.queued(), 4'000u);
    EXPECT_LE(link.outbox.queued(), 4'096u);
    link.drain();
    EXPECT_EQ(link.shown(), expected);
}

/// What waits in the other lane counts too.
TEST(OutboxTest, QuickFramesKeepTheLimit) {
    Link link(50);
    ASSERT_FALSE(link.outbox.push(Opcode::text, as_bytes("x"), true));
    EXPECT_FALSE(link.outbox.push_quickly(Opcode::text, as_bytes("x"))) << "nobody has allowed it";
    link.outbox.set_quick_limit(plenty);
    ASSERT_FALSE(link.outbox.push_control(Opcode::ping, as_bytes("ping")));
    EXPECT_FALSE(link.outbox.push_quickly(Opcode::text, as_bytes("12345678901234567890")));
    EXPECT_TRUE(link.outbox.push_quickly(Opcode::text, as_bytes("1234567890123456789")));
    EXPECT_FALSE(link.outbox.push_quickly(Opcode::text, as_bytes("")));
    link.outbox.set_quick_limit(0);
    link.drain();
    EXPECT_FALSE(link.outbox.push_quickly(Opcode::text, as_bytes("")));
}

TEST(OutboxTest, WhoSendsOneFrameDrawsOneKey) {
    Link link;
    ASSERT_FALSE(link.outbox.push_close(as_bytes("")));
    EXPECT_EQ(link.crypto.drawn, 4u);
    Link busy;
    for (int i = 0; i < 300; ++i) ASSERT_FALSE(busy.outbox.push_control(Opcode::ping, as_bytes("")));
    EXPECT_LT(busy.crypto.drawn, 2 * 300u * 4) << "as many more as were needed, and not more";
}

TEST(OutboxTest, FragmentSizes) {
    const std::string payload = random_text(1000);
    for (const std::size_t size : {0u, 1u, 7u, 125u, 126u, 333u, 499u, 500u, 501u, 999u, 1000u, 1001u, 5000u}) {
        SCOPED_TRACE(size);
        Lines expected;
        const std::size_t step = size == 0 ? payload.size() : size;
        for (std::size_t at = 0; at < payload.size(); at += step) {
            expected.push_back(std::string(at == 0 ? "text" : "continuation") +
                               (at + step < payload.size() ? " unfinished " : " ") +
                               wire::shown(payload.substr(at, step)));
        }
        Link link;
        ASSERT_FALSE(link.outbox.push(Opcode::text, as_bytes(payload), true, size));
        ASSERT_FALSE(link.outbox.push(Opcode::text, as_bytes(""), true, size));
        link.drain();
        expected.push_back(R"(text "")");
        EXPECT_EQ(link.shown(), expected);
    }
}

TEST(OutboxTest, FragmentsOfAPartOfAMessage) {
    Link link;
    ASSERT_FALSE(link.outbox.push(Opcode::binary, as_bytes("12345"), false, 3));
    ASSERT_FALSE(link.outbox.push(Opcode::continuation, as_bytes("6789"), true, 3));
    link.drain();
    EXPECT_EQ(link.shown(), (Lines{R"(binary unfinished "123")", R"(continuation unfinished "45")",
                                   R"(continuation unfinished "678")", R"(continuation "9")"}));
}

TEST(OutboxTest, LoansInFewPieces) {
    for (const std::size_t pieces : {1u, 2u, 3u, 16u}) {
        Link link;
        Lines expected;
        for (unsigned i = 0; i < 20; ++i) {
            const std::string payload = random_text(i * 9'001, i);
            ASSERT_FALSE(link.outbox.push(Opcode::binary, as_bytes(payload), true));
            expected.push_back("binary " + wire::shown(payload));
        }
        const std::size_t all = link.outbox.queued();
        while (const std::size_t size = link.lend(pieces)) link.take(size);
        EXPECT_EQ(link.wire.size(), all);
        EXPECT_EQ(link.shown(), expected);
    }
}

// --- the limit -----------------------------------------------------------------------------------------------------

/// A frame is counted with the largest header.
constexpr std::size_t overhead = 14;

TEST(OutboxTest, TheLimitIsExact) {
    for (const std::size_t limit : {100u, 1'000u, 80'000u, 500'000u}) {
        SCOPED_TRACE(limit);
        Link link(limit);
        const std::string payload = random_text(limit);
        EXPECT_EQ(link.outbox.push(Opcode::binary, as_bytes(payload), true), Errc::send_queue_full);
        EXPECT_EQ(link.outbox.push(Opcode::binary, as_bytes(payload).first(limit - overhead + 1), true),
                  Errc::send_queue_full);
        EXPECT_EQ(link.outbox.queued(), 0u);
        EXPECT_EQ(link.lend(), 0u);
        link.take(0);
        EXPECT_FALSE(link.outbox.push(Opcode::binary, as_bytes(payload).first(limit - overhead), true));
        EXPECT_LE(link.outbox.queued(), limit);
        // A full queue refuses even the smallest, and takes it again as soon as there is room.
        const std::size_t queued = link.outbox.queued();
        EXPECT_EQ(link.outbox.push(Opcode::text, as_bytes(std::string(overhead, 'x')), true), Errc::send_queue_full);
        EXPECT_EQ(link.outbox.queued(), queued);
        link.lend();
        link.take(std::min<std::size_t>(queued, 50));
        EXPECT_FALSE(link.outbox.push(Opcode::text, as_bytes(std::string(overhead, 'x')), true));
        link.drain();
        EXPECT_EQ(link.shown(),
                  (Lines{"binary " + wire::shown(payload.substr(0, limit - overhead)), R"(text "xxxxxxxxxxxxxx")"}));
    }
}

TEST(OutboxTest, ManySmallMessagesFillTheQueueToTheLimit) {
    Link link(10'000);
    std::size_t accepted = 0;
    while (!link.outbox.push(Opcode::text, as_bytes("0123456789"), true)) ++accepted;
    EXPECT_EQ(accepted, (10'000 - (overhead + 10)) / 16 + 1);
    EXPECT_EQ(link.outbox.queued(), accepted * 16);
    link.drain();
    EXPECT_EQ(wire::read_client(link.wire).frames.size(), accepted);
}

TEST(OutboxTest, EveryFragmentCountsWithItsHeader) {
    Link link(10'000);
    const std::string payload(1000, 'x');
    EXPECT_EQ(link.outbox.push(Opcode::text, as_bytes(payload), true, 1), Errc::send_queue_full);
    EXPECT_EQ(link.outbox.queued(), 0u);
    EXPECT_FALSE(link.outbox.push(Opcode::text, as_bytes(payload), true, 2));
    EXPECT_LE(link.outbox.queued(), 10'000u);
}

TEST(OutboxTest, ControlFramesAreNotLimited) {
    Link link(10);
    EXPECT_EQ(link.outbox.push(Opcode::text, as_bytes("x"), true), Errc::send_queue_full);
    EXPECT_FALSE(link.outbox.push_control(Opcode::ping, as_bytes(std::string(125, 'p'))));
    EXPECT_FALSE(link.outbox.push_close(as_bytes(std::string(125, 'c'))));
    link.drain();
    EXPECT_EQ(link.shown().size(), 2u);
}

// --- control frames ------------------------------------------------------------------------------------------------

constexpr std::size_t bulk_size = 4 * 6 + 0 + 5 + 1 + 9 + 8 + 126;

/// Queues a few messages, so small that every position in them can be tried.
Lines push_bulk(Link& link) {
    Lines lines;
    for (const std::size_t size : {0u, 5u, 126u, 1u, 9u}) {
        const std::string payload = random_text(size, static_cast<unsigned>(size));
        EXPECT_FALSE(link.outbox.push(Opcode::binary, as_bytes(payload), true));
        lines.push_back("binary " + wire::shown(payload));
    }
    EXPECT_EQ(link.outbox.queued(), bulk_size);
    return lines;
}

/// In these bytes of the wire.
std::size_t data_frames_begun(const std::string& bytes) {
    const wire::ClientBytes read = wire::read_client(bytes);
    const auto data =
        std::count_if(read.frames.begin(), read.frames.end(), [](const auto& f) { return !f.is_control(); });
    const bool one_more = !read.rest.empty() && static_cast<unsigned char>(read.rest[0]) % 16 < 8;
    return static_cast<std::size_t>(data) + (one_more ? 1 : 0);
}

enum class When { before_the_loan, during_the_loan, after_the_loan };

/// Runs `push` at every position that the kernel can have reached: `first` bytes are taken, then there is a loan, of
/// which `second` bytes are taken. `check` gets the data frames that had begun when it was pushed, the ones on offer
/// included.
void at_every_position(const std::function<void(Link&)>& push,
                       const std::function<void(const Link&, const Lines& bulk, std::size_t begun)>& check) {
    const auto play = [&](When when, std::size_t first, std::size_t second) {
        Link link;
        const Lines bulk = push_bulk(link);
        std::size_t begun = 0;
        const auto push_if = [&](When now) {
            if (when != now) return;
            begun = data_frames_begun(link.offered());
            push(link);
        };
        link.lend();
        link.take(first);
        push_if(When::before_the_loan);
        const std::size_t size = link.lend();
        push_if(When::during_the_loan);
        link.take(std::min(second, size));
        push_if(When::after_the_loan);
        link.drain(3);
        check(link, bulk, begun);
    };
    for (const When when : {When::before_the_loan, When::during_the_loan, When::after_the_loan}) {
        for (std::size_t first = 0; first <= bulk_size; ++first) {
            for (const std::size_t second : {0u, 1u, 7u, 20u}) {
                SCOPED_TRACE("pushed " +
                             std::string(std::array{"before", "during", "after"}[static_cast<std::size_t>(when)]) +
                             " the loan, after " + std::to_string(first) + " bytes; then " + std::to_string(second));
                play(when, first, second);
                if (testing::Test::HasFailure()) return;
            }
        }
    }
}

TEST(OutboxTest, PingsOvertakeAtTheNextFrameBoundary) {
    at_every_position(
        [](Link& link) {
            ASSERT_FALSE(link.outbox.push_control(Opcode::ping, as_bytes("1")));
            ASSERT_FALSE(link.outbox.push_control(Opcode::pong, as_bytes("2")));
        },
        [](const Link& link, const Lines& bulk, std::size_t begun) {
            const Lines lines = link.shown();
            const auto ping = std::find(lines.begin(), lines.end(), R"(ping "1")");
            ASSERT_NE(ping, lines.end()) << testing::PrintToString(lines);
            EXPECT_LE(static_cast<std::size_t>(ping - lines.begin()), begun) << testing::PrintToString(lines);
            Lines expected = bulk;
            const Lines control{R"(ping "1")", R"(pong "2")"};
            expected.insert(expected.begin() + (ping - lines.begin()), control.begin(), control.end());
            EXPECT_EQ(lines, expected);
        });
}

TEST(OutboxTest, AnUrgentCloseOvertakesAndDropsWhatItOvertakes) {
    for (const bool replaces : {false, true}) {
        at_every_position(
            [&](Link& link) {
                if (replaces && !link.outbox.close_final()) {
                    ASSERT_FALSE(link.outbox.push_close(as_bytes(wire::close_body(1000, "polite"))));
                }
                ASSERT_FALSE(link.outbox.push_control(Opcode::ping, as_bytes("1")));
                ASSERT_FALSE(link.outbox.push_urgent_close(as_bytes(wire::close_body(1002))));
                EXPECT_TRUE(link.outbox.close_final());
                EXPECT_FALSE(link.outbox.close_sent());
            },
            [](const Link& link, const Lines& bulk, std::size_t begun) {
                const Lines lines = link.shown();
                const Lines tail{R"(ping "1")", "close " + wire::shown(wire::close_body(1002))};
                ASSERT_GE(lines.size(), tail.size());
                EXPECT_EQ(Lines(lines.end() - 2, lines.end()), tail) << "a Close is the last, and comes alone";
                const std::size_t before = lines.size() - tail.size();
                ASSERT_LE(before, begun) << testing::PrintToString(lines);
                EXPECT_EQ(Lines(lines.begin(), lines.end() - 2),
                          Lines(bulk.begin(), bulk.begin() + static_cast<std::ptrdiff_t>(before)));
                EXPECT_TRUE(link.outbox.close_sent());
            });
    }
}

TEST(OutboxTest, APingOvertakesAWaitingClose) {
    Link link;
    ASSERT_FALSE(link.outbox.push(Opcode::text, as_bytes("a"), true));
    ASSERT_FALSE(link.outbox.push_close(as_bytes("")));
    ASSERT_FALSE(link.outbox.push_control(Opcode::pong, as_bytes("p")));
    link.drain();
    EXPECT_EQ(link.shown(), (Lines{R"(pong "p")", R"(text "a")", R"(close "")"}));
}

TEST(OutboxTest, ControlFramesKeepTheirOrder) {
    Link link;
    Lines expected;
    ASSERT_FALSE(link.outbox.push(Opcode::binary, as_bytes(random_text(100'000)), true));
    link.lend();
    for (unsigned i = 0; i < 2000; ++i) {
        const std::string payload = std::to_string(i) + std::string(i % 100, 'p');
        ASSERT_FALSE(link.outbox.push_control(i % 2 == 0 ? Opcode::ping : Opcode::pong, as_bytes(payload)));
        expected.push_back(std::string(i % 2 == 0 ? "ping " : "pong ") + wire::shown(payload));
    }
    link.take(10);
    link.drain(77);
    Lines lines = link.shown();
    ASSERT_FALSE(lines.empty());
    lines.erase(lines.begin());  // it had begun
    EXPECT_EQ(lines, expected);
}

// --- closing -------------------------------------------------------------------------------------------------------

TEST(OutboxTest, ACloseIsFinalOnceItsFirstByteIsOffered) {
    const std::string body = wire::close_body(1000, "bye");
    for (std::size_t taken = 0; taken <= 10 + 6 + body.size(); ++taken) {
        Link link;
        ASSERT_FALSE(link.outbox.push(Opcode::text, as_bytes("data"), true));
        ASSERT_FALSE(link.outbox.push_close(as_bytes(body)));
        EXPECT_FALSE(link.outbox.close_final());
        link.lend();
        EXPECT_TRUE(link.outbox.close_final()) << "all of it is being offered";
        link.take(taken);
        EXPECT_EQ(link.outbox.close_final(), taken > 10) << taken;
        EXPECT_EQ(link.outbox.close_sent(), taken == 10 + 6 + body.size()) << taken;
        link.drain();
        EXPECT_TRUE(link.outbox.close_final());
        EXPECT_TRUE(link.outbox.close_sent());
        EXPECT_EQ(link.shown(), (Lines{R"(text "data")", "close " + wire::shown(body)}));
    }
}

TEST(OutboxTest, ACloseThatHasBegunIsNotReplaced) {
    Link link;
    ASSERT_FALSE(link.outbox.push_close(as_bytes(wire::close_body(1000))));
    link.lend();
    EXPECT_TRUE(link.outbox.close_final());
    link.take(1);
    EXPECT_TRUE(link.outbox.close_final());
    link.drain(1);
    EXPECT_EQ(link.shown(), (Lines{"close " + wire::shown(wire::close_body(1000))}));
}

TEST(OutboxTest, APingIsOfferedBeforeACloseThatIsNotFinal) {
    Link link;
    ASSERT_FALSE(link.outbox.push_close(as_bytes("")));
    ASSERT_FALSE(link.outbox.push_control(Opcode::ping, as_bytes("p")));
    link.lend();
    EXPECT_FALSE(link.outbox.close_final()) << "only the ping is being offered";
    ASSERT_FALSE(link.outbox.push_urgent_close(as_bytes(wire::close_body(1002))));
    link.take(3);
    EXPECT_FALSE(link.outbox.close_sent());
    link.drain();
    EXPECT_TRUE(link.outbox.close_sent());
    EXPECT_EQ(link.shown(), (Lines{R"(ping "p")", "close " + wire::shown(wire::close_body(1002))}));
}

// --- what can fail -------------------------------------------------------------------------------------------------

TEST(OutboxTest, WithoutEntropyNothingIsQueued) {
    Link link;
    link.crypto.calls_left = 0;
    EXPECT_EQ(link.outbox.push(Opcode::text, as_bytes("a"), true), Errc::no_entropy);
    EXPECT_EQ(link.outbox.push_control(Opcode::ping, as_bytes("a")), Errc::no_entropy);
    EXPECT_EQ(link.outbox.push_close(as_bytes("")), Errc::no_entropy);
    EXPECT_EQ(link.outbox.queued(), 0u);
    EXPECT_FALSE(link.outbox.close_final());
    EXPECT_FALSE(link.outbox.close_sent());
    // It may come back.
    link.crypto.calls_left = -1;
    EXPECT_FALSE(link.outbox.push(Opcode::text, as_bytes("b"), true));
    EXPECT_FALSE(link.outbox.push_close(as_bytes("")));
    link.drain();
    EXPECT_EQ(link.shown(), (Lines{R"(text "b")", R"(close "")"}));
}

TEST(OutboxTest, WithoutEntropyAnUrgentCloseIsNotSent) {
    Link link;
    ASSERT_FALSE(link.outbox.push(Opcode::text, as_bytes("a"), true));
    link.drain();
    link.crypto.calls_left = 0;
    while (!link.outbox.push_control(Opcode::ping, as_bytes(""))) {
    }
    link.drain();
    EXPECT_EQ(link.outbox.push_urgent_close(as_bytes(wire::close_body(1002))), Errc::no_entropy);
    EXPECT_FALSE(link.outbox.close_sent()) << "there is no Close frame";
}

/// A message in fragments whose keys run out in the middle of it.
TEST(OutboxTest, WithoutEntropyInTheMiddleOfAMessage) {
    const std::string payload = random_text(100'000);
    for (const std::size_t fragment : {20u, 400u, 600u}) {
        for (const bool lent : {false, true}) {
            Link link;
            ASSERT_FALSE(link.outbox.push(Opcode::text, as_bytes("before"), true));
            const std::size_t before = link.outbox.queued();
            if (lent) link.lend();
            link.crypto.calls_left = 0;
            EXPECT_EQ(link.outbox.push(Opcode::binary, as_bytes(payload), true, fragment), Errc::no_entropy);
            EXPECT_EQ(link.outbox.queued(), before);
            link.crypto.calls_left = -1;
            if (lent) link.take(3);
            EXPECT_FALSE(link.outbox.push(Opcode::binary, as_bytes(payload), true));
            EXPECT_FALSE(link.outbox.push_control(Opcode::ping, as_bytes("p")));
            link.drain();
            const Lines after{R"(ping "p")", "binary " + wire::shown(payload)};
            Lines lines = link.shown();
            lines.erase(std::find(lines.begin(), lines.end(), R"(text "before")"));
            EXPECT_EQ(lines, after);
        }
    }
}

#if defined(TERN_TEST_MALLOC)
/// Every allocation fails once. What was refused leaves no trace, and what comes later is whole.
TEST(OutboxTest, WithoutMemoryNothingIsQueued) {
    const std::string payload = random_text(300'000);
    for (const std::size_t already : {0u, 10u, 5'000u, 70'000u}) {
        for (const std::size_t fragment : {0u, 50'000u, 1'000u}) {
            bool complete = false;
            for (int mallocs = 0; !complete; ++mallocs) {
                SCOPED_TRACE(std::to_string(already) + " bytes queued, then " + std::to_string(mallocs) +
                             " allocations");
                ASSERT_LT(mallocs, 100);
                Link link;
                Lines expected;
                if (already > 0) {
                    ASSERT_FALSE(link.outbox.push(Opcode::text, as_bytes(payload).first(already), true));
                    expected.push_back("text " + wire::shown(payload.substr(0, already)));
                    link.lend();
                }
                const std::size_t before = link.outbox.queued();
                mallocs_left = mallocs;
                const std::error_code error = link.outbox.push(Opcode::binary, as_bytes(payload), true, fragment);
                mallocs_left = -1;
                complete = !error;
                if (complete) break;
                ASSERT_EQ(error, Errc::out_of_memory);
                ASSERT_EQ(link.outbox.queued(), before);
                if (already > 0) link.take(1);
                ASSERT_FALSE(link.outbox.push(Opcode::binary, as_bytes(payload), true));
                ASSERT_FALSE(link.outbox.push_close(as_bytes("")));
                expected.push_back("binary " + wire::shown(payload));
                expected.emplace_back(R"(close "")");
                link.drain();
                ASSERT_EQ(link.shown(), expected);
            }
        }
    }
}

TEST(OutboxTest, WithoutMemoryNoControlFrameIsQueued) {
    Link link;
    mallocs_left = 0;
    const std::error_code ping = link.outbox.push_control(Opcode::ping, as_bytes("p"));
    const std::error_code close = link.outbox.push_close(as_bytes(""));
    const std::error_code urgent = link.outbox.push_urgent_close(as_bytes(""));
    mallocs_left = -1;
    EXPECT_EQ(ping, Errc::out_of_memory);
    EXPECT_EQ(close, Errc::out_of_memory);
    EXPECT_EQ(urgent, Errc::out_of_memory);
    EXPECT_EQ(link.outbox.queued(), 0u);
    EXPECT_FALSE(link.outbox.close_sent()) << "there is no Close frame";
}
#endif

TEST(OutboxTest, MemoryOfAPoolIsGivenBackAsSoonAsItHasLeft) {
    CountingPool pool;
    MemoryBudget budget(0, &pool);
    Link link(plenty, &budget);
    EXPECT_EQ(pool.lent, 0u);
    const std::string payload = random_text(200'000);
    for (int round = 0; round < 2; ++round) {
        ASSERT_FALSE(link.outbox.push(Opcode::binary, as_bytes(payload), true));
        const std::size_t all = pool.lent;
        EXPECT_GT(all, payload.size());
        link.take(std::min<std::size_t>(link.lend(), 100'000));
        EXPECT_LT(pool.lent, all);
        link.drain();
        EXPECT_EQ(pool.lent, 0u);
        EXPECT_EQ(budget.used(), 0u);
    }
    pool.blocks_left = 1;
    EXPECT_EQ(link.outbox.push(Opcode::binary, as_bytes(payload), true), Errc::out_of_memory);
    EXPECT_EQ(link.outbox.queued(), 0u);
    pool.blocks_left = -1;
    ASSERT_FALSE(link.outbox.push(Opcode::text, as_bytes("small"), true));
    link.drain();
    EXPECT_EQ(link.shown().back(), R"(text "small")");
    EXPECT_EQ(pool.lent, 0u);
    EXPECT_EQ(budget.used(), 0u);
}

TEST(OutboxTest, TrimDoesNoHarm) {
    Link link;
    Lines expected;
    for (unsigned i = 0; i < 10; ++i) {
        const std::string payload = random_text(30'000, i);
        ASSERT_FALSE(link.outbox.push(Opcode::binary, as_bytes(payload), true));
        expected.push_back("binary " + wire::shown(payload));
        link.outbox.trim();
        const std::size_t size = link.lend(1);
        link.outbox.trim();
        link.take(std::min<std::size_t>(size, 20'000));
        link.outbox.trim();
    }
    link.drain();
    EXPECT_EQ(link.shown(), expected);
}

// --- everything at once --------------------------------------------------------------------------------------------

/// What was pushed, as simply as possible: two lists. Where a control frame may stand at the latest is known from what
/// was on the wire or on offer when it was pushed.
struct Model {
    struct Control {
        std::string line;
        std::size_t begun = 0;  ///< Data frames that had begun.
    };
    Lines bulk;
    std::vector<Control> control;
    bool urgent_close = false;
    bool close_pushed = false;
};

class Play {
public:
    explicit Play(unsigned seed) : random_(seed) {}

    void run() {
        const unsigned steps = 20 + pick(150);
        for (unsigned i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
            step();
            check_state();
        }
        if (lent_) link_.take(0);
        link_.drain(1 + pick(100'000));
        check_state();
        check_wire();
    }

private:
    unsigned pick(unsigned below) { return static_cast<unsigned>(random_() % below); }

    void step() {
        switch (pick(10)) {
            case 0:
            case 1:
            case 2: return push_message();
            case 3:
            case 4: return push_control();
            case 5: return pick(20) == 0 ? push_close() : push_message();
            case 6: return pick(40) == 0 ? push_urgent_close() : push_control();
            default: return lent_ ? take() : lend();
        }
    }

    std::string payload() {
        constexpr std::array<unsigned, 10> sizes{0, 1, 120, 130, 130, 4'100, 4'100, 5'000, 66'000, 150'000};
        return random_text(pick(sizes[pick(sizes.size())] + 1) + pick(3), pick(1'000'000));
    }

    void push_message() {
        if (model_.close_pushed) return;
        const std::string bytes = payload();
        const std::size_t fragment = pick(3) > 0 ? 0 : bytes.size() / 5 + 1 + pick(5'000);
        ASSERT_FALSE(link_.outbox.push(Opcode::binary, as_bytes(bytes), true, fragment));
        const std::size_t size = fragment == 0 ? std::max<std::size_t>(bytes.size(), 1) : fragment;
        for (std::size_t at = 0; at == 0 || at < bytes.size(); at += size) {
            model_.bulk.push_back(std::string(at == 0 ? "binary" : "continuation") +
                                  (at + size < bytes.size() ? " unfinished " : " ") +
                                  wire::shown(bytes.substr(at, size)));
            queued_ += size_on_wire(std::min(size, bytes.size() - at));
        }
    }

    void push_control() {
        if (link_.outbox.close_final()) return;
        const std::string bytes = random_text(pick(126), pick(1'000'000));
        ASSERT_FALSE(link_.outbox.push_control(Opcode::pong, as_bytes(bytes)));
        model_.control.push_back({"pong " + wire::shown(bytes), offered().data_frames});
        queued_ += size_on_wire(bytes.size());
    }

    void push_close() {
        if (model_.close_pushed) return;
        ASSERT_FALSE(link_.outbox.push_close(as_bytes(wire::close_body(1000))));
        model_.bulk.push_back("close " + wire::shown(wire::close_body(1000)));
        model_.close_pushed = true;
        queued_ += size_on_wire(2);
    }

    void push_urgent_close() {
        if (link_.outbox.close_final()) return;
        ASSERT_FALSE(link_.outbox.push_urgent_close(as_bytes(wire::close_body(1002))));
        model_.control.push_back({"close " + wire::shown(wire::close_body(1002)), offered().data_frames});
        model_.close_pushed = true;
        model_.urgent_close = true;
    }

    void lend() {
        const std::size_t size = link_.lend(1 + pick(4));
        ASSERT_EQ(size == 0, link_.outbox.queued() == 0);
        lent_ = true;
    }

    void take() {
        const std::size_t size = link_.offered().size() - link_.wire.size();
        link_.take(pick(4) == 0 ? size : pick(static_cast<unsigned>(std::min<std::size_t>(size, 20'000)) + 1));
        lent_ = false;
    }

    void check_state() {
        if (!model_.urgent_close) {
            ASSERT_EQ(link_.outbox.queued(), queued_ - link_.wire.size());
        }
        ASSERT_EQ(link_.outbox.close_final(), model_.urgent_close || offered().close_begun);
        ASSERT_EQ(link_.outbox.close_sent(), sent().close_complete);
    }

    /// Frames that have begun on the wire.
    struct Begun {
        std::size_t data_frames = 0;
        bool close_begun = false;
        bool close_complete = false;
        std::size_t size = 0;  ///< Of those that are complete.

        void add(std::string_view bytes) {
            std::string offence;
            while (const auto next = wire::first_client_frame(bytes.substr(size), offence)) {
                size += next->size;
                data_frames += next->is_control() ? 0u : 1u;
                close_begun = close_complete = next->opcode == wire::close;
            }
        }
    };

    const Begun& sent() {
        sent_.add(link_.wire);
        return sent_;
    }

    Begun offered() {
        Begun begun = sent();
        const std::string bytes = link_.offered().substr(begun.size);
        begun.size = 0;
        begun.add(bytes);
        if (begun.size == bytes.size()) return begun;
        const unsigned opcode = wire::byte_at(bytes, begun.size) % 16;
        begun.data_frames += opcode < 8 ? 1u : 0u;
        begun.close_begun = opcode == wire::close;
        return begun;
    }

    void check_wire() {
        const wire::ClientBytes read = wire::read_client(link_.wire);
        ASSERT_EQ(read.offence, "");
        ASSERT_EQ(read.rest, "");
        std::size_t bulk = 0;
        std::size_t control = 0;
        for (const wire::ClientFrame& each : read.frames) {
            const std::string line = each.shown();
            if (control < model_.control.size() && line == model_.control[control].line) {
                ASSERT_LE(bulk, model_.control[control].begun) << line << " had to wait too long";
                ++control;
            } else {
                ASSERT_LT(bulk, model_.bulk.size());
                ASSERT_EQ(line, model_.bulk[bulk]);
                ++bulk;
            }
        }
        EXPECT_EQ(control, model_.control.size());
        if (!model_.urgent_close) {
            EXPECT_EQ(bulk, model_.bulk.size());
        }
    }

    std::mt19937 random_;
    Link link_;
    Model model_;
    Begun sent_;
    std::size_t queued_ = 0;
    bool lent_ = false;
};

TEST(OutboxTest, RandomPlays) {
    for (unsigned seed = 0; seed < 150; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Play(seed).run();
        if (testing::Test::HasFailure()) return;
    }
}

}  // namespace
}  // namespace tern::core
