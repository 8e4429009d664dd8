// No allocation per message: neither on the way in nor on the way out, once a connection has seen some traffic. And
// `limits.max_memory` is a ceiling for what the allocator really gives.
// The linker hands every malloc and realloc of the library to the counter here (see CMakeLists.txt).
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <new>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include <tern/core.hpp>

namespace {
std::size_t allocations = 0;
std::size_t live = 0;  ///< Bytes.
std::size_t peak = 0;  ///< The most that was live.

void count(std::size_t freed, void* memory) {
    live = live - freed + (memory != nullptr ? malloc_usable_size(memory) : 0);
    peak = std::max(peak, live);
}
}  // namespace

extern "C" {
void* __real_malloc(std::size_t size);
void* __real_realloc(void* memory, std::size_t size);
void* __wrap_malloc(std::size_t size) {
    ++allocations;
    void* memory = __real_malloc(size);
    count(0, memory);
    return memory;
}
void* __wrap_realloc(void* memory, std::size_t size) {
    ++allocations;
    const std::size_t before = memory != nullptr ? malloc_usable_size(memory) : 0;
    void* moved = __real_realloc(memory, size);
    if (moved != nullptr) count(before, moved);
    return moved;
}
void __real_free(void* memory);
void __wrap_free(void* memory) {
    live -= memory != nullptr ? malloc_usable_size(memory) : 0;
    __real_free(memory);
}
}

