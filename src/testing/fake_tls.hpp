// A TLS library that is none: a greeting for a handshake, and records that anybody can read. It lets the layers of a
// connection be tested without keys, and fails with whatever error is asked for.
//
//   client: "hello\n"   server: "welcome\n"
//   records: 'd', two bytes of length, the bytes turned by `turn`; or 'c', a close_notify; anything else is broken
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <tern/core.hpp>

namespace tern {

class FakeTls final : public Crypto, public tls::Provider {
public:
    static constexpr unsigned char turn = 0x5a;
    /// What the handshake fails with instead of going on.
    Errc failure{};
    /// What `create` refuses with.
    Errc refusal{};
    /// Hosts that were connected to.
    std::vector<std::string> hosts;

    bool random_bytes(std::span<std::byte> out) override { return default_crypto().random_bytes(out); }
    std::array<std::byte, 20> sha1(Bytes bytes) override { return default_crypto().sha1(bytes); }
    std::string base64(Bytes bytes) override { return default_crypto().base64(bytes); }
    tls::Provider* tls() override { return this; }

    std::unique_ptr<tls::Context> create(const Tls&, Error& error) override {
        if (refusal != Errc{}) error = refusal;
        return error ? nullptr : std::make_unique<FakeContext>(*this);
    }
    [[nodiscard]] std::string name() const override { return "none"; }

    /// A record as the server sends it.
    static std::string record(std::string_view plain) {
        std::string text = "d";
        text += static_cast<char>(plain.size() >> 8u);
        text += static_cast<char>(plain.size() & 0xffu);
        for (const char c : plain) text += static_cast<char>(static_cast<unsigned char>(c) ^ turn);
        return text;
    }
    /// Takes all whole records from the front.
    static std::string read_records(std::string& bytes) {
        std::string plain;
        while (bytes.size() >= 3 && bytes[0] == 'd') {
            const std::size_t size = static_cast<unsigned char>(bytes[1]) * 256u + static_cast<unsigned char>(bytes[2]);
            if (bytes.size() < 3 + size) break;
            for (std::size_t i = 0; i < size; ++i) {
                plain += static_cast<char>(static_cast<unsigned char>(bytes[3 + i]) ^ turn);
            }
            bytes.erase(0, 3 + size);
        }
        return plain;
    }

private:
    class FakeEngine final : public tls::Engine {
    public:
        explicit FakeEngine(Errc failure) : failure_(failure) {}

        Status handshake(Bytes& in, std::string& out) override {
            if (!greeted_) out += "hello\n";
            greeted_ = true;
            if (failure_ != Errc{}) return fail(failure_);
            constexpr std::string_view welcome = "welcome\n";
            while (!in.empty()) {
                if (static_cast<char>(in.front()) != welcome[welcomed_]) return fail(Errc::tls_handshake);
                in = in.subspan(1);
                if (++welcomed_ == welcome.size()) return Status::ok;
            }
            return Status::need_input;
        }
        Status decrypt(Bytes& in, std::span<std::byte> plain, std::size_t& size, std::string&) override {
            held_ += as_text(in);
            in = {};
            size = 0;
            if (ready_.empty()) {
                ready_ = read_one();
                if (held_.starts_with('c') && ready_.empty()) return Status::closed;
                const bool known = held_.empty() || held_.front() == 'd' || held_.front() == 'c';
                if (!known && ready_.empty()) return fail(Errc::tls_record);
            }
            size = std::min(ready_.size(), plain.size());
            std::copy_n(as_bytes(ready_).begin(), size, plain.begin());
            ready_.erase(0, size);
            return size != 0 ? Status::ok : Status::need_input;
        }
        bool encrypt(Bytes plain, std::string& out) override {
            while (!plain.empty()) {
                const std::size_t size = std::min<std::size_t>(plain.size(), 16'384);
                out += record(as_text(plain.first(size)));
                plain = plain.subspan(size);
            }
            return true;
        }
        void shutdown(std::string& out) override { out += 'c'; }
        [[nodiscard]] const Error& error() const override { return error_; }
        [[nodiscard]] tls::Info info() const override { return {.version = "fake"}; }

    private:
        Status fail(Errc code) {
            error_ = Error(code, Phase::tls);
            return Status::failed;
        }
        /// One record, so that `decrypt` has to be called again for the next.
        std::string read_one() {
            if (held_.size() < 3 || held_[0] != 'd') return {};
            const std::size_t size =
                3u + static_cast<unsigned char>(held_[1]) * 256u + static_cast<unsigned char>(held_[2]);
            if (held_.size() < size) return {};
            std::string one = held_.substr(0, size);
            held_.erase(0, size);
            return read_records(one);
        }

        Errc failure_;
        bool greeted_ = false;
        std::size_t welcomed_ = 0;
        std::string held_;
        std::string ready_;
        Error error_;
    };

    class FakeContext final : public tls::Context {
    public:
        explicit FakeContext(FakeTls& library) : library_(library) {}
        std::unique_ptr<tls::Engine> connect(std::string_view host, std::uint16_t) override {
            library_.hosts.emplace_back(host);
            return std::make_unique<FakeEngine>(library_.failure);
        }

    private:
        FakeTls& library_;
    };
};

}  // namespace tern
