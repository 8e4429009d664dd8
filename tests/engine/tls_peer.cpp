#include "tls_peer.hpp"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include <openssl/err.h>

namespace tern::tls {
namespace {

void require(bool done, const char* what) {
    if (!done) throw std::runtime_error(std::string("the peer of the TLS tests: ") + what);
}

int choose_alpn(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* offered,
                unsigned offered_size, void* user) {
    const auto& wanted = *static_cast<const std::string*>(user);
    for (unsigned at = 0; at < offered_size; at += 1u + offered[at]) {
        const std::string_view name(reinterpret_cast<const char*>(offered + at + 1), offered[at]);
        if (name != wanted) continue;
        *out = offered + at + 1;
        *size = offered[at];
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

}  // namespace

std::string authority_path(const std::string& name) { return std::string(TERN_TEST_AUTHORITY) + "/" + name; }

std::string authority_file(const std::string& name) {
    std::ifstream file(authority_path(name), std::ios::binary);
    require(file.is_open(), name.c_str());
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TlsPeer::TlsPeer(const PeerSettings& settings) : settings_(settings), context_(SSL_CTX_new(TLS_server_method())) {
    SSL_CTX* context = context_.get();
    require(context != nullptr, "SSL_CTX_new");
    // TLS 1.1 is below OpenSSL's usual level.
    if (settings_.max_version != 0 && settings_.max_version < TLS1_2_VERSION) {
        SSL_CTX_set_security_level(context, 0);
        SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
    }
    SSL_CTX_set_min_proto_version(context, settings_.min_version);
    SSL_CTX_set_max_proto_version(context, settings_.max_version);
    const std::string chain =
        authority_path(settings_.certificate + (settings_.send_intermediate ? ".pem" : "-alone.pem"));
    const std::string key = authority_path(settings_.certificate + ".key");
    require(SSL_CTX_use_certificate_chain_file(context, chain.c_str()) == 1, chain.c_str());
    require(SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) == 1, key.c_str());
    if (settings_.want_client_certificate) {
        const std::string root = authority_path("root.pem");
        require(SSL_CTX_load_verify_file(context, root.c_str()) == 1, "root.pem");
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
        SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(root.c_str()));
    }
    static const unsigned char id[] = "tern";
    SSL_CTX_set_session_id_context(context, id, sizeof(id) - 1);
    if (!settings_.alpn.empty()) {
        SSL_CTX_set_alpn_select_cb(context, &choose_alpn, const_cast<std::string*>(&settings_.alpn));
    }
    reconnect();
}

TlsPeer::~TlsPeer() = default;

void TlsPeer::reconnect() {
    ssl_.reset(SSL_new(context_.get()));
    require(ssl_ != nullptr, "SSL_new");
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(ssl_.get());
    out.clear();
    received.clear();
    failed_ = false;
}

void TlsPeer::feed(std::string_view bytes) {
    BIO_write(SSL_get_rbio(ssl_.get()), bytes.data(), static_cast<int>(bytes.size()));
    step();
}

void TlsPeer::step() {
    ERR_clear_error();
    char plain[4096];
    for (int size = 0; !failed_;) {
        size = SSL_read(ssl_.get(), plain, sizeof(plain));
        if (size > 0) {
            received.append(plain, static_cast<std::size_t>(size));
            continue;
        }
        const int error = SSL_get_error(ssl_.get(), size);
        failed_ = error == SSL_ERROR_SSL;
        break;
    }
    if (const char* name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name)) sni = name;
    collect();
}

void TlsPeer::write(std::string_view plain) {
    require(SSL_write(ssl_.get(), plain.data(), static_cast<int>(plain.size())) == static_cast<int>(plain.size()),
            "SSL_write");
    collect();
}

void TlsPeer::close_notify() {
    SSL_shutdown(ssl_.get());
    collect();
}

void TlsPeer::update_keys() {
    require(SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_REQUESTED) == 1, "SSL_key_update");
    SSL_do_handshake(ssl_.get());
    collect();
}

void TlsPeer::renegotiate() {
    require(SSL_renegotiate(ssl_.get()) == 1, "SSL_renegotiate");
    SSL_do_handshake(ssl_.get());
    collect();
}

bool TlsPeer::connected() const { return SSL_is_init_finished(ssl_.get()) == 1; }
bool TlsPeer::closed() const { return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }

void TlsPeer::collect() {
    char bytes[4096];
    for (int size = 0; (size = BIO_read(SSL_get_wbio(ssl_.get()), bytes, sizeof(bytes))) > 0;) {
        out.append(bytes, static_cast<std::size_t>(size));
    }
}

}  // namespace tern::tls
