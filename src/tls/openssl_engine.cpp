#include "openssl_engine.hpp"

#include <algorithm>
#include <climits>
#include <cstring>
#include <iterator>
#include <mutex>
#include <new>
#include <string_view>
#include <utility>

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

namespace tern::tls {
namespace {

std::string text_of(const X509_NAME* name) {
    const OpensslPtr<BIO> bio(BIO_new(BIO_s_mem()));
    if (bio == nullptr || name == nullptr) return {};
    X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_ONELINE & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB));
    char* text = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &text);
    return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : "(empty)";
}

std::string text_of(const ASN1_TIME* time) {
    const OpensslPtr<BIO> bio(BIO_new(BIO_s_mem()));
    if (bio == nullptr || ASN1_TIME_print(bio.get(), time) != 1) return "an unreadable date";
    char* text = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &text);
    return {text, static_cast<std::size_t>(size)};
}

std::string text_of_ip(const ASN1_OCTET_STRING* address) {
    const int size = ASN1_STRING_length(address);
    char text[INET6_ADDRSTRLEN] = {};
    if (size != 4 && size != 16) return "(no address)";
    inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), text, sizeof(text));
    return text;
}

/// Names come from whoever made the certificate, and go to terminals and logs.
std::string printable(std::string_view text) {
    std::string shown(text);
    std::replace_if(shown.begin(), shown.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return shown;
}

std::vector<std::string> names_of(X509* certificate) {
    std::vector<std::string> names;
    auto* all = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
    const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> owned(all, &GENERAL_NAMES_free);
    for (int i = 0; i < sk_GENERAL_NAME_num(all); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(all, i);
        if (name->type == GEN_DNS) {
            names.push_back(printable({reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                                       static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName))}));
        } else if (name->type == GEN_IPADD) {
            names.push_back(text_of_ip(name->d.iPAddress));
        }
    }
    return names;
}

std::string pin_of(X509* certificate) {
    unsigned char* der = nullptr;
    const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    if (size <= 0) return {};
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_size = 0;
    const bool done = EVP_Digest(der, static_cast<std::size_t>(size), digest, &digest_size, EVP_sha256(), nullptr) == 1;
    OPENSSL_free(der);
    unsigned char base64[64];
    if (!done) return {};
    EVP_EncodeBlock(base64, digest, static_cast<int>(digest_size));
    return "sha256//" + std::string(reinterpret_cast<const char*>(base64));
}

Certificate describe(X509* certificate) {
    return {.subject = text_of(X509_get_subject_name(certificate)),
            .issuer = text_of(X509_get_issuer_name(certificate)),
            .names = names_of(certificate),
            .not_before = text_of(X509_get0_notBefore(certificate)),
            .not_after = text_of(X509_get0_notAfter(certificate)),
            .pin = pin_of(certificate)};
}

/// The certificates that were described last: those who connect see the same few again and again, and to compare one
/// costs much less than to write down all that people want to read of it.
class Descriptions {
public:
    Certificate of(X509* certificate) {
        const std::lock_guard lock(mutex_);
        auto found = std::find_if(known_.begin(), known_.end(), [certificate](const Entry& each) {
            return X509_cmp(each.certificate.get(), certificate) == 0;
        });
        if (found == known_.end()) {
            if (known_.size() == most) known_.pop_back();
            X509_up_ref(certificate);
            known_.push_back({OpensslPtr<X509>(certificate), describe(certificate)});
            found = std::prev(known_.end());
        }
        std::rotate(known_.begin(), found, std::next(found));
        return known_.front().description;
    }

private:
    static constexpr std::size_t most = 8;
    struct Entry {
        OpensslPtr<X509> certificate;
        Certificate description;
    };
    std::mutex mutex_;
    std::vector<Entry> known_;  ///< The last one first.
};

Descriptions& descriptions() {
    static auto* const all = new Descriptions;  // never destroyed, for the threads that outlive main()
    return *all;
}

/// Looking whether there is something to clear is much cheaper.
void clear_errors() {
    if (ERR_peek_error() != 0) ERR_clear_error();
}

std::string joined(const std::vector<std::string>& names) {
    std::string all;
    for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
    return all.empty() ? "none" : all;
}

bool is_address(const std::string& host) {
    ASN1_OCTET_STRING* address = a2i_IPADDRESS(host.c_str());
    ASN1_OCTET_STRING_free(address);
    clear_errors();
    return address != nullptr;
}

/// The zone of an IPv6 address ("%eth0") means something to this machine alone, the dot behind a name to its resolver;
/// certificates and SNI (RFC 6066 section 3) have neither.
std::string certificate_name(const std::string& host) {
    std::string name = host.substr(0, host.find('%'));
    if (name.ends_with('.')) name.pop_back();
    return name;
}

}  // namespace

