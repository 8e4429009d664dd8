// Messages that wait for a connection, and copies of those that the kernel has not got yet, so that they survive the
// connection that they were meant for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tern/config.hpp>
#include <tern/core.hpp>

#include "fifo.hpp"
#include "memory.hpp"

namespace tern::core {

/// What became of a message.
struct FateRecord {
    std::uint64_t number = 0;
    Fate fate = Fate::sent;
    Error error;  ///< Why it was dropped.
};
using Fates = Fifo<FateRecord>;

class Backlog {
public:
    struct Message {
        Opcode opcode = Opcode::binary;
        std::string payload;
        std::string key;
        SendOptions options;  ///< Without what it refers to.
        std::uint64_t number = 0;
        bool watched = false;                 ///< Its fate is to be told.
        StreamId stream = 0;                  ///< Where it was queued for sending; 0: it waits.
        std::optional<TimePoint> expires_at;  ///< Empty until the time is known, or for ever.
    };

    /// The configuration and the budget outlive it.
    /// `ceiling`: what all messages together may take of it, so that there is enough for the connection that they wait
    /// for. 0: no ceiling.
    Backlog(const OfflineQueue& config, MemoryBudget& budget, std::size_t ceiling) noexcept
        : config_(config), budget_(budget), ceiling_(ceiling) {}
    Backlog(const Backlog&) = delete;
    Backlog& operator=(const Backlog&) = delete;
    ~Backlog();

    /// Takes a message that waits. Others may have to go: their fates are told.
    [[nodiscard]] std::error_code add(Message message, std::size_t limit, Fates& fates);
    /// Takes a copy of a message that was queued for sending on `message.stream`. False: there is no memory for it.
    [[nodiscard]] bool keep(Message message);

    /// The first that waits; null if none does.
    [[nodiscard]] Message* waiting() noexcept;
    [[nodiscard]] bool any_waiting() const noexcept { return waiting_bytes_ != 0 || waiting_count_ != 0; }
    /// The one that `waiting` gave is queued for sending now.
    void on_queued(Message& message, StreamId stream) noexcept;
    /// The same one, to be kept no longer.
    [[nodiscard]] Message take(Message& message);
    /// It is done with: true if its fate is to be told; empty if it is not here.
    std::optional<bool> on_sent(std::uint64_t number) noexcept;
    [[nodiscard]] bool holds(std::uint64_t number) noexcept;
    /// The stream has ended: what was queued there waits again.
    void on_stream_ended(StreamId stream) noexcept;
    /// Everything that waits is lost.
    void drop(const Error& error, Fates& fates);

    /// Starts the clocks of what was added since, and drops what has expired.
    void settle(TimePoint now, Fates& fates);
    [[nodiscard]] bool needs_settle() const noexcept { return unstamped_; }
    [[nodiscard]] std::optional<TimePoint> deadline() const noexcept { return deadline_; }
    /// Bytes that wait, without those of `keep`.
    [[nodiscard]] std::size_t waiting_bytes() const noexcept { return waiting_bytes_; }
    [[nodiscard]] bool empty() const noexcept { return messages_.empty(); }

private:
    [[nodiscard]] std::vector<Message>::iterator find(std::uint64_t number) noexcept;
    [[nodiscard]] bool charge(std::size_t n) noexcept;
    void discharge(std::size_t n) noexcept;
    void count(const Message& message, bool in) noexcept;
    std::vector<Message>::iterator remove(std::vector<Message>::iterator message);
    bool drop_oldest(Fates& fates);
    [[nodiscard]] static std::size_t memory_of(const Message& message) noexcept;
    void tell(const Message& message, Fate fate, const Error& error, Fates& fates);

    const OfflineQueue& config_;
    MemoryBudget& budget_;
    std::size_t ceiling_;
    std::size_t charged_ = 0;
    Fifo<Message> messages_;  ///< In the order of sending.
    std::size_t waiting_bytes_ = 0;
    std::size_t waiting_count_ = 0;
    std::size_t queued_in_front_ = 0;  ///< So many at least do not wait, from the first on.
    std::optional<TimePoint> deadline_;
    bool unstamped_ = false;  ///< Some have no `expires_at` yet.
};

}  // namespace tern::core
