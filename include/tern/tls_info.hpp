// What a TLS handshake agreed on, for people and logs.
#pragma once

#include <string>
#include <vector>

namespace tern::tls {

/// A certificate of the peer, for people.
struct Certificate {
    std::string subject;             ///< "CN = example.org"
    std::string issuer;              ///< "C = US, O = Example, CN = Example CA"
    std::vector<std::string> names;  ///< DNS names and IP addresses it is for (subjectAltName).
    std::string not_before;          ///< "Jan  1 00:00:00 2026 GMT"
    std::string not_after;
    std::string pin;  ///< "sha256//" and the Base64 of the SHA-256 of the public key (SPKI); see `Tls::pins`.
};

/// What a TLS handshake agreed on.
struct Info {
    std::string version;  ///< "TLSv1.3"
    std::string cipher;   ///< "TLS_AES_256_GCM_SHA384"
    std::string alpn;     ///< What the peer chose; empty: nothing.
    bool resumed = false;
    bool verified = false;           ///< The chain was checked against the trusted certificates.
    std::vector<Certificate> chain;  ///< The peer's own first; the peer's alone after a resumption.
};

}  // namespace tern::tls
