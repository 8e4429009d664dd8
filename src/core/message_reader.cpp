#include "message_reader.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tern::core {
namespace {

constexpr std::size_t first_assembly_size = 4096;
/// A compressed message is inflated in pieces of that size when it is delivered in chunks.
constexpr std::size_t chunk_size = 16u << 10u;
/// Where doubling is too much for the budget, room for so much may still be found.
constexpr std::size_t smallest_room = 4096;
/// A short message may well inflate to a hundred times its size.
constexpr std::uint64_t ratio_floor = 64u << 10u;

Bytes payload_of(const Buffer& in, const FrameHeader& frame, std::size_t size) noexcept {
    return in.readable().subspan(frame.size, size);
}

}  // namespace

std::size_t MessageReader::next(Buffer& in, std::span<MessageView> out) noexcept {
    in.consume(std::exchange(lent_, 0));
    if (!quick_) return 0;
    Bytes left = in.readable();
    std::size_t count = 0;
    while (count < out.size()) {
        const std::size_t size = cut_whole(left, out[count]);
        if (size == 0) break;
        left = left.subspan(size);
        ++count;
    }
    lent_ = in.size() - left.size();
    messages_ += count;
    return count;
}

void MessageReader::put_back(const Buffer& in, std::span<const MessageView> messages) noexcept {
    if (messages.empty()) return;
    const Bytes first = messages.front().bytes;
    const std::size_t header = first.size() < 126 ? 2 : 4;  // see `cut_whole`
    lent_ = static_cast<std::size_t>(first.data() - in.readable().data()) - header;
    messages_ -= messages.size();
}

MessageReader::Status MessageReader::next_slowly(Buffer& in, Event& event) {
    const Status status = read(in, event);
    quick_ = delivery_ == Delivery::messages && !in_payload_ && message_ == no_message && checked_ == 0 &&
             !assembly_lent_ && !discarding_;
    return status;
}

MessageReader::Status MessageReader::read(Buffer& in, Event& event) {
    if (std::exchange(assembly_lent_, false)) assembled_ = 0;
    chunk_lent_ = false;
    for (;;) {
        if (discarding_) {
            in.consume(in.size());
            return Status::need_input;
        }
        switch (in_payload_ ? read_payload(in, event) : read_header(in, event)) {
            case Step::again: break;
            case Step::need_input: torn_ = !in.empty(); return Status::need_input;
            case Step::event: return Status::event;
            case Step::failed:
                lent_ = 0;
                in.consume(in.size());
                return Status::failed;
        }
    }
}

void MessageReader::trim() noexcept {
    if (std::exchange(assembly_used_, false) || assembled_ != 0 || direct_lent_) return;
    assembly_.release();
    if (inflation_ != nullptr && message_ == no_message && !chunk_lent_) inflation_->chunk.release();
}

MessageReader::Step MessageReader::read_header(Buffer& in, Event& event) {
    Errc error{};
    switch (read_frame_header(in.readable(), frame_, error, inflation_ != nullptr)) {
        case FrameStatus::need_input: return Step::need_input;
        case FrameStatus::failed:
            return fail(error,
                        error == Errc::reserved_opcode ? std::to_string(static_cast<unsigned>(frame_.opcode)) : "");
        case FrameStatus::ready: break;
    }
    if (frame_.is_control()) return read_control(in, event);
    if (!judge_data_header()) return Step::failed;

    const bool whole_message = frame_.fin && frame_.opcode != Opcode::continuation;
    if (whole_message && !frame_.compressed && delivery_ == Delivery::messages &&
        frame_.length <= in.capacity() - frame_.size) {
        return read_in_place(in, event);
    }
    if (frame_.opcode != Opcode::continuation) {
        message_ = frame_.opcode;
        message_size_ = 0;
        compressed_ = frame_.compressed;
        if (compressed_) {
            inflation_->compressed_size = 0;
            inflation_->chunk_begun = false;
        }
    }
    if (compressed_) inflation_->frame_inflated = 0;
    if (!compressed_) message_size_ += frame_.length;
    in.consume(frame_.size);
    remaining_ = frame_.length;
    in_payload_ = true;
    return Step::again;
}

