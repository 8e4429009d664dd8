// One byte stream from the first byte to the last: [TLS to the proxy] [the proxy] [TLS] the upgrade, and then the
// session. It knows nothing of names, addresses and retries.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <tern/config.hpp>
#include <tern/core.hpp>

#include "buffer.hpp"
#include "memory.hpp"
#include "proxy_url.hpp"
#include "rare.hpp"
#include "session.hpp"
#include "tls_layer.hpp"
#include "upgrade.hpp"
#include "url.hpp"

namespace tern::core {

/// What a connection leads through. Everything outlives its handshakes.
struct Route {
    const Url& url;
    const ProxyUrl* proxy = nullptr;
    std::optional<Address> target;      ///< Of the server, when a SOCKS5 proxy is to be told an address.
    tls::Context* tls = nullptr;        ///< When the URL is a secure one.
    tls::Context* proxy_tls = nullptr;  ///< When the proxy is reached by TLS.
    /// The user's URL was redirected to another origin: its credentials are not for this one.
    bool foreign = false;
    /// For the upgrade, if the attempt has settings of its own; needed until that is over.
    const Config* attempt = nullptr;
};

class Connection {
public:
    enum class Stage : std::uint8_t { handshake, session, failed };

    /// The references outlive the connection. Begins with the first step of the route.
    Connection(const Config& config, Route route, Crypto& crypto, TimePoint now, MemoryBudget* budget = nullptr);

    [[nodiscard]] Stage stage() const noexcept { return stage_; }
    /// Why the stage is `failed`; `peer` is the caller's to fill in.
    [[nodiscard]] Error error() const { return error_.value(); }
    /// Something is left to be said to the peer after a failure: an alert of TLS. Not worth waiting for.
    [[nodiscard]] bool has_last_words() const noexcept;
    /// What is being done in stage `handshake`: `proxy`, `tls` or `upgrade`.
    [[nodiscard]] Phase phase() const noexcept;
    /// When that began; not after `take_handshake`.
    [[nodiscard]] TimePoint step_began_at() const noexcept { return making_->step_began; }
    [[nodiscard]] const PhaseTimes& times() const noexcept { return making_->times; }
    /// What the handshakes agreed on; in stage `session`, and once. The route is not needed any more.
    [[nodiscard]] std::unique_ptr<Handshake> take_handshake() noexcept {
        const std::unique_ptr<Making> making = std::move(making_);
        return std::move(making->result);
    }
    /// Only in stage `session`.
    [[nodiscard]] Session& session() noexcept { return *session_; }

    /// Tells the configured tracer, if there is one, of what is said from the upgrade on.
    void trace_as(std::uint32_t stream) noexcept { trace_stream_ = stream; }

    // The calls of ClientCore, with the same groups and contracts.
    [[nodiscard]] std::span<std::byte> rx_space();
    void rx_commit(std::size_t n, TimePoint now);
    /// The stream has ended, by `connection_lost` or another error. What was received before is still delivered.
    void on_end(Error&& error, TimePoint now);
    void on_timeout(TimePoint now);
    void settle(TimePoint now);
    void trim() noexcept;
    [[nodiscard]] bool next(Event& event);
    [[nodiscard]] std::size_t next(std::span<MessageView> out) noexcept {
        return stage_ == Stage::session && !drained_ ? session_->next(rx_, out) : 0;
    }
    void put_back(std::span<const MessageView> messages) noexcept { session_->put_back(rx_, messages); }
    [[nodiscard]] std::size_t tx(std::span<Bytes> out);
    void tx_consume(std::size_t n);
    [[nodiscard]] std::optional<TimePoint> deadline() const noexcept;
    /// Nothing more will be written: the session is told of the records of TLS that the kernel has got. Before, it is
    /// told when all that was lent is written.
    void account_for_records();
    /// After a failure everything has been said: time for FIN. True once.
    [[nodiscard]] bool take_half_close();

    /// For what came of sending: something could not be encrypted, or it is time for FIN. Group `send`.
    [[nodiscard]] bool needs_settle() const noexcept {
        return stage_ == Stage::session && ((error_ && !end_) || half_close_due());
    }
    /// That the last event has been taken has consequences. For callers of `settle`.
    [[nodiscard]] bool unsettled() const noexcept {
        if (stage_ != Stage::session) return false;
        return session_->unsettled() || (drained_ && (end_ || session_->ended()));
    }

