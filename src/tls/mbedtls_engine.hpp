// One TLS connection by mbedTLS, on two pieces of memory instead of a socket.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mbedtls_context.hpp"

namespace tern::tls {

class MbedtlsEngine final : public Engine {
public:
    MbedtlsEngine(MbedtlsContext& context, const std::string& host, std::uint16_t port);

    /// False: there was no memory.
    [[nodiscard]] bool ready() const noexcept { return ready_; }

    Status handshake(Bytes& in, std::string& out) override;
    Status decrypt(Bytes& in, std::span<std::byte> plain, std::size_t& size, std::string& out) override;
    bool encrypt(Bytes plain, std::string& out) override;
    void shutdown(std::string& out) override;
    [[nodiscard]] const Error& error() const override { return error_; }
    [[nodiscard]] Info info() const override;

private:
    using Ssl = Mbedtls<mbedtls_ssl_context, mbedtls_ssl_init, mbedtls_ssl_free>;
    class Transfer;

    [[nodiscard]] Status done();
    [[nodiscard]] Status fail(Error error);
    [[nodiscard]] Error failure(int status);
    [[nodiscard]] Error certificate_error() const;
    [[nodiscard]] bool has_name(const mbedtls_x509_crt& certificate) const;
    [[nodiscard]] bool has_pin() const;
    static int on_verify(void* user, mbedtls_x509_crt* certificate, int depth, std::uint32_t* flags);
    void check_memory();
    void judge(const mbedtls_x509_crt& certificate, int depth, std::uint32_t& flags);
    static int receive(void* user, unsigned char* out, std::size_t size);
    static int send(void* user, const unsigned char* bytes, std::size_t size);

    MbedtlsContext& context_;
    const std::string host_;
    const std::string session_key_;
    Ssl ssl_;
    bool ready_ = false;
    bool complete_ = false;
    bool no_memory_ = false;  ///< A callback had none.
    bool resumed_ = false;
    std::shared_ptr<MbedtlsSession> offered_;
    Error error_;

    // During a call only.
    Bytes* in_ = nullptr;
    std::string* out_ = nullptr;

    std::vector<Certificate> verified_;  ///< The chain, the root first.
    std::uint32_t refused_flags_ = 0;    ///< Of the certificate that did not pass, and the certificate.
    Certificate refused_;
    int refused_depth_ = 0;
};

/// "sha256//" and 44 characters.
[[nodiscard]] bool is_pin(std::string_view text) noexcept;

}  // namespace tern::tls
