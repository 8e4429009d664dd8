#include "utf8.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "reference/utf8_reference.hpp"

namespace tern::core {
namespace {

using namespace std::string_literals;

struct Case {
    std::string text;
    std::optional<std::size_t> impossible_at;  ///< Counted by hand, not by the reference.
    bool complete = true;
};

Case valid(std::string text) { return {std::move(text), std::nullopt, true}; }
Case unfinished(std::string text) { return {std::move(text), std::nullopt, false}; }
Case impossible(std::string text, std::size_t at) { return {std::move(text), at, false}; }

/// The kinds of section 6 of the Autobahn test suite.
const std::vector<Case>& cases() {
    static const std::vector<Case> all{
        valid(""),
        valid("Hello-\xC2\xB5@\xC3\x9F\xC3\xB6\xC3\xA4\xC3\xBC\xC3\xA0\xC3\xA1-UTF-8!!"),
        valid("\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5"),
        valid("\0"s),
        // The first and the last of each length, and the neighbours of what does not exist.
        valid("\x7F"),
        valid("\xC2\x80"),
        valid("\xDF\xBF"),
        valid("\xE0\xA0\x80"),
        valid("\xED\x9F\xBF"),
        valid("\xEE\x80\x80"),
        valid("\xEF\xBF\xBD"),
        valid("\xF0\x90\x80\x80"),
        valid("\xF4\x8F\xBF\xBF"),
        // Noncharacters are characters.
        valid("\xEF\xBF\xBE"),
        valid("\xEF\xBF\xBF"),
        valid("\xF0\x9F\xBF\xBE"),
        valid("\xF3\xAF\xBF\xBF"),
        // The end comes too early.
        unfinished("\xCE"),
        unfinished("\xCE\xBA\xE1"),
        unfinished("\xCE\xBA\xE1\xBD"),
        unfinished("\xF0"),
        unfinished("\xF0\x90"),
        unfinished("\xF4\x8F\xBF"),
        // Above U+10FFFF, and the forms of five and six bytes.
        impossible("\xF4\x90\x80\x80", 1),
        impossible("\xF5\x80\x80\x80", 0),
        impossible("\xF7\xBF\xBF\xBF", 0),
        impossible("\xF8\x88\x80\x80\x80", 0),
        impossible("\xFC\x84\x80\x80\x80\x80", 0),
        impossible("\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xF4\x90\x80\x80"
                   "edited",
                   12),
        // Bytes that continue nothing.
        impossible("\x80", 0),
        impossible("\xBF", 0),
        impossible("\xC2\x80\x80", 2),
        impossible("ab\x80"
                   "cd",
                   2),
        // Bytes that nothing continues.
        impossible("\xC2 ", 1),
        impossible("\xE1\x80 ", 2),
        impossible("\xF1\x80\x80 ", 3),
        impossible("\xE1\x80\xC2\x80", 2),
        impossible("\xFE", 0),
        impossible("\xFF", 0),
        // Longer than needed.
        impossible("\xC0\xAF", 0),
        impossible("\xC1\xBF", 0),
        impossible("\xE0\x80\xAF", 1),
        impossible("\xE0\x9F\xBF", 1),
        impossible("\xF0\x80\x80\xAF", 1),
        impossible("\xF0\x8F\xBF\xBF", 1),
        // Surrogates, alone and in pairs.
        impossible("\xED\xA0\x80", 1),
        impossible("\xED\xAF\xBF", 1),
        impossible("\xED\xBF\xBF", 1),
        impossible("\xED\xA0\x80\xED\xB0\x80", 1),
        impossible("\xCE\xBA\xED\xA0\x80"
                   "edited",
                   3),
    };
    return all;
}

/// A copy of exactly this size on the heap, so that AddressSanitizer sees every read past the end.
class Exact {
public:
    explicit Exact(Bytes bytes) : size_(bytes.size()), memory_(new std::byte[bytes.size()]) {
        std::copy(bytes.begin(), bytes.end(), memory_.get());
    }
    [[nodiscard]] Bytes bytes() const { return {memory_.get(), size_}; }

private:
    std::size_t size_;
    std::unique_ptr<std::byte[]> memory_;
};

std::string hex(Bytes bytes) {
    std::string out;
    for (const std::byte byte : bytes) {
        constexpr std::string_view digits = "0123456789ABCDEF";
        out += digits[std::to_integer<std::size_t>(byte >> 4u)];
        out += digits[std::to_integer<std::size_t>(byte & std::byte{15})];
        out += ' ';
    }
    return out;
}

/// Where a validator fails that gets one byte at a time.
std::optional<std::size_t> fails_at(Bytes text, Utf8Validator& validator) {
    std::optional<std::size_t> at;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool fine = validator.add(text.subspan(i, 1));
        if (!fine && !at) at = i;
        if (fine && at) return std::nullopt;  // Failing has to be final.
    }
    return at;
}

/// Whole, and byte by byte.
bool judged(Bytes text, const reference::Utf8Verdict& verdict) {
    Utf8Validator whole;
    Utf8Validator bytewise;
    return is_utf8(text) == verdict.complete && whole.add(text) == !verdict.impossible_at &&
           whole.complete() == verdict.complete && fails_at(text, bytewise) == verdict.impossible_at &&
           bytewise.complete() == verdict.complete;
}

/// Begun, gone on, ended: every `add` has to tell whether what came so far is possible.
bool judged_in_pieces(Bytes text, std::size_t first, std::size_t second, const reference::Utf8Verdict& verdict) {
    Utf8Validator validator;
    std::size_t arrived = 0;
    for (const std::size_t until : {first, second, text.size()}) {
        const Exact piece(text.subspan(arrived, until - arrived));
        arrived = until;
        if (validator.add(piece.bytes()) != !(verdict.impossible_at && *verdict.impossible_at < arrived)) return false;
    }
    return validator.complete() == verdict.complete;
}

std::string repeated(std::string_view unit, std::size_t size) {
    std::string text;
    while (text.size() + unit.size() <= size) text += unit;
    return text;
}

constexpr std::string_view greek = "\xCE\xBA";
constexpr std::string_view kanji = "\xE6\xBC\xA2";
constexpr std::string_view emoji = "\xF0\x9F\x98\x80";

TEST(Utf8Reference, KnowsTheCases) {
    for (const Case& each : cases()) {
        const auto verdict = reference::judge_utf8(as_bytes(each.text));
        EXPECT_EQ(verdict.impossible_at, each.impossible_at) << hex(as_bytes(each.text));
        EXPECT_EQ(verdict.complete, each.complete) << hex(as_bytes(each.text));
    }
}

TEST(Utf8, JudgesTheCases) {
    for (const Case& each : cases()) {
        const Exact text(as_bytes(each.text));
        EXPECT_TRUE(judged(text.bytes(), {each.impossible_at, each.complete})) << hex(text.bytes());
    }
}

TEST(Utf8, JudgesTheCasesBehindTextOfEveryKind) {
    for (const std::string_view unit : {std::string_view("a"), greek, kanji, emoji}) {
        for (std::size_t size = 0; size <= 140; ++size) {
            const std::string front = repeated(unit, size);
            for (const Case& each : cases()) {
                reference::Utf8Verdict verdict{each.impossible_at, each.complete};
                if (verdict.impossible_at) *verdict.impossible_at += front.size();
                const Exact text(as_bytes(front + each.text));
                ASSERT_TRUE(judged(text.bytes(), verdict)) << size << ' ' << unit << ' ' << hex(as_bytes(each.text));
            }
        }
    }
}

TEST(Utf8, JudgesTheCasesAtEverySplit) {
    for (const Case& each : cases()) {
        for (const std::size_t size : {0u, 40u, 130u}) {
            for (const bool text_behind : {false, true}) {
                const std::string text = repeated(greek, size) + each.text + repeated(kanji, text_behind ? size : 0);
                const auto verdict = reference::judge_utf8(as_bytes(text));
                for (std::size_t first = 0; first <= text.size(); ++first) {
                    for (std::size_t second = first; second <= std::min(first + 5, text.size()); ++second) {
                        ASSERT_TRUE(judged_in_pieces(as_bytes(text), first, second, verdict))
                            << hex(as_bytes(text)) << first << ' ' << second;
                    }
                }
            }
        }
    }
}

TEST(Utf8, JudgesAllSequencesOfUpToThreeBytes) {
    std::array<std::byte, 3> text{};
    for (std::uint32_t bits = 0; bits < 1u << 24u; ++bits) {
        for (std::size_t i = 0; i < 3; ++i) text[i] = static_cast<std::byte>(bits >> 8 * (2 - i));
        // A sequence of one or two bytes is one with zeros behind it, the first time it comes.
        if ((bits & 0xFFFFu) == 0) {
            ASSERT_TRUE(judged(Bytes(text).first(1), reference::judge_utf8(Bytes(text).first(1)))) << hex(text);
        }
        if ((bits & 0xFFu) == 0) {
            ASSERT_TRUE(judged(Bytes(text).first(2), reference::judge_utf8(Bytes(text).first(2)))) << hex(text);
        }
        ASSERT_TRUE(judged(text, reference::judge_utf8(text))) << hex(text);
    }
}

/// Both ends of every range of RFC 3629 section 4, and their neighbours.
constexpr std::array<unsigned, 24> boundaries{0x00, 0x7F, 0x80, 0x81, 0x8F, 0x90, 0x9F, 0xA0, 0xBE, 0xBF, 0xC0, 0xC1,
                                              0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF4, 0xF5, 0xFF};

TEST(Utf8, JudgesSequencesOfFourBytesWithBoundaryBytes) {
    // Alone, and at the end of a text that is long enough for the wide path.
    std::string long_text = repeated(greek, 70) + "1234";
    const std::size_t before = long_text.size() - 4;
    for (unsigned first = 0; first < 256; ++first) {
        for (const unsigned second : boundaries) {
            for (const unsigned third : boundaries) {
                for (const unsigned fourth : boundaries) {
                    const std::array text{static_cast<std::byte>(first), static_cast<std::byte>(second),
                                          static_cast<std::byte>(third), static_cast<std::byte>(fourth)};
                    const auto verdict = reference::judge_utf8(text);
                    ASSERT_TRUE(judged(text, verdict)) << hex(text);
                    long_text.replace(before, 4, as_text(text));
                    ASSERT_EQ(is_utf8(as_bytes(long_text)), verdict.complete) << hex(text);
                }
            }
        }
    }
}

/// `text` with one byte replaced: whole, and added at once.
void expect_judged_with(std::byte error, std::size_t at, std::string text) {
    text[at] = static_cast<char>(error);
    const auto verdict = reference::judge_utf8(as_bytes(text));
    const Exact exact(as_bytes(text));
    Utf8Validator validator;
    ASSERT_EQ(is_utf8(exact.bytes()), verdict.complete) << at << " in " << hex(as_bytes(text));
    ASSERT_EQ(validator.add(exact.bytes()), !verdict.impossible_at) << at << " in " << hex(as_bytes(text));
    ASSERT_EQ(validator.complete(), verdict.complete) << at << " in " << hex(as_bytes(text));
}

TEST(Utf8, FindsAnErrorAtEveryPositionOfTextsOfEverySize) {
    constexpr std::array errors{std::byte{0x80}, std::byte{0xC0}, std::byte{0xED}, std::byte{'a'}};
    for (const std::string_view unit : {std::string_view("a"), greek, kanji, emoji}) {
        const std::string endless = repeated(unit, 320);
        for (std::size_t size = 0; size <= 300; ++size) {
            // May end inside a character.
            const std::string text = endless.substr(0, size);
            ASSERT_TRUE(judged(Exact(as_bytes(text)).bytes(), reference::judge_utf8(as_bytes(text)))) << unit << size;
            for (std::size_t at = 0; at < size; ++at) {
                ASSERT_NO_FATAL_FAILURE(expect_judged_with(std::byte{0xFF}, at, text));
                ASSERT_NO_FATAL_FAILURE(expect_judged_with(errors[(size + at) % errors.size()], at, text));
            }
        }
    }
}

TEST(Utf8, RefusesAsciiInsideACharacter) {
    for (std::size_t before = 0; before <= 40; ++before) {
        for (std::size_t inside = 0; inside <= 140; ++inside) {
            const std::string front = std::string(greek) + std::string(before, 'a') + '\xC3';
            const std::string text = front + std::string(inside, 'a') + '\xA9';
            const auto verdict =
                inside == 0 ? reference::Utf8Verdict{std::nullopt, true} : reference::Utf8Verdict{front.size(), false};
            ASSERT_TRUE(judged(as_bytes(text), verdict)) << before << ' ' << inside;
        }
    }
}

class RandomText {
public:
    explicit RandomText(std::uint64_t seed) : random_(seed) {}