/// RFC 6455 section 5.4, and the limit, before anything of the payload is taken.
bool MessageReader::judge_data_header() {
    const bool continues = frame_.opcode == Opcode::continuation;
    if (continues && message_ == no_message) {
        fail(Errc::unexpected_continuation);
        return false;
    }
    if (!continues && message_ != no_message) {
        fail(Errc::unfinished_message);
        return false;
    }
    if (continues ? compressed_ : frame_.compressed) return true;  // what it inflates to is what counts
    const std::uint64_t before = continues ? message_size_ : 0;
    if (frame_.length > max_message_size_ - before) {
        fail(Errc::message_too_big, std::to_string(before) + " + " + std::to_string(frame_.length) +
                                        " bytes, the limit is " + std::to_string(max_message_size_));
        return false;
    }
    return true;
}

/// An unfragmented message that fits into the buffer stays there until it is complete, and is lent to the user there.
MessageReader::Step MessageReader::read_in_place(Buffer& in, Event& event) {
    const auto length = static_cast<std::size_t>(frame_.length);
    const std::size_t arrived = std::min(in.size() - frame_.size, length);
    const Bytes payload = payload_of(in, frame_, arrived);
    if (frame_.opcode == Opcode::text) {
        const bool whole_at_once = checked_ == 0 && arrived == length;
        if (whole_at_once ? !is_utf8(payload) : !check_text(payload.subspan(checked_), arrived == length)) {
            return fail(Errc::text_not_utf8);
        }
        checked_ = arrived;
    }
    if (arrived < length) return Step::need_input;
    end_of_frame();
    lent_ = frame_.size + length;
    event.kind = Event::Kind::message;
    event.opcode = frame_.opcode;
    event.bytes = payload;
    ++messages_;
    return Step::event;
}

MessageReader::Step MessageReader::read_payload(Buffer& in, Event& event) {
    if (compressed_) return read_compressed(in, event);
    if (direct_ > 0) return take_direct(event);
    if (remaining_ > 0 && in.empty()) return Step::need_input;
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, in.size()));
    const Bytes bytes = in.readable().first(size);
    const bool last = frame_.fin && size == remaining_;
    if (message_ == Opcode::text && !check_text(bytes, last)) return fail(Errc::text_not_utf8);
    remaining_ -= size;
    if (delivery_ == Delivery::chunks) {
        lent_ = size;
        return deliver_chunk(bytes, event);
    }
    const Step step = append(bytes, event);
    in.consume(size);
    return step;
}

MessageReader::Step MessageReader::deliver_chunk(Bytes bytes, Event& event) {
    const std::uint64_t offset = frame_.length - remaining_ - bytes.size();
    event.kind = Event::Kind::chunk;
    event.chunk = {.opcode = message_,
                   .bytes = bytes,
                   .first = frame_.opcode != Opcode::continuation && offset == 0,
                   .last = frame_.fin && remaining_ == 0,
                   .frame_opcode = frame_.opcode,
                   .frame_fin = frame_.fin,
                   .frame_length = frame_.length,
                   .frame_offset = offset};
    event.opcode = message_;
    event.bytes = bytes;
    if (event.chunk.last) ++messages_;
    if (remaining_ == 0) end_of_frame();
    return Step::event;
}

/// Memory grows with what has arrived, never with what a header claims.
MessageReader::Step MessageReader::append(Bytes bytes, Event& event) {
    const std::size_t needed = assembled_ + bytes.size();
    if (needed > assembly_.size() && !grow_assembly(needed)) return fail(no_memory());
    if (!bytes.empty()) std::memcpy(assembly_.data() + assembled_, bytes.data(), bytes.size());
    return appended(bytes.size(), event);
}

std::span<std::byte> MessageReader::payload_space(std::size_t least) noexcept {
    if (!in_payload_ || remaining_ < least || remaining_ == 0 || delivery_ != Delivery::messages) return {};
    if (compressed_ || discarding_ || direct_ > 0) return {};
    if (assembled_ == assembly_.size() && !grow_assembly(assembled_ + 1)) return {};
    direct_lent_ = true;
    const std::size_t room = assembly_.size() - assembled_;
    return assembly_.span().subspan(assembled_, static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, room)));
}

