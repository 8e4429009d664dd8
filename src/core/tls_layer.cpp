#include "tls_layer.hpp"

#include <cassert>

namespace tern::core {

bool TlsLayer::hold_memory(std::size_t size, MemoryBudget* budget) {
    if (!memory_.empty()) return true;
    memory_ = Block::borrow(size, budget);
    in_ = Buffer(memory_.span());
    return !memory_.empty();
}

void TlsLayer::release_memory() noexcept {
    if (!in_.empty()) return;
    memory_.release();
    in_ = Buffer();
}

TlsLayer::Status TlsLayer::handshake() {
    Bytes left = in_.readable();
    const Status status = engine_->handshake(left, out_);
    in_.consume(in_.size() - left.size());
    up_ = status == Status::ok;
    return status;
}

TlsLayer::Status TlsLayer::decrypt(Buffer& to) {
    for (;;) {
        assert(!to.writable().empty());
        Bytes left = in_.readable();
        std::size_t size = 0;
        const Status status = engine_->decrypt(left, to.writable(), size, out_);
        in_.consume(in_.size() - left.size());
        to.commit(size);
        ended_ = ended_ || status == Status::closed;
        if (status != Status::ok) return status;
    }
}

void TlsLayer::shutdown() {
    if (up_ && !std::exchange(shut_down_, true)) engine_->shutdown(out_);
}

}  // namespace tern::core
