// The client against servers that we did not write.
#include <array>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "server_process.hpp"
#include "watched_client.hpp"

namespace tern::interop {
namespace {

using namespace std::chrono_literals;

constexpr auto patience = 20s;

struct Kind {
    const char* name;
    std::vector<std::string> command;
    bool has_paths;  ///< It knows /fragments, /ping and /headers.
    bool secure = false;
};

std::vector<Kind> servers() {
    const std::string certificate = TERN_TEST_AUTHORITY "/good.pem";
    const std::string key = TERN_TEST_AUTHORITY "/good.key";
    return {
        {"websockets", {"/usr/bin/python3", TERN_SERVERS "/websockets_server.py"}, true},
        {"websockets_tls", {"/usr/bin/python3", TERN_SERVERS "/websockets_server.py", certificate, key}, true, true},
        {"ws", {TERN_NODE, TERN_SERVERS "/ws_server.js"}, true},
        {"ws_tls", {TERN_NODE, TERN_SERVERS "/ws_server.js", certificate, key}, true, true},
        {"beast", {TERN_COMMAND, "echo", "--port", "0", "--subprotocol", "echo.v1"}, false},
        {"beast_fragmenting",
         {TERN_COMMAND, "echo", "--port", "0", "--subprotocol", "echo.v1", "--fragment", "1000"},
         false}};
}

/// One server for all tests of one kind.
class Interop : public testing::TestWithParam<Kind> {
protected:
    void SetUp() override {
        if (running_name != GetParam().name) {
            running = std::make_unique<ServerProcess>(GetParam().command);
            running_name = GetParam().name;
            running_port = running->read_port();
        }
        ASSERT_NE(running_port, 0) << "the server did not start: " << GetParam().command[0];
    }
    static void TearDownTestSuite() {
        running.reset();
        running_name.clear();
    }

    static Config config(std::string_view path = "/") {
        const std::string scheme = GetParam().secure ? "wss" : "ws";
        Config one = patient_config(scheme + "://127.0.0.1:" + std::to_string(running_port).append(path));
        one.tls.trust = {TlsSource::file(TERN_TEST_AUTHORITY "/root.pem")};
        one.limits.max_message_size = 64u << 20u;
        return one;
    }
    static void expect_echo(Client& client, Opcode opcode, const std::string& payload) {
        const std::error_code error =
            opcode == Opcode::text ? client.send_text(payload) : client.send_binary(as_bytes(payload));
        ASSERT_FALSE(error) << error.message();
        const Result<Message> answer = client.receive(patience);
        ASSERT_TRUE(answer) << answer.error().message();
        EXPECT_EQ(answer->opcode, opcode);
        EXPECT_TRUE(answer->data == payload) << "the echo of " << payload.size() << " bytes differs";
    }

private:
    static inline std::unique_ptr<ServerProcess> running;
    static inline std::string running_name;
    static inline std::uint16_t running_port = 0;
};

std::string bytes_of(std::size_t size) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7 + i / 251);
    return bytes;
}

std::string text_of(std::size_t size) {
    const std::string alphabet = "abc\xce\xba\xe1\xbd\xb9\xf0\x9f\x91\x8b";  // characters of one to four bytes
    std::string text;
    while (text.size() + alphabet.size() <= size) text += alphabet;
    return text.append(size - text.size(), '.');
}

