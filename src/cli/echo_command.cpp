#include "echo_command.hpp"

#include <csignal>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/websocket/option.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <fmt/format.h>

#include "exit_code.hpp"

namespace tern::cli {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using asio::ip::tcp;
using Request = http::request<http::string_body>;
using Secure = asio::ssl::stream<beast::tcp_stream>;

constexpr std::size_t max_message = 64u << 20u;

/// The number behind `prefix` in a path, such as 1001 in "/close/1001".
std::optional<unsigned> number_in(std::string_view path, std::string_view prefix) {
    if (path.substr(0, prefix.size()) != prefix || path.size() == prefix.size() || path.size() > prefix.size() + 4) {
        return std::nullopt;
    }
    unsigned number = 0;
    for (const char c : path.substr(prefix.size())) {
        if (c < '0' || c > '9') return std::nullopt;
        number = number * 10 + static_cast<unsigned>(c - '0');
    }
    return number;
}

/// The subprotocol to answer with: the configured one, if the client offers it.
bool offers(const Request& request, std::string_view subprotocol) {
    const auto offered = request[http::field::sec_websocket_protocol];
    for (const auto token : http::token_list(offered)) {
        if (std::string_view(token.data(), token.size()) == subprotocol) return true;
    }
    return false;
}

template <class Stream>
asio::awaitable<void> refuse(Stream& stream, const Request& request, unsigned status) {
    http::response<http::string_body> response{http::int_to_status(status), 11};
    response.result(status);
    response.set(http::field::content_type, "text/plain");
    response.body() = fmt::format("the path {} asks for this answer\n", std::string(request.target()));
    response.keep_alive(false);
    response.prepare_payload();
    co_await http::async_write(stream, response, asio::use_awaitable);
    beast::error_code ignored;
    beast::get_lowest_layer(stream).socket().shutdown(tcp::socket::shutdown_send, ignored);
}

/// A message. Before Boost 1.90 Beast takes a compressed one for damaged if the end of it finds no room in the buffer
/// (boostorg/beast issue 3028), so there always is more than the 1,536 bytes that it reads at once can become.
template <class Stream>
asio::awaitable<void> read_message(websocket::stream<Stream>& websocket, beast::flat_buffer& buffer) {
    constexpr std::size_t room = 2u << 20u;
    do {
        // In leaps, because it moves what is there.
        if (buffer.capacity() - buffer.size() < room) buffer.reserve(2 * (buffer.size() + room));
        buffer.commit(co_await websocket.async_read_some(buffer.prepare(room), asio::use_awaitable));
    } while (!websocket.is_message_done());
}

template <class Stream>
asio::awaitable<void> echo_messages(websocket::stream<Stream>& websocket) {
    beast::flat_buffer buffer;
    for (;;) {
        co_await read_message(websocket, buffer);
        websocket.text(websocket.got_text());
        co_await websocket.async_write(buffer.data(), asio::use_awaitable);
        buffer.consume(buffer.size());
    }
}

template <class Stream>
asio::awaitable<void> converse(Stream stream, const EchoOptions& options) {
    beast::flat_buffer buffer;
    Request request;
    co_await http::async_read(stream, buffer, request, asio::use_awaitable);
    const std::string path(request.target());
    if (path == "/silent") {
        // Never an answer; the client's deadlines are on trial. It ends when the client goes away.
        for (char byte = 0;;) co_await stream.async_read_some(asio::buffer(&byte, 1), asio::use_awaitable);
    }
    if (const auto status = number_in(path, "/status/"); status && *status >= 200 && *status <= 999) {
        co_return co_await refuse(stream, request, *status);
    }
    if (!websocket::is_upgrade(request)) co_return co_await refuse(stream, request, 426);

    websocket::stream<Stream> websocket(std::move(stream));
    websocket.read_message_max(max_message);
    if (options.compress) {
        websocket::permessage_deflate deflate;
        deflate.server_enable = true;
        deflate.compLevel = 1;
        websocket.set_option(deflate);
    }
    websocket.auto_fragment(options.fragment != 0);
    if (options.fragment != 0) websocket.write_buffer_bytes(options.fragment < 8 ? 8 : options.fragment);
    websocket.set_option(websocket::stream_base::decorator([&](websocket::response_type& response) {
        response.set(http::field::server, "tern echo");
        if (!options.subprotocol.empty() && offers(request, options.subprotocol)) {
            response.set(http::field::sec_websocket_protocol, options.subprotocol);
        }
    }));
    co_await websocket.async_accept(request, asio::use_awaitable);
    if (const auto code = number_in(path, "/close/")) {
        const websocket::close_reason reason(static_cast<websocket::close_code>(*code), "as the path asks");
        co_return co_await websocket.async_close(reason, asio::use_awaitable);
    }
    co_await echo_messages(websocket);
}

/// Without `context` in the clear.
asio::awaitable<void> serve(tcp::socket socket, const EchoOptions& options, asio::ssl::context* context) {
    try {
        socket.set_option(tcp::no_delay(true));
        beast::tcp_stream stream(std::move(socket));
        if (context == nullptr) co_return co_await converse(std::move(stream), options);
        Secure secure(std::move(stream), *context);
        co_await secure.async_handshake(asio::ssl::stream_base::server, asio::use_awaitable);
        co_await converse(std::move(secure), options);
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): how a client ends is no concern of the others
    }
}

asio::awaitable<void> accept(tcp::acceptor acceptor, const EchoOptions& options, asio::ssl::context* context) {
    for (;;) {
        beast::error_code error;
        tcp::socket socket = co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
        if (error == asio::error::operation_aborted) co_return;
        if (error) continue;
        asio::co_spawn(acceptor.get_executor(), serve(std::move(socket), options, context), asio::detached);
    }
}

/// False, and says why, if a file cannot be used.
bool load(asio::ssl::context& context, const EchoOptions& options) {
    const auto complain = [](const char* option, const std::string& file, const beast::error_code& error) {
        fmt::print(stderr, "tern: {} {}: {}\n", option, file, error.message());
        return false;
    };
    beast::error_code error;
    context.use_certificate_chain_file(options.certificate, error);
    if (error) return complain("--cert", options.certificate, error);
    const std::string& key = options.key.empty() ? options.certificate : options.key;
    context.use_private_key_file(key, asio::ssl::context::pem, error);
    if (error) return complain("--key", key, error);
    return true;
}

}  // namespace

int echo(const EchoOptions& options) {
    asio::io_context io{1};
    beast::error_code error;
    const auto address = asio::ip::make_address(options.host, error);
    if (error) {
        fmt::print(stderr, "tern: --host {}: not an IP address\n", options.host);
        return exit_usage;
    }
    asio::ssl::context context(asio::ssl::context::tls_server);
    const bool secure = !options.certificate.empty();
    if (secure && !load(context, options)) return exit_usage;
    tcp::acceptor acceptor(io);
    const tcp::endpoint endpoint(address, options.port);
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
        fmt::print(stderr, "tern: cannot listen on {} port {}: {}\n", options.host, options.port, error.message());
        return exit_connect;
    }
    const std::string host = address.is_v6() ? '[' + options.host + ']' : options.host;
    fmt::print("listening on {}://{}:{}\n", secure ? "wss" : "ws", host, acceptor.local_endpoint().port());
    std::fflush(stdout);

    asio::signal_set signals(io, SIGINT, SIGTERM);
    signals.async_wait([&io](const beast::error_code&, int) { io.stop(); });
    asio::co_spawn(io, accept(std::move(acceptor), options, secure ? &context : nullptr), asio::detached);
    io.run();
    return exit_ok;
}

}  // namespace tern::cli