    std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }

    /// Stretches of characters of one kind, often with an error somewhere.
    std::string text() {
        std::string out;
        for (std::size_t stretches = below(6); stretches > 0; --stretches) {
            const std::size_t kind = below(5);
            for (std::size_t n = below(kind == 0 ? 200 : 40); n > 0; --n) out += character(kind);
        }
        if (!out.empty() && below(2) == 0) damage(out);
        return out;
    }

private:
    std::string character(std::size_t kind) {
        switch (kind == 4 ? below(4) : kind) {
            case 0: return {static_cast<char>(below(0x80))};
            case 1: return encode(0x80 + below(0x780), 2);
            case 2: {
                const std::size_t point = 0x800 + below(0xF800 - 0x800);
                return encode(point >= 0xD800 ? point + 0x800 : point, 3);
            }
            default: return encode(0x10000 + below(0x100000), 4);
        }
    }

    static std::string encode(std::size_t point, std::size_t length) {
        std::string out(length, '\0');
        for (std::size_t i = length; i-- > 1; point >>= 6u) out[i] = static_cast<char>(0x80 | (point & 0x3Fu));
        constexpr std::array<std::size_t, 5> first{0, 0, 0xC0, 0xE0, 0xF0};
        out[0] = static_cast<char>(first[length] | point);
        return out;
    }

