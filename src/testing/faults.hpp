// What can go wrong between a client and a server. Everything is off by default.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include <tern/testing/network.hpp>

#include "schedule.hpp"

namespace tern::sim {

inline constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

using testing::Cut;
using testing::Link;

/// How the operating system and the driver treat the core: all of this is allowed.
struct DriverFaults {
    std::size_t max_read = no_limit;
    std::size_t max_write = no_limit;
    bool random_sizes = false;    ///< Reads and writes take 1 to the maximum.
    double would_block = 0;       ///< The chance that a write is refused although there is room.
    double spurious_timeout = 0;  ///< The chance, each turn, of an `on_timeout` before the deadline.
    double stray_answer = 0;      ///< The chance, each turn, of an answer with an id that was never given.
    Duration late_timer{0};       ///< Timers fire up to this much too late.
    std::size_t tx_pieces = 16;   ///< `out.size()` of `tx`.
    std::size_t events_at_once =
        no_limit;  ///< A slow user takes so many events, and the next ones a millisecond later.
};

}  // namespace tern::sim
