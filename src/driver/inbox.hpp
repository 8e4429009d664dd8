// Messages that wait until somebody asks for them, each of them copied. Small ones lie together in pieces of memory, so
// that one costs a part of an allocation here, and one more when it is taken.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>

#include <tern/client.hpp>

namespace tern::driver {

/// Everything under the one lock of whoever owns it, but for `bytes`.
class Inbox {
public:
    Inbox() = default;
    Inbox(const Inbox&) = delete;
    Inbox& operator=(const Inbox&) = delete;
    ~Inbox() { clear(); }

    [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
    /// About what the messages take; an empty one takes something too. Any thread.
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }
    /// Throws std::bad_alloc, and then nothing has changed.
    void push(MessageView message);
    /// All that the other one holds, which is empty then.
    void append(Inbox& other) noexcept;
    /// The oldest one; there has to be one. `refill` if by that it holds less than `half`: who fills it up again then
    /// does so rarely. Throws std::bad_alloc, and then nothing has changed.
    [[nodiscard]] Message pop(std::size_t half, bool& refill);
    void clear() noexcept;

private:
    /// A large message, or several small ones, each behind its opcode and two bytes of length.
    struct Piece {
        std::string bytes;
        std::size_t taken = 0;
        Opcode opcode = Opcode::continuation;  ///< Of the large one; `continuation`: they are small.
        std::unique_ptr<Piece> next;
    };

    Piece& add_piece(std::unique_ptr<Piece> piece) noexcept;
    [[nodiscard]] Piece& piece_with_room(std::size_t size);
    void drop_first() noexcept;
    void set_bytes(std::size_t bytes) noexcept { bytes_.store(bytes, std::memory_order_relaxed); }

    std::unique_ptr<Piece> first_;
    Piece* last_ = nullptr;
    std::atomic<std::size_t> bytes_ = 0;
};

}  // namespace tern::driver
