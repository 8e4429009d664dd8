// The head of an HTTP/1.1 response: status line and header fields, up to the blank line (RFC 9112 sections 2 to 5).
// Strict: what two readers could understand differently is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tern/error.hpp>

#include "buffer.hpp"
#include "rare.hpp"

namespace tern::core {

struct HttpHead {
    int status = 0;
    std::string reason;
    std::vector<Header> fields;
};

class HttpHeadParser {
public:
    enum class Status : std::uint8_t { need_input, done, failed };

    /// `max_size` bytes with all line ends and the blank line; `max_fields` header fields. `any_1_x`: HTTP/1.0 is as
    /// good, because proxies answer CONNECT with it.
    HttpHeadParser(std::size_t max_size, std::size_t max_fields, bool any_1_x = false) noexcept
        : max_size_(max_size), max_fields_(max_fields), any_1_x_(any_1_x) {}

    /// Takes everything from `in`, up to and including the blank line. Each byte is looked at once, however the head is
    /// cut into pieces.
    Status advance(Buffer& in);
    [[nodiscard]] const Error& error() const noexcept { return error_.view(); }
    /// Complete when done.
    [[nodiscard]] HttpHead& head() noexcept { return head_; }
    /// Bytes taken so far.
    [[nodiscard]] std::size_t received() const noexcept { return received_; }

private:
    bool check_version(Buffer& in);
    bool take_line(Buffer& in, std::string_view& line);
    void finish_line(std::string_view line);
    void parse_status_line(std::string_view line);
    void parse_field(std::string_view line);
    void fail(Errc code, std::string detail);

    const std::size_t max_size_;
    const std::size_t max_fields_;
    const bool any_1_x_;
    Status status_ = Status::need_input;
    std::size_t received_ = 0;
    std::string line_;  ///< What has arrived of the current line, if that came in pieces.
    HttpHead head_;
    Rare<Error> error_;
};

/// Equal but for the case of ASCII letters.
[[nodiscard]] bool iequals(std::string_view left, std::string_view right) noexcept;
/// RFC 9110 section 5.6.2.
[[nodiscard]] bool is_token(std::string_view text) noexcept;
/// RFC 9110 section 5.5: no control characters but tabs. Bytes beyond ASCII may be anything.
[[nodiscard]] bool is_field_value(std::string_view text) noexcept;

[[nodiscard]] std::size_t count_fields(const std::vector<Header>& fields, std::string_view name) noexcept;
/// Takes the next element that is not empty from the front of a comma-separated list (RFC 9110 section 5.6.1). A comma
/// in a quoted string does not separate. False if there is none.
[[nodiscard]] bool next_element(std::string_view& list, std::string_view& element) noexcept;
/// Is the token, compared without case, an element of the lists in the fields of that name?
[[nodiscard]] bool has_token(const std::vector<Header>& fields, std::string_view name, std::string_view token) noexcept;

}  // namespace tern::core
