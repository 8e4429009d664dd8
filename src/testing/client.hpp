// The driver: it does to a ClientCore what core.hpp says a driver does, under a virtual clock, and watches that the
// core keeps its side of the contract.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tern/core.hpp>

#include "fake_tls.hpp"
#include "faults.hpp"
#include "link.hpp"
#include "log.hpp"
#include "schedule.hpp"

namespace tern::sim {

/// The real digests, and random bytes from a seed. The generator can be made to fail.
class SeededCrypto final : public Crypto {
public:
    explicit SeededCrypto(std::uint64_t seed) : random_(seed) {}
    bool random_bytes(std::span<std::byte> out) override;
    std::array<std::byte, 20> sha1(Bytes bytes) override { return default_crypto().sha1(bytes); }
    std::string base64(Bytes bytes) override { return default_crypto().base64(bytes); }

    tls::Provider* tls() override { return has_tls ? library_.tls() : nullptr; }

    bool broken = false;
    bool has_tls = false;  ///< A library that is none; without it wss URLs are refused.

private:
    Random random_;
    FakeTls library_;
};

/// Memory as it comes from the system, unless it does not.
class FailingPool final : public BufferPool {
public:
    explicit FailingPool(std::uint64_t seed) : random_(seed) {}
    std::byte* take(std::size_t size) noexcept override;
    void give(std::byte* memory, std::size_t size) noexcept override;

    double failures = 0;                                    ///< The chance of each.
    [[nodiscard]] std::size_t out() const { return out_; }  ///< Bytes that were not given back.

private:
    Random random_;
    std::size_t out_ = 0;
};

/// The network as the driver sees it. Answers come later, never before the call returns.
class Network {
public:
    using Resolved = std::function<void(std::vector<Address>, Error)>;
    /// The wire is null when there is an error.
    using Connected = std::function<void(Wire*, Error)>;

    virtual ~Network() = default;
    virtual void resolve(const std::string& host, Resolved answer) = 0;
    virtual void connect(const Address& address, Connected answer) = 0;
};

class Client {
public:
    /// `pooled`: the core has a pool of memory, `pool`.
    Client(Schedule& schedule, Network& network, Config config, bool pooled = false);
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    // --- the user ---

    Error start(StartMode mode = StartMode::keep_trying);
    void stop();
    void reconnect_now();
    std::error_code refresh();
    std::error_code send(Opcode opcode, std::string_view payload, const SendOptions& options = {});
    std::error_code send_text(std::string_view text) { return send(Opcode::text, text); }
    std::error_code send_binary(std::string_view bytes) { return send(Opcode::binary, bytes); }
    std::error_code send_part(Opcode opcode, std::string_view payload, bool fin, const SendOptions& options = {});
    std::error_code ping(std::string_view payload);
    std::error_code close(CloseCode code = CloseCode::normal, std::string_view reason = {});
    /// If set, each attempt of the lives to come is prepared: the answer is `prepared`, at any time but not inside it.
    std::function<void(StreamId, std::uint32_t attempt)> on_prepare;
    void prepared(StreamId id, const Attempt& attempt, const Error& error = {});
    /// Takes no events until `resume`.
    void pause() { paused_ = true; }
    void resume();

    std::vector<Entry> log;
    /// Off: an entry stays only as long as the user's handler runs.
    void keep_log(bool keep) { keep_log_ = keep; }
    std::function<void(const Entry&)> on_event;
    [[nodiscard]] State state() const { return core_.state(); }
    [[nodiscard]] Stats stats() const { return core_.stats(); }
    /// Idle, and the user knows it.
    [[nodiscard]] bool ended() const { return judge_.ended() && state() == State::idle; }
    [[nodiscard]] std::size_t count(Event::Kind kind) const;
    /// The newest entry of that kind; null if there is none.
    [[nodiscard]] const Entry* find(Event::Kind kind) const;
    /// What the user got: text and binary messages, chunks joined.
    [[nodiscard]] std::vector<std::pair<Opcode, std::string>> messages() const;

    // --- the driver ---

    DriverFaults faults;
    SeededCrypto crypto;
    FailingPool pool;
    /// Called after every call of the core that the driver makes, with its number from 1. It may call anything above.
    std::function<void(std::uint64_t)> after_step;
    /// Called while bytes of `tx` are lent. It may call what belongs to the group `send`; events are taken behind it.
    std::function<void()> while_lent;
    /// Called for everything that `send` and `send_part` accept, in the order in which the core got it.
    std::function<void(Opcode, std::string_view payload, bool fin, const SendOptions&)> on_accepted;
    [[nodiscard]] std::uint64_t steps() const { return steps_; }
    /// Lookups, attempts and connections that the core has neither finished nor given up.
    [[nodiscard]] std::size_t open_ids() const { return lookups_.size() + sockets_.size(); }
    /// Bytes that wait in the socket because the core has no room.
    [[nodiscard]] std::size_t unread() const;

    /// When the timer fires; the world asks.
    [[nodiscard]] std::optional<TimePoint> timer() const { return timer_; }
    void on_timer();

private:
    struct Socket {
        Wire* wire = nullptr;  ///< Null while connecting.
        std::span<std::byte> lent;
        bool half_closed = false;
        bool write_failed = false;
        bool over = false;  ///< The end or an error has been reported.
        bool read_scheduled = false;
        bool write_scheduled = false;
    };

    void step(std::string_view what, std::uint64_t a = 0, std::uint64_t b = 0, std::string_view content = {});
    void pump();
    bool run_commands();
    void carry_out(const Command& command);
    bool take_events();
    bool take_message_in_a_row();
    void later();
    /// The user has taken everything.
    [[nodiscard]] bool at_rest() const { return !paused_ && !more_events_; }
    bool flush();
    bool flush(StreamId id);
    bool lend_reads();
    void arm();
    void check_waiting();

    void on_resolved(StreamId id, std::vector<Address> addresses, std::uint16_t port, Error error);
    void on_connected(StreamId id, Wire* wire, Error error);
    void on_readable(StreamId id);
    bool read_once(StreamId id);
    void read_end(StreamId id);
    void spurious_calls();
    /// What a call of the group `send` has said.
    void note(const std::error_code& error);
    /// The call must not change anything.
    template <class Call>
    void expect_nothing(const char* what, const Call& call);
    void trace_event(const Entry& entry);
    [[nodiscard]] std::size_t some(std::size_t available, std::size_t limit);
    [[nodiscard]] Socket* connected(StreamId id);

    Schedule& schedule_;
    Network& network_;
    const Config config_;
    ClientCore core_;
    EventJudge judge_;
    Event event_;
    bool in_a_row_ = false;
    bool take_first_ = false;

    std::set<StreamId> used_ids_;
    std::set<StreamId> lookups_;
    std::map<StreamId, Socket> sockets_;
    std::optional<TimePoint> deadline_;  ///< That `timer_` was made from.
    std::optional<TimePoint> timer_;
    std::uint64_t steps_ = 0;
    bool keep_log_ = true;
    bool paused_ = false;
    bool pumping_ = false;
    bool dirty_ = false;
    bool lending_ = false;
    std::size_t events_left_ = 0;  ///< That the user takes in this turn.
    bool more_events_ = false;     ///< The user left some for later.
};

}  // namespace tern::sim
