// How much memory a client takes that does nothing but stay connected.
//     build/release/idle_memory [--clients N] [--secure] [--own-config] [--threads N]
// The server is a process of its own. One JSON line: bytes a client, as the heap counts them (mallinfo2) and as they
// are resident, silent and after a 1 KiB echo each.
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <vector>

#include <sys/resource.h>
#include <sys/wait.h>

#include <tern/tern.hpp>

#include "echo_process.hpp"

namespace {

using namespace std::chrono_literals;

struct Memory {
    double heap = 0;
    double resident = 0;
};

Memory memory_now() {
    const struct mallinfo2 info = mallinfo2();
    long pages = 0;
    if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
        long total = 0;
        if (std::fscanf(file, "%ld %ld", &total, &pages) != 2) pages = 0;
        std::fclose(file);
    }
    return {static_cast<double>(info.uordblks + info.hblkhd),
            static_cast<double>(pages) * static_cast<double>(sysconf(_SC_PAGESIZE))};
}

Memory per_client(const Memory& now, const Memory& before, std::size_t clients) {
    const auto count = static_cast<double>(clients);
    return {(now.heap - before.heap) / count, (now.resident - before.resident) / count};
}

/// Two sockets a client are not needed: the server has its own limit.
bool raise_file_limit(std::size_t wanted) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= wanted) return true;
    limit.rlim_cur = wanted;
    if (limit.rlim_max < wanted) limit.rlim_max = wanted;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

class Counter {
public:
    void add() {
        const std::lock_guard lock(mutex_);
        ++count_;
        changed_.notify_all();
    }
    bool wait_for(std::size_t count) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, 120s, [&] { return count_ >= count; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t count_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    std::size_t clients = 10'000;
    std::size_t threads = 1;
    bool secure = false;
    bool own_config = false;
    for (int i = 1; i < argc; ++i) {
        const std::string_view option = argv[i];
        if (option == "--secure") {
            secure = true;
        } else if (option == "--own-config") {
            own_config = true;
        } else if (option == "--clients" && i + 1 < argc) {
            clients = std::strtoul(argv[++i], nullptr, 10);
        } else if (option == "--threads" && i + 1 < argc) {
            threads = std::strtoul(argv[++i], nullptr, 10);
        } else {
            std::fprintf(stderr, "usage: idle_memory [--clients N] [--secure] [--own-config] [--threads N]\n");
            return 2;
        }
    }
    if (!raise_file_limit(clients + 100)) {
        std::fprintf(stderr, "%zu open files are not allowed here (RLIMIT_NOFILE)\n", clients);
        return 1;
    }
    const bench::EchoProcess server(secure);

    Counter opens;
    Counter answers;
    const std::string url = std::string(secure ? "wss" : "ws") + "://127.0.0.1:" + std::to_string(server.port()) + "/";
    const tern::Config settings{.url = url, .tls = {.verify = tern::TlsVerify::insecurely_not_at_all}};
    const auto shared = std::make_shared<const tern::Config>(settings);
    tern::Loop loop{{.threads = threads}};
    std::vector<tern::Client> all;
    all.reserve(clients);
    const auto make = [&]() -> tern::Client& {
        return own_config ? all.emplace_back(loop, settings) : all.emplace_back(loop, shared);
    };
    Memory before;
    for (std::size_t i = 0; i < clients; ++i) {
        tern::Client& client = make();
        client.on_open([&](const tern::Handshake&) { opens.add(); });
        client.on_message([&](tern::MessageView) { answers.add(); });
        client.on_error([](const tern::Error& error, bool) { std::fprintf(stderr, "%s\n", error.message().c_str()); });
        if (client.start()) return 1;
        // Not more at a time than the server's backlog takes. The first client pays for what all of them share.
        if ((i == 0 || i % 100 == 99) && !opens.wait_for(i + 1)) return 1;
        if (i == 0) {
            std::this_thread::sleep_for(100ms);
            malloc_trim(0);
            before = memory_now();
        }
    }
    if (!opens.wait_for(clients)) return 1;
    std::this_thread::sleep_for(3s);  // until quiet clients have given back what they can
    const Memory silent = per_client(memory_now(), before, clients - 1);

    const std::string kilobyte(1024, 'x');
    for (tern::Client& client : all) {
        if (client.send_text(kilobyte)) return 1;
    }
    if (!answers.wait_for(clients)) return 1;
    std::this_thread::sleep_for(3s);
    const Memory used = per_client(memory_now(), before, clients - 1);

    std::printf(
        "{\"clients\": %zu, \"secure\": %s, \"shared_config\": %s, \"threads\": %zu, \"silent_heap\": %.0f, "
        "\"silent_resident\": %.0f, \"echoed_heap\": %.0f, \"echoed_resident\": %.0f}\n",
        clients, secure ? "true" : "false", own_config ? "false" : "true", threads, silent.heap, silent.resident,
        used.heap, used.resident);
    std::fflush(stdout);
    std::_Exit(0);  // 10,000 closing handshakes are not measured here
}
