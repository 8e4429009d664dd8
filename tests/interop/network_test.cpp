// The way to the server: real proxies, TLS fronts and redirects, all on loopback.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "scripted_server.hpp"
#include "server_process.hpp"
#include "watched_client.hpp"

namespace tern::interop {
namespace {

using namespace std::chrono_literals;
constexpr auto patience = 20s;

std::string authority(const std::string& name) { return std::string(TERN_TEST_AUTHORITY) + "/" + name; }
std::string authority_text(const std::string& name) {
    std::ifstream file(authority(name));
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// A folder for the configuration of a server, which is gone afterwards.
class Folder {
public:
    Folder() {
        std::string name = testing::TempDir() + "tern-network-XXXXXX";
        path_ = mkdtemp(name.data()) != nullptr ? name : "";
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] std::string write(const std::string& name, const std::string& text) const {
        std::ofstream(path_ + "/" + name) << text;
        return path_ + "/" + name;
    }
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

/// A server that cannot choose its port itself.
class Front {
public:
    /// `command` gets the folder and the port.
    explicit Front(const std::function<std::vector<std::string>(const Folder&, std::uint16_t)>& command)
        : port_(free_port()), process_(command(folder_, port_)), up_(wait_until_listening(port_)) {
        EXPECT_TRUE(up_) << "the server did not start";
    }
    [[nodiscard]] std::string at(const std::string& scheme, const std::string& user = {}) const {
        return scheme + "://" + user + (user.empty() ? "" : "@") + "127.0.0.1:" + std::to_string(port_);
    }
    [[nodiscard]] std::uint16_t port() const { return port_; }

private:
    Folder folder_;
    std::uint16_t port_;
    ServerProcess process_;
    bool up_;
};

/// One echo server with TLS and one without for all of these tests.
class Network : public testing::Test {
protected:
    static void SetUpTestSuite() {
        const std::vector<std::string> command = {"/usr/bin/python3", TERN_SERVERS "/websockets_server.py"};
        plain_ = std::make_unique<ServerProcess>(command);
        plain_port_ = plain_->read_port();
        std::vector<std::string> with_tls = command;
        with_tls.push_back(authority("good.pem"));
        with_tls.push_back(authority("good.key"));
        secure_ = std::make_unique<ServerProcess>(with_tls);
        secure_port_ = secure_->read_port();
        ASSERT_NE(plain_port_, 0);
        ASSERT_NE(secure_port_, 0);
    }
    static void TearDownTestSuite() {
        plain_.reset();
        secure_.reset();
    }

    static std::string url(bool tls, const std::string& path = "/") {
        return (tls ? "wss://localhost:" + std::to_string(secure_port_)
                    : "ws://localhost:" + std::to_string(plain_port_)) +
               path;
    }
    static Config config(const std::string& where) {
        Config one = patient_config(where);
        one.tls.trust = {TlsSource::file(authority("root.pem"))};
        one.proxy_tls.trust = one.tls.trust;
        return one;
    }
    static Config through(const std::string& proxy, bool tls) {
        Config one = config(url(tls));
        one.proxy = proxy;
        return one;
    }
    /// Connects, and sends something there and back.
    static void expect_echo(const Config& config) {
        Client client{config};
        const Error error = client.connect();
        ASSERT_FALSE(error) << error.message();
        for (const std::size_t size : {5u, 200'000u}) {
            const std::string payload(size, 'e');
            ASSERT_FALSE(client.send_text(payload));
            const Result<Message> answer = client.receive(patience);
            ASSERT_TRUE(answer) << answer.error().message();
            EXPECT_TRUE(answer->data == payload);
        }
        EXPECT_FALSE(client.stop(patience));
    }
    static Error outcome(const Config& config) { return Client{config}.connect(); }

    static inline std::uint16_t plain_port_ = 0;
    static inline std::uint16_t secure_port_ = 0;

private:
    static inline std::unique_ptr<ServerProcess> plain_;
    static inline std::unique_ptr<ServerProcess> secure_;
};

void expect_contains(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in: " << text;
}

// --- proxies -------------------------------------------------------------------------------------------------------

std::vector<std::string> tinyproxy(const Folder& folder, std::uint16_t port, const std::string& more = {}) {
    return {"/usr/bin/tinyproxy", "-d", "-c",
            folder.write("tinyproxy.conf", "Port " + std::to_string(port) +
                                               "\nListen 127.0.0.1\nAllow 127.0.0.1\nMaxClients 20\n" + more)};
}

TEST_F(Network, Tinyproxy) {
    const Front proxy([](const Folder& folder, std::uint16_t port) { return tinyproxy(folder, port); });
    for (const bool tls : {false, true}) expect_echo(through(proxy.at("http"), tls));

    Config nobody = through(proxy.at("http"), false);
    nobody.url = "ws://localhost:" + std::to_string(free_port());
    const Error error = outcome(nobody);
    EXPECT_EQ(error, Errc::proxy_refused) << error.message();
    EXPECT_GE(error.response.status, 500);
    expect_contains(error.message(), "through http://127.0.0.1:" + std::to_string(proxy.port()));
}

TEST_F(Network, TinyproxyWithPassword) {
    const Front proxy(
        [](const Folder& folder, std::uint16_t port) { return tinyproxy(folder, port, "BasicAuth bird tern\n"); });
    for (const bool tls : {false, true}) expect_echo(through(proxy.at("http", "bird:tern"), tls));
    const Error none = outcome(through(proxy.at("http"), false));
    EXPECT_EQ(none, Errc::proxy_authentication) << none.message();
    expect_contains(none.message(), "407");
    expect_contains(none.message(), "no user and password");
    const Error wrong = outcome(through(proxy.at("http", "bird:wrong"), false));
    EXPECT_EQ(wrong, Errc::proxy_authentication) << wrong.message();
    EXPECT_EQ(wrong.message().find("wrong"), std::string::npos) << "a password in " << wrong.message();
}

TEST_F(Network, HttpsProxy) {
    const Front inner([](const Folder& folder, std::uint16_t port) { return tinyproxy(folder, port); });
    const Front proxy([&](const Folder& folder, std::uint16_t port) {
        const std::string pem = folder.write("good.pem", authority_text("good.pem") + authority_text("good.key"));
        return std::vector<std::string>{
            "/usr/sbin/haproxy", "-db", "-f",
            folder.write("haproxy.cfg",
                         "defaults\n mode tcp\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n"
                         "listen proxy\n bind 127.0.0.1:" +
                             std::to_string(port) + " ssl crt " + pem +
                             "\n server inner 127.0.0.1:" + std::to_string(inner.port()) + "\n")};
    });
    for (const bool tls : {false, true}) expect_echo(through(proxy.at("https"), tls));
    Config distrustful = through(proxy.at("https"), true);
    distrustful.proxy_tls.trust = {TlsSource::file(authority("other-root.pem"))};
    EXPECT_EQ(outcome(distrustful), Errc::certificate_untrusted);
}

TEST_F(Network, Microsocks) {
    const Front proxy([](const Folder&, std::uint16_t port) {
        return std::vector<std::string>{"/usr/bin/microsocks", "-i", "127.0.0.1", "-p", std::to_string(port)};
    });
    for (const bool tls : {false, true}) {
        expect_echo(through(proxy.at("socks5h"), tls));
        expect_echo(through(proxy.at("socks5"), tls));
    }
    Config nobody = through(proxy.at("socks5h"), false);
    nobody.url = "ws://127.0.0.1:" + std::to_string(free_port());
    const Error error = outcome(nobody);
    EXPECT_EQ(error, Errc::proxy_refused) << error.message();
    expect_contains(error.message(), "refused");
}

TEST_F(Network, MicrosocksWithPassword) {
    const Front proxy([](const Folder&, std::uint16_t port) {
        return std::vector<std::string>{
            "/usr/bin/microsocks", "-i", "127.0.0.1", "-p", std::to_string(port), "-u", "bird", "-P", "tern"};
    });
    expect_echo(through(proxy.at("socks5h", "bird:tern"), true));
    const Error none = outcome(through(proxy.at("socks5h"), false));
    EXPECT_EQ(none, Errc::proxy_authentication) << none.message();
    const Error wrong = outcome(through(proxy.at("socks5h", "bird:wrong"), false));
    EXPECT_EQ(wrong, Errc::proxy_authentication) << wrong.message();
}

TEST_F(Network, AProxyThatIsNotThere) {
    const Error error = outcome(through("http://127.0.0.1:" + std::to_string(free_port()), false));
    EXPECT_EQ(error, Errc::connection_refused) << error.message();
    expect_contains(error.message(), "through http://127.0.0.1:");
}

/// Proxies that misbehave, byte for byte.
TEST_F(Network, ProxiesThatMisbehave) {
    struct Row {
        const char* scheme;
        std::string answer;
        bool ends;
        Errc expected;
    };
    const std::vector<Row> rows = {
        {"http", "", true, Errc::proxy_eof},
        {"http", "HTTP/1.1 200 Conn", true, Errc::proxy_eof},
        {"http", "HTTP/1.1 200 Conn", false, Errc::proxy_timeout},
        {"http", "garbage\r\n\r\n", false, Errc::proxy_malformed},
        {"http", "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", false, Errc::proxy_refused},
        {"http", "HTTP/1.1 200 OK\r\n" + std::string(100'000, 'x'), false, Errc::response_head_too_large},
        {"socks5h", "", true, Errc::proxy_eof},
        {"socks5h", "\x05", false, Errc::proxy_timeout},
        {"socks5h", "HTTP/1.1 400 Bad Request\r\n\r\n", false, Errc::proxy_malformed},
        {"socks5h", "\x05\xff", false, Errc::proxy_authentication},
        {"socks5h", "\x05\x02", false, Errc::proxy_malformed},
    };
    for (const Row& row : rows) {
        ScriptedServer proxy([&](Peer& peer) {
            static_cast<void>(peer.read_some());
            peer.send(row.answer);
            if (!row.ends) peer.drain();
        });
        Config one = through(std::string(row.scheme) + proxy.url().substr(2), false);
        one.timeouts.proxy = 300ms;
        const Error error = outcome(one);
        EXPECT_EQ(error, row.expected) << row.scheme << " " << row.answer.substr(0, 30) << ": " << error.message();
        EXPECT_EQ(error.phase, Phase::proxy) << error.message();
    }
}

// --- TLS fronts ----------------------------------------------------------------------------------------------------

TEST_F(Network, NginxInFrontOfTheServer) {
    const Front front([](const Folder& folder, std::uint16_t port) {
        const std::string& path = folder.path();
        const std::string text =
            "daemon off;\nmaster_process off;\npid " + path +
            "/pid;\nerror_log /dev/null;\nevents {}\nhttp {\n"
            " access_log off;\n client_body_temp_path " +
            path + "/b;\n proxy_temp_path " + path + "/p;\n fastcgi_temp_path " + path + "/f;\n uwsgi_temp_path " +
            path + "/u;\n scgi_temp_path " + path +
            "/s;\n"
            " server {\n  listen 127.0.0.1:" +
            std::to_string(port) + " ssl;\n  ssl_certificate " + authority("good.pem") + ";\n  ssl_certificate_key " +
            authority("good.key") + ";\n  location / {\n   proxy_pass http://127.0.0.1:" + std::to_string(plain_port_) +
            ";\n   proxy_http_version 1.1;\n   proxy_set_header Upgrade $http_upgrade;\n"
            "   proxy_set_header Connection upgrade;\n  }\n  location /closed { return 403 \"not for you\"; }\n }\n}\n";
        return std::vector<std::string>{
            "/usr/sbin/nginx", "-p", path, "-e", "/dev/null", "-c", folder.write("nginx.conf", text)};
    });
    const std::string where = "wss://localhost:" + std::to_string(front.port());
    expect_echo(config(where));
    const Error error = outcome(config(where + "/closed"));
    EXPECT_EQ(error, Errc::upgrade_refused);
    EXPECT_EQ(error.response.body, "not for you");
    const Error plain = outcome(config("ws://localhost:" + std::to_string(front.port())));
    EXPECT_EQ(plain, Errc::upgrade_refused) << "nginx says 400 in plain text: " << plain.message();
}

TEST_F(Network, HaproxyInFrontOfTheServer) {
    const Front front([](const Folder& folder, std::uint16_t port) {
        const std::string pem = folder.write("good.pem", authority_text("good.pem") + authority_text("good.key"));
        return std::vector<std::string>{
            "/usr/sbin/haproxy", "-db", "-f",
            folder.write("haproxy.cfg",
                         "defaults\n mode http\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n "
                         "timeout tunnel 60s\n"
                         "listen front\n bind 127.0.0.1:" +
                             std::to_string(port) + " ssl crt " + pem +
                             "\n server echo 127.0.0.1:" + std::to_string(plain_port_) + "\n")};
    });
    expect_echo(config("wss://localhost:" + std::to_string(front.port())));
}

TEST_F(Network, ASessionIsResumedByTheNextConnection) {
    Client client{config(url(true))};
    for (std::uint32_t i = 0; i < 3; ++i) {
        const Error error = client.connect();
        ASSERT_FALSE(error) << error.message();
        EXPECT_FALSE(client.send_text("x"));
        EXPECT_TRUE(client.receive(patience));
        EXPECT_EQ(client.stats().tls_resumed, i);
        EXPECT_GT(client.stats().phases.tls.count(), 0);
        EXPECT_FALSE(client.stop(patience));
    }
}

TEST_F(Network, AServerThatStallsInTheHandshakeMeetsItsDeadline) {
    ScriptedServer server([](Peer& peer) { peer.drain(); });
    Config one = config("wss" + server.url().substr(2));
    one.timeouts.tls = 200ms;
    const Error error = outcome(one);
    EXPECT_EQ(error, Errc::tls_timeout) << error.message();
    EXPECT_EQ(error.phase, Phase::tls);
}

TEST_F(Network, SchemesThatDoNotFitThePort) {
    const Error secure = outcome(config("wss://localhost:" + std::to_string(plain_port_)));
    EXPECT_EQ(secure.code, make_error_condition(Condition::tls_failed)) << secure.message();
    const Error plain = outcome(config("ws://localhost:" + std::to_string(secure_port_)));
    EXPECT_TRUE(plain == Condition::handshake_failed || plain == Condition::closed) << plain.message();
}

/// What the openssl command can be and other servers are not.
TEST_F(Network, OpensslServersOfAllKinds) {
    const auto with = [](const std::vector<std::string>& options, const std::function<void(Config&)>& change = {}) {
        const Front front([&](const Folder&, std::uint16_t port) {
            std::vector<std::string> command = {"/usr/bin/openssl",
                                                "s_server",
                                                "-accept",
                                                std::to_string(port),
                                                "-www",
                                                "-cert",
                                                authority("good-alone.pem"),
                                                "-cert_chain",
                                                authority("intermediate.pem"),
                                                "-key",
                                                authority("good.key")};
            command.insert(command.end(), options.begin(), options.end());
            return command;
        });
        Config one = config("wss://localhost:" + std::to_string(front.port()));
        if (change) change(one);
        return outcome(one);
    };
    // Its answer is a page in HTTP/1.0, so TLS is well when the upgrade fails.
    const auto is_well = [](const Error& error) {
        EXPECT_EQ(error, Errc::response_version) << error.message();
        EXPECT_EQ(error.phase, Phase::upgrade);
    };
    is_well(with({}));
    is_well(with({"-tls1_2"}));
    EXPECT_EQ(with({"-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}), Errc::tls_version);
    const auto only_1_2 = [](Config& c) { c.tls.max_version = TlsVersion::tls1_2; };
    EXPECT_EQ(with({"-tls1_3"}, only_1_2), Errc::tls_version);
    const Error no_cipher = with({"-tls1_2", "-cipher", "NULL-SHA256:@SECLEVEL=0"});
    EXPECT_EQ(no_cipher, Errc::tls_alert) << no_cipher.message();
    expect_contains(no_cipher.message(), "cipher");

    for (const char* version : {"-tls1_2", "-tls1_3"}) {
        const std::vector<std::string> wants = {
            version, "-Verify", "1", "-verify_return_error", "-CAfile", authority("root.pem")};
        if (version == std::string("-tls1_3") && with({version}) == Errc::tls_version) continue;  // mbedTLS
        const auto showing = [&](const char* name) {
            return with(wants, [&](Config& c) {
                c.tls.certificate = TlsSource::file(authority(std::string(name) + ".pem"));
                c.tls.key = TlsSource::file(authority(std::string(name) + ".key"));
            });
        };
        is_well(showing("client"));
        const Error none = with(wants);
        EXPECT_EQ(none, Errc::tls_alert) << none.message();
        expect_contains(none.message(), "client certificate");
        const Error wrong = showing("stranger");
        EXPECT_EQ(wrong, Errc::tls_alert) << wrong.message();
        expect_contains(wrong.message(), "client certificate");
    }
}

TEST_F(Network, AServerThatSpeaksGarbageInsteadOfTls) {
    for (const std::string& garbage :
         {std::string("\x16\x03\x03\xff\xff", 5) + std::string(300, 'x'), std::string("\x16\x03\x03\0\x05hello", 10),
          std::string(5, '\0'), std::string("SSH-2.0-OpenSSH_9.2\r\n")}) {
        ScriptedServer server([&](Peer& peer) {
            static_cast<void>(peer.read_some());
            peer.send(garbage);
            peer.drain();
        });
        const Error error = outcome(config("wss" + server.url().substr(2)));
        EXPECT_EQ(error.code, make_error_condition(Condition::tls_failed)) << error.message();
    }
}

TEST_F(Network, AStreamThatIsCutIsToldApartFromACleanEnd) {
    for (const bool tls : {false, true}) {
        WatchedClient client(config(url(tls, "/cut")));
        ASSERT_TRUE(client.wait_for_open()) << client.error().message();
        ASSERT_FALSE(client->send_text("scissors"));
        ASSERT_TRUE(client.wait_for_end());
        EXPECT_EQ(client.error(), tls ? Errc::tls_truncated : Errc::connection_lost) << client.error().message();
    }
}

// --- addresses and sockets -----------------------------------------------------------------------------------------

TEST_F(Network, AddressesOfTheConfiguration) {
    Config one = config("ws://elsewhere.test:" + std::to_string(plain_port_));
    one.addresses = {{"ELSEWHERE.test", plain_port_, "127.0.0.1"}};
    expect_echo(one);
    one.addresses = {{"elsewhere.test", plain_port_, "127.0.0.9"}, {"elsewhere.test", plain_port_, "127.0.0.1"}};
    expect_echo(one);
    one.addresses = {{"elsewhere.test", 1, "127.0.0.1"}};
    EXPECT_EQ(outcome(one).code, make_error_condition(Condition::resolve_failed)) << "that was another port";
}

TEST_F(Network, SocketsAsTheyAreWished) {
    Config one = config(url(false));
    one.socket = {.ip_version = IpVersion::ipv4,
                  .local_address = "127.0.0.2",
                  .keepalive = {.idle = 30s},
                  .send_buffer = 100'000,
                  .receive_buffer = 100'000};
    expect_echo(one);
    one.url = "ws://127.0.0.1:" + std::to_string(plain_port_);
    one.socket = {.ip_version = IpVersion::ipv6};
    EXPECT_EQ(outcome(one).code, make_error_condition(Condition::resolve_failed));
    one.socket = {.local_address = "192.0.2.1"};
    const Error foreign = outcome(one);
    EXPECT_EQ(foreign, Errc::connect_error) << foreign.message();
    one.socket = {.interface = "no-such-if"};
    const Error missing = outcome(one);
    EXPECT_EQ(missing, Errc::connect_error) << missing.message();
}

TEST_F(Network, UnixSockets) {
    std::string path;
    const Front front([&](const Folder& folder, std::uint16_t port) {
        path = folder.path() + "/socket";
        return std::vector<std::string>{
            "/usr/sbin/haproxy", "-db", "-f",
            folder.write("haproxy.cfg",
                         "defaults\n mode tcp\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n"
                         "listen front\n bind unix@" +
                             path + "\n bind 127.0.0.1:" + std::to_string(port) +
                             "\n server echo 127.0.0.1:" + std::to_string(plain_port_) + "\n")};
    });
    Config one = config("ws://the-name-does-not-matter.test/");
    one.socket.unix_path = path;
    expect_echo(one);
    one.socket.unix_path += ".not-there";
    const Error error = outcome(one);
    EXPECT_EQ(error.code, make_error_condition(Condition::connect_failed)) << error.message();
    expect_contains(error.message(), ": " + one.socket.unix_path);
}

TEST_F(Network, SettingsThatCannotBeUsed) {
    const auto refused = [](const std::function<void(Config&)>& change) {
        Config one = config(url(false));
        change(one);
        return outcome(one) == Errc::invalid_config;
    };
    EXPECT_TRUE(refused([](Config& c) { c.socket.unix_path = std::string(200, 'x'); }));
    EXPECT_TRUE(refused([](Config& c) { c.socket.unix_path = "x", c.proxy = "http://proxy.test"; }));
    EXPECT_TRUE(refused([](Config& c) { c.socket.local_address = "localhost"; }));
    EXPECT_TRUE(refused([](Config& c) { c.socket.keepalive.idle = -1s; }));
    EXPECT_TRUE(refused([](Config& c) { c.socket.keepalive.count = 0; }));
    EXPECT_TRUE(refused([](Config& c) { c.socket.send_buffer = -1; }));
    EXPECT_TRUE(refused([](Config& c) { c.addresses = {{"host", 80, "name"}}; }));
}

TEST_F(Network, TlsSettingsThatCannotBeUsedAreReturnedByStart) {
    const auto refused = [](bool tls, const std::function<void(Config&)>& change) {
        Config one = config(url(tls));
        change(one);
        Client client{one};
        const Error error = client.start();
        EXPECT_EQ(error, Errc::tls_configuration) << error.message();
        EXPECT_EQ(client.state(), State::idle);
        return error.detail;
    };
    const TlsSource nowhere = TlsSource::file("/nowhere/root.pem");
    expect_contains(refused(true, [&](Config& c) { c.tls.trust = {nowhere}; }), "/nowhere/root.pem");
    expect_contains(refused(true, [&](Config& c) { c.tls.certificate = c.tls.key = nowhere; }), "/nowhere/root.pem");
    expect_contains(refused(true, [](Config& c) { c.tls.pins = {"x"}; }), "pin");
    expect_contains(refused(false, [&](Config& c) { c.proxy = "https://proxy.test", c.proxy_tls.trust = {nowhere}; }),
                    "for the proxy");
}

/// What the program said for one life is not kept for the next.
TEST_F(Network, ALifeBeginsWithTheConfiguration) {
    Client client{config(url(false, "/authorization"))};
    const auto seen = [&] {
        const Error error = client.connect();
        EXPECT_FALSE(error) << error.message();
        const Result<Message> answer = client.receive(patience);
        EXPECT_FALSE(client.stop(patience));
        return answer ? answer->data : answer.error().message();
    };
    EXPECT_FALSE(client.before_attempt([](Attempt& attempt) { attempt.bearer_token = "old"; }));
    EXPECT_EQ(seen(), "Bearer old None");
    EXPECT_FALSE(client.before_attempt(std::function<void(Attempt&)>()));
    EXPECT_EQ(seen(), "None None");
}

// --- redirects and credentials -------------------------------------------------------------------------------------

TEST_F(Network, RedirectsAreFollowed) {
    for (const char* status : {"301", "302", "303", "307", "308"}) {
        expect_echo(config(url(false, std::string("/redirect?") + status + "&/elsewhere")));
    }
    expect_echo(config(url(false, "/redirect?302&" + url(true))));
    expect_echo(config(url(true, "/redirect?302&" + url(true, "/other"))));
    const Error insecure = outcome(config(url(true, "/redirect?302&" + url(false))));
    EXPECT_EQ(insecure, Errc::redirect_insecure) << insecure.message();
    const Error twice = outcome(config(url(false, "/redirect?302&/redirect?302&/")));
    EXPECT_FALSE(twice) << twice.message();
    Config off = config(url(false, "/redirect?302&/"));
    off.max_redirects = 0;
    EXPECT_EQ(outcome(off), Errc::upgrade_refused);
}

TEST_F(Network, ARefusalHasTheChallengeAndTheText) {
    for (const bool tls : {false, true}) {
        const Error unknown = outcome(config(url(tls, "/refuse?401")));
        EXPECT_EQ(unknown, Errc::upgrade_refused);
        EXPECT_EQ(unknown.response.status, 401);
        EXPECT_EQ(unknown.response.header("www-authenticate"), "Bearer realm=\"nest\"");
        EXPECT_EQ(unknown.response.body, "who are you?\n");
        expect_contains(unknown.message(), "401 Unauthorized");
        expect_contains(unknown.message(), "Bearer realm=\"nest\"");
        expect_contains(unknown.message(), "Basic realm=\"nest\"");
        const Error forbidden = outcome(config(url(tls, "/refuse?403")));
        EXPECT_EQ(forbidden, Errc::upgrade_refused);
        EXPECT_EQ(forbidden.response.status, 403);
        EXPECT_EQ(forbidden.response.body, "who are you?\n");
        expect_contains(forbidden.message(), "403 Forbidden");
    }
}

TEST_F(Network, CredentialsStayWithTheirOrigin) {
    const auto seen = [](const Config& config) {
        Client client{config};
        const Error error = client.connect();
        EXPECT_FALSE(error) << error.message();
        const Result<Message> answer = client.receive(patience);
        return answer ? answer->data : answer.error().message();
    };
    Config one = config(url(false, "/authorization"));
    EXPECT_EQ(seen(one), "None None");
    one.user = "bird";
    one.password = "tern";
    EXPECT_EQ(seen(one), "Basic YmlyZDp0ZXJu None");
    one.bearer_token = "token";
    one.headers = {{"Cookie", "a=b"}};
    EXPECT_EQ(seen(one), "Bearer token a=b");
    one.url = url(false, "/redirect?302&/authorization");
    EXPECT_EQ(seen(one), "Bearer token a=b") << "the same origin";
    one.url = url(false, "/redirect?302&" + url(true, "/authorization"));
    EXPECT_EQ(seen(one), "None None") << "another port, and another scheme";
}

}  // namespace
}  // namespace tern::interop
