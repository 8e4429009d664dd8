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
// Beast has no way to join several messages in one write.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

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

template <class Stream>
std::unique_ptr<Stream> open(asio::io_context& io, const bench::Task& task) {
    std::unique_ptr<Stream> stream;
    if constexpr (std::is_same_v<Stream, Secure>) {
        stream = std::make_unique<Stream>(io, tls());
    } else {
        stream = std::make_unique<Stream>(io);
    }
    auto& socket = beast::get_lowest_layer(*stream);
    socket.connect({asio::ip::make_address(task.host()), static_cast<unsigned short>(task.port)});
    socket.set_option(asio::ip::tcp::no_delay(true));
    if constexpr (std::is_same_v<Stream, Secure>) stream->next_layer().handshake(asio::ssl::stream_base::client);
    stream->binary(true);
    stream->auto_fragment(false);
    if (task.form == "tuned") {
        stream->write_buffer_bytes(256u << 10u);
        stream->secure_prng(false);
    }
    websocket::permessage_deflate deflate;
    deflate.client_enable = task.kind == "deflate";
    deflate.compLevel = 1;
    stream->set_option(deflate);
    stream->handshake(task.host(), task.path());
    return stream;
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
            if (error) bench::fail(error.message());
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
            if (error) bench::fail(error.message());
            stream_->binary(true);
            write();
        });
    }
    void write() {
        if (left_ == 0) return;
        --left_;
        stream_->async_write(asio::buffer(payload_), [this](const beast::error_code& error, std::size_t) {
            if (error) bench::fail(error.message());
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
void run_idle(const bench::Task& task) {
    bench::raise_file_limit(task.connections + 100);
    asio::io_context io(1);
    std::vector<std::unique_ptr<Stream>> all;
    all.reserve(task.connections);
    const auto first = open<Stream>(io, task);
    const double before = bench::resident_bytes();
    for (std::size_t i = 0; i < task.connections; ++i) all.push_back(open<Stream>(io, task));
    const auto per = [&] { return (bench::resident_bytes() - before) / static_cast<double>(task.connections); };
    const double silent = per();
    const std::string kilobyte(1024, 'x');
    for (const auto& stream : all) {
        beast::flat_buffer buffer;
        stream->write(asio::buffer(kilobyte));
        stream->read(buffer);
    }
    bench::report_memory(task, silent, per());
}

template <class Stream>
void run(const bench::Task& task) {
    if (task.row == "connect") return run_connects<Stream>(task);
    if (task.row == "idle") return run_idle<Stream>(task);
    if (task.form != "async") return run_sync<Stream>(task);
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
