#include "connection.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include <tern/trace.hpp>

#include "proxy_connect.hpp"
#include "proxy_socks5.hpp"

namespace tern::core {
namespace {

/// What one encryption takes from the session: as much as one system call usefully carries.
constexpr std::size_t pieces_at_once = 4;
/// The most that a record of TLS carries (RFC 8446 section 5.1).
constexpr std::size_t record_payload = 16u << 10u;
/// What a layer of TLS takes beside its input buffer: the library's object (OpenSSL 3: about 23 KiB, and two records
/// while it works), and, where there is a ceiling, what was encrypted at once, on its way out and being sent.
constexpr std::size_t tls_memory = (64u << 10u) + 2 * (72u << 10u);
/// While reads fill the receive buffer, the next one is so many times as large: fewer calls, and fewer
/// acknowledgements, each of which lets the peer's kernel go on sending on this side's time (docs/performance.md).
constexpr std::size_t flood_factor = 4;
/// The beginning of a message leaves a buffer that others may want meanwhile, if it is so small a part of it.
constexpr std::size_t small_part = 16;
/// Where the last read went to its place in a large message, the next one gets that part of the buffer.
constexpr std::size_t small_read = 4;
/// A read to its place in a large message gets so many times the buffer at most, so that others have their turn.
constexpr std::size_t large_read = 16;

bool is_socks(const ProxyUrl& proxy) {
    return proxy.kind == ProxyUrl::Kind::socks5 || proxy.kind == ProxyUrl::Kind::socks5h;
}

}  // namespace

Connection::Connection(const Config& config, Route route, Crypto& crypto, TimePoint now, MemoryBudget* budget)
    : config_(config), crypto_(crypto), budget_(budget), making_(new Making{.route = route, .step_began = now}) {
    const std::size_t heads = config.limits.max_head_size + config.limits.max_error_body;
    if (!hold_memory() || !making_->heads_and_bodies.add(budget_, heads)) {
        fail(no_memory(Phase::upgrade));
        return;
    }
    const Step first = route.proxy_tls != nullptr ? Step::proxy_tls
                       : route.proxy != nullptr   ? Step::proxy
                       : route.tls != nullptr     ? Step::tls
                                                  : Step::upgrade;
    begin(first, now);
    advance(now);
    release_memory();
}

// --- handshakes ----------------------------------------------------------------------------------------------------

Connection::Step Connection::step_after(Step step) const noexcept {
    switch (step) {
        case Step::proxy_tls: return Step::proxy;
        case Step::proxy: return making_->route.tls != nullptr ? Step::tls : Step::upgrade;
        case Step::tls: return Step::upgrade;
        default: return Step::session;
    }
}

Phase Connection::phase() const noexcept {
    switch (step_) {
        case Step::proxy_tls:
        case Step::tls: return Phase::tls;
        case Step::proxy: return Phase::proxy;
        case Step::upgrade: return Phase::upgrade;
        case Step::session: break;
    }
    return Phase::open;
}

void Connection::begin(Step step, TimePoint now) {
    step_ = step;
    making_->step_began = now;
    const Timeouts& timeouts = config_.timeouts;
    const Route& route = making_->route;
    const Url& url = route.url;
    switch (step) {
        case Step::proxy_tls:
            making_->step_deadline = now + timeouts.tls;
            return begin_tls(route.proxy_tls, route.proxy->host, route.proxy->port);
        case Step::proxy:
            making_->step_deadline = now + timeouts.proxy;
            if (is_socks(*route.proxy)) {
                making_->handshaker = std::make_unique<ProxySocks5>(*route.proxy, url, route.target);
            } else {
                making_->handshaker = std::make_unique<ProxyConnect>(config_, *route.proxy, url, crypto_);
            }
            return;
        case Step::tls: making_->step_deadline = now + timeouts.tls; return begin_tls(route.tls, url.host, url.port);
        case Step::upgrade:
            making_->step_deadline = now + timeouts.upgrade;
            making_->handshaker = std::make_unique<Upgrade>(route.attempt != nullptr ? *route.attempt : config_, url,
                                                            crypto_, route.foreign);
            return;
        case Step::session:
            making_->heads_and_bodies.release();
            session_.emplace(config_, crypto_, now, making_->result->compression, budget_);
            if (config_.tracer != nullptr) session_->trace(*config_.tracer, trace_stream_);
            stage_ = Stage::session;
            return;
    }
}

void Connection::begin_tls(tls::Context* context, const std::string& host, std::uint16_t port) {
    std::unique_ptr<tls::Engine> engine = context->connect(host, port);
    // A layer gets what came out of the one before it: as much as is read at once, and a record that was held back.
    Block memory = Block::borrow(config_.receive_buffer + tls::Engine::max_record, budget_);
    if (engine == nullptr || memory.empty() || !tls_.add(budget_, tls_memory)) return fail(no_memory(Phase::tls));
    layers_.push_back(std::make_unique<TlsLayer>(std::move(engine), std::move(memory)));
    // What a proxy sent behind its answer comes from the server already.
    Buffer& in = layers_.back()->in();
    const std::size_t size = std::min(rx_.size(), in.writable().size());
    std::memcpy(in.writable().data(), rx_.readable().data(), size);
    in.commit(size);
    rx_.consume(rx_.size());
}

void Connection::advance(TimePoint now) {
    while (stage_ == Stage::handshake) {
        const Step step = step_;
        conclude(in_tls_step() ? advance_tls() : making_->handshaker->advance(rx_, lent_->words), now);
        if (step_ == step) return;
        const TlsLayer::Status status = decrypt();
        if (stage_ == Stage::session) {
            drained_ = rx_.empty();  // bytes behind the blank line are the first frames
            session_->trace_received(rx_.readable());
        }
        if (status != TlsLayer::Status::need_input) return on_tls_end(status, now);
    }
}

Handshaker::Status Connection::advance_tls() {
    switch (layers_.back()->handshake()) {
        case TlsLayer::Status::ok: return Handshaker::Status::done;
        case TlsLayer::Status::need_input: return Handshaker::Status::need_input;
        default: return Handshaker::Status::failed;
    }
}

void Connection::conclude(Handshaker::Status status, TimePoint now) {
    if (status == Handshaker::Status::need_input) return;
    if (status == Handshaker::Status::done) return end_step(now);
    fail(in_tls_step() ? layers_.back()->engine().error() : making_->handshaker->error());
}

void Connection::end_step(TimePoint now) {
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(now - making_->step_began);
    switch (step_) {
        case Step::proxy_tls:
            making_->result = std::make_unique<Handshake>();
            making_->result->proxy_tls = layers_.back()->engine().info();
            making_->times.proxy += took;
            break;
        case Step::proxy: making_->times.proxy += took; break;
        case Step::tls:
            if (making_->result == nullptr) making_->result = std::make_unique<Handshake>();
            making_->result->tls = layers_.back()->engine().info();
            making_->times.tls = took;
            break;
        default: {
            const std::unique_ptr<Handshake> before = std::move(making_->result);
            making_->result = static_cast<Upgrade&>(*making_->handshaker).take_result();
            if (before != nullptr) {
                making_->result->tls = std::move(before->tls);
                making_->result->proxy_tls = std::move(before->proxy_tls);
            }
            making_->times.upgrade = took;
            if (config_.tracer != nullptr) trace_heads();
        }
    }
    // What the handshaker has not sent yet (a server may answer before it has read everything) still goes first.
    making_->handshaker.reset();
    begin(step_after(step_), now);
}

void Connection::trace_heads() {
    std::string answer =
        "HTTP/1.1 " + std::to_string(making_->result->response.status) + ' ' + making_->result->response.reason;
    for (const Header& field : making_->result->response.headers) answer += "\r\n" + field.name + ": " + field.value;
    answer += "\r\n\r\n";
    const std::string sent = without_credentials(making_->result->request);
    const std::string received = without_credentials(answer);
    TraceRecord record;
    record.stream = trace_stream_;
    record.kind = TraceRecord::Kind::head_sent;
    record.bytes = as_bytes(sent);
    config_.tracer->trace(record);
    record.kind = TraceRecord::Kind::head_received;
    record.bytes = as_bytes(received);
    config_.tracer->trace(record);
}

Error Connection::no_memory(Phase phase) const {
    const bool limited = budget_ != nullptr && budget_->limited();
    return {limited ? Errc::memory_limit : Errc::out_of_memory, phase};
}

void Connection::fail(Error error) {
    error_ = std::move(error);
    stage_ = Stage::failed;
    making_->handshaker.reset();
    last_words_ = !layers_.empty();
}

bool Connection::has_last_words() const noexcept {
    return last_words_ &&
           std::any_of(layers_.begin(), layers_.end(), [](const auto& each) { return !each->out().empty(); });
}

// --- bytes in ------------------------------------------------------------------------------------------------------

std::span<std::byte> Connection::rx_space() {
    if (stage_ == Stage::failed || !drained_ || end_) return {};
    if (stage_ == Stage::session && layers_.empty() && rx_.empty()) {
        const std::span<std::byte> space = session_->payload_space(config_.receive_buffer);
        if (!space.empty()) {
            rx_lent_ = after_large_ = true;
            return space.first(std::min(space.size(), large_read * config_.receive_buffer));
        }
    }
    if (!hold_memory()) {
        if (stage_ == Stage::handshake) {
            fail(no_memory(phase()));
        } else {
            error_ = no_memory(Phase::open);  // `settle` ends it
        }
        return {};
    }
    rx_lent_ = true;
    if (rx_.writable().size() < rx_.capacity() / 2) rx_.compact();
    if (layers_.empty()) {
        const std::size_t most = after_large_ ? config_.receive_buffer / small_read : rx_.writable().size();
        return rx_.writable().first(std::min(rx_.writable().size(), most));
    }
    // Layers use up all of their input; what comes out of the last has to find room.
    const std::size_t reserve = layers_.size() * tls::Engine::max_record;
    assert(rx_.writable().size() > reserve || stage_ == Stage::handshake);
    Buffer& in = layers_.front()->in();
    in.compact();
    const std::size_t room = rx_.writable().size() > reserve ? rx_.writable().size() - reserve : 0;
    return in.writable().first(std::min({in.writable().size(), config_.receive_buffer, room}));
}

/// All those that there will be.
std::size_t Connection::layers_wanted() const noexcept {
    if (stage_ == Stage::session) return layers_.size();
    return (making_->route.tls != nullptr ? 1u : 0u) + (making_->route.proxy_tls != nullptr ? 1u : 0u);
}

/// For what arrives, in every layer.
bool Connection::hold_memory() {
    return hold_receive_buffer() && std::all_of(layers_.begin(), layers_.end(), [this](const auto& each) {
               return each->hold_memory(config_.receive_buffer + tls::Engine::max_record, budget_);
           });
}

bool Connection::hold_receive_buffer() {
    // Each layer may have held back a record that comes out together with what has arrived since.
    const std::size_t reserve = layers_wanted() * tls::Engine::max_record;
    const std::size_t usual = config_.receive_buffer + reserve;
    const std::size_t wanted = flooded_ && layers_.empty() && borrows() ? flood_factor * usual : usual;
    if (rx_memory_.size() >= wanted) return true;
    Block memory = Block::borrow(wanted, budget_);
    if (memory.empty()) return rx_memory_.size() >= usual;
    move_rx(std::move(memory), reserve);
    return true;
}

void Connection::move_rx(Block memory, std::size_t reserve) noexcept {
    Buffer to(memory.span(), reserve);
    if (!rx_.empty()) std::memcpy(to.writable().data(), rx_.readable().data(), rx_.size());
    to.commit(rx_.size());
    rx_ = to;
    rx_memory_ = std::move(memory);
}

/// An idle connection keeps no memory of a pool for what may arrive one day; unless the rest of the client could take
/// it away (`limits.max_memory`), or for a while where there are few. A small beginning of a message waits for the rest
/// in memory of its own size.
void Connection::release_memory(bool quiet) noexcept {
    if (!borrows() || rx_lent_ || !drained_ || stage_ == Stage::failed) return;
    if (!quiet && stage_ == Stage::session && budget_->pool()->may_keep() && !flooded_) return;
    for (const auto& layer : layers_) layer->release_memory();
    if (rx_.empty()) {
        rx_memory_.release();
        rx_ = Buffer();
    } else if (rx_.size() <= rx_memory_.size() / small_part) {
        Block rest = Block::allocate(rx_.size(), budget_);
        if (!rest.empty()) move_rx(std::move(rest), 0);
    }
}

void Connection::rx_commit(std::size_t n, TimePoint now) {
    rx_lent_ = false;
    if (stage_ == Stage::session && session_->payload_lent()) return commit_payload(n, now);
    if (n == 0) return release_memory();
    const std::size_t before = rx_.size();
    after_large_ = false;
    (layers_.empty() ? rx_ : layers_.front()->in()).commit(n);
    flooded_ = rx_.writable().empty() || (flooded_ && n > config_.receive_buffer);
    const TlsLayer::Status status = decrypt();
    if (stage_ == Stage::handshake) {
        advance(now);
    } else if (stage_ == Stage::session) {
        session_->trace_received(rx_.readable().subspan(before));
        session_->on_received(now);
        drained_ = drained_ && rx_.empty();
    }
    release_memory();
    if (status != TlsLayer::Status::need_input) on_tls_end(status, now);
}

void Connection::commit_payload(std::size_t n, TimePoint now) {
    const Bytes bytes = session_->commit_payload(n);
    if (n == 0) return;
    session_->trace_received(bytes);
    session_->on_received(now);
    drained_ = false;
}

/// Through all layers, as far as they are up. Never `ok`.
TlsLayer::Status Connection::decrypt() {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        if (!layers_[i]->up()) break;
        Buffer& to = i + 1 < layers_.size() ? layers_[i + 1]->in() : rx_;
        to.compact();
        const TlsLayer::Status status = layers_[i]->decrypt(to);
        if (status == TlsLayer::Status::failed) error_ = layers_[i]->engine().error();
        if (status == TlsLayer::Status::need_input) continue;
        // What has come out so far still reaches the layers above.
        for (std::size_t above = i + 1; above < layers_.size() && layers_[above]->up(); ++above) {
            Buffer& next = above + 1 < layers_.size() ? layers_[above + 1]->in() : rx_;
            static_cast<void>(layers_[above]->decrypt(next));
        }
        return status;
    }
    return TlsLayer::Status::need_input;
}

