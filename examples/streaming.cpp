// A large message in both directions without ever holding it: sent in parts, received in chunks.
//     build/release/example_streaming ws://localhost:9001
#include <chrono>
#include <cstddef>
#include <future>
#include <iostream>
#include <thread>
#include <vector>

#include <tern/tern.hpp>

namespace {

constexpr std::size_t part_size = 64u << 10u;
constexpr std::size_t parts = 64;

std::byte pattern(std::size_t position) { return static_cast<std::byte>(position * 31u >> 3u); }

/// Sends one part, waiting while the queue is full. False if the connection has ended.
bool send_part(tern::Client& client, tern::Opcode opcode, tern::Bytes bytes, bool fin) {
    for (;;) {
        const std::error_code error = client.send_part(opcode, bytes, fin);
        if (error != tern::Errc::send_queue_full) return !error;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

}  // namespace

int main(int argc, char** argv) {
    tern::Client client{{.url = argc > 1 ? argv[1] : "ws://localhost:9001",
                         .delivery = tern::Delivery::chunks,
                         .limits = {.max_message_size = parts * part_size, .max_send_queue = 4 * part_size},
                         .reconnect = {.enabled = false}}};
    std::promise<bool> opened;
    std::promise<bool> ended;
    std::size_t received = 0;
    std::size_t wrong = 0;

    client.on_open([&](const tern::Handshake&) { opened.set_value(true); });
    client.on_chunk([&](const tern::ChunkView& chunk) {
        for (const std::byte byte : chunk.bytes) wrong += byte != pattern(received++) ? 1u : 0u;
        if (chunk.last) client.close();
    });
    client.on_close([&](const tern::CloseInfo& info) { ended.set_value(info.clean()); });
    client.on_error([&](const tern::Error& error, bool is_final) {
        std::cerr << error.message() << '\n';
        if (is_final) opened.set_value(false);
    });

    if (const tern::Error error = client.start()) {
        std::cerr << error.message() << '\n';
        return 1;
    }
    if (!opened.get_future().get()) return 1;

    std::vector<std::byte> part(part_size);
    for (std::size_t i = 0; i < parts; ++i) {
        for (std::size_t j = 0; j < part_size; ++j) part[j] = pattern(i * part_size + j);
        const tern::Opcode opcode = i == 0 ? tern::Opcode::binary : tern::Opcode::continuation;
        if (!send_part(client, opcode, part, i + 1 == parts)) break;
    }
    const bool clean = ended.get_future().get();
    std::cout << received << " bytes came back, " << wrong << " of them wrong\n";
    return clean && wrong == 0 && received == parts * part_size ? 0 : 1;
}
