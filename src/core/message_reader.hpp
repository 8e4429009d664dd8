// From bytes to messages: frames are cut out of the receive buffer, judged, assembled where that is needed, and handed
// out as events. The receive half of a session; it knows nothing of sending, time or streams.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <tern/config.hpp>
#include <tern/error.hpp>
#include <tern/message.hpp>

#include "buffer.hpp"
#include "deflate.hpp"
#include "frame.hpp"
#include "memory.hpp"
#include "rare.hpp"
#include "utf8.hpp"

namespace tern::core {

/// The body of a Close frame (RFC 6455 section 5.5.1).
struct CloseFrame {
    CloseCode code = CloseCode::no_status;
    std::string reason;
};

class MessageReader {
public:
    enum class Status : std::uint8_t { need_input, event, failed };

    /// The budget outlives the reader; null: there is none.
    MessageReader(Delivery delivery, std::size_t max_message_size, MemoryBudget* budget = nullptr) noexcept
        : delivery_(delivery),
          max_message_size_(max_message_size),
          budget_(budget),
          assembly_(budget),
          quick_(delivery == Delivery::messages) {}
    /// With compression, if it was agreed on. `max_ratio` as in the configuration.
    MessageReader(Delivery delivery, std::size_t max_message_size, const CompressionInfo& agreed,
                  std::uint32_t max_ratio, MemoryBudget* budget = nullptr)
        : MessageReader(delivery, max_message_size, budget) {
        if (agreed.active) inflation_ = std::make_unique<Inflation>(agreed, max_ratio, budget);
    }

    /// The next event in `in`: message, chunk, ping, pong or closing. What the event before referred to is released and
    /// consumed. After `failed` (see `error`) and after a Close frame, everything that follows is discarded.
    [[nodiscard]] Status next(Buffer& in, Event& event) {
        in.consume(std::exchange(lent_, 0));
        return quick_ && next_whole(in.readable(), event) ? Status::event : next_slowly(in, event);
    }
    /// The next messages in `in`, as many of those that are here as `out` has room for; all of them are lent until the
    /// next call. Those that `next` has to look at more closely end the row.
    [[nodiscard]] std::size_t next(Buffer& in, std::span<MessageView> out) noexcept;
    /// The last ones that were just given are to come again. `in` is as it was left.
    void put_back(const Buffer& in, std::span<const MessageView> messages) noexcept;

    /// Where the next bytes of a message may be written that has at least `least` still to come, which spares copying
    /// them: if the buffer is empty, after `need_input`. Stays until `commit_payload`. Empty: they go into the buffer.
    [[nodiscard]] std::span<std::byte> payload_space(std::size_t least) noexcept;
    [[nodiscard]] bool payload_lent() const noexcept { return direct_lent_; }
    /// So many bytes were written there; returns them.
    Bytes commit_payload(std::size_t n) noexcept;

    /// Why it failed, and what exactly was wrong.
    [[nodiscard]] Errc error() const noexcept;
    [[nodiscard]] const std::string& error_detail() const noexcept;

    /// A Close frame has arrived.
    [[nodiscard]] bool closed() const noexcept { return closed_; }
    [[nodiscard]] const CloseFrame& close_frame() const noexcept;

    /// Discards everything that arrives from now on.
    void discard() noexcept {
        discarding_ = true;
        quick_ = false;
    }
    /// Between two messages and frames, after `need_input`: a peer that ends the stream here has torn nothing apart.
    [[nodiscard]] bool between_messages() const noexcept { return !in_payload_ && message_ == no_message && !torn_; }
    /// Gives back memory that has not been needed since the last call.
    void trim() noexcept;

    [[nodiscard]] std::uint64_t messages() const noexcept { return messages_; }
    /// What inflating takes, in bytes; any thread.
    [[nodiscard]] std::size_t compression_memory() const noexcept {
        return inflation_ != nullptr ? inflation_->inflater.memory() : 0;
    }

private:
    enum class Step : std::uint8_t { again, need_input, event, failed };
    struct End;
    static constexpr Opcode no_message = Opcode::continuation;

