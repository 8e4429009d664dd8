// A server's side of TLS with a certificate that is made when the program begins; nobody verifies it.
#pragma once

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace bench {

/// With `mode` (SSL_CTX_set_mode). Never fails in practice, and never freed by the servers that use it.
inline SSL_CTX* self_signed_context(long mode) {
    SSL_CTX* context = SSL_CTX_new(TLS_server_method());
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86'400);
    X509_set_pubkey(certificate, key);
    X509_sign(certificate, key, EVP_sha256());
    SSL_CTX_use_certificate(context, certificate);
    SSL_CTX_use_PrivateKey(context, key);
    SSL_CTX_set_mode(context, mode);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return context;
}

}  // namespace bench
