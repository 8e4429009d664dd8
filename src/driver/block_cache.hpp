// The buffers of all the clients of an engine: a few, because only a client that is receiving or sending has one.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>

#include <tern/core.hpp>

namespace tern::driver {

/// Keeps what was given back last, because that is warm. Thread-safe.
class BlockCache final : public BufferPool {
public:
    BlockCache() = default;
    BlockCache(const BlockCache&) = delete;
    BlockCache& operator=(const BlockCache&) = delete;
    ~BlockCache() override;

    std::byte* take(std::size_t size) noexcept override;
    void give(std::byte* memory, std::size_t size) noexcept override;
    [[nodiscard]] bool may_keep() const noexcept override { return may_keep_.load(std::memory_order_relaxed); }
    void let_keep(bool wanted) noexcept { may_keep_.store(wanted, std::memory_order_relaxed); }

private:
    struct Entry {
        std::byte* memory = nullptr;
        std::size_t size = 0;
    };

    std::atomic<bool> may_keep_ = false;
    std::mutex mutex_;
    void drop_last() noexcept;

    /// The one that was given back last comes first.
    std::array<Entry, 20> kept_;
    std::size_t count_ = 0;
    std::size_t bytes_ = 0;  ///< Of all of them.
};

}  // namespace tern::driver
