#include "mbedtls_engine.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <mbedtls/base64.h>
#include <mbedtls/oid.h>
#include <mbedtls/sha256.h>
#include <new>

#include <arpa/inet.h>

namespace tern::tls {
namespace {

constexpr int dns_name = MBEDTLS_ASN1_CONTEXT_SPECIFIC | 2;
constexpr int ip_address = MBEDTLS_ASN1_CONTEXT_SPECIFIC | 7;

std::string text_of(const mbedtls_x509_name& name) {
    char text[512] = {};
    return mbedtls_x509_dn_gets(text, sizeof(text), &name) > 0 ? text : "(empty)";
}

std::string text_of(const mbedtls_x509_time& time) {
    char text[64];
    std::snprintf(text, sizeof(text), "%04d-%02d-%02d %02d:%02d:%02d UTC", time.year, time.mon, time.day, time.hour,
                  time.min, time.sec);
    return text;
}

std::string text_of_ip(const mbedtls_x509_buf& bytes) {
    char text[INET6_ADDRSTRLEN] = {};
    if (bytes.len != 4 && bytes.len != 16) return "(no address)";
    inet_ntop(bytes.len == 4 ? AF_INET : AF_INET6, bytes.p, text, sizeof(text));
    return text;
}

/// Calls with each name of subjectAltName, until one is right.
template <class Function>
bool any_name(const mbedtls_x509_crt& certificate, const Function& is_right) {
    const bool none = (certificate.ext_types & MBEDTLS_X509_EXT_SUBJECT_ALT_NAME) == 0;
    for (const auto* each = none ? nullptr : &certificate.subject_alt_names; each != nullptr; each = each->next) {
        if (each->buf.p != nullptr && is_right(each->buf)) return true;
    }
    return false;
}

std::string pin_of(const mbedtls_x509_crt& certificate) {
    std::array<unsigned char, 32> digest{};
    std::array<unsigned char, 64> base64{};
    std::size_t size = 0;
    if (mbedtls_sha256_ret(certificate.pk_raw.p, certificate.pk_raw.len, digest.data(), 0) != 0) return {};
    if (mbedtls_base64_encode(base64.data(), base64.size(), &size, digest.data(), digest.size()) != 0) return {};
    return "sha256//" + std::string(reinterpret_cast<const char*>(base64.data()), size);
}

/// Names come from whoever made the certificate, and go to terminals and logs.
std::string printable(std::string_view text) {
    std::string shown(text);
    std::replace_if(shown.begin(), shown.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return shown;
}

Certificate describe(const mbedtls_x509_crt& certificate) {
    Certificate shown{.subject = text_of(certificate.subject),
                      .issuer = text_of(certificate.issuer),
                      .names = {},
                      .not_before = text_of(certificate.valid_from),
                      .not_after = text_of(certificate.valid_to),
                      .pin = pin_of(certificate)};
    static_cast<void>(any_name(certificate, [&](const mbedtls_x509_buf& name) {
        if (name.tag == dns_name) {
            shown.names.push_back(printable({reinterpret_cast<const char*>(name.p), name.len}));
        }
        if (name.tag == ip_address) shown.names.push_back(text_of_ip(name));
        return false;
    }));
    return shown;
}

std::string joined(const std::vector<std::string>& names) {
    std::string all;
    for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
    return all.empty() ? "none" : all;
}

bool iequals(std::string_view left, std::string_view right) {
    return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                      [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
}

/// RFC 6125 section 6.4: a wildcard stands for the whole leftmost label.
bool name_matches(std::string_view pattern, std::string_view host) {
    if (iequals(pattern, host)) return true;
    const std::size_t dot = host.find('.');
    return pattern.starts_with("*.") && pattern.find('.', 2) != pattern.npos && dot != host.npos && dot > 0 &&
           iequals(pattern.substr(1), host.substr(dot));
}

/// 4 or 16 bytes of an address literal; empty for a name.
std::string address_bytes(const std::string& host) {
    std::array<char, 16> bytes{};
    if (inet_pton(AF_INET, host.c_str(), bytes.data()) == 1) return {bytes.data(), 4};
    if (inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1) return {bytes.data(), 16};
    return {};
}

/// The zone of an IPv6 address ("%eth0") means something to this machine alone, the dot behind a name to its resolver;
/// certificates and SNI (RFC 6066 section 3) have neither.
std::string certificate_name(const std::string& host) {
    std::string name = host.substr(0, host.find('%'));
    if (name.ends_with('.')) name.pop_back();
    return name;
}

}  // namespace

bool is_pin(std::string_view text) noexcept { return text.starts_with("sha256//") && text.size() == 8 + 44; }

/// Lends the caller's memory to mbedTLS for the time of a call.
class MbedtlsEngine::Transfer {
public:
    Transfer(MbedtlsEngine& engine, Bytes* in, std::string& out) : engine_(engine) {
        engine_.in_ = in;
        engine_.out_ = &out;
    }
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;
    ~Transfer() {
        engine_.in_ = nullptr;
        engine_.out_ = nullptr;
    }

private:
    MbedtlsEngine& engine_;
};

MbedtlsEngine::MbedtlsEngine(MbedtlsContext& context, const std::string& host, std::uint16_t port)
    : context_(context),
      host_(context.settings().expected_name.empty() ? certificate_name(host) : context.settings().expected_name),
      session_key_(host + ' ' + std::to_string(port)) {
    if (mbedtls_ssl_setup(ssl_.get(), context_.config()) != 0) return;
    // SNI is for names alone (RFC 6066 section 3). Names are compared in `on_verify`, by subjectAltName only.
    if (address_bytes(host_).empty() && mbedtls_ssl_set_hostname(ssl_.get(), host_.c_str()) != 0) return;
    mbedtls_ssl_set_verify(ssl_.get(), &on_verify, this);
    mbedtls_ssl_set_bio(ssl_.get(), this, &send, &receive, nullptr);
    ready_ = true;
    if (context_.settings().resume) offered_ = context_.session(session_key_);
    if (offered_ != nullptr && mbedtls_ssl_set_session(ssl_.get(), offered_->get()) != 0) offered_.reset();
}

// --- bytes ---------------------------------------------------------------------------------------------------------

int MbedtlsEngine::receive(void* user, unsigned char* out, std::size_t size) {
    Bytes* in = static_cast<MbedtlsEngine*>(user)->in_;
    if (in == nullptr || in->empty()) return MBEDTLS_ERR_SSL_WANT_READ;
    const std::size_t n = std::min(size, in->size());
    std::memcpy(out, in->data(), n);
    *in = in->subspan(n);
    return static_cast<int>(n);
}

int MbedtlsEngine::send(void* user, const unsigned char* bytes, std::size_t size) {
    std::string* out = static_cast<MbedtlsEngine*>(user)->out_;
    // Exceptions must not pass through mbedTLS, here and in the other callbacks.
    try {
        if (out != nullptr) out->append(reinterpret_cast<const char*>(bytes), size);
    } catch (const std::bad_alloc&) {
        static_cast<MbedtlsEngine*>(user)->no_memory_ = true;
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    return static_cast<int>(size);
}

/// Behind a call of mbedTLS: what its callbacks could not throw.
void MbedtlsEngine::check_memory() {
    if (std::exchange(no_memory_, false)) throw std::bad_alloc();
}

Engine::Status MbedtlsEngine::handshake(Bytes& in, std::string& out) {
    const Transfer transfer(*this, &in, out);
    const int status = mbedtls_ssl_handshake(ssl_.get());
    check_memory();
    if (status == 0) return done();
    return status == MBEDTLS_ERR_SSL_WANT_READ ? Status::need_input : fail(failure(status));
}

/// mbedTLS does not say whether a session was resumed; a resumed one has the master secret of the one before.
Engine::Status MbedtlsEngine::done() {
    auto session = std::make_shared<MbedtlsSession>();
    const bool got = mbedtls_ssl_get_session(ssl_.get(), session->get()) == 0;
    resumed_ = got && offered_ != nullptr &&
               std::memcmp(session->get()->master, offered_->get()->master, sizeof(session->get()->master)) == 0;
    if (!has_pin()) {
        std::string shown;
        for (const Certificate& each : info().chain) shown += (shown.empty() ? "" : ", ") + each.pin;
        return fail(Error(Errc::certificate_pin, Phase::tls, "the server showed " + shown));
    }
    complete_ = true;
    if (got && context_.settings().resume) context_.keep_session(session_key_, std::move(session));
    return Status::ok;
}

Engine::Status MbedtlsEngine::decrypt(Bytes& in, std::span<std::byte> plain, std::size_t& size, std::string& out) {
    const Transfer transfer(*this, &in, out);
    size = 0;
    const int status = mbedtls_ssl_read(ssl_.get(), reinterpret_cast<unsigned char*>(plain.data()), plain.size());
    check_memory();
    if (status > 0) {
        size = static_cast<std::size_t>(status);
        return Status::ok;
    }
    if (status == MBEDTLS_ERR_SSL_WANT_READ) return Status::need_input;
    if (status == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) return Status::closed;
    Error error = failure(status);
    if (error == Errc::tls_handshake) error.code = make_error_code(Errc::tls_record);
    return fail(std::move(error));
}

bool MbedtlsEngine::encrypt(Bytes plain, std::string& out) {
    const Transfer transfer(*this, nullptr, out);
    while (!plain.empty()) {
        const int written =
            mbedtls_ssl_write(ssl_.get(), reinterpret_cast<const unsigned char*>(plain.data()), plain.size());
        check_memory();
        if (written <= 0) {
            static_cast<void>(fail(mbedtls_error(Errc::tls_record, "encrypting", written)));
            return false;
        }
        plain = plain.subspan(static_cast<std::size_t>(written));
    }
    return true;
}

void MbedtlsEngine::shutdown(std::string& out) {
    const Transfer transfer(*this, nullptr, out);
    if (complete_ && !error_) mbedtls_ssl_close_notify(ssl_.get());
    check_memory();
}

// --- trust ---------------------------------------------------------------------------------------------------------

/// Called for each certificate of the chain, the root first.
int MbedtlsEngine::on_verify(void* user, mbedtls_x509_crt* certificate, int depth, std::uint32_t* flags) {
    try {
        static_cast<MbedtlsEngine*>(user)->judge(*certificate, depth, *flags);
        return 0;
    } catch (const std::bad_alloc&) {
        static_cast<MbedtlsEngine*>(user)->no_memory_ = true;
        return MBEDTLS_ERR_X509_ALLOC_FAILED;
    }
}

void MbedtlsEngine::judge(const mbedtls_x509_crt& certificate, int depth, std::uint32_t& flags) {
    verified_.push_back(describe(certificate));
    if (depth == 0) {
        flags &= ~static_cast<std::uint32_t>(MBEDTLS_X509_BADCERT_CN_MISMATCH);
        const bool checked = context_.settings().verify == TlsVerify::full;
        if (checked && !has_name(certificate)) flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
    }
    if (flags != 0 && refused_flags_ == 0) {
        refused_flags_ = flags;
        refused_ = verified_.back();
        refused_depth_ = depth;
    }
}

bool MbedtlsEngine::has_name(const mbedtls_x509_crt& certificate) const {
    const std::string address = address_bytes(host_);
    return any_name(certificate, [&](const mbedtls_x509_buf& name) {
        const std::string_view bytes(reinterpret_cast<const char*>(name.p), name.len);
        if (!address.empty()) return name.tag == ip_address && bytes == address;
        return name.tag == dns_name && name_matches(bytes, host_);
    });
}

bool MbedtlsEngine::has_pin() const {
    const auto& pins = context_.settings().pins;
    if (pins.empty() || resumed_) return true;
    const std::vector<Certificate> chain = info().chain;
    return std::any_of(chain.begin(), chain.end(), [&](const Certificate& each) {
        return std::find(pins.begin(), pins.end(), each.pin) != pins.end();
    });
}

Info MbedtlsEngine::info() const {
    Info info;
    const char* version = mbedtls_ssl_get_version(ssl_.get());
    const char* cipher = mbedtls_ssl_get_ciphersuite(ssl_.get());
    const char* alpn = mbedtls_ssl_get_alpn_protocol(ssl_.get());
    info.version = version != nullptr ? version : "";
    info.cipher = cipher != nullptr ? cipher : "";
    info.alpn = alpn != nullptr ? alpn : "";
    info.resumed = resumed_;
    info.verified = context_.settings().verify != TlsVerify::insecurely_not_at_all;
    if (info.verified) info.chain.assign(verified_.rbegin(), verified_.rend());
    if (!info.chain.empty()) return info;
    for (const auto* each = mbedtls_ssl_get_peer_cert(ssl_.get()); each != nullptr; each = each->next) {
        info.chain.push_back(describe(*each));
    }
    return info;
}

// --- errors --------------------------------------------------------------------------------------------------------

Engine::Status MbedtlsEngine::fail(Error error) {
    error.phase = Phase::tls;
    error_ = std::move(error);
    return Status::failed;
}

Error MbedtlsEngine::failure(int status) {
    switch (status) {
        case MBEDTLS_ERR_X509_CERT_VERIFY_FAILED: return certificate_error();
        case MBEDTLS_ERR_SSL_BAD_HS_PROTOCOL_VERSION: return mbedtls_error(Errc::tls_version, {}, status);
        case MBEDTLS_ERR_SSL_INVALID_RECORD:
            return mbedtls_error(
                Errc::tls_handshake,
                complete_ ? "" : "the answer is not TLS; perhaps this is a port for plain ws:// or http://", status);
        case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE: break;
        default: return mbedtls_error(Errc::tls_handshake, {}, status);
    }
    const unsigned alert = ssl_->in_msg != nullptr ? ssl_->in_msg[1] : 0u;
    switch (alert) {
        case MBEDTLS_SSL_ALERT_MSG_PROTOCOL_VERSION: return mbedtls_error(Errc::tls_version, {}, status);
        case MBEDTLS_SSL_ALERT_MSG_BAD_CERT:
        case MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT:
        case MBEDTLS_SSL_ALERT_MSG_CERT_REVOKED:
        case MBEDTLS_SSL_ALERT_MSG_CERT_EXPIRED:
        case MBEDTLS_SSL_ALERT_MSG_CERT_UNKNOWN:
        case MBEDTLS_SSL_ALERT_MSG_UNKNOWN_CA:
            return mbedtls_error(Errc::tls_alert, "the server does not accept our client certificate", status);
        case MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE:
            return mbedtls_error(Errc::tls_alert,
                                 "perhaps the server wants a client certificate, or no cipher is shared", status);
        case MBEDTLS_SSL_ALERT_MSG_UNRECOGNIZED_NAME:
            return mbedtls_error(Errc::tls_alert, "the server has nothing for the name " + host_, status);
        default: return mbedtls_error(Errc::tls_alert, "alert " + std::to_string(alert), status);
    }
}

Error MbedtlsEngine::certificate_error() const {
    const std::string whose = refused_depth_ == 0 ? "its certificate (" + refused_.subject + ")"
                                                  : "the certificate of its authority (" + refused_.subject + ")";
    const auto has = [this](std::uint32_t flag) { return (refused_flags_ & flag) != 0; };
    Errc errc = Errc::certificate_invalid;
    std::string detail;
    if (has(MBEDTLS_X509_BADCERT_NOT_TRUSTED)) {
        errc = Errc::certificate_untrusted;
        detail = refused_.subject == refused_.issuer ? whose + " is self-signed and not among the trusted ones"
                                                     : whose + " was issued by " + refused_.issuer +
                                                           ", which is not among the trusted ones; perhaps the server "
                                                           "does not send an intermediate certificate";
    } else if (has(MBEDTLS_X509_BADCERT_EXPIRED)) {
        errc = Errc::certificate_expired;
        detail = whose + " was valid until " + refused_.not_after;
    } else if (has(MBEDTLS_X509_BADCERT_FUTURE)) {
        errc = Errc::certificate_not_yet_valid;
        detail = whose + " is valid from " + refused_.not_before + " on; is this machine's clock right?";
    } else if (has(MBEDTLS_X509_BADCERT_CN_MISMATCH)) {
        errc = Errc::certificate_name;
        detail = "expected " + host_ + ", its certificate is for " + joined(refused_.names);
    } else {
        char text[256] = {};
        mbedtls_x509_crt_verify_info(text, sizeof(text), "", refused_flags_);
        detail = whose + ": " + text;
        while (detail.ends_with('\n')) detail.pop_back();
    }
    Error error(errc, Phase::tls, std::move(detail));
    error.native = static_cast<int>(refused_flags_);
    return error;
}

}  // namespace tern::tls
