// A fixed piece of work through ClientCore in memory, for counting instructions (bench/instructions.py). The same input
// takes the same way each time: keys come from a counter, time stands still, and no address decides anything.
//
//     instructions receive|text|send|echo|large|open|nothing
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tern/core.hpp>

namespace {

using tern::Bytes;

constexpr tern::TimePoint now{std::chrono::hours(1)};

/// Everything but SHA-1 and Base64, which the handshake needs to be right.
class CountingCrypto final : public tern::Crypto {
public:
    bool random_bytes(std::span<std::byte> out) override {
        for (std::byte& each : out) each = static_cast<std::byte>(seed_ = seed_ * 1'664'525u + 1'013'904'223u);
        return true;
    }
    std::array<std::byte, 20> sha1(Bytes bytes) override { return tern::default_crypto().sha1(bytes); }
    std::string base64(Bytes bytes) override { return tern::default_crypto().base64(bytes); }

private:
    std::uint32_t seed_ = 1;
};

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "%s\n", what);
    std::_Exit(1);
}

/// The core, and a world in which everything that it wants happens at once.
class World {
public:
    World() : core_(config(), crypto_) {
        if (core_.start(tern::StartMode::once, now)) fail("start");
        const auto none = [](const tern::Event&) {};
        std::string request;
        while (request.find("\r\n\r\n") == std::string::npos) {
            pump(none);
            request += out_;
            out_.clear();
        }
        constexpr std::string_view name = "Sec-WebSocket-Key: ";
        const std::size_t at = request.find(name) + name.size();
        const std::string key =
            request.substr(at, request.find("\r\n", at) - at) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
        receive(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
                crypto_.base64(crypto_.sha1(tern::as_bytes(key))) + "\r\n\r\n",
            none);
        if (core_.state() != tern::State::open) fail("not open");
    }

    /// As a driver does it: into the core's own memory, as much as it has room for.
    template <class Handler>
    void receive(std::string_view bytes, const Handler& handler) {
        while (!bytes.empty()) {
            const std::span<std::byte> room = core_.rx_space(stream_);
            const std::size_t size = std::min(room.size(), bytes.size());
            if (size == 0) fail("no room");
            std::memcpy(room.data(), bytes.data(), size);
            core_.rx_commit(stream_, size, now);
            bytes.remove_prefix(size);
            pump(handler);
        }
    }
    void send(tern::Opcode opcode, Bytes payload) {
        if (core_.send(opcode, payload)) fail("send");
    }
    /// The kernel takes everything.
    void drain() {
        std::array<Bytes, 4> pieces;
        while (const std::size_t count = core_.tx(stream_, pieces)) {
            std::size_t size = 0;
            for (std::size_t i = 0; i < count; ++i) size += pieces[i].size();
            if (core_.state() != tern::State::open) {
                for (std::size_t i = 0; i < count; ++i) out_ += tern::as_text(pieces[i]);
            }
            core_.tx_consume(stream_, size);
        }
    }
    template <class Handler>
    void pump(const Handler& handler) {
        for (bool again = true; again;) {
            again = false;
            core_.settle(now);
            if (stream_ != 0) drain();
            core_.settle(now);
            tern::Command command;
            while (core_.next(command)) run(command);
            tern::Event event;
            while (core_.next(event)) {
                handler(event);
                again = true;
            }
        }
    }

private:
    static tern::Config config() {
        tern::Config config{.url = "ws://192.0.2.1/"};
        config.compression.enabled = false;
        return config;
    }
    void run(const tern::Command& command) {
        if (command.kind == tern::Command::Kind::resolve) {
            const tern::Address address{.port = command.port, .bytes = {192, 0, 2, 1}};
            core_.on_resolved(command.id, std::span(&address, 1), {}, now);
        } else if (command.kind == tern::Command::Kind::connect) {
            stream_ = command.id;
            core_.on_connected(command.id, {}, now);
        }
    }

    CountingCrypto crypto_;
    tern::ClientCore core_;
    tern::StreamId stream_ = 0;
    std::string out_;
};

std::string frame(unsigned first_byte, const std::string& payload) {
    std::string bytes(1, static_cast<char>(first_byte));
    if (payload.size() <= 125) {
        bytes += static_cast<char>(payload.size());
    } else if (payload.size() <= 0xFFFF) {
        bytes += static_cast<char>(126);
        bytes += static_cast<char>(payload.size() >> 8u);
        bytes += static_cast<char>(payload.size() & 0xFFu);
    } else {
        bytes += static_cast<char>(127);
        for (unsigned shift = 64; shift > 0; shift -= 8)
            bytes += static_cast<char>((payload.size() >> (shift - 8)) & 0xFFu);
    }
    return bytes + payload;
}

void receive(World& world, unsigned first_byte, const std::string& payload, int count) {
    const std::string one = frame(first_byte, payload);
    std::string all;
    while (all.size() + one.size() <= (64u << 10u) || all.empty()) all += one;
    const auto in_block = static_cast<int>(all.size() / one.size());
    std::size_t sum = 0;
    for (int i = 0; i < count; i += in_block) {
        world.receive(all, [&sum](const tern::Event& event) { sum += event.bytes.size(); });
    }
    if (sum == 0) fail("nothing came");
}

void send(World& world, std::size_t size, int count) {
    const std::string payload(size, 'x');
    for (int i = 0; i < count; ++i) {
        world.send(tern::Opcode::binary, tern::as_bytes(payload));
        if (i % 256 == 255) world.pump([](const tern::Event&) {});
    }
}

void echo(World& world, int count) {
    const std::string one = frame(0x82, std::string(32, 'x'));
    for (int i = 0; i < count; ++i) {
        world.receive(one, [&world](const tern::Event& event) {
            if (event.kind == tern::Event::Kind::message) world.send(tern::Opcode::binary, event.bytes);
        });
    }
}

std::string greek(std::size_t size) {
    std::string text;
    while (text.size() + 2 <= size) text += "α";
    return text;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view what = argc == 2 ? argv[1] : "";
    World world;
    if (what == "receive") {
        receive(world, 0x82, std::string(128, 'x'), 50'000);
    } else if (what == "text") {
        receive(world, 0x81, greek(128), 20'000);
    } else if (what == "send") {
        send(world, 128, 50'000);
    } else if (what == "echo") {
        echo(world, 10'000);
    } else if (what == "large") {
        receive(world, 0x82, std::string(1u << 20u, 'x'), 10);
        send(world, 1u << 20u, 10);
    } else if (what == "open") {
        for (int i = 0; i < 200; ++i) World();
    } else if (what != "nothing") {
        std::fprintf(stderr, "usage: instructions receive|text|send|echo|large|open|nothing\n");
        return 2;
    }
}
