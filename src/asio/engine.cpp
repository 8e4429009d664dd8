#include "engine.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <exception>
#include <system_error>
#include <utility>

#include "runner.hpp"

namespace tern::driver {
namespace {

/// A client that has done nothing for that long, and at most for twice as long, is quiet.
constexpr std::chrono::seconds sweep_interval{1};
/// Clients that can be asked for bytes one after the other faster than the system can be asked about all of them.
constexpr std::size_t most_direct = 8;

/// Signals belong to the program's own threads.
class SignalsBlocked {
public:
    SignalsBlocked() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_{};
};

}  // namespace

Engine::Engine(asio::any_io_executor executor)
    : executor_(std::move(executor)), timer_(executor_), sweeper_(executor_) {
    gate_->engine_ = this;
}

Engine::~Engine() {
    const std::lock_guard lock(gate_->mutex_);
    gate_->engine_ = nullptr;
}

Error Engine::enter(Runner& runner) {
    const std::lock_guard lock(mutex_);
    if (closed_) return Errc::loop_ended;
    if (!run()) return {Errc::out_of_memory, Phase::none, "the system has no thread to give"};
    runner.place_ = lives_.size();
    lives_.push_back(&runner);
    life_count_ = lives_.size();
    return {};
}

void Engine::leave(Runner& runner) noexcept {
    const std::lock_guard lock(mutex_);
    lives_[runner.place_] = lives_.back();
    lives_[runner.place_]->place_ = runner.place_;
    lives_.pop_back();
    life_count_ = lives_.size();
    if (!lives_.empty()) return;
    std::vector<Runner*>().swap(lives_);
    // The timer would keep the loop from ending.
    if (!sweeping_) return;
    patiently([this] {
        asio::post(executor_, [weak = weak_from_this()] {
            if (const auto self = weak.lock()) self->sweeper_.cancel();
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
    arm_timer();
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
    timer_at_ = TimePoint::max();
    timer_.cancel();  // it would keep the loop from ending
}

void Engine::disarm_all() noexcept {
    for (const Deadline& each : deadlines_) each.runner->deadline_ = Runner::no_deadline;
    std::vector<Deadline>().swap(deadlines_);
}

void Engine::arm_timer() {
    if (deadlines_.empty() || deadlines_.front().at >= timer_at_) return;
    timer_at_ = deadlines_.front().at;
    patiently([this] {
        timer_.expires_at(timer_at_);
        timer_.async_wait([weak = weak_from_this()](const std::error_code& error) {
            const auto self = weak.lock();
            if (!error && self != nullptr) self->on_timer();
        });
    });
}

void Engine::on_timer() {
    timer_at_ = TimePoint::max();
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
    arm_timer();
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
        asio::post(executor_, [weak = weak_from_this()] {
            if (const auto self = weak.lock()) self->arm_sweeper();
        });
    });
}

void Engine::arm_sweeper() {
    patiently([this] {
        sweeper_.expires_after(sweep_interval);
        sweeper_.async_wait([weak = weak_from_this()](const std::error_code&) {
            // When it was cancelled because the last life has ended, others may have begun already.
            if (const auto self = weak.lock()) self->sweep();
        });
    });
}

/// Those that have been quiet since the last time give memory back; the others are asked again next time.
void Engine::sweep() {
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
        if (!sweeping_) return active_.clear();
    }
    arm_sweeper();
}

void Engine::read_directly() {
    // A runner may end meanwhile, and others may begin.
    for (std::size_t i = 0;; ++i) {
        std::shared_ptr<Runner> runner;
        {
            const std::lock_guard lock(mutex_);
            if (i >= lives_.size()) return;
            runner = lives_[i]->weak_from_this().lock();
        }
        if (runner != nullptr) runner->read_directly();
    }
}

// --- an own thread -------------------------------------------------------------------------------------------------

OwnContext::OwnContext() { errno = 0; }

/// Asio does not look at what becomes of the calls that make it possible to wake the loop (epoll_ctl may find
/// max_user_watches reached); without them the loop would sleep when there is something to do. The engine has just made
/// them, with its timers, and a call that succeeds leaves errno alone.
ThreadEngine::ThreadEngine(bool spin) : Engine(io.get_executor()), spin_(spin) {
    if (errno != 0) throw std::system_error(errno, std::system_category(), "the loop of a client");
}

bool ThreadEngine::reads_directly() const noexcept { return spin_ && lives() <= most_direct; }

bool ThreadEngine::run() {
    if (thread_.joinable()) return true;
    const SignalsBlocked blocked;  // inherited by the new thread
    try {
        thread_ = std::thread([self = std::static_pointer_cast<ThreadEngine>(shared_from_this())] { self->loop(); });
    } catch (const std::exception&) {  // of the system, or no memory
        return false;
    }
    return true;
}

void ThreadEngine::loop() {
    id_ = std::this_thread::get_id();
    while (spin_ && !io.stopped()) {
        if (lives() == 0) {
            io.run_one();
        } else {
            io.poll();
            read_directly();
        }
    }
    io.run();
    id_ = std::thread::id();  // the system may give the number to another thread
}

void ThreadEngine::finish(bool detached) {
    static_cast<void>(close());
    work_.reset();
    std::thread thread;
    {
        const std::lock_guard lock(mutex_);
        thread = std::move(thread_);
    }
    if (!thread.joinable()) return;
    if (detached) {
        thread.detach();
    } else {
        thread.join();
    }
}

}  // namespace tern::driver
