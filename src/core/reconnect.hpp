// Whether and when to try again. A simple policy for now: a delay with jitter, and a limit.
#pragma once

#include <chrono>
#include <optional>

#include <tern/config.hpp>
#include <tern/core.hpp>

namespace tern::core {

class ReconnectPolicy {
public:
    /// The configuration outlives the policy.
    explicit ReconnectPolicy(const Reconnect& config) noexcept : config_(&config) {}

    /// An attempt begins; returns its number, counted since the last open connection.
    std::uint32_t on_attempt() noexcept { return ++attempts_; }
    void on_open() noexcept { attempts_ = 0; }

    /// The delay before the next attempt; empty: `error` is final, or the limit is reached.
    [[nodiscard]] std::optional<std::chrono::milliseconds> decide(const Error& error, Crypto& random) const;
    /// The number that the next attempt will have.
    [[nodiscard]] std::uint32_t next_attempt() const noexcept { return attempts_ + 1; }

private:
    const Reconnect* config_;
    std::uint32_t attempts_ = 0;
};

}  // namespace tern::core