    void damage(std::string& text) {
        const std::size_t at = below(text.size());
        switch (below(4)) {
            case 0: text[at] = static_cast<char>(below(256)); break;
            case 1: text.erase(at, 1 + below(3)); break;
            case 2: text.insert(at, 1, static_cast<char>(0x80 + below(0x80))); break;
            default: text.resize(at); break;
        }
    }

    std::mt19937_64 random_;
};

TEST(Utf8, AgreesWithTheReferenceOnRandomTexts) {
    std::size_t accepted = 0;
    std::size_t refused = 0;
    for (std::uint64_t seed = 1; seed <= 20'000; ++seed) {
        RandomText random(seed);
        const std::string text = random.text();
        const auto verdict = reference::judge_utf8(as_bytes(text));
        ++(verdict.complete ? accepted : refused);
        ASSERT_EQ(is_utf8(Exact(as_bytes(text)).bytes()), verdict.complete) << "seed " << seed;

        Utf8Validator validator;
        for (std::size_t arrived = 0; arrived < text.size();) {
            const std::size_t size = std::min(random.below(random.below(2) == 0 ? 8 : 200), text.size() - arrived);
            const Exact piece(as_bytes(text).subspan(arrived, size));
            arrived += size;
            const bool possible = !verdict.impossible_at || *verdict.impossible_at >= arrived;
            ASSERT_EQ(validator.add(piece.bytes()), possible) << "seed " << seed << ", " << arrived;
        }
        ASSERT_EQ(validator.complete(), verdict.complete) << "seed " << seed;
    }
    EXPECT_GT(accepted, 5000u);
    EXPECT_GT(refused, 5000u);
}

