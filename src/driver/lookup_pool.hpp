// Threads for what blocks and cannot be interrupted: lookups of names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace tern::driver {

/// A few threads, which begin when there is something to do and end when there is not. Nobody waits for them: what
/// hangs takes a thread until it hangs no more, and keeps nobody from ending. Thread-safe. What runs holds on to the
/// pool.
class LookupPool : public std::enable_shared_from_this<LookupPool> {
public:
    using Job = std::function<void()>;

    /// Gives up a job that has not begun when it goes.
    class Ticket {
    public:
        Ticket() = default;
        Ticket(Ticket&& other) noexcept : pool_(std::move(other.pool_)), number_(other.number_) {}
        Ticket& operator=(Ticket&& other) noexcept {
            std::swap(pool_, other.pool_);
            std::swap(number_, other.number_);
            return *this;
        }
        Ticket(const Ticket&) = delete;
        Ticket& operator=(const Ticket&) = delete;
        ~Ticket() {
            if (pool_ != nullptr) pool_->give_up(number_);
        }

    private:
        friend class LookupPool;
        Ticket(std::shared_ptr<LookupPool> pool, std::uint64_t number) noexcept
            : pool_(std::move(pool)), number_(number) {}

        std::shared_ptr<LookupPool> pool_;
        std::uint64_t number_ = 0;
    };

    explicit LookupPool(std::size_t most_threads) noexcept : most_(most_threads) {}
    LookupPool(const LookupPool&) = delete;
    LookupPool& operator=(const LookupPool&) = delete;

    /// Will be run, which must not throw, when it is its turn. std::system_error if there is no thread for it.
    [[nodiscard]] Ticket run(Job job);

    /// How many are running; how many jobs have not begun.
    [[nodiscard]] std::size_t threads() const;
    [[nodiscard]] std::size_t waiting() const;

private:
    void give_up(std::uint64_t number) noexcept;
    void work() noexcept;

    const std::size_t most_;
    mutable std::mutex mutex_;
    std::size_t threads_ = 0;
    std::uint64_t last_ = 0;
    std::map<std::uint64_t, Job> waiting_;  ///< The oldest first.
};

/// The one of all clients of the process.
[[nodiscard]] LookupPool& lookup_pool();

}  // namespace tern::driver
