// Memory whose allocation can fail without an exception: the core must survive that on a small device and under test.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

namespace tern::core {

/// A piece of raw memory. Move-only; empty when the allocation failed.
class Block {
public:
    Block() = default;
    Block(Block&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    Block& operator=(Block&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;
    ~Block() { release(); }

    /// Uninitialised memory; empty if there is none.
    [[nodiscard]] static Block allocate(std::size_t size) noexcept;
    /// Grows to `size`, keeping the contents. False, with nothing changed, if there is no memory.
    [[nodiscard]] bool grow(std::size_t size) noexcept;
    void release() noexcept;

    [[nodiscard]] std::byte* data() noexcept { return data_; }
    [[nodiscard]] const std::byte* data() const noexcept { return data_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] std::span<std::byte> span() noexcept { return {data_, size_}; }

private:
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace tern::core
