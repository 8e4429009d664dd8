// `Crypto` by OpenSSL 3. Every function here is thread-safe, because OpenSSL's are.
#include <map>
#include <memory>
#include <mutex>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <tern/core.hpp>

#include "openssl_context.hpp"

namespace tern {
namespace {

class OpensslProvider final : public tls::Provider {
public:
    std::unique_ptr<tls::Context> create(const Tls& settings, Error& error) override {
        auto context = std::make_unique<tls::OpensslContext>(settings, error);
        return error ? nullptr : std::move(context);
    }
    std::shared_ptr<tls::Context> share(const Tls& settings, Error& error) override {
        const std::lock_guard lock(mutex_);
        std::weak_ptr<tls::Context>& known = shared_[&settings];
        std::shared_ptr<tls::Context> context = known.lock();
        if (context == nullptr) known = context = create(settings, error);
        if (shared_.size() > sweep_at_) {
            std::erase_if(shared_, [](const auto& each) { return each.second.expired(); });
            sweep_at_ = 2 * shared_.size() + 16;
        }
        return context;
    }
    [[nodiscard]] std::string name() const override { return OpenSSL_version(OPENSSL_VERSION); }

private:
    std::mutex mutex_;
    std::map<const Tls*, std::weak_ptr<tls::Context>> shared_;
    std::size_t sweep_at_ = 16;  ///< When there are more than that, those that are gone are forgotten.
};

class OpensslCrypto final : public Crypto {
public:
    /// OpenSSL would free what it has in a handler of exit(), while threads of clients that still run use it: a program
    /// that ends without ending its clients would crash now and then. The process gives everything back anyway. Only
    /// the first call in a process counts, so a program that has set up OpenSSL by itself keeps its own choice.
    OpensslCrypto() { OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr); }

    bool random_bytes(std::span<std::byte> out) override {
        return RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size())) == 1;
    }

    std::array<std::byte, 20> sha1(Bytes bytes) override {
        std::array<std::byte, 20> digest{};
        unsigned int size = 0;
        // Fetched once: EVP_sha1() would be looked up for every digest.
        static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA1", nullptr);
        // A failure (no SHA-1 in this OpenSSL) leaves zeros, which match no server's answer.
        if (EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), &size, algorithm,
                       nullptr) != 1) {
            digest.fill(std::byte{0});
        }
        return digest;
    }

    std::string base64(Bytes bytes) override {
        std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // EVP_EncodeBlock adds a NUL
        const int size =
            EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                            reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
        text.resize(static_cast<std::size_t>(size));
        return text;
    }

    tls::Provider* tls() override { return &provider_; }

private:
    OpensslProvider provider_;
};

}  // namespace

Crypto& default_crypto() {
    static auto* const crypto = new OpensslCrypto;  // never destroyed, for the threads that outlive main()
    return *crypto;
}

}  // namespace tern
