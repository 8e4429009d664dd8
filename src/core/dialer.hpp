// From a name to a TCP connection: resolve, then race the addresses (RFC 8305). One attempt of a client; the first
// address that answers wins and the others are abandoned.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <tern/config.hpp>
#include <tern/core.hpp>

#include "fifo.hpp"
#include "rare.hpp"

namespace tern::core {

class Dialer {
public:
    enum class Status : std::uint8_t { working, connected, failed };

    /// What is wanted: a connection, or nothing but the first address of the name.
    enum class Goal : std::uint8_t { connection, address };

    /// Ids are taken from `next_id`, and `commands` are given what it wants; both outlive the dialer. Wants to resolve
    /// at once.
    Dialer(const Timeouts& timeouts, Goal goal, std::string host, std::uint16_t port, StreamId& next_id,
           Fifo<Command>& commands, TimePoint now);

    [[nodiscard]] Goal goal() const noexcept { return goal_; }
    [[nodiscard]] Status status() const noexcept { return status_; }
    [[nodiscard]] bool resolving() const noexcept { return lookup_ != 0; }
    /// The connection that won, and where it leads; only when `connected`.
    [[nodiscard]] StreamId stream() const noexcept { return stream_; }
    [[nodiscard]] const Address& address() const noexcept { return address_; }
    [[nodiscard]] TimePoint began_at() const noexcept { return began_; }
    [[nodiscard]] TimePoint resolved_at() const noexcept { return resolved_; }
    /// Why no address could be reached; only when `failed`.
    [[nodiscard]] const Error& error() const noexcept { return error_.view(); }

    void on_resolved(StreamId id, std::span<const Address> addresses, Error&& error, TimePoint now);
    void on_connected(StreamId id, Error&& error, TimePoint now);
    void on_timeout(TimePoint now);
    /// Gives up everything that is still under way, and the connection that won, unless its owner destroys this
    /// instead.
    void abandon();

    [[nodiscard]] std::optional<TimePoint> deadline() const noexcept;

private:
    struct Attempt {
        StreamId id = 0;
        Address address;
        TimePoint began;
    };

    void drop_others();
    void start_next(TimePoint now);
    void attempt_failed(std::size_t index, Error error, TimePoint now);
    [[nodiscard]] TimePoint deadline_of(const Attempt& attempt) const noexcept {
        return attempt.began + timeouts_.connect;
    }
    void give_up(StreamId id);
    void fail(Error error);

    const Timeouts& timeouts_;
    const Goal goal_;
    const TimePoint began_;
    TimePoint resolved_;
    StreamId& next_id_;
    Fifo<Command>& commands_;
    Status status_ = Status::working;

    StreamId lookup_ = 0;  ///< 0: not under way.
    TimePoint lookup_deadline_;

    std::vector<Address> waiting_;  ///< Not tried yet, the next one last.
    std::vector<Attempt> attempts_;
    TimePoint next_start_;

    StreamId stream_ = 0;
    Address address_;
    Rare<Error> error_;
};

}  // namespace tern::core
