// The certificates that the system trusts: read and kept once for all contexts, because there are many of them.
#pragma once

#include <memory>

#include <openssl/x509.h>

namespace tern::tls {

/// As SSL_CTX_set_default_verify_paths finds them. Who asks shares them with those who still keep what they got, unless
/// the system's files have changed since. Null: there is no memory. Thread-safe.
[[nodiscard]] std::shared_ptr<X509_STORE> system_trust();

}  // namespace tern::tls