/// Lends the caller's memory to the BIO for the time of a call.
class OpensslEngine::Transfer {
public:
    Transfer(OpensslEngine& engine, Bytes* in, std::string& out) : engine_(engine) {
        engine_.in_ = in;
        engine_.out_ = &out;
        clear_errors();
    }
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;
    ~Transfer() {
        engine_.in_ = nullptr;
        engine_.out_ = nullptr;
        clear_errors();
    }

private:
    OpensslEngine& engine_;
};

OpensslEngine::OpensslEngine(OpensslContext& context, OpensslPtr<SSL> ssl, const std::string& host, std::uint16_t port)
    : context_(context),
      host_(context.settings().expected_name.empty() ? certificate_name(host) : context.settings().expected_name),
      session_key_(host + ' ' + std::to_string(port)),
      ssl_(std::move(ssl)) {
    BIO* bio = BIO_new(bio_method());
    if (bio == nullptr) return;
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
    // The callbacks rely on it.
    if (SSL_set_app_data(ssl_.get(), this) != 1) return;
    SSL_set_connect_state(ssl_.get());
    ready_ = set_name();
    if (!context_.settings().resume) return;
    if (const auto session = context_.take_session(session_key_)) SSL_set_session(ssl_.get(), session.get());
}

/// OpenSSL makes the session of a connection useless that ends without close_notify. Connections are lost all the time,
/// and RFC 5246 section 7.2.1 (unlike RFC 2246) lets their sessions be resumed; only a failure of TLS itself counts.
OpensslEngine::~OpensslEngine() {
    if (!error_) SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

void OpensslEngine::prepare(SSL_CTX* context, bool verify) {
    SSL_CTX_set_verify(context, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, verify ? &on_verify : nullptr);
    SSL_CTX_sess_set_new_cb(context, &on_new_session);
}

/// SNI is for names alone (RFC 6066 section 3). Names are compared as RFC 6125 says: with subjectAltName only,
/// wildcards for one whole label.
bool OpensslEngine::set_name() {
    const bool address = is_address(host_);
    // SSL_set_tlsext_host_name without its macro's casts.
    if (!address && SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                             const_cast<char*>(host_.c_str())) != 1) {
        return false;
    }
    if (context_.settings().verify != TlsVerify::full) return true;
    X509_VERIFY_PARAM* param = SSL_get0_param(ssl_.get());
    if (address) return X509_VERIFY_PARAM_set1_ip_asc(param, host_.c_str()) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return X509_VERIFY_PARAM_set1_host(param, host_.data(), host_.size()) == 1;
}

// --- bytes ---------------------------------------------------------------------------------------------------------

BIO_METHOD* OpensslEngine::bio_method() {
    static BIO_METHOD* const method = [] {
        BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tern memory");
        if (made == nullptr) throw std::bad_alloc();  // the next call tries again
        BIO_meth_set_read(made, &read_bio);
        BIO_meth_set_write(made, &write_bio);
        BIO_meth_set_ctrl(made,
                          [](BIO*, int command, long, void*) -> long { return command == BIO_CTRL_FLUSH ? 1 : 0; });
        return made;
    }();
    return method;
}

int OpensslEngine::read_bio(BIO* bio, char* out, int size) {
    BIO_clear_retry_flags(bio);
    Bytes* in = static_cast<OpensslEngine*>(BIO_get_data(bio))->in_;
    if (in == nullptr || in->empty()) {
        BIO_set_retry_read(bio);
        return -1;
    }
    const std::size_t n = std::min(in->size(), static_cast<std::size_t>(size));
    std::memcpy(out, in->data(), n);
    *in = in->subspan(n);
    return static_cast<int>(n);
}

int OpensslEngine::write_bio(BIO* bio, const char* bytes, int size) {
    BIO_clear_retry_flags(bio);
    std::string* out = static_cast<OpensslEngine*>(BIO_get_data(bio))->out_;
    if (out == nullptr) return size;  // an alert of SSL_free; nobody can send it any more
    // Exceptions must not pass through OpenSSL, here and in the other callbacks.
    try {
        out->append(bytes, static_cast<std::size_t>(size));
    } catch (const std::bad_alloc&) {
        static_cast<OpensslEngine*>(BIO_get_data(bio))->no_memory_ = true;
        return -1;
    }
    return size;
}

/// Behind a call of OpenSSL: what its callbacks could not throw.
void OpensslEngine::check_memory() {
    if (std::exchange(no_memory_, false)) throw std::bad_alloc();
}

Engine::Status OpensslEngine::handshake(Bytes& in, std::string& out) {
    const Transfer transfer(*this, &in, out);
    const int result = SSL_do_handshake(ssl_.get());
    check_memory();
    if (result == 1) return done();
    if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ) return Status::need_input;
    return fail(handshake_error());
}

