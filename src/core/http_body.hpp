// The beginning of the body of an HTTP/1.1 response, for the error that shows it: as much as a limit lets through.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "buffer.hpp"
#include "http_head.hpp"

namespace tern::core {

class HttpBodyReader {
public:
    /// The head tells how the body ends (RFC 9112 section 6.3).
    HttpBodyReader(const HttpHead& head, std::size_t limit);

    /// Takes everything from `in` until the body or the limit is reached. A body whose framing is broken ends there.
    void advance(Buffer& in);
    /// Nothing more is wanted.
    [[nodiscard]] bool finished() const noexcept { return state_ == State::finished; }
    [[nodiscard]] std::string& body() noexcept { return body_; }

private:
    enum class State : std::uint8_t { size, extension, size_line_feed, data, data_return, data_line_feed, finished };

    void take_data(Buffer& in);
    [[nodiscard]] State after_framing(char c);
    [[nodiscard]] State after_size(char c);

    std::size_t limit_;
    bool chunked_ = false;
    State state_ = State::data;
    std::uint64_t left_ = 0;     ///< Of the chunk, or of the whole body.
    std::size_t line_size_ = 0;  ///< Of the chunk's first line, so far.
    bool has_digit_ = false;
    std::string body_;
};

}  // namespace tern::core
