// Waiting and receiving in one system call: io_uring, where the build wants it (TERN_IO_URING) and the system has it.
//
// Who begins to wait submits a receive, and the call that waits submits them all, waits, and brings what has arrived in
// buffers of a common stock, so that a client that waits has none. Everything that is asked of epoll comes this way
// too. Linux 6.1; older ones and most containers say no, and `open` returns null.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <tern/core.hpp>

namespace tern::driver {

/// For one thread: the one that has opened it does everything with it, and closes it.
class Ring {
public:
    /// A buffer of the stock, until `give_back`.
    struct Chunk {
        Bytes bytes;
        Chunk* next = nullptr;  ///< For who holds it.
    };
    /// How to wait: until there is something to read, receiving it once, or receiving for as long as it `goes_on`.
    enum class Mode : std::uint8_t { readable, once, on_and_on };
    /// What a receive has come to.
    struct Received {
        std::uint64_t key = 0;   ///< Of `receive`.
        Chunk* chunk = nullptr;  ///< Null: there is something to read, perhaps.
        int error = 0;           ///< Of the system; 0: none.
        bool goes_on = false;    ///< It will receive more.
    };
    /// The size of a buffer.
    static constexpr std::size_t chunk_size = 2048;

    /// `epoll` is watched from then on. Null if there is none to be had.
    [[nodiscard]] static std::unique_ptr<Ring> open(int epoll) noexcept;

    Ring() = default;
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;
    virtual ~Ring() = default;

    /// From the next `wait` on. False: not now. `key` is in use once, and not one of the two greatest numbers.
    [[nodiscard]] virtual bool receive(std::uint64_t key, int socket, Mode mode) noexcept = 0;
    /// True: it had not begun, and never will. Otherwise it keeps the socket open, even when that is closed, until
    /// `take` has brought it.
    [[nodiscard]] virtual bool cancel(std::uint64_t key) noexcept = 0;
    /// Submits everything, and waits until there is something, in milliseconds as epoll_wait does. False: it has
    /// failed.
    virtual bool wait(int timeout) noexcept = 0;
    /// What there is. Nothing that was received is missing behind the last of it. Returns how many were written.
    /// `epoll` is set if that has something.
    [[nodiscard]] virtual std::size_t take(std::span<Received> received, bool& epoll) noexcept = 0;
    virtual void give_back(Chunk& chunk) noexcept = 0;
};

}  // namespace tern::driver
