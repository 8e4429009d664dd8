// What all drivers of the benchmark have in common: what is to be measured, the clocks, and the line that is printed.
//
//     bench_NAME [--form FORM] --port PORT [--tls] --row ROW [--size N] [--count N] [--warm N] [--kind KIND] ...
//
// Rows: receive (the server floods), send (it takes all and answers with the number), echo (one at a time, with the
// latency of each), connect (and close, again and again), storm (`connections` of them at once, which stay), idle
// (memory of many connections). A row begins with `warm` messages that are not measured.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bench {

struct Task {
    std::string form;  ///< Of the driver, where it has several.
    std::string row = "receive";
    std::string kind = "binary";  ///< Or text, deflate.
    bool tls = false;
    bool spin = false;
    bool resume = false;  ///< TLS sessions, in the row `connect`.
    std::string root;     ///< A file; certificates are verified by it. Empty: not at all.
    unsigned port = 0;
    std::size_t size = 128;
    std::uint64_t count = 1000;
    std::uint64_t warm = 100;
    std::size_t connections = 1;

    [[nodiscard]] std::string host() const { return "127.0.0.1"; }
    /// The server never sleeps while an echo is measured, so that only the client's own waiting counts.
    [[nodiscard]] std::string path() const { return row == "echo" ? "/spin" : "/"; }
    [[nodiscard]] std::string url() const;
    /// What the server is told before `count` messages.
    [[nodiscard]] std::string command(std::uint64_t messages) const;
    /// What is sent.
    [[nodiscard]] std::string payload() const;
};

/// Exits with a usage message if the arguments are not to be understood, and with status 3 if there is a form that the
/// driver does not have.
Task parse(int argc, char** argv, const std::vector<std::string_view>& forms = {});

/// CPU time of the process and the time on the wall.
class Meter {
public:
    void start() noexcept;
    void stop() noexcept;
    std::uint64_t cpu = 0;  ///< In ns, between the two.
    std::uint64_t wall = 0;
};

std::uint64_t now_ns() noexcept;

/// Prints the line. `latencies` in ns, of each echo.
void report(const Task& task, const Meter& meter, std::vector<std::uint32_t> latencies = {});
/// Resident memory of a connection, in bytes: silent, and after an echo of 1 KiB. Negative: not measured.
void report_memory(const Task& task, double silent, double echoed);
[[nodiscard]] double resident_bytes();
void raise_file_limit(std::size_t wanted);
/// For drivers: what cannot be measured here.
[[noreturn]] void unsupported(std::string_view why);
[[noreturn]] void fail(std::string_view why);

/// The row `idle` for drivers that open a client after another on one thread: `open()` returns one that is connected,
/// `echo(client, message)` returns when the answer has been read. An event loop is run for as long as that takes.
template <class Open, class Echo>
void measure_idle(const Task& task, const Open& open, const Echo& echo) {
    raise_file_limit(task.connections + 100);
    std::vector<decltype(open())> all;
    all.reserve(task.connections + 1);
    all.push_back(open());  // with it comes what all have in common
    const double before = resident_bytes();
    while (all.size() <= task.connections) all.push_back(open());
    const auto per = [&] { return (resident_bytes() - before) / static_cast<double>(task.connections); };
    const double silent = per();
    const std::string kilobyte(1024, 'x');
    for (auto& client : all) echo(client, kilobyte);
    report_memory(task, silent, per());
}

/// The course of `receive`, `send` and `echo` for drivers that are called back. `opened` and `received` say what to do.
class Course {
public:
    enum class Step : std::uint8_t {
        wait,  ///< For the next message.
        ask,   ///< Send `command()` as a text message, and after it, in the row `send`, `to_send()` binary ones.
        send,  ///< Send one message.
        done,  ///< Report, and close.
    };

    explicit Course(const Task& task)
        : task_(task),
          kind_(task.row == "echo"   ? Kind::echo
                : task.row == "send" ? Kind::send
                                     : Kind::receive) {
        if (kind_ == Kind::echo) latencies_.reserve(task.count);
    }

    Step opened() { return begin(task_.warm); }
    /// A message of that size has come.
    Step received(std::size_t size) {
        bytes_ += size;
        if (kind_ == Kind::receive && ++done_ < goal_) return Step::wait;
        return end_of_message();
    }
    [[nodiscard]] std::string command() const { return task_.command(goal_); }
    [[nodiscard]] std::uint64_t to_send() const { return kind_ == Kind::send ? goal_ : 0; }
    void report() { bench::report(task_, meter_, std::move(latencies_)); }

private:
    enum class Kind : std::uint8_t { receive, send, echo };

    Step begin(std::uint64_t messages) {
        goal_ = messages;
        done_ = 0;
        bytes_ = 0;
        if (kind_ != Kind::echo) return Step::ask;
        sent_at_ = now_ns();
        return Step::send;
    }
    Step end_of_message();

    const Task& task_;
    const Kind kind_;
    bool measuring_ = false;
    std::uint64_t goal_ = 0;
    std::uint64_t done_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint64_t sent_at_ = 0;
    Meter meter_;
    std::vector<std::uint32_t> latencies_;
};

}  // namespace bench
