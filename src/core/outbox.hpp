// What waits to be sent: frames, masked and ready for the kernel. The send half of a session.
//
// There are two lanes. Messages stand in the bulk lane in the order of sending. Pings, pongs and an urgent Close stand
// in the control lane and overtake the bulk at the next frame boundary behind what the kernel already has or is being
// offered (RFC 6455 section 5.4 allows control frames in the middle of a fragmented message).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>

#include <tern/core.hpp>
#include <tern/error.hpp>
#include <tern/message.hpp>

#include "frame.hpp"
#include "mask_keys.hpp"
#include "memory.hpp"

namespace tern::core {

class Outbox {
public:
    /// `limit`: bytes of messages that may wait. The budget is for messages, and outlives the outbox; null: there is
    /// none. Control frames are few and must go out whatever is full (`Session` has reserved room for them).
    Outbox(Crypto& crypto, std::size_t limit, MemoryBudget* budget = nullptr) noexcept
        : keys_(crypto), limit_(limit), budget_(budget) {}
    Outbox(const Outbox&) = delete;
    Outbox& operator=(const Outbox&) = delete;

    /// Queues a data frame, or several if the payload is larger than `fragment_size` (0: never). `fin`: the message
    /// ends with it. `compressed`: the first frame says that the message is. All or nothing: after an error
    /// (`send_queue_full`, `out_of_memory`, `no_entropy`) nothing was queued.
    [[nodiscard]] std::error_code push(Opcode opcode, Bytes payload, bool fin, std::size_t fragment_size = 0,
                                       bool compressed = false);
    /// A message of that size fits behind what is queued without further ado.
    [[nodiscard]] bool fits_quickly(std::size_t size) noexcept { return quick_room(size) != nullptr; }
    /// The same as `push` for a message in one frame that `fits_quickly`. False: nothing was done, and it is for
    /// `push`.
    [[nodiscard, gnu::always_inline]] bool push_quickly(Opcode opcode, Bytes payload) {
        Segment* const segment = quick_room(payload.size());
        MaskKey key;
        if (segment == nullptr || !keys_.next(key)) return false;
        std::byte* const at = segment->data() + segment->end;
        const std::size_t header = write_short_header(at, opcode, payload.size(), key);
        mask_copy(at + header, payload.data(), payload.size(), key, 0);
        segment->end += header + payload.size();
        bulk_.added(header + payload.size());
        return true;
    }
    /// What `push_quickly` may fill the queue to; 0: it may do nothing. Never beyond the limit of all messages.
    void set_quick_limit(std::size_t limit) noexcept { quick_limit_ = limit < limit_ ? limit : limit_; }
    /// Queues a ping or pong, which overtakes. Not when `close_final()`.
    [[nodiscard]] std::error_code push_control(Opcode opcode, Bytes payload);

    /// Queues the Close frame behind everything else. No message may be pushed after it.
    [[nodiscard]] std::error_code push_close(Bytes body);
    /// Queues a Close frame that overtakes; what it overtakes is dropped, a Close of `push_close` included. After an
    /// error nothing has changed. Not when `close_final()`.
    [[nodiscard]] std::error_code push_urgent_close(Bytes body);
    /// A Close frame has been queued that nothing can overtake any more.
    [[nodiscard]] bool close_final() const noexcept {
        return close_queued_ && (bulk_close_size_ == 0 || bulk_.size() < lent_bulk_ + bulk_close_size_);
    }
    /// A Close frame has been queued, and the kernel has all of it.
    [[nodiscard]] bool close_sent() const noexcept { return close_queued_ && bulk_.empty() && control_.empty(); }

    /// Lends the next bytes to be written, in up to `out.size()` pieces; returns how many there are. They stay where
    /// they are, unchanged, until `consume`.
    [[nodiscard]] std::size_t front(std::span<Bytes> out);
    /// The kernel took the first `n` of the bytes lent.
    void consume(std::size_t n);

