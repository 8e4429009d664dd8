// What can go wrong between a client and a server. Everything is off by default.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "schedule.hpp"

namespace tern::sim {

inline constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

/// How a connection dies in the middle of what the server says.
struct Cut {
    std::size_t after = 0;  ///< So many bytes arrive.
    bool reset = false;     ///< RST instead of FIN.
};

/// One way for bytes, twice a connection.
struct Link {
    Duration delay = std::chrono::milliseconds(10);
    std::uint64_t bytes_per_second = 0;  ///< 0: no limit.
    std::size_t capacity = 256u << 10u;  ///< Written, and not known to be read yet; the buffers of both kernels.
    std::size_t segment = 16u << 10u;    ///< Arrives at once.
    bool random_segments = false;        ///< Segments of 1 to `segment` bytes.
    double coalesce = 0;                 ///< The chance that segments that have arrived are read as one.
    Duration jitter{0};                  ///< Added to `delay`, 0 to this much; the order is kept.

    // Only from the server to the client.
    double flip = 0;  ///< The chance of a byte to have one of its bits flipped.
    std::optional<Cut> cut;
};

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
