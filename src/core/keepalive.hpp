// When to ping, and when to believe that the link is dead.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <tern/config.hpp>
#include <tern/core.hpp>

namespace tern::core {

/// Own pings go out every `interval`. While one is unanswered, the peer may be silent for `pong_timeout`. Everything
/// that arrives breaks the silence, because the pong may have to wait behind a large message; so does every byte that
/// the kernel takes again after it had refused some, because that room came from the peer's acknowledgements.
class Keepalive {
public:
    enum class Action : std::uint8_t { none, ping, dead };
    using Payload = std::array<std::byte, 8>;

    Keepalive(const tern::Keepalive& config, TimePoint now) noexcept;

    /// A sign of life.
    void on_alive(TimePoint now) noexcept { alive_ = now; }
    /// Lets the next ping go out at once, also where there are no others; one that is unanswered will do.
    void probe(TimePoint now) noexcept;
    /// A pong has arrived; the round-trip time if it answers our ping, which is not outstanding any more then.
    [[nodiscard]] std::optional<std::chrono::microseconds> on_pong(Bytes payload, TimePoint now) noexcept;

    [[nodiscard]] std::optional<TimePoint> deadline() const noexcept;
    /// What is due now. After `ping`, send one with `payload()`.
    [[nodiscard]] Action on_timeout(TimePoint now) noexcept;
    [[nodiscard]] Payload payload() const noexcept;

    [[nodiscard]] std::chrono::microseconds round_trip() const noexcept { return round_trip_; }
    /// Pings that were answered.
    [[nodiscard]] std::uint64_t answered() const noexcept { return answered_; }

private:
    [[nodiscard]] TimePoint dead_at() const noexcept;

    std::chrono::milliseconds interval_;
    std::chrono::milliseconds pong_timeout_;
    TimePoint next_ping_;
    TimePoint pinged_;
    TimePoint alive_;
    bool outstanding_ = false;
    bool probing_ = false;
    std::uint64_t number_ = 0;
    std::uint64_t answered_ = 0;
    std::chrono::microseconds round_trip_{-1};
};

}  // namespace tern::core
