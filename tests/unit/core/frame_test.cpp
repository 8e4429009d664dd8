#include "frame.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "wire.hpp"

namespace tern::core {

// How GoogleTest prints it.
static void PrintTo(FrameStatus status, std::ostream* out) {
    constexpr std::array names{"need_input", "ready", "failed"};
    *out << names[static_cast<std::size_t>(status)];
}

namespace {

constexpr auto untouched = static_cast<Errc>(1);
constexpr MaskKey key{std::byte{0x37}, std::byte{0xfa}, std::byte{0x21}, std::byte{0x3d}};

/// A run of `read_frame_header` on an allocation of exactly these bytes, so that AddressSanitizer sees a read behind
/// them.
struct Reading {
    explicit Reading(std::string_view bytes) {
        const std::vector<std::byte> exact(as_bytes(bytes).begin(), as_bytes(bytes).end());
        status = read_frame_header(exact, header, error);
    }
    FrameHeader header;
    Errc error = untouched;
    FrameStatus status;
};

std::string bytes_of(std::initializer_list<unsigned> values) {
    std::string out;
    for (const unsigned value : values) out += static_cast<char>(value);
    return out;
}

/// The header is ready with its last byte and not before, and what follows changes nothing.
void expect_ready(const std::string& bytes, Opcode opcode, bool fin, std::uint64_t length) {
    SCOPED_TRACE(wire::hex(bytes));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const Reading reading(bytes.substr(0, size));
        EXPECT_EQ(reading.status, FrameStatus::need_input) << "with " << size << " bytes";
        EXPECT_EQ(reading.error, untouched);
    }
    for (const std::string_view more : {std::string_view(), std::string_view("\xff\x00\x80", 3)}) {
        const Reading reading(bytes + std::string(more));
        ASSERT_EQ(reading.status, FrameStatus::ready);
        EXPECT_EQ(reading.header.opcode, opcode);
        EXPECT_EQ(reading.header.fin, fin);
        EXPECT_EQ(reading.header.length, length);
        EXPECT_EQ(reading.header.size, bytes.size());
        EXPECT_EQ(reading.header.is_control(), static_cast<unsigned>(opcode) >= 8);
        EXPECT_EQ(reading.error, untouched);
    }
}

/// It fails with the last of these bytes and not before, and what follows changes nothing.
void expect_failure(const std::string& bytes, Errc error) {
    SCOPED_TRACE(wire::hex(bytes));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        EXPECT_EQ(Reading(bytes.substr(0, size)).status, FrameStatus::need_input) << "with " << size << " bytes";
    }
    for (const std::size_t more : {0u, 1u, 2u, 20u}) {
        for (const char filler : {'\0', '\x7f', '\xff'}) {
            const Reading reading(bytes + std::string(more, filler));
            EXPECT_EQ(reading.status, FrameStatus::failed) << "with " << more << " more bytes";
            EXPECT_EQ(reading.error, error);
        }
    }
}

// --- reading -------------------------------------------------------------------------------------------------------

TEST(FrameReadTest, NothingNeedsInput) { EXPECT_EQ(Reading("").status, FrameStatus::need_input); }

TEST(FrameReadTest, EveryOpcodeThatHasAMeaning) {
    for (const unsigned opcode : {0u, 1u, 2u, 8u, 9u, 10u}) {
        expect_ready(bytes_of({0x80 + opcode, 5}), Opcode{static_cast<std::uint8_t>(opcode)}, true, 5);
    }
    for (const unsigned opcode : {0u, 1u, 2u}) {
        expect_ready(bytes_of({opcode, 5}), Opcode{static_cast<std::uint8_t>(opcode)}, false, 5);
    }
}

TEST(FrameReadTest, EveryLengthOfTheShortForm) {
    for (unsigned length = 0; length <= 125; ++length) {
        expect_ready(bytes_of({0x82, length}), Opcode::binary, true, length);
        expect_ready(bytes_of({0x89, length}), Opcode::ping, true, length);
    }
}

