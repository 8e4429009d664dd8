#include "client.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <tuple>
#include <utility>

namespace tern::sim {
namespace {

constexpr int max_turns = 100'000;
constexpr StreamId stray_id = 0xfffffff0u;

auto numbers(const Stats& s) {
    return std::tuple(s.state, s.messages_received, s.messages_sent, s.bytes_received, s.bytes_sent, s.send_queued,
                      s.connects, s.attempts, s.round_trip);
}

/// The first bytes of the pieces.
std::string joined(std::span<const Bytes> pieces, std::size_t limit) {
    std::string bytes;
    for (const Bytes piece : pieces) {
        if (bytes.size() < limit) bytes += as_text(piece.first(std::min(piece.size(), limit - bytes.size())));
    }
    return bytes;
}

}  // namespace

bool SeededCrypto::random_bytes(std::span<std::byte> out) {
    if (broken) return false;
    for (std::byte& byte : out) byte = static_cast<std::byte>(random_.next() & 0xffu);
    return true;
}

std::byte* FailingPool::take(std::size_t size) noexcept {
    if (failures > 0 && random_.chance(failures)) return nullptr;
    auto* const memory = static_cast<std::byte*>(std::malloc(size));
    if (memory != nullptr) out_ += size;
    return memory;
}

void FailingPool::give(std::byte* memory, std::size_t size) noexcept {
    out_ -= size;
    std::free(memory);
}

Client::Client(Schedule& schedule, Network& network, Config config, bool pooled)
    // The keys come from a stream of their own, so that faults do not change them.
    : crypto(schedule.seed() ^ 0x5eed5eed5eed5eedu),
      pool(schedule.seed() ^ 0x900Fu),
      schedule_(schedule),
      network_(network),
      config_(config),
      core_(std::make_shared<const Config>(std::move(config)), crypto, pooled ? &pool : nullptr),
      judge_(config_.limits.max_message_size) {}

template <class Call>
void Client::expect_nothing(const char* what, const Call& call) {
    const auto deadline = core_.deadline();
    if (deadline && *deadline <= schedule_.now()) {
        call();  // what is due may happen now; the timer is late
        return pump();
    }
    const auto before = numbers(core_.stats());
    call();
    Command command;
    if (core_.deadline() != deadline) schedule_.offence(std::string(what) + " moved the deadline");
    if (numbers(core_.stats()) != before) schedule_.offence(std::string(what) + " changed the numbers");
    if (core_.next(command)) {
        schedule_.offence(std::string(what) + " made a command");
        carry_out(command);
    }
    if (at_rest() && core_.next(event_)) schedule_.offence(std::string(what) + " made an event");
}

// --- the user ------------------------------------------------------------------------------------------------------

Error Client::start(StartMode mode) {
    const State before = core_.state();
    core_.prepare_attempts(on_prepare != nullptr);
    Error error = core_.start(mode, schedule_.now());
    if (!error) {
        judge_.on_start();
        if (before != State::idle) schedule_.offence("start succeeded although the client was not idle");
    }
    step("start");
    pump();
    return error;
}

void Client::stop() {
    if (lending_) schedule_.offence("simulator: stop is not of the group `send`");
    core_.stop(schedule_.now());
    if (core_.state() != State::idle) schedule_.offence("not idle after stop");
    schedule_.trace("stop");
    pump();
}

void Client::reconnect_now() {
    judge_.on_reconnect_now();
    core_.reconnect_now(schedule_.now());
    schedule_.trace("reconnect_now");
    pump();
}

std::error_code Client::refresh() {
    const std::error_code error = core_.refresh(schedule_.now());
    schedule_.trace("refresh", static_cast<std::uint64_t>(error.value()));
    pump();
    return error;
}

std::error_code Client::send(Opcode opcode, std::string_view payload, const SendOptions& options) {
    const std::error_code error = core_.send(opcode, as_bytes(payload), options);
    note(error);
    schedule_.trace("send", static_cast<std::uint64_t>(error.value()), payload.size());
    if (!error && on_accepted) on_accepted(opcode, payload, true, options);
    pump();
    return error;
}

std::error_code Client::send_part(Opcode opcode, std::string_view payload, bool fin, const SendOptions& options) {
    const std::error_code error = core_.send_part(opcode, as_bytes(payload), fin, options);
    note(error);
    schedule_.trace("send_part", static_cast<std::uint64_t>(error.value()), payload.size());
    if (!error && on_accepted) on_accepted(opcode, payload, fin, options);
    pump();
    return error;
}

void Client::note(const std::error_code& error) {
    const bool full = error == make_error_code(Errc::send_queue_full);
    if (full && core_.state() == State::open && core_.send_queued() != 0) judge_.on_refused();
}

std::error_code Client::ping(std::string_view payload) {
    const std::error_code error = core_.ping(as_bytes(payload));
    note(error);
    schedule_.trace("ping", static_cast<std::uint64_t>(error.value()), payload.size());
    pump();
    return error;
}

std::error_code Client::close(CloseCode code, std::string_view reason) {
    const std::error_code error = core_.close(code, reason);
    schedule_.trace("close", static_cast<std::uint64_t>(error.value()));
    pump();
    return error;
}

void Client::prepared(StreamId id, const Attempt& attempt, const Error& error) {
    const auto call = [&] { core_.on_prepared(id, attempt, error, schedule_.now()); };
    if (lookups_.erase(id) == 0) return expect_nothing("an answer to an abandoned attempt", call);
    call();
    step("prepared", id);
    pump();
}

void Client::resume() {
    paused_ = false;
    pump();
}

std::size_t Client::count(Event::Kind kind) const {
    return static_cast<std::size_t>(
        std::count_if(log.begin(), log.end(), [&](const Entry& entry) { return entry.kind == kind; }));
}

const Entry* Client::find(Event::Kind kind) const {
    const auto found = std::find_if(log.rbegin(), log.rend(), [&](const Entry& entry) { return entry.kind == kind; });
    return found == log.rend() ? nullptr : &*found;
}

std::vector<std::pair<Opcode, std::string>> Client::messages() const {
    std::vector<std::pair<Opcode, std::string>> all;
    for (const Entry& entry : log) {
        if (entry.kind == Event::Kind::message || (entry.kind == Event::Kind::chunk && entry.chunk.first)) {
            all.emplace_back(entry.opcode, entry.bytes);
        } else if (entry.kind == Event::Kind::chunk && !all.empty()) {
            all.back().second += entry.bytes;
        }
    }
    return all;
}

std::size_t Client::unread() const {
    std::size_t sum = 0;
    for (const auto& [id, socket] : sockets_) {
        if (socket.wire != nullptr) sum += socket.wire->down.readable().size();
    }
    return sum;
}

// --- the pump ------------------------------------------------------------------------------------------------------

/// Something was done to the core. Whoever listens may do something in between, as another thread may.
void Client::step(std::string_view what, std::uint64_t a, std::uint64_t b, std::string_view content) {
    schedule_.trace(what, a, b, content);
    ++steps_;
    if (const std::size_t ceiling = config_.limits.max_memory; ceiling != 0 && core_.stats().memory > ceiling) {
        schedule_.offence("more memory than max_memory: " + std::to_string(core_.stats().memory));
    }
    if (after_step) after_step(steps_);
}

void Client::pump() {
    dirty_ = true;
    if (pumping_) return;
    pumping_ = true;
    events_left_ = faults.events_at_once;
    for (int turn = 0; std::exchange(dirty_, false); ++turn) {
        if (turn == max_turns) {
            schedule_.offence("the pump never comes to rest");
            break;
        }
        core_.settle(schedule_.now());
        step("settle");
        bool progress = false;
        for (bool wrote = true; wrote;) {
            wrote = flush();
            progress |= wrote;
            if (!core_.needs_settle()) break;  // asked behind a refusal too: last words are asked for only once
            core_.settle(schedule_.now());
            step("settle");
        }
        progress |= run_commands();
        progress |= take_events();
        dirty_ = dirty_ || progress || (at_rest() && core_.unsettled());
    }
    check_waiting();
    spurious_calls();
    if (!lend_reads()) {  // for want of memory one may have to end
        core_.settle(schedule_.now());
        step("settle");
        run_commands();
        take_events();
    }
    arm();
    pumping_ = false;
}

bool Client::run_commands() {
    bool any = false;
    Command command;
    while (core_.next(command)) {
        any = true;
        carry_out(command);
        step("command", static_cast<std::uint64_t>(command.kind), command.id);
    }
    return any;
}

void Client::carry_out(const Command& command) {
    const StreamId id = command.id;
    const auto socket = sockets_.find(id);
    switch (command.kind) {
        case Command::Kind::prepare:
            if (!used_ids_.insert(id).second) schedule_.offence("an id is used twice");
            lookups_.insert(id);
            if (on_prepare) on_prepare(id, command.attempt);
            return;
        case Command::Kind::resolve:
            if (!used_ids_.insert(id).second) schedule_.offence("an id is used twice");
            lookups_.insert(id);
            network_.resolve(command.host,
                             [this, id, port = command.port](std::vector<Address> addresses, Error error) {
                                 on_resolved(id, std::move(addresses), port, std::move(error));
                             });
            return;
        case Command::Kind::connect:
            if (!used_ids_.insert(id).second) schedule_.offence("an id is used twice");
            if (command.address.port != command.port) schedule_.offence("connect with two ports");
            sockets_.emplace(id, Socket{});
            network_.connect(command.address,
                             [this, id](Wire* wire, Error error) { on_connected(id, wire, std::move(error)); });
            return;
        case Command::Kind::half_close:
            if (socket == sockets_.end() || socket->second.wire == nullptr) {
                return schedule_.offence("half_close of something that is not connected");
            }
            socket->second.half_closed = true;
            socket->second.wire->up.finish();
            return;
        case Command::Kind::close:
            if (socket == sockets_.end()) {
                if (lookups_.erase(id) == 0) schedule_.offence("close of something that is not there");
                return;
            }
            if (Wire* wire = socket->second.wire) wire->client_close();
            sockets_.erase(socket);
            return;
    }
}

bool Client::take_events() {
    bool any = false;
    while (!paused_) {
        if (events_left_ == 0) {
            if (!std::exchange(more_events_, true)) schedule_.after(std::chrono::milliseconds(1), [this] { later(); });
            break;
        }
        const bool announced = core_.has_events();
        if (!take_message_in_a_row() && !core_.next(event_)) break;
        if (!announced) schedule_.offence("an event where there were said to be none");
        any = true;
        --events_left_;
        if (std::string wrong = judge_.judge(event_); !wrong.empty()) schedule_.offence("event: " + wrong);
        const Entry& entry = log.emplace_back(copy_of(event_, schedule_.now()));
        if (entry.is_final() && core_.state() != State::idle && !judge_.start_pending()) {
            schedule_.offence("the last event, but the state is " + std::string(state_name(core_.state())));
        }
        trace_event(entry);
        step("event", static_cast<std::uint64_t>(entry.kind), entry.bytes.size());
        if (const auto listener = on_event) listener(entry);  // which may replace itself
        if (!keep_log_) log.clear();
    }
    return any;
}

/// Every other time, and as a driver does whose user stops it behind the first of several.
bool Client::take_message_in_a_row() {
    if (std::exchange(in_a_row_, !in_a_row_)) return false;
    std::array<MessageView, 3> room;
    const std::size_t count = core_.next(room);
    if (count == 0) return false;
    core_.put_back(std::span(room).first(count).subspan(1));
    event_ = {};
    event_.opcode = room[0].opcode;
    event_.bytes = room[0].bytes;
    return true;
}

/// Everything of it goes into the hash; the text is made for readers only.
void Client::trace_event(const Entry& entry) {
    const auto number = [](auto value) { return static_cast<std::uint64_t>(value); };
    schedule_.trace(event_name(entry.kind), number(entry.opcode) << 32u | entry.attempt, number(entry.delay.count()),
                    entry.bytes);
    if (entry.error) {
        schedule_.trace("error", number(entry.error.code.value()), number(entry.error.native), entry.error.detail);
    }
    if (entry.kind == Event::Kind::fate) schedule_.trace("fate", entry.number, number(entry.fate));
    if (entry.kind == Event::Kind::closed || entry.kind == Event::Kind::closing) {
        schedule_.trace("close", number(entry.close.code), number(entry.close.sent_code), entry.close.reason);
    }
    if (schedule_.keeps_trace()) schedule_.note(describe(entry));
}

void Client::later() {
    more_events_ = false;
    pump();
}

bool Client::flush() {
    bool any = false;
    // What happens meanwhile may add and remove sockets.
    for (auto next = sockets_.begin(); next != sockets_.end();) {
        const StreamId id = next->first;
        while (flush(id)) any = true;
        next = sockets_.upper_bound(id);
    }
    return any;
}

/// One write. True if it is worth trying again.
bool Client::flush(StreamId id) {
    Socket* socket = connected(id);
    if (socket == nullptr || socket->write_failed) return false;
    std::array<Bytes, 16> places;
    const std::size_t count = core_.tx(id, std::span(places).first(std::min(faults.tx_pieces, places.size())));
    if (count == 0) return false;
    const std::span<const Bytes> pieces = std::span(places).first(count);
    if (socket->half_closed) schedule_.offence("bytes to send behind a half_close");

    Pipe& up = socket->wire->up;
    const std::string bytes = joined(pieces, while_lent ? no_limit : up.room());
    if (while_lent) {
        lending_ = true;
        while_lent();
        if (take_events()) dirty_ = true;
        lending_ = false;
        if (joined(pieces, no_limit) != bytes)
            schedule_.offence("bytes that tx had lent were changed before tx_consume");
    }
    const bool broken = socket->wire->down.was_reset();
    std::size_t accepted = 0;
    if (!broken && !schedule_.random().chance(faults.would_block)) {
        accepted = up.write(std::string_view(bytes).substr(0, some(bytes.size(), faults.max_write)));
    }
    std::size_t offered = 0;
    for (const Bytes piece : pieces) offered += piece.size();
    if (accepted < offered) judge_.on_kernel_refused();
    core_.tx_consume(id, accepted);
    if (broken) socket->write_failed = true;
    step("tx", id, accepted, std::string_view(bytes).substr(0, accepted));
    if (broken) {
        on_readable(id);  // what the peer said last first; the error comes with it
        return false;
    }
    // `step` may have changed everything.
    socket = connected(id);
    if (accepted == 0 && socket != nullptr && up.room() > 0 && !std::exchange(socket->write_scheduled, true)) {
        schedule_.after(std::chrono::milliseconds(1), [this, id] {
            if (Socket* later = connected(id)) later->write_scheduled = false;
            pump();
        });
    }
    return accepted != 0;
}

/// One read is always outstanding where the core has room for one, as with a completion-based operating system.
/// False if there was no room for one.
bool Client::lend_reads() {
    bool room = true;
    for (auto& [id, socket] : sockets_) {
        if (socket.wire == nullptr || socket.over) continue;
        if (socket.lent.empty()) socket.lent = core_.rx_space(id);
        const Pipe& down = socket.wire->down;
        const bool waiting = !down.readable().empty() || down.at_end() || down.was_reset();
        room = room && !socket.lent.empty();
        if (socket.lent.empty() || !waiting || std::exchange(socket.read_scheduled, true)) continue;
        schedule_.after(Duration{0}, [this, key = id] {
            if (Socket* later = connected(key)) later->read_scheduled = false;
            on_readable(key);
        });
    }
    return room;
}

void Client::arm() {
    const auto deadline = core_.deadline();
    if (deadline == deadline_ && timer_.has_value() == deadline.has_value()) return;
    deadline_ = timer_ = deadline;
    if (timer_ && faults.late_timer > Duration{0}) {
        *timer_ += Duration(static_cast<Duration::rep>(
            schedule_.random().below(static_cast<std::uint64_t>(faults.late_timer.count()))));
    }
}

void Client::check_waiting() {
    if (!at_rest()) return;
    const State state = core_.state();
    const bool keeps_alive = state == State::open && config_.keepalive.interval.count() != 0;
    const bool waits =
        state == State::connecting || state == State::closing || state == State::reconnecting || keeps_alive;
    if (waits && !core_.deadline())
        schedule_.offence("a waiting core has no deadline; it is " + std::string(state_name(state)));
    if (state == State::idle && core_.deadline()) schedule_.offence("an idle core has a deadline");
    if (state == State::idle && open_ids() != 0) schedule_.offence("an idle core has not given up everything");
    if ((state == State::idle) != judge_.ended()) schedule_.offence("the state and the events disagree about the end");
    if (state != State::open || core_.send_queued() != 0) return;
    if (const std::string wrong = judge_.judge_emptiness(); !wrong.empty()) schedule_.offence(wrong);
}

void Client::on_timer() {
    deadline_ = timer_ = std::nullopt;
    core_.on_timeout(schedule_.now());
    if (const auto deadline = core_.deadline(); deadline && *deadline <= schedule_.now()) {
        schedule_.offence("the deadline is not later than now after on_timeout");
    }
    step("timeout");
    pump();
}

// --- what the world reports ----------------------------------------------------------------------------------------

Client::Socket* Client::connected(StreamId id) {
    const auto found = sockets_.find(id);
    return found == sockets_.end() || found->second.wire == nullptr ? nullptr : &found->second;
}

void Client::on_resolved(StreamId id, std::vector<Address> addresses, std::uint16_t port, Error error) {
    for (Address& address : addresses) address.port = port;
    const auto call = [&] { core_.on_resolved(id, addresses, error, schedule_.now()); };
    if (lookups_.erase(id) == 0) return expect_nothing("an answer to an abandoned lookup", call);
    call();
    step("resolved", id, addresses.size());
    pump();
}

void Client::on_connected(StreamId id, Wire* wire, Error error) {
    const auto call = [&] { core_.on_connected(id, error, schedule_.now()); };
    const auto socket = sockets_.find(id);
    if (socket == sockets_.end()) {
        if (wire != nullptr) wire->client_close();
        return expect_nothing("an answer to an abandoned connect", call);
    }
    if (wire == nullptr) {
        sockets_.erase(socket);
    } else {
        socket->second.wire = wire;
        wire->down.on_readable = [this, id] { on_readable(id); };
        wire->up.on_room = [this] { pump(); };
    }
    call();
    step("connected", id, wire != nullptr);
    pump();
}

void Client::on_readable(StreamId id) {
    while (read_once(id)) {
        // What was received may be taken before it is settled, or behind that.
        if (std::exchange(take_first_, !take_first_) && !pumping_) {
            pumping_ = true;  // what the user does meanwhile waits for the pump
            take_events();
            pumping_ = false;
        }
        pump();
    }
    read_end(id);
}

/// One read. False if there was nothing to read, or no room.
bool Client::read_once(StreamId id) {
    Socket* socket = connected(id);
    if (socket == nullptr || socket->over) return false;
    Pipe& down = socket->wire->down;
    if (down.readable().empty()) return false;
    const std::span<std::byte> space = core_.rx_space(id);
    if (!socket->lent.empty() && (space.data() != socket->lent.data() || space.size() != socket->lent.size())) {
        schedule_.offence("rx_space moved while it was lent");
    }
    if (space.empty()) {
        pump();  // for want of memory the connection may have to end
        return false;
    }
    const std::span<std::byte> target = socket->lent.empty() ? space : socket->lent;
    const std::size_t n = some(std::min(target.size(), down.readable().size()), faults.max_read);
    std::memcpy(target.data(), down.readable().data(), n);
    socket->lent = {};
    down.consume(n);
    core_.rx_commit(id, n, schedule_.now());
    step("rx", id, n);
    return true;
}

void Client::read_end(StreamId id) {
    Socket* socket = connected(id);
    if (socket == nullptr || socket->over || !socket->wire->down.readable().empty()) return;
    const bool reset = socket->wire->down.was_reset();
    if (!reset && !socket->wire->down.at_end()) return;
    if (core_.rx_space(id).empty()) return;  // nobody reads, so nobody notices
    socket->over = true;
    socket->lent = {};
    if (reset) {
        Error error(Errc::connection_reset);
        error.native = 104;
        core_.on_io_error(id, std::move(error), schedule_.now());
    } else {
        core_.on_eof(id, schedule_.now());
    }
    step(reset ? "reset" : "eof", id);
    pump();
}

std::size_t Client::some(std::size_t available, std::size_t limit) {
    const std::size_t n = std::min(available, limit);
    return faults.random_sizes && n > 1 ? schedule_.random().between(1, n) : n;
}

// --- calls that must not matter ------------------------------------------------------------------------------------

void Client::spurious_calls() {
    const TimePoint now = schedule_.now();
    if (schedule_.random().chance(faults.stray_answer)) {
        expect_nothing("a stray answer", [&] {
            const Address address{};
            core_.on_prepared(stray_id, {.url = "ws://stray.test/"}, {}, now);
            core_.on_resolved(stray_id, {&address, 1}, {}, now);
            core_.on_connected(stray_id, {}, now);
            core_.on_connected(stray_id, Errc::connection_refused, now);
            if (!core_.rx_space(stray_id).empty()) schedule_.offence("room for a stream that does not exist");
            core_.rx_commit(stray_id, 0, now);
            core_.on_eof(stray_id, now);
            core_.on_io_error(stray_id, Errc::io_error, now);
        });
    }
    const auto deadline = core_.deadline();
    // What a connection has to hold back counts as a sign of life, which moves the deadline.
    const bool held = sockets_.size() > 1 || (judge_.switched() && config_.delivery == Delivery::chunks);
    if (at_rest() && !held && (!deadline || *deadline > now) && schedule_.random().chance(faults.spurious_timeout)) {
        expect_nothing("an on_timeout before its time", [&] { core_.on_timeout(now); });
    }
}

}  // namespace tern::sim
