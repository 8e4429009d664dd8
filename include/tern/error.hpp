// Errors: one code (`Errc`), its family (`Condition`), and what a person needs to act on it (`Error`).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <tern/export.hpp>

namespace tern {

/// Every error that tern reports. The numbers are stable. docs/errors.md lists all of them with their meaning; it is
/// made from error_table.inc. Zero is success.
enum class Errc : std::uint16_t {
#define TERN_ERROR(name, number, condition, close_code, retry, esp_type, text) name = number,
#include <tern/error_table.inc>
#undef TERN_ERROR
};

/// The families of errors, by blame. Compare an `std::error_code` with one of them to treat a whole family alike:
///     if (error.code == tern::Condition::timed_out) ...
enum class Condition : std::uint8_t {
    url_invalid = 1,     ///< The URL cannot be used.
    resolve_failed,      ///< The host name has no address.
    connect_failed,      ///< No address accepted a TCP connection.
    proxy_failed,        ///< The proxy refused or broke its protocol.
    tls_failed,          ///< TLS could not be set up or the peer was not trusted.
    handshake_failed,    ///< The server did not upgrade the connection.
    protocol_violation,  ///< The peer broke RFC 6455 or RFC 7692.
    limit_exceeded,      ///< A configured limit, or memory.
    timed_out,           ///< A deadline passed. Equal to `std::errc::timed_out` too.
    closed,              ///< The connection ended.
    cancelled,           ///< This side ended it. Equal to `std::errc::operation_canceled` too.
    misuse,              ///< A call that cannot be carried out; it never changes the connection.
};

/// One more than the largest `Condition`, for arrays.
inline constexpr std::size_t condition_count = static_cast<std::size_t>(Condition::misuse) + 1;

/// The category of `Errc`; its name is "tern". Thread-safe.
TERN_API const std::error_category& error_category() noexcept;
/// The category of `Condition`; its name is "tern.condition". Thread-safe.
TERN_API const std::error_category& condition_category() noexcept;

TERN_API std::error_code make_error_code(Errc code) noexcept;
TERN_API std::error_condition make_error_condition(Condition condition) noexcept;

/// What an ending means for the next attempt to connect.
enum class Retry : std::uint8_t {
    never,    ///< Another attempt cannot mend it.
    backoff,  ///< After a delay that grows with each failure.
    at_once,  ///< Once without a delay, if the connection had been stable; otherwise as `backoff`.
    later,    ///< After a longer delay: the peer has said that it is overloaded or restarting.
};
/// "never", "backoff", ...
TERN_API std::string_view retry_name(Retry retry) noexcept;

/// One row of the error table.
struct ErrorRow {
    Errc code;
    std::string_view name;
    Condition condition;
    std::uint16_t close_code;   ///< Sent to the peer when a connection fails with this error; 0: no Close frame.
    Retry retry;                ///< Does connecting again make sense, and when?
    std::string_view esp_type;  ///< Espressif's error type, by name.
    std::string_view text;
};

/// The row of a code; null for a number that is not in the table. Thread-safe; the row lives for ever.
TERN_API const ErrorRow* error_row(Errc code) noexcept;
/// All rows, in the order of the table.
TERN_API const std::vector<ErrorRow>& error_table();
/// The name of a condition, such as "timed_out".
TERN_API std::string_view condition_name(Condition condition) noexcept;

/// Where in its life a connection was when something happened.
enum class Phase : std::uint8_t {
    none,     ///< Before anything was done: configuration and calls.
    prepare,  ///< Asking the program for URL and headers (`Client::before_attempt`).
    resolve,  ///< Asking for the host's addresses.
    connect,  ///< Making the TCP connection.
    proxy,    ///< Talking to a proxy.
    tls,      ///< TLS handshake.
    upgrade,  ///< HTTP upgrade (RFC 6455 section 4).
    open,     ///< Messages flow.
    closing,  ///< A Close frame was sent or received.
};
/// "resolve", "connect", ...
TERN_API std::string_view phase_name(Phase phase) noexcept;

/// A duration for a person: "0.4 ms", "12.0 ms", "10.0 s".
TERN_API std::string duration_text(std::chrono::microseconds duration);

/// One HTTP header field as it stood on the wire, white space around the value removed.
struct Header {
    std::string name;
    std::string value;

    bool operator==(const Header&) const = default;
};

/// The server's answer to the upgrade request.
struct TERN_API Response {
    int status = 0;
    std::string reason;
    std::vector<Header> headers;
    /// The beginning of the body (`limits.max_error_body`, 4 KiB by default) when the status is not 101.
    std::string body;

    /// The value of the first field with that name (compared without case); empty if there is none.
    [[nodiscard]] std::string_view header(std::string_view name) const noexcept;
};

/// An error with everything that is known about it. Empty (`!error`) means success.
struct TERN_API Error {
    std::error_code code;       ///< A `tern::Errc`.
    Phase phase = Phase::none;  ///< Where it happened.
    std::string peer;           ///< Who was at the other end: "host:port", and the address once there is one.
    std::string detail;         ///< What exactly was wrong: the value received, the one expected, the native text.
    /// How long the phase had lasted; 0 where no time belongs to it (calls, connections that were open).
    std::chrono::microseconds elapsed{0};
    int native = 0;     ///< errno, getaddrinfo's or the TLS library's number; 0 if there is none.
    Response response;  ///< The server's answer when it was no valid upgrade; `status` is 0 if there was none.

    Error() = default;
    /// An error without detail.
    Error(Errc errc, Phase where = Phase::none, std::string what = {})  // NOLINT(google-explicit-constructor)
        : code(make_error_code(errc)), phase(where), detail(std::move(what)) {}

    /// True if this is an error.
    explicit operator bool() const noexcept { return static_cast<bool>(code); }
    /// The code as `Errc`; only for codes of tern's own category.
    [[nodiscard]] Errc errc() const noexcept { return static_cast<Errc>(code.value()); }
    /// One line for a person: "upgrade with example.org:80 (192.0.2.1): the server refused the upgrade: 404 Not Found
    /// (after 12.0 ms)"; the time is left out where it is next to nothing.
    [[nodiscard]] std::string message() const;
};

inline bool operator==(const Error& error, Condition condition) noexcept {
    return error.code == make_error_condition(condition);
}
inline bool operator==(const Error& error, Errc code) noexcept { return error.code == make_error_code(code); }

}  // namespace tern

template <>
struct std::is_error_code_enum<tern::Errc> : std::true_type {};
template <>
struct std::is_error_condition_enum<tern::Condition> : std::true_type {};
