#include "openssl_context.hpp"

#include <algorithm>
#include <cstdio>
#include <fcntl.h>
#include <new>
#include <system_error>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "openssl_engine.hpp"
#include "openssl_system_trust.hpp"

namespace tern::tls {
namespace {

/// Servers whose sessions are kept; beyond that the first of them is forgotten.
constexpr std::size_t max_sessions = 16;
/// Files of certificates are small; a larger one is something else.
constexpr long max_file = 16L << 20;

Error unusable(const std::string& what) { return {Errc::tls_configuration, Phase::none, what}; }

OpensslPtr<BIO> memory(const std::string& bytes) {
    return OpensslPtr<BIO>(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

Error read_file(const std::string& name, std::string& bytes) {
    const OpensslPtr<BIO> file(BIO_new_file(name.c_str(), "rb"));
    if (file == nullptr) {
        const int native = errno;
        ERR_clear_error();
        Error error = unusable(name + ": " + std::generic_category().message(native));
        error.native = native;
        return error;
    }
    char piece[4096];
    for (int size = 0; (size = BIO_read(file.get(), piece, sizeof(piece))) > 0;) {
        bytes.append(piece, static_cast<std::size_t>(size));
        if (bytes.size() > max_file) return unusable(name + ": the file is too large for certificates");
    }
    return {};
}

/// The bytes of the source, and what to call it.
Error load(const TlsSource& source, const char* role, std::string& bytes, std::string& name) {
    name = role;
    if (source.kind != TlsSource::Kind::file) {
        bytes = source.value;
        return {};
    }
    name += " " + source.value;
    return read_file(source.value, bytes);
}

/// OpenSSL takes a certificate with a key that it cannot decode, which may be of a kind that it does not know, and is
/// fine among many. But when it only lacked memory, nothing would be trusted for the sake of that certificate, for as
/// long as the context lives. False: that was it.
bool has_its_key(X509* certificate) {
    if (X509_get0_pubkey(certificate) != nullptr) return true;
    const OpensslPtr<X509> again(X509_dup(certificate));
    return again != nullptr && X509_get0_pubkey(again.get()) == nullptr;
}

/// PEM: all certificates in the text. Otherwise DER: the only one.
Error parse_certificates(const std::string& bytes, const std::string& name, std::vector<OpensslPtr<X509>>& all) {
    ERR_clear_error();
    const OpensslPtr<BIO> bio = memory(bytes);
    while (OpensslPtr<X509> each{PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr)}) {
        if (!has_its_key(each.get())) return Errc::out_of_memory;
        all.push_back(std::move(each));
    }
    if (!all.empty()) {
        const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
        ERR_clear_error();
        return at_end ? Error() : unusable(name + ": a certificate behind the first is broken");
    }
    ERR_clear_error();
    const auto* der = reinterpret_cast<const unsigned char*>(bytes.data());
    if (OpensslPtr<X509> only{d2i_X509(nullptr, &der, static_cast<long>(bytes.size()))}) {
        if (!has_its_key(only.get())) return Errc::out_of_memory;
        all.push_back(std::move(only));
        return {};
    }
    return take_openssl_error(Errc::tls_configuration, name + ": there is no certificate in it, neither PEM nor DER");
}

int give_passphrase(char* out, int size, int, void* user) {
    const auto& passphrase = *static_cast<const std::string*>(user);
    if (passphrase.empty() || passphrase.size() > static_cast<std::size_t>(size)) return -1;
    std::copy(passphrase.begin(), passphrase.end(), out);
    return static_cast<int>(passphrase.size());
}

Error parse_key(const std::string& bytes, const std::string& name, const std::string& passphrase,
                OpensslPtr<EVP_PKEY>& key) {
    ERR_clear_error();
    auto* user = const_cast<std::string*>(&passphrase);
    key.reset(PEM_read_bio_PrivateKey(memory(bytes).get(), nullptr, give_passphrase, user));
    if (key == nullptr) key.reset(d2i_PrivateKey_bio(memory(bytes).get(), nullptr));
    if (key == nullptr) key.reset(d2i_PKCS8PrivateKey_bio(memory(bytes).get(), nullptr, give_passphrase, user));
    if (key != nullptr) {
        ERR_clear_error();
        return {};
    }
    const bool encrypted = bytes.find("ENCRYPTED") != bytes.npos;
    return take_openssl_error(Errc::tls_configuration,
                              name + (!encrypted           ? ": there is no private key in it, neither PEM nor DER"
                                      : passphrase.empty() ? ": the key is encrypted, and there is no passphrase"
                                                           : ": the passphrase is wrong, or the key is broken"));
}

int protocol(TlsVersion version) { return version == TlsVersion::tls1_3 ? TLS1_3_VERSION : TLS1_2_VERSION; }

/// RFC 7301 section 3.1: each name behind a byte with its length.
Error alpn_list(const std::vector<std::string>& names, std::string& list) {
    for (const std::string& name : names) {
        if (name.empty() || name.size() > 255) return unusable("a name for ALPN has 1 to 255 bytes");
        list += static_cast<char>(name.size());
        list += name;
    }
    return {};
}

Error check_pin(const std::string& pin) {
    constexpr std::string_view prefix = "sha256//";
    constexpr std::size_t base64_size = 44;
    if (pin.starts_with(prefix) && pin.size() == prefix.size() + base64_size) return {};
    return unusable("a pin is \"sha256//\" and 44 characters of Base64");
}

}  // namespace

Error take_openssl_error(Errc code, std::string what) {
    const unsigned long native = ERR_peek_error();
    if (const char* reason = native != 0 ? ERR_reason_error_string(native) : nullptr) {
        what += (what.empty() ? "" : " (") + std::string(reason) + (what.empty() ? "" : ")");
    }
    ERR_clear_error();
    Error error(code, Phase::none, std::move(what));
    error.native = static_cast<int>(native);
    return error;
}

OpensslContext::OpensslContext(const Tls& settings, Error& error)
    : settings_(settings), context_(SSL_CTX_new(TLS_client_method())) {
    error = context_ == nullptr ? Error(Errc::out_of_memory) : set_up();
    ERR_clear_error();
}

Error OpensslContext::set_up() {
    SSL_CTX* context = context_.get();
    if (settings_.min_version > settings_.max_version) return unusable("tls.min_version is above tls.max_version");
    SSL_CTX_set_min_proto_version(context, protocol(settings_.min_version));
    SSL_CTX_set_max_proto_version(context, protocol(settings_.max_version));
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);

