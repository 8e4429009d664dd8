// What a server sends on an open connection: any bytes, in any pieces, through a buffer of any size. They are read in
// two ways, whole and in pieces, and have to mean the same both times, and the same as to a reference that looks at all
// of them at once.
//
// The input: a byte of settings, three sizes of pieces, and the bytes of the server.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tern/config.hpp>
#include <tern/error.hpp>
#include <tern/message.hpp>

#include "buffer.hpp"
#include "message_reader.hpp"
#include "reference/utf8_reference.hpp"
#include "unit/core/wire.hpp"

namespace {

using tern::Bytes;
using tern::ChunkView;
using tern::Delivery;
using tern::Event;
using tern::core::Buffer;
using tern::core::MessageReader;

constexpr std::size_t settings_size = 4;
/// The smallest one holds every control frame and nothing more.
constexpr std::array<std::size_t, 4> capacities{127, 128, 1'000, 4'096};
/// With the last one only memory is a limit, so a reader that allocates what a header claims does not get far.
constexpr std::array<std::uint64_t, 4> limits{20, 300, 70'000, std::uint64_t{1} << 40u};

struct Settings {
    explicit Settings(const std::uint8_t* data)
        : delivery((data[0] & 1u) != 0 ? Delivery::chunks : Delivery::messages),
          capacity(capacities[data[0] >> 1u & 3u]),
          limit(limits[data[0] >> 3u & 3u]),
          trim((data[0] & 0x80u) != 0),
          pieces{data[1] + 1u, data[2] + 1u, data[3] + 1u} {}

    Delivery delivery;
    std::size_t capacity;
    std::uint64_t limit;
    bool trim;
    std::array<std::size_t, 3> pieces;  ///< The stream comes in pieces of these sizes, again and again.
};

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "violated: %s\n", what);
    std::abort();
}

/// What a stream means.
struct Meaning {
    std::vector<std::string> events;
    std::string end = "open";  ///< Or "closed", or the name of an error.
    std::string unfinished;    ///< What has come of a message that has not ended.
};

std::string line(std::string_view kind, std::string_view payload) {
    return std::string(kind).append(" ").append(payload);
}

// --- the reader under test -----------------------------------------------------------------------------------------

class Run {
public:
    explicit Run(const Settings& settings)
        : settings_(settings),
          memory_(new std::byte[settings.capacity]),
          in_({memory_.get(), settings.capacity}),
          reader_(settings.delivery, settings.limit) {}

    /// Takes the bytes as a connection does (connection.cpp).
    void add(std::string_view bytes) {
        while (!bytes.empty()) {
            if (in_.writable().size() < in_.capacity() / 2) in_.compact();
            const std::size_t size = std::min(bytes.size(), in_.writable().size());
            require(size > 0, "there is room once everything has been taken");
            std::memcpy(in_.writable().data(), bytes.data(), size);
            in_.commit(size);
            bytes.remove_prefix(size);
            take_events();
        }
        if (settings_.trim) reader_.trim();
    }

    [[nodiscard]] const Meaning& meaning() {
        if (reader_.closed()) meaning_.end = "closed";
        return meaning_;
    }

private:
    void take_events() {
        const bool ended = ended_;
        for (Event event;;) {
            const MessageReader::Status status = reader_.next(in_, event);
            if (status == MessageReader::Status::need_input) break;
            require(!ended_, "nothing comes after a failure or a Close frame");
            if (status == MessageReader::Status::failed) {
                meaning_.end = tern::error_row(reader_.error())->name;
                ended_ = true;
            } else {
                note(event);
            }
        }
        require(!ended || ended_, "an end is final");
        require(!ended_ || in_.empty(), "what comes after the end is discarded");
    }

    void note(const Event& event) {
        const std::string_view payload = tern::as_text(event.bytes);
        switch (event.kind) {
            case Event::Kind::message: return note_message(static_cast<unsigned>(event.opcode), payload);
            case Event::Kind::chunk: return note_chunk(event.chunk);
            case Event::Kind::ping:
            case Event::Kind::pong:
                require(payload.size() <= 125, "control frames are short");
                return meaning_.events.push_back(line(tern::event_name(event.kind), payload));
            case Event::Kind::closing: {
                ended_ = true;
                const tern::core::CloseFrame& close = reader_.close_frame();
                const auto code = static_cast<unsigned>(close.code);
                return meaning_.events.push_back(line("close " + std::to_string(code), close.reason));
            }
            default: require(false, "a reader has no other events");
        }
    }

