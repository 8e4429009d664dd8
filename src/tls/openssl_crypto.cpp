// `Crypto` by OpenSSL 3. Every function here is thread-safe, because OpenSSL's are.
#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <pthread.h>
#include <span>

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

bool generate(std::span<std::byte> out) {
    return RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size())) == 1;
}

std::atomic<unsigned> forks = 0;

/// A call of the generator costs the same for a few bytes as for some hundred, so a thread draws them in advance. Each
/// byte is used once; after a fork none of those that the parent has.
bool draw(std::span<std::byte> out) {
    struct Reservoir {
        std::array<std::byte, 256> bytes;
        std::size_t left = 0;
        unsigned fork = 0;
    };
    thread_local Reservoir reservoir;
    if (out.size() > reservoir.bytes.size() / 4) return generate(out);
    const unsigned fork = forks.load(std::memory_order_relaxed);
    if (reservoir.left < out.size() || reservoir.fork != fork) {
        reservoir.left = 0;
        if (!generate(reservoir.bytes)) return false;
        reservoir.left = reservoir.bytes.size();
        reservoir.fork = fork;
    }
    const std::span<std::byte> taken =
        std::span(reservoir.bytes).subspan(reservoir.bytes.size() - reservoir.left, out.size());
    std::copy(taken.begin(), taken.end(), out.begin());
    OPENSSL_cleanse(taken.data(), taken.size());
    reservoir.left -= out.size();
    return true;
}

class OpensslCrypto final : public Crypto {
public:
    /// OpenSSL would free what it has in a handler of exit(), while threads of clients that still run use it: a program
    /// that ends without ending its clients would crash now and then. The process gives everything back anyway. Only
    /// the first call in a process counts, so a program that has set up OpenSSL by itself keeps its own choice.
    OpensslCrypto() {
        OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);
        sha1_ = EVP_MD_fetch(nullptr, "SHA1", nullptr);  // EVP_sha1() would be looked up for each handshake
        pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); });
    }

    bool random_bytes(std::span<std::byte> out) override { return draw(out); }

    std::array<std::byte, 20> sha1(Bytes bytes) override {
        // The thread keeps it, because it consists of several pieces of memory.
        thread_local std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(nullptr, &EVP_MD_CTX_free);
        if (context == nullptr) context.reset(EVP_MD_CTX_new());
        std::array<std::byte, 20> digest{};
        // A failure (no SHA-1 in this OpenSSL) leaves zeros, which match no server's answer.
        if (sha1_ == nullptr || context == nullptr || EVP_DigestInit_ex(context.get(), sha1_, nullptr) != 1 ||
            EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) != 1 ||
            EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr) != 1) {
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
    EVP_MD* sha1_ = nullptr;
};

}  // namespace

Crypto& default_crypto() {
    static auto* const crypto = new OpensslCrypto;  // never destroyed, for the threads that outlive main()
    return *crypto;
}

}  // namespace tern
