// tern in its forms:
//
//     client  a `Client` with a thread of its own; messages are sent inside handlers, so that they leave together
//     loop    the same on a `Loop`
//     thread  a `Client` that the main thread uses: `send_binary` there, `receive` there
//     more    the same, and all messages but the last are said to have more behind them
//     threads the same as `thread`, but four threads send
//     async   an `AsyncClient` and coroutines, which take what is there and then wait
//     poll    the driver on poll() (src/posix)
//
// What is sent is paced by `limits.max_send_queue` and the event `writable`, as docs/guide.md has it.
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <malloc.h>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>

#include <tern/async_client.hpp>
#include <tern/tern.hpp>

#include "poll_runner.hpp"
#include "task.hpp"

namespace {

using namespace std::chrono_literals;
using Step = bench::Course::Step;

tern::Config config_of(const bench::Task& task) {
    tern::Config config{.url = task.url(), .tls = {.resume = task.resume}};
    if (task.root.empty()) config.tls.verify = tern::TlsVerify::insecurely_not_at_all;
    if (!task.root.empty()) config.tls.trust = {tern::TlsSource::file(task.root)};
    config.compression.enabled = task.kind == "deflate";
    config.limits.max_send_queue = (1u << 20u) + 2 * task.size;
    config.reconnect.enabled = false;
    return config;
}

void check(const std::error_code& error) {
    if (error) bench::fail(error.message());
}
void check(const tern::Error& error) {
    if (error) bench::fail(error.message());
}

/// A flag that the main thread waits for.
class Gate {
public:
    void open() {
        const std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }
    void wait() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return open_; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = false;
};

/// One connection's course, in the client's own handlers. `Sender` has send(opcode, bytes).
template <class Sender>
class Player {
public:
    Player(const bench::Task& task, Sender& sender) : payload_(task.payload()), course_(task), sender_(sender) {}

    /// True: it is over.
    bool opened() { return act(course_.opened()); }
    bool received(std::size_t size) {
        const Step step = course_.received(size);
        return step != Step::wait && act(step);
    }
    /// As many messages as find room.
    void feed() {
        while (left_ > 0) {
            const std::error_code error = sender_.send(tern::Opcode::binary, tern::as_bytes(payload_));
            if (!error) {
                --left_;
                continue;
            }
            if (error == make_error_code(tern::Errc::send_queue_full)) return;
            check(error);
        }
    }
    void report() { course_.report(); }

private:
    bool act(Step step) {
        switch (step) {
            case Step::wait: break;
            case Step::ask:
                check(sender_.send(tern::Opcode::text, tern::as_bytes(course_.command())));
                left_ = course_.to_send();
                feed();
                break;
            case Step::send: check(sender_.send(tern::Opcode::binary, tern::as_bytes(payload_))); break;
            case Step::done: return true;
        }
        return false;
    }

