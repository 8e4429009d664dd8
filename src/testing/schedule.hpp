// What everything in a simulated world shares: the virtual clock, the randomness, and the journal of what happened.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tern/core.hpp>
#include <tern/testing/network.hpp>

#include "random.hpp"

namespace tern::sim {

using testing::Duration;

class Schedule {
public:
    explicit Schedule(std::uint64_t seed) : seed_(seed), random_(seed) {}
    Schedule(const Schedule&) = delete;
    Schedule& operator=(const Schedule&) = delete;

    [[nodiscard]] std::uint64_t seed() const { return seed_; }
    [[nodiscard]] Random& random() { return random_; }

    // --- time ---

    [[nodiscard]] TimePoint now() const { return now_; }
    /// Actions of the same time run in the order in which they were asked for.
    void at(TimePoint when, std::function<void()> action);
    void after(Duration delay, std::function<void()> action) { at(now_ + delay, std::move(action)); }
    /// When the next action is due.
    [[nodiscard]] std::optional<TimePoint> next() const;
    void run_next();
    void advance_to(TimePoint when);

    // --- journal ---

    /// Something happened. Two runs of one seed have the same hash.
    void trace(std::string_view what, std::uint64_t a = 0, std::uint64_t b = 0, std::string_view content = {});
    /// A line for readers, which is not part of the hash.
    void note(std::string_view line);
    [[nodiscard]] bool keeps_trace() const { return keep_trace_; }
    [[nodiscard]] std::uint64_t trace_hash() const { return hash_; }
    void keep_trace(bool keep) { keep_trace_ = keep; }
    /// The last lines, if they are kept.
    [[nodiscard]] std::string trace_text() const;

    /// The core broke its contract, or the client the RFC.
    void offence(std::string what);
    [[nodiscard]] const std::vector<std::string>& offences() const { return offences_; }

private:
    struct Action {
        TimePoint when;
        std::uint64_t order = 0;
        std::function<void()> what;

        /// Of two, the one that runs later; the heap has the other in front.
        bool operator<(const Action& other) const {
            return std::pair(when, order) > std::pair(other.when, other.order);
        }
    };
    void mix(std::string_view bytes);
    void mix(std::uint64_t value);

    std::uint64_t seed_;
    Random random_;
    TimePoint now_ = TimePoint(std::chrono::hours(1000));
    std::uint64_t order_ = 0;
    std::vector<Action> actions_;  ///< A heap, the next one first.
    std::uint64_t hash_ = 0xcbf29ce484222325u;
    bool keep_trace_ = false;
    std::vector<std::string> lines_;
    std::vector<std::string> offences_;
};

}  // namespace tern::sim
