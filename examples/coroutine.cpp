// A coroutine on the program's own Asio loop, with a deadline for each answer.
//     build/release/example_coroutine ws://localhost:9001
#include <chrono>
#include <exception>
#include <iostream>
#include <string>
#include <variant>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <tern/async_client.hpp>

namespace {

using namespace asio::experimental::awaitable_operators;

asio::awaitable<void> talk(std::string url) {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    tern::AsyncClient client{executor, tern::Config{.url = std::move(url)}};
    co_await client.async_connect(asio::use_awaitable);
    for (const char* question : {"one", "two", "three"}) {
        co_await client.async_send(question, asio::use_awaitable);
        asio::steady_timer deadline(executor, std::chrono::seconds(5));
        auto outcome = co_await (client.async_receive(asio::use_awaitable) ||  //
                                 deadline.async_wait(asio::use_awaitable));
        const auto* answer = std::get_if<tern::Message>(&outcome);
        if (answer == nullptr) throw std::system_error(make_error_code(tern::Errc::call_timeout));
        std::cout << answer->text() << '\n';
    }
    co_await client.async_close(tern::CloseCode::normal, "", asio::use_awaitable);
}

}  // namespace

int main(int argc, char** argv) {
    asio::io_context io;
    int status = 0;
    asio::co_spawn(io, talk(argc > 1 ? argv[1] : "ws://localhost:9001"), [&](const std::exception_ptr& thrown) {
        try {
            if (thrown) std::rethrow_exception(thrown);
        } catch (const std::exception& exception) {
            std::cerr << exception.what() << '\n';
            status = 1;
        }
    });
    io.run();
    return status;
}