void Connection::on_tls_end(TlsLayer::Status status, TimePoint now) {
    tls_over_ = true;
    if (status == TlsLayer::Status::closed) {
        for (const auto& layer : layers_) layer->shutdown();
        // The proxy's close_notify does not vouch for the server's.
        const bool cut = stage_ == Stage::session && !layers_.back()->ended();
        return end(cut ? Errc::tls_truncated : Errc::connection_lost, now);
    }
    end(error_.value(), now);
}

bool Connection::next(Event& event) {
    if (stage_ != Stage::session || drained_) return false;
    if (session_->next(rx_, event)) return true;
    drained_ = true;
    release_memory();
    return false;
}

// --- bytes out -----------------------------------------------------------------------------------------------------

std::size_t Connection::tx(std::span<Bytes> out) {
    last_words_ = false;
    if (out.empty()) return 0;
    if (lent_ == nullptr && session_->queued() == 0) return 0;
    if (lent_ != nullptr) {
        if (lent_->taken == lent_->bytes.size()) {
            lent_->bytes.clear();
            lent_->taken = 0;
            if (layers_.empty()) {
                std::string().swap(lent_->bytes);
                std::swap(lent_->bytes, lent_->words);
            } else {
                encrypt_what_waits();
            }
        }
        if (!lent_->bytes.empty()) {
            out[0] = as_bytes(lent_->bytes).subspan(lent_->taken);
            return 1;
        }
        if (stage_ == Stage::session && layers_.empty()) lent_.reset();
    }
    return stage_ == Stage::session && layers_.empty() ? session_->tx(out) : 0;
}

