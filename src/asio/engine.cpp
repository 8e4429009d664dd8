#include "engine.hpp"

#include <csignal>
#include <system_error>
#include <utility>

#include "runner.hpp"

namespace tern::driver {
namespace {

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

ThreadEngine::ThreadEngine(std::unique_ptr<asio::io_context> io) : Engine(io->get_executor()), io_(std::move(io)) {}

Error ThreadEngine::enter(Runner& runner) {
    const std::lock_guard lock(mutex_);
    if (closed_) return Errc::loop_ended;
    if (!thread_.joinable() && !run()) return {Errc::out_of_memory, Phase::none, "the system has no thread to give"};
    runner.place_ = lives_.size();
    lives_.push_back(&runner);
    return {};
}

void ThreadEngine::leave(Runner& runner) noexcept {
    const std::lock_guard lock(mutex_);
    lives_[runner.place_] = lives_.back();
    lives_[runner.place_]->place_ = runner.place_;
    lives_.pop_back();
}

bool ThreadEngine::run() {
    const SignalsBlocked blocked;  // inherited by the new thread
    try {
        thread_ = std::thread([self = std::static_pointer_cast<ThreadEngine>(shared_from_this())] {
            self->id_ = std::this_thread::get_id();
            self->io_->run();
            self->id_ = std::thread::id();  // the system may give the number to another thread
        });
    } catch (const std::system_error&) {
        return false;
    }
    return true;
}

std::vector<std::shared_ptr<Runner>> ThreadEngine::close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    std::vector<std::shared_ptr<Runner>> running;
    for (Runner* each : lives_) {
        if (auto runner = each->weak_from_this().lock()) running.push_back(std::move(runner));
    }
    return running;
}

void ThreadEngine::finish(bool detached) {
    work_.reset();
    std::thread thread;
    {
        const std::lock_guard lock(mutex_);
        closed_ = true;
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
