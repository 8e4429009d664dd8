// A linear window over memory that someone else owns: bytes are written at the end and read from the beginning.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstring>
#include <span>

#include <tern/message.hpp>

namespace tern::core {

class Buffer {
public:
    Buffer() = default;
    /// `reserve`: room at the end that `capacity` does not tell of.
    explicit Buffer(std::span<std::byte> memory, std::size_t reserve = 0) noexcept
        : memory_(memory), reserve_(reserve) {
        assert(reserve <= memory.size());
    }

    /// Room behind the readable bytes.
    [[nodiscard]] std::span<std::byte> writable() const noexcept { return memory_.subspan(end_); }
    /// `n` bytes of `writable()` were filled.
    void commit(std::size_t n) noexcept {
        assert(n <= memory_.size() - end_);
        end_ += n;
    }
    /// Bytes that were written and not consumed.
    [[nodiscard]] Bytes readable() const noexcept { return Bytes(memory_).subspan(begin_, end_ - begin_); }
    /// The first `n` readable bytes are done with.
    void consume(std::size_t n) noexcept {
        assert(n <= end_ - begin_);
        begin_ += n;
        if (begin_ == end_) begin_ = end_ = 0;
    }
    /// Moves the readable bytes to the beginning, so that all the room is behind them.
    void compact() noexcept {
        if (begin_ == 0) return;
        std::memmove(memory_.data(), memory_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }

    [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
    [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return memory_.size() - reserve_; }

private:
    std::span<std::byte> memory_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t reserve_ = 0;
};

}  // namespace tern::core
