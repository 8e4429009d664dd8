// One suite for every TLS engine: the engine on one side, a server of OpenSSL's on memory on the other, and a small
// authority made by authority.sh. Every conversation runs with the bytes whole, record by record, and byte by byte.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <malloc.h>
#include <map>
#include <optional>
#include <unistd.h>

#include <gtest/gtest.h>
#include <openssl/crypto.h>

#include <tern/core.hpp>

#include "tls_peer.hpp"

namespace tern::tls {
namespace {

enum class Delivery { whole, records, bytes };

/// How many bytes are delivered next.
std::size_t piece(Delivery delivery, std::string_view waiting) {
    if (delivery == Delivery::bytes) return 1;
    if (delivery == Delivery::whole || waiting.size() < 5) return waiting.size();
    const auto high = static_cast<unsigned char>(waiting[3]);
    const auto low = static_cast<unsigned char>(waiting[4]);
    return std::min<std::size_t>(waiting.size(), 5u + high * 256u + low);
}

Tls trusting() { return {.trust = {TlsSource::file(authority_path("root.pem"))}}; }

/// Bytes that OpenSSL has from the heap, the peer's among them. mbedTLS is not counted.
std::size_t openssl_memory = 0;
[[maybe_unused]] const bool openssl_memory_is_counted = [] {
    const auto allocate = [](std::size_t size, const char*, int) {
        void* const memory = std::malloc(size);
        openssl_memory += malloc_usable_size(memory);
        return memory;
    };
    const auto reallocate = [](void* old, std::size_t size, const char*, int) {
        const std::size_t before = malloc_usable_size(old);
        void* const memory = std::realloc(old, size);
        if (memory != nullptr || size == 0) openssl_memory += malloc_usable_size(memory) - before;
        return memory;
    };
    const auto release = [](void* memory, const char*, int) {
        openssl_memory -= malloc_usable_size(memory);
        std::free(memory);
    };
    return CRYPTO_set_mem_functions(allocate, reallocate, release) == 1;
}();

/// The engine's side of a conversation.
class Link {
public:
    Link(Context& context, TlsPeer& peer, Delivery delivery, std::string_view host = "localhost",
         std::uint16_t port = 443)
        : peer_(peer), delivery_(delivery), engine_(context.connect(host, port)) {}

    /// The handshake until it is complete, fails or waits for ever.
    Engine::Status handshake() {
        std::string to_peer;
        Bytes none;
        Engine::Status status = engine_->handshake(none, to_peer);
        while (status == Engine::Status::need_input) {
            peer_.feed(std::exchange(to_peer, {}));
            if (peer_.out.empty()) return status;
            while (!peer_.out.empty() && status == Engine::Status::need_input) {
                status = step(to_peer);
            }
        }
        peer_.feed(to_peer);
        return status;
    }
    /// Takes everything that the peer has sent.
    Engine::Status receive() {
        std::string to_peer;
        Engine::Status status = Engine::Status::need_input;
        // What came behind the handshake's last byte.
        do {
            const std::size_t size = left_.empty() ? piece(delivery_, peer_.out) : 0;
            left_ += peer_.out.substr(0, size);
            peer_.out.erase(0, size);
            Bytes in = as_bytes(left_);
            do {
                std::array<std::byte, 1000> plain;
                std::size_t taken = 0;
                status = engine_->decrypt(in, plain, taken, to_peer);
                received += as_text(Bytes(plain).first(taken));
            } while (status == Engine::Status::ok);
            left_.erase(0, left_.size() - in.size());
        } while (!peer_.out.empty() && status == Engine::Status::need_input);
        peer_.feed(to_peer);
        return status;
    }
    bool send(std::string_view plain) {
        std::string to_peer;
        const bool sent = engine_->encrypt(as_bytes(plain), to_peer);
        peer_.feed(to_peer);
        return sent;
    }
    void shutdown() {
        std::string to_peer;
        engine_->shutdown(to_peer);
        peer_.feed(to_peer);
    }
    [[nodiscard]] const Error& error() const { return engine_->error(); }
    [[nodiscard]] Info info() const { return engine_->info(); }
    Engine& engine() { return *engine_; }

