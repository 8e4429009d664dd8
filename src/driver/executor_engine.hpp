// An engine on somebody else's Asio executor.
#pragma once

#include <memory>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>

#include "engine.hpp"

namespace tern::driver {

/// Behind a strand, because the executor may run several things at a time.
class ExecutorEngine final : public Engine {
public:
    explicit ExecutorEngine(const asio::any_io_executor& executor)
        : strand_(asio::make_strand(executor)), timer_(strand_) {}

    void post(Task task) override;
    [[nodiscard]] bool on_thread() const noexcept override { return strand_.running_in_this_thread(); }
    [[nodiscard]] std::unique_ptr<Watch> watch(std::shared_ptr<Watcher> watcher, StreamId id, int descriptor) override;

private:
    void set_alarm(TimePoint at) override;

    const asio::strand<asio::any_io_executor> strand_;
    asio::steady_timer timer_;  ///< Only touched on the strand.
};

}  // namespace tern::driver