    void note_message(unsigned opcode, std::string_view payload) {
        require(opcode == tern::wire::text || opcode == tern::wire::binary, "a message is text or binary");
        require(payload.size() <= settings_.limit, "a message is not larger than the limit");
        if (opcode == tern::wire::text) {
            require(tern::reference::judge_utf8(tern::as_bytes(payload)).complete, "text is valid");
        }
        meaning_.events.push_back(line(tern::wire::opcode_name(opcode), payload));
    }

    void note_chunk(const ChunkView& chunk) {
        require(settings_.delivery == Delivery::chunks, "chunks are asked for");
        require(chunk.first == !in_message_, "the first chunk of a message says so");
        require(chunk.frame_offset + chunk.bytes.size() <= chunk.frame_length, "a chunk lies in its frame");
        require(!chunk.last || chunk.frame_fin, "a message ends with a final frame");
        require(!chunk.last || chunk.frame_offset + chunk.bytes.size() == chunk.frame_length, "and with its end");
        require((chunk.frame_opcode == tern::Opcode::continuation) == (frames_of_message_ > 0 && in_message_),
                "only further frames are continuations");
        in_message_ = true;
        if (chunk.frame_offset + chunk.bytes.size() == chunk.frame_length) ++frames_of_message_;
        meaning_.unfinished += tern::as_text(chunk.bytes);
        require(meaning_.unfinished.size() <= settings_.limit, "the chunks are together not larger than the limit");
        if (chunk.opcode == tern::Opcode::text) {
            const auto verdict = tern::reference::judge_utf8(tern::as_bytes(meaning_.unfinished));
            require(!verdict.impossible_at, "chunks of text are the beginning of a text");
        }
        if (!chunk.last) return;
        note_message(static_cast<unsigned>(chunk.opcode), meaning_.unfinished);
        meaning_.unfinished.clear();
        in_message_ = false;
        frames_of_message_ = 0;
    }

    Settings settings_;
    std::unique_ptr<std::byte[]> memory_;
    Buffer in_;
    MessageReader reader_;
    Meaning meaning_;
    bool ended_ = false;
    bool in_message_ = false;
    std::size_t frames_of_message_ = 0;
};

// --- the reference -------------------------------------------------------------------------------------------------

/// Reads a stream that lies there as a whole, RFC 6455 section 5 from the beginning to the end.
class Reference {
public:
    Reference(std::string_view stream, std::uint64_t limit) : rest_(stream), limit_(limit) {
        while (meaning_.end == "open" && next_frame()) {
        }
    }

    [[nodiscard]] const Meaning& meaning() const { return meaning_; }

private:
    struct Frame {
        bool fin = false;
        unsigned opcode = 0;
        std::uint64_t length = 0;
    };

    bool fail(const char* error) {
        meaning_.end = error;
        return false;
    }

    /// False if it is not complete, or wrong as far as it goes.
    bool next_frame() {
        Frame frame;
        if (!take_header(frame)) return false;
        return frame.opcode >= 8 ? take_control(frame) : take_data(frame);
    }

    bool take_header(Frame& frame) {
        using tern::wire::byte_at;
        if (rest_.empty()) return false;
        const unsigned first = byte_at(rest_, 0);
        frame.fin = first >= 128;
        frame.opcode = first % 16;
        if (first / 16 % 8 != 0) return fail("reserved_bits");
        if (tern::wire::opcode_name(frame.opcode) == "reserved") return fail("reserved_opcode");
        if (frame.opcode >= 8 && !frame.fin) return fail("control_fragmented");
        if (rest_.size() < 2) return false;
        frame.length = byte_at(rest_, 1);
        if (frame.length >= 128) return fail("masked_frame");
        if (frame.opcode >= 8 && frame.length > 125) return fail("control_too_long");
        const std::size_t more = frame.length == 126 ? 2 : frame.length == 127 ? 8 : 0;
        if (more > 0 && !take_long_length(more, frame)) return false;
        rest_.remove_prefix(2 + more);
        return true;
    }

