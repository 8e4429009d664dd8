#include "poller.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <span>
#include <utility>

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "socket.hpp"

namespace tern::driver {
namespace {

/// Events that are taken at once.
constexpr std::size_t batch = 128;
/// The key of the bell; those of sockets are (generation, place).
constexpr std::uint64_t bell_key = ~std::uint64_t{0};

std::error_code system_error() { return {errno, std::system_category()}; }

/// In milliseconds for epoll_wait, rounded up, because a timer must not ring too early.
int timeout_until(TimePoint deadline, TimePoint now) {
    if (deadline == TimePoint::max()) return -1;
    constexpr std::chrono::milliseconds longest(std::chrono::hours(24));
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - now);
    return static_cast<int>(std::clamp<std::chrono::milliseconds>(left, std::chrono::milliseconds(0), longest).count());
}

}  // namespace

/// What a stream has of its slot.
class Poller::Registration final : public Watch {
public:
    Registration(Poller& poller, std::shared_ptr<Watcher> watcher, StreamId id, int descriptor)
        : poller_(poller),
          descriptor_(descriptor),
          place_(poller.place_for(std::move(watcher), id)),
          slot_(poller.slots_[place_]) {}
    ~Registration() override { poller_.forget(place_); }

    void wait_readable(bool exhausted) override { poller_.wait_readable(place_, exhausted); }
    /// The caller tries once more afterwards, so that no edge is missed. Any thread, so not by way of the list of
    /// places.
    void wait_writable() override { slot_.wants_write.store(true); }
    [[nodiscard]] bool ended() const noexcept override { return slot_.ended_well; }
    [[nodiscard]] std::size_t read(std::span<std::byte> space, std::error_code& error) override {
        return slot_.reception != nullptr ? slot_.reception->read(space, error) : read_some(descriptor_, space, error);
    }
    [[nodiscard]] std::uint32_t place() const noexcept { return place_; }

private:
    Poller& poller_;
    const int descriptor_;
    const std::uint32_t place_;
    Slot& slot_;
};

std::error_code Poller::open() {
    epoll_ = Descriptor(epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_) return system_error();
    bell_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!bell_) return system_error();
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;  // each ring is an edge, so that nobody has to read it
    event.data.u64 = bell_key;
    return epoll_ctl(epoll_.number(), EPOLL_CTL_ADD, bell_.number(), &event) == 0 ? std::error_code() : system_error();
}

// --- tasks ---------------------------------------------------------------------------------------------------------

void Poller::post(Task task) {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    tasks_.push_back(std::move(task));
    has_tasks_.store(true);
    if (!asleep_.exchange(false)) return;
    const std::uint64_t one = 1;
    // A counter that is full has been ringing for a while.
    while (::write(bell_.number(), &one, sizeof(one)) < 0 && errno == EINTR) {
    }
}

void Poller::end() {
    ring_.reset();
    std::vector<Task> dropped;  // what they keep may want to post
    const std::lock_guard lock(mutex_);
    ended_ = true;
    dropped.swap(tasks_);
}

bool Poller::run_tasks() {
    if (!has_tasks_.load(std::memory_order_relaxed)) return false;
    {
        const std::lock_guard lock(mutex_);
        running_.swap(tasks_);
        has_tasks_.store(false, std::memory_order_relaxed);
    }
    for (Task& task : running_) std::exchange(task, nullptr)();
    running_.clear();
    return true;
}

// --- sockets -------------------------------------------------------------------------------------------------------

std::unique_ptr<Watch> Poller::watch(std::shared_ptr<Watcher> watcher, StreamId id, int descriptor) {
    auto registration = std::make_unique<Registration>(*this, std::move(watcher), id, descriptor);
    const std::uint32_t place = registration->place();
    if (has_ring()) slots_[place].reception = std::make_unique<Reception>(*ring_, key_of(place), descriptor);
    epoll_event event{};
    event.events = has_ring() ? EPOLLOUT | EPOLLET : EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
    event.data.u64 = key_of(place);
    if (epoll_ctl(epoll_.number(), EPOLL_CTL_ADD, descriptor, &event) != 0) return nullptr;
    return registration;
}

std::uint32_t Poller::place_for(std::shared_ptr<Watcher> watcher, StreamId id) {
    if (free_.empty()) {
        free_.reserve(slots_.size() + 1);  // for `forget`
        slots_.emplace_back();
        free_.push_back(static_cast<std::uint32_t>(slots_.size() - 1));
    }
    const std::uint32_t place = free_.back();
    free_.pop_back();
    Slot& slot = slots_[place];
    slot.watcher = std::move(watcher);
    slot.id = id;
    slot.wants_read = slot.readable = slot.ended = slot.ended_well = false;
    slot.wants_write.store(false, std::memory_order_relaxed);
    ++watched_;
    return place;
}

