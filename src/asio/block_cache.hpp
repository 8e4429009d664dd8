// The buffers of all the clients of an engine: a few, because only a client that is receiving or sending has one.
#pragma once

#include <array>
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

private:
    struct Entry {
        std::byte* memory = nullptr;
        std::size_t size = 0;
    };

    std::mutex mutex_;
    std::array<Entry, 8> kept_;  ///< The one that was given back last comes first.
    std::size_t count_ = 0;
};

}  // namespace tern::driver
