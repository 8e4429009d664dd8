#include "reception.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "socket.hpp"

namespace tern::driver {
namespace {

/// After so many small ones it goes on and on: this is somebody who talks back and forth, or who listens to a ticker. A
/// flood would come in small pieces that way.
constexpr std::uint8_t steady = 4;

/// A socket tells of most errors once. Of these the next read finds out what is there.
bool is_told_once(int error) {
    return error != 0 && error != EAGAIN && error != EWOULDBLOCK && error != EINTR && error != ENOBUFS &&
           error != ECANCELED;
}

}  // namespace

Reception::~Reception() {
    while (first_ != nullptr) ring_.give_back(*std::exchange(first_, first_->next));
}

bool Reception::wait(bool exhausted) noexcept {
    if (!exhausted || first_ != nullptr || error_ != 0) return false;
    if (receiving_) return true;
    Ring::Mode mode = large_ ? Ring::Mode::readable : Ring::Mode::once;
    if (small_ones_ == steady) mode = Ring::Mode::on_and_on;
    receiving_ = ring_.receive(key_, socket_, mode);
    return receiving_;
}

void Reception::note(const Ring::Received& received, bool wanted) noexcept {
    receiving_ = received.goes_on;
    if (!receiving_) ending_ = false;
    if (is_told_once(received.error)) error_ = received.error;
    if (received.chunk != nullptr) {
        (first_ == nullptr ? first_ : last_->next) = received.chunk;
        last_ = received.chunk;
        note_size(received.chunk->bytes.size());
    }
    // What nobody reads stays in the network.
    if (receiving_ && (large_ || !wanted) && !std::exchange(ending_, true)) static_cast<void>(ring_.cancel(key_));
}

void Reception::note_size(std::size_t size) noexcept {
    large_ = size >= Ring::chunk_size;
    small_ones_ = large_ ? 0 : std::min<std::uint8_t>(small_ones_ + 1, steady);
}

std::size_t Reception::read(std::span<std::byte> space, std::error_code& error) {
    error.clear();
    const std::size_t received = read_received(space);
    const bool is_all = !large_ || error_ != 0;
    if (received == space.size() || (received != 0 && is_all)) return received;
    if (error_ != 0) {
        error = {std::exchange(error_, 0), std::system_category()};
        return 0;
    }
    const std::size_t size = received + read_some(socket_, space.subspan(received), error);
    if (size != received) note_size(size);
    if (received != 0) {
        error_ = is_told_once(error.value()) ? error.value() : 0;  // the end is told each time
        error.clear();
    }
    return size;
}

std::size_t Reception::read_received(std::span<std::byte> space) noexcept {
    std::size_t size = 0;
    while (first_ != nullptr && size < space.size()) {
        Bytes& bytes = first_->bytes;
        const std::size_t part = std::min(space.size() - size, bytes.size());
        std::copy_n(bytes.begin(), part, space.subspan(size).begin());
        size += part;
        bytes = bytes.subspan(part);
        if (bytes.empty()) ring_.give_back(*std::exchange(first_, first_->next));
    }
    return size;
}

bool Reception::end() noexcept {
    if (receiving_) receiving_ = !ring_.cancel(key_);
    return !receiving_;
}

}  // namespace tern::driver