    /// Cuts a whole message in one frame that is here completely, and plain: what nearly all messages are. The size of
    /// the frame, or 0: it is for `next_slowly`, which judges whatever is wrong with it.
    [[nodiscard]] std::size_t cut_whole(Bytes in, MessageView& message) const noexcept {
        if (in.size() < 2) return 0;
        const unsigned kind = std::to_integer<unsigned>(in[0]) - 0x81u;  // FIN, and text or binary
        std::size_t length = std::to_integer<std::size_t>(in[1]);
        std::size_t header = 2;
        if (kind > 1 || length > 126) return 0;
        if (length == 126) {
            if (in.size() < 4) return 0;
            header = 4;
            length = std::to_integer<std::size_t>(in[2]) << 8u | std::to_integer<std::size_t>(in[3]);
            if (length < 126) return 0;
        }
        if (in.size() - header < length || length > max_message_size_) return 0;
        const Bytes payload = in.subspan(header, length);
        const Opcode opcode = kind == 0 ? Opcode::text : Opcode::binary;
        if (opcode == Opcode::text && !is_utf8(payload)) return 0;
        message = {opcode, payload};
        return header + length;
    }
    [[nodiscard]] bool next_whole(Bytes in, Event& event) noexcept {
        MessageView message;
        lent_ = cut_whole(in, message);
        if (lent_ == 0) return false;
        event.kind = Event::Kind::message;
        event.opcode = message.opcode;
        event.bytes = message.bytes;
        ++messages_;
        return true;
    }
    Status next_slowly(Buffer& in, Event& event);
    Status read(Buffer& in, Event& event);

    Step read_header(Buffer& in, Event& event);
    Step read_control(Buffer& in, Event& event);
    Step read_close(Bytes body, Event& event);
    Step read_in_place(Buffer& in, Event& event);
    Step read_payload(Buffer& in, Event& event);
    Step deliver_chunk(Bytes bytes, Event& event);
    Step append(Bytes bytes, Event& event);
    Step take_direct(Event& event);
    Step appended(std::size_t n, Event& event);
    Step read_compressed(Buffer& in, Event& event);
    Errc inflate(Bytes& in, bool last, std::span<std::byte>& out, bool& done);
    bool inflate_room(std::span<std::byte>& room);
    Step deliver_inflated(Bytes bytes, bool done, Event& event);
    Step deliver_assembled(Event& event);
    bool grow_assembly(std::size_t needed);
    [[nodiscard]] Errc no_memory() const noexcept;
    bool judge_data_header();
    bool check_text(Bytes bytes, bool last);
    void end_of_frame() noexcept;
    Step fail(Errc code, std::string detail = {});

    Delivery delivery_;
    std::size_t max_message_size_;
    const MemoryBudget* budget_;

    FrameHeader frame_;
    std::uint64_t remaining_ = 0;     ///< Of the payload of `frame_`, while `in_payload_`.
    bool torn_ = false;               ///< The buffer holds the beginning of a frame.
    bool in_payload_ = false;         ///< The header of `frame_` has been consumed, its payload not completely.
    Opcode message_ = no_message;     ///< Of the fragmented message that is open.
    std::uint64_t message_size_ = 0;  ///< The sum of its payload lengths so far, that of the current frame included.

    std::size_t lent_ = 0;     ///< Bytes of the buffer that the last event refers to; consumed by the next `next`.
    std::size_t checked_ = 0;  ///< Of a frame that stays in the buffer until it is complete: payload already validated.
    Utf8Validator text_;       ///< Of the message that is open.

    Block assembly_;  ///< A message that does not fit into the buffer, or is fragmented.
    std::size_t assembled_ = 0;
    std::size_t direct_ = 0;    ///< Bytes behind those that were written there and not looked at yet.
    bool direct_lent_ = false;  ///< `payload_space` was asked for and not answered.
    bool assembly_lent_ = false;
    bool chunk_lent_ = false;  ///< The last event refers to that of `inflation_`.
    bool assembly_used_ = false;

    /// For compressed messages (RFC 7692 section 7.2.2); `message_size_` counts what was inflated.
    struct Inflation {
        Inflation(const CompressionInfo& agreed, std::uint32_t ratio, MemoryBudget* budget) noexcept
            : inflater(agreed, budget), max_ratio(ratio), chunk(budget) {}

        Inflater inflater;
        const std::uint32_t max_ratio;
        bool more = false;                  ///< There was no room for all that the input so far makes.
        bool chunk_begun = false;           ///< The message has had a chunk.
        std::uint64_t compressed_size = 0;  ///< Of the message that is open, what has arrived.
        std::uint64_t frame_inflated = 0;   ///< Of the current frame, what was delivered before.
        Block chunk;                        ///< Where chunks are inflated.
        std::byte beyond{};                 ///< A byte beyond the limit, if a message has one.
    };
    std::unique_ptr<Inflation> inflation_;  ///< Null: compression was not agreed on.
    bool compressed_ = false;               ///< The message that is open.

    bool quick_ = false;  ///< A message begins with the next byte, and may be delivered where it is.
    bool discarding_ = false;
    bool closed_ = false;
    /// Why there is nothing more: a Close frame, or a fault.
    struct End {
        CloseFrame close_frame;
        Errc error{};
        std::string error_detail;
    };
    Rare<End> end_;
    std::uint64_t messages_ = 0;
};

}  // namespace tern::core
