// Compressed frames of a server, from anybody: the reader with compression, whole and in pieces, as messages and as
// chunks. The first bytes of the input choose limit, window and pieces; the rest are frames. What is delivered must not
// depend on how they arrive, and never exceed the limit.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "message_reader.hpp"

using namespace tern;
using namespace tern::core;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

struct Outcome {
    std::string delivered;  ///< Messages, each behind a mark; one that is not complete is not there.
    Errc error{};
    bool closed = false;

    friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome read(std::string_view script, Delivery delivery, std::size_t limit, const CompressionInfo& agreed,
             std::size_t piece) {
    std::vector<std::byte> memory(512);
    Buffer in(memory);
    MessageReader reader(delivery, limit, agreed, 0);
    Outcome outcome;
    std::string open;
    const auto drain = [&] {
        for (Event event;;) {
            const auto status = reader.next(in, event);
            require(reader.compression_memory() <= (48u << 10u) + (std::size_t{1} << 15u));
            if (status == MessageReader::Status::need_input) return;
            if (status == MessageReader::Status::failed) {
                outcome.error = reader.error();
                return;
            }
            if (event.kind == Event::Kind::chunk) {
                open += as_text(event.bytes);
                require(open.size() <= limit);
                if (event.chunk.last) outcome.delivered += 'm' + std::exchange(open, {});
            } else if (event.kind == Event::Kind::message) {
                require(event.bytes.size() <= limit);
                outcome.delivered += 'm' + std::string(as_text(event.bytes));
            } else {
                outcome.delivered += 'c' + std::string(as_text(event.bytes));
            }
        }
    };
    while (!script.empty()) {
        in.compact();
        const std::size_t size = std::min({script.size(), piece, in.writable().size()});
        require(size != 0);
        std::memcpy(in.writable().data(), script.data(), size);
        in.commit(size);
        script.remove_prefix(size);
        drain();
    }
    outcome.closed = reader.closed();
    return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 3) return 0;
    const std::size_t limit = std::size_t{data[0]} * 64;
    const CompressionInfo agreed{
        .active = true, .server_context_takeover = (data[1] & 8u) != 0, .server_window_bits = 8 + (data[1] & 7)};
    const std::size_t piece = data[2] % 32u + 1u;
    const std::string_view script(reinterpret_cast<const char*>(data + 3), size - 3);
    const Outcome whole = read(script, Delivery::messages, limit, agreed, 512);
    const Outcome in_pieces = read(script, Delivery::messages, limit, agreed, piece);
    const Outcome as_chunks = read(script, Delivery::chunks, limit, agreed, 512);
    const Outcome both = read(script, Delivery::chunks, limit, agreed, piece);
    // A peer that refers back further than it has promised is found out only where zlib has no more than the window at
    // hand, which depends on the pieces. With the largest window there is no further.
    if (agreed.server_window_bits == 15) require(in_pieces == whole && as_chunks == whole && both == whole);
    return 0;
}
