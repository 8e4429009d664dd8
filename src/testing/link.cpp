#include "link.hpp"

#include <algorithm>

namespace tern::sim {
namespace {

/// Calls a copy, because the listener may be replaced by what it does.
void notify(const std::function<void()>& listener) {
    if (const auto copy = listener) copy();
}

}  // namespace

// --- the writer ----------------------------------------------------------------------------------------------------

std::size_t Pipe::write(std::string_view bytes) {
    bytes = bytes.substr(0, room());
    const std::size_t accepted = bytes.size();
    while (!bytes.empty() && !ended_) {
        std::size_t n = std::min(link_.segment, bytes.size());
        if (link_.random_segments) n = schedule_.random().between(1, n);
        if (link_.cut) n = std::min(n, link_.cut->after - std::min(link_.cut->after, written_));
        std::string piece(bytes.substr(0, n));
        bytes.remove_prefix(n);
        written_ += n;
        spoil(piece);
        if (!piece.empty()) {
            taken_ += n;
            push(Kind::data, std::move(piece));
        }
        if (link_.cut && written_ >= link_.cut->after) end(link_.cut->reset ? Kind::reset : Kind::finish);
    }
    return accepted;
}

void Pipe::spoil(std::string& bytes) {
    if (link_.flip <= 0) return;
    for (char& c : bytes) {
        if (schedule_.random().chance(link_.flip))
            c = static_cast<char>(c ^ static_cast<char>(1 << schedule_.random().below(8)));
    }
}

void Pipe::end(Kind kind) {
    if (ended_) return;
    ended_ = true;
    push(kind, {});
}

void Pipe::reset() {
    if (reset_) return;
    while (!segments_.empty() && segments_.back().departs > schedule_.now()) segments_.pop_back();
    ended_ = false;
    end(Kind::reset);
}

void Pipe::push(Kind kind, std::string bytes) {
    Segment segment{.kind = kind, .bytes = std::move(bytes)};
    segment.departs = std::max(schedule_.now(), free_at_);
    if (link_.bytes_per_second != 0) {
        segment.departs += std::chrono::nanoseconds(1'000'000'000u * segment.bytes.size() / link_.bytes_per_second);
    }
    free_at_ = segment.departs;
    Duration delay = link_.delay;
    if (link_.jitter > Duration{0}) {
        delay += Duration(
            static_cast<Duration::rep>(schedule_.random().below(static_cast<std::uint64_t>(link_.jitter.count()))));
    }
    segment.arrives = std::max(segment.departs + delay, last_arrival_);
    last_arrival_ = segment.arrives;
    segments_.push_back(std::move(segment));
    schedule_arrival();
}

// --- the link ------------------------------------------------------------------------------------------------------

void Pipe::schedule_arrival() {
    if (arriving_ || stalled_ || segments_.empty()) return;
    arriving_ = true;
    schedule_.at(segments_.front().arrives, [this] { arrive(); });
}

void Pipe::arrive() {
    arriving_ = false;
    if (stalled_ || segments_.empty()) return;
    // A reset may have taken away the segment that this was meant for.
    if (segments_.front().arrives > schedule_.now()) return schedule_arrival();
    do {
        const Segment segment = std::move(segments_.front());
        segments_.pop_front();
        deliver(segment);
    } while (!segments_.empty() && segments_.front().arrives <= schedule_.now() &&
             schedule_.random().chance(link_.coalesce));
    schedule_arrival();
    notify(on_readable);
}

void Pipe::deliver(const Segment& segment) {
    switch (segment.kind) {
        case Kind::data: arrived_ += segment.bytes; break;
        case Kind::finish: finished_ = true; break;
        case Kind::reset: reset_ = true; break;
    }
}

void Pipe::resume() {
    stalled_ = false;
    schedule_arrival();
    if (held_back_ != 0) release(std::exchange(held_back_, 0));
}

// --- the reader ----------------------------------------------------------------------------------------------------

void Pipe::consume(std::size_t n) {
    read_ += n;
    if (read_ == arrived_.size()) {
        arrived_.clear();
        read_ = 0;
    }
    if (n != 0) release(n);
}

/// The acknowledgement travels back.
void Pipe::release(std::size_t n) {
    schedule_.after(link_.delay, [this, n] {
        if (stalled_) {
            held_back_ += n;
            return;
        }
        taken_ -= n;
        notify(on_room);
    });
}

// --- both directions -----------------------------------------------------------------------------------------------

void Wire::client_close() {
    up.on_room = nullptr;
    if (!down.readable().empty()) {
        up.reset();
        down.consume(down.readable().size());  // or a server whose window it fills would write for ever
    } else {
        up.finish();
    }
    down.on_readable = [this] {
        if (!down.readable().empty()) up.reset();
        down.consume(down.readable().size());
    };
}

}  // namespace tern::sim
