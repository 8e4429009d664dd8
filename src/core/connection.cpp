#include "connection.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace tern::core {

Connection::Connection(const Config& config, const Url& url, Crypto& crypto, TimePoint now)
    : config_(config),
      crypto_(crypto),
      rx_memory_(Block::allocate(config.receive_buffer)),
      rx_(rx_memory_.span()),
      upgrade_(std::make_unique<Upgrade>(config, url, crypto)),
      upgrade_deadline_(now + config.timeouts.upgrade) {
    if (rx_memory_.empty()) {
        fail(Error(Errc::out_of_memory, Phase::upgrade));
    } else {
        advance(now);
    }
}

// --- handshake -----------------------------------------------------------------------------------------------------

void Connection::advance(TimePoint now) { conclude(upgrade_->advance(rx_, handshake_tx_), now); }

void Connection::conclude(Handshaker::Status status, TimePoint now) {
    if (status == Handshaker::Status::need_input) return;
    if (status == Handshaker::Status::failed) return fail(upgrade_->error());
    upgrade_result_ = std::move(upgrade_->result());
    upgrade_.reset();
    session_.emplace(config_, crypto_, now);
    stage_ = Stage::session;
    // Bytes behind the blank line are the first frames.
    drained_ = rx_.empty();
}

void Connection::fail(Error error) {
    error_ = std::move(error);
    stage_ = Stage::failed;
    upgrade_.reset();
}

// --- bytes ---------------------------------------------------------------------------------------------------------

std::span<std::byte> Connection::rx_space() {
    if (stage_ == Stage::failed || !drained_ || end_) return {};
    if (rx_.writable().size() < rx_.capacity() / 2) rx_.compact();
    return rx_.writable();
}

void Connection::rx_commit(std::size_t n, TimePoint now) {
    rx_.commit(n);
    if (stage_ == Stage::handshake) return advance(now);
    if (stage_ != Stage::session) return;
    session_->on_received(now);
    drained_ = false;
}

bool Connection::next(Event& event) {
    if (stage_ != Stage::session) return false;
    if (session_->next(rx_, event)) return true;
    drained_ = true;
    return false;
}

std::size_t Connection::tx(std::span<Bytes> out) {
    if (stage_ == Stage::failed || out.empty()) return 0;
    // A server may answer before it has read all of the request; the rest of it still goes first.
    handshake_lent_ = handshake_tx_.size() - handshake_sent_;
    if (handshake_lent_ != 0) {
        out[0] = as_bytes(handshake_tx_).subspan(handshake_sent_);
        return 1;
    }
    return stage_ == Stage::session ? session_->tx(out) : 0;
}

void Connection::tx_consume(std::size_t n) {
    if (handshake_lent_ != 0) {
        assert(n <= handshake_lent_);
        handshake_lent_ = 0;
        handshake_sent_ += n;
        return;
    }
    if (stage_ == Stage::session) session_->tx_consume(n);
}

// --- time and the end ----------------------------------------------------------------------------------------------

void Connection::settle(TimePoint now) {
    if (stage_ != Stage::session) return;
    session_->settle(now);
    if (end_ && drained_ && !session_->ended()) session_->on_end(*end_);
}

void Connection::on_end(Error error, TimePoint now) {
    if (stage_ == Stage::handshake) {
        if (error == Errc::connection_lost) return conclude(upgrade_->on_eof(), now);
        error.phase = Phase::upgrade;
        return fail(std::move(error));
    }
    if (stage_ != Stage::session || end_) return;
    error.phase = Phase::open;
    end_ = std::move(error);
    settle(now);
}

void Connection::on_timeout(TimePoint now) {
    if (stage_ == Stage::handshake && now >= upgrade_deadline_) return conclude(upgrade_->on_deadline(), now);
    if (stage_ == Stage::session) session_->on_timeout(drained_, now);
}

std::optional<TimePoint> Connection::deadline() const noexcept {
    if (stage_ == Stage::handshake) return upgrade_deadline_;
    return stage_ == Stage::session ? session_->deadline() : std::nullopt;
}

}  // namespace tern::core
