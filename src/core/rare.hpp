// A value that most objects never have. It takes memory only while it is there, unlike std::optional.
#pragma once

#include <memory>
#include <utility>

namespace tern::core {

template <class T>
class Rare {
public:
    Rare() = default;
    Rare& operator=(T&& value) {
        value_ = std::make_unique<T>(std::move(value));
        return *this;
    }
    Rare& operator=(const T& value) { return *this = T(value); }

    explicit operator bool() const noexcept { return value_ != nullptr; }
    [[nodiscard]] T& operator*() noexcept { return *value_; }
    [[nodiscard]] const T& operator*() const noexcept { return *value_; }
    [[nodiscard]] T* operator->() noexcept { return value_.get(); }
    [[nodiscard]] const T* operator->() const noexcept { return value_.get(); }

    /// A fresh one.
    T& emplace() {
        value_ = std::make_unique<T>();
        return *value_;
    }
    void reset() noexcept { value_.reset(); }
    /// The value, which is not there any more; one of its own if there is none.
    [[nodiscard]] T take() {
        const std::unique_ptr<T> value = std::move(value_);
        return value != nullptr ? std::move(*value) : T();
    }
    /// The value; one that stands for it if there is none.
    [[nodiscard]] const T& view() const noexcept {
        static const T none{};
        return value_ != nullptr ? *value_ : none;
    }
    /// A copy.
    [[nodiscard]] T value() const { return value_ != nullptr ? *value_ : T(); }

private:
    std::unique_ptr<T> value_;
};

}  // namespace tern::core