    /// Bytes lent by `front` that `consume` has not answered for.
    [[nodiscard]] std::size_t lent() const noexcept { return lent_bulk_ + lent_control_; }
    [[nodiscard]] std::size_t queued() const noexcept { return bulk_.size() + control_.size(); }
    [[nodiscard]] std::size_t control_queued() const noexcept { return control_.size(); }
    /// Bytes of messages that were ever queued, and that the kernel has got: when the second has reached what the first
    /// was behind a message, that message has left.
    [[nodiscard]] std::uint64_t pushed() const noexcept { return consumed_ + bulk_.size(); }
    [[nodiscard]] std::uint64_t consumed() const noexcept { return consumed_; }
    /// Gives back memory that is kept for the next message.
    void trim() noexcept {
        spares_.clear();
        keys_.trim();
    }

private:
    /// Memory for frames, linked into a lane. Bytes `begin` to `end` wait.
    struct Segment {
        Segment() = default;
        Segment(const Segment&) = delete;
        Segment& operator=(const Segment&) = delete;
        ~Segment() {
            if (budget != nullptr) budget->give(sizeof(Segment) + capacity);
        }

        std::unique_ptr<Segment> next;
        MemoryBudget* budget = nullptr;
        BufferPool* pool = nullptr;  ///< Where its memory comes from; null: malloc.
        std::size_t begin = 0;
        std::size_t end = 0;
        std::size_t capacity = 0;
        std::size_t lead = 0;  ///< The first frame that begins in this segment begins here; beyond `end`: none does.

        [[nodiscard]] std::byte* data() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
        [[nodiscard]] const std::byte* data() const noexcept { return reinterpret_cast<const std::byte*>(this + 1); }
        [[nodiscard]] std::size_t room() const noexcept { return capacity - end; }
        static void operator delete(Segment* segment, std::destroying_delete_t) noexcept;
    };
    using SegmentPtr = std::unique_ptr<Segment>;

    /// Emptied segments, kept for the next messages because they are warm.
    class Spares {
    public:
        /// One that is large enough, or null.
        [[nodiscard]] SegmentPtr take(std::size_t capacity) noexcept;
        void keep(SegmentPtr segment) noexcept;
        void clear() noexcept {
            first_.reset();
            count_ = 0;
        }

    private:
        SegmentPtr first_;
        std::size_t count_ = 0;
    };

    /// A queue of segments.
    class Lane {
    public:
        Lane() = default;
        Lane(const Lane&) = delete;
        Lane& operator=(const Lane&) = delete;
        ~Lane() { clear(); }

        [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
        [[nodiscard]] std::size_t size() const noexcept { return size_; }
        [[nodiscard]] Segment* back() noexcept { return back_; }
        void append(SegmentPtr segment) noexcept;
        void added(std::size_t n) noexcept { size_ += n; }
        /// Removes `n` bytes from the front; emptied segments are left to `spares`, unless a pool keeps them for all
        /// clients.
        void consume(std::size_t n, Spares& spares) noexcept;
        /// Drops everything behind the first `keep` bytes.
        void truncate(std::size_t keep) noexcept;
        void clear() noexcept;
        /// Bytes from the front to the next frame boundary that is not before `from`.
        [[nodiscard]] std::size_t boundary(std::size_t from) const noexcept;
        /// Describes the first `limit` bytes in pieces.
        [[nodiscard]] std::size_t pieces(std::span<Bytes> out, std::size_t limit,
                                         std::size_t& described) const noexcept;

    private:
        SegmentPtr front_;
        Segment* back_ = nullptr;
        std::size_t size_ = 0;
    };

    [[nodiscard]] bool reserve(Lane& lane, std::size_t frame_size, MemoryBudget* budget);
    [[nodiscard]] SegmentPtr allocate(std::size_t capacity, MemoryBudget* budget);
    [[nodiscard]] std::error_code write_frame(Lane& lane, Opcode opcode, Bytes payload, bool fin,
                                              bool compressed = false);

    Lane bulk_;
    Lane control_;
    /// Null: it does not fit quickly.
    [[nodiscard, gnu::always_inline]] Segment* quick_room(std::size_t size) noexcept {
        Segment* const segment = bulk_.back();
        const std::size_t most = size + max_frame_header;
        const bool fits = segment != nullptr && size <= max_short_payload && segment->room() >= most &&
                          queued() + most <= quick_limit_;
        return fits ? segment : nullptr;
    }

    Spares spares_;
    MaskKeys keys_;
    std::size_t limit_;
    std::size_t quick_limit_ = 0;
    MemoryBudget* budget_;
    std::uint64_t consumed_ = 0;

    std::size_t lent_bulk_ = 0;     ///< The loan begins with so many bytes of the bulk lane ...
    std::size_t lent_control_ = 0;  ///< ... and goes on with so many of the control lane.
    bool close_queued_ = false;
    std::size_t bulk_close_size_ = 0;  ///< The bulk lane ends with a Close frame of that size; 0: it does not.
};

}  // namespace tern::core
