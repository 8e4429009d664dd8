// The network of a simulated world: what links, names and the accidents on them look like. Everything is off by
// default.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tern/error.hpp>
#include <tern/message.hpp>

namespace tern::testing {

/// Virtual time, in the unit of `TimePoint`.
using Duration = TimePoint::duration;

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

/// What the resolver says about a name.
struct Name {
    std::vector<std::string> addresses;
    Duration delay = std::chrono::milliseconds(5);
    Error error;          ///< Instead of the addresses.
    bool silent = false;  ///< No answer ever.
};

/// What is drawn from the world's seed while `World::storm` lasts. Chances are from 0 to 1, each time the weather
/// changes.
struct FaultPlan {
    Duration change_every = std::chrono::milliseconds(500);  ///< On average.
    double refuse = 0.2;                                     ///< Connections to come are refused.
    double black_hole = 0.1;                                 ///< They are neither accepted nor refused.
    double no_name = 0.1;                                    ///< The name is not found.
    double slow_link = 0.2;   ///< Connections to come have a delay of up to a second and little bandwidth.
    double reset = 0.2;       ///< An open connection is reset.
    double finish = 0.1;      ///< The server ends an open connection without a Close.
    double going_away = 0.1;  ///< The server closes it with 1001.
    double stall = 0.2;       ///< Nothing passes on an open connection until the weather changes.
};

}  // namespace tern::testing
