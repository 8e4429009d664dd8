#include "backlog.hpp"

#include <algorithm>
#include <utility>

#include "timer_table.hpp"

namespace tern::core {

void Backlog::count(const Message& message, bool in) noexcept {
    waiting_bytes_ = in ? waiting_bytes_ + message.payload.size() : waiting_bytes_ - message.payload.size();
    waiting_count_ = in ? waiting_count_ + 1 : waiting_count_ - 1;
}

void Backlog::tell(const Message& message, Fate fate, const Error& error, Fates& fates) {
    if (message.watched) fates.push({message.number, fate, error});
}

std::error_code Backlog::add(Message message, std::size_t limit, Fates& fates) {
    const auto same_key = [&](const Message& each) { return each.stream == 0 && each.key == message.key; };
    const auto replaced =
        message.key.empty() ? messages_.end() : std::find_if(messages_.begin(), messages_.end(), same_key);
    const std::size_t freed = replaced == messages_.end() ? 0 : replaced->payload.size();
    if (message.payload.size() > limit) return Errc::send_queue_full;
    if (waiting_bytes_ - freed > limit - message.payload.size()) {
        if (config_.when_full == OfflineQueue::Full::reject) return Errc::send_queue_full;
        if (config_.when_full == OfflineQueue::Full::drop_newest) {
            tell(message, Fate::dropped, Errc::send_queue_full, fates);
            return {};
        }
    }
    unstamped_ = unstamped_ || config_.expire_after.count() != 0 || message.options.expires != TimePoint::max();
    if (replaced != messages_.end()) {
        // It takes the place of the older one, so that keys cannot be used to get ahead.
        tell(*replaced, Fate::replaced, {}, fates);
        count(*replaced, false);
        count(message, true);
        *replaced = std::move(message);
    } else {
        count(message, true);
        messages_.push(std::move(message));
    }
    while (waiting_bytes_ > limit) {
        // The oldest that waits goes first; what was just added is the last.
        const auto oldest =
            std::find_if(messages_.begin(), messages_.end(), [](const Message& each) { return each.stream == 0; });
        tell(*oldest, Fate::dropped, Errc::send_queue_full, fates);
        count(*oldest, false);
        messages_.erase(oldest);
    }
    return {};
}

void Backlog::keep(Message message) { messages_.push(std::move(message)); }

Backlog::Message* Backlog::waiting() noexcept {
    if (waiting_count_ == 0) return nullptr;
    const auto first =
        std::find_if(messages_.begin(), messages_.end(), [](const Message& each) { return each.stream == 0; });
    return first == messages_.end() ? nullptr : &*first;
}

void Backlog::on_queued(Message& message, StreamId stream) noexcept {
    count(message, false);
    message.stream = stream;
}

std::optional<bool> Backlog::on_sent(std::uint64_t number) noexcept {
    const auto found = find(number);
    if (found == messages_.end()) return std::nullopt;
    const bool watched = found->watched;
    if (found->stream == 0) count(*found, false);
    if (found == messages_.begin()) {
        static_cast<void>(messages_.pop());
    } else {
        messages_.erase(found);
    }
    return watched;
}

bool Backlog::holds(std::uint64_t number) noexcept { return find(number) != messages_.end(); }

/// Messages leave in their order, so what is looked for is nearly always the first.
std::vector<Backlog::Message>::iterator Backlog::find(std::uint64_t number) noexcept {
    return std::find_if(messages_.begin(), messages_.end(), [&](const Message& each) { return each.number == number; });
}

void Backlog::on_stream_ended(StreamId stream) noexcept {
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
        count(*message, false);
        message = messages_.erase(message);
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
            count(*message, false);
            message = messages_.erase(message);
            continue;
        }
        if (message->stream == 0) deadline_ = earlier(deadline_, message->expires_at);
        ++message;
    }
}

}  // namespace tern::core
