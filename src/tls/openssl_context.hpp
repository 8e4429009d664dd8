// Settings of TLS turned into OpenSSL's: trust, client certificate, sessions, key log.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <openssl/ssl.h>

#include <tern/tls.hpp>

namespace tern::tls {

struct OpensslFree {
    void operator()(SSL_CTX* it) const noexcept { SSL_CTX_free(it); }
    void operator()(SSL* it) const noexcept { SSL_free(it); }
    void operator()(SSL_SESSION* it) const noexcept { SSL_SESSION_free(it); }
    void operator()(X509* it) const noexcept { X509_free(it); }
    void operator()(EVP_PKEY* it) const noexcept { EVP_PKEY_free(it); }
    void operator()(BIO* it) const noexcept { BIO_free(it); }
};
template <class T>
using OpensslPtr = std::unique_ptr<T, OpensslFree>;

class OpensslContext final : public Context {
public:
    /// On failure `error` is set, and the object must not be used.
    OpensslContext(const Tls& settings, Error& error);

    std::unique_ptr<Engine> connect(std::string_view host, std::uint16_t port) override;

    [[nodiscard]] const Tls& settings() const noexcept { return settings_; }
    [[nodiscard]] SSL_CTX* get() const noexcept { return context_.get(); }

    /// The session to resume. One of TLS 1.3 is given away, because its ticket is for one use (RFC 8446 appendix C.4).
    [[nodiscard]] OpensslPtr<SSL_SESSION> take_session(const std::string& key);
    void keep_session(const std::string& key, OpensslPtr<SSL_SESSION> session);
    void log_key(const char* line);

private:
    [[nodiscard]] Error set_up();
    [[nodiscard]] Error trust(const TlsSource& source);
    [[nodiscard]] Error show_certificate();

    const Tls settings_;
    std::shared_ptr<X509_STORE> system_trust_;  ///< If that is what is trusted: kept for other contexts to share.
    OpensslPtr<SSL_CTX> context_;
    std::mutex mutex_;  ///< Of the two below: contexts may be shared by connections of several threads one day.
    std::map<std::string, OpensslPtr<SSL_SESSION>> sessions_;
    std::mutex log_mutex_;
};

/// The topmost error of OpenSSL's queue as an error of ours; the queue is empty then.
[[nodiscard]] Error take_openssl_error(Errc code, std::string what);

}  // namespace tern::tls
