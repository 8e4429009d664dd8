// RFC 6455 as the simulated server speaks it. It shares nothing with src/core: a misunderstanding there must not meet
// the same misunderstanding here. Slow and plain on purpose.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern::sim {

/// FIPS 180-4; 20 bytes.
std::string sha1(std::string_view bytes);
/// RFC 4648 section 4.
std::string base64(std::string_view bytes);
std::optional<std::string> unbase64(std::string_view text);
/// RFC 6455 section 4.2.2, number 5.4.
std::string accept_key(std::string_view key);

/// RFC 3629, bytes as they come. What was added so far is a beginning of valid UTF-8 as long as `add` returns true.
class Utf8Check {
public:
    bool add(std::string_view bytes);
    /// Does not end inside a character.
    [[nodiscard]] bool complete() const { return valid_ && seen_ == 0; }

private:
    unsigned first_ = 0;   ///< The first byte of the character that has begun.
    unsigned length_ = 0;  ///< Its bytes, in all.
    unsigned seen_ = 0;    ///< Those that have come.
    bool valid_ = true;
};
bool is_utf8(std::string_view text);

namespace opcode {
inline constexpr unsigned continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10;
}

/// A frame, with every way of getting it wrong.
struct Frame {
    unsigned opcode = opcode::text;
    std::string payload;
    bool fin = true;
    unsigned rsv = 0;                                  ///< The three bits as a number; RSV1 is 4.
    std::optional<std::array<unsigned char, 4>> mask;  ///< Masked with this key.
    unsigned length_bytes = 0;                         ///< Extended length of so many bytes (2 or 8); 0: the fewest.
    std::optional<std::uint64_t> claimed_length;       ///< Stands in the header instead of the payload's.

    [[nodiscard]] bool is_control() const { return (opcode & 8u) != 0; }
    /// Of a Close frame; 1005 if it has no body.
    [[nodiscard]] unsigned close_code() const;
    [[nodiscard]] std::string close_reason() const { return payload.size() > 2 ? payload.substr(2) : std::string(); }
};

Frame text_frame(std::string payload);
Frame binary_frame(std::string payload);
Frame ping_frame(std::string payload);
Frame pong_frame(std::string payload);
/// Code 1005: an empty body.
Frame close_frame(unsigned code, std::string_view reason = {});
std::string encode(const Frame& frame);
/// A message in frames of `size` bytes.
std::vector<Frame> fragments(unsigned opcode, std::string_view payload, std::size_t size);

/// Reads what a client sends. What a client must not do makes it stop, with `offence` saying why.
class FrameReader {
public:
    void add(std::string_view bytes) { buffer_ += bytes; }
    std::optional<Frame> next();
    [[nodiscard]] const std::string& offence() const { return offence_; }
    /// Bytes that do not make a frame yet.
    [[nodiscard]] std::size_t left() const { return buffer_.size() - begin_; }

private:
    std::optional<Frame> stop(std::string offence);

    std::string buffer_;
    std::size_t begin_ = 0;
    std::string offence_;
};

/// An upgrade request.
struct Request {
    std::string method;
    std::string target;
    std::string version;
    std::vector<std::pair<std::string, std::string>> headers;

    /// The first value of a header; empty if there is none.
    [[nodiscard]] std::string header(std::string_view name) const;
    [[nodiscard]] std::size_t count(std::string_view name) const;
    /// What is wrong with it by RFC 6455 section 4.1; empty if nothing is.
    [[nodiscard]] std::string offence() const;
};
/// Takes a request from the beginning of the buffer; empty while it is not complete.
std::optional<Request> take_request(std::string& buffer);

}  // namespace tern::sim
