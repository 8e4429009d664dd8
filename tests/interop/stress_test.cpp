// Random lives: calls of everything by several threads and by handlers, clients with own threads and on loops,
// destroyed anywhere, moved, loops that end first. What is proved: nothing hangs (the test has a deadline), nothing is
// told after the end, handlers of a client never overlap; and, by the sanitizers, that nothing races or crashes.
//
// TERN_STRESS_SEEDS says how many, TERN_STRESS_FIRST with which one to begin. A failure says its seed; the threads make
// that a strong hint and not an exact replay.
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <tern/client.hpp>
#include <tern/loop.hpp>

#include "scripted_server.hpp"

namespace tern::interop {
namespace {

using namespace std::chrono_literals;

unsigned number_from(const char* name, unsigned otherwise) {
    const char* text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody changes it
    return text != nullptr ? static_cast<unsigned>(std::strtoul(text, nullptr, 10)) : otherwise;
}

/// Servers of several tempers, each chosen by the path.
void temper(Peer& peer) {
    const std::string request = peer.read_request();
    const char kind = request.size() > 5 ? request[5] : 'e';
    if (kind == 's') return peer.hold();  // silent: no answer at all
    if (kind == 'r') return peer.reset();
    if (!peer.send(Peer::accept(request))) return;
    if (kind == 'd') return peer.hold();  // deaf
    if (kind == 'f') {                    // flood
        while (peer.send(frame(1, "flood"))) {
        }
        return;
    }
    int left = kind == 'b' ? 3 : -1;  // breaks off
    while (const auto read = peer.read_frame()) {
        if (left-- == 0) return;
        if (!peer.send(frame(read->opcode == 9 ? 10 : read->opcode, read->payload, read->fin)) || read->opcode == 8) {
            return;
        }
    }
}

/// What one client of a life is, and what may not happen to it. It outlives the client.
struct Watch {
    std::atomic<bool> gone = false;
    std::atomic<int> inside = 0;
    std::atomic<bool> alive = false;  ///< Between the first event of a life and its last.
};

class Life {
public:
    Life(unsigned seed, const std::string& address) : random_(seed * 7919 + 1), address_(address) {}

    void run() {
        if (chance(3, 4)) loop_ = std::make_unique<Loop>(LoopConfig{.threads = 1 + below(3), .spin = chance(1, 10)});
        const std::size_t count = 1 + below(4);
        for (std::size_t i = 0; i < count; ++i) make();
        std::vector<std::thread> threads;
        const unsigned seed = static_cast<unsigned>(random_());
        for (unsigned t = 0; t < 3; ++t) {
            threads.emplace_back([this, t, seed] { act(std::minstd_rand(seed + t)); });
        }
        for (std::thread& thread : threads) thread.join();
        end();
        for (const auto& watch : watches_) EXPECT_EQ(watch->inside, 0);
    }

private:
    struct Slot {
        /// Held shared by calls, and alone by moving and destruction; so a call never meets a dying client.
        std::shared_mutex mutex;
        std::unique_ptr<Client> client;
        std::shared_ptr<Watch> watch;
        bool moves = false;  ///< Its handler does not call it, because moving needs quiet.
    };

    unsigned below(unsigned n) { return static_cast<unsigned>(random_()) % n; }
    bool chance(unsigned n, unsigned of) { return below(of) < n; }

    Config config() {
        constexpr std::array kinds = {'e', 'e', 'e', 'e', 'd', 's', 'r', 'f', 'b'};
        Config one{.url = address_ + kinds[below(kinds.size())]};
        one.timeouts = {.upgrade = 50ms, .attempt = 100ms, .close = 50ms, .stop = std::chrono::milliseconds(below(40))};
        one.keepalive.interval = std::chrono::milliseconds(chance(1, 2) ? 5 : 0);
        one.reconnect = {.enabled = chance(1, 2), .min_delay = 1ms, .max_delay = 1ms};
        if (chance(1, 4)) one.limits.max_send_queue = 5000;
        if (chance(1, 4)) one.delivery = Delivery::chunks;
        return one;
    }

    void make() {
        auto slot = std::make_unique<Slot>();
        slot->watch = std::make_shared<Watch>();
        const Config one = config();
        slot->client =
            loop_ != nullptr && chance(4, 5) ? std::make_unique<Client>(*loop_, one) : std::make_unique<Client>(one);
        slot->moves = chance(1, 5);
        handle(*slot, static_cast<unsigned>(random_()));
        watches_.push_back(slot->watch);
        slots_.push_back(std::move(slot));
    }

    void handle(Slot& slot, unsigned seed) {
        static_cast<void>(slot.client->on_event([&slot, client = slot.client.get(), watch = slot.watch,
                                                 random = std::minstd_rand(seed)](const Event& event) mutable {
            EXPECT_FALSE(watch->gone) << "an event after the end: " << event_name(event.kind);
            EXPECT_EQ(++watch->inside, 1) << "two handlers of one client at a time";
            follow(*watch, event);
            const bool throws = random() % 60 == 0;
            if (!slot.moves && !throws) in_handler(slot, *client, *watch, random);
            --watch->inside;
            if (throws) throw std::runtime_error("random");
        }));
    }

