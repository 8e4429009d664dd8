#include "frame.hpp"

#include <cstring>

namespace tern::core {
namespace {

constexpr unsigned fin_bit = 0x80;
constexpr unsigned rsv_bits = 0x70;
constexpr unsigned rsv1_bit = 0x40;
constexpr unsigned mask_bit = 0x80;

template <std::size_t Size>
std::uint64_t read_big_endian(const std::byte* in) noexcept {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < Size; ++i) value = value << 8u | std::to_integer<std::uint64_t>(in[i]);
    return value;
}

template <std::size_t Size>
void write_big_endian(std::byte* out, std::uint64_t value) noexcept {
    for (std::size_t i = 0; i < Size; ++i) out[i] = static_cast<std::byte>(value >> (8 * (Size - 1 - i)));
}

FrameStatus fail(Errc& error, Errc code) noexcept {
    error = code;
    return FrameStatus::failed;
}

/// The extended length of section 5.2, which has to be minimal and below 2^63.
FrameStatus read_long_length(Bytes in, unsigned marker, FrameHeader& header, Errc& error) noexcept {
    header.size = marker == 126 ? 4 : 10;
    if (in.size() < header.size) {
        // Both faults of a 64-bit length can be seen before all of it is there.
        if (marker == 127 && in.size() > 2 && std::to_integer<unsigned>(in[2]) >= 0x80) {
            return fail(error, Errc::length_overflow);
        }
        if (marker == 127 && in.size() >= 8 && read_big_endian<6>(in.data() + 2) == 0) {
            return fail(error, Errc::length_not_minimal);
        }
        return FrameStatus::need_input;
    }
    header.length = marker == 126 ? read_big_endian<2>(in.data() + 2) : read_big_endian<8>(in.data() + 2);
    if (header.length >> 63u != 0) return fail(error, Errc::length_overflow);
    if (header.length < (marker == 126 ? 126u : 0x10000u)) return fail(error, Errc::length_not_minimal);
    return FrameStatus::ready;
}

}  // namespace

FrameStatus read_frame_header(Bytes in, FrameHeader& header, Errc& error, bool compression) noexcept {
    if (in.empty()) return FrameStatus::need_input;
    const auto first = std::to_integer<unsigned>(in[0]);
    header.opcode = static_cast<Opcode>(first & 0x0fu);
    // RFC 7692 section 6: only where a message begins.
    const bool begins = header.opcode == Opcode::text || header.opcode == Opcode::binary;
    const unsigned allowed = compression && begins ? rsv1_bit : 0;
    if ((first & rsv_bits & ~allowed) != 0) return fail(error, Errc::reserved_bits);
    header.compressed = (first & rsv1_bit) != 0;
    header.fin = (first & fin_bit) != 0;
    // 0 to 2 and 8 to 10 have a meaning.
    if ((first & 0x07u) > 2) return fail(error, Errc::reserved_opcode);
    if (header.is_control() && !header.fin) return fail(error, Errc::control_fragmented);

    if (in.size() < 2) return FrameStatus::need_input;
    const auto second = std::to_integer<unsigned>(in[1]);
    if ((second & mask_bit) != 0) return fail(error, Errc::masked_frame);
    header.length = second;
    header.size = 2;
    if (second <= 125) return FrameStatus::ready;
    if (header.is_control()) return fail(error, Errc::control_too_long);
    return read_long_length(in, second, header, error);
}

std::size_t write_frame_header(std::byte* out, Opcode opcode, bool fin, std::uint64_t length, MaskKey key,
                               bool compressed) noexcept {
    out[0] =
        static_cast<std::byte>((fin ? fin_bit : 0u) | (compressed ? rsv1_bit : 0u) | static_cast<unsigned>(opcode));
    const std::size_t size = frame_header_size(length);
    if (size == 6) {
        out[1] = static_cast<std::byte>(mask_bit | length);
    } else if (size == 8) {
        out[1] = static_cast<std::byte>(mask_bit | 126u);
        write_big_endian<2>(out + 2, length);
    } else {
        out[1] = static_cast<std::byte>(mask_bit | 127u);
        write_big_endian<8>(out + 2, length);
    }
    std::memcpy(out + size - key.size(), key.data(), key.size());
    return size;
}

std::uint64_t written_frame_size(const std::byte* frame) noexcept {
    const auto marker = std::to_integer<unsigned>(frame[1]) & 0x7fu;
    if (marker <= 125) return 6 + marker;
    return marker == 126 ? 8 + read_big_endian<2>(frame + 2) : max_frame_header + read_big_endian<8>(frame + 2);
}

}  // namespace tern::core
