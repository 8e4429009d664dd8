// What a server, or somebody on the way, can do to the TLS engine once there are keys, and before: records that are
// made up, turned, cut, repeated or delivered in any pieces, among records that are right. Whatever the engine hands
// out is the beginning of what the server wrote, no call works without end, and nothing works after a failure.
//
//   first byte: the version, and whether the handshake is left in peace; then operations, a byte each with arguments
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <tern/core.hpp>

using namespace tern;
using Status = tls::Engine::Status;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

// --- a generator that repeats itself, so that a finding does ---------------------------------------------------------

std::uint64_t random_state = 1;

int repeatable(unsigned char* out, int size) {
    for (int i = 0; i < size; ++i) {
        random_state = random_state * 6364136223846793005u + 1442695040888963407u;
        out[i] = static_cast<unsigned char>(random_state >> 56u);
    }
    return 1;
}

void make_repeatable() {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    static const RAND_METHOD method{.seed = nullptr,
                                    .bytes = repeatable,
                                    .cleanup = nullptr,
                                    .add = nullptr,
                                    .pseudorand = repeatable,
                                    .status = [] { return 1; }};
    RAND_set_rand_method(&method);
#pragma GCC diagnostic pop
}

// --- the server ------------------------------------------------------------------------------------------------------

struct Free {
    void operator()(SSL_CTX* it) const { SSL_CTX_free(it); }
    void operator()(SSL* it) const { SSL_free(it); }
    void operator()(EVP_PKEY* it) const { EVP_PKEY_free(it); }
    void operator()(X509* it) const { X509_free(it); }
};

SSL_CTX* server_context() {
    static const std::unique_ptr<SSL_CTX, Free> context = [] {
        make_repeatable();
        const std::unique_ptr<EVP_PKEY, Free> key(EVP_EC_gen("P-256"));
        const std::unique_ptr<X509, Free> certificate(X509_new());
        X509_set_version(certificate.get(), 2);
        ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
        X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
        X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600 * 24);
        X509_set_pubkey(certificate.get(), key.get());
        X509_sign(certificate.get(), key.get(), EVP_sha256());
        std::unique_ptr<SSL_CTX, Free> made(SSL_CTX_new(TLS_server_method()));
        require(SSL_CTX_use_certificate(made.get(), certificate.get()) == 1);
        require(SSL_CTX_use_PrivateKey(made.get(), key.get()) == 1);
        return made;
    }();
    return context.get();
}

class Server {
public:
    explicit Server(int version) : ssl_(SSL_new(server_context())) {
        SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        SSL_set_max_proto_version(ssl_.get(), version);
        SSL_set_accept_state(ssl_.get());
    }

    void feed(std::string& bytes) {
        BIO_write(SSL_get_rbio(ssl_.get()), bytes.data(), static_cast<int>(bytes.size()));
        bytes.clear();
        std::array<char, 4096> ignored;
        while (SSL_read(ssl_.get(), ignored.data(), ignored.size()) > 0) {
        }
        collect();
    }
    bool write(std::string_view text) {
        const bool written = SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) > 0;
        collect();
        return written;
    }
    void update_keys() {
        SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_REQUESTED);
        SSL_do_handshake(ssl_.get());
        collect();
    }
    void close() {
        SSL_shutdown(ssl_.get());
        collect();
    }

    std::string wire;  ///< On its way to the client.

private:
    void collect() {
        std::array<char, 4096> bytes;
        for (int size; (size = BIO_read(SSL_get_wbio(ssl_.get()), bytes.data(), bytes.size())) > 0;) {
            wire.append(bytes.data(), static_cast<std::size_t>(size));
        }
    }

    std::unique_ptr<SSL, Free> ssl_;
};

// --- the play --------------------------------------------------------------------------------------------------------

class Player {
public:
    Player(std::string_view script, tls::Context& context)
        : script_(script),
          choices_(byte()),
          server_((choices_ & 1u) != 0 ? TLS1_2_VERSION : TLS1_3_VERSION),
          engine_(context.connect("localhost", 443)) {}