    static void follow(Watch& watch, const Event& event) {
        const bool last =
            event.kind == Event::Kind::failed || (event.kind == Event::Kind::closed && !event.close->will_reconnect);
        if (event.kind == Event::Kind::connecting) watch.alive = true;
        EXPECT_TRUE(watch.alive) << event_name(event.kind) << " after the last event of a life";
        if (last) watch.alive = false;
    }

    /// Calls of the own client; nobody destroys it meanwhile but this handler.
    static void in_handler(Slot& slot, Client& client, Watch& watch, std::minstd_rand& random) {
        switch (random() % 60) {
            case 0: static_cast<void>(client.close(CloseCode::normal)); break;
            case 1: client.stop(); break;
            case 2: static_cast<void>(client.stop(0ms)); break;
            case 3: static_cast<void>(client.start()); break;
            case 4: EXPECT_TRUE(client.connect() == Errc::would_deadlock); break;
            case 5: EXPECT_TRUE(client.receive(1ms).error() == Errc::would_deadlock); break;
            case 6: static_cast<void>(client.drain(1ms)); break;
            case 7: static_cast<void>(client.ping("from a handler")); break;
            case 8: client.pause(); break;
            case 9: client.resume(); break;
            case 10: static_cast<void>(client.refresh()); break;
            case 11: client.reconnect_now(); break;
            case 12:
                // Only if no other thread is using the client, and then nobody else will.
                if (const std::unique_lock alone(slot.mutex, std::try_to_lock); alone) {
                    slot.client.reset();
                    watch.gone = true;
                }
                break;
            default: static_cast<void>(client.send_text("from a handler")); break;
        }
    }

    /// One of the threads.
    void act(std::minstd_rand random) {
        for (int i = 0; i < 25; ++i) {
            Slot& slot = *slots_[random() % slots_.size()];
            const auto what = static_cast<unsigned>(random() % 24);
            if (what < 2) {
                const std::unique_lock alone(slot.mutex, std::try_to_lock);
                if (alone && slot.client != nullptr) act_alone(slot, what);
                continue;
            }
            const std::shared_lock using_it(slot.mutex, std::try_to_lock);
            if (!using_it || slot.client == nullptr) continue;
            Client& client = *slot.client;
            switch (what) {
                case 2:
                case 3:
                case 15:
                case 16: static_cast<void>(client.start()); break;
                case 4: static_cast<void>(client.connect()); break;
                case 5: static_cast<void>(client.stop(std::chrono::milliseconds(random() % 10))); break;
                case 6: static_cast<void>(client.close(CloseCode{4000}, "random")); break;
                case 7: static_cast<void>(client.ping("random")); break;
                case 8: static_cast<void>(client.send_part(Opcode::binary, {}, random() % 2 == 0)); break;
                case 9: static_cast<void>(client.receive(std::chrono::milliseconds(random() % 3))); break;
                case 10: static_cast<void>(client.drain(std::chrono::milliseconds(random() % 3))); break;
                case 11: static_cast<void>(client.state()); break;
                case 12: static_cast<void>(client.stats()); break;
                case 13: client.resume(); break;
                case 14: std::this_thread::yield(); break;
                default: {
                    const SendOptions options{.more = random() % 8 == 0};
                    static_cast<void>(client.send_text(std::string(random() % 3000, 'x'), options));
                    break;
                }
            }
        }
    }

    static void act_alone(Slot& slot, unsigned what) {
        if (what == 0) {
            slot.client.reset();
            slot.watch->gone = true;
        } else if (slot.moves) {
            Client moved = std::move(*slot.client);
            *slot.client = std::move(moved);
        }
    }

    /// The loop and the clients end in any order.
    void end() {
        const bool loop_first = chance(1, 2);
        if (loop_first) loop_.reset();
        for (const auto& slot : slots_) {
            const std::lock_guard alone(slot->mutex);
            if (slot->client == nullptr) continue;
            if (loop_first && chance(1, 2)) static_cast<void>(slot->client->start());
            slot->client.reset();
            slot->watch->gone = true;
        }
        loop_.reset();
    }

    std::minstd_rand random_;
    const std::string address_;
    std::vector<std::shared_ptr<Watch>> watches_;
    std::unique_ptr<Loop> loop_;
    std::vector<std::unique_ptr<Slot>> slots_;
};

TEST(Stress, RandomLives) {
    ScriptedServer server(temper);
    const unsigned first = number_from("TERN_STRESS_FIRST", 0);
    const unsigned count = number_from("TERN_STRESS_SEEDS", 40);
    for (unsigned seed = first; seed < first + count; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Life(seed, server.url()).run();
        if (testing::Test::HasFailure()) FAIL();
    }
}

}  // namespace
}  // namespace tern::interop