    std::string alpn;
    if (Error error = alpn_list(settings_.alpn, alpn)) return error;
    // Unlike the rest of OpenSSL this returns 0 for success.
    if (!alpn.empty() && SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(alpn.data()),
                                                 static_cast<unsigned>(alpn.size())) != 0) {
        return Errc::out_of_memory;
    }
    for (const std::string& pin : settings_.pins) {
        if (Error error = check_pin(pin)) return error;
    }
    const bool verify = settings_.verify != TlsVerify::insecurely_not_at_all;
    if (verify && settings_.trust.empty()) {
        system_trust_ = system_trust();
        if (system_trust_ == nullptr) return Errc::out_of_memory;
        SSL_CTX_set1_cert_store(context, system_trust_.get());
    }
    for (const TlsSource& source : settings_.trust) {
        if (Error error = trust(source)) return error;
    }
    OpensslEngine::prepare(context, verify);
    if (!settings_.key_log_file.empty()) {
        if (SSL_CTX_set_app_data(context, this) != 1) return Errc::out_of_memory;
        SSL_CTX_set_keylog_callback(context, [](const SSL* ssl, const char* line) {
            try {
                static_cast<OpensslContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)))->log_key(line);
            } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): as a line that cannot be written
            }
        });
    }
    return show_certificate();
}

