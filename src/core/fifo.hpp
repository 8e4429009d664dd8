// A queue that costs a pointer while it is empty; std::deque allocates as soon as it exists.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace tern::core {

template <class T>
class Fifo {
public:
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }
    [[nodiscard]] std::size_t size() const noexcept {
        return queue_ != nullptr ? queue_->items.size() - queue_->head : 0;
    }
    [[nodiscard]] T& front() noexcept { return queue_->items[queue_->head]; }
    [[nodiscard]] const T& front() const noexcept { return queue_->items[queue_->head]; }
    [[nodiscard]] T& back() noexcept { return queue_->items.back(); }
    [[nodiscard]] const T& back() const noexcept { return queue_->items.back(); }
    T& push(T item) {
        if (queue_ == nullptr) queue_ = std::make_unique<Queue>();
        queue_->items.push_back(std::move(item));
        return queue_->items.back();
    }
    T pop() {
        auto& [items, head] = *queue_;
        T item = std::move(items[head]);
        if (++head == items.size()) {
            clear();
        } else if (head >= compact_at && head * 2 >= items.size()) {
            items.erase(items.begin(), begin());
            head = 0;
        }
        return item;
    }
    void clear() noexcept {
        if (queue_ == nullptr) return;
        if (queue_->items.capacity() * sizeof(T) > keep) return queue_.reset();
        queue_->items.clear();
        queue_->head = 0;
    }

    /// Gives back memory that is kept for the next items.
    void trim() noexcept {
        if (empty()) queue_.reset();
    }

    // In the order of arrival.
    [[nodiscard]] auto begin() noexcept {
        return queue_ != nullptr ? queue_->items.begin() + static_cast<std::ptrdiff_t>(queue_->head) : Iterator();
    }
    [[nodiscard]] auto end() noexcept { return queue_ != nullptr ? queue_->items.end() : Iterator(); }
    auto erase(typename std::vector<T>::iterator item) { return queue_->items.erase(item); }

private:
    using Iterator = typename std::vector<T>::iterator;
    static constexpr std::size_t compact_at = 32;
    static constexpr std::size_t keep = 1024;  ///< Bytes of memory that are kept for the next items.

    struct Queue {
        std::vector<T> items;
        std::size_t head = 0;
    };
    std::unique_ptr<Queue> queue_;
};

}  // namespace tern::core
