#include "session.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <utility>

namespace tern::core {
namespace {

/// Pings may come faster than the peer takes the answers. Section 5.5.3 lets us answer only the latest then.
constexpr std::size_t max_pongs = 16u << 10u;
/// Segments of the outbox for pings, pongs and Close frames.
constexpr std::size_t max_control_memory = 8u << 10u;
constexpr std::size_t max_close_reason = max_control_payload - 2;
/// How long a failed connection is kept for the peer to read our Close (otherwise a reset could overtake it).
constexpr std::chrono::milliseconds fail_linger{1'000};

std::string close_body(CloseCode code, std::string_view reason) {
    std::string body;
    if (code == CloseCode::no_status) return body;
    const auto number = static_cast<std::uint16_t>(code);
    body += static_cast<char>(number >> 8u);
    body += static_cast<char>(number & 0xffu);
    body += reason.substr(0, max_close_reason);
    return body;
}

}  // namespace

Session::Session(const Config& config, Crypto& crypto, TimePoint now, const CompressionInfo& agreed,
                 MemoryBudget* budget)
    : config_(config),
      limited_(budget != nullptr && budget->limited()),
      reader_(config.delivery, config.limits.max_message_size, agreed, config.compression.max_ratio, budget),
      keepalive_(config.keepalive, now),
      received_(now),
      pongs_(budget),
      outbox_(crypto, config.limits.max_send_queue, budget) {
    // A ceiling that has no room even for this was checked to have none for a connection either.
    static_cast<void>(control_frames_.add(budget, max_control_memory));
    if (agreed.active) compressor_ = std::make_shared<Compressor>(agreed, config.compression, budget);
    update_quick_limit();
}

// --- receive half --------------------------------------------------------------------------------------------------

/// What the session has to know of what the reader has found. False: there is no event.
bool Session::note(MessageReader::Status status, Event& event) {
    switch (status) {
        case MessageReader::Status::need_input: return false;
        case MessageReader::Status::failed: reader_failed_ = true; return false;
        case MessageReader::Status::event: break;
    }
    if (event.kind == Event::Kind::ping) queue_pong(event.bytes);
    if (event.kind == Event::Kind::pong) {
        event.round_trip = keepalive_.on_pong(event.bytes, received_).value_or(std::chrono::microseconds(-1));
    }
    return true;
}

void Session::queue_pong(Bytes payload) {
    if (pongs_size_ + 1 + payload.size() > max_pongs) pongs_size_ = 0;
    // Without memory the ping goes unanswered; the peer will ask again.
    if (!pongs_.grow(std::max<std::size_t>(pongs_size_ + 1 + payload.size(), 256))) return;
    std::byte* at = pongs_.data() + pongs_size_;
    *at = static_cast<std::byte>(payload.size());
    if (!payload.empty()) std::memcpy(at + 1, payload.data(), payload.size());
    pongs_size_ += 1 + payload.size();
}

// --- send half -----------------------------------------------------------------------------------------------------

std::error_code Session::send(Opcode opcode, Bytes payload, const SendOptions& options, std::uint64_t number) {
    Outgoing outgoing(opcode, payload, options);
    begin(outgoing);
    outgoing.compress();
    return send(outgoing, number);
}

std::error_code Session::send_part(Opcode opcode, Bytes payload, bool fin, const SendOptions& options,
                                   std::uint64_t number) {
    Outgoing outgoing(opcode, payload, fin, options);
    begin(outgoing);
    outgoing.compress();
    return send(outgoing, number);
}

void Session::begin(Outgoing& outgoing) {
    if (compressor_ == nullptr || may_send() || compressor_->lent()) return;
    const bool continues = outgoing.is_part_ && outgoing.opcode_ == Opcode::continuation;
    if (!(continues ? part_compressed_ && part_open() : outgoing.may_be_compressed(config_.compression))) return;
    // What does not fit anyway need not be compressed first.
    if (outbox_.queued() >= config_.limits.max_send_queue) return;
    compressor_->lend();
    outgoing.compressor_ = compressor_;
}

bool Session::is_good_text(Opcode opcode, Bytes payload, const SendOptions& options) const noexcept {
    return opcode == Opcode::text && (!config_.check_outgoing_text || options.trusted_utf8 || is_utf8(payload));
}

std::error_code Session::send(Outgoing& outgoing, std::uint64_t number) {
    const Opcode opcode = outgoing.opcode_;
    const bool is_part = outgoing.is_part_;
    const bool data = static_cast<unsigned>(opcode) <= static_cast<unsigned>(Opcode::binary);
    if (!data || (!is_part && opcode == Opcode::continuation)) return Errc::invalid_opcode;
    if (const std::error_code error = may_send()) return error;
    const bool begins = opcode != Opcode::continuation;
    if (begins && part_open()) return Errc::message_in_progress;
    if (!begins && !part_open()) return Errc::no_message_in_progress;

    const bool checked = !outgoing.options_.trusted_utf8 &&
                         (begins ? opcode == Opcode::text && config_.check_outgoing_text : part_checked_);
    Utf8Validator text = begins ? Utf8Validator() : part_text_;
    if (checked && !is_part && !is_utf8(outgoing.payload_)) return Errc::outgoing_text_not_utf8;
    if (checked && is_part && (!text.add(outgoing.payload_) || (outgoing.fin_ && !text.complete()))) {
        return Errc::outgoing_text_not_utf8;
    }

    // Without memory for the compressor a message goes as it is, unless it has begun otherwise.
    const bool failed = outgoing.error_ != Errc{};
    if (failed && !begins && part_compressed_) return limited_ ? Errc::send_queue_full : outgoing.error_;
    Compressor* const compressor = outgoing.compressor_ == compressor_ ? outgoing.compressor_.get() : nullptr;
    const bool compressed =
        compressor != nullptr && !failed && (is_part || compressor->worthwhile(outgoing.payload_.size()));
    // Only when `begin` saw no use in compressing: the queue was full, or another message has the compressor.
    if (!begins && part_compressed_ && !compressed) return Errc::send_queue_full;
    const Bytes payload = compressed ? compressor->output() : outgoing.payload_;
    if (const std::error_code error = push(opcode, payload, outgoing.fin_, number, compressed && begins)) return error;
    if (compressed) outgoing.compressor_->give_back(true);
    if (compressed) outgoing.compressor_.reset();
    if (!is_part) return {};
    if (begins) part_ = opcode;
    if (begins) part_compressed_ = compressed;
    if (outgoing.fin_) part_ = Opcode::continuation;
    part_checked_ = checked;
    part_text_ = text;
    update_quick_limit();
    return {};
}

std::error_code Session::push(Opcode opcode, Bytes payload, bool fin, std::uint64_t number, bool compressed) {
    if (const std::error_code error = outbox_.push(opcode, payload, fin, config_.fragment_size, compressed)) {
        // With a ceiling it is not the machine that has no memory: there will be room when something has left, or when
        // the receive half has given back what it only keeps.
        starved_ = starving_ = limited_ && error == make_error_code(Errc::out_of_memory);
        return starved_ ? Errc::send_queue_full : error;
    }
    starving_ = false;
    if (fin) ++messages_sent_;
    if (fin && number != 0) tracked_.push({outbox_.pushed(), number});
    note_congestion();
    return {};
}

void Session::note_congestion() noexcept {
    const std::size_t high = config_.water_marks.high;
    if (high == 0 || congested_ || outbox_.queued() < high) return;
    congested_ = became_congested_ = wants_writable_ = true;
    update_quick_limit();
}

/// To be called when something changes of what it looks at. A message that reaches the high mark is not a quick one.
void Session::update_quick_limit() noexcept {
    const bool special = sending_ended_ || close_requested_ || part_open() || config_.fragment_size != 0;
    const std::size_t high = config_.water_marks.high;
    outbox_.set_quick_limit(special ? 0 : high == 0 || congested_ ? config_.limits.max_send_queue : high - 1);
}

std::uint64_t Session::take_sent() {
    if (tracked_.empty() || tracked_.front().end > outbox_.consumed()) return 0;
    return tracked_.pop().number;
}

std::uint64_t Session::take_unsent() { return tracked_.empty() ? 0 : tracked_.pop().number; }

std::error_code Session::control(Opcode opcode, Bytes payload) {
    if (const std::error_code error = may_send()) return error;
    if (payload.size() > max_control_payload) return Errc::control_payload_too_long;
    if (outbox_.control_queued() > max_pongs) return Errc::send_queue_full;
    return outbox_.push_control(opcode, payload);
}

std::error_code Session::close(CloseCode code, std::string_view reason) {
    if (const std::error_code error = may_send()) return error;
    std::string body = close_body(code, reason);
    if (const std::error_code error = outbox_.push_close(as_bytes(body))) return error;
    close_requested_ = true;
    update_quick_limit();
    close_body_ = std::move(body);
    sent_code_ = code;
    return {};
}

std::error_code Session::may_send() const noexcept {
    if (sending_ended_ || close_requested_) return Errc::already_closing;
    return {};
}

void Session::trace(Tracer& tracer, std::uint32_t stream) {
    trace_ = std::make_unique<Trace>(Trace{FrameTrace(tracer, stream, false), FrameTrace(tracer, stream, true), {}});
}

std::size_t Session::tx(std::span<Bytes> out) {
    const std::size_t count = outbox_.front(out);
    if (trace_ != nullptr) trace_->lent.assign(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(count));
    return count;
}

void Session::trace_sent(std::size_t n) noexcept {
    for (const Bytes piece : trace_->lent) {
        const std::size_t size = std::min(n, piece.size());
        trace_->sent.add(piece.first(size));
        n -= size;
    }
    trace_->lent.clear();
}

void Session::tx_consume(std::size_t n) {
    if (trace_ != nullptr) trace_sent(n);
    if (n > 0 && blocked_) progress_ = true;
    if (n < outbox_.lent()) blocked_ = true;
    outbox_.consume(n);
    if (n > 0) note_room();
    wants_writable_ = wants_writable_ || (blocked_ && outbox_.queued() > config_.water_marks.low);
    if (outbox_.queued() == 0) blocked_ = false;
}

void Session::note_room() noexcept {
    if (outbox_.queued() > config_.water_marks.low) return;
    if (std::exchange(congested_, false)) update_quick_limit();
    if (std::exchange(wants_writable_, false)) became_writable_ = true;
}

void Session::on_tx_stalled(bool progress) noexcept {
    if (progress && blocked_) progress_ = true;
    blocked_ = true;
    wants_writable_ = wants_writable_ || outbox_.queued() > config_.water_marks.low;
}

// --- both halves ---------------------------------------------------------------------------------------------------

void Session::on_received(TimePoint now) noexcept {
    received_ = now;
    keepalive_.on_alive(now);
}

void Session::settle(TimePoint now) {
    messages_received_ = reader_.messages();
    if (const std::uint64_t answered = keepalive_.answered(); answered != round_trips_seen_) {
        round_trips_seen_ = answered;
        (round_trips_ ? *round_trips_ : round_trips_.emplace()).add(keepalive_.round_trip());
    }
    if (state_ == State::ended) return;
    if (std::exchange(progress_, false)) keepalive_.on_alive(now);
    send_pongs();
    if (std::exchange(starved_, false)) trim();
    if (close_requested_ && state_ == State::open) enter(State::closing, now + config_.timeouts.close);
    if (state_ != State::open && state_ != State::closing) return;
    if (reader_failed_) fail(Error(reader_.error(), Phase::open, reader_.error_detail()), now);
    if (reader_.closed()) on_peer_close(now);
}

void Session::send_pongs() {
    if (outbox_.close_final()) pongs_size_ = 0;
    pongs_wait_ = pongs_size_ != 0 && !may_push_pongs();
    if (pongs_wait_) return;
    for (std::size_t at = 0; at < pongs_size_;) {
        const auto size = std::to_integer<std::size_t>(pongs_.data()[at]);
        // No memory, no pong: see `queue_pong`.
        static_cast<void>(outbox_.push_control(Opcode::pong, {pongs_.data() + at + 1, size}));
        at += 1 + size;
    }
    pongs_size_ = 0;
}

bool Session::may_push_pongs() const noexcept { return outbox_.control_queued() <= max_pongs; }

/// RFC 6455 section 5.5.1: the reply carries the code that was received. A Close of ours that still waits is sent now.
void Session::on_peer_close(TimePoint now) {
    by_peer_ = state_ == State::open;
    if (by_peer_) sent_code_ = reader_.close_frame().code;
    if (!outbox_.close_final()) {
        const std::string body = by_peer_ ? close_body(sent_code_, {}) : close_body_;
        if (const std::error_code error = queue_close(body)) {
            return end(Error(static_cast<Errc>(error.value()), Phase::closing));
        }
    }
    enter(State::lasting, now + config_.timeouts.close);
}

/// RFC 6455 section 7.1.7.
void Session::fail(Error error, TimePoint now) {
    reader_.discard();
    const ErrorRow* row = error_row(error.errc());
    assert(row != nullptr && row->close_code != 0);
    if (!outbox_.close_final()) {
        sent_code_ = CloseCode{row->close_code};
        if (queue_close(close_body(sent_code_, row->text))) return end(std::move(error));
    }
    error_ = std::move(error);
    enter(State::failing, now + std::min(fail_linger, config_.timeouts.close));
}

/// What the user sent before, such as the answer to the last good message, still goes first, if the kernel has not
/// refused any of it. A backlog is overtaken and dropped: the peer may never read it.
std::error_code Session::queue_close(const std::string& body) {
    const bool backlog = blocked_ || close_requested_;
    return backlog ? outbox_.push_urgent_close(as_bytes(body)) : outbox_.push_close(as_bytes(body));
}

void Session::enter(State state, TimePoint deadline) noexcept {
    state_ = state;
    sending_ended_ = true;
    update_quick_limit();
    // The closing handshake as a whole has one deadline; going from `closing` to `lasting` does not extend it.
    if (state == State::failing || !timers_.is_set(Timer::close)) timers_.set(Timer::close, deadline);
}

void Session::on_end(const Error& reported) {
    if (state_ == State::ended) return;
    if (state_ == State::failing) return end(error_.take());
    if (state_ == State::lasting) return end(ending());
    Error error = reported;
    if (state_ == State::open && !reader_.between_messages()) {
        error.detail += error.detail.empty() ? "in the middle of a message" : ", in the middle of a message";
    }
    if (state_ == State::closing) {
        error.phase = Phase::closing;
        error.detail += error.detail.empty() ? "it did not answer our Close" : ", it did not answer our Close";
    }
    end(std::move(error));
}

void Session::on_timeout(bool drained, TimePoint now) {
    while (const auto timer = timers_.take_expired(now)) {
        if (state_ == State::failing) return end(error_.take());
        if (state_ == State::lasting && outbox_.close_sent()) return end(ending());
        return end(Error(Errc::close_timeout, Phase::closing,
                         reader_.closed() ? "our Close could not be sent" : "the peer did not answer our Close"));
    }
    if (state_ != State::open) return;
    // What has arrived and was not taken yet may hold the pong: the user is slow, not the peer.
    if (!drained || std::exchange(progress_, false)) keepalive_.on_alive(now);
    switch (keepalive_.on_timeout(now)) {
        case Keepalive::Action::none: break;
        case Keepalive::Action::dead: return end(Error(Errc::pong_timeout, Phase::open));
        case Keepalive::Action::ping:
            trim();
            // Without memory there is no ping, but the deadline stands.
            if (!outbox_.close_final()) static_cast<void>(outbox_.push_control(Opcode::ping, keepalive_.payload()));
            break;
    }
}

void Session::trim() noexcept {
    reader_.trim();
    if (compressor_ != nullptr && !compressor_->lent()) compressor_->trim();
    if (outbox_.queued() == 0) outbox_.trim();
    if (pongs_size_ == 0) pongs_.release();
}

void Session::stop() {
    reader_.discard();
    if (state_ != State::ended) end(Error(Errc::stopped, state_ == State::open ? Phase::open : Phase::closing));
}

void Session::end(Error&& error) {
    error_ = std::move(error);
    state_ = State::ended;
    sending_ended_ = true;
    update_quick_limit();
    timers_.stop(Timer::close);
}

/// The error that stands for a closing handshake that was completed.
Error Session::ending() const {
    const CloseFrame& frame = reader_.close_frame();
    std::string detail = "code " + std::to_string(static_cast<unsigned>(frame.code));
    if (!frame.reason.empty()) detail += ", \"" + frame.reason + "\"";
    return {by_peer_ ? Errc::closed_by_peer : Errc::closed_locally, Phase::closing, std::move(detail)};
}

std::optional<TimePoint> Session::deadline() const noexcept {
    if (state_ == State::ended) return std::nullopt;
    return state_ == State::open ? keepalive_.deadline() : timers_.next();
}

bool Session::take_half_close() noexcept {
    if (!half_close_due()) return false;
    half_close_done_ = true;
    return true;
}

bool Session::take_writable() noexcept { return std::exchange(became_writable_, false); }
bool Session::take_congested() noexcept { return std::exchange(became_congested_, false) && state_ == State::open; }

CloseInfo Session::close_info() const {
    assert(state_ == State::ended);
    CloseInfo info;
    if (reader_.closed()) {
        info.code = reader_.close_frame().code;
        info.reason = reader_.close_frame().reason;
    }
    info.sent = outbox_.close_sent();
    if (info.sent) info.sent_code = sent_code_;
    info.received = reader_.closed();
    info.by_peer = by_peer_;
    info.error = error_.value();
    return info;
}

void Session::add_to(Stats& stats) const noexcept {
    stats.messages_received += messages_received_;
    stats.messages_sent += messages_sent_;
    stats.send_queued += outbox_.queued();
    if (!round_trips_) return;
    stats.round_trip = round_trips_->last();
    stats.round_trip_smoothed = round_trips_->smoothed();
    stats.round_trip_p50 = round_trips_->percentile(50);
    stats.round_trip_p95 = round_trips_->percentile(95);
    stats.round_trip_p99 = round_trips_->percentile(99);
}

}  // namespace tern::core

namespace tern {

bool Outgoing::may_be_compressed(const Compression& config) const noexcept {
    if (!config.enabled) return false;
    if (is_part_ && opcode_ == Opcode::continuation) return true;
    if (options_.compress == Compress::never) return false;
    return is_part_ || options_.compress == Compress::always || payload_.size() >= config.threshold;
}

void Outgoing::compress() noexcept {
    if (compressor_ == nullptr) return;
    if (const Errc error = compressor_->compress(payload_, fin_); error != Errc{}) error_ = error;
}

std::size_t Outgoing::size() const noexcept {
    return compressor_ == nullptr ? payload_.size() : compressor_->output().size();
}

void Outgoing::give_up() noexcept {
    if (compressor_ != nullptr) compressor_->give_back(false);
    compressor_.reset();
    error_ = {};
}

}  // namespace tern
