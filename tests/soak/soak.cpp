// Clients that live for a long time with a server that misbehaves, and leave nothing behind.
//
//     soak [--minutes N] [--rounds N] [--clients N] [--seed N]
//
// In rounds: clients are made on a loop and do random things while the server does worse; then all of them end. After
// each round the process must have as many descriptors and threads as before it; after the second and later ones, no
// more memory on its heap than after the first, but for a little that the C library keeps. During a round no client
// may take more memory than its ceiling. All troubles of the server must have been made, and messages have come back.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <dirent.h>
#include <malloc.h>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <tern/tern.hpp>

#include "tls_peer.hpp"
#include "troubled_server.hpp"

namespace tern::soak {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t ceiling = 512u << 10u;
/// What the heap may differ by from round to round without a leak: OpenSSL's and the C library's own.
constexpr long heap_slack = 256l << 10u;
constexpr bool own_allocator =  // mallinfo2 knows nothing of a sanitizer's
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    true;
#else
    false;
#endif
#else
    false;
#endif

struct Left {
    long heap = 0;
    long descriptors = 0;
    long threads = 0;
};

long entries(const char* folder) {
    long count = 0;
    DIR* const open = opendir(folder);
    while (readdir(open) != nullptr) ++count;
    closedir(open);
    return count;
}

Left left_now() {
    malloc_trim(0);
    return {static_cast<long>(mallinfo2().uordblks), entries("/proc/self/fd"), entries("/proc/self/task")};
}

struct Counts {
    std::atomic<std::uint64_t> received = 0;
    std::atomic<std::uint64_t> opened = 0;
    std::atomic<std::uint64_t> ended = 0;
};

class Round {
public:
    Round(std::uint64_t seed, std::uint16_t port, std::size_t clients, Counts& counts)
        : random_(static_cast<std::uint32_t>(seed)), port_(port), counts_(counts) {
        for (std::size_t i = 0; i < clients; ++i) clients_.push_back(make());
    }

    /// False if a client broke a promise.
    bool run(Clock::duration length) {
        const auto end = Clock::now() + length;
        while (Clock::now() < end) {
            for (int i = 0; i < 100; ++i) act(clients_[below(static_cast<unsigned>(clients_.size()))]);
            std::this_thread::sleep_for(1ms);
        }
        for (const auto& client : clients_) client->begin_stop(200ms);
        for (const auto& client : clients_) {
            if (client->stop(10s)) return fail("a client did not stop");
        }
        clients_.clear();
        return fine_;
    }

private:
    unsigned below(unsigned n) { return static_cast<unsigned>(random_()) % n; }
    bool fail(const char* what) {
        std::fprintf(stderr, "soak: %s\n", what);
        return fine_ = false;
    }

    std::unique_ptr<Client> make() {
        const bool secure = below(4) == 0;
        Config config{.url = std::string(secure ? "wss" : "ws") + "://127.0.0.1:" + std::to_string(port_) + "/"};
        config.tls.trust = {TlsSource::file(tls::authority_path("root.pem"))};
        config.timeouts = {.upgrade = 300ms, .attempt = 600ms, .close = 100ms, .stop = 200ms};
        config.keepalive = {.interval = 200ms, .pong_timeout = 300ms};
        config.reconnect = {
            .min_delay = 2ms, .max_delay = 50ms, .min_later = 2ms, .max_later = 50ms, .stable_after = 300ms};
        config.reconnect.rules = {{.status = 404, .retry = Retry::backoff}};
        config.limits.max_message_size = 64u << 10u;
        config.limits.max_memory = ceiling;
        config.limits.max_send_queue = 128u << 10u;
        if (below(3) == 0)
            config.offline_queue = {.max_bytes = 16u << 10u, .when_full = OfflineQueue::Full::drop_oldest};
        if (below(4) == 0) config.delivery = Delivery::chunks;
        auto client = std::make_unique<Client>(loop_, std::move(config));
        static_cast<void>(client->on_event([&counts = counts_](const Event& event) {
            if (event.kind == Event::Kind::message || event.kind == Event::Kind::chunk) ++counts.received;
            if (event.kind == Event::Kind::open) ++counts.opened;
            if (event.kind == Event::Kind::closed || event.kind == Event::Kind::failed) ++counts.ended;
        }));
        static_cast<void>(client->start());
        return client;
    }