Bytes MessageReader::commit_payload(std::size_t n) noexcept {
    direct_lent_ = false;
    direct_ = n;
    return Bytes(assembly_.span()).subspan(assembled_, n);
}

MessageReader::Step MessageReader::take_direct(Event& event) {
    const std::size_t size = std::exchange(direct_, 0);
    const bool last = frame_.fin && size == remaining_;
    if (message_ == Opcode::text && !check_text({assembly_.data() + assembled_, size}, last)) {
        return fail(Errc::text_not_utf8);
    }
    remaining_ -= size;
    return appended(size, event);
}

/// So many bytes have come to those that are there.
MessageReader::Step MessageReader::appended(std::size_t n, Event& event) {
    assembled_ += n;
    assembly_used_ = true;
    if (remaining_ > 0) return Step::again;

    if (frame_.fin) return deliver_assembled(event);
    end_of_frame();
    return Step::again;
}

bool MessageReader::grow_assembly(std::size_t needed) {
    const std::size_t doubled = std::max(first_assembly_size, std::min(2 * assembly_.size(), max_message_size_));
    // Where doubling is too much for the budget, the bytes that are here may still fit.
    return assembly_.grow(std::max(needed, doubled)) || assembly_.grow(needed);
}

Errc MessageReader::no_memory() const noexcept {
    return budget_ != nullptr && budget_->limited() ? Errc::memory_limit : Errc::out_of_memory;
}

MessageReader::Step MessageReader::deliver_assembled(Event& event) {
    const Opcode opcode = message_;
    end_of_frame();
    assembly_lent_ = true;
    event.kind = Event::Kind::message;
    event.opcode = opcode;
    event.bytes = {assembly_.data(), assembled_};
    ++messages_;
    return Step::event;
}

// --- compressed messages -------------------------------------------------------------------------------------------

/// Inflates as the bytes arrive, so that a limit or a wrong byte is met as soon as it can be.
MessageReader::Step MessageReader::read_compressed(Buffer& in, Event& event) {
    if (remaining_ > 0 && in.empty() && !inflation_->more) return Step::need_input;
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, in.size()));
    Bytes input = in.readable().first(size);
    std::span<std::byte> room;
    if (!inflate_room(room)) return fail(no_memory());
    std::span<std::byte> left = room;
    bool done = false;
    const Errc error = inflate(input, frame_.fin && size == remaining_, left, done);
    in.consume(size - input.size());
    remaining_ -= size - input.size();
    inflation_->compressed_size += size - input.size();

    // What was made before a fault is judged first, so that the verdict does not depend on how the bytes arrive.
    const Bytes made = room.first(room.size() - left.size());
    if (made.data() == &inflation_->beyond && !made.empty()) {
        return fail(Errc::message_too_big, "it inflates to more than " + std::to_string(max_message_size_) + " bytes");
    }
    message_size_ += made.size();
    const std::uint32_t max_ratio = inflation_->max_ratio;
    if (max_ratio != 0 && message_size_ > ratio_floor && message_size_ / max_ratio > inflation_->compressed_size) {
        return fail(Errc::compression_ratio, std::to_string(inflation_->compressed_size) + " bytes made " +
                                                 std::to_string(message_size_) + ", the limit is " +
                                                 std::to_string(max_ratio) + " times as much");
    }
    if (message_ == Opcode::text && !check_text(made, done)) return fail(Errc::text_not_utf8);
    if (error != Errc{}) return fail(error);
    inflation_->more = left.empty() && !done;
    return deliver_inflated(made, done, event);
}

/// Where the next bytes go. At the limit there is room for one byte more, which shows that the message is too large.
bool MessageReader::inflate_room(std::span<std::byte>& room) {
    const auto allowed = static_cast<std::size_t>(max_message_size_ - message_size_);
    if (allowed == 0) {
        room = {&inflation_->beyond, 1};
        return true;
    }
    if (delivery_ == Delivery::chunks) {
        if (!inflation_->chunk.grow(chunk_size)) return false;
        room = inflation_->chunk.span();
    } else {
        assembly_used_ = true;
        if (assembled_ == assembly_.size() && !grow_assembly(assembled_ + std::min(allowed, smallest_room)))
            return false;
        room = assembly_.span().subspan(assembled_);
    }
    room = room.first(std::min(room.size(), allowed));
    return !room.empty();
}