/// Handshakes first, then as much of the session as one system call carries. What TLS itself has to say goes along.
void Connection::encrypt_what_waits() {
    if (!lent_->words.empty()) {
        const std::string words = std::exchange(lent_->words, {});
        if (!layers_.front()->up()) {
            lent_->bytes = words;  // to a proxy that has answered before it was asked
            return;
        }
        encrypt(as_bytes(words));
    } else if (stage_ == Stage::session && !fin_wanted_ && !tls_over_ && !error_) {
        std::array<Bytes, pieces_at_once> pieces;
        const bool limited = budget_ != nullptr && budget_->limited();
        const std::size_t count = session_->tx(std::span(pieces).first(limited ? 1 : pieces.size()));
        for (std::size_t i = 0; i < count; ++i) {
            for (Bytes rest = pieces[i]; !rest.empty();) {
                const Bytes record = rest.first(std::min(rest.size(), record_payload));
                rest = rest.subspan(record.size());
                encrypt(record);
                pass_outwards();
                lent_->session += record.size();
                lent_->records.push_back({layers_.front()->out().size(), lent_->session});
            }
        }
    }
    pass_outwards();
    std::swap(lent_->bytes, layers_.front()->out());
}

/// What comes out of a layer goes through those around it.
void Connection::pass_outwards() {
    for (std::size_t i = layers_.size(); i-- > 1;) {
        encrypt(*layers_[i - 1], as_bytes(layers_[i]->out()));
        layers_[i]->out().clear();
    }
}

