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
    /// The one that was given back last comes first. Together a little more than a mebibyte at most, so that messages
    /// of that size do not get fresh memory from the system each time.
    std::array<Entry, 20> kept_;
    std::size_t count_ = 0;
};

}  // namespace tern::driver