Engine::Status OpensslEngine::done() {
    if (!has_pin()) {
        std::string shown;
        for (const Certificate& each : info().chain) shown += (shown.empty() ? "" : ", ") + each.pin;
        return fail(Error(Errc::certificate_pin, Phase::tls, "the server showed " + shown));
    }
    complete_ = true;
    if (early_session_ != nullptr) context_.keep_session(session_key_, std::move(early_session_));
    return Status::ok;
}

Engine::Status OpensslEngine::decrypt(Bytes& in, std::span<std::byte> plain, std::size_t& size, std::string& out) {
    const Transfer transfer(*this, &in, out);
    size = 0;
    const int room = static_cast<int>(std::min<std::size_t>(plain.size(), INT_MAX));
    const int result = SSL_read(ssl_.get(), plain.data(), room);
    check_memory();
    if (result <= 0) {
        const Status status = judge(result);
        if (status == Status::need_input) free_buffers();
        return status;
    }
    size = static_cast<std::size_t>(result);
    return Status::ok;
}

/// A message of the handshake behind its end (a ticket, a change of keys) makes OpenSSL allocate a buffer for an
/// answer, which SSL_MODE_RELEASE_BUFFERS gives back after the next write only. Between two records, though: OpenSSL
/// before 3.0.14 frees the header of a half-read one as well (CVE-2024-4741).
void OpensslEngine::free_buffers() {
    const std::string_view reading = SSL_rstate_string(ssl_.get());
    if (reading == "RH") SSL_free_buffers(ssl_.get());
}

Engine::Status OpensslEngine::judge(int result) {
    switch (SSL_get_error(ssl_.get(), result)) {
        case SSL_ERROR_WANT_READ: return Status::need_input;
        case SSL_ERROR_ZERO_RETURN: return Status::closed;
        default: break;
    }
    // With TLS 1.3 a server refuses a client's certificate after the handshake.
    Error error = handshake_error();
    if (error == Errc::tls_handshake) error.code = make_error_code(Errc::tls_record);
    return fail(std::move(error));
}

bool OpensslEngine::encrypt(Bytes plain, std::string& out) {
    const Transfer transfer(*this, nullptr, out);
    while (!plain.empty()) {
        const int size = static_cast<int>(std::min<std::size_t>(plain.size(), INT_MAX));
        const int written = SSL_write(ssl_.get(), plain.data(), size);
        check_memory();
        if (written <= 0) {
            static_cast<void>(fail(take_openssl_error(Errc::tls_record, "encrypting")));
            return false;
        }
        plain = plain.subspan(static_cast<std::size_t>(written));
    }
    return true;
}

void OpensslEngine::shutdown(std::string& out) {
    const Transfer transfer(*this, nullptr, out);
    if (complete_ && !error_) SSL_shutdown(ssl_.get());
    check_memory();
}

// --- trust ---------------------------------------------------------------------------------------------------------

int OpensslEngine::on_verify(int ok, X509_STORE_CTX* store) {
    const auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    auto* self = static_cast<OpensslEngine*>(SSL_get_app_data(ssl));
    if (ok == 0 && self->refused_ == nullptr) {
        X509* certificate = X509_STORE_CTX_get_current_cert(store);
        if (certificate != nullptr) X509_up_ref(certificate);
        self->refused_.reset(certificate);
        self->refused_depth_ = X509_STORE_CTX_get_error_depth(store);
    }
    return ok;
}

/// With verification the chain that was verified counts, otherwise what the server sent. A resumed session was checked
/// when it was made.
bool OpensslEngine::has_pin() const {
    const auto& pins = context_.settings().pins;
    if (pins.empty() || SSL_session_reused(ssl_.get()) == 1) return true;
    const std::vector<Certificate> chain = info().chain;
    return std::any_of(chain.begin(), chain.end(), [&](const Certificate& each) {
        return std::find(pins.begin(), pins.end(), each.pin) != pins.end();
    });
}

int OpensslEngine::on_new_session(SSL* ssl, SSL_SESSION* session) {
    static_cast<OpensslEngine*>(SSL_get_app_data(ssl))->on_session(session);
    return 1;  // the session is ours now
}

void OpensslEngine::on_session(SSL_SESSION* session) {
    OpensslPtr<SSL_SESSION> owned(session);
    if (!context_.settings().resume || SSL_SESSION_is_resumable(session) != 1) return;
    if (!complete_) {
        early_session_ = std::move(owned);
        return;
    }
    try {
        context_.keep_session(session_key_, std::move(owned));
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): a session that is not kept costs time only
    }
}

