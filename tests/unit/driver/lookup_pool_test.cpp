#include "lookup_pool.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <tern/client.hpp>
#include <tern/loop.hpp>

namespace tern::driver {
namespace {

using namespace std::chrono_literals;

/// What hangs until it is let go, and counts.
class Gate {
public:
    void pass() {
        std::unique_lock lock(mutex_);
        ++inside_;
        changed_.notify_all();
        changed_.wait(lock, [&] { return open_; });
        ++passed_;
        changed_.notify_all();
    }
    void open() {
        const std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }
    [[nodiscard]] bool wait_inside(int count) { return wait(inside_, count); }
    [[nodiscard]] bool wait_passed(int count) { return wait(passed_, count); }
    [[nodiscard]] int inside() {
        const std::lock_guard lock(mutex_);
        return inside_;
    }

private:
    bool wait(const int& value, int count) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, 20s, [&] { return value >= count; });
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = false;
    int inside_ = 0;
    int passed_ = 0;
};

[[nodiscard]] bool comes_to_rest(const LookupPool& pool) {
    for (int i = 0; i < 2000; ++i) {
        if (pool.threads() == 0) return true;
        std::this_thread::sleep_for(10ms);
    }
    return false;
}

TEST(LookupPool, HasAFewThreadsHoweverManyAsk) {
    const auto pool = std::make_shared<LookupPool>(3);
    const auto gate = std::make_shared<Gate>();
    std::vector<LookupPool::Ticket> tickets;
    for (int i = 0; i < 1000; ++i) tickets.push_back(pool->run([gate] { gate->pass(); }));
    ASSERT_TRUE(gate->wait_inside(3));
    EXPECT_EQ(pool->threads(), 3u);
    EXPECT_EQ(pool->waiting(), 997u);
    gate->open();
    EXPECT_TRUE(gate->wait_passed(1000));
    EXPECT_TRUE(comes_to_rest(*pool));
}

TEST(LookupPool, WhatIsGivenUpNeverBegins) {
    const auto pool = std::make_shared<LookupPool>(1);
    const auto gate = std::make_shared<Gate>();
    const LookupPool::Ticket first = pool->run([gate] { gate->pass(); });
    ASSERT_TRUE(gate->wait_inside(1));
    std::atomic<int> ran = 0;
    const auto held = std::make_shared<int>();
    std::optional<LookupPool::Ticket> second = pool->run([&ran, held] { ran += 1; });
    const LookupPool::Ticket third = pool->run([&ran] { ran += 10; });
    EXPECT_EQ(held.use_count(), 2);
    second.reset();
    EXPECT_EQ(held.use_count(), 1) << "it lets go of what it held";
    EXPECT_EQ(pool->waiting(), 1u);
    gate->open();
    EXPECT_TRUE(comes_to_rest(*pool));
    EXPECT_EQ(ran, 10);
}

TEST(LookupPool, WhatHangsOutlivesThePool) {
    auto pool = std::make_shared<LookupPool>(1);
    const auto gate = std::make_shared<Gate>();
    static_cast<void>(pool->run([gate] { gate->pass(); }));  // it may have begun, and may not
    const LookupPool::Ticket ticket = pool->run([gate] { gate->pass(); });
    ASSERT_TRUE(gate->wait_inside(1));
    const std::weak_ptr<LookupPool> weak = pool;
    pool.reset();
    gate->open();
    EXPECT_TRUE(gate->wait_passed(1));
}

/// A dead name server: every lookup of the process hangs, while many clients want one.
TEST(LookupPool, ClientsStopAlthoughNamesHang) {
    LookupPool& pool = lookup_pool();
    const auto gate = std::make_shared<Gate>();
    std::vector<LookupPool::Ticket> hanging;
    for (int i = 0; i < 8; ++i) hanging.push_back(pool.run([gate] { gate->pass(); }));
    ASSERT_TRUE(gate->wait_inside(8));

    std::atomic<int> failures = 0;
    {
        constexpr std::size_t count = 500;
        Loop loop;
        std::vector<std::unique_ptr<Client>> clients;
        for (std::size_t i = 0; i < count; ++i) {
            const Config config{.url = "ws://name.invalid/",
                                .timeouts = {.resolve = i == 0 ? 50ms : 60'000ms, .attempt = 60'000ms}};
            Client& client = *clients.emplace_back(std::make_unique<Client>(loop, config));
            static_cast<void>(client.on_error([&](const Error& error, bool) {
                if (error == Errc::resolve_timeout) ++failures;
            }));
            ASSERT_FALSE(client.start());
        }
        for (int i = 0; i < 2000 && (failures == 0 || pool.waiting() + 1 < count); ++i) {
            std::this_thread::sleep_for(10ms);
        }
        EXPECT_GE(failures, 1) << "the deadline counts for lookups that have not begun";
        EXPECT_GE(pool.waiting() + 1, count);
        EXPECT_EQ(pool.threads(), 8u);
        for (const auto& client : clients) client->stop();
        EXPECT_EQ(pool.waiting(), 0u) << "nobody wants to know any more";
    }
    EXPECT_EQ(gate->inside(), 8);
    gate->open();
    EXPECT_TRUE(comes_to_rest(pool));
}

}  // namespace
}  // namespace tern::driver
