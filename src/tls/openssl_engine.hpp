// One TLS connection by OpenSSL, on two pieces of memory instead of a socket.
#pragma once

#include <string>
#include <vector>

#include "openssl_context.hpp"

namespace tern::tls {

class OpensslEngine final : public Engine {
public:
    OpensslEngine(OpensslContext& context, OpensslPtr<SSL> ssl, const std::string& host, std::uint16_t port);

    OpensslEngine(const OpensslEngine&) = delete;
    OpensslEngine& operator=(const OpensslEngine&) = delete;
    ~OpensslEngine() override;

    /// What all connections of a context have in common.
    static void prepare(SSL_CTX* context, bool verify);
    /// False: there was no memory.
    [[nodiscard]] bool ready() const noexcept { return ready_; }

    Status handshake(Bytes& in, std::string& out) override;
    Status decrypt(Bytes& in, std::span<std::byte> plain, std::size_t& size, std::string& out) override;
    bool encrypt(Bytes plain, std::string& out) override;
    void shutdown(std::string& out) override;
    [[nodiscard]] const Error& error() const override { return error_; }
    [[nodiscard]] Info info() const override;

private:
    class Transfer;

    [[nodiscard]] bool set_name();
    [[nodiscard]] Status done();
    [[nodiscard]] Status fail(Error error);
    [[nodiscard]] Error handshake_error() const;
    [[nodiscard]] Error certificate_error(long code) const;
    [[nodiscard]] bool has_pin() const;
    [[nodiscard]] Status judge(int result);
    void check_memory();
    void free_buffers();
    void on_session(SSL_SESSION* session);
    static int on_verify(int ok, X509_STORE_CTX* store);
    static int on_new_session(SSL* ssl, SSL_SESSION* session);
    static BIO_METHOD* bio_method();
    static int read_bio(BIO* bio, char* out, int size);
    static int write_bio(BIO* bio, const char* bytes, int size);

    OpensslContext& context_;
    const std::string host_;
    const std::string session_key_;
    OpensslPtr<SSL> ssl_;
    bool ready_ = false;
    bool complete_ = false;
    bool no_memory_ = false;  ///< A callback had none.
    Error error_;

    // During a call only.
    Bytes* in_ = nullptr;
    std::string* out_ = nullptr;

    /// The certificate that did not pass, and how deep in the chain it stands.
    OpensslPtr<X509> refused_;
    int refused_depth_ = 0;
    /// Tickets that came before the pins were checked.
    OpensslPtr<SSL_SESSION> early_session_;
};

}  // namespace tern::tls
