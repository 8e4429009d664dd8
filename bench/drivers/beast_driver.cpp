// Boost.Beast:
//
//     sync   blocking calls, as its documentation calls the fastest for one connection; `read` into one flat_buffer
//     that
//            is kept, and no fragmentation when writing
//     async  asynchronous calls on one io_context with a concurrency hint of 1, so that it takes no locks
//     tuned  as sync, with what its documentation and its issues advise: large buffers for writing (write_buffer_bytes,
//            256 KiB), `secure_prng(false)` (keys that are quick to make; tern's are never like that), a large receive
//            buffer, and `read_some` into it, so that a large message comes in large pieces
//
// Beast has no way to join several messages in one write. Idle clients write through 1 KiB instead of 4, and give back
// what they have read into.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include "task.hpp"

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using Step = bench::Course::Step;
using Plain = websocket::stream<asio::ip::tcp::socket>;
using Secure = websocket::stream<beast::ssl_stream<asio::ip::tcp::socket>>;

asio::ssl::context& tls() {
    static asio::ssl::context context(asio::ssl::context::tls_client);
    return context;
}

asio::ip::tcp::endpoint server(const bench::Task& task) {
    return {asio::ip::make_address(task.host()), static_cast<unsigned short>(task.port)};
}

/// Not connected yet.
template <class Stream>
std::unique_ptr<Stream> make(asio::io_context& io, const bench::Task& task) {
    std::unique_ptr<Stream> stream;
    if constexpr (std::is_same_v<Stream, Secure>) {
        stream = std::make_unique<Stream>(io, tls());
    } else {
        stream = std::make_unique<Stream>(io);
    }
    auto& socket = beast::get_lowest_layer(*stream);
    socket.open(asio::ip::tcp::v4());
    socket.set_option(asio::ip::tcp::no_delay(true));
    stream->binary(true);
    stream->auto_fragment(false);
    if (task.form == "tuned") {
        stream->write_buffer_bytes(256u << 10u);
        stream->secure_prng(false);
    }
    if (task.row == "idle") stream->write_buffer_bytes(1024);
    websocket::permessage_deflate deflate;
    deflate.client_enable = task.kind == "deflate";
    deflate.compLevel = 1;
    stream->set_option(deflate);
    return stream;
}

template <class Stream>
std::unique_ptr<Stream> open(asio::io_context& io, const bench::Task& task) {
    auto stream = make<Stream>(io, task);
    beast::get_lowest_layer(*stream).connect(server(task));
    if constexpr (std::is_same_v<Stream, Secure>) stream->next_layer().handshake(asio::ssl::stream_base::client);
    stream->handshake(task.host(), task.path());
    return stream;
}

void check(const beast::error_code& error) {
    if (error) bench::fail(error.message());
}

/// The same without blocking; `opened` is called in the end.
template <class Stream, class Opened>
void async_open(Stream& stream, const bench::Task& task, Opened opened) {
    const auto upgrade = [&stream, &task, opened](const beast::error_code& error) {
        check(error);
        stream.async_handshake(task.host(), task.path(), [opened](const beast::error_code& refused) {
            check(refused);
            opened();
        });
    };
    beast::get_lowest_layer(stream).async_connect(server(task), [&stream, upgrade](const beast::error_code& error) {
        check(error);
        if constexpr (std::is_same_v<Stream, Secure>) {
            stream.next_layer().async_handshake(asio::ssl::stream_base::client, upgrade);
        } else {
            upgrade(error);
        }
    });
}

template <class Stream>
std::size_t read_message(Stream& stream, beast::flat_buffer& buffer, const bench::Task& task) {
    if (task.form != "tuned") {
        buffer.clear();
        return stream.read(buffer);
    }
    static std::vector<char> memory(std::max<std::size_t>(256u << 10u, task.size));
    std::size_t size = 0;
    do size += stream.read_some(asio::buffer(memory.data() + size, memory.size() - size));
    while (!stream.is_message_done());
    return size;
}

template <class Stream>
void run_sync(const bench::Task& task) {
    asio::io_context io(1);
    const auto stream = open<Stream>(io, task);
    const std::string payload = task.payload();
    beast::flat_buffer buffer;
    bench::Course course(task);
    for (Step step = course.opened();;) {
        if (step == Step::done) break;
        if (step == Step::ask) {
            stream->text(true);
            stream->write(asio::buffer(course.command()));
            stream->binary(true);
            for (std::uint64_t left = course.to_send(); left > 0; --left) stream->write(asio::buffer(payload));
        } else if (step == Step::send) {
            stream->write(asio::buffer(payload));
        }
        step = course.received(read_message(*stream, buffer, task));
    }
    course.report();
    std::_Exit(0);
}

