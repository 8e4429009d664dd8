#include "loop.hpp"

#include <algorithm>
#include <utility>

#include "runner.hpp"

namespace tern {

Loop::Impl::Impl(LoopConfig config) : engines_(std::max<std::size_t>(config.threads, 1)) {
    for (auto& engine : engines_) engine = std::make_shared<driver::ThreadEngine>(config.spin);
}

/// All lives are told before any is waited for.
Loop::Impl::~Impl() {
    bool inside = false;
    for (const auto& engine : engines_) {
        inside = inside || engine->on_thread();
        for (const auto& runner : engine->close()) runner->begin_stop(runner->config().timeouts.stop);
    }
    for (const auto& engine : engines_) engine->finish(inside);
}

std::shared_ptr<driver::Engine> Loop::Impl::engine() const {
    return *std::min_element(engines_.begin(), engines_.end(),
                             [](const auto& a, const auto& b) { return a->runners() < b->runners(); });
}

std::size_t Loop::Impl::clients() const noexcept {
    std::size_t sum = 0;
    for (const auto& engine : engines_) sum += engine->runners();
    return sum;
}

Loop::Loop(LoopConfig config) : impl_(std::make_shared<Impl>(config)) {}
Loop::~Loop() = default;
Loop::Loop(Loop&&) noexcept = default;
Loop& Loop::operator=(Loop&&) noexcept = default;

std::size_t Loop::threads() const noexcept { return impl_->threads(); }
std::size_t Loop::clients() const noexcept { return impl_->clients(); }

}  // namespace tern