/// The system forgets a socket when it is closed.
void Poller::forget(std::uint32_t place) noexcept {
    Slot& slot = slots_[place];
    if (slot.reception != nullptr) {
        // The socket is about to be closed, and is not while the ring has it.
        while (!slot.reception->end() && ring_->wait(0)) take_received();
        slot.reception.reset();
    }
    ++slot.generation;
    slot.watcher.reset();
    slot.wants_read = false;
    free_.push_back(place);
    --watched_;
}

void Poller::wait_readable(std::uint32_t place, bool exhausted) {
    Slot& slot = slots_[place];
    slot.wants_read = true;
    const bool waits =
        slot.reception != nullptr ? slot.reception->wait(exhausted) : exhausted && !slot.readable && !slot.ended;
    if (!waits) make_ready(place);
}

void Poller::make_ready(std::uint32_t place) noexcept {
    Slot& slot = slots_[place];
    if (std::exchange(slot.ready, true)) return;
    slot.next = nobody;
    (first_ready_ == nobody ? first_ready_ : slots_[last_ready_].next) = place;
    last_ready_ = place;
}

void Poller::run_ready() {
    std::uint32_t place = std::exchange(first_ready_, nobody);
    while (place != nobody) {
        Slot& slot = slots_[place];
        place = slot.next;
        slot.ready = false;
        if (slot.wants_read) read(slot);
    }
}

void Poller::read_all() {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        if (slots_[i].wants_read) read(slots_[i]);
    }
}

void Poller::read(Slot& slot) {
    slot.wants_read = slot.readable = false;
    const std::shared_ptr<Watcher> watcher = slot.watcher;
    watcher->on_readable(slot.id);
}

void Poller::wait(TimePoint now, TimePoint deadline) {
    if (first_ready_ != nobody || epoll_told_) return take(0);
    asleep_.store(true);
    take(has_tasks_.load() ? 0 : timeout_until(deadline, now));
}

void Poller::take(int timeout) {
    if (!has_ring()) return static_cast<void>(take_events(timeout));
    ring_->wait(timeout);
    asleep_.store(false, std::memory_order_relaxed);
    take_received();
    // It tells of an edge of epoll once, so nothing may be left there.
    while (std::exchange(epoll_told_, false)) epoll_told_ = take_events(0) == batch;
    run_ready();
}

/// What the ring has come to, and who can be read therefore.
void Poller::take_received() noexcept {
    std::array<Ring::Received, batch> received;
    std::size_t count = 0;
    do {
        count = ring_->take(received, epoll_told_);
        for (const Ring::Received& each : std::span(received).first(count)) {
            const auto place = static_cast<std::uint32_t>(each.key);
            Slot& slot = slots_[place];
            if (slot.reception == nullptr || slot.reception->key() != each.key) continue;
            slot.reception->note(each, slot.wants_read);
            if (slot.wants_read) make_ready(place);
        }
    } while (count == batch);
}

std::size_t Poller::take_events(int timeout) {
    std::array<epoll_event, batch> events;  // NOLINT(cppcoreguidelines-pro-type-member-init): the system writes them
    const int count = epoll_wait(epoll_.number(), events.data(), static_cast<int>(events.size()), timeout);
    asleep_.store(false, std::memory_order_relaxed);
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.data.u64 != bell_key) on_event(event.data.u64, event.events);
    }
    return count < 0 ? 0 : static_cast<std::size_t>(count);
}

void Poller::on_event(std::uint64_t key, std::uint32_t events) {
    const auto place = static_cast<std::uint32_t>(key);
    Slot& slot = slots_[place];
    const auto is_this = [&] { return slot.watcher != nullptr && slot.generation == key >> 32u; };
    if (!is_this()) return;
    constexpr std::uint32_t broken = EPOLLHUP | EPOLLERR;
    constexpr std::uint32_t end = EPOLLRDHUP | broken;
    if (!has_ring()) {
        if ((events & end) != 0) {
            slot.ended = true;
            // A read stops short in front of urgent data, though nobody sends any.
            slot.ended_well = (events & (broken | EPOLLPRI)) == 0;
        }
        if ((events & (EPOLLIN | end)) != 0) slot.readable = true;
    }
    if ((events & (EPOLLOUT | end)) != 0 && slot.wants_write.load(std::memory_order_relaxed) &&
        slot.wants_write.exchange(false)) {
        const std::shared_ptr<Watcher> watcher = slot.watcher;
        watcher->on_writable(slot.id, (events & broken) == 0);
        if (!is_this()) return;
    }
    if (slot.readable && slot.wants_read) read(slot);
}

}  // namespace tern::driver