    const std::string payload_;
    bench::Course course_;
    Sender& sender_;
    std::uint64_t left_ = 0;
};

struct ClientSender {
    tern::Client& client;
    std::error_code send(tern::Opcode opcode, tern::Bytes bytes) const {
        return opcode == tern::Opcode::text ? client.send_text(tern::as_text(bytes)) : client.send_binary(bytes);
    }
};

void run_client(const bench::Task& task) {
    tern::Loop loop{{.spin = task.spin}};
    tern::Client client = task.form == "loop" ? tern::Client(loop, config_of(task)) : tern::Client(config_of(task));
    ClientSender sender{client};
    Player player(task, sender);
    Gate over;
    client.on_open([&](const tern::Handshake&) { static_cast<void>(player.opened()); });
    client.on_message([&](tern::MessageView message) {
        if (player.received(message.bytes.size())) {
            player.report();
            over.open();
        }
    });
    if (task.row == "send") {
        client.on_event([&](const tern::Event& event) {
            if (event.kind == tern::Event::Kind::writable) player.feed();
        });
    }
    client.on_error([](const tern::Error& error, bool) { check(error); });
    client.on_close([](const tern::CloseInfo& info) { check(info.error); });
    check(client.start());
    over.wait();
    std::_Exit(0);
}

/// Outside of handlers.
void send_from_threads(tern::Client& client, const bench::Task& task, tern::Bytes payload, std::uint64_t messages) {
    const bool more = task.form == "more";
    const auto send = [&](std::uint64_t count) {
        for (std::uint64_t i = 1; i <= count; ++i) {
            check(client.send_binary(payload, {.wait = 10s, .more = more && i < count}));
        }
    };
    if (task.form != "threads" || messages == 1) return send(messages);
    constexpr std::uint64_t threads = 4;
    std::vector<std::thread> all;
    for (std::uint64_t i = 0; i < threads; ++i) {
        all.emplace_back(send, messages / threads + (i < messages % threads ? 1 : 0));
    }
    for (std::thread& thread : all) thread.join();
}

void run_thread(const bench::Task& task) {
    tern::Client client(config_of(task));
    check(client.connect());
    const std::string payload = task.payload();
    bench::Course course(task);
    for (Step step = course.opened();;) {
        if (step == Step::done) break;
        if (step == Step::ask) check(client.send_text(course.command(), {.wait = 10s}));
        const std::uint64_t messages = step == Step::ask ? course.to_send() : step == Step::send ? 1 : 0;
        send_from_threads(client, task, tern::as_bytes(payload), messages);
        const auto message = client.receive(20s);
        if (!message) check(message.error());
        step = course.received(message->data.size());
    }
    course.report();
    std::_Exit(0);
}

void run_async(const bench::Task& task) {
    asio::io_context io{1};
    tern::AsyncClient client(io.get_executor(), config_of(task));
    const std::string payload = task.payload();
    bench::Course course(task);
    const auto talk = [&]() -> asio::awaitable<void> {
        co_await client.async_connect(asio::use_awaitable);
        for (Step step = course.opened();;) {
            if (step == Step::done) break;
            if (step == Step::ask) co_await client.async_send(course.command(), asio::use_awaitable);
            const std::uint64_t messages = step == Step::ask ? course.to_send() : step == Step::send ? 1 : 0;
            for (std::uint64_t i = 1; i <= messages; ++i) {
                if (!client.try_send(tern::as_bytes(payload), {.more = i < messages})) continue;
                co_await client.async_send(tern::as_bytes(payload), asio::use_awaitable);  // waits for room
            }
            std::optional<tern::Message> message = client.try_receive();
            if (!message) message = co_await client.async_receive(asio::use_awaitable);
            step = course.received(message->data.size());
        }
        course.report();
        std::_Exit(0);
    };
    asio::co_spawn(io, talk(), [](const std::exception_ptr& failed) {
        if (failed) std::rethrow_exception(failed);
    });
    io.run();
}

void run_poll(const bench::Task& task) {
    struct PollSender {
        tern::posix::PollRunner* runner = nullptr;
        std::error_code send(tern::Opcode opcode, tern::Bytes bytes) const { return runner->send(opcode, bytes); }
    };
    PollSender sender;
    Player player(task, sender);
    tern::posix::PollRunner runner(config_of(task), [&](const tern::Event& event) {
        switch (event.kind) {
            case tern::Event::Kind::open: static_cast<void>(player.opened()); break;
            case tern::Event::Kind::message:
                if (!player.received(event.bytes.size())) break;
                player.report();
                std::_Exit(0);
            case tern::Event::Kind::writable: player.feed(); break;
            case tern::Event::Kind::closed: check(event.close->error); break;
            case tern::Event::Kind::failed: check(*event.error); break;
            default: break;
        }
    });
    sender.runner = &runner;
    check(runner.start());
    while (runner.run_once(10s)) {
    }
}

// --- connecting ----------------------------------------------------------------------------------------------------

/// One after the other: the last event of a life begins the next.
void run_connects(const bench::Task& task) {
    tern::Loop loop;
    tern::Client client(loop, config_of(task));
    Gate over;
    bench::Meter meter;
    std::uint64_t done = 0;
    client.on_open([&](const tern::Handshake&) { check(client.close()); });
    client.on_close([&](const tern::CloseInfo& info) {
        if (!info.clean()) check(info.error);
        if (done == task.warm) meter.start();
        if (done++ < task.warm + task.count) return check(client.start());
        meter.stop();
        over.open();
    });
    client.on_error([](const tern::Error& error, bool) { check(error); });
    check(client.start());
    over.wait();
    bench::report(task, meter);
    std::_Exit(0);
}

// --- many ----------------------------------------------------------------------------------------------------------

class Counter {
public:
    void add() {
        if (++count_ != goal_) return;
        const std::lock_guard lock(mutex_);
        changed_.notify_all();
    }
    void expect(std::size_t goal) {
        count_ = 0;
        goal_ = goal;
    }
    void wait() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return count_ >= goal_; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::atomic<std::size_t> count_ = 0;
    std::atomic<std::size_t> goal_ = 0;
};

std::vector<tern::Client> open_many(tern::Loop& loop, std::size_t count,
                                    const std::shared_ptr<const tern::Config>& config,
                                    const std::function<void(std::size_t, tern::MessageView)>& on_message) {
    std::vector<tern::Client> all;
    all.reserve(count);
    for (std::size_t i = 0; i < count; i += 100) {
        Counter opens;
        const std::size_t batch = std::min<std::size_t>(100, count - i);
        opens.expect(batch);
        for (std::size_t j = 0; j < batch; ++j) {
            tern::Client& client = all.emplace_back(loop, config);
            client.on_open([&opens](const tern::Handshake&) { opens.add(); });
            client.on_message([&on_message, which = i + j](tern::MessageView message) { on_message(which, message); });
            client.on_error([](const tern::Error& error, bool) { check(error); });
            check(client.start());
        }
        opens.wait();
    }
    return all;
}

/// All at once.
[[noreturn]] void run_storm(bench::Task task) {
    bench::raise_file_limit(task.connections + 100);
    tern::Loop loop;
    const auto config = std::make_shared<const tern::Config>(config_of(task));
    std::vector<tern::Client> all;
    all.reserve(task.connections);
    Counter opens;
    opens.expect(task.connections);
    task.count = task.connections;
    bench::Meter meter;
    meter.start();
    for (std::size_t i = 0; i < task.connections; ++i) {
        tern::Client& client = all.emplace_back(loop, config);
        client.on_open([&opens](const tern::Handshake&) { opens.add(); });
        client.on_error([](const tern::Error& error, bool) { check(error); });
        check(client.start());
    }
    opens.wait();
    meter.stop();
    bench::report(task, meter);
    std::_Exit(0);
}

void run_idle(const bench::Task& task) {
    bench::raise_file_limit(task.connections + 100);
    tern::Loop loop;
    Counter answers;
    const auto config = std::make_shared<const tern::Config>(config_of(task));
    const std::function<void(std::size_t, tern::MessageView)> on_message = [&](std::size_t, tern::MessageView) {
        answers.add();
    };
    const auto first = open_many(loop, 1, config, on_message);
    std::this_thread::sleep_for(100ms);
    malloc_trim(0);
    const double before = bench::resident_bytes();
    auto all = open_many(loop, task.connections, config, on_message);
    const auto per = [&] {
        std::this_thread::sleep_for(3s);  // until quiet clients have given back what they can
        return (bench::resident_bytes() - before) / static_cast<double>(task.connections);
    };
    const double silent = per();
    answers.expect(task.connections);
    const std::string kilobyte(1024, 'x');
    for (tern::Client& client : all) check(client.send_binary(tern::as_bytes(kilobyte)));
    answers.wait();
    bench::report_memory(task, silent, per());
    std::_Exit(0);
}

void run_many(const bench::Task& task) {
    bench::raise_file_limit(task.connections + 100);
    tern::Loop loop;
    const bool echo = task.row == "echo";
    const std::string payload = task.payload();
    std::vector<tern::Client> all;
    std::vector<std::uint64_t> left(task.connections);
    Counter finished;
    const std::function<void(std::size_t, tern::MessageView)> on_message = [&](std::size_t which, tern::MessageView) {
        if (--left[which] == 0) return finished.add();
        if (echo) check(all[which].send_binary(tern::as_bytes(payload)));
    };
    all = open_many(loop, task.connections, std::make_shared<const tern::Config>(config_of(task)), on_message);
    bench::Meter meter;
    for (const bool measured : {false, true}) {
        const std::uint64_t each = std::max<std::uint64_t>((measured ? task.count : task.warm) / task.connections, 1);
        left.assign(task.connections, each);
        finished.expect(task.connections);
        if (measured) meter.start();
        for (tern::Client& client : all) {
            check(echo ? client.send_binary(tern::as_bytes(payload)) : client.send_text(task.command(each)));
        }
        finished.wait();
    }
    meter.stop();
    bench::Task actual = task;
    actual.count = std::max<std::uint64_t>(task.count / task.connections, 1) * task.connections;
    bench::report(actual, meter);
    std::_Exit(0);
}

}  // namespace

int main(int argc, char** argv) {
    const bench::Task task = bench::parse(argc, argv, {"client", "loop", "thread", "more", "threads", "async", "poll"});
    if (task.spin && task.form != "loop") bench::unsupported("only a Loop spins");
    if (task.row == "idle" || task.row == "connect" || task.row == "storm" || task.connections > 1) {
        if (task.form != "loop") bench::unsupported("of this row only the form loop");
        if (task.row == "idle") run_idle(task);
        if (task.row == "connect") run_connects(task);
        if (task.row == "storm") run_storm(task);
        run_many(task);
    }
    if (task.form == "thread" || task.form == "more" || task.form == "threads") {
        run_thread(task);
    } else if (task.form == "async") {
        run_async(task);
    } else if (task.form == "poll") {
        run_poll(task);
    } else {
        run_client(task);
    }
}
