// A pool that counts what it has lent, and can run dry.
#pragma once

#include <cstddef>
#include <cstdlib>

#include <tern/core.hpp>

namespace tern {

class CountingPool final : public BufferPool {
public:
    ~CountingPool() override = default;

    std::byte* take(std::size_t size) noexcept override {
        if (blocks_left == 0) return nullptr;
        if (blocks_left > 0) --blocks_left;
        lent += size;
        return static_cast<std::byte*>(std::malloc(size));
    }
    void give(std::byte* memory, std::size_t size) noexcept override {
        lent -= size;
        ++given;
        std::free(memory);
    }

    [[nodiscard]] bool may_keep() const noexcept override { return lets_keep; }

    bool lets_keep = false;
    std::size_t lent = 0;   ///< Bytes.
    std::size_t given = 0;  ///< Blocks that came back.
    int blocks_left = -1;   ///< Negative: without end.
};

}  // namespace tern