    void act(std::unique_ptr<Client>& client) {
        switch (below(200)) {
            case 0: static_cast<void>(client->refresh()); return;
            case 1: client->reconnect_now(); return;
            case 2: client->pause(); return;
            case 3: static_cast<void>(client->close()); return;
            case 4: static_cast<void>(client->stop(20ms)); return;
            case 5: client = make(); return;
            case 6: static_cast<void>(client->ping("soak")); return;
            case 7: static_cast<void>(client->send_part(Opcode::text, as_bytes("part"), below(2) == 0)); return;
            case 8: static_cast<void>(client->send_part(Opcode::continuation, {}, true)); return;
            case 9: static_cast<void>(client->send_binary(as_bytes(std::string(below(60'000), 'l')))); return;
            default: break;
        }
        client->resume();
        if (client->state() == State::idle) static_cast<void>(client->start());  // Who had enough begins anew.
        if (client->stats().memory > ceiling) fail("a client takes more memory than its ceiling");
        static_cast<void>(client->send_text("a message, and how many like it: " + std::to_string(below(1000))));
    }

    std::minstd_rand random_;
    std::uint16_t port_;
    Counts& counts_;
    Loop loop_{{.threads = 2}};
    std::vector<std::unique_ptr<Client>> clients_;
    bool fine_ = true;
};

bool differs(const Left& now, const Left& first, unsigned long round) {
    std::printf("round %lu: heap %ld bytes (%+ld), %ld descriptors, %ld threads\n", round, now.heap,
                now.heap - first.heap, now.descriptors, now.threads);
    std::fflush(stdout);
    const bool grown = !own_allocator && round > 0 && now.heap > first.heap + heap_slack;
    if (now.descriptors != first.descriptors) std::fprintf(stderr, "soak: descriptors are left\n");
    if (now.threads != first.threads) std::fprintf(stderr, "soak: threads are left\n");
    if (grown) std::fprintf(stderr, "soak: the heap grows\n");
    return grown || now.descriptors != first.descriptors || now.threads != first.threads;
}

}  // namespace
}  // namespace tern::soak

int main(int argc, char** argv) {
    using namespace tern::soak;
    unsigned long minutes = 0;
    unsigned long rounds = 4;
    unsigned long clients = 200;
    unsigned long seed = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view option = argv[i];
        unsigned long* const value = option == "--minutes"   ? &minutes
                                     : option == "--rounds"  ? &rounds
                                     : option == "--clients" ? &clients
                                     : option == "--seed"    ? &seed
                                                             : nullptr;
        if (value == nullptr) {
            std::fprintf(stderr, "usage: soak [--minutes N] [--rounds N] [--clients N] [--seed N]\n");
            return 2;
        }
        *value = std::strtoul(argv[i + 1], nullptr, 10);
    }
    const auto length = minutes != 0 ? 15s : 2s;
    if (minutes != 0) rounds = minutes * 4;
    std::printf("%lu clients, %lu rounds of %lld s, seed %lu\n", clients, rounds,
                static_cast<long long>(length.count()), seed);

    TroubledServer server(seed);
    Counts counts;
    Left first;
    for (unsigned long round = 0; round <= rounds; ++round) {
        // The first is to warm up: tables and caches of all libraries.
        const bool fine = Round(seed + round, server.port(), clients, counts).run(round == 0 ? 1s : length);
        server.drop_all();
        if (!fine) return 1;
        if (round == 0) {
            first = left_now();
        } else if (differs(left_now(), first, round)) {
            return 1;
        }
    }
    std::printf("%llu connections, %llu opened, %llu endings, %llu messages came back\n",
                static_cast<unsigned long long>(server.accepted()), static_cast<unsigned long long>(counts.opened),
                static_cast<unsigned long long>(counts.ended), static_cast<unsigned long long>(counts.received));
    bool all = counts.received > clients && counts.opened > clients;
    // On a slow machine, with a sanitizer, there are too few connections for all of them.
    for (std::size_t i = 1; i < trouble_count && server.accepted() > 2000; ++i) {
        all = all && server.made(static_cast<Trouble>(i)) > 0;
    }
    if (!all) std::fprintf(stderr, "soak: not every trouble was made, or too little came back\n");
    return all ? 0 : 1;
}
