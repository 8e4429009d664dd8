// The coordinator: it turns a start into attempts, an attempt into a link, a link into events, and decides what comes
// after its end. What happens on a connection is decided in session.cpp, how one is made in connect_attempt.cpp.

#include <algorithm>
#include <atomic>
#include <cassert>
#include <new>
#include <utility>

#include <tern/core.hpp>
#include <tern/trace.hpp>

#include "backlog.hpp"
#include "connect_attempt.hpp"
#include "connection.hpp"
#include "extensions.hpp"
#include "fifo.hpp"
#include "proxy_url.hpp"
#include "rare.hpp"
#include "reconnect.hpp"
#include "timer_table.hpp"
#include "url.hpp"

namespace tern {
namespace {

using core::Backlog;
using core::ConnectAttempt;
using core::Link;
using std::chrono::milliseconds;

/// Longer durations would only serve to overflow a time point.
constexpr milliseconds longest = std::chrono::hours(24 * 365);

Error invalid(const char* what) { return {Errc::invalid_config, Phase::none, what}; }

Error check_reconnect(const Reconnect& r) {
    for (const auto value :
         {r.min_delay, r.max_delay, r.min_later, r.max_later, r.stable_after, r.max_retry_after, r.give_up_after}) {
        if (value.count() < 0 || value > longest)
            return invalid("every duration of reconnect lies between 0 and a year");
    }
    if (r.max_delay < r.min_delay) return invalid("reconnect.max_delay is at least reconnect.min_delay");
    if (r.max_later < r.min_later) return invalid("reconnect.max_later is at least reconnect.min_later");
    return {};
}

/// What a connection may need until it is open.
std::size_t memory_of_connection(const Config& config) {
    return config.receive_buffer + config.limits.max_head_size + config.limits.max_error_body + (8u << 10u);
}

Error check_values(const Config& config) {
    const Timeouts& t = config.timeouts;
    for (const auto value : {t.resolve, t.connect, t.proxy, t.tls, t.upgrade, t.attempt, t.close}) {
        if (value.count() <= 0 || value > longest) return invalid("every timeout lies between 1 ms and a year");
    }
    if (t.stop.count() < 0 || t.stop > longest) return invalid("timeouts.stop lies between 0 and a year");
    const Keepalive& k = config.keepalive;
    if (k.interval.count() < 0 || k.interval > longest) return invalid("keepalive.interval lies between 0 and a year");
    if (k.pong_timeout.count() <= 0 || k.pong_timeout > longest) {
        return invalid("keepalive.pong_timeout lies between 1 ms and a year");
    }
    if (Error error = check_reconnect(config.reconnect)) return error;
    const milliseconds expire = config.offline_queue.expire_after;
    if (expire.count() < 0 || expire > longest) {
        return invalid("offline_queue.expire_after lies between 0 and a year");
    }
    if (config.water_marks.high != 0 && config.water_marks.low >= config.water_marks.high) {
        return invalid("water_marks.low is less than water_marks.high");
    }
    if (config.receive_buffer < (4u << 10u) || config.receive_buffer > (16u << 20u)) {
        return invalid("receive_buffer lies between 4 KiB and 16 MiB");
    }
    const Limits& l = config.limits;
    if (l.max_memory != 0 && l.max_memory < memory_of_connection(config)) {
        return invalid("limits.max_memory is less than receive_buffer and what a handshake may need");
    }
    if (Error error = core::check_compression(config.compression)) return error;
    if (config.limits.max_head_size == 0 || config.limits.max_head_fields == 0) {
        return invalid("limits.max_head_size and limits.max_head_fields are at least 1");
    }
    return {};
}

std::size_t family(const Error& error) {
    const ErrorRow* row = error_row(error.errc());
    return row != nullptr ? static_cast<std::size_t>(row->condition) : 0;
}

/// For a trace.
std::string command_text(const Command& command) {
    switch (command.kind) {
        case Command::Kind::prepare: return "prepare attempt " + std::to_string(command.attempt);
        case Command::Kind::resolve: return "resolve " + command.host;
        case Command::Kind::connect:
            return "connect to " + command.address.to_string() + " port " + std::to_string(command.port);
        case Command::Kind::half_close: return "half-close";
        case Command::Kind::close: break;
    }
    return "close";
}

std::error_code check_close(CloseCode code, std::string_view reason) {
    if (code != CloseCode::no_status && !is_sendable(code)) return Errc::invalid_close_code;
    const std::size_t room = code == CloseCode::no_status ? 0 : core::max_control_payload - 2;
    return reason.size() > room || !core::is_utf8(as_bytes(reason)) ? Errc::invalid_close_reason : std::error_code();
}

/// The URLs that an attempt may lead to are those of `url`, if there is one, and `endpoints`; at least one.
bool url_counts(const Config& config) { return !config.url.empty() || config.endpoints.empty(); }
std::size_t endpoint_count(const Config& config) { return config.endpoints.size() + (url_counts(config) ? 1 : 0); }
const std::string& endpoint_text(const Config& config, std::size_t number) {
    if (!url_counts(config)) return config.endpoints[number];
    return number == 0 ? config.url : config.endpoints[number - 1];
}

/// Everything that can be judged before the network is asked.
Error check_config(const Config& config, Crypto& crypto, bool prepared, std::vector<core::Url>& urls,
                   core::Rare<core::ProxyUrl>& proxy) {
    if (Error error = check_values(config)) return error;
    proxy.reset();
    if (!config.proxy.empty()) {
        if (Error error = core::parse_proxy_url(config.proxy, proxy.emplace())) return error;
        if (proxy->kind == core::ProxyUrl::Kind::https && crypto.tls() == nullptr) return Errc::tls_unavailable;
    }
    urls.clear();
    urls.resize(endpoint_count(config));
    if (prepared && config.url.empty() && config.endpoints.empty()) return {};
    if (Error error = core::check_upgrade_config(config)) return error;
    for (std::size_t i = 0; i < urls.size(); ++i) {
        Error error = core::parse_url(endpoint_text(config, i), urls[i]);
        if (!error && urls[i].secure && crypto.tls() == nullptr) error = Errc::tls_unavailable;
        if (error && urls.size() > 1) {
            error.detail += (error.detail.empty() ? "endpoint " : "; endpoint ") + std::to_string(i + 1);
        }
        if (error) return error;
    }
    return {};
}

}  // namespace

class ClientCore::Impl {
public:
    Impl(std::shared_ptr<const Config> config, Crypto& crypto, BufferPool* pool)
        : config_(std::move(config)),
          common_(*config_, crypto, pool),
          keeps_(waits() && config_->offline_queue.resend) {}
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    ~Impl() { drop_events(); }

    void prepare_attempts(bool wanted) { prepare_attempts_ = wanted; }
    Error load(bool prepared);
    Error start(StartMode mode, TimePoint now);
    void stop(TimePoint now);
    void reconnect_now(TimePoint now);
    std::error_code refresh(TimePoint now);
    std::error_code abort(TimePoint now);
    std::error_code set_reconnect_delays(milliseconds min, milliseconds max, TimePoint now);

    void begin(Outgoing& outgoing);
    std::error_code finish(Outgoing& outgoing);
    /// What most messages are: nothing waits, and nobody asks what becomes of it. It is not compressed. False: nothing
    /// was done.
    bool send_quickly(Opcode opcode, Bytes payload, const SendOptions& options) {
        return link_ && !close_requested_ && backlog_ == nullptr && options.number == nullptr && !keeps_ &&
               link_.session().send_quickly(opcode, payload, options);
    }
    std::error_code ping(Bytes payload);
    std::error_code pong(Bytes payload);
    std::error_code close(CloseCode code, std::string_view reason);
    std::error_code reopen(CloseCode code, std::string_view reason);

