#include "burial.hpp"

#include <utility>

#include "service.hpp"

namespace tern::esp {
namespace {

struct Open {
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t count = 0;
};
Open& open_ones() {
    static auto* const instance = new Open;
    return *instance;
}

}  // namespace

std::shared_ptr<Burial> bury(std::shared_ptr<Client> client) {
    if (client == nullptr) return nullptr;
    auto burial = std::make_shared<Burial>();
    {
        const std::lock_guard lock(open_ones().mutex);
        ++open_ones().count;
    }
    Service::clients().at(Clock::now(), [burial, client = std::move(client)]() mutable {
        client.reset();
        burial->done();
    });
    return burial;
}

void Burial::done() {
    {
        const std::lock_guard lock(mutex_);
        done_ = true;
        changed_.notify_all();
    }
    const std::lock_guard lock(open_ones().mutex);
    --open_ones().count;
    open_ones().changed.notify_all();
}

bool Burial::wait(Clock::time_point until) {
    std::unique_lock lock(mutex_);
    return wait_until(changed_, lock, until, [this] { return done_; });
}

void Burial::wait_for_all(Clock::time_point until) {
    std::unique_lock lock(open_ones().mutex);
    wait_until(open_ones().changed, lock, until, [] { return open_ones().count == 0; });
}

}  // namespace tern::esp