Error OpensslContext::trust(const TlsSource& source) {
    if (source.kind == TlsSource::Kind::none) return unusable("an entry of tls.trust is empty");
    if (source.kind == TlsSource::Kind::folder) {
        if (SSL_CTX_load_verify_dir(context_.get(), source.value.c_str()) == 1 &&
            access(source.value.c_str(), R_OK | X_OK) == 0) {
            return {};
        }
        return unusable("trusted certificates " + source.value + ": the folder cannot be read");
    }
    std::string bytes;
    std::string name;
    if (Error error = load(source, "trusted certificates", bytes, name)) return error;
    std::vector<OpensslPtr<X509>> all;
    if (Error error = parse_certificates(bytes, name, all)) return error;
    X509_STORE* store = SSL_CTX_get_cert_store(context_.get());
    for (const auto& each : all) {
        if (X509_STORE_add_cert(store, each.get()) != 1) return take_openssl_error(Errc::tls_configuration, name);
    }
    // A certificate of the server's own, or of an authority in the middle, can be trusted too.
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context_.get()), X509_V_FLAG_PARTIAL_CHAIN);
    return {};
}

Error OpensslContext::show_certificate() {
    if (settings_.certificate.kind == TlsSource::Kind::none && settings_.key.kind == TlsSource::Kind::none) return {};
    if (settings_.certificate.kind == TlsSource::Kind::none)
        return unusable("there is a tls.key without a tls.certificate");
    if (settings_.key.kind == TlsSource::Kind::none) return unusable("there is a tls.certificate without a tls.key");
    std::string bytes;
    std::string name;
    if (Error error = load(settings_.certificate, "client certificate", bytes, name)) return error;
    std::vector<OpensslPtr<X509>> chain;
    if (Error error = parse_certificates(bytes, name, chain)) return error;
    if (SSL_CTX_use_certificate(context_.get(), chain.front().get()) != 1) {
        return take_openssl_error(Errc::tls_configuration, name);
    }
    for (std::size_t i = 1; i < chain.size(); ++i) {
        if (SSL_CTX_add1_chain_cert(context_.get(), chain[i].get()) != 1) return Errc::out_of_memory;
    }
    bytes.clear();
    if (Error error = load(settings_.key, "client key", bytes, name)) return error;
    OpensslPtr<EVP_PKEY> key;
    Error error = parse_key(bytes, name, settings_.passphrase, key);
    OPENSSL_cleanse(bytes.data(), bytes.size());
    if (error) return error;
    if (SSL_CTX_use_PrivateKey(context_.get(), key.get()) != 1 || SSL_CTX_check_private_key(context_.get()) != 1) {
        return take_openssl_error(Errc::tls_configuration, name + ": the key is not that of the client certificate");
    }
    return {};
}

std::unique_ptr<Engine> OpensslContext::connect(std::string_view host, std::uint16_t port) {
    OpensslPtr<SSL> ssl(SSL_new(context_.get()));
    if (ssl == nullptr) return nullptr;
    auto engine = std::make_unique<OpensslEngine>(*this, std::move(ssl), std::string(host), port);
    return engine->ready() ? std::move(engine) : nullptr;
}

OpensslPtr<SSL_SESSION> OpensslContext::take_session(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(key);
    if (found == sessions_.end()) return nullptr;
    if (SSL_SESSION_get_protocol_version(found->second.get()) < TLS1_3_VERSION) {
        SSL_SESSION_up_ref(found->second.get());
        return OpensslPtr<SSL_SESSION>(found->second.get());
    }
    OpensslPtr<SSL_SESSION> session = std::move(found->second);
    sessions_.erase(found);
    return session;
}

void OpensslContext::keep_session(const std::string& key, OpensslPtr<SSL_SESSION> session) {
    const std::lock_guard lock(mutex_);
    if (sessions_.size() >= max_sessions && !sessions_.contains(key)) sessions_.erase(sessions_.begin());
    sessions_[key] = std::move(session);
}

/// A line that cannot be written is not worth a connection.
void OpensslContext::log_key(const char* line) {
    const std::lock_guard lock(log_mutex_);
    const std::string text = std::string(line) + '\n';
    const int file = open(settings_.key_log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0) return;
    [[maybe_unused]] const auto ignored = write(file, text.data(), text.size());
    close(file);
}

}  // namespace tern::tls
