// RFC 6455 section 5 as tests see it from the other side of the wire: frames are built as a server sends them, and read
// as a client has to send them. Byte by byte, and sharing nothing with src/core, so that a misunderstanding there does
// not meet the same misunderstanding here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tern/core.hpp>

namespace tern::wire {

inline constexpr unsigned continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10;

inline std::string_view opcode_name(unsigned opcode) {
    switch (opcode) {
        case continuation: return "continuation";
        case text: return "text";
        case binary: return "binary";
        case close: return "close";
        case ping: return "ping";
        case pong: return "pong";
        default: return "reserved";
    }
}

/// A payload for people to compare: whole if it is short, and otherwise by its size, its beginning and a hash.
inline std::string shown(std::string_view payload) {
    if (payload.size() <= 40) return '"' + std::string(payload) + '"';
    return std::to_string(payload.size()) + " bytes \"" + std::string(payload.substr(0, 16)) + "...\" #" +
           std::to_string(std::hash<std::string_view>()(payload));
}

inline std::string hex(std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (const char c : bytes) {
        const unsigned byte = static_cast<unsigned char>(c);
        out += {digits[byte / 16], digits[byte % 16], ' '};
    }
    return out;
}

// --- what a server sends -------------------------------------------------------------------------------------------

inline std::string big_endian(std::uint64_t value, unsigned bytes) {
    std::string out;
    for (unsigned i = bytes; i > 0; --i) out += static_cast<char>(value >> (8 * (i - 1)) & 0xff);
    return out;
}

/// `length_bytes`: extended length of so many bytes (0, 2 or 8), whether or not that is the fewest.
inline std::string header(unsigned opcode, std::uint64_t length, bool fin, unsigned length_bytes) {
    std::string out(1, static_cast<char>((fin ? 0x80u : 0u) + opcode));
    if (length_bytes == 0) return out + static_cast<char>(length);
    return out + static_cast<char>(length_bytes == 2 ? 126 : 127) + big_endian(length, length_bytes);
}

inline std::string header(unsigned opcode, std::uint64_t length, bool fin = true) {
    return header(opcode, length, fin, length < 126 ? 0 : length < 65536 ? 2 : 8);
}

inline std::string frame(unsigned opcode, std::string_view payload, bool fin = true) {
    return header(opcode, payload.size(), fin).append(payload);
}

/// What opens or continues a message that is not finished.
inline std::string fragment(unsigned opcode, std::string_view payload) { return frame(opcode, payload, false); }

inline std::string close_body(unsigned code, std::string_view reason = {}) {
    return big_endian(code, 2).append(reason);
}

// --- what a client sends -------------------------------------------------------------------------------------------

struct ClientFrame {
    unsigned opcode = 0;
    bool fin = false;
    std::string key;
    std::string payload;   ///< Unmasked.
    std::size_t size = 0;  ///< Of all of it on the wire.

    [[nodiscard]] bool is_control() const { return opcode >= 8; }
    [[nodiscard]] std::string shown() const {
        return std::string(opcode_name(opcode)) + (fin ? " " : " unfinished ") + wire::shown(payload);
    }
};

/// What a client has sent so far, cut into frames. What a client must not do is an `offence` and ends the reading;
/// `rest` is the beginning of a frame that is not complete, or the frame that offends.
struct ClientBytes {
    std::vector<ClientFrame> frames;
    std::string rest;
    std::string offence;

    [[nodiscard]] std::vector<std::string> shown() const {
        std::vector<std::string> all;
        for (const ClientFrame& each : frames) all.push_back(each.shown());
        if (!rest.empty()) all.push_back("rest of " + std::to_string(rest.size()) + " bytes");
        if (!offence.empty()) all.push_back("offence: " + offence);
        return all;
    }
};

inline unsigned byte_at(std::string_view bytes, std::size_t at) { return static_cast<unsigned char>(bytes[at]); }

/// The first frame of `bytes`; empty if it is not complete, or if it is an offence.
inline std::optional<ClientFrame> first_client_frame(std::string_view bytes, std::string& offence) {
    if (bytes.size() < 2) return std::nullopt;
    ClientFrame result;
    result.fin = byte_at(bytes, 0) >= 0x80;
    result.opcode = byte_at(bytes, 0) % 16;
    if (byte_at(bytes, 0) / 16 % 8 != 0) offence = "reserved bits";
    if (opcode_name(result.opcode) == "reserved") offence = "reserved opcode";
    if (byte_at(bytes, 1) < 0x80) offence = "not masked";
    const unsigned short_length = byte_at(bytes, 1) % 128;
    if (result.is_control() && (!result.fin || short_length > 125)) offence = "fragmented or long control frame";
    if (!offence.empty()) return std::nullopt;

    const std::size_t length_bytes = short_length == 126 ? 2 : short_length == 127 ? 8 : 0;
    if (bytes.size() < 2 + length_bytes + 4) return std::nullopt;
    std::uint64_t length = length_bytes == 0 ? short_length : 0;
    for (std::size_t i = 0; i < length_bytes; ++i) length = length * 256 + byte_at(bytes, 2 + i);
    if (length_bytes == 2 && length < 126) offence = "length not minimal";
    if (length_bytes == 8 && (length < 65536 || length >> 63 != 0)) offence = "length not minimal or too large";
    if (!offence.empty() || length > bytes.size() - (2 + length_bytes + 4)) return std::nullopt;

    result.key = bytes.substr(2 + length_bytes, 4);
    result.payload = bytes.substr(2 + length_bytes + 4, static_cast<std::size_t>(length));
    for (std::size_t i = 0; i < result.payload.size(); ++i) {
        result.payload[i] = static_cast<char>(result.payload[i] ^ result.key[i % 4]);
    }
    result.size = 2 + length_bytes + 4 + result.payload.size();
    return result;
}

/// The order of frames is checked too: section 5.4, and nothing behind a Close frame (section 5.5.1).
inline ClientBytes read_client(std::string_view bytes) {
    ClientBytes read;
    bool in_message = false;
    bool closed = false;
    while (read.offence.empty()) {
        std::optional<ClientFrame> next = first_client_frame(bytes, read.offence);
        if (!next && closed && !bytes.empty()) read.offence = "bytes behind a Close frame";
        if (!next) break;
        if (closed) read.offence = next->shown() + " behind a Close frame";
        if (!next->is_control()) {
            if (in_message != (next->opcode == continuation)) read.offence = next->shown() + " out of order";
            in_message = !next->fin;
        }
        if (!read.offence.empty()) break;
        closed = next->opcode == close;
        bytes.remove_prefix(next->size);
        read.frames.push_back(*std::move(next));
    }
    read.rest = bytes;
    return read;
}

// --- randomness ----------------------------------------------------------------------------------------------------

/// A generator of masking keys that are the same in every run, and that can run dry.
class SeededCrypto final : public Crypto {
public:
    bool random_bytes(std::span<std::byte> out) override {
        if (calls_left == 0) return false;
        if (calls_left > 0) --calls_left;
        drawn += out.size();
        for (std::byte& byte : out) byte = static_cast<std::byte>(random_());
        return true;
    }
    std::array<std::byte, 20> sha1(Bytes) override { return {}; }
    std::string base64(Bytes) override { return {}; }

    int calls_left = -1;    ///< Negative: without end.
    std::size_t drawn = 0;  ///< Bytes.

private:
    std::mt19937 random_{6455};
};

}  // namespace tern::wire
