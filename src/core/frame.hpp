// The frame header of RFC 6455 section 5.2, read as a client reads it and written as a client writes it.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include <tern/error.hpp>
#include <tern/message.hpp>

#include "mask.hpp"

namespace tern::core {

/// Section 5.5: the payload of a control frame.
inline constexpr std::size_t max_control_payload = 125;
/// 2 bytes, 8 of extended length, 4 of masking key.
inline constexpr std::size_t max_frame_header = 14;

struct FrameHeader {
    bool fin = false;
    bool compressed = false;  ///< RSV1, which RFC 7692 section 6 gives a meaning.
    Opcode opcode = Opcode::continuation;
    std::uint64_t length = 0;  ///< Of the payload.
    std::size_t size = 0;      ///< Of the header itself.

    [[nodiscard]] bool is_control() const noexcept { return (static_cast<unsigned>(opcode) & 8u) != 0; }
};

enum class FrameStatus : std::uint8_t { need_input, ready, failed };

/// Reads a header that a server sent, from the beginning of `in`. It fails at the first byte that is wrong; `error` is
/// set only then. What the header means for the message it belongs to is judged elsewhere. `compression`: it was agreed
/// on, so RSV1 may be set in the first frame of a message.
[[nodiscard]] FrameStatus read_frame_header(Bytes in, FrameHeader& header, Errc& error,
                                            bool compression = false) noexcept;

/// The size of the header that `write_frame_header` writes for a payload of this length.
[[nodiscard]] constexpr std::size_t frame_header_size(std::uint64_t length) noexcept {
    return length <= 125 ? 6 : length <= 0xffff ? 8 : max_frame_header;
}

/// Writes a header with masking key, the length in the fewest bytes; returns `frame_header_size(length)`. `compressed`:
/// with RSV1.
std::size_t write_frame_header(std::byte* out, Opcode opcode, bool fin, std::uint64_t length, MaskKey key,
                               bool compressed = false) noexcept;

/// The longest payload whose length needs at most two further bytes.
inline constexpr std::size_t max_short_payload = 0xffff;

/// The same for a whole message of at most `max_short_payload` bytes, by one store of 8 bytes: behind a header of 6 the
/// other two are to be overwritten.
inline std::size_t write_short_header(std::byte* out, Opcode opcode, std::size_t length, MaskKey key) noexcept {
    if constexpr (std::endian::native != std::endian::little) return write_frame_header(out, opcode, true, length, key);
    const std::uint64_t masked = mask_detail::load<std::uint32_t>(key.data());
    const std::uint64_t first = 0x8080u | static_cast<unsigned>(opcode);  // FIN and MASK
    if (length <= 125) {
        mask_detail::store(out, first | length << 8u | masked << 16u);
        return 6;
    }
    mask_detail::store(out, first | 126u << 8u | length >> 8u << 16u | (length & 0xffu) << 24u | masked << 32u);
    return 8;
}

/// The size of a whole frame that `write_frame_header` began at `frame`.
[[nodiscard]] std::uint64_t written_frame_size(const std::byte* frame) noexcept;

}  // namespace tern::core
