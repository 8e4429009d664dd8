#include "lookup_pool.hpp"

#include <exception>
#include <thread>

namespace tern::driver {
namespace {

/// A name server answers thousands of times a second. More threads would only help against one that is silent, and
/// then for no longer than it takes until they wait too.
constexpr std::size_t most_lookups = 8;

}  // namespace

LookupPool::Ticket LookupPool::run(Job job) {
    const std::lock_guard lock(mutex_);
    const std::uint64_t number = ++last_;
    waiting_.emplace(number, std::move(job));
    if (threads_ < most_) {
        try {
            std::thread([self = shared_from_this()] { self->work(); }).detach();
            ++threads_;
        } catch (const std::exception&) {  // of the system, or no memory
            // Those that there are do it later.
            if (threads_ == 0) {
                waiting_.erase(number);
                throw;
            }
        }
    }
    return {shared_from_this(), number};
}

void LookupPool::work() noexcept {
    for (;;) {
        Job job;
        {
            const std::lock_guard lock(mutex_);
            if (waiting_.empty()) {
                --threads_;
                return;
            }
            job = std::move(waiting_.extract(waiting_.begin()).mapped());
        }
        job();
    }
}

void LookupPool::give_up(std::uint64_t number) noexcept {
    Job job;  // what it holds goes without the lock
    const std::lock_guard lock(mutex_);
    const auto found = waiting_.find(number);
    if (found == waiting_.end()) return;
    job = std::move(found->second);
    waiting_.erase(found);
}

std::size_t LookupPool::threads() const {
    const std::lock_guard lock(mutex_);
    return threads_;
}

std::size_t LookupPool::waiting() const {
    const std::lock_guard lock(mutex_);
    return waiting_.size();
}

LookupPool& lookup_pool() {
    // Never destroyed: a client of static duration may still look up names when the program exits.
    static const auto* const pool = new std::shared_ptr<LookupPool>(std::make_shared<LookupPool>(most_lookups));
    return **pool;
}

}  // namespace tern::driver
