// One byte stream from the first byte to the last: the upgrade, and then the session. Proxy and TLS stages will stand
// in front of them. It knows nothing of names, addresses and retries.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <tern/config.hpp>
#include <tern/core.hpp>

#include "buffer.hpp"
#include "memory.hpp"
#include "session.hpp"
#include "upgrade.hpp"
#include "url.hpp"

namespace tern::core {

class Connection {
public:
    enum class Stage : std::uint8_t { handshake, session, failed };

    /// The references outlive the connection. Begins the upgrade.
    Connection(const Config& config, const Url& url, Crypto& crypto, TimePoint now);

    [[nodiscard]] Stage stage() const noexcept { return stage_; }
    /// Why the stage is `failed`; `peer` is the caller's to fill in.
    [[nodiscard]] const Error& error() const noexcept { return error_; }
    /// What the upgrade agreed on; from stage `session` on.
    [[nodiscard]] Handshake& handshake() noexcept { return upgrade_result_; }
    /// Only in stage `session`.
    [[nodiscard]] Session& session() noexcept { return *session_; }
    [[nodiscard]] const Session& session() const noexcept { return *session_; }

    // The calls of ClientCore, with the same groups and contracts.
    [[nodiscard]] std::span<std::byte> rx_space();
    void rx_commit(std::size_t n, TimePoint now);
    /// The stream has ended, by `connection_lost` or another error. What was received before is still delivered.
    void on_end(Error error, TimePoint now);
    void on_timeout(TimePoint now);
    void settle(TimePoint now);
    [[nodiscard]] bool next(Event& event);
    [[nodiscard]] std::size_t tx(std::span<Bytes> out);
    void tx_consume(std::size_t n);
    [[nodiscard]] std::optional<TimePoint> deadline() const noexcept;

    /// Nothing that was received waits to be taken.
    [[nodiscard]] bool drained() const noexcept { return drained_; }

private:
    void advance(TimePoint now);
    void conclude(Handshaker::Status status, TimePoint now);
    void fail(Error error);

    const Config& config_;
    Crypto& crypto_;
    Stage stage_ = Stage::handshake;
    Error error_;

    Block rx_memory_;
    Buffer rx_;
    bool drained_ = true;
    std::optional<Error> end_;  ///< The stream has ended, but what came before has not been taken yet.

    std::unique_ptr<Upgrade> upgrade_;
    Handshake upgrade_result_;
    std::string handshake_tx_;
    std::size_t handshake_sent_ = 0;
    std::size_t handshake_lent_ = 0;
    TimePoint upgrade_deadline_;

    std::optional<Session> session_;
};

}  // namespace tern::core
