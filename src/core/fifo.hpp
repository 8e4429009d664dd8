// A queue that costs nothing while it is empty; std::deque allocates as soon as it exists.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace tern::core {

template <class T>
class Fifo {
public:
    [[nodiscard]] bool empty() const noexcept { return head_ == items_.size(); }
    [[nodiscard]] std::size_t size() const noexcept { return items_.size() - head_; }
    [[nodiscard]] T& front() noexcept { return items_[head_]; }
    [[nodiscard]] const T& front() const noexcept { return items_[head_]; }
    [[nodiscard]] T& back() noexcept { return items_.back(); }
    [[nodiscard]] const T& back() const noexcept { return items_.back(); }
    T& push(T item) {
        items_.push_back(std::move(item));
        return items_.back();
    }
    T pop() {
        T item = std::move(items_[head_]);
        if (++head_ == items_.size()) {
            clear();
        } else if (head_ >= compact_at && head_ * 2 >= items_.size()) {
            items_.erase(items_.begin(), begin());
            head_ = 0;
        }
        return item;
    }
    void clear() noexcept {
        if (items_.capacity() * sizeof(T) > keep) {
            std::vector<T>().swap(items_);  // an assignment would keep the memory
        } else {
            items_.clear();
        }
        head_ = 0;
    }

    /// Gives back memory that is kept for the next items.
    void trim() noexcept {
        if (!empty()) return;
        std::vector<T>().swap(items_);
        head_ = 0;
    }

    // In the order of arrival.
    [[nodiscard]] auto begin() noexcept { return items_.begin() + static_cast<std::ptrdiff_t>(head_); }
    [[nodiscard]] auto end() noexcept { return items_.end(); }
    auto erase(typename std::vector<T>::iterator item) { return items_.erase(item); }

private:
    static constexpr std::size_t compact_at = 32;
    static constexpr std::size_t keep = 1024;  ///< Bytes of memory that are kept for the next items.

    std::vector<T> items_;
    std::size_t head_ = 0;
};

}  // namespace tern::core
