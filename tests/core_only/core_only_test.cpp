// The core without exceptions and RTTI is whole: it links, and goes from a URL to an open connection and an echo.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <tern/core.hpp>

namespace {

void require(bool right, const char* what) {
    if (right) return;
    std::printf("failed: %s\n", what);
    std::exit(1);
}

/// No cryptography: the core only has to pass it on.
class FakeCrypto final : public tern::Crypto {
public:
    bool random_bytes(std::span<std::byte> out) override {
        for (std::byte& byte : out) byte = std::byte{7};
        return true;
    }
    std::array<std::byte, 20> sha1(tern::Bytes) override { return {}; }
    std::string base64(tern::Bytes bytes) override { return bytes.size() == 20 ? "accept" : "key"; }
};

void feed(tern::ClientCore& core, tern::StreamId stream, const std::string& bytes, tern::TimePoint now) {
    const std::span<std::byte> space = core.rx_space(stream);
    require(space.size() >= bytes.size(), "room to receive");
    std::memcpy(space.data(), bytes.data(), bytes.size());
    core.rx_commit(stream, bytes.size(), now);
}

}  // namespace

int main() {
    FakeCrypto crypto;
    const tern::TimePoint now{std::chrono::hours(1)};
    tern::ClientCore core({.url = "ws://device.example/"}, crypto);
    require(!core.start(tern::StartMode::once, now), "start");
    tern::Command command;
    require(core.next(command) && command.kind == tern::Command::Kind::resolve && command.host == "device.example",
            "resolve");
    const tern::Address address{.port = 80, .bytes = {192, 0, 2, 1}};
    core.on_resolved(command.id, {&address, 1}, {}, now);
    require(core.next(command) && command.kind == tern::Command::Kind::connect, "connect");
    const tern::StreamId stream = command.id;
    core.on_connected(stream, {}, now);

    std::array<tern::Bytes, 4> pieces;
    require(core.tx(stream, pieces) == 1, "request");
    core.tx_consume(stream, pieces[0].size());
    feed(core, stream,
         "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
         "accept\r\n\r\n\x81\x02hi",
         now);

    bool open = false;
    bool message = false;
    for (tern::Event event; core.next(event);) {
        open = open || event.kind == tern::Event::Kind::open;
        if (event.kind != tern::Event::Kind::message) continue;
        message = event.message().text() == "hi";
        require(!core.send(event.opcode, event.bytes), "send");
    }
    core.settle(now);
    require(open && message, "events");
    require(core.tx(stream, pieces) == 1 && pieces[0].size() == 8, "the echo");
    require(core.deadline().has_value(), "a ping is due some time");
    require(core.send(tern::Opcode::text, tern::as_bytes("\xff")) == tern::Errc::outgoing_text_not_utf8, "misuse");
    std::puts("the core works without exceptions and RTTI");
}
