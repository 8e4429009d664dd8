// Every allocation of payload memory in a life with compression fails once, in turn: the blocks of the core, the
// segments of what waits to be sent, and what zlib asks for. No crash, no hang, no message that is not what was sent, a
// clear error. The linker hands every malloc and realloc of the library to the saboteur here (see CMakeLists.txt);
// operator new, which has its own promise (SECURITY.md), is left alone.
#include <array>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <zlib.h>

#include <tern/core.hpp>

namespace {
long countdown = -1;  // the allocation that fails; negative: none
long seen = 0;
bool fails() {
    ++seen;
    return countdown >= 0 && countdown-- == 0;
}
}  // namespace

extern "C" {
void* __real_malloc(std::size_t size);
void* __real_realloc(void* memory, std::size_t size);
void* __wrap_malloc(std::size_t size) { return fails() ? nullptr : __real_malloc(size); }
void* __wrap_realloc(void* memory, std::size_t size) { return fails() ? nullptr : __real_realloc(memory, size); }
}

[[gnu::noinline]] void* operator new(std::size_t size) {
    if (void* memory = __real_malloc(size)) return memory;
    std::abort();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace tern {
namespace {

std::string prose(std::size_t size) {
    std::string text;
    while (text.size() < size) text += "number " + std::to_string(text.size() * 7919) + "; ";
    text.resize(size);
    return text;
}

/// A compressed message as a server sends it.
std::string compressed(const std::string& message) {
    z_stream z{};
    z.zalloc = [](voidpf, uInt items, uInt size) -> voidpf { return __real_malloc(std::size_t{items} * size); };
    z.zfree = [](voidpf, voidpf memory) { std::free(memory); };
    deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
    std::string data(message.size() + 100, '\0');
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(message.data()));
    z.avail_in = static_cast<uInt>(message.size());
    z.next_out = reinterpret_cast<Bytef*>(data.data());
    z.avail_out = static_cast<uInt>(data.size());
    deflate(&z, Z_SYNC_FLUSH);
    data.resize(data.size() - z.avail_out - 4);
    deflateEnd(&z);
    std::string frame = "\xc1\x7f";
    for (int shift = 56; shift >= 0; shift -= 8) frame += static_cast<char>(data.size() >> shift & 0xffu);
    if (data.size() < 65536)
        frame = std::string("\xc1\x7e") + static_cast<char>(data.size() >> 8u) + static_cast<char>(data.size());
    return frame + data;
}

/// What came of a life.
struct Life {
    std::vector<Errc> send_errors;
    std::vector<std::string> received;
    Errc end{};
    bool ended = false;
};

Life live(Delivery delivery) {
    Life life;
    TimePoint now{std::chrono::hours(1)};
    Config config{.url = "ws://192.0.2.1/", .delivery = delivery, .reconnect = {.enabled = false}};
    ClientCore core(config, default_crypto());
    const Error started = core.start(StartMode::once, now);
    EXPECT_FALSE(started);
    Command command;
    StreamId stream = 0;
    std::string sent;
    std::string chunks;
    const auto pump = [&] {
        for (bool again = true; again;) {
            again = false;
            core.settle(now);
            std::array<Bytes, 4> pieces;
            while (const std::size_t count = core.tx(stream, pieces)) {
                std::size_t size = 0;
                for (std::size_t i = 0; i < count; ++i) {
                    sent += as_text(pieces[i]);
                    size += pieces[i].size();
                }
                core.tx_consume(stream, size);
            }
            core.settle(now);
            for (Event event; core.next(event);) {
                again = true;
                if (event.kind == Event::Kind::message) life.received.emplace_back(as_text(event.bytes));
                if (event.kind == Event::Kind::chunk) {
                    chunks += as_text(event.bytes);
                    if (event.chunk.last) life.received.push_back(std::exchange(chunks, {}));
                }
                if (event.kind == Event::Kind::failed || event.kind == Event::Kind::closed) {
                    life.end = event.error->errc();
                    life.ended = true;
                }
            }
        }
    };
    const auto receive = [&](std::string_view bytes) {
        while (!bytes.empty()) {
            const std::span<std::byte> space = core.rx_space(stream);
            if (space.empty()) return;
            const std::size_t size = std::min(space.size(), bytes.size());
            std::memcpy(space.data(), bytes.data(), size);
            core.rx_commit(stream, size, now);
            bytes.remove_prefix(size);
            pump();
        }
    };
    while (core.next(command)) {
        const Address address{.port = 80, .bytes = {192, 0, 2, 1}};
        if (command.kind == Command::Kind::resolve) core.on_resolved(command.id, {&address, 1}, {}, now);
        if (command.kind == Command::Kind::connect) {
            stream = command.id;
            core.on_connected(stream, {}, now);
        }
    }
    pump();
    if (!life.ended) {
        const std::string name = "Sec-WebSocket-Key: ";
        const std::string key = sent.substr(sent.find(name) + name.size(), 24);
        const auto digest = default_crypto().sha1(as_bytes(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
        receive(
            "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Extensions: "
            "permessage-deflate; "
            "server_no_context_takeover; client_no_context_takeover\r\nSec-WebSocket-Accept: " +
            default_crypto().base64(digest) + "\r\n\r\n");
    }
    const auto note = [&](std::error_code error) {
        if (error) life.send_errors.push_back(static_cast<Errc>(error.value()));
    };
    for (int i = 0; i < 2 && core.state() == State::open; ++i) {
        note(core.send(Opcode::text, as_bytes(prose(200'000))));
        note(core.send_part(Opcode::text, as_bytes(prose(1000)), false));
        note(core.send_part(Opcode::continuation, as_bytes(prose(1000)), true));
        pump();
        receive(compressed(prose(150'000)) + "\x89\x01x");
    }
    if (core.state() == State::open) note(core.close());
    pump();
    receive("\x88\x02\x03\xe8");
    if (!life.ended) {
        core.on_eof(stream, now);
        pump();
    }
    if (!life.ended) core.stop(now);
    pump();
    return life;
}

class Failing : public testing::TestWithParam<Delivery> {};

TEST_P(Failing, EachAllocationOnce) {
    countdown = -1;
    seen = 0;
    const Life good = live(GetParam());
    ASSERT_TRUE(good.send_errors.empty());
    ASSERT_EQ(good.received, (std::vector<std::string>{prose(150'000), prose(150'000)}));
    ASSERT_EQ(good.end, Errc::closed_locally);
    const long all = seen;
    ASSERT_GT(all, 30);
    int noticed = 0;
    for (long which = 0; which < all; ++which) {
        SCOPED_TRACE("allocation " + std::to_string(which) + " of " + std::to_string(all));
        countdown = which;
        const Life life = live(GetParam());
        countdown = -1;
        EXPECT_TRUE(life.ended);
        for (const std::string& message : life.received) EXPECT_EQ(message, prose(150'000));
        for (const Errc error : life.send_errors) {
            // What follows a part that was refused is refused for that.
            EXPECT_TRUE(error == Errc::out_of_memory || error == Errc::no_message_in_progress ||
                        error == Errc::message_in_progress)
                << error_row(error)->name;
        }
        EXPECT_TRUE(life.end == Errc::closed_locally || life.end == Errc::out_of_memory) << error_row(life.end)->name;
        if (life.end == Errc::out_of_memory || !life.send_errors.empty()) ++noticed;
    }
    EXPECT_GT(noticed, 5);
}

INSTANTIATE_TEST_SUITE_P(Deliveries, Failing, testing::Values(Delivery::messages, Delivery::chunks));

}  // namespace
}  // namespace tern
