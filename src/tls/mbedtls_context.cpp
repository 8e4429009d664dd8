#include "mbedtls_context.hpp"

#include <cstring>
#include <fcntl.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/platform_util.h>
#include <new>
#include <unistd.h>

#include "mbedtls_engine.hpp"

namespace tern::tls {
namespace {

constexpr std::size_t max_sessions = 16;
/// Where Debian and its kin, Fedora's and Alpine's keep the system's certificates.
constexpr const char* system_stores[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                         "/etc/ssl/cert.pem"};

/// NSS's format: "CLIENT_RANDOM", the client's random, the master secret.
std::string key_log_line(const unsigned char* client_random, const unsigned char* secret) {
    constexpr char digits[] = "0123456789abcdef";
    std::string line = "CLIENT_RANDOM ";
    const auto add = [&](const unsigned char* bytes, std::size_t size) {
        for (std::size_t i = 0; i < size; ++i) {
            line += digits[bytes[i] >> 4u];
            line += digits[bytes[i] & 0xfu];
        }
    };
    add(client_random, 32);
    line += ' ';
    add(secret, 48);
    line += '\n';
    return line;
}

Error unusable(const std::string& what) { return {Errc::tls_configuration, Phase::none, what}; }

/// The generator, seeded once. Debian's mbedTLS locks it by itself (MBEDTLS_THREADING_C).
class Generator {
public:
    Generator() {
        mbedtls_entropy_init(&entropy_);
        mbedtls_ctr_drbg_init(&generator_);
        seeded_ = mbedtls_ctr_drbg_seed(&generator_, mbedtls_entropy_func, &entropy_, nullptr, 0) == 0;
    }
    Generator(const Generator&) = delete;
    Generator& operator=(const Generator&) = delete;
    ~Generator() {
        mbedtls_ctr_drbg_free(&generator_);
        mbedtls_entropy_free(&entropy_);
    }
    int fill(unsigned char* out, std::size_t size) {
        if (!seeded_) return MBEDTLS_ERR_CTR_DRBG_ENTROPY_SOURCE_FAILED;
        while (size > 0) {
            const std::size_t n = std::min<std::size_t>(size, MBEDTLS_CTR_DRBG_MAX_REQUEST);
            if (const int status = mbedtls_ctr_drbg_random(&generator_, out, n); status != 0) return status;
            out += n;
            size -= n;
        }
        return 0;
    }

private:
    mbedtls_entropy_context entropy_;
    mbedtls_ctr_drbg_context generator_;
    bool seeded_ = false;
};

/// PEM has to end with a NUL, which counts; DER must not.
std::pair<const unsigned char*, std::size_t> as_input(const TlsSource& source) {
    const bool pem = source.kind == TlsSource::Kind::pem;
    return {reinterpret_cast<const unsigned char*>(source.value.c_str()), source.value.size() + (pem ? 1 : 0)};
}

std::string name_of(const TlsSource& source, const char* role) {
    return std::string(role) + (source.kind == TlsSource::Kind::file ? " " + source.value : "");
}

/// A certificate that mbedTLS cannot read is passed over when there are others (status above 0), as in any bundle.
Error load(mbedtls_x509_crt* all, const TlsSource& source, const char* role) {
    const auto [bytes, size] = as_input(source);
    const int status = source.kind == TlsSource::Kind::file ? mbedtls_x509_crt_parse_file(all, source.value.c_str())
                                                            : mbedtls_x509_crt_parse(all, bytes, size);
    if (status >= 0 && all->version != 0) return {};
    return mbedtls_error(Errc::tls_configuration,
                         name_of(source, role) + ": there is no certificate in it, neither PEM nor DER", status);
}

}  // namespace

int mbedtls_random(void*, unsigned char* out, std::size_t size) {
    static Generator generator;
    return generator.fill(out, size);
}

Error mbedtls_error(Errc code, std::string what, int native) {
    char text[160] = {};
    mbedtls_strerror(native, text, sizeof(text));
    what += (what.empty() ? "" : " (") + std::string(text) + (what.empty() ? "" : ")");
    Error error(code, Phase::none, std::move(what));
    error.native = native;
    return error;
}

MbedtlsContext::MbedtlsContext(const Tls& settings, Error& error) : settings_(settings) { error = set_up(); }

Error MbedtlsContext::set_up() {
    mbedtls_ssl_config* config = config_.get();
    if (settings_.min_version > settings_.max_version) return unusable("tls.min_version is above tls.max_version");
    if (settings_.min_version > TlsVersion::tls1_2) return unusable("mbedTLS 2.28 has no TLS 1.3 (tls.min_version)");
    if (mbedtls_ssl_config_defaults(config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0) {
        return Errc::out_of_memory;
    }
    mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_max_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_renegotiation(config, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
    mbedtls_ssl_conf_session_tickets(
        config, settings_.resume ? MBEDTLS_SSL_SESSION_TICKETS_ENABLED : MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
    mbedtls_ssl_conf_rng(config, &mbedtls_random, nullptr);
    for (const std::string& name : settings_.alpn) {
        if (name.empty() || name.size() > 255) return unusable("a name for ALPN has 1 to 255 bytes");
        alpn_.push_back(name.c_str());
    }
    alpn_.push_back(nullptr);
    if (alpn_.size() > 1 && mbedtls_ssl_conf_alpn_protocols(config, alpn_.data()) != 0) return Errc::out_of_memory;
    for (const std::string& pin : settings_.pins) {
        if (!is_pin(pin)) return unusable("a pin is \"sha256//\" and 44 characters of Base64");
    }
    const bool verify = settings_.verify != TlsVerify::insecurely_not_at_all;
    if (verify && settings_.trust.empty()) {
        if (Error error = trust_system()) return error;
    }
    for (const TlsSource& source : settings_.trust) {
        if (Error error = trust(source)) return error;
    }
    mbedtls_ssl_conf_ca_chain(config, trusted_.get(), nullptr);
    mbedtls_ssl_conf_authmode(config, verify ? MBEDTLS_SSL_VERIFY_REQUIRED : MBEDTLS_SSL_VERIFY_NONE);
    if (!settings_.key_log_file.empty()) mbedtls_ssl_conf_export_keys_ext_cb(config, &log_key, this);
    return show_certificate();
}

/// Nothing found is not an error: then nothing is trusted, and the handshake says so.
Error MbedtlsContext::trust_system() {
    for (const char* store : system_stores) {
        if (mbedtls_x509_crt_parse_file(trusted_.get(), store) >= 0) break;
    }
    return {};
}

Error MbedtlsContext::trust(const TlsSource& source) {
    if (source.kind == TlsSource::Kind::none) return unusable("an entry of tls.trust is empty");
    if (source.kind != TlsSource::Kind::folder) return load(trusted_.get(), source, "trusted certificates");
    const int status = mbedtls_x509_crt_parse_path(trusted_.get(), source.value.c_str());
    if (status >= 0 || trusted_->version != 0) return {};
    return mbedtls_error(Errc::tls_configuration,
                         "trusted certificates " + source.value + ": the folder cannot be read", status);
}

Error MbedtlsContext::show_certificate() {
    const TlsSource& certificate = settings_.certificate;
    const TlsSource& key = settings_.key;
    if (certificate.kind == TlsSource::Kind::none && key.kind == TlsSource::Kind::none) return {};
    if (certificate.kind == TlsSource::Kind::none) return unusable("there is a tls.key without a tls.certificate");
    if (key.kind == TlsSource::Kind::none) return unusable("there is a tls.certificate without a tls.key");
    if (Error error = load(certificate_.get(), certificate, "client certificate")) return error;

    const std::string& passphrase = settings_.passphrase;
    const auto* password = passphrase.empty() ? nullptr : reinterpret_cast<const unsigned char*>(passphrase.data());
    const auto [bytes, size] = as_input(key);
    const int status =
        key.kind == TlsSource::Kind::file
            ? mbedtls_pk_parse_keyfile(key_.get(), key.value.c_str(), passphrase.empty() ? nullptr : passphrase.c_str())
            : mbedtls_pk_parse_key(key_.get(), bytes, size, password, passphrase.size());
    if (status != 0) {
        // mbedTLS tells an unencrypted key apart only in PEM; a wrong passphrase has several numbers.
        const bool wanted = status == MBEDTLS_ERR_PK_PASSWORD_REQUIRED;
        const bool wrong = !passphrase.empty();
        return mbedtls_error(
            Errc::tls_configuration,
            name_of(key, "client key") + (wanted  ? ": the key is encrypted, and there is no passphrase"
                                          : wrong ? ": the passphrase is wrong, or the key is broken"
                                                  : ": there is no private key in it, neither PEM nor DER"),
            status);
    }
    if (mbedtls_pk_check_pair(&certificate_->pk, key_.get()) != 0) {
        return unusable(name_of(key, "client key") + ": the key is not that of the client certificate");
    }
    if (mbedtls_ssl_conf_own_cert(config_.get(), certificate_.get(), key_.get()) != 0) return Errc::out_of_memory;
    return {};
}

std::unique_ptr<Engine> MbedtlsContext::connect(std::string_view host, std::uint16_t port) {
    auto engine = std::make_unique<MbedtlsEngine>(*this, std::string(host), port);
    return engine->ready() ? std::move(engine) : nullptr;
}

std::shared_ptr<MbedtlsSession> MbedtlsContext::session(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(key);
    return found != sessions_.end() ? found->second : nullptr;
}

void MbedtlsContext::keep_session(const std::string& key, std::shared_ptr<MbedtlsSession> session) {
    const std::lock_guard lock(mutex_);
    if (sessions_.size() >= max_sessions && !sessions_.contains(key)) sessions_.erase(sessions_.begin());
    sessions_[key] = std::move(session);
}

int MbedtlsContext::log_key(void* user, const unsigned char* secret, const unsigned char*, std::size_t, std::size_t,
                            std::size_t, const unsigned char* client_random, const unsigned char*,
                            mbedtls_tls_prf_types) {
    std::string line;
    try {
        line = key_log_line(client_random, secret);
    } catch (const std::bad_alloc&) {
        return 0;  // as a line that cannot be written
    }
    const auto& name = static_cast<MbedtlsContext*>(user)->settings_.key_log_file;
    const int file = open(name.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0) return 0;  // a line that cannot be written is not worth a connection
    [[maybe_unused]] const auto ignored = write(file, line.data(), line.size());
    close(file);
    return 0;
}

}  // namespace tern::tls