    void play() {
        require(engine_->handshake(nothing_, to_server_) == Status::need_input);
        if ((choices_ & 2u) == 0) {
            for (int turn = 0; turn < 6 && !open_; ++turn) {
                server_.feed(to_server_);
                deliver(server_.wire.size());
            }
            require(open_);
        }
        while (!script_.empty() && !over_) step();
        server_.feed(to_server_);
        if (!over_) deliver(server_.wire.size());
    }

private:
    unsigned byte() {
        if (script_.empty()) return 0;
        const auto value = static_cast<unsigned char>(script_.front());
        script_.remove_prefix(1);
        return value;
    }

    void step() {
        std::string& wire = server_.wire;
        switch (byte() % 9) {
            case 0: write(byte() * (1 + byte())); return;
            case 1: {
                const std::size_t size = std::min<std::size_t>(byte(), script_.size());
                wire += script_.substr(0, size);
                script_.remove_prefix(size);
                return;
            }
            case 2:
                if (!wire.empty()) wire[(byte() * 256 + byte()) % wire.size()] ^= static_cast<char>(1u << byte() % 8);
                return;
            case 3: wire.resize(wire.size() - std::min<std::size_t>(wire.size(), byte())); return;
            case 4: server_.update_keys(); return;
            case 5: server_.close(); return;
            case 6: deliver(std::min<std::size_t>(wire.size(), byte() * (1 + byte()))); return;
            case 7:
                if (open_ && !engine_->encrypt(as_bytes(std::string(byte() * 97, 'c')), to_server_)) over_ = true;
                server_.feed(to_server_);
                return;
            case 8: wire += wire.substr(0, byte() * 8); return;
        }
    }

    void write(std::size_t size) {
        std::string text(size, '\0');
        for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((written_.size() + i) * 31 >> 3u);
        if (size != 0 && server_.write(text)) written_ += text;
    }

    /// The engine gets so much of what is on its way, and the plain bytes have the room that the script says.
    void deliver(std::size_t size) {
        held_ += server_.wire.substr(0, size);
        server_.wire.erase(0, size);
        Bytes in = as_bytes(held_);
        std::vector<std::byte> plain(1 + byte() * 16);
        // Each turn hands out something or takes something, so more turns than bytes mean that it does not end.
        for (std::size_t turns = written_.size() - received_ + in.size() + 40;; --turns) {
            require(turns != 0);
            Status status{};
            if (!open_) {
                status = engine_->handshake(in, to_server_);
                open_ = status == Status::ok;
            } else {
                std::size_t taken = 0;
                status = engine_->decrypt(in, plain, taken, to_server_);
                require(taken <= plain.size());
                require(received_ + taken <= written_.size());
                require(std::equal(plain.begin(), plain.begin() + static_cast<std::ptrdiff_t>(taken),
                                   as_bytes(written_).begin() + static_cast<std::ptrdiff_t>(received_)));
                received_ += taken;
            }
            if (status == Status::ok) continue;
            over_ = status != Status::need_input;
            if (status == Status::failed) require(static_cast<bool>(engine_->error()));
            if (status == Status::need_input) require(in.empty());
            break;
        }
        held_.erase(0, held_.size() - in.size());
    }

    std::string_view script_;
    unsigned choices_;
    Server server_;
    std::unique_ptr<tls::Engine> engine_;
    Bytes nothing_;
    std::string to_server_;
    std::string held_;
    std::string written_;
    std::size_t received_ = 0;
    bool open_ = false;
    bool over_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    server_context();
    random_state = 1;
    Error error;
    const Tls settings{.verify = TlsVerify::insecurely_not_at_all, .resume = false};
    static const std::unique_ptr<tls::Context> context = default_crypto().tls()->create(settings, error);
    require(context != nullptr);
    Player({reinterpret_cast<const char*>(data), size}, *context).play();
    return 0;
}
