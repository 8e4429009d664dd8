#include "engine.hpp"

#include <csignal>
#include <system_error>

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

bool Engine::run() {
    if (thread_.joinable()) return true;
    const SignalsBlocked blocked;  // inherited by the new thread
    try {
        thread_ = std::thread([self = shared_from_this()] {
            self->id_ = std::this_thread::get_id();
            self->io_.run();
        });
    } catch (const std::system_error&) {
        return false;
    }
    return true;
}

void Engine::finish() {
    work_.reset();
    if (!thread_.joinable()) return;
    if (on_thread()) {
        thread_.detach();
    } else {
        thread_.join();
    }
}

}  // namespace tern::driver