    void on_prepared(StreamId id, Attempt attempt, Error error, TimePoint now);
    void on_resolved(StreamId id, std::span<const Address> addresses, Error&& error, TimePoint now);
    void on_connected(StreamId id, Error&& error, TimePoint now);
    std::span<std::byte> rx_space(StreamId id);
    void rx_commit(StreamId id, std::size_t n, TimePoint now);
    void on_end(StreamId id, Error&& error, TimePoint now);
    void on_timeout(TimePoint now);

    bool next(Command& command);
    bool next(Event& event);
    std::size_t next(std::span<MessageView> messages) noexcept;
    void put_back(std::span<const MessageView> messages) noexcept;
    void settle(TimePoint now);
    void trim() noexcept;
    std::size_t tx(StreamId id, std::span<Bytes> out);
    void tx_consume(StreamId id, std::size_t n);
    bool needs_settle() const noexcept;
    bool has_events() const noexcept;
    bool unsettled() const noexcept;
    std::optional<TimePoint> deadline() const noexcept;

    std::size_t send_queued() const noexcept;
    State state() const noexcept;
    Stats stats() const noexcept;

    /// The next call of the group `whole` ends the life.
    void lack_memory() noexcept {
        if (alive_) memory_.store(MemoryState::lacking, std::memory_order_relaxed);
    }
    [[nodiscard]] bool compresses() const noexcept { return link_ && link_.session().compresses(); }
    [[nodiscard]] bool lacks_memory() const noexcept {
        return memory_.load(std::memory_order_relaxed) == MemoryState::lacking;
    }
    /// Ends it. Needs no memory, and nothing of what is there to be in order.
    void end_without_memory() noexcept;

private:
    enum class Timer : std::uint8_t { reconnect, count };
    enum class MemoryState : std::uint8_t {
        enough,
        lacking,  ///< An allocation has failed, perhaps in the middle of something.
        ended,    ///< The life has ended for that, and the last event is still to be taken.
    };

    /// An event of the life, which owns what the user's event refers to.
    struct Lifecycle {
        Lifecycle() = default;
        Lifecycle(const Lifecycle&) = delete;
        Lifecycle& operator=(const Lifecycle&) = delete;
        ~Lifecycle();

        Event::Kind kind = Event::Kind::connecting;
        std::uint32_t attempt = 0;
        milliseconds delay{0};
        CloseInfo close;  ///< Its error is that of every kind.
        std::unique_ptr<Handshake> handshake;
        std::unique_ptr<Lifecycle> next;  ///< The event behind it.

        [[nodiscard]] Error& error() noexcept { return close.error; }
    };

    void begin_attempt(TimePoint now);
    void wait_for_attempt(TimePoint now, milliseconds delay);
    void update(TimePoint now);
    void update_attempt(TimePoint now);
    void attempt_failed(Error error, TimePoint now);
    void adopt(TimePoint now);
    void update_link(TimePoint now);
    void link_ended(TimePoint now);
    void tell_of_end(CloseInfo&& info, TimePoint now);
    void update_old();
    void half_close_if_due(Link& link);
    void drop(Link& link);
    void end_link(Link& link, const Error& error);
    void take_back(Link& link, const Error& error);
    void begin_switch(TimePoint now);
    [[nodiscard]] bool should_switch(TimePoint now);
    void try_again_or_fail(Error error, const core::Supervisor::Decision& decision, TimePoint now);
    void finish(const Error& error);
    void end_life(const Error& error);
    void drop_attempt();
    Stats& past() { return past_ ? *past_ : past_.emplace(); }
    Lifecycle& add_event(Event::Kind kind);
    void drop_events() noexcept;
    bool next_lifecycle(Event& event);
    bool next_fate(Event& event);
    bool next_without_memory(Event& event);

    Link* find(StreamId id) noexcept;
    [[nodiscard]] bool usable() const noexcept { return link_ && link_.session().open(); }
    /// Messages may wait for a connection, however long it takes.
    [[nodiscard]] bool waits() const noexcept { return config_->offline_queue.max_bytes != 0; }
    /// Messages are accepted while there is no open connection.
    [[nodiscard]] bool queues() const noexcept { return waits() || switching_; }
    /// The connection whose place was taken has messages left, which may yet have to go to its successor: until that is
    /// known, later ones wait, so that the order stays.
    [[nodiscard]] bool holds_back() const noexcept {
        return keeps_ && !close_requested_ && old_ && !old_.session().ended() && old_.session().any_unsent();
    }
    [[nodiscard]] bool anything_waits() const noexcept;
    std::error_code noted(std::error_code error) noexcept;
    void tell_of_room();
    void drop_waiting(const Error& error);
    std::error_code send_whole(Outgoing& outgoing);
    std::error_code send_part(Outgoing& outgoing);
    void need_backlog();
    std::error_code enqueue(Opcode opcode, Bytes payload, const SendOptions& options);
    [[nodiscard]] bool keep_copy(Opcode opcode, Bytes payload, const SendOptions& options, std::uint64_t number);
    void send_backlog();
    void note_sent(core::Session& session);
    void tell_fates();
    void trace(TraceRecord::Kind kind, StreamId stream, std::string_view text, std::uint64_t size = 0) const noexcept;
    std::uint64_t number_for(const SendOptions& options) noexcept;

    std::shared_ptr<const Config> config_;
    core::Common common_;
    const bool keeps_;  ///< Messages outlive the connection that they were queued on.
    /// Of the endpoints, from `load` to the first attempt. Later ones are rare enough to read them again.
    std::vector<core::Url> urls_;
    std::optional<core::Supervisor> supervisor_;
    std::optional<bool> loaded_;  ///< With what `load` has succeeded: each life has the same configuration.
    StartMode mode_ = StartMode::keep_trying;
    bool prepare_attempts_ = false;
    bool tls_failed_ = false;  ///< The last life has ended in its handshakes.

    bool alive_ = false;
    core::TimerTable<Timer> timers_;
    TimePoint wait_began_;                  ///< For the next attempt.
    std::unique_ptr<Lifecycle> lifecycle_;  ///< The next event; a list.
    Lifecycle* last_ = nullptr;             ///< The end of it.
    std::unique_ptr<Lifecycle> current_;    ///< What the last event refers to.

    std::unique_ptr<ConnectAttempt> attempt_;
    Link link_;                   ///< The open connection that messages go to.
    Link old_;                    ///< One whose place was taken; it delivers what is left and is closed.
    core::Rare<CloseInfo> held_;  ///< How `link_` ended while its successor is being made; nobody was told yet.
    /// The attempt (or the wait for it) is to take the place of `link_` without a gap.
    bool switching_ = false;
    bool switch_tried_ = false;  ///< Once is enough for a peer that says that it goes away.

    // Group `send`.
    bool close_requested_ = false;
    bool reopening_ = false;  ///< We close, and want another connection.
    std::uint64_t last_number_ = 0;
    std::unique_ptr<Backlog> backlog_;
    core::Fates fates_;  ///< Of which the user has not been told; `settle` passes them on.
    std::uint64_t bytes_sent_ = 0;

    core::Fates told_fates_;  ///< For `next`. Group `receive`, like `current_`.
    core::Rare<core::FateRecord> current_fate_;

    std::atomic<MemoryState> memory_ = MemoryState::enough;
    bool told_open_ = false;  ///< The user knows of an open connection. Group `receive`.
    /// What the driver may have: streams from this number on.
    StreamId first_stream_ = 1;
    /// Those that it has to give up, because nothing is known of them any more.
    StreamId give_up_from_ = 0;
    StreamId give_up_until_ = 0;

