#include "task.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <unistd.h>
#include <utility>

#include <sys/prctl.h>
#include <sys/resource.h>

namespace bench {
namespace {

std::string program;

std::uint64_t clock_ns(clockid_t clock) noexcept {
    timespec time{};
    clock_gettime(clock, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

[[noreturn]] void usage(const std::vector<std::string_view>& forms) {
    std::string all;
    for (const std::string_view form : forms) all += std::string(all.empty() ? "" : "|") + std::string(form);
    std::fprintf(
        stderr,
        "usage: %s %s%s--port PORT [--tls] [--row receive|send|echo|connect|storm|idle] [--size N] [--count N]\n"
        "       [--warm N] [--kind binary|text|deflate] [--connections N] [--spin] [--resume]\n"
        "       [--root FILE]\n",
        program.c_str(), all.empty() ? "" : "--form ", all.empty() ? "" : (all + " ").c_str());
    std::exit(2);
}

double percentile(const std::vector<std::uint32_t>& sorted, double part) {
    return sorted[static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1))];
}

void print_task(const Task& task) {
    std::printf(
        "{\"driver\": \"%s\", \"form\": \"%s\", \"row\": \"%s\", \"kind\": \"%s\", \"tls\": %s, \"size\": %zu, "
        "\"count\": %llu, \"connections\": %zu",
        program.c_str(), task.form.c_str(), task.row.c_str(), task.kind.c_str(), task.tls ? "true" : "false", task.size,
        static_cast<unsigned long long>(task.count), task.connections);
}

}  // namespace

std::string Task::url() const { return (tls ? "wss://" : "ws://") + host() + ":" + std::to_string(port) + path(); }

std::string Task::command(std::uint64_t messages) const {
    if (row == "send") return "sink " + std::to_string(messages);
    return "flood " + std::to_string(messages) + " " + std::to_string(size) + " " + kind;
}

std::string Task::payload() const {
    if (kind != "deflate") return std::string(size, 'x');
    std::string text;
    for (unsigned seed = 7; text.size() < size;) {
        seed = seed * 1'103'515'245u + 12'345u;
        text += "{\"symbol\":\"BSDT\",\"price\":" + std::to_string(seed >> 12u) + ",\"quantity\":17},";
    }
    text.resize(size);
    return text;
}

Task parse(int argc, char** argv, const std::vector<std::string_view>& forms) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    program = argv[0];
    program.erase(0, program.find_last_of('/') + 1);
    if (program.rfind("bench_", 0) == 0) program.erase(0, 6);
    Task task;
    if (!forms.empty()) task.form = forms.front();
    for (int i = 1; i < argc; ++i) {
        const std::string_view option = argv[i];
        if (option == "--tls") {
            task.tls = true;
        } else if (option == "--spin") {
            task.spin = true;
        } else if (option == "--resume") {
            task.resume = true;
        } else if (i + 1 == argc) {
            usage(forms);
        } else if (option == "--root") {
            task.root = argv[++i];
        } else if (option == "--form") {
            task.form = argv[++i];
        } else if (option == "--row") {
            task.row = argv[++i];
        } else if (option == "--kind") {
            task.kind = argv[++i];
        } else if (option == "--port") {
            task.port = static_cast<unsigned>(std::strtoul(argv[++i], nullptr, 10));
        } else if (option == "--size") {
            task.size = std::strtoul(argv[++i], nullptr, 10);
        } else if (option == "--count") {
            task.count = std::strtoul(argv[++i], nullptr, 10);
        } else if (option == "--warm") {
            task.warm = std::strtoul(argv[++i], nullptr, 10);
        } else if (option == "--connections") {
            task.connections = std::strtoul(argv[++i], nullptr, 10);
        } else {
            usage(forms);
        }
    }
    if (task.port == 0 || task.count == 0 || task.warm == 0) usage(forms);
    if (!forms.empty() && std::find(forms.begin(), forms.end(), task.form) == forms.end()) unsupported("no such form");
    return task;
}

void Meter::start() noexcept {
    wall = clock_ns(CLOCK_MONOTONIC);
    cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void Meter::stop() noexcept {
    cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    wall = clock_ns(CLOCK_MONOTONIC) - wall;
}

std::uint64_t now_ns() noexcept { return clock_ns(CLOCK_MONOTONIC); }

void report(const Task& task, const Meter& meter, std::vector<std::uint32_t> latencies) {
    const auto count = static_cast<double>(task.count);
    print_task(task);
    std::printf(", \"cpu_ns\": %.2f, \"wall_ns\": %.2f", static_cast<double>(meter.cpu) / count,
                static_cast<double>(meter.wall) / count);
    if (!latencies.empty()) {
        std::sort(latencies.begin(), latencies.end());
        std::printf(", \"latency_p50\": %.0f, \"latency_p99\": %.0f", percentile(latencies, 0.5),
                    percentile(latencies, 0.99));
    }
    std::printf("}\n");
    std::fflush(stdout);
}

void report_memory(const Task& task, double silent, double echoed) {
    print_task(task);
    std::printf(", \"silent_bytes\": %.0f, \"echoed_bytes\": %.0f}\n", silent, echoed);
    std::fflush(stdout);
}

double resident_bytes() {
    long total = 0;
    long pages = 0;
    if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
        if (std::fscanf(file, "%ld %ld", &total, &pages) != 2) pages = 0;
        std::fclose(file);
    }
    return static_cast<double>(pages) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

void raise_file_limit(std::size_t wanted) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = std::max<rlim_t>(limit.rlim_cur, wanted);
    limit.rlim_max = std::max<rlim_t>(limit.rlim_max, limit.rlim_cur);
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) unsupported("RLIMIT_NOFILE is too small here");
}

void unsupported(std::string_view why) {
    std::fprintf(stderr, "%s: not measured: %.*s\n", program.c_str(), static_cast<int>(why.size()), why.data());
    std::exit(3);
}

void fail(std::string_view why) {
    std::fprintf(stderr, "%s: %.*s\n", program.c_str(), static_cast<int>(why.size()), why.data());
    std::exit(1);
}

Course::Step Course::end_of_message() {
    if (kind_ == Kind::echo) {
        const std::uint64_t now = now_ns();
        if (measuring_) latencies_.push_back(static_cast<std::uint32_t>(now - sent_at_));
        sent_at_ = now;
        if (++done_ < goal_) return Step::send;
    }
    if (kind_ != Kind::send && bytes_ > goal_ * task_.size) fail("more bytes came than there should be");
    if (measuring_) {
        meter_.stop();
        return Step::done;
    }
    measuring_ = true;
    meter_.start();
    return begin(task_.count);
}

}  // namespace bench
