#include "inbox.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace tern::driver {
namespace {

/// A message from that size on has its own memory, which is handed out with it.
constexpr std::size_t large = 1024;
/// Most clients hold one message now and then, a few hold many.
constexpr std::size_t first_piece = 256;
constexpr std::size_t further_piece = 8192;
constexpr std::size_t header = 3;

std::size_t size_of(std::size_t payload) { return payload + sizeof(Message); }

}  // namespace

void Inbox::push(MessageView message) {
    const std::size_t size = message.bytes.size();
    if (size >= large) {
        auto piece = std::make_unique<Piece>();
        piece->bytes = message.text();
        piece->opcode = message.opcode;
        add_piece(std::move(piece));
    } else {
        std::string& bytes = piece_with_room(header + size).bytes;
        const char head[header] = {static_cast<char>(message.opcode), static_cast<char>(size & 0xFFu),
                                   static_cast<char>(size >> 8u)};
        bytes.append(head, header).append(message.text());
    }
    set_bytes(bytes() + size_of(size));
}

Inbox::Piece& Inbox::piece_with_room(std::size_t size) {
    if (last_ != nullptr && last_->opcode == Opcode::continuation &&
        last_->bytes.capacity() - last_->bytes.size() >= size) {
        return *last_;
    }
    auto piece = std::make_unique<Piece>();
    piece->bytes.reserve(std::max(size, empty() ? first_piece : further_piece));
    return add_piece(std::move(piece));
}

Inbox::Piece& Inbox::add_piece(std::unique_ptr<Piece> piece) noexcept {
    std::unique_ptr<Piece>& end = last_ != nullptr ? last_->next : first_;
    end = std::move(piece);
    last_ = end.get();
    return *last_;
}

void Inbox::append(Inbox& other) noexcept {
    if (other.empty()) return;
    Piece* const last = std::exchange(other.last_, nullptr);
    add_piece(std::move(other.first_));
    last_ = last;
    set_bytes(bytes() + other.bytes());
    other.set_bytes(0);
}

Message Inbox::pop(std::size_t half, bool& refill) {
    assert(!empty());
    Piece& piece = *first_;
    Message message;
    if (piece.opcode != Opcode::continuation) {
        message = {piece.opcode, std::move(piece.bytes)};
        drop_first();
    } else {
        const char* const head = piece.bytes.data() + piece.taken;
        const auto byte = [head](std::size_t i) {
            return static_cast<std::size_t>(static_cast<unsigned char>(head[i]));
        };
        const std::size_t size = byte(1) | byte(2) << 8u;
        message = {static_cast<Opcode>(head[0]), std::string(head + header, size)};
        piece.taken += header + size;
        if (piece.taken == piece.bytes.size()) drop_first();
    }
    const std::size_t before = bytes();
    const std::size_t after = before - size_of(message.data.size());
    set_bytes(after);
    refill = before >= half && after < half;
    return message;
}

void Inbox::drop_first() noexcept {
    first_ = std::move(first_->next);
    if (first_ == nullptr) last_ = nullptr;
}

/// One by one: the list would be destroyed recursively.
void Inbox::clear() noexcept {
    while (!empty()) drop_first();
    set_bytes(0);
}

}  // namespace tern::driver
