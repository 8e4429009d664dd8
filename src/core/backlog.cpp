#include "backlog.hpp"

#include <algorithm>
#include <utility>

#include "timer_table.hpp"

namespace tern::core {

Backlog::~Backlog() {
    for (const Message& message : messages_) discharge(memory_of(message));
}

std::size_t Backlog::memory_of(const Message& message) noexcept {
    // A vector that grows has up to three places an item for a moment.
    return 3 * sizeof(Message) + message.payload.size() + message.key.size();
}

bool Backlog::charge(std::size_t n) noexcept {
    if (ceiling_ != 0 && (n > ceiling_ || charged_ > ceiling_ - n)) return false;
    if (!budget_.take(n)) return false;
    charged_ += n;
    return true;
}

void Backlog::discharge(std::size_t n) noexcept {
    budget_.give(n);
    charged_ -= n;
}

void Backlog::count(const Message& message, bool in) noexcept {
    waiting_bytes_ = in ? waiting_bytes_ + message.payload.size() : waiting_bytes_ - message.payload.size();
    waiting_count_ = in ? waiting_count_ + 1 : waiting_count_ - 1;
}

void Backlog::tell(const Message& message, Fate fate, const Error& error, Fates& fates) {
    if (message.watched) fates.push({message.number, fate, error});
}

std::vector<Backlog::Message>::iterator Backlog::remove(std::vector<Message>::iterator message) {
    if (message->stream == 0) count(*message, false);
    discharge(memory_of(*message));
    if (message == messages_.begin()) {
        if (queued_in_front_ > 0) --queued_in_front_;
        static_cast<void>(messages_.pop());
        return messages_.begin();
    }
    queued_in_front_ = 0;
    return messages_.erase(message);
}

std::error_code Backlog::add(Message message, std::size_t limit, Fates& fates) {
    const auto same_key = [&](const Message& each) { return each.stream == 0 && each.key == message.key; };
    const auto replaced =
        message.key.empty() ? messages_.end() : std::find_if(messages_.begin(), messages_.end(), same_key);
    const std::size_t size = message.payload.size();
    if (size > limit) return Errc::send_queue_full;
    const bool drops_oldest = config_.when_full == OfflineQueue::Full::drop_oldest;
    const bool replaces = replaced != messages_.end();  // removing others makes the iterator invalid
    const std::size_t freed = replaces ? replaced->payload.size() : 0;
    const bool full = waiting_bytes_ - freed > limit - size;
    if (full && config_.when_full == OfflineQueue::Full::drop_newest) {
        tell(message, Fate::dropped, Errc::send_queue_full, fates);
        return {};
    }
    if (full && !drops_oldest) return Errc::send_queue_full;
    while (!charge(memory_of(message))) {
        if (!drops_oldest || replaces || !drop_oldest(fates)) return Errc::send_queue_full;
    }
    unstamped_ = unstamped_ || config_.expire_after.count() != 0 || message.options.expires != TimePoint::max();
    count(message, true);
    if (replaces) {
        // It takes the place of the older one, so that keys cannot be used to get ahead.
        tell(*replaced, Fate::replaced, {}, fates);
        count(*replaced, false);
        discharge(memory_of(*replaced));
        *replaced = std::move(message);
    } else {
        messages_.push(std::move(message));
    }
    while (waiting_bytes_ > limit) static_cast<void>(drop_oldest(fates));
    return {};
}

/// The oldest that waits makes room.
bool Backlog::drop_oldest(Fates& fates) {
    const auto oldest =
        std::find_if(messages_.begin(), messages_.end(), [](const Message& each) { return each.stream == 0; });
    if (oldest == messages_.end()) return false;
    tell(*oldest, Fate::dropped, Errc::send_queue_full, fates);
    remove(oldest);
    return true;
}

bool Backlog::keep(Message message) {
    if (!charge(memory_of(message))) return false;
    messages_.push(std::move(message));
    return true;
}

Backlog::Message* Backlog::waiting() noexcept {
    while (waiting_count_ != 0 && queued_in_front_ < messages_.size()) {
        Message& message = *(messages_.begin() + static_cast<std::ptrdiff_t>(queued_in_front_));
        if (message.stream == 0) return &message;
        ++queued_in_front_;
    }
    return nullptr;
}

void Backlog::on_queued(Message& message, StreamId stream) noexcept {
    count(message, false);
    message.stream = stream;
}

Backlog::Message Backlog::take(Message& message) {
    Message taken = std::move(message);
    // What it counted for is given back as it was counted.
    const std::size_t size = taken.payload.size();
    waiting_bytes_ -= size;
    --waiting_count_;
    discharge(memory_of(taken));
    const auto place = find(taken.number);
    if (place == messages_.begin()) {
        static_cast<void>(messages_.pop());
    } else {
        messages_.erase(place);
    }
    queued_in_front_ = 0;
    return taken;
}

std::optional<bool> Backlog::on_sent(std::uint64_t number) noexcept {
    const auto found = find(number);
    if (found == messages_.end()) return std::nullopt;
    const bool watched = found->watched;
    remove(found);
    return watched;
}

bool Backlog::holds(std::uint64_t number) noexcept { return find(number) != messages_.end(); }

/// Messages leave in their order, so what is looked for is nearly always the first.
std::vector<Backlog::Message>::iterator Backlog::find(std::uint64_t number) noexcept {
    return std::find_if(messages_.begin(), messages_.end(), [&](const Message& each) { return each.number == number; });
}

void Backlog::on_stream_ended(StreamId stream) noexcept {
    queued_in_front_ = 0;
    for (Message& message : messages_) {
        if (message.stream != stream) continue;
        message.stream = 0;
        count(message, true);
        unstamped_ = unstamped_ || message.expires_at.has_value();
    }
}

void Backlog::drop(const Error& error, Fates& fates) {
    for (auto message = messages_.begin(); message != messages_.end();) {
        if (message->stream != 0) {
            ++message;
            continue;
        }
        tell(*message, Fate::dropped, error, fates);
        message = remove(message);
    }
    deadline_.reset();
}

void Backlog::settle(TimePoint now, Fates& fates) {
    if (!unstamped_ && (!deadline_ || now < *deadline_)) return;
    unstamped_ = false;
    deadline_.reset();
    for (auto message = messages_.begin(); message != messages_.end();) {
        if (!message->expires_at) {
            TimePoint at = message->options.expires;
            if (config_.expire_after.count() != 0) at = std::min(at, now + config_.expire_after);
            if (at != TimePoint::max()) message->expires_at = at;
        }
        if (message->stream == 0 && message->expires_at && *message->expires_at <= now) {
            tell(*message, Fate::expired, {}, fates);
            message = remove(message);
            continue;
        }
        if (message->stream == 0) deadline_ = earlier(deadline_, message->expires_at);
        ++message;
    }
}

}  // namespace tern::core
