// The end of a tern::Client. Its destructor waits for its thread, which not everybody can: a handler runs on that
// thread. So it happens on the thread of `Service::clients`, and who can wait waits for it.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>

#include <tern/client.hpp>

#include "ticks.hpp"

namespace tern::esp {

class Burial {
public:
    /// False: it takes longer.
    bool wait(Clock::time_point until);
    /// For all of them; at most until then.
    static void wait_for_all(Clock::time_point until);

private:
    friend std::shared_ptr<Burial> bury(std::shared_ptr<Client> client);
    void done();

    std::mutex mutex_;
    std::condition_variable changed_;
    bool done_ = false;
};

/// Destroys it soon. Null for null.
std::shared_ptr<Burial> bury(std::shared_ptr<Client> client);

}  // namespace tern::esp