    /// The fewest and the most that the length can still become tell whether it is wrong already.
    bool take_long_length(std::size_t size, Frame& frame) {
        std::uint64_t least = 0;
        std::uint64_t most = 0;
        const std::string_view bytes = rest_.substr(2, size);
        for (std::size_t i = 0; i < size; ++i) {
            const bool known = i < bytes.size();
            least = least * 256 + (known ? tern::wire::byte_at(bytes, i) : 0);
            most = most * 256 + (known ? tern::wire::byte_at(bytes, i) : 255);
        }
        if (least >= std::uint64_t{1} << 63u) return fail("length_overflow");
        if (most < (size == 2 ? 126u : 65536u)) return fail("length_not_minimal");
        frame.length = least;
        return bytes.size() == size;
    }

    bool take_control(const Frame& frame) {
        if (rest_.size() < frame.length) return false;
        const std::string_view body = rest_.substr(0, static_cast<std::size_t>(frame.length));
        rest_.remove_prefix(body.size());
        if (frame.opcode == tern::wire::close) return take_close(body);
        meaning_.events.push_back(line(tern::wire::opcode_name(frame.opcode), body));
        return true;
    }

    bool take_close(std::string_view body) {
        if (body.size() == 1) return fail("close_body_length");
        unsigned code = 1005;
        if (!body.empty()) {
            code = tern::wire::byte_at(body, 0) * 256 + tern::wire::byte_at(body, 1);
            const bool known = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
            if (!known && (code < 3000 || code > 4999)) return fail("close_code_invalid");
            body.remove_prefix(2);
            if (!tern::reference::judge_utf8(tern::as_bytes(body)).complete) return fail("close_reason_not_utf8");
        }
        meaning_.events.push_back(line("close " + std::to_string(code), body));
        meaning_.end = "closed";
        return false;
    }

    bool take_data(const Frame& frame) {
        if (frame.opcode == 0 && !in_message_) return fail("unexpected_continuation");
        if (frame.opcode != 0 && in_message_) return fail("unfinished_message");
        if (frame.length > limit_ - meaning_.unfinished.size()) return fail("message_too_big");
        if (frame.opcode != 0) opcode_ = frame.opcode;
        in_message_ = true;
        const bool complete = frame.length <= rest_.size();
        const std::string_view payload = rest_.substr(0, static_cast<std::size_t>(frame.length));
        rest_.remove_prefix(payload.size());
        meaning_.unfinished += payload;
        if (opcode_ == tern::wire::text) {
            const auto verdict = tern::reference::judge_utf8(tern::as_bytes(meaning_.unfinished));
            if (verdict.impossible_at || (complete && frame.fin && !verdict.complete)) return fail("text_not_utf8");
        }
        if (!complete) return false;
        if (!frame.fin) return true;
        meaning_.events.push_back(line(tern::wire::opcode_name(opcode_), meaning_.unfinished));
        meaning_.unfinished.clear();
        in_message_ = false;
        return true;
    }

    std::string_view rest_;
    std::uint64_t limit_;
    Meaning meaning_;
    bool in_message_ = false;
    unsigned opcode_ = 0;
};

// --- both ----------------------------------------------------------------------------------------------------------

void compare(const Meaning& meaning, const Meaning& reference, Delivery delivery) {
    if (meaning.end != reference.end) std::fprintf(stderr, "%s: ", meaning.end.c_str());
    require(meaning.end == reference.end, "the end is the same");
    require(meaning.events == reference.events, "the events are the same");
    if (delivery == Delivery::messages) return;
    // Pieces that arrive together with an impossible byte are not delivered.
    const bool same = meaning.end == "text_not_utf8" ? reference.unfinished.starts_with(meaning.unfinished)
                                                     : reference.unfinished == meaning.unfinished;
    require(same, "the chunks of an unfinished message are the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < settings_size) return 0;
    const Settings settings(data);
    const std::string_view stream(reinterpret_cast<const char*>(data) + settings_size, size - settings_size);
    const Reference reference(stream, settings.limit);

    Run whole(settings);
    whole.add(stream);
    compare(whole.meaning(), reference.meaning(), settings.delivery);

    Run split(settings);
    for (std::size_t at = 0, turn = 0; at < stream.size(); turn = (turn + 1) % settings.pieces.size()) {
        const std::string_view piece = stream.substr(at, settings.pieces[turn]);
        split.add(piece);
        at += piece.size();
    }
    compare(split.meaning(), reference.meaning(), settings.delivery);
    return 0;
}
