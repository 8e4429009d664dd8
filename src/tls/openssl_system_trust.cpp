#include "openssl_system_trust.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

namespace tern::tls {
namespace {

namespace fs = std::filesystem;

/// What tells that a file, or what a folder lists, is another than before.
struct Source {
    std::string path;
    fs::file_time_type written;
    std::uintmax_t size = 0;

    explicit Source(std::string name) : path(std::move(name)) {
        std::error_code none;
        written = fs::last_write_time(path, none);
        size = fs::file_size(path, none);
    }
    bool operator==(const Source&) const = default;
};

std::string named(const char* variable, const char* otherwise) {
    const char* text = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): as OpenSSL does
    return text != nullptr ? text : otherwise;
}

/// A file, and folders with a colon between each two.
std::vector<Source> sources() {
    std::vector<Source> all{Source(named(X509_get_default_cert_file_env(), X509_get_default_cert_file()))};
    const std::string folders = named(X509_get_default_cert_dir_env(), X509_get_default_cert_dir());
    for (std::size_t at = 0; at <= folders.size();) {
        const std::size_t end = std::min(folders.find(':', at), folders.size());
        all.emplace_back(folders.substr(at, end - at));
        at = end + 1;
    }
    return all;
}

std::shared_ptr<X509_STORE> read() {
    std::shared_ptr<X509_STORE> store(X509_STORE_new(), &X509_STORE_free);
    if (store != nullptr) X509_STORE_set_default_paths(store.get());  // no certificates are no failure
    ERR_clear_error();
    return store;
}

}  // namespace

std::shared_ptr<X509_STORE> system_trust() {
    struct Known {
        std::mutex mutex;
        std::weak_ptr<X509_STORE> store;
        std::vector<Source> sources;
    };
    static auto* const known = new Known;  // never destroyed, for the threads that outlive main()
    const std::lock_guard lock(known->mutex);
    std::vector<Source> now = sources();
    std::shared_ptr<X509_STORE> store = now == known->sources ? known->store.lock() : nullptr;
    if (store != nullptr) return store;
    known->store = store = read();
    known->sources = std::move(now);
    return store;
}

}  // namespace tern::tls
