// `Crypto` by mbedTLS 2.28. Every function here is thread-safe.
#include <mbedtls/base64.h>
#include <mbedtls/sha1.h>
#include <mbedtls/version.h>

#include <tern/core.hpp>

#include "mbedtls_context.hpp"

namespace tern {
namespace {

class MbedtlsProvider final : public tls::Provider {
public:
    std::unique_ptr<tls::Context> create(const Tls& settings, Error& error) override {
        auto context = std::make_unique<tls::MbedtlsContext>(settings, error);
        return error ? nullptr : std::move(context);
    }
    [[nodiscard]] std::string name() const override { return MBEDTLS_VERSION_STRING_FULL; }
};

class MbedtlsCrypto final : public Crypto {
public:
    bool random_bytes(std::span<std::byte> out) override {
        return tls::mbedtls_random(nullptr, reinterpret_cast<unsigned char*>(out.data()), out.size()) == 0;
    }

    std::array<std::byte, 20> sha1(Bytes bytes) override {
        std::array<std::byte, 20> digest{};
        // A failure leaves zeros, which match no server's answer.
        if (mbedtls_sha1_ret(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                             reinterpret_cast<unsigned char*>(digest.data())) != 0) {
            digest.fill(std::byte{0});
        }
        return digest;
    }

    std::string base64(Bytes bytes) override {
        std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // mbedTLS adds a NUL
        std::size_t size = 0;
        mbedtls_base64_encode(reinterpret_cast<unsigned char*>(text.data()), text.size(), &size,
                              reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
        text.resize(size);
        return text;
    }

    tls::Provider* tls() override { return &provider_; }

private:
    MbedtlsProvider provider_;
};

}  // namespace

Crypto& default_crypto() {
    static MbedtlsCrypto crypto;
    return crypto;
}

}  // namespace tern
