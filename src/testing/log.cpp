#include "log.hpp"

#include <utility>

namespace tern::sim {
namespace {

using Kind = Event::Kind;

/// Long payloads by length, beginning and hash; no difference may hide behind the shortening.
std::string shown(std::string_view bytes) {
    std::string out;
    for (const char c : bytes.substr(0, 40)) {
        if (c >= ' ' && c <= '~') {
            out += c;
        } else {
            out += "\\x";
            for (const unsigned shift : {4u, 0u})
                out += "0123456789abcdef"[static_cast<unsigned char>(c) >> shift & 15u];
        }
    }
    if (bytes.size() > 40) out += "... " + std::to_string(std::hash<std::string_view>()(bytes));
    return std::to_string(bytes.size()) + " \"" + out + "\"";
}

std::string shown(const CloseInfo& close) {
    return std::to_string(static_cast<unsigned>(close.code)) + " \"" + close.reason + "\"" +
           (close.sent ? " sent " + std::to_string(static_cast<unsigned>(close.sent_code)) : "") +
           (close.received ? " received" : "") + (close.by_peer ? " by peer" : "") +
           (close.will_reconnect ? " will reconnect" : "");
}

}  // namespace

Entry copy_of(const Event& event, TimePoint at) {
    Entry entry{.at = at, .kind = event.kind, .opcode = event.opcode};
    const bool has_bytes = event.kind == Kind::message || event.kind == Kind::ping || event.kind == Kind::pong;
    if (has_bytes) entry.bytes = as_text(event.bytes);
    if (event.kind == Kind::chunk) {
        entry.chunk = event.chunk;
        entry.chunk.bytes = {};
        entry.opcode = event.chunk.opcode;
        entry.bytes = event.chunk.text();
    }
    if (event.kind == Kind::pong) entry.round_trip = event.round_trip;
    if (event.kind == Kind::connecting || event.kind == Kind::reconnecting) entry.attempt = event.attempt;
    if (event.kind == Kind::reconnecting) entry.delay = event.delay;
    if (event.kind == Kind::fate) entry.number = event.number, entry.fate = event.fate;
    const bool has_handshake = event.kind == Kind::open || event.kind == Kind::switched;
    if (has_handshake && event.handshake != nullptr) entry.handshake = *event.handshake;
    const bool has_close = event.kind == Kind::closing || event.kind == Kind::closed;
    if (has_close && event.close != nullptr) entry.close = *event.close;
    if (event.kind == Kind::closed) entry.error = entry.close.error;
    const bool has_error = event.kind == Kind::reconnecting || event.kind == Kind::failed || event.kind == Kind::fate ||
                           event.kind == Kind::switch_failed || event.kind == Kind::redirected;
    if (has_error && event.error != nullptr) entry.error = *event.error;
    return entry;
}

std::string describe(const Entry& entry) {
    std::string line(event_name(entry.kind));
    switch (entry.kind) {
        case Kind::connecting: return line + " " + std::to_string(entry.attempt);
        case Kind::open: return line + " " + entry.handshake.subprotocol;
        case Kind::message:
        case Kind::chunk: return line + (entry.opcode == Opcode::text ? " text " : " binary ") + shown(entry.bytes);
        case Kind::ping:
        case Kind::pong: return line + " " + shown(entry.bytes);
        case Kind::congested:
        case Kind::writable: return line;
        case Kind::fate:
            return line + " " + std::to_string(entry.number) + " " + std::string(fate_name(entry.fate)) +
                   (entry.error ? " " + entry.error.message() : "");
        case Kind::switched: return line + " " + entry.handshake.subprotocol;
        case Kind::redirected:
        case Kind::switch_failed: return line + " " + entry.error.message();
        case Kind::closing: return line + " " + shown(entry.close);
        case Kind::closed: return line + " " + shown(entry.close) + " " + entry.error.message();
        case Kind::reconnecting:
            return line + " " + std::to_string(entry.attempt) + " in " + std::to_string(entry.delay.count()) + " ms " +
                   entry.error.message();
        case Kind::failed: return line + " " + entry.error.message();
    }
    return line;
}

std::string describe(const std::vector<Entry>& log) {
    std::string text;
    std::string message;
    for (const Entry& entry : log) {
        if (entry.kind != Kind::chunk) {
            text += describe(entry) + "\n";
            continue;
        }
        message += entry.bytes;
        if (!entry.chunk.last) continue;
        Entry whole = entry;
        whole.bytes = std::exchange(message, {});
        text += describe(whole) + "\n";
    }
    if (!message.empty()) text += "unfinished chunks " + shown(message) + "\n";
    return text;
}

// --- the judge -----------------------------------------------------------------------------------------------------

std::string EventJudge::judge(const Event& event) {
    switch (event.kind) {
        case Kind::message:
        case Kind::chunk:
        case Kind::ping:
        case Kind::pong:
        case Kind::congested:
        case Kind::writable:
        case Kind::closing: return judge_traffic(event);
        case Kind::fate: return judge_fate(event);
        default: return judge_life(event);
    }
}

std::string EventJudge::judge_life(const Event& event) {
    const Stage before = stage_;
    switch (event.kind) {
        case Kind::connecting:
            stage_ = Stage::connecting;
            if (before == Stage::idle) {
                attempt_ = 1;
                if (starts_ == 0) return "connecting without a start, or after the end";
                --starts_;
            } else if (before != Stage::reconnecting) {
                return "connecting at the wrong time";
            }
            return event.attempt == attempt_ ? "" : "the number of the attempt is wrong";
        case Kind::redirected:
            if (event.error == nullptr || !*event.error) return "redirected without the answer";
            // While connections are switched an attempt runs beside the open one.
            return before == Stage::connecting || before == Stage::open || before == Stage::closing
                       ? ""
                       : "redirected without an attempt";
        case Kind::open:
            stage_ = Stage::open;
            counts_anew_ = 2;
            switched_ = in_message_ = refused_ = false;
            cuts_left_ = 0;
            if (event.handshake == nullptr) return "open without a handshake";
            return before == Stage::connecting ? "" : "open without connecting";
        case Kind::closed:
            if (event.close == nullptr) return "closed without CloseInfo";
            if (!event.close->error) return "closed without an error that says why";
            refused_ = false;
            stage_ = event.close->will_reconnect ? Stage::closed : Stage::idle;
            return before == Stage::open || before == Stage::closing ? "" : "closed without open";
        case Kind::reconnecting:
            stage_ = Stage::reconnecting;
            if (event.error == nullptr || !*event.error) return "reconnecting without an error that says why";
            // A stable connection begins the count anew, and attempts to switch count too.
            if (counts_anew_ == 0 && event.attempt != attempt_ + 1) {
                return "reconnecting announces the wrong number of the attempt";
            }
            counts_anew_ -= counts_anew_ == 0 ? 0u : 1u;
            attempt_ = event.attempt;
            return before == Stage::closed || before == Stage::connecting ? "" : "reconnecting at the wrong time";
        case Kind::failed:
            stage_ = Stage::idle;
            if (event.error == nullptr || !*event.error) return "failed without an error";
            return before == Stage::connecting || before == Stage::reconnecting ? "" : "failed at the wrong time";
        case Kind::switched:
            stage_ = Stage::open;
            counts_anew_ = 2;
            switched_ = true;
            refused_ = false;
            ++cuts_left_;  // the old connection may end before its last message does
            if (event.handshake == nullptr) return "switched without a handshake";
            return before == Stage::open || before == Stage::closing ? "" : "switched without open";
        case Kind::switch_failed:
            if (event.error == nullptr || !*event.error) return "switch_failed without an error";
            return before == Stage::open || before == Stage::closing ? "" : "switch_failed without open";
        default: return "an event of an unknown kind";
    }
}

std::string EventJudge::judge_traffic(const Event& event) {
    const std::string name(event_name(event.kind));
    // What a connection whose place was taken still receives is delivered until its end.
    if (stage_ == Stage::closing && (event.kind == Kind::closing || !switched_)) return name + " after closing";
    if (stage_ != Stage::open && stage_ != Stage::closing) return name + " while the connection is not open";
    switch (event.kind) {
        case Kind::closing: stage_ = Stage::closing; return event.close == nullptr ? "closing without CloseInfo" : "";
        case Kind::message:
            if (event.bytes.size() > max_message_size_) return "a message larger than the limit";
            if (event.opcode != Opcode::text && event.opcode != Opcode::binary) return "a message of no known type";
            if (event.opcode == Opcode::text && !is_utf8(as_text(event.bytes))) return "a text that is not UTF-8";
            return {};
        case Kind::ping:
        case Kind::pong: return event.bytes.size() > 125 ? name + " with more than 125 bytes" : "";
        case Kind::chunk: return judge_chunk(event.chunk);
        case Kind::congested: ++waits_; return {};
        case Kind::writable:
            refused_ = false;
            if (waits_ == 0) return "writable, but nothing had to wait";
            --waits_;
            return {};
        default: return {};
    }
}

std::string EventJudge::judge_fate(const Event& event) {
    if (event.number == 0) return "a fate of no message";
    if (ended() && !start_pending()) return "a fate after the end";
    if (!fates_.insert(event.number).second) return "a second fate of one message";
    return (event.fate == Fate::dropped) == (event.error != nullptr) ? ""
                                                                     : "an error belongs to `dropped`, and only there";
}

std::string EventJudge::judge_chunk(const ChunkView& chunk) {
    if (chunk.first && in_message_ && cuts_left_ > 0) {
        --cuts_left_;
        in_message_ = false;
    }
    if (chunk.first == in_message_) return "chunk: `first` is wrong";
    if (chunk.first) {
        message_size_ = 0;
        message_opcode_ = chunk.opcode;
        text_ = {};
        frame_offset_ = frame_length_ = 0;
        if (chunk.frame_opcode != chunk.opcode) return "chunk: the first frame has another opcode";
    }
    if (chunk.opcode != message_opcode_) return "chunk: the opcode changes inside a message";
    if (frame_offset_ == frame_length_) {
        if (!chunk.first && chunk.frame_opcode != Opcode::continuation)
            return "chunk: a later frame is no continuation";
        frame_offset_ = 0;
        frame_length_ = chunk.frame_length;
    }
    if (chunk.frame_length != frame_length_) return "chunk: the frame's length changes";
    if (chunk.frame_offset != frame_offset_) return "chunk: a gap in the frame";
    frame_offset_ += chunk.bytes.size();
    if (frame_offset_ > frame_length_) return "chunk: more than the frame has";
    message_size_ += chunk.bytes.size();
    if (message_size_ > max_message_size_) return "chunk: the message is larger than the limit";
    if (message_opcode_ == Opcode::text && !text_.add(chunk.text())) return "chunk: not UTF-8";
    const bool last = chunk.frame_fin && frame_offset_ == frame_length_;
    if (chunk.last != last) return "chunk: `last` is wrong";
    in_message_ = !last;
    if (last && message_opcode_ == Opcode::text && !text_.complete()) return "chunk: the text ends inside a character";
    return {};
}

}  // namespace tern::sim
