// Whether, when and where to try again.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <tern/config.hpp>
#include <tern/core.hpp>

namespace tern::core {

/// The class of an ending: the user's rules, then the HTTP status, then the close code, then the error table.
[[nodiscard]] Retry retry_class(const Reconnect& config, const Error& error, CloseCode close) noexcept;

/// Watches over the attempts of one life.
class Supervisor {
public:
    struct Decision {
        bool again = false;
        bool same_round = false;  ///< Another endpoint, at once.
        bool limited = false;     ///< Not again, because a limit is reached.
        std::chrono::milliseconds delay{0};
    };

    /// The configuration outlives it. There is at least one endpoint.
    Supervisor(const Reconnect& config, std::size_t endpoints, Crypto& random, TimePoint now);

    /// An attempt begins; returns its number, counted since the last stable connection.
    std::uint32_t on_attempt() noexcept { return ++attempts_; }
    void on_open(TimePoint now) noexcept { opened_ = now; }
    /// Has the open connection proved its worth? Then what failed before it does not count any more.
    bool note_stable(TimePoint now) noexcept;
    /// The open connection has ended; `close` is the peer's code, 0 if there is none.
    [[nodiscard]] Decision on_ended(const Error& error, CloseCode close, TimePoint now);
    /// An attempt has failed.
    [[nodiscard]] Decision on_failed(const Error& error, TimePoint now);
    /// A delay by which many clients that were told the same do not come at the same moment.
    [[nodiscard]] std::chrono::milliseconds spread() { return draw(std::chrono::milliseconds(0), shortest_); }
    /// The network has changed: what failed before says nothing any more.
    void forget_failures() noexcept { failures_ = 0; }
    /// From now on these are the shortest and the longest delay.
    void set_delays(std::chrono::milliseconds shortest, std::chrono::milliseconds longest) noexcept;
    /// How long the wait would be that follows the last failure, drawn anew.
    [[nodiscard]] std::chrono::milliseconds delay();

    /// Where the next attempt leads: an index into the list of endpoints.
    [[nodiscard]] std::size_t endpoint() const noexcept { return order_.empty() ? 0 : order_[turn_]; }
    /// The number that the next attempt will have.
    [[nodiscard]] std::uint32_t next_attempt() const noexcept { return attempts_ + 1; }

private:
    [[nodiscard]] Decision decide(Retry retry, const Error& error, TimePoint now);
    [[nodiscard]] std::chrono::milliseconds draw(std::chrono::milliseconds low, std::chrono::milliseconds high);
    [[nodiscard]] std::uint32_t random_number();
    bool strike();
    void shuffle();

    const Reconnect& config_;
    std::chrono::milliseconds shortest_;  ///< Instead of the configuration's, because they can change.
    std::chrono::milliseconds longest_;
    Crypto& random_;
    std::vector<std::size_t> order_;  ///< Endpoints that have not failed for good; empty if there is only one.
    std::size_t turn_ = 0;
    std::uint32_t attempts_ = 0;
    std::uint32_t failures_ = 0;  ///< Delays since the last stable connection.
    bool at_once_ = false;        ///< The connection was stable, and there was no attempt since.
    TimePoint down_since_;        ///< The start, or the end of the last stable connection.
    TimePoint opened_;
};

}  // namespace tern::core
