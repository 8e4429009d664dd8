// What tracers are told, and what the writers make of it.
#include <tern/trace.hpp>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "driven_core.hpp"

namespace tern {
namespace {

TEST(Credentials, AreReplacedByTheirSize) {
    EXPECT_EQ(without_credentials("GET /?a:b HTTP/1.1"), "GET /?a:b HTTP/1.1");
    EXPECT_EQ(without_credentials("X-Other: Basic abc"), "X-Other: Basic abc");
    EXPECT_EQ(without_credentials("Authorization: Basic YmlyZDp0ZXJu"), "Authorization: Basic (12 bytes)");
    EXPECT_EQ(without_credentials("AUTHORIZATION: secret"), "AUTHORIZATION: (6 bytes)");
    EXPECT_EQ(without_credentials("authorization:"), "authorization:(0 bytes)");
    EXPECT_EQ(without_credentials("Cookie: a=secret; b"), "Cookie: (11 bytes)");
    EXPECT_EQ(without_credentials("Proxy-Authorization: Bearer secret"), "Proxy-Authorization: Bearer (6 bytes)");
}

TEST(Credentials, InAHeadOfManyLines) {
    EXPECT_EQ(without_credentials("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer token\r\nX: Y\r\n\r\n"),
              "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer (5 bytes)\r\nX: Y\r\n\r\n");
    EXPECT_EQ(without_credentials("HTTP/1.1 101 S\r\nSet-Cookie: id=secret; Path=/\r\n"),
              "HTTP/1.1 101 S\r\nSet-Cookie: (17 bytes)\r\n");
    EXPECT_EQ(without_credentials(""), "");
}

/// Keeps everything as text.
class Kept final : public Tracer {
public:
    explicit Kept(bool payload) : payload_(payload) {}
    void trace(const TraceRecord& record) noexcept override {
        using Kind = TraceRecord::Kind;
        switch (record.kind) {
            case Kind::state: lines.push_back("state " + std::string(record.text)); break;
            case Kind::command: lines.push_back("command " + std::string(record.text)); break;
            case Kind::timer: lines.emplace_back("timer"); break;
            case Kind::head_sent: head_sent += as_text(record.bytes); break;
            case Kind::head_received: head_received += as_text(record.bytes); break;
            case Kind::frame_sent:
            case Kind::frame_received:
                lines.push_back((record.kind == Kind::frame_sent ? "sent " : "received ") +
                                std::to_string(static_cast<unsigned>(record.opcode)) + (record.fin ? " fin " : " ") +
                                std::to_string(record.size));
                break;
            case Kind::payload_sent: payload_sent += as_text(record.bytes); break;
            case Kind::payload_received: payload_received += as_text(record.bytes); break;
            case Kind::received: received += record.size; break;
            case Kind::sent: sent += record.size; break;
        }
    }
    [[nodiscard]] bool wants_payload() const noexcept override { return payload_; }

