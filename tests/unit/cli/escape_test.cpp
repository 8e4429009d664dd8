#include "escape.hpp"

#include <string>

#include <gtest/gtest.h>

namespace tern::cli {
namespace {

using namespace std::string_literals;

TEST(Escape, LeavesTextAlone) {
    EXPECT_EQ(escape("plain, Grüße, こんにちは, 👋"), "plain, Grüße, こんにちは, 👋");
    EXPECT_EQ(escape(""), "");
}

TEST(Escape, ShowsControlCharacters) {
    EXPECT_EQ(escape("a\nb\rc\td"), "a\\nb\\rc\\td");
    EXPECT_EQ(escape("\x1b[31m"), "\\x1b[31m");
    EXPECT_EQ(escape("\0\x7f"s), "\\x00\\x7f");
    EXPECT_EQ(escape("\xc2\x9b"), "\\x9b") << "C1: CSI in one character";
    EXPECT_EQ(escape("back\\slash"), "back\\\\slash");
}

TEST(Escape, ShowsWhatMisleads) {
    EXPECT_EQ(escape("\u202e"), "\\u{202e}");
    EXPECT_EQ(escape("\u2066x\u2069"), "\\u{2066}x\\u{2069}");
    EXPECT_EQ(escape("\ufeff\u200b\u2028"), "\\u{feff}\\u{200b}\\u{2028}");
}

TEST(Escape, ShowsWhatIsNotUtf8ByteByByte) {
    EXPECT_EQ(escape("\xff\xc3"), "\\xff\\xc3");
    EXPECT_EQ(escape("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "a surrogate";
    EXPECT_EQ(escape("\xc0\xaf"), "\\xc0\\xaf") << "an overlong form";
    EXPECT_EQ(escape("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond the last character";
}

TEST(HexDump, ShowsOffsetsBytesAndText) {
    EXPECT_EQ(hex_dump({}), "");
    EXPECT_EQ(hex_dump(as_bytes("AB\x01")), "00000000  41 42 01                                         AB.");
    EXPECT_EQ(hex_dump(as_bytes("0123456789abcdefX")),
              "00000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef\n"
              "00000010  58                                               X");
}

}  // namespace
}  // namespace tern::cli