template <class Stream>
class Async {
public:
    Async(asio::io_context& io, const bench::Task& task)
        : stream_(open<Stream>(io, task)), payload_(task.payload()), course_(task) {
        act(course_.opened());
        read();
    }

private:
    void read() {
        stream_->async_read(buffer_, [this](const beast::error_code& error, std::size_t size) {
            check(error);
            buffer_.clear();
            act(course_.received(size));
            read();
        });
    }
    void act(Step step) {
        if (step == Step::wait) return;
        if (step == Step::done) {
            course_.report();
            std::_Exit(0);
        }
        left_ = step == Step::ask ? course_.to_send() : 1;
        if (step == Step::send) return write();
        command_ = course_.command();
        stream_->text(true);
        stream_->async_write(asio::buffer(command_), [this](const beast::error_code& error, std::size_t) {
            check(error);
            stream_->binary(true);
            write();
        });
    }
    void write() {
        if (left_ == 0) return;
        --left_;
        stream_->async_write(asio::buffer(payload_), [this](const beast::error_code& error, std::size_t) {
            check(error);
            write();
        });
    }

    std::unique_ptr<Stream> stream_;
    const std::string payload_;
    std::string command_;
    beast::flat_buffer buffer_;
    bench::Course course_;
    std::uint64_t left_ = 0;
};

template <class Stream>
void run_connects(const bench::Task& task) {
    asio::io_context io(1);
    bench::Meter meter;
    for (std::uint64_t i = 0; i < task.warm + task.count; ++i) {
        if (i == task.warm) meter.start();
        const auto stream = open<Stream>(io, task);
        beast::error_code ignored;  // that the server does not say goodbye in TLS too
        stream->close(websocket::close_code::normal, ignored);
    }
    meter.stop();
    bench::report(task, meter);
}

template <class Stream>
void run_async_connects(const bench::Task& task) {
    asio::io_context io(1);
    bench::Meter meter;
    std::uint64_t done = 0;
    std::unique_ptr<Stream> stream;
    std::function<void()> next = [&] {
        if (done == task.warm) meter.start();
        if (done++ == task.warm + task.count) return meter.stop();
        stream = make<Stream>(io, task);
        async_open(*stream, task, [&] {
            stream->async_close(websocket::close_code::normal, [&](const beast::error_code&) { next(); });
        });
    };
    next();
    io.run();
    bench::report(task, meter);
}

template <class Stream>
void run_idle(const bench::Task& task) {
    asio::io_context io(1);
    bench::measure_idle(
        task, [&] { return open<Stream>(io, task); },
        [](const std::unique_ptr<Stream>& stream, const std::string& message) {
            beast::flat_buffer buffer;
            stream->write(asio::buffer(message));
            stream->read(buffer);
        });
}

/// Waits for a message at any time.
template <class Stream>
class Listener {
public:
    Listener(asio::io_context& io, const bench::Task& task) : io_(io), stream_(make<Stream>(io, task)) {
        bool opened = false;
        async_open(*stream_, task, [&] { opened = true; });
        while (!opened) io_.run_one();
        read();
    }
    void echo(const std::string& message) {
        const std::uint64_t before = received_;
        stream_->async_write(asio::buffer(message), [](const beast::error_code& error, std::size_t) { check(error); });
        while (received_ == before) io_.run_one();
    }

private:
    void read() {
        stream_->async_read(buffer_, [this](const beast::error_code& error, std::size_t) {
            check(error);
            ++received_;
            buffer_.clear();
            buffer_.shrink_to_fit();
            read();
        });
    }

    asio::io_context& io_;
    std::unique_ptr<Stream> stream_;
    beast::flat_buffer buffer_;
    std::uint64_t received_ = 0;
};

template <class Stream>
void run_async_idle(const bench::Task& task) {
    asio::io_context io(1);
    const auto work = asio::make_work_guard(io);  // between a handshake and the first read there is none
    bench::measure_idle(
        task, [&] { return std::make_unique<Listener<Stream>>(io, task); },
        [](const std::unique_ptr<Listener<Stream>>& listener, const std::string& message) { listener->echo(message); });
    std::_Exit(0);
}

template <class Stream>
void run(const bench::Task& task) {
    const bool async = task.form == "async";
    if (task.row == "connect") return async ? run_async_connects<Stream>(task) : run_connects<Stream>(task);
    if (task.row == "idle") return async ? run_async_idle<Stream>(task) : run_idle<Stream>(task);
    if (!async) return run_sync<Stream>(task);
    asio::io_context io(1);
    const Async<Stream> client(io, task);
    io.run();
}

}  // namespace

int main(int argc, char** argv) {
    const bench::Task task = bench::parse(argc, argv, {"sync", "async", "tuned"});
    if (task.spin || task.resume) bench::unsupported("this row");
    task.tls ? run<Secure>(task) : run<Plain>(task);
}
