// TLS as the core sees it: bytes to bytes, no socket and no clock of its own. A TLS library implements it in src/tls/.
//
// Programs only meet `Info` (tern/tls_info.hpp); these classes are for those who bring a TLS library of their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <tern/config.hpp>
#include <tern/error.hpp>
#include <tern/export.hpp>
#include <tern/message.hpp>
#include <tern/tls_info.hpp>

namespace tern::tls {

/// One TLS connection. Not thread-safe; calls exclude each other.
class TERN_API Engine {
public:
    enum class Status : std::uint8_t {
        ok,          ///< Done, for now.
        need_input,  ///< All of the input is used up, and more is needed.
        closed,      ///< The peer has sent close_notify.
        failed,      ///< See `error`. Nothing else may be called then.
    };

    Engine() = default;
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;
    virtual ~Engine() = default;

    /// Goes on with the handshake as far as `in` allows. What was used is cut off the front of `in`, and what is to be
    /// sent is appended to `out`, an alert after a failure included. Call it once with nothing to begin. `ok`: it is
    /// complete.
    [[nodiscard]] virtual Status handshake(Bytes& in, std::string& out) = 0;
    /// Decrypts into `plain`; `size` is how much. `ok`: `plain` is full or a record has ended, so call again.
    /// `need_input`: `size` bytes, and no more without more input. What TLS itself has to answer is appended to `out`.
    [[nodiscard]] virtual Status decrypt(Bytes& in, std::span<std::byte> plain, std::size_t& size,
                                         std::string& out) = 0;
    /// Appends the records that carry these bytes to `out`. False if it failed.
    [[nodiscard]] virtual bool encrypt(Bytes plain, std::string& out) = 0;
    /// Appends a close_notify.
    virtual void shutdown(std::string& out) = 0;

    /// Why it failed: an error of the family `tls_failed`, with the library's number in `native`.
    [[nodiscard]] virtual const Error& error() const = 0;
    /// Once the handshake is complete.
    [[nodiscard]] virtual Info info() const = 0;

    /// The largest record (RFC 8446 section 5.2): an engine may hold back so much input until a record is whole.
    static constexpr std::size_t max_record = 17u << 10u;
};

/// Settings, trust, client certificate and the sessions to resume: shared by all connections of a client, and by
/// clients that share a configuration.
class TERN_API Context {
public:
    Context() = default;
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
    virtual ~Context() = default;

    /// A connection to this host: a name, or an address literal without brackets. Sessions are kept by host and port.
    /// Null if there is no memory. The context must outlive it.
    [[nodiscard]] virtual std::unique_ptr<Engine> connect(std::string_view host, std::uint16_t port) = 0;
};

/// A TLS library.
class TERN_API Provider {
public:
    Provider() = default;
    Provider(const Provider&) = delete;
    Provider& operator=(const Provider&) = delete;
    virtual ~Provider() = default;

    /// Reads all the certificates and keys. Null, and `error` is set (`tls_configuration`), if one cannot be used.
    [[nodiscard]] virtual std::unique_ptr<Context> create(const Tls& settings, Error& error) = 0;
    /// The same, perhaps shared with those who have asked with the same object of settings and still keep what they
    /// got: clients that share a configuration. The object must outlive the result. Thread-safe.
    [[nodiscard]] virtual std::shared_ptr<Context> share(const Tls& settings, Error& error) {
        return create(settings, error);
    }
    /// "OpenSSL 3.0.11", say.
    [[nodiscard]] virtual std::string name() const = 0;
};

}  // namespace tern::tls