    /// Nothing that was received waits to be taken.
    [[nodiscard]] bool drained() const noexcept { return drained_; }

private:
    enum class Step : std::uint8_t { proxy_tls, proxy, tls, upgrade, session };

    [[nodiscard]] Step step_after(Step step) const noexcept;
    void begin(Step step, TimePoint now);
    void begin_tls(tls::Context* context, const std::string& host, std::uint16_t port);
    void advance(TimePoint now);
    void conclude(Handshaker::Status status, TimePoint now);
    void end_step(TimePoint now);
    void fail(Error error);
    [[nodiscard]] Error no_memory(Phase phase) const;
    [[nodiscard]] Handshaker::Status advance_tls();
    [[nodiscard]] bool in_tls_step() const noexcept { return step_ == Step::proxy_tls || step_ == Step::tls; }
    [[nodiscard]] TlsLayer::Status decrypt();
    void on_tls_end(TlsLayer::Status status, TimePoint now);
    void encrypt(Bytes plain);
    void encrypt(TlsLayer& layer, Bytes plain);
    void end(Error&& error, TimePoint now);
    void encrypt_what_waits();
    void pass_outwards();
    [[nodiscard]] bool layers_are_done() const noexcept;
    [[nodiscard]] bool half_close_due() const noexcept {
        return fin_wanted_ ? layers_are_done() : session_->half_close_due();
    }
    [[nodiscard]] std::size_t layers_wanted() const noexcept;
    [[nodiscard]] bool hold_memory();
    [[nodiscard]] bool hold_receive_buffer();
    void release_memory(bool quiet = false) noexcept;
    void commit_payload(std::size_t n, TimePoint now);
    void move_rx(Block memory, std::size_t reserve) noexcept;
    /// Memory is only lent to those who need it now.
    [[nodiscard]] bool borrows() const noexcept {
        return budget_ != nullptr && budget_->pool() != nullptr && !budget_->limited();
    }

    void trace_heads();

    /// What only the handshakes need.
    struct Making {
        const Route route;
        TimePoint step_began;
        TimePoint step_deadline;
        PhaseTimes times{};
        std::unique_ptr<Handshaker> handshaker;
        std::unique_ptr<Handshake> result;
        MemoryCharge heads_and_bodies;  ///< Of HTTP.
    };

    const Config& config_;
    std::uint32_t trace_stream_ = 0;
    Stage stage_ = Stage::handshake;
    Step step_ = Step::upgrade;
    Crypto& crypto_;
    MemoryBudget* budget_;
    std::unique_ptr<Making> making_;  ///< Null once they are done and told of.
    MemoryCharge tls_;                ///< What the layers and their library use beside the blocks that are counted.
    Rare<Error> error_;

    std::vector<std::unique_ptr<TlsLayer>> layers_;  ///< The one next to the network first.
    Block rx_memory_;
    Buffer rx_;  ///< What came out of the last layer.
    bool drained_ = true;
    bool rx_lent_ = false;  ///< `rx_space` was asked for and not answered.
    bool flooded_ = false;  ///< Reads fill what they are given.
    /// The last read went to its place in a large message. What follows may be another one, whose beginning would have
    /// to be moved there.
    bool after_large_ = false;
    Rare<Error> end_;  ///< The stream has ended, but what came before has not been taken yet.

    struct Record {
        std::size_t end = 0;        ///< In `Lent::bytes`.
        std::size_t plain_end = 0;  ///< In what the session has lent.
    };
    /// What is sent and is not just the session's.
    struct Lent {
        std::string words;  ///< Of the handshaker, to be sent.
        /// Lent to the kernel: the handshaker's words, or what came out of the layer next to the network.
        std::string bytes;
        std::size_t taken = 0;
        /// Bytes of the session that are in `bytes`; it is told when the kernel has all of them.
        std::size_t session = 0;
        std::vector<Record> records;
    };
    /// Null: without TLS, when the words have been sent, the session lends all there is.
    std::unique_ptr<Lent> lent_ = std::make_unique<Lent>();
    bool fin_wanted_ = false;
    /// The peer's close_notify was answered, or an alert raised: nobody reads a message behind that, though the kernel
    /// would take it, and so none may count as sent.
    bool tls_over_ = false;
    bool last_words_ = false;

    std::optional<Session> session_;
};

}  // namespace tern::core