    std::string received;

private:
    Engine::Status step(std::string& to_peer) {
        const std::size_t size = piece(delivery_, peer_.out);
        left_ += peer_.out.substr(0, size);
        peer_.out.erase(0, size);
        Bytes in = as_bytes(left_);
        const Engine::Status status = engine_->handshake(in, to_peer);
        left_.erase(0, left_.size() - in.size());
        return status;
    }

    TlsPeer& peer_;
    Delivery delivery_;
    std::unique_ptr<Engine> engine_;
    std::string left_;
};

std::unique_ptr<Context> context_of(const Tls& settings) {
    Error error;
    auto context = default_crypto().tls()->create(settings, error);
    EXPECT_FALSE(error) << error.message();
    return context;
}

/// The versions that the engine has.
std::vector<int> versions() {
    Error error;
    const auto newest = default_crypto().tls()->create({.min_version = TlsVersion::tls1_3}, error);
    return newest != nullptr ? std::vector<int>{TLS1_2_VERSION, TLS1_3_VERSION} : std::vector<int>{TLS1_2_VERSION};
}

class EngineTest : public testing::TestWithParam<Delivery> {
protected:
    /// The error of a handshake with these settings; none if it succeeds.
    static Error outcome(const Tls& settings, const PeerSettings& peer_settings, std::string_view host = "localhost") {
        const auto context = context_of(settings);
        TlsPeer peer(peer_settings);
        Link link(*context, peer, GetParam(), host);
        Engine::Status status = link.handshake();
        // With TLS 1.3 a server judges the client's certificate behind the handshake.
        if (status == Engine::Status::ok) status = link.receive();
        return status == Engine::Status::failed ? link.error() : Error();
    }
};

/// For engines that have TLS 1.3.
class Tls13Test : public EngineTest {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Tls13Test);

// --- conversations -------------------------------------------------------------------------------------------------

TEST_P(EngineTest, TalksWithEveryVersion) {
    for (const int version : versions()) {
        const auto context = context_of(trusting());
        TlsPeer peer({.min_version = version, .max_version = version});
        Link link(*context, peer, GetParam());
        ASSERT_EQ(link.handshake(), Engine::Status::ok) << link.error().message();
        ASSERT_TRUE(peer.connected());
        EXPECT_EQ(link.info().version, version == TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2");
        EXPECT_FALSE(link.info().cipher.empty());
        EXPECT_TRUE(link.info().verified);
        EXPECT_EQ(peer.sni, "localhost");

        const std::string large(100'000, 'x');
        EXPECT_TRUE(link.send("hello"));
        EXPECT_TRUE(link.send(large));
        EXPECT_EQ(peer.received, "hello" + large);
        peer.write("answer");
        peer.write(large);
        EXPECT_EQ(link.receive(), Engine::Status::need_input);
        EXPECT_EQ(link.received, "answer" + large);

        peer.close_notify();
        EXPECT_EQ(link.receive(), Engine::Status::closed);
        link.shutdown();
        EXPECT_TRUE(peer.closed());
    }
}

TEST_P(EngineTest, OurCloseNotifyReachesThePeer) {
    const auto context = context_of(trusting());
    TlsPeer peer({});
    Link link(*context, peer, GetParam());
    ASSERT_EQ(link.handshake(), Engine::Status::ok);
    link.shutdown();
    EXPECT_TRUE(peer.closed());
    peer.write("said before it was read");
    EXPECT_EQ(link.receive(), Engine::Status::need_input);
    EXPECT_EQ(link.received, "said before it was read");
}

TEST_P(Tls13Test, KeysCanBeUpdated) {
    const auto context = context_of({.trust = trusting().trust, .min_version = TlsVersion::tls1_3});
    TlsPeer peer({});
    Link link(*context, peer, GetParam());
    ASSERT_EQ(link.handshake(), Engine::Status::ok);
    peer.update_keys();
    peer.write("new keys");
    EXPECT_EQ(link.receive(), Engine::Status::need_input);
    EXPECT_EQ(link.received, "new keys");
    EXPECT_TRUE(link.send("new keys of ours"));
    EXPECT_EQ(peer.received, "new keys of ours");
}

TEST_P(EngineTest, AnIdleConnectionKeepsNoBufferForRecords) {
    ASSERT_TRUE(openssl_memory_is_counted);
    constexpr std::size_t record = 16u << 10u;
    const auto memory_of = [](int version, const std::function<void(TlsPeer&, Link&)>& talk) {
        const auto context = context_of({.trust = trusting().trust, .resume = false});
        TlsPeer peer({.min_version = version, .max_version = version});
        std::optional<Link> link(std::in_place, *context, peer, GetParam());
        EXPECT_EQ(link->handshake(), Engine::Status::ok);
        talk(peer, *link);
        const std::size_t before = openssl_memory;
        link.reset();
        return before - openssl_memory;
    };
    for (const int version : versions()) {
        // What came last was a ticket, with TLS 1.3; then keys; then a message.
        const std::size_t silent =
            memory_of(version, [](TlsPeer&, Link& link) { EXPECT_EQ(link.receive(), Engine::Status::need_input); });
        const std::size_t after_keys = memory_of(version, [version](TlsPeer& peer, Link& link) {
            if (version == TLS1_3_VERSION) peer.update_keys();
            EXPECT_EQ(link.receive(), Engine::Status::need_input);
        });
        const std::size_t after_message = memory_of(version, [](TlsPeer& peer, Link& link) {
            peer.write("message");
            EXPECT_EQ(link.receive(), Engine::Status::need_input);
            EXPECT_TRUE(link.send("answer"));
        });
        EXPECT_LT(silent, after_message + record / 2);
        EXPECT_LT(after_keys, after_message + record / 2);
        EXPECT_LT(after_message, 2 * record);
    }
}

TEST_P(EngineTest, RenegotiationIsRefused) {
    const auto context = context_of(trusting());
    TlsPeer peer({.max_version = TLS1_2_VERSION});
    Link link(*context, peer, GetParam());
    ASSERT_EQ(link.handshake(), Engine::Status::ok);
    peer.renegotiate();
    static_cast<void>(link.receive());
    // Refused, and the connection goes on or ends as the peer likes; it does not start a new handshake.
    EXPECT_FALSE(peer.connected() && !peer.failed() && link.error());
    EXPECT_EQ(link.info().version, "TLSv1.2");
}

TEST_P(EngineTest, BrokenRecordsAreAnError) {
    const auto context = context_of(trusting());
    TlsPeer peer({});
    Link link(*context, peer, GetParam());
    ASSERT_EQ(link.handshake(), Engine::Status::ok);
    static_cast<void>(link.receive());
    peer.write("something");
    peer.out[peer.out.size() - 3] = static_cast<char>(peer.out[peer.out.size() - 3] ^ 1);
    EXPECT_EQ(link.receive(), Engine::Status::failed);
    EXPECT_EQ(link.error(), Errc::tls_record);
    EXPECT_EQ(link.received, "");
}

TEST_P(EngineTest, WhatIsNotTlsIsAnError) {
    const auto context = context_of(trusting());
    const auto engine = context->connect("localhost", 443);
    std::string out;
    Bytes none;
    ASSERT_EQ(engine->handshake(none, out), Engine::Status::need_input);
    Bytes in = as_bytes("HTTP/1.1 400 Bad Request\r\n\r\n");
    ASSERT_EQ(engine->handshake(in, out), Engine::Status::failed);
    EXPECT_EQ(engine->error(), Errc::tls_handshake);
    EXPECT_NE(engine->error().detail.find("plain ws://"), std::string::npos) << engine->error().message();
}

TEST_P(EngineTest, Alpn) {
    for (const auto& [wanted, chosen] : {std::pair("http/1.1", "http/1.1"), std::pair("h2", "")}) {
        const auto context = context_of(trusting());
        TlsPeer peer({.alpn = wanted});
        Link link(*context, peer, GetParam());
        ASSERT_EQ(link.handshake(), Engine::Status::ok);
        EXPECT_EQ(link.info().alpn, chosen);
    }
}

// --- trust ---------------------------------------------------------------------------------------------------------

TEST_P(EngineTest, EverySourceOfTrust) {
    for (const TlsSource& source :
         {TlsSource::file(authority_path("root.pem")), TlsSource::file(authority_path("root.der")),
          TlsSource::pem(authority_file("root.pem")), TlsSource::der(authority_file("root.der")),
          TlsSource::folder(authority_path("roots")), TlsSource::file(authority_path("good.pem"))}) {
        EXPECT_FALSE(outcome({.trust = {source}}, {})) << static_cast<int>(source.kind) << source.value.substr(0, 30);
    }
    EXPECT_FALSE(
        outcome({.trust = {TlsSource::pem(authority_file("other-root.pem") + authority_file("root.pem"))}}, {}));
    EXPECT_FALSE(
        outcome({.trust = {TlsSource::file(authority_path("self-signed.pem"))}}, {.certificate = "self-signed"}));
}

/// For engines that let the environment say where the system's certificates are.
class SystemTrustTest : public EngineTest {
protected:
    void SetUp() override {
        std::filesystem::copy_file(authority_path("root.pem"), file_);
        setenv("SSL_CERT_FILE", file_.c_str(), 1);
        setenv("SSL_CERT_DIR", "", 1);
    }
    void TearDown() override {
        unsetenv("SSL_CERT_FILE");
        unsetenv("SSL_CERT_DIR");
        std::filesystem::remove(file_);
    }
    void append(const std::string& name) const { std::ofstream(file_, std::ios::app) << authority_file(name); }
    bool trusts(Context& context, const std::string& certificate) {
        TlsPeer peer({.certificate = certificate});
        Link link(context, peer, GetParam());
        return link.handshake() == Engine::Status::ok;
    }

    const std::string file_ = testing::TempDir() + "system-trust-" + std::to_string(getpid()) + ".pem";
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SystemTrustTest);

TEST_P(SystemTrustTest, ItIsReadAgainWhenItHasChanged) {
    const auto before = context_of({});
    EXPECT_TRUE(trusts(*before, "good"));
    EXPECT_FALSE(trusts(*before, "self-signed"));
    append("self-signed.pem");
    const auto after = context_of({});
    EXPECT_TRUE(trusts(*after, "good"));
    EXPECT_TRUE(trusts(*after, "self-signed"));
    EXPECT_FALSE(trusts(*before, "self-signed"));
    setenv("SSL_CERT_FILE", authority_path("other-root.pem").c_str(), 1);
    const auto elsewhere = context_of({});
    EXPECT_FALSE(trusts(*elsewhere, "good"));
}

TEST_P(SystemTrustTest, ContextsShareIt) {
    for (const char* name : {"good", "wildcard", "ip-only", "escape", "expired", "future", "client", "other-root"}) {
        append(std::string(name) + ".pem");
    }
    std::size_t memory = openssl_memory;
    const auto cost = [&memory] { return openssl_memory - std::exchange(memory, openssl_memory); };
    auto first = context_of({});
    const std::size_t alone = cost();
    const auto second = context_of({});
    const std::size_t shared = cost();
    EXPECT_LT(shared, alone / 2);
    // Certificates of a context's own are for nobody else.
    const auto own = context_of({.trust = {TlsSource::file(authority_path("self-signed.pem"))}});
    EXPECT_TRUE(trusts(*own, "self-signed"));
    EXPECT_FALSE(trusts(*own, "good"));
    first.reset();
    EXPECT_TRUE(trusts(*second, "good"));
    EXPECT_FALSE(trusts(*second, "self-signed"));
}

struct Distrust {
    Errc errc;
    std::string_view certificate;
    std::string_view host;
    std::vector<std::string> detail;
    bool send_intermediate = true;
};

TEST_P(EngineTest, WhatIsNotTrustedAndWhy) {
    const std::vector<Distrust> rows = {
        {Errc::certificate_untrusted, "good", "localhost", {"Intermediate"}, false},
        {Errc::certificate_untrusted, "self-signed", "localhost", {"self-signed", "localhost"}},
        {Errc::certificate_expired, "expired", "localhost", {"expired", "2021"}},
        {Errc::certificate_not_yet_valid, "future", "localhost", {"future", "2047", "clock"}},
        {Errc::certificate_name, "good", "other.test", {"other.test", "good.test", "127.0.0.1"}},
        {Errc::certificate_name, "good", "192.0.2.1", {"192.0.2.1", "localhost"}},
        {Errc::certificate_name, "good", "::2", {"::2"}},
        {Errc::certificate_name, "ip-only", "localhost", {"127.0.0.1"}},
        {Errc::certificate_name, "localhost", "localhost", {"for none"}},
        {Errc::certificate_name, "odd-address", "localhost", {"t.tt"}},
        {Errc::certificate_name, "escape", "localhost", {"evil?[2Jx"}},
        {Errc::certificate_untrusted, "stranger", "stranger", {"Another Root"}},
        {Errc::certificate_name, "wildcard", "wild.test", {"*.wild.test"}},
        {Errc::certificate_name, "wildcard", "a.b.wild.test", {"*.wild.test"}},
    };
    for (const Distrust& row : rows) {
        PeerSettings peer;
        peer.certificate = row.certificate;
        peer.send_intermediate = row.send_intermediate;
        const Error error = outcome(trusting(), peer, row.host);
        EXPECT_EQ(error, row.errc) << row.certificate << " as " << row.host << ": " << error.message();
        EXPECT_EQ(error.phase, Phase::tls);
        for (const std::string& part : row.detail) {
            EXPECT_NE(error.detail.find(part), std::string::npos) << part << " in " << error.detail;
        }
    }
    EXPECT_EQ(outcome({.trust = {TlsSource::file(authority_path("other-root.pem"))}}, {}), Errc::certificate_untrusted);
    EXPECT_EQ(outcome({}, {}), Errc::certificate_untrusted) << "the system does not know the tests' authority";
}

TEST_P(EngineTest, WhatIsTrusted) {
    const auto trusted = [](std::string_view certificate, std::string_view host) {
        PeerSettings peer;
        peer.certificate = certificate;
        return !outcome(trusting(), peer, host);
    };
    EXPECT_TRUE(trusted("good", "localhost"));
    EXPECT_TRUE(trusted("good", "good.test"));
    EXPECT_TRUE(trusted("good", "good.test."));
    EXPECT_TRUE(trusted("good", "127.0.0.1"));
    EXPECT_TRUE(trusted("good", "::1"));
    EXPECT_TRUE(trusted("ip-only", "127.0.0.1"));
    EXPECT_TRUE(trusted("wildcard", "a.wild.test"));
}

TEST_P(EngineTest, LessVerificationOnlyOnRequest) {
    Tls settings = trusting();
    settings.verify = TlsVerify::without_name;
    EXPECT_FALSE(outcome(settings, {}, "other.test"));
    EXPECT_EQ(outcome(settings, {.certificate = "expired"}, "other.test"), Errc::certificate_expired);
    settings.verify = TlsVerify::insecurely_not_at_all;
    EXPECT_FALSE(outcome(settings, {.certificate = "self-signed"}, "other.test"));
    EXPECT_FALSE(outcome(settings, {.certificate = "expired"}, "other.test"));
}

TEST_P(EngineTest, ANameCanBeExpectedInsteadOfTheHost) {
    Tls settings = trusting();
    settings.expected_name = "good.test";
    EXPECT_FALSE(outcome(settings, {}, "somewhere.else"));
    settings.expected_name = "other.test";
    EXPECT_EQ(outcome(settings, {}, "localhost"), Errc::certificate_name);
}

TEST_P(EngineTest, Pins) {
    for (const char* name : {"good.pin", "root.pin"}) {
        Tls settings = trusting();
        settings.pins = {authority_file("client.pin"), authority_file(name)};
        EXPECT_FALSE(outcome(settings, {})) << name;
    }
    Tls settings = trusting();
    settings.pins = {authority_file("client.pin")};
    const Error error = outcome(settings, {});
    EXPECT_EQ(error, Errc::certificate_pin);
    EXPECT_NE(error.detail.find(authority_file("good.pin")), std::string::npos) << "what the server showed";
    settings.verify = TlsVerify::insecurely_not_at_all;
    EXPECT_EQ(outcome(settings, {}), Errc::certificate_pin) << "pins are checked whatever else is";
}

TEST_P(EngineTest, EachCertificateIsDescribedAsItself) {
    const auto context = context_of({.verify = TlsVerify::insecurely_not_at_all, .resume = false});
    std::map<std::string, std::string> pins;
    // Twice, and more of them than an engine may remember.
    for (int round = 0; round < 2; ++round) {
        for (const std::string name : {"good", "expired", "future", "ip-only", "localhost", "odd-address", "wildcard",
                                       "escape", "stranger", "client"}) {
            TlsPeer peer({.certificate = name});
            Link link(*context, peer, GetParam());
            ASSERT_EQ(link.handshake(), Engine::Status::ok) << name;
            const Certificate own = link.info().chain.at(0);
            EXPECT_TRUE(own.subject.ends_with(name)) << own.subject << " is " << name;
            EXPECT_EQ(own.pin, pins.try_emplace(name, own.pin).first->second) << name;
        }
    }
    EXPECT_EQ(pins["good"], authority_file("good.pin"));
    EXPECT_EQ(pins["client"], authority_file("client.pin"));
}

TEST_P(EngineTest, SniIsNotForAddresses) {
    for (const auto& [host, expected] : {std::pair("good.test", "good.test"), std::pair("good.test.", "good.test"),
                                         std::pair("127.0.0.1", ""), std::pair("::1", "")}) {
        const auto context = context_of(trusting());
        TlsPeer peer({});
        Link link(*context, peer, GetParam(), host);
        EXPECT_EQ(link.handshake(), Engine::Status::ok);
        EXPECT_EQ(peer.sni, expected);
    }
}

// --- versions and client certificates ------------------------------------------------------------------------------

TEST_P(EngineTest, VersionsThatDoNotMeet) {
    const Error old = outcome(trusting(), {.min_version = TLS1_1_VERSION, .max_version = TLS1_1_VERSION});
    EXPECT_EQ(old, Errc::tls_version) << old.message();
    Tls settings = trusting();
    settings.max_version = TlsVersion::tls1_2;
    const Error young = outcome(settings, {.min_version = TLS1_3_VERSION});
    EXPECT_EQ(young, Errc::tls_version) << young.message();
}

TEST_P(EngineTest, ClientCertificates) {
    for (const int version : versions()) {
        const PeerSettings peer{.min_version = version, .max_version = version, .want_client_certificate = true};
        const auto shown = [&](TlsSource certificate, TlsSource key, std::string passphrase = {}) {
            Tls settings = trusting();
            settings.certificate = std::move(certificate);
            settings.key = std::move(key);
            settings.passphrase = std::move(passphrase);
            return outcome(settings, peer);
        };
        const auto file = [](const char* name) { return TlsSource::file(authority_path(name)); };
        EXPECT_FALSE(shown(file("client.pem"), file("client.key")));
        EXPECT_FALSE(shown(file("client.der"), file("client-key.der")));
        EXPECT_FALSE(shown(TlsSource::pem(authority_file("client.pem")), TlsSource::pem(authority_file("client.key"))));
        EXPECT_FALSE(
            shown(TlsSource::der(authority_file("client.der")), TlsSource::der(authority_file("client-key.der"))));
        EXPECT_FALSE(shown(file("client.pem"), file("client-encrypted.key"), "secret"));
        const Error wrong = shown(file("stranger.pem"), file("stranger.key"));
        EXPECT_EQ(wrong, Errc::tls_alert) << wrong.message();
        const Error none = outcome(trusting(), peer);
        EXPECT_EQ(none, Errc::tls_alert) << none.message();
        EXPECT_NE(none.detail.find("client certificate"), std::string::npos) << none.detail;
    }
}

TEST_P(EngineTest, SettingsThatCannotBeUsed) {
    const auto refusal = [](const std::function<void(Tls&)>& change) {
        Tls settings = trusting();
        change(settings);
        Error error;
        EXPECT_EQ(default_crypto().tls()->create(settings, error), nullptr);
        EXPECT_EQ(error, Errc::tls_configuration) << error.message();
        return error.detail;
    };
    const auto says = [](const std::string& detail, std::string_view part) {
        EXPECT_NE(detail.find(part), std::string::npos) << detail;
    };
    const auto file = [](const char* name) { return TlsSource::file(authority_path(name)); };
    says(refusal([](Tls& t) { t.trust = {TlsSource::file("/nowhere/root.pem")}; }), "/nowhere/root.pem");
    says(refusal([](Tls& t) { t.trust = {TlsSource::folder("/nowhere")}; }), "/nowhere");
    says(refusal([](Tls& t) { t.trust = {TlsSource::pem("nonsense")}; }), "no certificate");
    says(refusal([](Tls& t) { t.trust = {TlsSource::der("nonsense")}; }), "no certificate");
    says(refusal([](Tls& t) { t.trust = {TlsSource()}; }), "empty");
    says(refusal([&](Tls& t) { t.certificate = file("client.pem"); }), "without a tls.key");
    says(refusal([&](Tls& t) { t.key = file("client.key"); }), "without a tls.certificate");
    says(refusal([&](Tls& t) { t.certificate = file("client.pem"), t.key = file("stranger.key"); }), "not that of");
    says(refusal([&](Tls& t) { t.certificate = file("client.pem"), t.key = file("client.pem"); }), "no private key");
    says(refusal([&](Tls& t) { t.certificate = file("client.pem"), t.key = file("client-encrypted.key"); }),
         "no passphrase");
    says(refusal([&](Tls& t) {
             t.certificate = file("client.pem"), t.key = file("client-encrypted.key"), t.passphrase = "wrong";
         }),
         "passphrase is wrong");
    says(refusal([](Tls& t) { t.pins = {"sha256//short"}; }), "pin");
    says(refusal([](Tls& t) { t.alpn = {""}; }), "ALPN");
    says(refusal([](Tls& t) { t.min_version = TlsVersion::tls1_3, t.max_version = TlsVersion::tls1_2; }),
         "min_version");
}

// --- sessions and secrets ------------------------------------------------------------------------------------------

TEST_P(EngineTest, SessionsAreResumed) {
    for (const int version : versions()) {
        Tls settings = trusting();
        settings.pins = {authority_file("good.pin")};
        const auto context = context_of(settings);
        TlsPeer peer({.min_version = version, .max_version = version});
        for (const bool resumed : {false, true, true}) {
            Link link(*context, peer, GetParam());
            ASSERT_EQ(link.handshake(), Engine::Status::ok) << link.error().message();
            EXPECT_EQ(link.info().resumed, resumed) << link.info().version;
            EXPECT_EQ(link.receive(), Engine::Status::need_input) << "the tickets";
            EXPECT_FALSE(link.info().chain.empty());
            peer.close_notify();
            static_cast<void>(link.receive());
            peer.reconnect();
        }
        Link other(*context, peer, GetParam(), "localhost", 444);
        ASSERT_EQ(other.handshake(), Engine::Status::ok);
        EXPECT_FALSE(other.info().resumed) << "another port is another server";
    }
}

TEST_P(EngineTest, SessionsAreNotResumedWhenSwitchedOff) {
    Tls settings = trusting();
    settings.resume = false;
    const auto context = context_of(settings);
    TlsPeer peer({});
    for (int i = 0; i < 2; ++i) {
        Link link(*context, peer, GetParam());
        ASSERT_EQ(link.handshake(), Engine::Status::ok);
        static_cast<void>(link.receive());
        EXPECT_FALSE(link.info().resumed);
        peer.reconnect();
    }
}

TEST_P(EngineTest, TheKeyLogIsForWireshark) {
    const std::string name = testing::TempDir() + "tern-keys-" + std::to_string(getpid());
    std::remove(name.c_str());
    Tls settings = trusting();
    settings.key_log_file = name;
    EXPECT_FALSE(outcome(settings, {}));
    std::FILE* file = std::fopen(name.c_str(), "r");
    ASSERT_NE(file, nullptr);
    char line[64] = {};
    ASSERT_NE(std::fgets(line, sizeof(line), file), nullptr);
    std::fclose(file);
    std::remove(name.c_str());
    const std::string_view first = line;
    EXPECT_TRUE(first.starts_with("CLIENT_") || first.starts_with("SERVER_")) << first;
}

std::string delivery_name(const testing::TestParamInfo<Delivery>& one) {
    constexpr std::array names = {"whole", "records", "bytes"};
    return names[static_cast<std::size_t>(one.param)];
}

const std::vector<Delivery> deliveries = {Delivery::whole, Delivery::records, Delivery::bytes};
INSTANTIATE_TEST_SUITE_P(Deliveries, EngineTest, testing::ValuesIn(deliveries), delivery_name);
INSTANTIATE_TEST_SUITE_P(Deliveries, Tls13Test,
                         testing::ValuesIn(versions().size() > 1 ? deliveries : std::vector<Delivery>()),
                         delivery_name);
INSTANTIATE_TEST_SUITE_P(Deliveries, SystemTrustTest,
                         testing::ValuesIn(default_crypto().tls()->name().starts_with("OpenSSL")
                                               ? std::vector<Delivery>{Delivery::whole}
                                               : std::vector<Delivery>()),
                         delivery_name);

}  // namespace
}  // namespace tern::tls
