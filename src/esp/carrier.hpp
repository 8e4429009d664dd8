// What carries a client through one life, from start to FINISH: a tern::Client, on threads that all clients share or on
// one of its own. It can be let go of from anywhere without waiting, also while its thread is held up by the handler of
// another client; that thread ends it when it comes by.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include <tern/client.hpp>

#include "ticks.hpp"

namespace tern::esp {

class Carrier {
public:
    /// Those that are called on its thread.
    struct Handlers {
        std::function<void(const Event&)> on_event;
        std::function<void(Attempt&)> before_attempt;
    };
    /// An end that can be waited for.
    class Grave {
    public:
        void close();
        /// False: it takes longer.
        bool wait(Clock::time_point until);

    private:
        std::mutex mutex_;
        std::condition_variable changed_;
        bool closed_ = false;
    };

    Carrier(Config config, bool own_task);
    Carrier(const Carrier&) = delete;
    Carrier& operator=(const Carrier&) = delete;
    ~Carrier();

    /// It lives at least until its last event now, or until it was let go of.
    static Error start(const std::shared_ptr<Carrier>& carrier, Handlers handlers);
    Client& client() noexcept { return *client_; }
    /// Ends the life; no event begins from now on.
    void let_go();
    /// The same unless an event is being delivered right now, to the client's own handlers. False: it is.
    [[nodiscard]] bool try_let_go();
    /// Has its thread been kept from reading what has arrived, by handlers that take their time?
    [[nodiscard]] bool held_up() const;
    /// For when its own thread has ended. Null: it has none.
    [[nodiscard]] const std::shared_ptr<Grave>& grave() const noexcept { return grave_; }

    /// Until all have ended; at most until then.
    static void wait_for_all(Clock::time_point until);

private:
    struct Watch;

    void deliver(const Event& event);
    static std::shared_ptr<Watch> watch_of_thread();

    const std::shared_ptr<Grave> grave_;
    Handlers handlers_;

    mutable std::mutex mutex_;
    std::shared_ptr<Carrier> self_;  ///< During the life.
    std::shared_ptr<Watch> watch_;   ///< Of its thread; null until there was an event.
    bool delivering_ = false;
    bool let_go_ = false;

    std::optional<Client> client_;
};

}  // namespace tern::esp