    // For `stats`.
    std::uint64_t bytes_received_ = 0;
    std::uint32_t connects_ = 0;
    std::uint32_t attempts_ = 0;
    std::uint32_t switches_ = 0;
    std::uint32_t tls_resumed_ = 0;
    std::uint32_t ends_without_memory_ = 0;
    PhaseTimes phases_;
    core::Rare<Stats> past_;  ///< Of the connections and attempts that have ended.
};

// --- what the user wants -------------------------------------------------------------------------------------------

Error ClientCore::Impl::load(bool prepared) {
    if (alive_) return Errc::already_started;
    // A library that lacked memory may have made something that never works, without a word.
    if (std::exchange(tls_failed_, false)) {
        common_.tls.reset();
        common_.proxy_tls.reset();
        loaded_.reset();
    }
    if (loaded_ == prepared) return {};
    loaded_.reset();
    if (Error error = check_config(*config_, common_.crypto, prepared, urls_, common_.proxy)) return error;
    for (const core::Url& url : urls_) {
        if (Error error = common_.prepare_tls(url)) return error;
    }
    loaded_ = prepared;
    return {};
}

Error ClientCore::Impl::start(StartMode mode, TimePoint now) {
    if (Error error = load(prepare_attempts_)) return error;
    alive_ = true;
    mode_ = mode;
    supervisor_.emplace(config_->reconnect, endpoint_count(*config_), common_.crypto, now);
    close_requested_ = false;
    reopening_ = false;
    begin_attempt(now);
    update(now);
    return {};
}

void ClientCore::Impl::stop(TimePoint now) {
    if (!alive_) return;
    if (link_) {
        drop_attempt();
        // It may have ended by itself, with events that nobody has taken yet: no other one follows it either.
        close_requested_ = true;
        link_.session().stop();
        return link_ended(now);
    }
    Error error(Errc::stopped, attempt_ != nullptr ? attempt_->phase() : Phase::none);
    if (attempt_ != nullptr) error.peer = attempt_->peer();
    finish(error);
}

void ClientCore::Impl::reconnect_now(TimePoint now) {
    if (!alive_) return;
    supervisor_->forget_failures();
    if (usable()) link_.session().probe(now);
    if (attempt_ == nullptr && timers_.is_set(Timer::reconnect)) {
        timers_.stop(Timer::reconnect);
        begin_attempt(now);
    }
    update(now);
}

std::error_code ClientCore::Impl::refresh(TimePoint now) {
    if (!usable()) return Errc::not_connected;
    begin_switch(now);
    update(now);
    return {};
}

std::error_code ClientCore::Impl::abort(TimePoint now) {
    if (!link_) return Errc::not_connected;
    on_end(link_.stream, Error(Errc::connection_lost, Phase::open, "dropped by this side"), now);
    return {};
}

std::error_code ClientCore::Impl::set_reconnect_delays(milliseconds min, milliseconds max, TimePoint now) {
    if (min.count() < 0 || max < min || max > longest) return Errc::invalid_config;
    if (!alive_) return Errc::not_connected;
    supervisor_->set_delays(min, max);
    // A switch begins with a spread of its own.
    if (timers_.is_set(Timer::reconnect) && !switching_) {
        timers_.set(Timer::reconnect, std::max(now, wait_began_ + std::max(supervisor_->delay(), milliseconds(1))));
    }
    return {};
}

/// Numbers are given to messages that somebody follows: the user, or the backlog.
std::uint64_t ClientCore::Impl::number_for(const SendOptions& options) noexcept {
    return options.number != nullptr || keeps_ ? last_number_ + 1 : 0;
}

void ClientCore::Impl::begin(Outgoing& outgoing) {
    if (link_) link_.session().begin(outgoing);
}

std::error_code ClientCore::Impl::finish(Outgoing& outgoing) {
    const std::error_code error = outgoing.is_part() ? send_part(outgoing) : send_whole(outgoing);
    return error ? noted(error) : error;
}

/// Something will leave, and make room.
bool ClientCore::Impl::anything_waits() const noexcept {
    return send_queued() != 0 || (backlog_ != nullptr && backlog_->any_waiting());
}

/// Who is refused for want of room is told when there is some. What does not fit although nothing waits never will.
std::error_code ClientCore::Impl::noted(std::error_code error) noexcept {
    if (error == make_error_code(Errc::send_queue_full) && link_ && anything_waits()) link_.session().want_writable();
    return error;
}

std::error_code ClientCore::Impl::send_whole(Outgoing& outgoing) {
    if (!alive_) return Errc::not_connected;
    if (close_requested_) return Errc::already_closing;
    const SendOptions& options = outgoing.options();
    if (!outgoing.compresses() && send_quickly(outgoing.opcode(), outgoing.payload(), options)) return {};
    if (!link_ || (!link_.session().open() && queues()) || (backlog_ != nullptr && backlog_->any_waiting()) ||
        holds_back()) {
        return enqueue(outgoing.opcode(), outgoing.payload(), options);
    }
    const std::uint64_t number = number_for(options);
    if (keeps_ && !keep_copy(outgoing.opcode(), outgoing.payload(), options, number)) {
        link_.session().starve();
        return Errc::send_queue_full;
    }
    if (const std::error_code error = link_.session().send(outgoing, number)) {
        if (keeps_) static_cast<void>(backlog_->on_sent(number));
        return error;
    }
    if (number == 0) return {};
    last_number_ = number;
    if (options.number != nullptr) *options.number = number;
    return {};
}

std::error_code ClientCore::Impl::send_part(Outgoing& outgoing) {
    if (!link_) return Errc::not_connected;
    if (close_requested_) return Errc::already_closing;
    // Parts are not queued: what has begun on one connection cannot end on another.
    if ((backlog_ != nullptr && backlog_->any_waiting()) || holds_back()) return Errc::send_queue_full;
    std::uint64_t* const wanted = outgoing.options().number;
    const std::uint64_t number = wanted != nullptr && outgoing.fin() ? last_number_ + 1 : 0;
    if (const std::error_code error = link_.session().send(outgoing, number)) return error;
    if (number == 0) return {};
    last_number_ = *wanted = number;
    return {};
}

void ClientCore::Impl::need_backlog() {
    if (backlog_ != nullptr) return;
    const std::size_t limit = config_->limits.max_memory;
    // At least a byte, because 0 is no ceiling.
    const std::size_t ceiling = limit == 0 ? 0 : std::max<std::size_t>(limit - memory_of_connection(*config_), 1);
    backlog_ = std::make_unique<Backlog>(config_->offline_queue, common_.memory, ceiling);
}

std::error_code ClientCore::Impl::enqueue(Opcode opcode, Bytes payload, const SendOptions& options) {
    if (!queues()) return Errc::not_connected;
    if (opcode != Opcode::text && opcode != Opcode::binary) return Errc::invalid_opcode;
    if (opcode == Opcode::text && config_->check_outgoing_text && !options.trusted_utf8 && !core::is_utf8(payload)) {
        return Errc::outgoing_text_not_utf8;
    }
    need_backlog();
    const std::uint64_t number = last_number_ + 1;
    Backlog::Message message{.opcode = opcode,
                             .payload = std::string(as_text(payload)),
                             .key = std::string(options.key),
                             .options = options,
                             .number = number,
                             .watched = options.number != nullptr};
    message.options.number = nullptr;
    message.options.key = {};
    // While one connection takes the place of another, messages wait for a moment, as in any send queue.
    const std::size_t offline = config_->offline_queue.max_bytes;
    const std::size_t limit = offline == 0   ? config_->limits.max_send_queue
                              : holds_back() ? std::max(offline, config_->limits.max_send_queue)
                                             : offline;
    if (const std::error_code error = backlog_->add(std::move(message), limit, fates_)) return error;
    last_number_ = number;
    if (options.number != nullptr) *options.number = number;
    return {};
}

bool ClientCore::Impl::keep_copy(Opcode opcode, Bytes payload, const SendOptions& options, std::uint64_t number) {
    need_backlog();
    Backlog::Message message{.opcode = opcode,
                             .payload = std::string(as_text(payload)),
                             .key = {},
                             .options = options,
                             .number = number,
                             .watched = options.number != nullptr,
                             .stream = link_.stream};
    message.options.number = nullptr;
    message.options.key = {};
    return backlog_->keep(std::move(message));
}

/// What waits goes to the open connection, as far as its queue has room.
void ClientCore::Impl::send_backlog() {
    if (backlog_ == nullptr || !usable() || link_.session().part_open() || holds_back()) return;
    while (Backlog::Message* message = backlog_->waiting()) {
        SendOptions options = message->options;
        options.trusted_utf8 = true;         // checked when it was accepted
        options.compress = Compress::never;  // another thread may be using the compressor, and this one receives
        const Bytes payload = as_bytes(message->payload);
        if (!link_.session().send(message->opcode, payload, options, message->number)) {
            backlog_->on_queued(*message, link_.stream);
            continue;
        }
        if (link_.session().queued() != 0) return;  // room will come
        // Nothing makes room but the copy that would be kept of it.
        const Backlog::Message alone = backlog_->take(*message);
        const std::uint64_t number = alone.watched ? alone.number : 0;
        const bool refused = bool(link_.session().send(alone.opcode, as_bytes(alone.payload), options, number));
        if (refused && alone.watched) fates_.push({number, Fate::dropped, Errc::send_queue_full});
    }
}

/// Passes on what the kernel has got.
void ClientCore::Impl::note_sent(core::Session& session) {
    while (const std::uint64_t number = session.take_sent()) {
        if (backlog_ != nullptr && !backlog_->empty()) {
            const std::optional<bool> watched = backlog_->on_sent(number);
            if (watched.has_value() && !*watched) continue;
        }
        fates_.push({number, Fate::sent, {}});
    }
}

std::error_code ClientCore::Impl::ping(Bytes payload) {
    return noted(link_ ? link_.session().ping(payload) : Errc::not_connected);
}

std::error_code ClientCore::Impl::pong(Bytes payload) {
    return noted(link_ ? link_.session().pong(payload) : Errc::not_connected);
}

std::error_code ClientCore::Impl::close(CloseCode code, std::string_view reason) {
    if (const std::error_code error = check_close(code, reason)) return error;
    if (!alive_) return Errc::not_connected;
    if (close_requested_) return Errc::already_closing;
    // The peer may have begun to close. It is still worth knowing that the user wants no other connection.
    if (link_ && link_.session().open() && !reopening_) {
        if (holds_back()) {
            // Whatever has been accepted goes out in front of the Close; the old connection gets no more time.
            close_requested_ = true;
            send_backlog();
            close_requested_ = false;
        }
        if (const std::error_code error = link_.session().close(code, reason)) return error;
    } else if (link_ && !switching_ && !reopening_) {
        return Errc::already_closing;
    }
    close_requested_ = true;
    return {};
}

std::error_code ClientCore::Impl::reopen(CloseCode code, std::string_view reason) {
    if (const std::error_code error = check_close(code, reason)) return error;
    if (!link_ || switching_) return Errc::not_connected;
    if (close_requested_ || !link_.session().open()) return Errc::already_closing;
    if (const std::error_code error = link_.session().close(code, reason)) return error;
    reopening_ = true;
    return {};
}

// --- what the world reports ----------------------------------------------------------------------------------------

void ClientCore::Impl::on_prepared(StreamId id, Attempt attempt, Error error, TimePoint now) {
    if (attempt_ == nullptr) return;
    attempt_->on_prepared(id, std::move(attempt), std::move(error), now);
    update(now);
}

void ClientCore::Impl::on_resolved(StreamId id, std::span<const Address> addresses, Error&& error, TimePoint now) {
    if (attempt_ == nullptr) return;
    attempt_->on_resolved(id, addresses, std::move(error), now);
    update(now);
}

void ClientCore::Impl::on_connected(StreamId id, Error&& error, TimePoint now) {
    if (attempt_ == nullptr) return;
    attempt_->on_connected(id, std::move(error), now);
    update(now);
}

/// Null if there is none, or the driver was told to close it.
Link* ClientCore::Impl::find(StreamId id) noexcept {
    Link* const found = link_ && link_.stream == id                                     ? &link_
                        : old_ && old_.stream == id                                     ? &old_
                        : attempt_ && attempt_->link() && attempt_->link().stream == id ? &attempt_->link()
                                                                                        : nullptr;
    return found != nullptr && !found->dropped ? found : nullptr;
}

std::span<std::byte> ClientCore::Impl::rx_space(StreamId id) {
    const Link* link = find(id);
    return link != nullptr ? link->connection->rx_space() : std::span<std::byte>();
}

void ClientCore::Impl::rx_commit(StreamId id, std::size_t n, TimePoint now) {
    const Link* link = find(id);
    if (link == nullptr) return;
    if (n == 0) return link->connection->rx_commit(0, now);
    bytes_received_ += n;
    if (config_->tracer != nullptr) trace(TraceRecord::Kind::received, id, {}, n);
    link->connection->rx_commit(n, now);
    // What is received on an open connection has no consequences before it is taken, unless it was the end.
    if (link != &link_ || link->session().ended()) update(now);
}

void ClientCore::Impl::on_end(StreamId id, Error&& error, TimePoint now) {
    const Link* link = find(id);
    if (link == nullptr) return;
    link->connection->on_end(std::move(error), now);
    update(now);
}

void ClientCore::Impl::on_timeout(TimePoint now) {
    if (const auto next = deadline(); config_->tracer != nullptr && next && *next <= now) {
        trace(TraceRecord::Kind::timer, 0, {});
    }
    while (timers_.take_expired(now)) begin_attempt(now);
    common_.commands.trim();
    if (attempt_ != nullptr) attempt_->on_timeout(now);
    if (link_) link_.connection->on_timeout(now);
    if (old_) old_.connection->on_timeout(now);
    update(now);
}

// --- what the core answers -----------------------------------------------------------------------------------------

bool ClientCore::Impl::next(Command& command) {
    if (common_.commands.empty()) {
        // It may be long until an open connection needs it again; behind its end the next attempt does.
        if (attempt_ == nullptr && link_) common_.commands.trim();
        if (give_up_from_ == give_up_until_) return false;
        command = Command();  // close
        command.id = give_up_from_++;
        return true;
    }
    command = common_.commands.pop();
    if (config_->tracer != nullptr) trace(TraceRecord::Kind::command, command.id, command_text(command));
    return true;
}

/// Not inline, because `next` has to be short: a message has no such event.
[[gnu::noinline]] ClientCore::Impl::Lifecycle::~Lifecycle() = default;

bool ClientCore::Impl::next(Event& event) {
    current_.reset();
    if (memory_.load(std::memory_order_relaxed) != MemoryState::enough) return next_without_memory(event);
    if (!told_fates_.empty()) return next_fate(event);  // before the end of the life, behind which nothing comes
    if (lifecycle_ != nullptr) return next_lifecycle(event);
    // Pieces of two messages must not mix: the connection whose message has begun goes on with it.
    const auto inside = [this](Link& link) {
        return link && config_->delivery == Delivery::chunks && !link.session().ended() &&
               !link.session().between_messages();
    };
    while (old_ && !inside(link_) && old_.connection->next(event)) {
        if (event.kind != Event::Kind::closing) return true;  // that is not the user's business any more
    }
    if (!link_ || inside(old_) || !link_.connection->next(event)) return false;
    if (event.kind != Event::Kind::closing) return true;
    current_ = std::make_unique<Lifecycle>();
    CloseInfo& close = current_->close;
    close.code = link_.session().peer_close().code;
    close.reason = link_.session().peer_close().reason;
    close.received = true;
    event.close = &close;
    return true;
}

/// Nothing but messages of the one connection there is; all else is for the other `next`.
std::size_t ClientCore::Impl::next(std::span<MessageView> messages) noexcept {
    current_.reset();
    const bool special = memory_.load(std::memory_order_relaxed) != MemoryState::enough || !told_fates_.empty() ||
                         lifecycle_ != nullptr || old_;
    return special || !link_ ? 0 : link_.connection->next(messages);
}

void ClientCore::Impl::put_back(std::span<const MessageView> messages) noexcept {
    if (!messages.empty()) link_.connection->put_back(messages);
}

bool ClientCore::Impl::next_lifecycle(Event& event) {
    current_ = std::move(lifecycle_);
    lifecycle_ = std::move(current_->next);
    if (lifecycle_ == nullptr) last_ = nullptr;
    if (config_->tracer != nullptr) {
        std::string text(event_name(current_->kind));
        if (current_->attempt != 0) text += " " + std::to_string(current_->attempt);
        if (current_->error()) text += ": " + current_->error().message();
        trace(TraceRecord::Kind::state, 0, text);
    }
    event = Event();
    event.kind = current_->kind;
    event.attempt = current_->attempt;
    event.delay = current_->delay;
    switch (current_->kind) {
        case Event::Kind::open:
        case Event::Kind::switched:
            told_open_ = true;
            event.handshake = current_->handshake.get();
            break;
        case Event::Kind::closed:
            told_open_ = false;
            event.close = &current_->close;
            event.error = &current_->error();
            break;
        case Event::Kind::redirected:
        case Event::Kind::reconnecting:
        case Event::Kind::switch_failed:
        case Event::Kind::failed: event.error = &current_->error(); break;
        default: break;
    }
    return true;
}

/// The last event refers to what is always there.
bool ClientCore::Impl::next_without_memory(Event& event) {
    static const Error error(Errc::out_of_memory);
    static const CloseInfo close{.error = Errc::out_of_memory};
    if (lacks_memory()) return false;
    if (!told_fates_.empty()) return next_fate(event);
    memory_.store(MemoryState::enough, std::memory_order_relaxed);
    event = Event();
    event.kind = told_open_ ? Event::Kind::closed : Event::Kind::failed;
    event.close = told_open_ ? &close : nullptr;
    event.error = told_open_ ? &close.error : &error;
    told_open_ = false;
    return true;
}

bool ClientCore::Impl::next_fate(Event& event) {
    current_fate_ = told_fates_.pop();
    event = Event();
    event.kind = Event::Kind::fate;
    event.number = current_fate_->number;
    event.fate = current_fate_->fate;
    if (current_fate_->error) event.error = &current_fate_->error;
    return true;
}

void ClientCore::Impl::settle(TimePoint now) {
    if (link_) link_.connection->settle(now);
    if (old_) old_.connection->settle(now);
    if (attempt_ != nullptr && attempt_->status() == ConnectAttempt::Status::open) {
        attempt_->link().connection->settle(now);
    }
    update(now);
}

void ClientCore::Impl::trim() noexcept {
    common_.commands.trim();
    if (link_) link_.connection->trim();
}

std::size_t ClientCore::Impl::tx(StreamId id, std::span<Bytes> out) {
    const Link* link = find(id);
    return link != nullptr ? link->connection->tx(out) : 0;
}

void ClientCore::Impl::tx_consume(StreamId id, std::size_t n) {
    const Link* link = find(id);
    if (link == nullptr) return;
    bytes_sent_ += n;
    if (config_->tracer != nullptr && n != 0) trace(TraceRecord::Kind::sent, id, {}, n);
    link->connection->tx_consume(n);
    if (link != &link_ && link != &old_) return;
    note_sent(link->session());
    send_backlog();
}

bool ClientCore::Impl::needs_settle() const noexcept {
    if (lacks_memory()) return true;
    if (!fates_.empty() || (backlog_ != nullptr && backlog_->needs_settle())) return true;
    if (attempt_ != nullptr && attempt_->has_failed()) return true;
    if (old_ && old_.connection->needs_settle()) return true;
    if (!link_) return false;
    const core::Session& session = link_.session();
    return link_.connection->needs_settle() || session.needs_settle() ||
           (session.wants_writable() && !anything_waits());
}

bool ClientCore::Impl::has_events() const noexcept {
    const auto holds_some = [](const Link& link) { return link && !link.connection->drained(); };
    return lifecycle_ != nullptr || !told_fates_.empty() || holds_some(link_) || holds_some(old_) ||
           memory_.load(std::memory_order_relaxed) != MemoryState::enough;
}

bool ClientCore::Impl::unsettled() const noexcept {
    const auto is = [](const Link& link) { return link && link.connection->unsettled(); };
    return lacks_memory() || is(link_) || is(old_);
}

std::optional<TimePoint> ClientCore::Impl::deadline() const noexcept {
    if (lacks_memory()) return TimePoint();  // long ago
    std::optional<TimePoint> next = timers_.next();
    if (attempt_ != nullptr) next = core::earlier(next, attempt_->deadline());
    if (link_) next = core::earlier(next, link_.connection->deadline());
    if (old_) next = core::earlier(next, old_.connection->deadline());
    if (backlog_ != nullptr) next = core::earlier(next, backlog_->deadline());
    return next;
}

State ClientCore::Impl::state() const noexcept {
    if (!alive_) return State::idle;
    if (link_) return link_.session().open() || (switching_ && !close_requested_) ? State::open : State::closing;
    if (held_) return State::open;  // messages are accepted, and nobody was told of an end
    return attempt_ != nullptr ? State::connecting : State::reconnecting;
}

std::size_t ClientCore::Impl::send_queued() const noexcept {
    return (link_ ? link_.session().queued() : 0) + (old_ ? old_.session().queued() : 0) +
           (backlog_ != nullptr ? backlog_->waiting_bytes() : 0);
}

Stats ClientCore::Impl::stats() const noexcept {
    Stats stats = past_.value();
    stats.state = state();
    stats.bytes_received = bytes_received_;
    stats.bytes_sent = bytes_sent_;
    stats.connects = connects_;
    stats.attempts = attempts_;
    stats.switches = switches_;
    stats.tls_resumed = tls_resumed_;
    stats.ends[family(Errc::out_of_memory)] += ends_without_memory_;
    stats.phases = phases_;
    if (old_) old_.session().add_to(stats);
    if (link_) link_.session().add_to(stats);
    stats.send_queued = send_queued();
    stats.memory = common_.memory.used();
    return stats;
}

// --- the life ------------------------------------------------------------------------------------------------------

void ClientCore::Impl::begin_attempt(TimePoint now) {
    const std::uint32_t number = supervisor_->on_attempt();
    ++attempts_;
    if (!link_ && !old_) first_stream_ = common_.next_id;
    if (!switching_) add_event(Event::Kind::connecting).attempt = number;
    const std::size_t endpoint = supervisor_->endpoint();
    const std::string& text = endpoint_text(*config_, endpoint);
    core::Url url;
    if (urls_.empty()) {
        // `load` has accepted it, unless the program gives another one.
        if (!prepare_attempts_ && core::parse_accepted_url(text, url)) return lack_memory();
    } else {
        url = std::move(urls_[endpoint]);
        std::vector<core::Url>().swap(urls_);
    }
    attempt_ = std::make_unique<ConnectAttempt>(config_, common_, std::move(url), text, prepare_attempts_, number, now);
    attempt_->update(now);
}

/// Draws the consequences of whatever was reported.
void ClientCore::Impl::update(TimePoint now) {
    if (!alive_) return;
    if (close_requested_ && !link_) {
        Error error = Errc::closed_locally;
        if (attempt_ != nullptr) {
            error.phase = attempt_->phase();
            error.peer = attempt_->peer();
        }
        return finish(error);
    }
    if (close_requested_) drop_attempt();
    if (attempt_ != nullptr) update_attempt(now);
    if (old_) update_old();
    if (link_) update_link(now);
    if (backlog_ != nullptr) {
        backlog_->settle(now, fates_);
        send_backlog();
    }
    if (link_) tell_of_room();
    if (!fates_.empty()) tell_fates();
}

void ClientCore::Impl::tell_fates() {
    while (!fates_.empty()) told_fates_.push(fates_.pop());
}

void ClientCore::Impl::update_attempt(TimePoint now) {
    if (attempt_->status() == ConnectAttempt::Status::working) attempt_->update(now);
    if (attempt_->redirected()) add_event(Event::Kind::redirected).error() = attempt_->take_redirect();
    if (attempt_->status() == ConnectAttempt::Status::working) return;
    if (attempt_->status() == ConnectAttempt::Status::failed) {
        Error error = attempt_->error();
        attempt_.reset();
        return attempt_failed(std::move(error), now);
    }
    Link& link = attempt_->link();
    if (link.connection->stage() == core::Connection::Stage::session && link.session().ended()) {
        // It ended while it waited to take over.
        Error error = link.session().close_info().error;
        attempt_->abandon();
        attempt_.reset();
        return attempt_failed(std::move(error), now);
    }
    // A message that is being sent in parts ends where it began.
    if (link_ && link_.session().open() && link_.session().part_open()) {
        if (!link_.session().starving()) return;
        // They would wait for each other: the end of the message for memory that the new connection has.
        Error error(Errc::memory_limit, Phase::open, "a message in parts had no room beside it");
        error.peer = attempt_->peer();
        attempt_->abandon();
        attempt_.reset();
        return attempt_failed(std::move(error), now);
    }
    adopt(now);
}

/// The attempt's connection becomes the one that messages go to.
void ClientCore::Impl::adopt(TimePoint now) {
    const std::unique_ptr<ConnectAttempt> attempt = std::move(attempt_);
    const bool instead = switching_ && (link_ || held_);
    if (instead && link_) {
        if (old_) {
            // One is being replaced already, and takes its time.
            old_.session().stop();
            end_link(old_, old_.session().close_info().error);
        }
        old_ = std::exchange(link_, Link());
        if (old_.session().open()) static_cast<void>(old_.session().close(CloseCode::normal, {}));
        old_.connection->settle(now);
    }
    held_.reset();
    switching_ = switch_tried_ = false;
    link_ = std::move(attempt->link());
    supervisor_->on_open(now);
    mode_ = StartMode::keep_trying;
    ++connects_;
    if (instead) ++switches_;
    Lifecycle& event = add_event(instead ? Event::Kind::switched : Event::Kind::open);
    event.handshake = link_.connection->take_handshake();
    event.handshake->peer = link_.peer;
    tls_resumed_ += event.handshake->tls.resumed ? 1u : 0u;
    phases_ = attempt->times();
}

void ClientCore::Impl::update_link(TimePoint now) {
    core::Session& session = link_.session();
    if (session.take_congested()) add_event(Event::Kind::congested);
    half_close_if_due(link_);
    if (should_switch(now)) begin_switch(now);
    if (!session.ended()) return;
    drop(link_);
    // What was received before the end belongs to the user first; and behind `closed` comes no message, not of the
    // connection whose place this one took either.
    if (old_ && !old_.dropped) {
        drop(old_);
        old_.connection->on_end(Errc::connection_lost, now);
        old_.connection->settle(now);
    }
    if (old_) update_old();
    if (!old_ && link_.connection->drained()) link_ended(now);
}

void ClientCore::Impl::tell_of_room() {
    core::Session& session = link_.session();
    if (session.wants_writable() && !anything_waits()) session.note_room();
    // While a successor is being looked for, a connection may fail without the user being told: messages wait for the
    // successor then, and there is room for them. A Close of the peer he has been told of.
    if (session.take_writable() && state() == State::open && !session.closed_by_peer()) {
        add_event(Event::Kind::writable);
    }
}

/// The peer announces that it will be gone soon, and another connection may find its successor. A peer that does so all
/// the time is left to the delays of an ordinary end.
bool ClientCore::Impl::should_switch(TimePoint now) {
    const core::Session& session = link_.session();
    if (!config_->reconnect.make_before_break || !config_->reconnect.enabled) return false;
    if (close_requested_ || switching_ || switch_tried_) return false;
    if (session.open() || !session.closed_by_peer()) return false;
    const CloseCode code = session.peer_close().code;
    return (code == CloseCode::going_away || code == CloseCode::service_restart) && supervisor_->note_stable(now);
}

void ClientCore::Impl::begin_switch(TimePoint now) {
    if (timers_.is_set(Timer::reconnect) || attempt_ != nullptr) return;
    switching_ = switch_tried_ = true;
    static_cast<void>(supervisor_->note_stable(now));
    // A restart is told to all clients at once; they should not all come back at once.
    const bool crowd = !link_.session().open();
    const milliseconds delay = crowd ? supervisor_->spread() : milliseconds(0);
    if (delay.count() == 0) return begin_attempt(now);
    wait_for_attempt(now, delay);
}

void ClientCore::Impl::wait_for_attempt(TimePoint now, milliseconds delay) {
    wait_began_ = now;
    timers_.set(Timer::reconnect, now + delay);
}

/// The successor of an open or just ended connection could not be made, or an attempt before that.
void ClientCore::Impl::attempt_failed(Error error, TimePoint now) {
    ++past().ends[family(error)];
    const core::Supervisor::Decision decision = supervisor_->on_failed(error, now);
    if (link_) {
        // The old connection is still there: nothing is lost, and whoever asked can ask again.
        Lifecycle& event = add_event(Event::Kind::switch_failed);
        event.error() = std::move(error);
        event.delay = decision.delay;
        if (decision.again) {
            wait_for_attempt(now, std::max(decision.delay, milliseconds(1)));
        } else {
            switching_ = false;
        }
        return drop_waiting(event.error());
    }
    if (held_) {
        CloseInfo info = held_.take();
        info.will_reconnect = decision.again;
        switching_ = false;
        add_event(Event::Kind::closed).close = std::move(info);
        if (!decision.again) return end_life(error);
        drop_waiting(error);
    }
    if (mode_ == StartMode::once && !decision.same_round) return finish(error);
    try_again_or_fail(std::move(error), decision, now);
}

void ClientCore::Impl::link_ended(TimePoint now) {
    drop(link_);
    CloseInfo info = link_.session().close_info();
    info.error.peer = std::move(link_.peer);
    end_link(link_, info.error);
    ++past().ends[family(info.error)];
    tell_of_end(std::move(info), now);
}

void ClientCore::Impl::tell_of_end(CloseInfo&& info, TimePoint now) {
    const bool reopening = std::exchange(reopening_, false) && !close_requested_ && info.error != Errc::stopped;
    const bool wanted = !reopening && (close_requested_ || info.error.code == Condition::cancelled);
    const bool on_the_way = attempt_ != nullptr || timers_.is_set(Timer::reconnect);
    if (!wanted && switching_ && on_the_way && info.clean()) {
        held_ = std::move(info);
        return;
    }
    const CloseCode code = info.received && info.by_peer ? info.code : CloseCode{0};
    const core::Supervisor::Decision decision =
        wanted ? core::Supervisor::Decision()
               : supervisor_->on_ended(reopening ? Error(Errc::connection_lost) : info.error, code, now);
    info.will_reconnect = decision.again;
    Lifecycle& closed = add_event(Event::Kind::closed);
    closed.close = std::move(info);
    if (!decision.again) return end_life(closed.error());
    Error error = closed.error();
    const bool under_way = std::exchange(switching_, false) && on_the_way;
    drop_waiting(error);
    if (!under_way) return try_again_or_fail(std::move(error), decision, now);
    // The successor is being made already, and turns into an ordinary attempt.
    Lifecycle& event = add_event(Event::Kind::reconnecting);
    event.error() = std::move(error);
    event.attempt = attempt_ != nullptr ? attempt_->number() : supervisor_->next_attempt();
    if (attempt_ != nullptr) {
        add_event(Event::Kind::connecting).attempt = attempt_->number();
    } else {
        event.delay = std::chrono::ceil<milliseconds>(*timers_.next() - now);
    }
}

/// Without an offline queue messages wait for no longer than one connection takes the place of another.
void ClientCore::Impl::drop_waiting(const Error& error) {
    if (backlog_ != nullptr && !queues()) backlog_->drop(error, fates_);
}

void ClientCore::Impl::end_link(Link& link, const Error& error) {
    drop(link);
    take_back(link, error);
    link.session().add_to(past());
    link = Link();
}

/// What was queued there and has not left waits for the next connection, or is lost. The session has ended.
void ClientCore::Impl::take_back(Link& link, const Error& error) {
    core::Session& session = link.session();
    link.connection->account_for_records();
    note_sent(session);
    const bool resend = backlog_ != nullptr && keeps_ && !close_requested_;
    if (resend) backlog_->on_stream_ended(link.stream);
    while (const std::uint64_t number = session.take_unsent()) {
        if (resend && backlog_->holds(number)) continue;
        if (backlog_ == nullptr || backlog_->on_sent(number).value_or(true))
            fates_.push({number, Fate::dropped, error});
    }
}

void ClientCore::Impl::update_old() {
    core::Session& session = old_.session();
    half_close_if_due(old_);
    if (!session.ended()) return;
    drop(old_);
    // Its messages do not wait until somebody has taken what it received.
    take_back(old_, session.close_info().error);
    if (old_.connection->drained()) end_link(old_, session.close_info().error);
}

void ClientCore::Impl::try_again_or_fail(Error error, const core::Supervisor::Decision& decision, TimePoint now) {
    if (!decision.again) {
        if (decision.limited) {
            error.detail += (error.detail.empty() ? "given up after " : "; given up after ") +
                            std::to_string(supervisor_->next_attempt() - 1) + " attempts";
        }
        return finish(error);
    }
    // A deadline in the present would make the driver spin through an attempt that fails at once.
    const milliseconds delay = std::max(decision.delay, milliseconds(1));
    wait_for_attempt(now, delay);
    Lifecycle& event = add_event(Event::Kind::reconnecting);
    event.attempt = supervisor_->next_attempt();
    event.delay = delay;
    event.error() = std::move(error);
}

/// The last event of a life that has no open connection.
void ClientCore::Impl::finish(const Error& error) {
    tls_failed_ = error.phase == Phase::tls;
    if (held_) {
        held_->error = error;
        add_event(Event::Kind::closed).close = held_.take();
    } else {
        add_event(Event::Kind::failed).error() = error;
    }
    end_life(error);
}

void ClientCore::Impl::end_life(const Error& error) {
    drop_attempt();
    switching_ = false;
    if (old_) {
        old_.session().stop();
        end_link(old_, error);
    }
    if (backlog_ != nullptr) {
        backlog_->drop(error, fates_);
        backlog_.reset();
    }
    tell_fates();
    alive_ = false;
}

void ClientCore::Impl::end_without_memory() noexcept {
    attempt_.reset();
    link_ = Link();
    old_ = Link();
    held_.reset();
    backlog_.reset();
    timers_.stop(Timer::reconnect);
    switching_ = switch_tried_ = false;
    drop_events();
    // What was still to be told of messages would need memory, unless nothing else waits to be told.
    if (told_fates_.empty()) std::swap(told_fates_, fates_);
    fates_.clear();
    if (give_up_from_ == give_up_until_) give_up_from_ = first_stream_;
    give_up_until_ = common_.next_id;
    ++ends_without_memory_;
    alive_ = false;
    memory_.store(MemoryState::ended, std::memory_order_relaxed);
}

void ClientCore::Impl::half_close_if_due(Link& link) {
    if (!link.connection->take_half_close() || link.dropped) return;
    Command command;
    command.kind = Command::Kind::half_close;
    command.id = link.stream;
    common_.commands.push(std::move(command));
}

/// Tells the driver to free the stream; the connection may still hold events.
void ClientCore::Impl::drop(Link& link) {
    if (!std::exchange(link.dropped, true)) common_.give_up(link.stream);
}

void ClientCore::Impl::drop_attempt() {
    timers_.stop(Timer::reconnect);
    if (attempt_ == nullptr) return;
    attempt_->abandon();
    attempt_.reset();
}

/// Only if there is a tracer.
void ClientCore::Impl::trace(TraceRecord::Kind kind, StreamId stream, std::string_view text,
                             std::uint64_t size) const noexcept {
    TraceRecord record;
    record.kind = kind;
    record.stream = stream;
    record.text = text;
    record.size = size;
    config_->tracer->trace(record);
}

ClientCore::Impl::Lifecycle& ClientCore::Impl::add_event(Event::Kind kind) {
    auto event = std::make_unique<Lifecycle>();
    event->kind = kind;
    std::unique_ptr<Lifecycle>& end = last_ != nullptr ? last_->next : lifecycle_;
    end = std::move(event);
    last_ = end.get();
    return *last_;
}

/// One by one: the list would be destroyed recursively.
void ClientCore::Impl::drop_events() noexcept {
    while (lifecycle_ != nullptr) lifecycle_ = std::move(lifecycle_->next);
    last_ = nullptr;
}

// --- the public face -----------------------------------------------------------------------------------------------

// Inside nobody looks after memory for objects and strings. When there is none, whatever was going on has been left
// half done, and its life is ended here: everything in it is destroyed, which needs no order. In the groups `send` and
// `receive` others may be inside too, so there it is only noted, for the next call of the group `whole`.

namespace {

#if defined(__cpp_exceptions)
template <class Action, class Otherwise>
auto unless_memory_lacks(const Action& action, const Otherwise& otherwise) {
    try {
        return action();
    } catch (const std::bad_alloc&) {
        return otherwise();
    }
}
#else
template <class Action, class Otherwise>
auto unless_memory_lacks(const Action& action, const Otherwise&) {
    return action();
}
#endif

/// A call of the group `whole`.
template <class Impl, class Action>
void whole(Impl& impl, const Action& action) {
    if (impl.lacks_memory()) impl.end_without_memory();
    unless_memory_lacks(action, [&impl] { impl.end_without_memory(); });
}

/// The same with an error as its result.
template <class Impl, class Action>
std::error_code whole_or_error(Impl& impl, const Action& action) {
    std::error_code error = Errc::out_of_memory;
    whole(impl, [&] { error = action(); });
    return error;
}

/// A call of the group `send`. `otherwise` makes its result when there is no memory, and not before: it is called for
/// each message.
template <class Impl, class Action, class Otherwise>
auto sending(Impl& impl, const Action& action, const Otherwise& otherwise) -> decltype(action()) {
    if (impl.lacks_memory()) [[unlikely]]
        return otherwise();
    return unless_memory_lacks(action, [&]() -> decltype(action()) {
        impl.lack_memory();
        return otherwise();
    });
}

std::error_code out_of_memory() { return Errc::out_of_memory; }

/// All steps at once.
template <class Impl>
std::error_code send_now(Impl& impl, Outgoing& outgoing) {
    const auto steps = [&] {
        impl.begin(outgoing);
        outgoing.compress();
        return impl.finish(outgoing);
    };
    return sending(impl, steps, out_of_memory);
}

/// Not inline, because most messages do not come here.
template <class Impl>
[[gnu::noinline]] std::error_code send_slowly(Impl& impl, Opcode opcode, Bytes payload, const SendOptions& options) {
    Outgoing outgoing(opcode, payload, options);
    return send_now(impl, outgoing);
}

}  // namespace

ClientCore::ClientCore(Config config, Crypto& crypto)
    : ClientCore(std::make_shared<const Config>(std::move(config)), crypto) {}
ClientCore::ClientCore(std::shared_ptr<const Config> config, Crypto& crypto, BufferPool* pool)
    : impl_(std::make_unique<Impl>(std::move(config), crypto, pool)) {}
ClientCore::~ClientCore() = default;

Error ClientCore::check(const Config& config, Crypto& crypto, bool prepared) {
    return unless_memory_lacks(
        [&] {
            std::vector<core::Url> urls;
            core::Rare<core::ProxyUrl> proxy;
            return check_config(config, crypto, prepared, urls, proxy);
        },
        [] { return Error(Errc::out_of_memory); });
}
void ClientCore::prepare_attempts(bool wanted) { impl_->prepare_attempts(wanted); }
Error ClientCore::load(bool prepared) {
    return unless_memory_lacks([&] { return impl_->load(prepared); }, [] { return Error(Errc::out_of_memory); });
}
Error ClientCore::start(StartMode mode, TimePoint now) {
    return unless_memory_lacks([&] { return impl_->start(mode, now); },
                               [&] {
                                   impl_->end_without_memory();
                                   return Error();
                               });
}
void ClientCore::run_out_of_memory() noexcept { impl_->lack_memory(); }
void ClientCore::stop(TimePoint now) {
    whole(*impl_, [&] { impl_->stop(now); });
}
void ClientCore::reconnect_now(TimePoint now) {
    whole(*impl_, [&] { impl_->reconnect_now(now); });
}
std::error_code ClientCore::refresh(TimePoint now) {
    return whole_or_error(*impl_, [&] { return impl_->refresh(now); });
}
std::error_code ClientCore::abort(TimePoint now) {
    return whole_or_error(*impl_, [&] { return impl_->abort(now); });
}
std::error_code ClientCore::set_reconnect_delays(milliseconds min, milliseconds max, TimePoint now) {
    return whole_or_error(*impl_, [&] { return impl_->set_reconnect_delays(min, max, now); });
}

void ClientCore::begin(Outgoing& outgoing) {
    sending(*impl_, [&] { impl_->begin(outgoing); }, [] {});
}
std::error_code ClientCore::finish(Outgoing& outgoing) {
    return sending(*impl_, [&] { return impl_->finish(outgoing); }, out_of_memory);
}
std::error_code ClientCore::send(Opcode opcode, Bytes payload, const SendOptions& options) {
    const bool special = impl_->compresses() || impl_->lacks_memory();
    if (!special && impl_->send_quickly(opcode, payload, options)) return {};
    return send_slowly(*impl_, opcode, payload, options);
}
std::error_code ClientCore::send_part(Opcode opcode, Bytes payload, bool fin, const SendOptions& options) {
    Outgoing outgoing(opcode, payload, fin, options);
    return send_now(*impl_, outgoing);
}
std::error_code ClientCore::ping(Bytes payload) {
    return sending(*impl_, [&] { return impl_->ping(payload); }, out_of_memory);
}
std::error_code ClientCore::pong(Bytes payload) {
    return sending(*impl_, [&] { return impl_->pong(payload); }, out_of_memory);
}
std::error_code ClientCore::close(CloseCode code, std::string_view reason) {
    return sending(*impl_, [&] { return impl_->close(code, reason); }, out_of_memory);
}
std::error_code ClientCore::reopen(CloseCode code, std::string_view reason) {
    return sending(*impl_, [&] { return impl_->reopen(code, reason); }, out_of_memory);
}

void ClientCore::on_prepared(StreamId id, Attempt attempt, Error error, TimePoint now) {
    whole(*impl_, [&] { impl_->on_prepared(id, std::move(attempt), std::move(error), now); });
}
void ClientCore::on_resolved(StreamId id, std::span<const Address> addresses, Error error, TimePoint now) {
    whole(*impl_, [&] { impl_->on_resolved(id, addresses, std::move(error), now); });
}
void ClientCore::on_connected(StreamId id, Error error, TimePoint now) {
    whole(*impl_, [&] { impl_->on_connected(id, std::move(error), now); });
}
std::span<std::byte> ClientCore::rx_space(StreamId id) {
    std::span<std::byte> space;
    whole(*impl_, [&] { space = impl_->rx_space(id); });
    return space;
}
void ClientCore::rx_commit(StreamId id, std::size_t n, TimePoint now) {
    whole(*impl_, [&] { impl_->rx_commit(id, n, now); });
}
void ClientCore::on_eof(StreamId id, TimePoint now) {
    whole(*impl_, [&] { impl_->on_end(id, Errc::connection_lost, now); });
}
void ClientCore::on_io_error(StreamId id, Error error, TimePoint now) {
    whole(*impl_, [&] { impl_->on_end(id, std::move(error), now); });
}
void ClientCore::on_timeout(TimePoint now) {
    whole(*impl_, [&] { impl_->on_timeout(now); });
}

bool ClientCore::next(Command& command) {
    return unless_memory_lacks([&] { return impl_->next(command); },
                               [&] {
                                   impl_->lack_memory();
                                   return false;
                               });
}
bool ClientCore::next(Event& event) {
    return unless_memory_lacks([&] { return impl_->next(event); },
                               [&] {
                                   impl_->lack_memory();
                                   return false;
                               });
}
std::size_t ClientCore::next(std::span<MessageView> messages) noexcept { return impl_->next(messages); }
void ClientCore::put_back(std::span<const MessageView> messages) noexcept { impl_->put_back(messages); }
void ClientCore::settle(TimePoint now) {
    whole(*impl_, [&] { impl_->settle(now); });
}
void ClientCore::trim() noexcept { impl_->trim(); }
std::size_t ClientCore::tx(StreamId id, std::span<Bytes> out) {
    return sending(*impl_, [&] { return impl_->tx(id, out); }, [] { return std::size_t{0}; });
}
void ClientCore::tx_consume(StreamId id, std::size_t n) {
    sending(*impl_, [&] { impl_->tx_consume(id, n); }, [] {});
}
bool ClientCore::compresses() const noexcept { return impl_->compresses(); }
bool ClientCore::needs_settle() const noexcept { return impl_->needs_settle(); }
bool ClientCore::has_events() const noexcept { return impl_->has_events(); }
bool ClientCore::unsettled() const noexcept { return impl_->unsettled(); }
std::optional<TimePoint> ClientCore::deadline() const noexcept { return impl_->deadline(); }
std::size_t ClientCore::send_queued() const noexcept { return impl_->send_queued(); }
State ClientCore::state() const noexcept { return impl_->state(); }
Stats ClientCore::stats() const noexcept { return impl_->stats(); }

}  // namespace tern
