// The inside of tern::Loop.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include <tern/loop.hpp>

#include "thread_engine.hpp"

namespace tern {

class Loop::Impl {
public:
    explicit Impl(LoopConfig config);
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    ~Impl();

    /// The engine that has the fewest runners. Thread-safe.
    [[nodiscard]] std::shared_ptr<driver::Engine> engine() const;
    [[nodiscard]] std::size_t threads() const noexcept { return engines_.size(); }
    [[nodiscard]] std::size_t clients() const noexcept;

private:
    std::vector<std::shared_ptr<driver::ThreadEngine>> engines_;
};

}  // namespace tern
