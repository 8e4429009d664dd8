// Loop: one thread, or a few, for any number of clients.
//
//     tern::Loop loop;
//     std::vector<tern::Client> clients;
//     for (const std::string& url : urls) clients.emplace_back(loop, tern::Config{.url = url});
#pragma once

#include <cstddef>
#include <memory>

#include <tern/export.hpp>

namespace tern {

/// Settings of a `Loop`.
struct LoopConfig {
    /// Threads; at least 1 (0 counts as 1). Each client lives on one of them, the one that has the fewest clients then.
    std::size_t threads = 1;
    /// Busy polling: while a client runs, its thread never sleeps and asks the sockets without end, which keeps a core
    /// busy and makes answers come sooner. For up to 8 clients a thread; with more the system is asked about all at
    /// once.
    bool spin = false;
};

/// Carries clients that have no thread of their own. A thread begins with the first client that is started on it.
///
/// Threads: may be used and destroyed from any thread, by one at a time; clients may be made on it by many.
///
/// Ending: the destructor ends all clients that are running on it, all at the same time, each as its own `stop` would
/// (`timeouts.stop`). When it returns, no handler of theirs runs, and none will: `Client::start` says `loop_ended`. The
/// clients themselves may be destroyed before the loop or after it. Inside a handler of one of its clients the
/// destructor cannot wait: it begins the same and returns at once; the threads end in the background.
class TERN_API Loop {
public:
    explicit Loop(LoopConfig config = {});
    ~Loop();
    Loop(Loop&&) noexcept;
    Loop& operator=(Loop&&) noexcept;

    [[nodiscard]] std::size_t threads() const noexcept;
    /// Clients that were made on it and still exist; those that end in the background count.
    [[nodiscard]] std::size_t clients() const noexcept;

private:
    friend class Client;
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace tern
