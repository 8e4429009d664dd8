// Settings of TLS turned into mbedTLS's (2.28): trust, client certificate, sessions, key log.
#pragma once

#include <map>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <tern/tls.hpp>

namespace tern::tls {

/// A structure of mbedTLS's with its init and free.
template <class T, void (*Init)(T*), void (*Free)(T*)>
class Mbedtls {
public:
    Mbedtls() noexcept { Init(&it_); }
    Mbedtls(const Mbedtls&) = delete;
    Mbedtls& operator=(const Mbedtls&) = delete;
    ~Mbedtls() { Free(&it_); }

    [[nodiscard]] T* get() noexcept { return &it_; }
    [[nodiscard]] const T* get() const noexcept { return &it_; }
    T* operator->() noexcept { return &it_; }

private:
    T it_;
};
using MbedtlsCertificates = Mbedtls<mbedtls_x509_crt, mbedtls_x509_crt_init, mbedtls_x509_crt_free>;
using MbedtlsKey = Mbedtls<mbedtls_pk_context, mbedtls_pk_init, mbedtls_pk_free>;
using MbedtlsConfig = Mbedtls<mbedtls_ssl_config, mbedtls_ssl_config_init, mbedtls_ssl_config_free>;
using MbedtlsSession = Mbedtls<mbedtls_ssl_session, mbedtls_ssl_session_init, mbedtls_ssl_session_free>;

class MbedtlsContext final : public Context {
public:
    /// On failure `error` is set, and the object must not be used.
    MbedtlsContext(const Tls& settings, Error& error);

    std::unique_ptr<Engine> connect(std::string_view host, std::uint16_t port) override;

    [[nodiscard]] const Tls& settings() const noexcept { return settings_; }
    [[nodiscard]] const mbedtls_ssl_config* config() const noexcept { return config_.get(); }

    /// The session to resume; null if there is none. Sessions of TLS 1.2 may be used again and again.
    [[nodiscard]] std::shared_ptr<MbedtlsSession> session(const std::string& key);
    void keep_session(const std::string& key, std::shared_ptr<MbedtlsSession> session);

private:
    [[nodiscard]] Error set_up();
    [[nodiscard]] Error trust(const TlsSource& source);
    [[nodiscard]] Error trust_system();
    [[nodiscard]] Error show_certificate();
    static int log_key(void* user, const unsigned char* secret, const unsigned char* block, std::size_t mac,
                       std::size_t key, std::size_t iv, const unsigned char* client_random,
                       const unsigned char* server_random, mbedtls_tls_prf_types prf);

    const Tls settings_;
    std::vector<const char*> alpn_;
    MbedtlsCertificates trusted_;
    MbedtlsCertificates certificate_;
    MbedtlsKey key_;
    MbedtlsConfig config_;
    std::mutex mutex_;
    std::map<std::string, std::shared_ptr<MbedtlsSession>> sessions_;
};

/// The generator of this process; its functions are thread-safe.
[[nodiscard]] int mbedtls_random(void* unused, unsigned char* out, std::size_t size);
/// An error of ours with mbedTLS's number and text.
[[nodiscard]] Error mbedtls_error(Errc code, std::string what, int native);

}  // namespace tern::tls
