// What one socket receives by a ring. From what has arrived follows how to wait for more: small messages are received
// by the ring, and after some in a row on and on; large ones go straight from the socket to where they belong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

#include "ring.hpp"

namespace tern::driver {

/// On the loop's thread. The ring and the socket stay the caller's.
class Reception {
public:
    Reception(Ring& ring, std::uint64_t key, int socket) noexcept : ring_(ring), key_(key), socket_(socket) {}
    Reception(const Reception&) = delete;
    Reception& operator=(const Reception&) = delete;
    ~Reception();

    [[nodiscard]] std::uint64_t key() const noexcept { return key_; }
    /// The ring will have something for `note` when there is something to read. False: look at once. `exhausted`: the
    /// last read got all there was.
    [[nodiscard]] bool wait(bool exhausted) noexcept;
    /// What the ring has come to. `wanted`: somebody waits for it.
    void note(const Ring::Received& received, bool wanted) noexcept;
    /// As `Watch::read`: what has been received first, then the socket.
    [[nodiscard]] std::size_t read(std::span<std::byte> space, std::error_code& error);
    /// Nothing is wanted any more. False: the ring still has the socket, until it has come to something.
    [[nodiscard]] bool end() noexcept;

private:
    void note_size(std::size_t size) noexcept;
    [[nodiscard]] std::size_t read_received(std::span<std::byte> space) noexcept;

    Ring& ring_;
    const std::uint64_t key_;
    const int socket_;
    bool receiving_ = false;       ///< The ring is.
    bool ending_ = false;          ///< It has been told to end that.
    bool large_ = false;           ///< What came last was as much as a chunk holds, or more.
    std::uint8_t small_ones_ = 0;  ///< In a row, up to `steady`.
    int error_ = 0;                ///< Of the system, which tells it once. Behind the chunks.
    Ring::Chunk* first_ = nullptr;
    Ring::Chunk* last_ = nullptr;
};

}  // namespace tern::driver
