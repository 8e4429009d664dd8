// websocketpp, with the `core_client` configuration for ASIO without logging (its manual: logging costs most), a
// message buffer that fits the messages, TCP_NODELAY for the echo (it does not set it), and sends from inside a
// handler, so that its queue can join them in one write.
#include <cstdlib>
#include <memory>
#include <string>
#include <websocketpp/client.hpp>
#include <websocketpp/config/asio_client.hpp>
#include <websocketpp/extensions/permessage_deflate/enabled.hpp>

#include <boost/asio/ssl/context.hpp>

#include "task.hpp"

namespace {

using Step = bench::Course::Step;

template <class Base>
struct Settings : Base {
    static const websocketpp::log::level alog_level = websocketpp::log::alevel::none;
    static const websocketpp::log::level elog_level = websocketpp::log::elevel::none;
    static const std::size_t connection_read_buffer = 64u << 10u;
    struct permessage_deflate_config {};
    using permessage_deflate_type = websocketpp::extensions::permessage_deflate::enabled<permessage_deflate_config>;
};
template <class Base>
struct PlainSettings : Base {
    static const websocketpp::log::level alog_level = websocketpp::log::alevel::none;
    static const websocketpp::log::level elog_level = websocketpp::log::elevel::none;
    static const std::size_t connection_read_buffer = 64u << 10u;
};
/// Each connection has that buffer, and its comment advises a smaller one for many of them.
template <class Base>
struct IdleSettings : PlainSettings<Base> {
    static const std::size_t connection_read_buffer = 1024;
};

template <class Config, bool secure>
class Runner {
public:
    using Client = websocketpp::client<Config>;
    using Handle = websocketpp::connection_hdl;

    explicit Runner(const bench::Task& task) : task_(task), payload_(task.payload()), course_(task) {
        client_.clear_access_channels(websocketpp::log::alevel::all);
        client_.clear_error_channels(websocketpp::log::elevel::all);
        client_.init_asio();
        if constexpr (secure) {
            const auto context = std::make_shared<boost::asio::ssl::context>(boost::asio::ssl::context::tls_client);
            client_.set_tls_init_handler([context](const Handle&) { return context; });
        }
        client_.set_fail_handler([](const Handle&) { bench::fail("cannot connect"); });
    }

    void run() {
        if (task_.row == "connect") return run_connects();
        if (task_.row == "idle") return run_idle();
        if (task_.row != "receive" && task_.row != "send" && task_.row != "echo") bench::unsupported("this row");
        client_.set_open_handler([this](const Handle& handle) {
            handle_ = handle;
            const auto connection = client_.get_con_from_hdl(handle);
            connection->get_raw_socket().set_option(boost::asio::ip::tcp::no_delay(true));
            act(course_.opened());
        });
        client_.set_message_handler([this](const Handle&, const typename Client::message_ptr& message) {
            act(course_.received(message->get_payload().size()));
        });
        connect();
        client_.run();
    }

private:
    Handle connect() {
        websocketpp::lib::error_code error;
        const auto connection = client_.get_connection(task_.url(), error);
        if (error) bench::fail(error.message());
        connection->set_max_message_size(32u << 20u);
        client_.connect(connection);
        return connection;
    }
    void act(Step step) {
        switch (step) {
            case Step::wait: return;
            case Step::ask:
                client_.send(handle_, course_.command(), websocketpp::frame::opcode::text);
                left_ = course_.to_send();
                return feed();
            case Step::send: return client_.send(handle_, payload_, websocketpp::frame::opcode::binary);
            case Step::done: course_.report(); std::_Exit(0);
        }
    }
    /// It has no event for room in the queue, so the rest waits for its turn on the loop.
    void feed() {
        const auto connection = client_.get_con_from_hdl(handle_);
        while (left_ > 0 && connection->get_buffered_amount() < (1u << 20u)) {
            client_.send(handle_, payload_, websocketpp::frame::opcode::binary);
            --left_;
        }
        if (left_ > 0) client_.get_io_service().post([this] { feed(); });
    }
    void run_connects() {
        bench::Meter meter;
        std::uint64_t done = 0;
        client_.set_open_handler(
            [this](const Handle& handle) { client_.close(handle, websocketpp::close::status::normal, ""); });
        client_.set_close_handler([&](const Handle&) {
            if (done == task_.warm) meter.start();
            if (done++ < task_.warm + task_.count) {
                connect();
            } else {
                meter.stop();
            }
        });
        connect();
        client_.run();
        bench::report(task_, meter);
    }

    void run_idle() {
        bool done = false;
        client_.set_open_handler([&](const Handle&) { done = true; });
        client_.set_message_handler([&](const Handle&, const typename Client::message_ptr&) { done = true; });
        const auto wait = [&] {
            while (!done) client_.run_one();
            done = false;
        };
        bench::measure_idle(
            task_,
            [&] {
                const Handle handle = connect();
                wait();
                return handle;
            },
            [&](const Handle& handle, const std::string& message) {
                client_.send(handle, message, websocketpp::frame::opcode::binary);
                wait();
            });
        std::_Exit(0);
    }

    const bench::Task& task_;
    const std::string payload_;
    bench::Course course_;
    Client client_;
    Handle handle_;
    std::uint64_t left_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    const bench::Task task = bench::parse(argc, argv);
    if (task.spin || task.resume) bench::unsupported("this row");
    const bool deflate = task.kind == "deflate";
    using websocketpp::config::asio_client;
    using websocketpp::config::asio_tls_client;
    if (task.row == "idle") {
        task.tls ? Runner<IdleSettings<asio_tls_client>, true>(task).run()
                 : Runner<IdleSettings<asio_client>, false>(task).run();
    } else if (task.tls) {
        Runner<PlainSettings<asio_tls_client>, true>(task).run();
    } else if (deflate) {
        Runner<Settings<asio_client>, false>(task).run();
    } else {
        Runner<PlainSettings<asio_client>, false>(task).run();
    }
}