/// By the last layer that is up: the words of a proxy's handshake are not for the layer that is still in its own.
void Connection::encrypt(Bytes plain) {
    const auto last = std::find_if(layers_.rbegin(), layers_.rend(), [](const auto& each) { return each->up(); });
    assert(last != layers_.rend());
    encrypt(**last, plain);
}

void Connection::encrypt(TlsLayer& layer, Bytes plain) {
    if (plain.empty() || layer.encrypt(plain)) return;
    if (stage_ == Stage::handshake) return fail(layer.engine().error());
    error_ = layer.engine().error();  // `settle` ends it
}

void Connection::tx_consume(std::size_t n) {
    if (lent_ == nullptr || lent_->bytes.empty()) {
        if (stage_ == Stage::session) session_->tx_consume(n);
        return;
    }
    assert(n <= lent_->bytes.size() - lent_->taken);
    lent_->taken += n;
    if (lent_->session == 0) return;
    if (lent_->taken == lent_->bytes.size()) {
        session_->tx_consume(std::exchange(lent_->session, 0));
        lent_->records.clear();
    } else {
        session_->on_tx_stalled(n > 0);
    }
}

void Connection::account_for_records() {
    if (lent_ == nullptr || std::exchange(lent_->session, 0) == 0) return;
    std::size_t plain = 0;
    for (const Record& record : lent_->records) {
        if (record.end <= lent_->taken) plain = record.plain_end;
    }
    lent_->records.clear();
    session_->tx_consume(plain);
}