/// `last`: the message ends with `in`.
Errc MessageReader::inflate(Bytes& in, bool last, std::span<std::byte>& out, bool& done) {
    Errc error = inflation_->inflater.advance(in, out);
    if (error == Errc{} && last && in.empty() && !out.empty()) error = inflation_->inflater.finish(out, done);
    return error == Errc::out_of_memory ? no_memory() : error;
}

MessageReader::Step MessageReader::deliver_inflated(Bytes bytes, bool done, Event& event) {
    const bool frame_ends = remaining_ == 0 && !inflation_->more;
    if (delivery_ == Delivery::messages) {
        if (bytes.data() != &inflation_->beyond) assembled_ += bytes.size();
        if (done) return deliver_assembled(event);
        if (frame_ends) end_of_frame();
        return Step::again;
    }
    if (bytes.empty() && !done) {
        if (frame_ends) end_of_frame();
        return Step::again;
    }
    chunk_lent_ = true;
    event.kind = Event::Kind::chunk;
    event.chunk = {.opcode = message_,
                   .bytes = bytes,
                   .first = !std::exchange(inflation_->chunk_begun, true),
                   .last = done,
                   .frame_opcode = frame_.opcode,
                   .frame_fin = frame_.fin,
                   .frame_length = frame_.length,
                   .frame_offset = inflation_->frame_inflated,
                   .compressed = true};
    event.opcode = message_;
    event.bytes = bytes;
    inflation_->frame_inflated += bytes.size();
    if (done) ++messages_;
    if (frame_ends) end_of_frame();
    return Step::event;
}

void MessageReader::end_of_frame() noexcept {
    in_payload_ = false;
    checked_ = 0;
    if (!frame_.fin) return;
    message_ = no_message;
    message_size_ = 0;
    compressed_ = false;
    text_ = Utf8Validator();
}

bool MessageReader::check_text(Bytes bytes, bool last) { return text_.add(bytes) && (!last || text_.complete()); }

MessageReader::Step MessageReader::read_control(Buffer& in, Event& event) {
    const auto length = static_cast<std::size_t>(frame_.length);
    if (in.size() < frame_.size + length) return Step::need_input;
    const Bytes body = payload_of(in, frame_, length);
    lent_ = frame_.size + length;
    event.opcode = frame_.opcode;
    event.bytes = body;
    if (frame_.opcode == Opcode::close) return read_close(body, event);
    event.kind = frame_.opcode == Opcode::ping ? Event::Kind::ping : Event::Kind::pong;
    event.round_trip = std::chrono::microseconds(-1);
    return Step::event;
}

MessageReader::Step MessageReader::read_close(Bytes body, Event& event) {
    if (body.size() == 1) return fail(Errc::close_body_length);
    if (body.size() >= 2) {
        const auto code =
            static_cast<std::uint16_t>(std::to_integer<unsigned>(body[0]) << 8u | std::to_integer<unsigned>(body[1]));
        if (!is_sendable(CloseCode{code})) return fail(Errc::close_code_invalid, std::to_string(code));
        if (!is_utf8(body.subspan(2))) return fail(Errc::close_reason_not_utf8);
        end_ = End{.close_frame = {CloseCode{code}, std::string(as_text(body.subspan(2)))}};
    }
    closed_ = true;
    discarding_ = true;
    event.kind = Event::Kind::closing;
    return Step::event;
}

MessageReader::Step MessageReader::fail(Errc code, std::string detail) {
    end_ = End{.close_frame = {}, .error = code, .error_detail = std::move(detail)};
    discarding_ = true;
    return Step::failed;
}

Errc MessageReader::error() const noexcept { return end_.view().error; }
const std::string& MessageReader::error_detail() const noexcept { return end_.view().error_detail; }
const CloseFrame& MessageReader::close_frame() const noexcept { return end_.view().close_frame; }

}  // namespace tern::core
