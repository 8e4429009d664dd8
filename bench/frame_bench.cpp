// Frames in and out, each beside the slowest honest way: byte by byte, and copied where the fast path lends.
#include "frame.hpp"

#include <array>
#include <cstddef>
#include <cstring>
#include <vector>

#include <benchmark/benchmark.h>

#include <tern/core.hpp>

#include "message_reader.hpp"
#include "outbox.hpp"
#include "reference/mask_reference.hpp"

namespace tern::core {
namespace {

constexpr std::size_t window = 64u << 10u;

/// As many unmasked binary frames of one size as fit into one read.
std::vector<std::byte> server_frames(std::size_t payload) {
    std::vector<std::byte> bytes;
    do {
        bytes.push_back(std::byte{0x82});
        if (payload <= 125) {
            bytes.push_back(static_cast<std::byte>(payload));
        } else {
            bytes.push_back(std::byte{126});
            bytes.push_back(static_cast<std::byte>(payload >> 8u));
            bytes.push_back(static_cast<std::byte>(payload & 0xffu));
        }
        bytes.resize(bytes.size() + payload, std::byte{'x'});
    } while (bytes.size() + payload + 4 <= window);
    return bytes;
}

void read_messages(benchmark::State& state) {
    const std::vector<std::byte> frames = server_frames(static_cast<std::size_t>(state.range(0)));
    Block memory = Block::allocate(window);
    std::int64_t messages = 0;
    MessageReader reader(Delivery::messages, 16u << 20u);
    Event event;
    for (auto _ : state) {
        Buffer in(memory.span());
        std::memcpy(in.writable().data(), frames.data(), frames.size());
        in.commit(frames.size());
        while (reader.next(in, event) == MessageReader::Status::event) {
            benchmark::DoNotOptimize(event.bytes.data());
            ++messages;
        }
    }
    state.SetItemsProcessed(messages);
}

/// Reads one byte at a time and copies every payload into a fresh string.
void read_messages_slowly(benchmark::State& state) {
    const std::vector<std::byte> frames = server_frames(static_cast<std::size_t>(state.range(0)));
    std::vector<std::byte> memory(window);
    std::int64_t messages = 0;
    for (auto _ : state) {
        std::memcpy(memory.data(), frames.data(), frames.size());
        for (std::size_t at = 0; at < frames.size(); ++messages) {
            std::size_t length = std::to_integer<std::size_t>(memory[at + 1]);
            at += 2;
            if (length == 126) {
                length = std::to_integer<std::size_t>(memory[at]) * 256 + std::to_integer<std::size_t>(memory[at + 1]);
                at += 2;
            }
            std::string payload;
            for (std::size_t i = 0; i < length; ++i) payload += static_cast<char>(memory[at + i]);
            benchmark::DoNotOptimize(payload.data());
            at += length;
        }
    }
    state.SetItemsProcessed(messages);
}

void write_frames(benchmark::State& state) {
    const std::vector<std::byte> payload(static_cast<std::size_t>(state.range(0)), std::byte{'x'});
    Outbox outbox(default_crypto(), 16u << 20u);
    std::array<Bytes, 4> pieces;
    std::int64_t messages = 0;
    for (auto _ : state) {
        while (outbox.queued() < window) {
            if (outbox.push(Opcode::binary, payload, true)) state.SkipWithError("refused");
            ++messages;
        }
        while (outbox.queued() > 0) {
            std::size_t size = 0;
            for (std::size_t i = outbox.front(pieces); i > 0; --i) size += pieces[i - 1].size();
            outbox.consume(size);
        }
    }
    state.SetItemsProcessed(messages);
}

/// A fresh vector a frame, masked byte by byte, with a key from the generator for each.
void write_frames_slowly(benchmark::State& state) {
    const std::vector<std::byte> payload(static_cast<std::size_t>(state.range(0)), std::byte{'x'});
    for (auto _ : state) {
        MaskKey key;
        if (!default_crypto().random_bytes(key)) state.SkipWithError("no entropy");
        std::vector<std::byte> frame(frame_header_size(payload.size()));
        write_frame_header(frame.data(), Opcode::binary, true, payload.size(), key);
        for (std::size_t i = 0; i < payload.size(); ++i) frame.push_back(payload[i] ^ key[i % 4]);
        benchmark::DoNotOptimize(frame.data());
    }
    state.SetItemsProcessed(state.iterations());
}

BENCHMARK(read_messages)->Arg(16)->Arg(128)->Arg(1024)->Arg(16384);
BENCHMARK(read_messages_slowly)->Arg(16)->Arg(128)->Arg(1024)->Arg(16384);
BENCHMARK(write_frames)->Arg(16)->Arg(128)->Arg(1024)->Arg(16384);
BENCHMARK(write_frames_slowly)->Arg(16)->Arg(128)->Arg(1024)->Arg(16384);

}  // namespace
}  // namespace tern::core
