// Random operations on a whole client: what the user wants, what the world reports and what the server says, in any
// order. Nothing may crash or hang, a life that has ended makes no more events, and after a timeout no deadline has
// passed.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <tern/core.hpp>

using namespace tern;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

class FixedCrypto final : public Crypto {
public:
    bool random_bytes(std::span<std::byte> out) override {
        std::fill(out.begin(), out.end(), std::byte{7});
        return true;
    }
    std::array<std::byte, 20> sha1(Bytes) override { return {}; }
    std::string base64(Bytes bytes) override { return bytes.size() == 20 ? "accept" : "key"; }
};

constexpr std::string_view accepted =
    "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: accept\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

class Player {
public:
    Player(std::string_view script, const Config& config) : script_(script), core_(config, crypto_) {}

    void play() {
        while (!script_.empty()) {
            step();
            pump();
        }
        core_.stop(now_);
        pump();
        require(core_.state() == State::idle);
    }

private:
    unsigned byte() {
        if (script_.empty()) return 0;
        const auto value = static_cast<unsigned char>(script_.front());
        script_.remove_prefix(1);
        return value;
    }
    std::string_view bytes() {
        const std::size_t size = std::min<std::size_t>(byte(), script_.size());
        const std::string_view taken = script_.substr(0, size);
        script_.remove_prefix(size);
        return taken;
    }
    void step() {
        const Address address{.port = 80, .bytes = {192, 0, 2, 1}};
        switch (byte() % 18) {
            case 0:
                static_cast<void>(core_.start(byte() % 2 == 0 ? StartMode::once : StartMode::keep_trying, now_));
                return;
            case 1: core_.on_resolved(id(), {&address, 1}, {}, now_); return;
            case 2: core_.on_resolved(id(), {}, Errc::host_not_found, now_); return;
            case 3: core_.on_connected(id(), {}, now_); return;
            case 4: core_.on_connected(id(), Errc::connection_refused, now_); return;
            case 5: receive(accepted); return;
            case 6: receive(bytes()); return;
            case 7: core_.on_eof(id(), now_); return;
            case 8: core_.on_io_error(id(), Errc::connection_reset, now_); return;
            case 9: static_cast<void>(core_.send(Opcode::text, as_bytes(bytes()))); return;
            case 10:
                static_cast<void>(core_.send(Opcode::binary, as_bytes(bytes()), {.compress = Compress::always}));
                return;
            case 11:
                static_cast<void>(core_.send_part(static_cast<Opcode>(byte() % 3), as_bytes(bytes()), byte() % 2 == 0));
                return;
            case 12: static_cast<void>(core_.ping(as_bytes(bytes()))); return;
            case 13:
                static_cast<void>(core_.close(CloseCode{static_cast<std::uint16_t>(1000 + byte())}, bytes()));
                return;
            case 14:
                now_ += std::chrono::milliseconds(byte() * 100);
                core_.on_timeout(now_);
                pump();
                require(!core_.deadline() || *core_.deadline() > now_);
                return;
            case 15: core_.stop(now_); return;
            case 16: take_bytes(byte()); return;
            case 17:
                switch (byte() % 2) {
                    case 0: core_.reconnect_now(now_); return;
                    default: static_cast<void>(core_.refresh(now_)); return;
                }
        }
    }
    /// Of the stream that was named last, or another.
    StreamId id() { return byte() % 4 == 0 ? byte() : last_; }
    void receive(std::string_view text) {
        const StreamId stream = id();
        while (!text.empty()) {
            const std::span<std::byte> space = core_.rx_space(stream);
            if (space.empty()) return;
            const std::size_t size = std::min(space.size(), text.size());
            std::memcpy(space.data(), text.data(), size);
            core_.rx_commit(stream, size, now_);
            text.remove_prefix(size);
            pump();
        }
    }
    void take_bytes(std::size_t limit) {
        std::array<Bytes, 4> pieces;
        std::size_t size = 0;
        const std::size_t count = core_.tx(last_, pieces);
        for (std::size_t i = 0; i < count; ++i) size += pieces[i].size();
        if (count != 0) core_.tx_consume(last_, std::min(size, limit));
    }
    void pump() {
        for (bool again = true; again;) {
            again = false;
            core_.settle(now_);
            for (Command command; core_.next(command);) {
                if (command.kind != Command::Kind::close && command.kind != Command::Kind::half_close)
                    last_ = command.id;
            }
            for (Event event; core_.next(event);) {
                again = true;
                if (event.kind == Event::Kind::message) require(event.bytes.size() <= 4096);
            }
        }
    }

    std::string_view script_;
    FixedCrypto crypto_;
    ClientCore core_;
    TimePoint now_{std::chrono::hours(1)};
    StreamId last_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    Config config{.url = "ws://host.example/", .receive_buffer = 4096};
    config.limits.max_message_size = 4096;
    config.limits.max_send_queue = 4096;
    if ((data[0] & 1u) != 0) config.delivery = Delivery::chunks;
    if ((data[0] & 2u) != 0) config.fragment_size = 16;
    if ((data[0] & 4u) != 0) config.offline_queue.max_bytes = 1000;
    if ((data[0] & 8u) != 0) config.limits.max_memory = 128u << 10u;
    Player({reinterpret_cast<const char*>(data + 1), size - 1}, config).play();
    return 0;
}
