// A server's side of TLS, with certificates that are made when the program begins.
#pragma once

#include <cstdio>
#include <initializer_list>
#include <utility>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace bench {

struct Certified {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
};

/// Signed by itself if there is no issuer. `extensions`: name and value, as in openssl.cnf.
inline Certified certify(const char* name, const Certified* issuer,
                         std::initializer_list<std::pair<int, const char*>> extensions) {
    const Certified made;
    if (issuer == nullptr) issuer = &made;
    X509* const certificate = made.certificate;
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86'400);
    X509_NAME* const subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer->certificate));
    X509_set_pubkey(certificate, made.key);
    X509V3_CTX context{};
    X509V3_set_ctx(&context, issuer->certificate, certificate, nullptr, nullptr, 0);
    for (const auto& [what, value] : extensions) {
        X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, what, value);
        X509_add_ext(certificate, extension, -1);
        X509_EXTENSION_free(extension);
    }
    X509_sign(certificate, issuer->key, EVP_sha256());
    return made;
}

/// With `mode` (SSL_CTX_set_mode). Like the others it never fails in practice, and what it refers to is never freed:
/// the servers need it until they end.
inline SSL_CTX* server_context(const Certified& server, long mode) {
    SSL_CTX* const context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(context, server.certificate);
    SSL_CTX_use_PrivateKey(context, server.key);
    SSL_CTX_set_mode(context, mode);
    return context;
}

/// With a certificate alone, which nobody verifies.
inline SSL_CTX* server_context(long mode) { return server_context(certify("server", nullptr, {}), mode); }

/// With a chain as real servers have it: a certificate for 127.0.0.1, an intermediate, and a root, whose certificate is
/// written to `root_file`.
inline SSL_CTX* chain_context(long mode, const char* root_file) {
    const std::initializer_list<std::pair<int, const char*>> authority = {{NID_basic_constraints, "critical,CA:TRUE"},
                                                                          {NID_key_usage, "critical,keyCertSign"}};
    const Certified root = certify("root", nullptr, authority);
    const Certified intermediate = certify("intermediate", &root, authority);
    SSL_CTX* const context =
        server_context(certify("server", &intermediate, {{NID_subject_alt_name, "IP:127.0.0.1"}}), mode);
    SSL_CTX_add0_chain_cert(context, intermediate.certificate);
    if (std::FILE* const file = std::fopen(root_file, "w")) {
        PEM_write_X509(file, root.certificate);
        std::fclose(file);
    }
    return context;
}

}  // namespace bench
