// A TLS server on memory, by OpenSSL whatever engine is under test: the other side of the engine's tests.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <openssl/ssl.h>

namespace tern::tls {

struct PeerSettings {
    std::string certificate = "good";  ///< NAME.pem and NAME.key of the authority's folder; see authority.sh.
    bool send_intermediate = true;
    int min_version = 0;  ///< TLS1_2_VERSION, ...; 0: whatever OpenSSL has.
    int max_version = 0;
    bool want_client_certificate = false;
    std::string alpn;  ///< Chosen if the client offers it.
};

class TlsPeer {
public:
    explicit TlsPeer(const PeerSettings& settings);
    ~TlsPeer();
    TlsPeer(const TlsPeer&) = delete;
    TlsPeer& operator=(const TlsPeer&) = delete;

    /// Bytes from the client; the answers collect in `out`.
    void feed(std::string_view bytes);
    /// Goes on with what has been fed, as a connection of its own: a new TLS handshake with the same settings.
    void reconnect();
    void write(std::string_view plain);
    void close_notify();
    void update_keys();
    void renegotiate();

    std::string out;       ///< To the client. Take what you deliver.
    std::string received;  ///< Decrypted.
    std::string sni;
    [[nodiscard]] bool connected() const;
    [[nodiscard]] bool failed() const { return failed_; }
    [[nodiscard]] bool closed() const;

private:
    void step();
    void collect();

    struct Free {
        void operator()(SSL_CTX* it) const { SSL_CTX_free(it); }
        void operator()(SSL* it) const { SSL_free(it); }
    };
    const PeerSettings settings_;
    std::unique_ptr<SSL_CTX, Free> context_;
    std::unique_ptr<SSL, Free> ssl_;
    bool failed_ = false;
};

/// A file of the authority's folder, as text.
[[nodiscard]] std::string authority_file(const std::string& name);
/// Its full name.
[[nodiscard]] std::string authority_path(const std::string& name);

}  // namespace tern::tls
