#include "outbox.hpp"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <new>
#include <utility>

namespace tern::core {
namespace {

constexpr std::size_t small_segment = 4u << 10u;
/// Fits the second-level cache and is as much as one system call usefully carries.
constexpr std::size_t large_segment = 64u << 10u;
/// A mebibyte, so that messages of that size do not get fresh memory from the system each time.
constexpr std::size_t most_spares = 16;

}  // namespace

std::error_code Outbox::push(Opcode opcode, Bytes payload, bool fin, std::size_t fragment_size, bool compressed) {
    assert(!close_queued_);
    const std::size_t piece = fragment_size == 0 ? payload.size() : fragment_size;
    const std::size_t frames = payload.size() <= piece ? 1 : (payload.size() + piece - 1) / piece;
    if (payload.size() > limit_ || frames * max_frame_header > limit_ - payload.size() ||
        bulk_.size() > limit_ - payload.size() - frames * max_frame_header) {
        return Errc::send_queue_full;
    }
    const std::size_t before = bulk_.size();
    for (bool first = true; first || !payload.empty(); first = false) {
        const Bytes part = payload.first(std::min(piece, payload.size()));
        payload = payload.subspan(part.size());
        const std::error_code error = write_frame(bulk_, first ? opcode : Opcode::continuation, part,
                                                  fin && payload.empty(), first && compressed);
        if (error) {
            bulk_.truncate(before);
            return error;
        }
    }
    return {};
}

std::error_code Outbox::push_control(Opcode opcode, Bytes payload) {
    assert(payload.size() <= max_control_payload && !close_final());
    return write_frame(control_, opcode, payload, true);
}

std::error_code Outbox::push_close(Bytes body) {
    assert(body.size() <= max_control_payload && !close_queued_);
    const std::error_code error = write_frame(bulk_, Opcode::close, body, true);
    if (error) return error;
    close_queued_ = true;
    bulk_close_size_ = frame_header_size(body.size()) + body.size();
    return {};
}

std::error_code Outbox::push_urgent_close(Bytes body) {
    assert(body.size() <= max_control_payload && !close_final());
    if (const std::error_code error = write_frame(control_, Opcode::close, body, true)) return error;
    bulk_.truncate(bulk_.boundary(lent_bulk_));
    close_queued_ = true;
    bulk_close_size_ = 0;
    return {};
}

std::size_t Outbox::front(std::span<Bytes> out) {
    assert(lent_bulk_ == 0 && lent_control_ == 0);
    if (control_.empty()) return bulk_.pieces(out, bulk_.size(), lent_bulk_);

    // While a control frame is on its way the bulk lane stands at a boundary, so the gap is 0 then.
    const std::size_t gap = bulk_.boundary(0);
    const std::size_t count = bulk_.pieces(out, gap, lent_bulk_);
    if (lent_bulk_ < gap) return count;
    return count + control_.pieces(out.subspan(count), control_.size(), lent_control_);
}

void Outbox::consume(std::size_t n) {
    assert(n <= lent_bulk_ + lent_control_);
    const std::size_t from_bulk = std::min(n, std::exchange(lent_bulk_, 0));
    bulk_.consume(from_bulk, spares_);
    consumed_ += from_bulk;
    lent_control_ = 0;
    control_.consume(n - from_bulk, spares_);
    // Frames that were on offer when the urgent Close came, and of which the kernel took nothing: it overtakes them
    // now.
    if (close_queued_ && bulk_close_size_ == 0) bulk_.truncate(bulk_.boundary(0));
}

std::error_code Outbox::write_frame(Lane& lane, Opcode opcode, Bytes payload, bool fin, bool compressed) {
    MaskKey key;
    if (!keys_.next(key)) return Errc::no_entropy;
    const std::size_t header = frame_header_size(payload.size());
    MemoryBudget* const budget = (static_cast<unsigned>(opcode) & 8u) != 0 ? nullptr : budget_;
    if (!reserve(lane, header + payload.size(), budget)) return Errc::out_of_memory;

    Segment* segment = lane.back();
    write_frame_header(segment->data() + segment->end, opcode, fin, payload.size(), key, compressed);
    segment->end += header;
    for (std::size_t done = 0;;) {
        const std::size_t size = std::min(segment->room(), payload.size() - done);
        mask_copy(segment->data() + segment->end, payload.data() + done, size, key, done);
        segment->end += size;
        done += size;
        if (done == payload.size()) break;
        SegmentPtr more = allocate(std::min(payload.size() - done, large_segment), budget);
        if (more == nullptr) {
            lane.added(header + done);
            lane.truncate(lane.size() - header - done);
            return Errc::out_of_memory;
        }
        more->lead = payload.size() - done;
        lane.append(std::move(more));
        segment = lane.back();
    }
    lane.added(header + payload.size());
    return {};
}

/// Makes sure that the last segment has room for a frame's header and, if the frame is a small one, for all of it.
bool Outbox::reserve(Lane& lane, std::size_t frame_size, MemoryBudget* budget) {
    Segment* back = lane.back();
    const std::size_t in_one_piece = std::min(frame_size, small_segment);
    if (back != nullptr && back->room() >= in_one_piece) return true;
    const std::size_t wanted = back == nullptr ? std::max(frame_size, small_segment) : large_segment;
    SegmentPtr segment = allocate(std::min(wanted, large_segment), budget);
    if (segment == nullptr) return false;
    lane.append(std::move(segment));
    return true;
}

Outbox::SegmentPtr Outbox::allocate(std::size_t capacity, MemoryBudget* budget) {
    if (SegmentPtr spare = spares_.take(capacity)) return spare;
    if (budget != nullptr && !budget->take(sizeof(Segment) + capacity)) return nullptr;
    BufferPool* const pool = budget_ != nullptr ? budget_->pool() : nullptr;
    const std::size_t size = sizeof(Segment) + capacity;
    void* memory = pool != nullptr ? pool->take(size) : std::malloc(size);
    if (memory == nullptr) {
        if (budget != nullptr) budget->give(sizeof(Segment) + capacity);
        return nullptr;
    }
    SegmentPtr segment(new (memory) Segment);
    segment->budget = budget;
    segment->pool = pool;
    segment->capacity = capacity;
    return segment;
}

void Outbox::Segment::operator delete(Segment* segment, std::destroying_delete_t) noexcept {
    BufferPool* const pool = segment->pool;
    const std::size_t size = sizeof(Segment) + segment->capacity;
    segment->~Segment();
    if (pool != nullptr) {
        pool->give(reinterpret_cast<std::byte*>(segment), size);
    } else {
        std::free(segment);
    }
}

Outbox::SegmentPtr Outbox::Spares::take(std::size_t capacity) noexcept {
    if (first_ == nullptr || first_->capacity < capacity) return nullptr;
    SegmentPtr taken = std::move(first_);
    first_ = std::move(taken->next);
    --count_;
    taken->begin = taken->end = taken->lead = 0;
    return taken;
}

/// Where memory is counted (`limits.max_memory`) one has to do, because the others could be what a message lacks.
void Outbox::Spares::keep(SegmentPtr segment) noexcept {
    if (first_ != nullptr && first_->capacity < segment->capacity) clear();
    const bool counted = segment->budget != nullptr && segment->budget->limited();
    if (first_ != nullptr && (segment->capacity < first_->capacity || counted || count_ == most_spares)) return;
    segment->next = std::move(first_);
    first_ = std::move(segment);
    ++count_;
}

void Outbox::Lane::append(SegmentPtr segment) noexcept {
    Segment* added = segment.get();
    (back_ == nullptr ? front_ : back_->next) = std::move(segment);
    back_ = added;
}

void Outbox::Lane::consume(std::size_t n, Spares& spares) noexcept {
    assert(n <= size_);
    size_ -= n;
    while (front_ != nullptr) {
        const std::size_t taken = std::min(n, front_->end - front_->begin);
        front_->begin += taken;
        n -= taken;
        if (front_->begin < front_->end) return;
        SegmentPtr emptied = std::move(front_);
        front_ = std::move(emptied->next);
        if (front_ == nullptr) back_ = nullptr;
        // A pool keeps them for all clients.
        if (emptied->pool == nullptr) spares.keep(std::move(emptied));
    }
}

void Outbox::Lane::truncate(std::size_t keep) noexcept {
    if (keep >= size_) return;
    size_ = keep;
    if (keep == 0) return clear();
    for (Segment* segment = front_.get();; segment = segment->next.get()) {
        const std::size_t size = segment->end - segment->begin;
        if (keep > size) {
            keep -= size;
            continue;
        }
        segment->end = segment->begin + keep;
        back_ = segment;
        SegmentPtr dropped = std::move(segment->next);
        while (dropped != nullptr) dropped = std::move(dropped->next);
        return;
    }
}

void Outbox::Lane::clear() noexcept {
    // One by one: a chain of owners would be destroyed recursively, and a long one would exhaust the stack.
    while (front_ != nullptr) front_ = std::move(front_->next);
    back_ = nullptr;
    size_ = 0;
}

/// Walks the headers that were written here; that costs less than remembering every boundary for the rare control
/// frame.
std::size_t Outbox::Lane::boundary(std::size_t from) const noexcept {
    std::size_t before = 0;  // bytes of the lane in front of this segment
    for (const Segment* segment = front_.get(); segment != nullptr; segment = segment->next.get()) {
        const std::size_t size = segment->end - segment->begin;
        std::size_t at = segment->lead;
        while (at < segment->end && before + at < from + segment->begin) {
            at += static_cast<std::size_t>(written_frame_size(segment->data() + at));
        }
        if (at <= segment->end && before + at >= from + segment->begin && at >= segment->begin) {
            return before + at - segment->begin;
        }
        before += size;
    }
    return before;
}

std::size_t Outbox::Lane::pieces(std::span<Bytes> out, std::size_t limit, std::size_t& described) const noexcept {
    std::size_t count = 0;
    described = 0;
    for (const Segment* segment = front_.get(); segment != nullptr && count < out.size() && described < limit;
         segment = segment->next.get()) {
        const std::size_t size = std::min(segment->end - segment->begin, limit - described);
        if (size == 0) continue;
        out[count++] = {segment->data() + segment->begin, size};
        described += size;
    }
    return count;
}

}  // namespace tern::core