bool Connection::take_half_close() {
    if (session_->take_half_close()) {
        fin_wanted_ = true;
        for (const auto& layer : layers_) layer->shutdown();
    }
    return half_close_due() && std::exchange(fin_wanted_, false);
}

/// All layers have said their last.
bool Connection::layers_are_done() const noexcept {
    const bool taken = lent_ == nullptr || lent_->taken == lent_->bytes.size();
    return taken && (layers_.empty() || layers_.front()->out().empty());
}

// --- time and the end ----------------------------------------------------------------------------------------------

void Connection::settle(TimePoint now) {
    if (stage_ != Stage::session) return;
    if (error_ && !end_) end_ = *error_;
    session_->settle(now);
    if (end_ && drained_ && !session_->ended()) session_->on_end(*end_);
}

void Connection::trim() noexcept {
    if (stage_ != Stage::session) return;
    release_memory(true);
    session_->trim();
    const auto give_back = [](std::string& text) {
        if (text.empty()) std::string().swap(text);
    };
    if (lent_ != nullptr) {
        give_back(lent_->words);
        if (lent_->records.empty()) std::vector<Record>().swap(lent_->records);
        if (lent_->taken == lent_->bytes.size()) {
            std::string().swap(lent_->bytes);
            lent_->taken = 0;
        }
    }
    for (const auto& layer : layers_) give_back(layer->out());
}

/// Without close_notify nobody knows whether the peer or somebody in between ended it (RFC 8446 section 6.1).
void Connection::on_end(Error&& error, TimePoint now) {
    const bool cut = stage_ == Stage::session && !layers_.empty() && error == Errc::connection_lost;
    if (cut) error = Error(Errc::tls_truncated);
    end(std::move(error), now);
}

void Connection::end(Error&& error, TimePoint now) {
    if (stage_ == Stage::handshake) {
        const bool ended = error == Errc::connection_lost;
        if (!in_tls_step()) {
            // A refusal whose body ends in a reset is a refusal: servers that close with input unread send both.
            const Handshaker::Status status = making_->handshaker->on_eof();
            if (ended || making_->handshaker->error().response.status != 0) return conclude(status, now);
        }
        if (ended) error = Error(Errc::tls_eof);
        if (error.phase != Phase::tls) error.phase = phase();
        return fail(std::move(error));
    }
    if (stage_ != Stage::session || end_) return;
    if (error.phase != Phase::tls) error.phase = Phase::open;
    end_ = std::move(error);
    settle(now);
}

void Connection::on_timeout(TimePoint now) {
    if (stage_ == Stage::handshake && now >= making_->step_deadline) {
        if (in_tls_step()) return fail(Error(Errc::tls_timeout, Phase::tls));
        return conclude(making_->handshaker->on_deadline(), now);
    }
    if (stage_ == Stage::session) session_->on_timeout(drained_, now);
}

std::optional<TimePoint> Connection::deadline() const noexcept {
    if (stage_ == Stage::handshake) return making_->step_deadline;
    return stage_ == Stage::session ? session_->deadline() : std::nullopt;
}

}  // namespace tern::core