TEST(Utf8, CompleteTellsWhetherACharacterIsBegun) {
    Utf8Validator validator;
    EXPECT_TRUE(validator.complete());
    EXPECT_TRUE(validator.add(as_bytes("\xF0\x9F")));
    EXPECT_FALSE(validator.complete());
    EXPECT_TRUE(validator.add({}));
    EXPECT_FALSE(validator.complete());
    EXPECT_TRUE(validator.add(as_bytes("\x98\x80")));
    EXPECT_TRUE(validator.complete());
}

TEST(Utf8, FailingIsFinal) {
    Utf8Validator validator;
    EXPECT_FALSE(validator.add(as_bytes("\xF0\x80")));
    for (const std::string& more : {""s, "a"s, repeated("a", 100), repeated(kanji, 100)}) {
        EXPECT_FALSE(validator.add(as_bytes(more)));
        EXPECT_FALSE(validator.complete());
    }
    validator = Utf8Validator();
    EXPECT_TRUE(validator.add(as_bytes("a")));
    EXPECT_TRUE(validator.complete());
}

/// Checks texts when the program has nearly ended: constructed before everything that is made at first use, it is
/// destroyed after that.
struct LateUser {
    LateUser() = default;
    LateUser(const LateUser&) = delete;
    LateUser& operator=(const LateUser&) = delete;
    ~LateUser() {
        const std::string text = repeated(kanji, 300);
        if (!is_utf8(as_bytes(text)) || is_utf8(as_bytes(text + '\xFF'))) std::_Exit(3);
    }
} late_user;

TEST(Utf8DeathTest, WorksWhileTheProgramEnds) {
    const auto use_and_end = [] {
        const bool fine = is_utf8(as_bytes(repeated(kanji, 300)));
        std::exit(fine ? 7 : 8);
    };
    EXPECT_EXIT(use_and_end(), testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace tern::core