    std::vector<std::string> lines;
    std::string head_sent, head_received, payload_sent, payload_received;
    std::uint64_t received = 0;
    std::uint64_t sent = 0;

private:
    bool payload_;
};

void talk(const std::shared_ptr<Tracer>& tracer, std::size_t step = 1000) {
    DrivenCore core(
        {.url = "ws://192.0.2.1/chat", .bearer_token = "token", .reconnect = {.enabled = false}, .tracer = tracer});
    core.open();
    EXPECT_FALSE(core->send(Opcode::text, as_bytes("hello")));
    EXPECT_FALSE(core->send(Opcode::binary, as_bytes(std::string(70'000, 'b'))));
    static_cast<void>(core.transmit());
    const std::string bytes = "\x01\x03one" + std::string("\x89\x00", 2) + "\x80\x03two" + "\x82\x7e\x01" +
                              std::string("\x00", 1) + std::string(256, 'x');
    for (std::size_t at = 0; at < bytes.size(); at += step) core.receive(bytes.substr(at, step));
    core.finish();
}

TEST(Trace, TellsOfTheLifeTheHeadsAndTheFrames) {
    for (const std::size_t step : {1u, 7u, 1000u}) {
        const auto kept = std::make_shared<Kept>(true);
        talk(kept, step);
        const std::vector<std::string> expected = {"command resolve 192.0.2.1",
                                                   "command connect to 192.0.2.1 port 80",
                                                   "state connecting 1",
                                                   "state open",
                                                   "sent 1 fin 5",
                                                   "sent 2 fin 70000",
                                                   "received 1 3",
                                                   "received 9 fin 0",
                                                   "received 0 fin 3",
                                                   "received 2 fin 256",
                                                   "sent 10 fin 0"};
        std::vector<std::string> seen = kept->lines;
        ASSERT_GE(seen.size(), expected.size());
        for (const std::string& line : expected) {
            EXPECT_EQ(std::count(seen.begin(), seen.end(), line), 1) << line;
        }
        EXPECT_EQ(seen.back().substr(0, 13), "state closed:");
        EXPECT_EQ(kept->payload_sent, "hello" + std::string(70'000, 'b'));
        EXPECT_EQ(kept->payload_received, "onetwo" + std::string(256, 'x'));
        EXPECT_EQ(kept->head_sent.find("GET /chat HTTP/1.1\r\n"), 0u) << kept->head_sent;
        EXPECT_NE(kept->head_sent.find("Authorization: Bearer (5 bytes)\r\n"), std::string::npos);
        EXPECT_EQ(kept->head_received.find("HTTP/1.1 101 Switching Protocols\r\n"), 0u);
        EXPECT_GT(kept->received, 280u);
        EXPECT_GT(kept->sent, 70'000u);
    }
}

TEST(Trace, PayloadsAreForThoseWhoWantThem) {
    const auto kept = std::make_shared<Kept>(false);
    talk(kept);
    EXPECT_EQ(kept->payload_sent + kept->payload_received, "");
    EXPECT_EQ(std::count(kept->lines.begin(), kept->lines.end(), "sent 1 fin 5"), 1);
}

TEST(Trace, AsText) {
    std::FILE* file = std::tmpfile();
    ASSERT_NE(file, nullptr);
    talk(std::make_shared<TextTracer>(file));
    std::rewind(file);
    std::string text(100'000, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), file));
    std::fclose(file);
    for (const char* part :
         {"! connect to 192.0.2.1 port 80", "= open", "> GET /chat HTTP/1.1", "> frame text, 5 bytes",
          "< frame text, more follows, 3 bytes", "< frame ping, 0 bytes", "= closed: "}) {
        EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
    }
    EXPECT_EQ(text.find("Bearer token"), std::string::npos);
}

std::uint32_t number(const std::string& bytes, std::size_t at) {
    std::uint32_t value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

/// The capture's packets, put together again: what went either way.
TEST(Trace, AsACapture) {
    const std::string path = testing::TempDir() + "tern-trace-test.pcapng";
    std::error_code error;
    {
        const auto tracer = PcapngTracer::open(path, error);
        ASSERT_NE(tracer, nullptr) << error.message();
        talk(tracer);
    }
    std::ifstream file(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    std::remove(path.c_str());
    std::string from_client;
    std::string from_server;
    std::vector<std::uint32_t> types;
    for (std::size_t at = 0; at < bytes.size();) {
        const std::uint32_t size = number(bytes, at + 4);
        ASSERT_EQ(size % 4, 0u);
        ASSERT_LE(at + size, bytes.size());
        ASSERT_EQ(number(bytes, at + size - 4), size) << "the size stands at both ends";
        types.push_back(number(bytes, at));
        if (types.back() == 6) {
            const std::string packet = bytes.substr(at + 28, number(bytes, at + 20));
            ASSERT_EQ(packet[0], '\x45');
            ASSERT_EQ(packet[9], 6);
            (packet[15] == 1 ? from_client : from_server) += packet.substr(40);
        }
        at += size;
    }
    ASSERT_GE(types.size(), 10u);
    EXPECT_EQ(types[0], 0x0a0d0d0au);
    EXPECT_EQ(types[1], 1u);
    EXPECT_EQ(from_client.find("GET /chat HTTP/1.1\r\n"), 0u);
    EXPECT_NE(from_client.find("\r\n\r\n\x81\x05hello\x82\x7f"), std::string::npos) << "unmasked";
    EXPECT_NE(from_server.find("\r\n\r\n\x01\x03one\x89"), std::string::npos);
    EXPECT_EQ(PcapngTracer::open("/nonexistent/file", error), nullptr);
    EXPECT_TRUE(error == std::errc::no_such_file_or_directory);
}

TEST(Trace, CommandsSayWhatTheyAreAbout) {
    const auto kept = std::make_shared<Kept>(false);
    DrivenCore core({.url = "ws://host.test/", .reconnect = {.enabled = false}, .tracer = kept});
    core->prepare_attempts(true);
    ASSERT_FALSE(core.start());
    core->on_prepared(core.expect(Command::Kind::prepare).id, {.url = "ws://prepared.test/"}, {}, core.now());
    core.connect();
    core.receive(core.answer());
    core.receive("\xff\xff");  // no frame
    static_cast<void>(core.transmit());
    core->settle(core.now());
    core.expect(Command::Kind::half_close);
    core->on_eof(core.stream(), core.now());
    core.take();
    core.expect(Command::Kind::close);
    std::vector<std::string> commands;
    for (const std::string& line : kept->lines) {
        if (line.starts_with("command ")) commands.push_back(line.substr(8));
    }
    EXPECT_EQ(commands, (std::vector<std::string>{"prepare attempt 1", "resolve prepared.test",
                                                  "connect to 192.0.2.1 port 80", "half-close", "close"}));
}

TEST(Trace, TimersThatWereDue) {
    const auto kept = std::make_shared<Kept>(false);
    DrivenCore core({.url = "ws://host.test/", .timeouts = {.attempt = std::chrono::seconds(5)}, .tracer = kept});
    ASSERT_FALSE(core.start());
    const auto timers = [&] { return std::count(kept->lines.begin(), kept->lines.end(), "timer"); };
    core.pass(std::chrono::seconds(1));
    EXPECT_EQ(timers(), 0) << "too early";
    core.pass(std::chrono::seconds(5));
    EXPECT_EQ(timers(), 1);
}

}  // namespace
}  // namespace tern
