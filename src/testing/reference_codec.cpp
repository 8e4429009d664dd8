#include "reference_codec.hpp"

#include <algorithm>
#include <cctype>

namespace tern::sim {
namespace {

unsigned byte_at(std::string_view bytes, std::size_t i) { return static_cast<unsigned char>(bytes[i]); }
char to_char(std::uint64_t value) { return static_cast<char>(value & 0xffu); }

std::uint32_t rotate(std::uint32_t value, unsigned by) { return (value << by) | (value >> (32u - by)); }

void append_big_endian(std::string& out, std::uint64_t value, unsigned size) {
    for (unsigned i = size; i-- > 0;) out += to_char(value >> (8u * i));
}

std::uint64_t big_endian(std::string_view bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) value = value << 8u | byte_at(bytes, i);
    return value;
}

void sha1_block(std::array<std::uint32_t, 5>& hash, std::string_view block) {
    std::array<std::uint32_t, 80> w{};
    for (std::size_t i = 0; i < 16; ++i) w[i] = static_cast<std::uint32_t>(big_endian(block.substr(4 * i, 4)));
    for (std::size_t i = 16; i < 80; ++i) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    auto [a, b, c, d, e] = hash;
    for (std::size_t i = 0; i < 80; ++i) {
        std::uint32_t f = b ^ c ^ d, k = i < 40 ? 0x6ed9eba1u : 0xca62c1d6u;
        if (i < 20) {
            f = (b & c) | (~b & d);
            k = 0x5a827999u;
        } else if (i >= 40 && i < 60) {
            f = (b & c) | (b & d) | (c & d);
            k = 0x8f1bbcdcu;
        }
        const std::uint32_t t = rotate(a, 5) + f + e + k + w[i];
        e = d, d = c, c = rotate(b, 30), b = a, a = t;
    }
    hash[0] += a, hash[1] += b, hash[2] += c, hash[3] += d, hash[4] += e;
}

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

bool has_token(const std::string& list, std::string_view token) {
    return ("," + lower(list) + ",").find(std::string(token)) != std::string::npos;
}

}  // namespace

// --- digests and alphabets -----------------------------------------------------------------------------------------

std::string sha1(std::string_view bytes) {
    std::string padded(bytes);
    padded += '\x80';
    while (padded.size() % 64 != 56) padded += '\0';
    append_big_endian(padded, bytes.size() * 8u, 8);
    std::array<std::uint32_t, 5> hash{0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u};
    for (std::size_t at = 0; at < padded.size(); at += 64) sha1_block(hash, std::string_view(padded).substr(at, 64));
    std::string digest;
    for (const std::uint32_t word : hash) append_big_endian(digest, word, 4);
    return digest;
}

std::string base64(std::string_view bytes) {
    std::string out;
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        std::string group(bytes.substr(at, 3));
        const std::size_t characters = group.size() + 1;
        group.resize(3);
        const std::uint64_t bits = big_endian(group);
        for (std::size_t i = 0; i < 4; ++i) out += i < characters ? alphabet[bits >> (6 * (3 - i)) & 63u] : '=';
    }
    return out;
}

std::optional<std::string> unbase64(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    std::string out;
    std::uint32_t bits = 0;
    std::size_t padding = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        std::size_t digit = 0;
        if (text[i] == '=') {
            ++padding;
        } else {
            digit = alphabet.find(text[i]);
            if (digit == std::string_view::npos || padding != 0) return std::nullopt;
        }
        bits = bits << 6u | static_cast<std::uint32_t>(digit);
        if (i % 4 == 3) append_big_endian(out, bits & 0xffffffu, 3);
    }
    if (padding > 2) return std::nullopt;
    out.resize(out.size() - padding);
    return out;
}