TEST(FrameReadTest, LengthsOfTheLongForms) {
    expect_ready(bytes_of({0x82, 126, 0, 126}), Opcode::binary, true, 126);
    expect_ready(bytes_of({0x82, 126, 0x01, 0x02}), Opcode::binary, true, 0x0102);
    expect_ready(bytes_of({0x82, 126, 0xff, 0xff}), Opcode::binary, true, 65535);
    expect_ready(bytes_of({0x01, 127, 0, 0, 0, 0, 0, 1, 0, 0}), Opcode::text, false, 65536);
    expect_ready(bytes_of({0x01, 127, 1, 2, 3, 4, 5, 6, 7, 8}), Opcode::text, false, 0x0102030405060708);
    expect_ready(bytes_of({0x01, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), Opcode::text, false,
                 0x7fffffffffffffff);
}

TEST(FrameReadTest, ReservedBitsFailAtTheFirstByte) {
    for (unsigned bits = 1; bits < 8; ++bits) {
        for (const unsigned rest : {0x80u, 0x81u, 0x02u, 0x89u, 0x08u, 0x0fu}) {
            expect_failure(bytes_of({rest + 16 * bits}), Errc::reserved_bits);
        }
    }
}

TEST(FrameReadTest, ReservedOpcodesFailAtTheFirstByte) {
    for (const unsigned opcode : {3u, 4u, 5u, 6u, 7u, 11u, 12u, 13u, 14u, 15u}) {
        expect_failure(bytes_of({0x80 + opcode}), Errc::reserved_opcode);
        expect_failure(bytes_of({opcode}), Errc::reserved_opcode);
        EXPECT_EQ(Reading(bytes_of({opcode})).header.opcode, Opcode{static_cast<std::uint8_t>(opcode)});
    }
}

TEST(FrameReadTest, FragmentedControlFramesFailAtTheFirstByte) {
    for (const unsigned opcode : {8u, 9u, 10u}) expect_failure(bytes_of({opcode}), Errc::control_fragmented);
}

TEST(FrameReadTest, MaskedFramesFailAtTheSecondByte) {
    for (const unsigned first : {0x80u, 0x01u, 0x82u, 0x88u, 0x89u, 0x8au}) {
        for (const unsigned length : {0u, 1u, 125u, 126u, 127u}) {
            expect_failure(bytes_of({first, 0x80 + length}), Errc::masked_frame);
        }
    }
}

TEST(FrameReadTest, LongControlFramesFailAtTheSecondByte) {
    for (const unsigned opcode : {8u, 9u, 10u}) {
        expect_failure(bytes_of({0x80 + opcode, 126}), Errc::control_too_long);
        expect_failure(bytes_of({0x80 + opcode, 127}), Errc::control_too_long);
    }
}

TEST(FrameReadTest, LengthsThatFitIntoAShorterForm) {
    for (const unsigned length : {0u, 1u, 124u, 125u}) {
        expect_failure(bytes_of({0x82, 126, 0, length}), Errc::length_not_minimal);
    }
    for (const unsigned length : {0u, 125u, 126u, 65535u}) {
        const Reading reading(wire::header(wire::binary, length, true, 8));
        EXPECT_EQ(reading.status, FrameStatus::failed) << length;
        EXPECT_EQ(reading.error, Errc::length_not_minimal) << length;
    }
}

/// Six bytes of zeros say that the length is below 65536, whatever the last two are.
TEST(FrameReadTest, AShortLengthInTheLongestFormFailsAtItsSixthByte) {
    expect_failure(bytes_of({0x82, 127, 0, 0, 0, 0, 0, 0}), Errc::length_not_minimal);
}

TEST(FrameReadTest, OverflowFailsAtTheThirdByte) {
    for (const unsigned highest : {0x80u, 0x81u, 0xffu}) {
        expect_failure(bytes_of({0x82, 127, highest}), Errc::length_overflow);
    }
    // The highest bit of a 16-bit length means nothing special.
    expect_ready(bytes_of({0x82, 126, 0x80, 0}), Opcode::binary, true, 0x8000);
}

// --- writing -------------------------------------------------------------------------------------------------------

/// The bytes written, into an allocation of exactly the size that was announced.
std::string written(Opcode opcode, bool fin, std::uint64_t length) {
    const std::size_t size = frame_header_size(length);
    const auto memory = std::make_unique<std::byte[]>(size);
    EXPECT_EQ(write_frame_header(memory.get(), opcode, fin, length, key), size);
    EXPECT_EQ(written_frame_size(memory.get()), size + length);
    return std::string(as_text({memory.get(), size}));
}

TEST(FrameWriteTest, LengthsInTheFewestBytes) {
    const std::string masking = bytes_of({0x37, 0xfa, 0x21, 0x3d});
    const auto expect = [&](std::uint64_t length, const std::string& bytes) {
        EXPECT_EQ(wire::hex(written(Opcode::binary, true, length)), wire::hex(bytes + masking)) << length;
    };
    expect(0, bytes_of({0x82, 0x80}));
    expect(1, bytes_of({0x82, 0x81}));
    expect(125, bytes_of({0x82, 0xfd}));
    expect(126, bytes_of({0x82, 0xfe, 0x00, 0x7e}));
    expect(127, bytes_of({0x82, 0xfe, 0x00, 0x7f}));
    expect(0x0102, bytes_of({0x82, 0xfe, 0x01, 0x02}));
    expect(65535, bytes_of({0x82, 0xfe, 0xff, 0xff}));
    expect(65536, bytes_of({0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0}));
    expect(0x0102030405060708, bytes_of({0x82, 0xff, 1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST(FrameWriteTest, EveryOpcodeWithAndWithoutFin) {
    for (const unsigned opcode : {0u, 1u, 2u, 8u, 9u, 10u}) {
        for (const bool fin : {false, true}) {
            const std::string bytes = written(Opcode{static_cast<std::uint8_t>(opcode)}, fin, 3);
            EXPECT_EQ(bytes[0], static_cast<char>(opcode + (fin ? 0x80 : 0)));
        }
    }
}

}  // namespace
}  // namespace tern::core