TEST_P(Interop, EchoesOfAllSizes) {
    Client client{config()};
    const Error error = client.connect();
    ASSERT_FALSE(error) << error.message();
    for (const std::size_t size : {0u, 1u, 125u, 126u, 127u, 65535u, 65536u, 100'000u, 8u << 20u}) {
        expect_echo(client, Opcode::binary, bytes_of(size));
        expect_echo(client, Opcode::text, text_of(size));
    }
    client.stop();
}

TEST_P(Interop, EchoesArriveAsChunks) {
    Config chunked = config();
    chunked.delivery = Delivery::chunks;
    const std::string sent = bytes_of(3u << 20u);
    std::string received;
    std::promise<bool> ended;
    Client client{chunked};
    static_cast<void>(client.on_open([&](const Handshake&) { static_cast<void>(client.send_binary(as_bytes(sent))); }));
    static_cast<void>(client.on_chunk([&](const ChunkView& chunk) {
        EXPECT_EQ(chunk.first, received.empty());
        received += chunk.text();
        if (chunk.last) static_cast<void>(client.close());
    }));
    static_cast<void>(client.on_close([&](const CloseInfo& info) { ended.set_value(info.clean()); }));
    ASSERT_FALSE(client.start());
    auto outcome = ended.get_future();
    ASSERT_EQ(outcome.wait_for(patience), std::future_status::ready);
    EXPECT_TRUE(outcome.get());
    EXPECT_TRUE(received == sent);
}

TEST_P(Interop, MessagesInPartsAndInFragments) {
    Config fragmenting = config();
    fragmenting.fragment_size = 1000;
    Client client{fragmenting};
    ASSERT_FALSE(client.connect());
    expect_echo(client, Opcode::binary, bytes_of(100'000));
    EXPECT_FALSE(client.send_part(Opcode::text, as_bytes("one, "), false));
    EXPECT_FALSE(client.ping("in between"));
    EXPECT_FALSE(client.send_part(Opcode::continuation, {}, false));
    EXPECT_FALSE(client.send_part(Opcode::continuation, as_bytes("two"), true));
    const Result<Message> answer = client.receive(patience);
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(answer->text(), "one, two");
}

TEST_P(Interop, ManySmallMessagesKeepTheirOrder) {
    WatchedClient client(config());
    ASSERT_TRUE(client.wait_for_open());
    constexpr std::size_t count = 10'000;
    for (std::size_t i = 0; i < count; ++i) ASSERT_FALSE(client->send_text(std::to_string(i)));
    ASSERT_TRUE(client.wait_for_messages(count));
    const std::vector<Message> messages = client.messages();
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(messages[i].text(), std::to_string(i));
}

#if !defined(TERN_TEST_POLL)
TEST_P(Interop, SeveralThreadsSendAndEachKeepsItsOrder) {
    constexpr std::size_t threads = 4;
    constexpr std::size_t count = 3'000;
    WatchedClient client(config());
    ASSERT_TRUE(client.wait_for_open());
    std::vector<std::thread> senders;
    for (std::size_t thread = 0; thread < threads; ++thread) {
        senders.emplace_back([&, thread] {
            for (std::size_t i = 0; i < count; ++i) {
                const std::string padding(i % 100 == 0 ? 20'000 : i % 200, ' ');
                const SendOptions options{.wait = patience, .more = i % 7 != 0 && i + 1 != count};
                EXPECT_FALSE(client->send_text(std::to_string(i * threads + thread) + padding, options));
            }
        });
    }
    for (std::thread& sender : senders) sender.join();
    ASSERT_TRUE(client.wait_for_messages(threads * count)) << client.error().message();
    std::array<std::size_t, threads> next{};
    for (const Message& message : client.messages()) {
        const std::size_t number = std::stoul(message.data);
        ASSERT_EQ(number / threads, next[number % threads]++);
    }
}
#endif

TEST_P(Interop, PingsAreAnswered) {
    WatchedClient client(config());
    ASSERT_TRUE(client.wait_for_open());
    for (const std::string& payload : {std::string(), std::string("ping"), std::string(125, 'x')}) {
        ASSERT_FALSE(client->ping(payload));
    }
    ASSERT_TRUE(client.wait_for_kind(Event::Kind::pong, 3));
    EXPECT_EQ(client.pongs(), (std::vector<std::string>{"", "ping", std::string(125, 'x')}));
}

TEST_P(Interop, KeepaliveMeasuresTheRoundTrip) {
    Config quick = config();
    quick.keepalive = {.interval = 10ms, .pong_timeout = 10s};
    WatchedClient client(quick);
    ASSERT_TRUE(client.wait_for_kind(Event::Kind::pong, 3));
    EXPECT_GT(client.round_trip().count(), 0);
    EXPECT_GT(client->stats().round_trip.count(), 0);
}

TEST_P(Interop, CloseFromOurSide) {
    for (const CloseCode code : {CloseCode::normal, CloseCode::going_away, CloseCode{4000}, CloseCode::no_status}) {
        WatchedClient client(config());
        ASSERT_TRUE(client.wait_for_open());
        ASSERT_FALSE(client->close(code, code == CloseCode::no_status ? "" : "reason"));
        ASSERT_TRUE(client.wait_for_end());
        EXPECT_TRUE(client.close().clean()) << client.error().message();
        EXPECT_EQ(client.error().code, make_error_code(Errc::closed_locally));
        EXPECT_EQ(client.close().sent_code, code);
        // ws answers a Close without a code with an empty one, Beast with 1000.
        if (code != CloseCode::no_status) {
            EXPECT_EQ(client.close().code, code);
        }
        EXPECT_FALSE(client.close().by_peer);
    }
}

TEST_P(Interop, CloseFromTheirSide) {
    for (const unsigned code : {1000u, 1001u, 4000u}) {
        WatchedClient client(config(GetParam().has_paths ? "/close" : "/close/" + std::to_string(code)));
        ASSERT_TRUE(client.wait_for_open());
        if (GetParam().has_paths) {
            ASSERT_FALSE(client->send_text(std::to_string(code) + " as you wish"));
        }
        ASSERT_TRUE(client.wait_for_end());
        EXPECT_TRUE(client.close().clean()) << client.error().message();
        EXPECT_EQ(static_cast<unsigned>(client.close().code), code);
        EXPECT_TRUE(client.close().by_peer);
        EXPECT_NE(client.close().reason, "");
        EXPECT_EQ(client.error().code, make_error_code(Errc::closed_by_peer));
    }
}

TEST_P(Interop, SubprotocolIsNegotiated) {
    Config offering = config();
    offering.subprotocols = {"echo.v2", "echo.v1"};
    WatchedClient client(offering);
    ASSERT_TRUE(client.wait_for_open()) << client.error().message();
    EXPECT_EQ(client.handshake().subprotocol, "echo.v1");
    EXPECT_EQ(client.handshake().response.status, 101);
}

TEST_P(Interop, FragmentsFromTheServer) {
    if (!GetParam().has_paths) GTEST_SKIP() << "the Beast server fragments in its own test kind";
    Client client{config("/fragments")};
    ASSERT_FALSE(client.connect());
    ASSERT_FALSE(client.send_text("fragmented: \xce\xba\xf0\x9f\x91\x8b"));
    const Result<Message> answer = client.receive(patience);
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(answer->text(), "fragmented: \xce\xba\xf0\x9f\x91\x8b");
}

TEST_P(Interop, PingsFromTheServerAreAnswered) {
    if (!GetParam().has_paths) GTEST_SKIP() << "the Beast server does not ping";
    Client client{config("/ping")};
    ASSERT_FALSE(client.connect());
    ASSERT_FALSE(client.send_text("payload"));
    const Result<Message> answer = client.receive(patience);
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(answer->text(), "pong");
}

TEST_P(Interop, HeadersReachTheServer) {
    if (!GetParam().has_paths) GTEST_SKIP() << "the Beast server does not say";
    Config with_headers = config("/headers");
    with_headers.origin = "https://example.org";
    with_headers.headers = {{"X-Test", "value"}};
    Client client{with_headers};
    ASSERT_FALSE(client.connect());
    const Result<Message> answer = client.receive(patience);
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(answer->text(), "https://example.org value");
}

INSTANTIATE_TEST_SUITE_P(Servers, Interop, testing::ValuesIn(servers()),
                         [](const auto& one) { return std::string(one.param.name); });

/// The test server of libwebsockets: no echo, but a counter and a mirror.
class Libwebsockets : public testing::Test {
protected:
    static constexpr const char* program = "/usr/bin/libwebsockets-test-server";

    void SetUp() override {
        if (access(program, X_OK) != 0) GTEST_SKIP() << program << " is not installed";
        port_ = free_port();
        server_ = std::make_unique<ServerProcess>(
            std::vector<std::string>{program, "--port=" + std::to_string(port_), "--interface=lo"});
        ASSERT_TRUE(wait_until_listening(port_));
    }
    Config config(const std::string& subprotocol) const {
        Config one = patient_config("ws://127.0.0.1:" + std::to_string(port_) + "/");
        one.subprotocols = {subprotocol};
        return one;
    }

private:
    std::uint16_t port_ = 0;
    std::unique_ptr<ServerProcess> server_;
};

TEST_F(Libwebsockets, Counts) {
    WatchedClient client(config("dumb-increment-protocol"));
    ASSERT_TRUE(client.wait_for_messages(5)) << client.error().message();
    EXPECT_EQ(client.handshake().subprotocol, "dumb-increment-protocol");
    const std::vector<Message> messages = client.messages();
    for (std::size_t i = 1; i < messages.size(); ++i) {
        EXPECT_EQ(std::stoi(messages[i].data), std::stoi(messages[i - 1].data) + 1);
    }
    ASSERT_FALSE(client->close());
    ASSERT_TRUE(client.wait_for_end());
    EXPECT_TRUE(client.close().clean()) << client.error().message();
}

TEST_F(Libwebsockets, Mirrors) {
    WatchedClient client(config("lws-mirror-protocol"));
    ASSERT_TRUE(client.wait_for_open()) << client.error().message();
    for (int i = 0; i < 20; ++i) {
        const std::string drawing = "d #000000 " + std::to_string(i) + " 2 3 4;";
        const std::size_t before = client.messages().size();
        ASSERT_FALSE(client->send_text(drawing));
        ASSERT_TRUE(client.wait_for_messages(before + 1));
        EXPECT_EQ(client.messages().back().text(), drawing);
    }
}

}  // namespace
}  // namespace tern::interop
