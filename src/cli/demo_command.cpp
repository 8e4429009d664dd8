#include "demo_command.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <future>
#include <string_view>
#include <unistd.h>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <tern/client.hpp>

#include "escape.hpp"
#include "exit_code.hpp"

namespace tern::cli {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto patience = 10s;
constexpr std::size_t megabyte = 1u << 20u;

/// One step of the demo: its number and title, what it found, and whether that was right.
class Steps {
public:
    void begin(std::string_view title) { fmt::print("\n{}. {}\n", ++number_, title); }
    static void show(const std::string& text) { fmt::print("   {}\n", text); }
    bool expect(bool right, const std::string& otherwise) {
        if (!right) fmt::print("   WRONG: {}\n", otherwise);
        good_ = good_ && right;
        return right;
    }
    [[nodiscard]] bool good() const { return good_; }

private:
    int number_ = 0;
    bool good_ = true;
};

/// A megabyte in which every byte depends on its position.
std::string pattern() {
    std::string bytes(megabyte, '\0');
    std::uint32_t state = 1;
    for (char& byte : bytes) {
        state = state * 1664525u + 1013904223u;
        byte = static_cast<char>(state >> 24u);
    }
    return bytes;
}

double milliseconds(Clock::duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

/// A port of this machine on which nobody listens: it was free a moment ago.
std::uint16_t closed_port() {
    const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    sockaddr generic{};
    std::memcpy(&generic, &address, sizeof(address));
    if (descriptor >= 0 && bind(descriptor, &generic, size) == 0 && getsockname(descriptor, &generic, &size) == 0) {
        std::memcpy(&address, &generic, sizeof(address));
    }
    if (descriptor >= 0) close(descriptor);
    return ntohs(address.sin_port);
}

/// Waits for the echo of what was sent.
bool expect_echo(Steps& steps, Client& client, std::error_code sent, Opcode opcode, std::string_view expected) {
    if (!steps.expect(!sent, sent.message())) return false;
    const Result<Message> answer = client.receive(patience);
    if (!answer) return steps.expect(false, answer.error().message());
    return steps.expect(answer->opcode == opcode && answer->text() == expected, "the echo differs from what was sent");
}

void text(Steps& steps, Client& client) {
    steps.begin("A text message");
    const std::string_view hello = "Hello, tern! Grüße, こんにちは, 👋";
    if (expect_echo(steps, client, client.send_text(hello), Opcode::text, hello)) {
        Steps::show(fmt::format("sent and received: {}", hello));
    }
}

void fragments(Steps& steps, Client& client) {
    steps.begin("A message in three fragments");
    std::error_code error = client.send_part(Opcode::text, as_bytes("The bird with "), false);
    if (!error) error = client.send_part(Opcode::continuation, as_bytes("the longest "), false);
    if (!error) error = client.send_part(Opcode::continuation, as_bytes("migration"), true);
    const std::string_view whole = "The bird with the longest migration";
    if (expect_echo(steps, client, error, Opcode::text, whole)) {
        Steps::show("sent: \"The bird with \" + \"the longest \" + \"migration\"");
        Steps::show(fmt::format("received as one message: {}", whole));
    }
}

void binary(Steps& steps, Client& client) {
    steps.begin("A binary message");
    const std::string_view bytes("\x00\x01\x7f\x80\xfe\xff", 6);
    if (expect_echo(steps, client, client.send_binary(as_bytes(bytes)), Opcode::binary, bytes)) {
        Steps::show("sent and received: " + hex_dump(as_bytes(bytes)));
    }
}

void large(Steps& steps, Client& client) {
    steps.begin("One mebibyte, compared byte for byte");
    const std::string bytes = pattern();
    const auto before = Clock::now();
    if (expect_echo(steps, client, client.send_binary(as_bytes(bytes)), Opcode::binary, bytes)) {
        Steps::show(fmt::format("{} bytes went out and came back the same in {:.1f} ms", bytes.size(),
                                milliseconds(Clock::now() - before)));
    }
}

void ping(Steps& steps, Client& client, std::future<void> pong) {
    steps.begin("A ping");
    const auto before = Clock::now();
    const std::error_code error = client.ping("are you there?");
    if (!steps.expect(!error, error.message())) return;
    if (!steps.expect(pong.wait_for(patience) == std::future_status::ready, "no pong came")) return;
    Steps::show(fmt::format("the pong came back after {:.3f} ms", milliseconds(Clock::now() - before)));
}

void goodbye(Steps& steps, Client& client, std::future<CloseInfo> closed) {
    steps.begin("A clean close");
    const std::error_code error = client.close(CloseCode::normal, "that was all");
    if (!steps.expect(!error, error.message())) return;
    if (!steps.expect(closed.wait_for(patience) == std::future_status::ready, "the connection did not end")) return;
    const CloseInfo info = closed.get();
    if (!steps.expect(info.clean(), info.error.message())) return;
    Steps::show(fmt::format("we said {} \"that was all\", the server answered {}",
                            static_cast<unsigned>(info.sent_code), static_cast<unsigned>(info.code)));
}

void refused(Steps& steps) {
    steps.begin("A server that is not there");
    const std::string url = fmt::format("ws://127.0.0.1:{}", closed_port());
    Client client{{.url = url}};
    Steps::show("connecting to " + url);
    const Error error = client.connect();
    if (steps.expect(error == Errc::connection_refused, "expected a refusal, got: " + error.message())) {
        Steps::show("error: " + error.message());
    }
}

}  // namespace

int demo(const std::string& url) {
    Steps steps;
    Client client{{.url = url, .reconnect = {.enabled = false}}};
    std::promise<void> pong;
    std::promise<CloseInfo> closed;
    static_cast<void>(client.on_event([&](const Event& event) {
        if (event.kind == Event::Kind::pong && as_text(event.bytes) == "are you there?") pong.set_value();
        if (event.kind == Event::Kind::closed) closed.set_value(*event.close);
    }));

    steps.begin("Connect to " + url);
    const auto before = Clock::now();
    if (const Error error = client.connect()) {
        steps.expect(false, error.message());
        return exit_code(error);
    }
    Steps::show(fmt::format("open after {:.1f} ms: name resolved, TCP connected, upgraded to a WebSocket",
                            milliseconds(Clock::now() - before)));
    text(steps, client);
    fragments(steps, client);
    binary(steps, client);
    large(steps, client);
    ping(steps, client, pong.get_future());
    goodbye(steps, client, closed.get_future());
    refused(steps);

    fmt::print("\n{}\n", steps.good() ? "All of it went as it should." : "Something went wrong, see above.");
    return steps.good() ? exit_ok : exit_failure;
}

}  // namespace tern::cli