Info OpensslEngine::info() const {
    Info info;
    info.version = SSL_get_version(ssl_.get());
    const char* cipher = SSL_get_cipher_name(ssl_.get());
    info.cipher = cipher != nullptr ? cipher : "";
    const unsigned char* alpn = nullptr;
    unsigned alpn_size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &alpn, &alpn_size);
    if (alpn != nullptr) info.alpn.assign(reinterpret_cast<const char*>(alpn), alpn_size);
    info.resumed = SSL_session_reused(ssl_.get()) == 1;
    info.verified = context_.settings().verify != TlsVerify::insecurely_not_at_all;
    const STACK_OF(X509)* chain = info.verified ? SSL_get0_verified_chain(ssl_.get()) : nullptr;
    if (chain == nullptr) chain = SSL_get_peer_cert_chain(ssl_.get());
    for (int i = 0; i < sk_X509_num(chain); ++i) info.chain.push_back(descriptions().of(sk_X509_value(chain, i)));
    if (info.chain.empty()) {
        if (X509* own = SSL_get0_peer_certificate(ssl_.get())) info.chain.push_back(descriptions().of(own));
    }
    return info;
}

// --- errors --------------------------------------------------------------------------------------------------------

Engine::Status OpensslEngine::fail(Error error) {
    error.phase = Phase::tls;
    error_ = std::move(error);
    return Status::failed;
}

Error OpensslEngine::handshake_error() const {
    const unsigned long native = ERR_peek_error();
    const int reason = ERR_GET_REASON(native);
    const long verdict = SSL_get_verify_result(ssl_.get());
    if (ERR_GET_LIB(native) == ERR_LIB_SSL && reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK) {
        return certificate_error(verdict);
    }
    if (ERR_GET_LIB(native) != ERR_LIB_SSL) return take_openssl_error(Errc::tls_handshake, {});
    switch (reason) {
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_NO_PROTOCOLS_AVAILABLE:
        case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION: return take_openssl_error(Errc::tls_version, {});
        case SSL_R_WRONG_VERSION_NUMBER:
        case SSL_R_HTTP_REQUEST:
            return take_openssl_error(Errc::tls_handshake,
                                      "the answer is not TLS; perhaps this is a port for plain ws:// or http://");
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
            return take_openssl_error(Errc::tls_alert, "the server wants a client certificate");
        case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
            return take_openssl_error(Errc::tls_alert, "the server does not accept our client certificate");
        case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
            return take_openssl_error(Errc::tls_alert,
                                      context_.settings().certificate.kind == TlsSource::Kind::none
                                          ? "perhaps the server wants a client certificate, or no cipher is shared"
                                          : "the server refuses what we offer, or our client certificate");
        case SSL_R_TLSV1_UNRECOGNIZED_NAME:
            return take_openssl_error(Errc::tls_alert, "the server has nothing for the name " + host_);
        case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
            return take_openssl_error(Errc::tls_alert, "the server speaks none of the protocols of tls.alpn");
        default: break;
    }
    // OpenSSL numbers the alerts that it receives from here on.
    const bool alert = reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256;
    return take_openssl_error(alert ? Errc::tls_alert : Errc::tls_handshake, {});
}

Error OpensslEngine::certificate_error(long code) const {
    const OpensslPtr<X509> own(SSL_get1_peer_certificate(ssl_.get()));
    X509* which = refused_ != nullptr ? refused_.get() : own.get();
    const Certificate shown = which != nullptr ? describe(which) : Certificate();
    const std::string whose = refused_depth_ == 0 ? "its certificate (" + shown.subject + ")"
                                                  : "the certificate of its authority (" + shown.subject + ")";
    Errc errc = Errc::certificate_invalid;
    std::string detail;
    switch (code) {
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH:
            errc = Errc::certificate_name;
            detail = "expected " + host_ + ", its certificate is for " + joined(shown.names);
            break;
        case X509_V_ERR_CERT_HAS_EXPIRED:
            errc = Errc::certificate_expired;
            detail = whose + " was valid until " + shown.not_after;
            break;
        case X509_V_ERR_CERT_NOT_YET_VALID:
            errc = Errc::certificate_not_yet_valid;
            detail = whose + " is valid from " + shown.not_before + " on; is this machine's clock right?";
            break;
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
            errc = Errc::certificate_untrusted;
            detail = whose + " is self-signed and not among the trusted ones";
            break;
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
            errc = Errc::certificate_untrusted;
            detail = "its authority (" + shown.subject + ") is not among the trusted ones";
            break;
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
            errc = Errc::certificate_untrusted;
            detail =
                whose + " was issued by " + shown.issuer +
                ", which is not among the trusted ones; perhaps the server does not send an intermediate certificate";
            break;
        default: detail = whose + ": " + X509_verify_cert_error_string(code); break;
    }
    ERR_clear_error();
    Error error(errc, Phase::tls, std::move(detail));
    error.native = static_cast<int>(code);
    return error;
}

}  // namespace tern::tls