std::string accept_key(std::string_view key) {
    return base64(sha1(std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
}

// --- UTF-8 ---------------------------------------------------------------------------------------------------------

bool Utf8Check::add(std::string_view bytes) {
    for (std::size_t i = 0; i < bytes.size() && valid_; ++i) {
        const unsigned byte = byte_at(bytes, i);
        if (seen_ == 0) {
            if (byte < 0x80) continue;
            first_ = byte;
            length_ = byte < 0xc2 ? 0 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : byte < 0xf5 ? 4 : 0;
            valid_ = length_ != 0;
        } else if (seen_ == 1) {
            // Table 3-7 of the Unicode standard: the second byte rules out overlong forms, surrogates and too large
            // numbers.
            const unsigned low = first_ == 0xe0 ? 0xa0 : first_ == 0xf0 ? 0x90 : 0x80;
            const unsigned high = first_ == 0xed ? 0x9f : first_ == 0xf4 ? 0x8f : 0xbf;
            valid_ = byte >= low && byte <= high;
        } else {
            valid_ = (byte & 0xc0u) == 0x80u;
        }
        if (++seen_ == length_) seen_ = 0;
    }
    return valid_;
}

bool is_utf8(std::string_view text) {
    Utf8Check check;
    return check.add(text) && check.complete();
}

// --- frames --------------------------------------------------------------------------------------------------------

unsigned Frame::close_code() const {
    return payload.size() < 2 ? 1005u : static_cast<unsigned>(big_endian(std::string_view(payload).substr(0, 2)));
}

Frame text_frame(std::string payload) { return {.opcode = opcode::text, .payload = std::move(payload)}; }
Frame binary_frame(std::string payload) { return {.opcode = opcode::binary, .payload = std::move(payload)}; }
Frame ping_frame(std::string payload) { return {.opcode = opcode::ping, .payload = std::move(payload)}; }
Frame pong_frame(std::string payload) { return {.opcode = opcode::pong, .payload = std::move(payload)}; }

Frame close_frame(unsigned code, std::string_view reason) {
    Frame frame{.opcode = opcode::close};
    if (code != 1005) append_big_endian(frame.payload, code, 2);
    frame.payload += reason;
    return frame;
}

std::string encode(const Frame& frame) {
    const std::uint64_t length = frame.claimed_length.value_or(frame.payload.size());
    const unsigned fewest = length <= 125 ? 0 : length <= 0xffff ? 2 : 8;
    const unsigned extended = frame.length_bytes != 0 ? frame.length_bytes : fewest;
    std::string out;
    out += to_char((frame.fin ? 0x80u : 0u) | frame.rsv << 4u | frame.opcode);
    out += to_char((frame.mask ? 0x80u : 0u) | (extended == 0 ? length : extended == 2 ? 126u : 127u));
    if (extended != 0) append_big_endian(out, length, extended);
    if (!frame.mask) return out + frame.payload;
    for (const unsigned char c : *frame.mask) out += to_char(c);
    for (std::size_t i = 0; i < frame.payload.size(); ++i) {
        out += to_char(byte_at(frame.payload, i) ^ (*frame.mask)[i % 4]);
    }
    return out;
}

std::vector<Frame> fragments(unsigned opcode, std::string_view payload, std::size_t size) {
    std::vector<Frame> frames;
    do {
        const std::size_t n = std::min(size, payload.size());
        frames.push_back({.opcode = frames.empty() ? opcode : opcode::continuation,
                          .payload = std::string(payload.substr(0, n)),
                          .fin = n == payload.size()});
        payload.remove_prefix(n);
    } while (!payload.empty());
    return frames;
}

std::optional<Frame> FrameReader::stop(std::string offence) {
    offence_ = std::move(offence);
    return std::nullopt;
}

std::optional<Frame> FrameReader::next() {
    const std::string_view in = std::string_view(buffer_).substr(begin_);
    if (!offence_.empty() || in.size() < 2) return std::nullopt;
    Frame frame;
    frame.fin = (byte_at(in, 0) & 0x80u) != 0;
    frame.rsv = byte_at(in, 0) >> 4u & 7u;
    frame.opcode = byte_at(in, 0) & 15u;
    if (frame.rsv != 0) return stop("reserved bits set");
    if (frame.opcode > 2 && (frame.opcode < 8 || frame.opcode > 10)) return stop("reserved opcode");
    if ((byte_at(in, 1) & 0x80u) == 0) return stop("not masked");

    std::uint64_t length = byte_at(in, 1) & 0x7fu;
    const unsigned extended = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (frame.is_control() && (extended != 0 || !frame.fin)) return stop("control frame too long or fragmented");
    const std::size_t header = 2 + extended + 4;
    if (in.size() < header) return std::nullopt;
    if (extended != 0) length = big_endian(in.substr(2, extended));
    if ((extended == 2 && length <= 125) || (extended == 8 && length <= 0xffff)) return stop("length not minimal");
    if (length >> 40u != 0) return stop("absurd length");
    if (in.size() - header < length) return std::nullopt;

    std::array<unsigned char, 4> key{};
    for (std::size_t i = 0; i < 4; ++i) key[i] = static_cast<unsigned char>(in[header - 4 + i]);
    frame.mask = key;
    frame.payload = in.substr(header, static_cast<std::size_t>(length));
    for (std::size_t i = 0; i < frame.payload.size(); ++i) {
        frame.payload[i] = to_char(byte_at(frame.payload, i) ^ key[i % 4]);
    }
    begin_ += header + static_cast<std::size_t>(length);
    if (begin_ > buffer_.size() / 2) {
        buffer_.erase(0, begin_);
        begin_ = 0;
    }
    return frame;
}

// --- upgrade -------------------------------------------------------------------------------------------------------

std::string Request::header(std::string_view name) const {
    for (const auto& [key, value] : headers) {
        if (lower(key) == lower(name)) return value;
    }
    return {};
}

std::size_t Request::count(std::string_view name) const {
    return static_cast<std::size_t>(
        std::count_if(headers.begin(), headers.end(), [&](const auto& h) { return lower(h.first) == lower(name); }));
}

std::string Request::offence() const {
    if (method != "GET") return "the method is not GET";
    if (version != "HTTP/1.1") return "the version is not HTTP/1.1";
    if (target.empty() || target[0] != '/') return "the target is no path";
    for (const char* name : {"Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"}) {
        if (count(name) != 1) return std::string("not exactly one ") + name;
    }
    if (!has_token(header("Upgrade"), "websocket")) return "Upgrade is not websocket";
    if (!has_token(header("Connection"), "upgrade")) return "Connection is not Upgrade";
    if (header("Sec-WebSocket-Version") != "13") return "the WebSocket version is not 13";
    const auto key = unbase64(header("Sec-WebSocket-Key"));
    if (!key || key->size() != 16) return "the key is not 16 bytes in Base64";
    return {};
}

std::optional<Request> take_request(std::string& buffer) {
    const std::size_t end = buffer.find("\r\n\r\n");
    if (end == std::string::npos) return std::nullopt;
    const std::string head = buffer.substr(0, end + 2);
    buffer.erase(0, end + 4);
    Request request;
    for (std::size_t at = 0; at < head.size();) {
        const std::size_t stop = head.find("\r\n", at);
        const std::string line = head.substr(at, stop - at);
        if (at == 0) {
            const std::size_t first = line.find(' ');
            const std::size_t last = line.rfind(' ');
            request.method = line.substr(0, first);
            if (first != last) request.target = line.substr(first + 1, last - first - 1);
            if (last != std::string::npos) request.version = line.substr(last + 1);
        } else {
            const std::size_t colon = std::min(line.find(':'), line.size());
            const std::string_view value = std::string_view(line).substr(std::min(colon + 1, line.size()));
            request.headers.emplace_back(line.substr(0, colon), trim(value));
        }
        at = stop + 2;
    }
    return request;
}

}  // namespace tern::sim