[[gnu::noinline]] void* operator new(std::size_t size) {
    if (void* memory = std::malloc(size)) return memory;
    std::abort();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace tern {
namespace {

/// A core with an open connection, driven by hand.
class OpenCore {
public:
    explicit OpenCore(Config config = {.url = "ws://192.0.2.1/"}) : core_(std::move(config), default_crypto()) {
        EXPECT_FALSE(core_.start(StartMode::once, now_));
        Command command;
        EXPECT_TRUE(core_.next(command));
        const Address address{.port = 80, .bytes = {192, 0, 2, 1}};
        core_.on_resolved(command.id, {&address, 1}, {}, now_);
        EXPECT_TRUE(core_.next(command));
        stream_ = command.id;
        core_.on_connected(stream_, {}, now_);
        upgrade();
        EXPECT_EQ(core_.state(), State::open);
        take_events();
    }

    /// As much of it as the core takes.
    void pour(Bytes bytes) {
        while (!bytes.empty()) {
            const std::span<std::byte> space = core_.rx_space(stream_);
            const std::size_t size = std::min(space.size(), bytes.size());
            if (size == 0) return;
            std::memcpy(space.data(), bytes.data(), size);
            core_.rx_commit(stream_, size, now_);
            bytes = bytes.subspan(size);
            take_events();
        }
    }
    void receive(Bytes bytes) {
        const std::span<std::byte> space = core_.rx_space(stream_);
        ASSERT_GE(space.size(), bytes.size());
        std::memcpy(space.data(), bytes.data(), bytes.size());
        core_.rx_commit(stream_, bytes.size(), now_);
    }
    std::size_t take_events() {
        std::size_t messages = 0;
        for (Event event; core_.next(event);) messages += event.kind == Event::Kind::message ? 1 : 0;
        core_.settle(now_);
        return messages;
    }
    /// Everything that waits, as the network would take it.
    std::string transmit() {
        std::string sent;
        std::array<Bytes, 4> pieces;
        while (const std::size_t count = core_.tx(stream_, pieces)) {
            std::size_t size = 0;
            for (std::size_t i = 0; i < count; ++i) {
                if (keep_) sent += as_text(pieces[i]);
                size += pieces[i].size();
            }
            core_.tx_consume(stream_, size);
        }
        return sent;
    }
    ClientCore& core() { return core_; }

private:
    void upgrade() {
        keep_ = true;
        const std::string request = transmit();
        keep_ = false;
        const std::string name = "Sec-WebSocket-Key: ";
        const std::string key = request.substr(request.find(name) + name.size(), 24);
        const auto digest = default_crypto().sha1(as_bytes(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
        receive(
            as_bytes("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: " +
                     default_crypto().base64(digest) + "\r\n\r\n"));
    }

    TimePoint now_{std::chrono::hours(1)};
    ClientCore core_;
    StreamId stream_ = 0;
    bool keep_ = false;
};

/// As many text frames as fit into one read.
std::string frames(std::size_t payload) {
    std::string bytes;
    while (bytes.size() + payload + 4 < 64u << 10u) {
        bytes += '\x81';
        if (payload > 125) bytes += {'\x7e', static_cast<char>(payload >> 8u)};
        bytes += static_cast<char>(payload & 0xffu);
        bytes.append(payload, 'x');
    }
    return bytes;
}

class Allocation : public testing::TestWithParam<std::size_t> {};

TEST_P(Allocation, ReceivingMessagesAllocatesNothing) {
    OpenCore open;
    const std::string bytes = frames(GetParam());
    open.receive(as_bytes(bytes));
    ASSERT_GT(open.take_events(), 0u);
    const std::size_t before = allocations;
    for (int i = 0; i < 10; ++i) {
        open.receive(as_bytes(bytes));
        ASSERT_GT(open.take_events(), 0u);
    }
    EXPECT_EQ(allocations, before);
}

TEST_P(Allocation, SendingMessagesAllocatesNothing) {
    OpenCore open;
    const std::string payload(GetParam(), 'x');
    const auto burst = [&] {
        for (int i = 0; i < 3; ++i) ASSERT_FALSE(open.core().send(Opcode::text, as_bytes(payload)));
        static_cast<void>(open.transmit());
    };
    for (int i = 0; i < 400; ++i) burst();  // masking keys are drawn more at a time when more are used
    const std::size_t before = allocations;
    // 200 bursts draw masking keys from the generator a few times too; OpenSSL's own memory is not counted.
    for (int i = 0; i < 200; ++i) burst();
    EXPECT_EQ(allocations, before);
}

TEST(AllocationCounter, Counts) {
    const std::size_t before = allocations;
    ClientCore core({.url = "ws://192.0.2.1/"}, default_crypto());
    EXPECT_GT(allocations, before);
}

/// What belongs to a client however little it does: objects, configuration, the handshake that an event tells of.
constexpr std::size_t fixed = 32u << 10u;

class Ceiling : public testing::TestWithParam<std::size_t> {
protected:
    static Config config() {
        Config one{.url = "ws://192.0.2.1/"};
        one.receive_buffer = 16u << 10u;
        one.limits.max_memory = GetParam();
        one.offline_queue.max_bytes = 100u << 20u;
        return one;
    }
    void expect_kept() const {
        EXPECT_LE(peak - before_, GetParam() + fixed);
        EXPECT_GE(peak - before_, GetParam() / 2) << "the test does not come near the ceiling";
    }
    Ceiling() { peak = before_ = live; }
    std::size_t before_ = 0;
};

TEST_P(Ceiling, HoldsForAMessageThatGrows) {
    OpenCore open(config());
    std::string chunk = std::string("\x02\x7e\x40\x00", 4) + std::string(16u << 10u, 'x');
    for (int i = 0; i < 2000 && open.core().state() == State::open; ++i) {
        open.pour(as_bytes(chunk));
        chunk[0] = 0;  // what follows is a continuation
        static_cast<void>(open.transmit());
        open.core().settle(TimePoint(std::chrono::hours(1)));
    }
    EXPECT_NE(open.core().state(), State::open) << "32 MiB have been taken";
    expect_kept();
}

TEST_P(Ceiling, HoldsForWhatIsSentAndKept) {
    OpenCore open(config());
    const std::string message(1000, 'x');
    std::size_t accepted = 0;
    while (accepted < 100'000 && !open.core().send(Opcode::binary, as_bytes(message))) ++accepted;
    EXPECT_LT(accepted, 100'000u);
    expect_kept();
    EXPECT_LE(open.core().stats().memory, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Bytes, Ceiling, testing::Values(256u << 10u, 1u << 20u, 4u << 20u));
INSTANTIATE_TEST_SUITE_P(Sizes, Allocation, testing::Values(16, 128, 1024));

}  // namespace
}  // namespace tern
