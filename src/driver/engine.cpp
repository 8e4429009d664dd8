#include "engine.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <utility>

#include "runner.hpp"

namespace tern::driver {
namespace {

/// A client that has done nothing for that long, and at most for twice as long, is quiet.
constexpr std::chrono::seconds sweep_interval{1};
/// So many clients keep what they receive into until they are quiet.
constexpr std::size_t most_keeping = 8;

}  // namespace

Engine::Engine() { gate_->engine_ = this; }

Engine::~Engine() {
    const std::lock_guard lock(gate_->mutex_);
    gate_->engine_ = nullptr;
}

Error Engine::enter(Runner& runner, bool again) {
    const std::lock_guard lock(mutex_);
    if (closed_) return Errc::loop_ended;
    if (again) return {};
    if (const std::error_code error = run()) {
        Error result(Errc::out_of_memory, Phase::none, "the system has no thread to give: " + error.message());
        result.native = error.value();
        return result;
    }
    runner.place_ = lives_.size();
    lives_.push_back(&runner);
    count_lives();
    return {};
}

/// Under the lock.
void Engine::count_lives() noexcept {
    life_count_ = lives_.size();
    buffers_.let_keep(lives_.size() <= most_keeping);
}

void Engine::leave(Runner& runner) noexcept {
    const std::lock_guard lock(mutex_);
    lives_[runner.place_] = lives_.back();
    lives_[runner.place_]->place_ = runner.place_;
    lives_.pop_back();
    count_lives();
    if (!lives_.empty()) return;
    std::vector<Runner*>().swap(lives_);
    // The alarm would keep the loop from ending.
    if (!sweeping_) return;
    patiently([this] {
        post([weak = weak_from_this()] {
            const auto self = weak.lock();
            if (self == nullptr) return;
            // When others have begun meanwhile, a sweep comes too early once.
            if (self->sweep_at_ != TimePoint::max()) self->sweep();
        });
    });
}

std::vector<std::shared_ptr<Runner>> Engine::close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    std::vector<std::shared_ptr<Runner>> running;
    for (Runner* each : lives_) {
        if (auto runner = each->weak_from_this().lock()) running.push_back(std::move(runner));
    }
    return running;
}

// --- deadlines -----------------------------------------------------------------------------------------------------

void Engine::arm(Runner& runner, TimePoint at) {
    if (runner.deadline_ == Runner::no_deadline) {
        deadlines_.push_back({at, runner.shared_from_this()});
        runner.deadline_ = deadlines_.size() - 1;
    } else {
        deadlines_[runner.deadline_].at = at;
    }
    sift(runner.deadline_);
    update_alarm();
}

void Engine::disarm(Runner& runner) noexcept {
    const std::size_t at = std::exchange(runner.deadline_, Runner::no_deadline);
    if (at == Runner::no_deadline) return;
    const Deadline gone = std::move(deadlines_[at]);
    Deadline last = std::move(deadlines_.back());
    deadlines_.pop_back();
    if (at < deadlines_.size()) {
        place(at, std::move(last));
        sift(at);
    }
    if (!deadlines_.empty()) return;
    std::vector<Deadline>().swap(deadlines_);
    update_alarm();  // it would keep the loop from ending
}

void Engine::disarm_all() noexcept {
    for (const Deadline& each : deadlines_) each.runner->deadline_ = Runner::no_deadline;
    std::vector<Deadline>().swap(deadlines_);
}

/// An alarm that comes too early does no harm, so it is not moved away, except for ever.
void Engine::update_alarm() {
    const TimePoint deadline = deadlines_.empty() ? TimePoint::max() : deadlines_.front().at;
    const TimePoint at = std::min(deadline, sweep_at_);
    if (at >= alarm_at_ && (at != TimePoint::max() || alarm_at_ == at)) return;
    alarm_at_ = at;
    set_alarm(at);
}

void Engine::on_alarm() {
    alarm_at_ = TimePoint::max();
    const TimePoint now = std::chrono::steady_clock::now();
    // Those that are due now, and not those that are set meanwhile.
    std::vector<std::shared_ptr<Runner>> due;
    patiently([&] {
        while (!deadlines_.empty() && deadlines_.front().at <= now) {
            due.push_back(deadlines_.front().runner);
            disarm(*due.back());
        }
    });
    for (const auto& runner : due) runner->on_deadline();
    if (sweep_at_ <= now) sweep();
    update_alarm();
}

void Engine::place(std::size_t at, Deadline deadline) noexcept {
    deadline.runner->deadline_ = at;
    deadlines_[at] = std::move(deadline);
}

/// Moves the one at this place to where it belongs.
void Engine::sift(std::size_t at) noexcept {
    Deadline moving = std::move(deadlines_[at]);
    while (at > 0 && moving.at < deadlines_[(at - 1) / 2].at) {
        place(at, std::move(deadlines_[(at - 1) / 2]));
        at = (at - 1) / 2;
    }
    for (;;) {
        std::size_t child = 2 * at + 1;
        if (child >= deadlines_.size()) break;
        if (child + 1 < deadlines_.size() && deadlines_[child + 1].at < deadlines_[child].at) ++child;
        if (moving.at <= deadlines_[child].at) break;
        place(at, std::move(deadlines_[child]));
        at = child;
    }
    place(at, std::move(moving));
}

// --- giving memory back --------------------------------------------------------------------------------------------

void Engine::note_activity(Runner& runner) {
    const std::lock_guard lock(mutex_);
    active_.push_back(runner.weak_from_this());
    if (std::exchange(sweeping_, true)) return;
    patiently([this] {
        post([weak = weak_from_this()] {
            const auto self = weak.lock();
            if (self == nullptr) return;
            self->sweep_at_ = std::chrono::steady_clock::now() + sweep_interval;
            self->update_alarm();
        });
    });
}

/// Those that have been quiet since the last time give memory back; the others are asked again next time.
void Engine::sweep() {
    sweep_at_ = TimePoint::max();
    std::vector<std::weak_ptr<Runner>> active;
    {
        const std::lock_guard lock(mutex_);
        active.swap(active_);
    }
    std::erase_if(active, [](const std::weak_ptr<Runner>& each) {
        const std::shared_ptr<Runner> runner = each.lock();
        return runner == nullptr || runner->trim_if_quiet();
    });
    {
        const std::lock_guard lock(mutex_);
        patiently([&] { active_.insert(active_.end(), active.begin(), active.end()); });
        sweeping_ = !active_.empty() && !lives_.empty();
        if (sweeping_) {
            sweep_at_ = std::chrono::steady_clock::now() + sweep_interval;
        } else {
            active_.clear();
        }
    }
    update_alarm();
}

}  // namespace tern::driver
