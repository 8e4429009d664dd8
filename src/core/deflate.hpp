// permessage-deflate on an open connection (RFC 7692 section 7.2): one half that compresses what is sent, one that
// inflates what arrives. The only file of the core that knows zlib, which gets its memory from here, so that a lack of
// it is an error and what is used can be counted.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <span>

#include <tern/config.hpp>
#include <tern/error.hpp>
#include <tern/message.hpp>

#include "memory.hpp"

namespace tern::core {

/// A z_stream of zlib, in place: zlib wants it to stay where it is.
class DeflateStream {
public:
    static constexpr std::size_t size = 128;

    /// The budget outlives it; null: there is none.
    explicit DeflateStream(MemoryBudget* budget) noexcept : budget_(budget) {}
    DeflateStream(const DeflateStream&) = delete;
    DeflateStream& operator=(const DeflateStream&) = delete;

    /// What zlib has allocated for it. Any thread.
    [[nodiscard]] std::size_t memory() const noexcept { return memory_.load(std::memory_order_relaxed); }

    /// Only deflate.cpp looks into it.
    [[nodiscard]] void* raw() noexcept { return storage_.data(); }
    [[nodiscard]] bool take(std::size_t n) noexcept {
        if (budget_ != nullptr && !budget_->take(n)) return false;
        memory_.fetch_add(n, std::memory_order_relaxed);
        return true;
    }
    void give(std::size_t n) noexcept {
        memory_.fetch_sub(n, std::memory_order_relaxed);
        if (budget_ != nullptr) budget_->give(n);
    }

private:
    alignas(std::max_align_t) std::array<std::byte, size> storage_{};
    std::atomic<std::size_t> memory_ = 0;
    MemoryBudget* budget_;
};

/// Compresses messages, each whole or in parts. Memory is taken with the first message.
class Compressor {
public:
    /// `client_*` of what was agreed on, level and memory level of the configuration.
    Compressor(const CompressionInfo& agreed, const Compression& config, MemoryBudget* budget = nullptr) noexcept;
    ~Compressor();
    Compressor(const Compressor&) = delete;
    Compressor& operator=(const Compressor&) = delete;

    /// The next part of a message; `fin`: its last. Empty on success, or `out_of_memory`; then nothing of the part has
    /// been compressed. Without context takeover zlib's memory is freed with the last part.
    [[nodiscard]] Errc compress(Bytes part, bool fin) noexcept;
    /// What `compress` made, until the next call.
    [[nodiscard]] Bytes output() const noexcept { return {output_.data(), output_size_}; }
    /// Is a whole message of so many bytes to be sent like this? With context takeover there is no way back.
    [[nodiscard]] bool worthwhile(std::size_t size) const noexcept { return context_takeover_ || output_size_ < size; }
    /// What `compress` made will not be sent: what follows must not refer to it.
    void forget() noexcept;
    /// It is lent to a message, which alone may use it; nobody else looks further than at this flag then.
    void lend() noexcept { lent_.store(true, std::memory_order_relaxed); }
    [[nodiscard]] bool lent() const noexcept { return lent_.load(std::memory_order_acquire); }
    /// `sent`: so was what `compress` made.
    void give_back(bool sent) noexcept;
    /// Gives back what is kept for the next output.
    void trim() noexcept;

    /// In bytes; any thread.
    [[nodiscard]] std::size_t memory() const noexcept {
        return stream_.memory() + output_memory_.load(std::memory_order_relaxed);
    }

private:
    [[nodiscard]] bool begin() noexcept;
    void end() noexcept;
    [[nodiscard]] bool make_room() noexcept;

    const int window_bits_;
    const bool context_takeover_;
    const int level_;
    const int memory_level_;
    bool active_ = false;
    std::atomic<bool> lent_ = false;
    DeflateStream stream_;
    Block output_;
    std::size_t output_size_ = 0;
    std::atomic<std::size_t> output_memory_ = 0;
};

/// Inflates messages as they arrive, into memory of the caller: what does not fit is not made.
class Inflater {
public:
    /// `server_*` of what was agreed on.
    explicit Inflater(const CompressionInfo& agreed, MemoryBudget* budget = nullptr) noexcept
        : window_bits_(agreed.server_window_bits),
          context_takeover_(agreed.server_context_takeover),
          budget_(budget),
          stream_(budget) {}
    ~Inflater() { release(); }
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;

    /// Takes from the front of `in` and writes to the front of `out`, which is not empty; both are left with the rest.
    /// Room that is left in `out` means that there is nothing more without further input. `compressed_data` or
    /// `out_of_memory`.
    [[nodiscard]] Errc advance(Bytes& in, std::span<std::byte>& out) noexcept;
    /// After the last byte of a message: writes what is left of it. `done` when it is complete; otherwise there is
    /// more, and `out` is full. A message that stops short is `compressed_data`.
    [[nodiscard]] Errc finish(std::span<std::byte>& out, bool& done) noexcept;

    /// In bytes; any thread.
    [[nodiscard]] std::size_t memory() const noexcept { return stream_.memory(); }

private:
    [[nodiscard]] bool begin() noexcept;
    [[nodiscard]] bool restart() noexcept;
    void end_message() noexcept;
    void release() noexcept;

    const int window_bits_;
    const bool context_takeover_;
    MemoryBudget* const budget_;
    bool active_ = false;
    bool final_block_ = false;  ///< The last byte that was taken ended a block with BFINAL.
    std::size_t tail_ = 0;      ///< Of the four bytes that the peer left out, so many have been put back.
    DeflateStream stream_;
};

}  // namespace tern::core
