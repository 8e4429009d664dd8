// tern::AsyncClient with every kind of token, cancelled in every phase, destroyed with operations under way.
#include <tern/async_client.hpp>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/experimental/deferred.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>
#include <gtest/gtest.h>

#include "scripted_server.hpp"

namespace tern::interop {
namespace {

using namespace std::chrono_literals;
using namespace asio::experimental::awaitable_operators;

constexpr auto bearable = 20s;
constexpr auto as_tuple = asio::experimental::as_tuple(asio::use_awaitable);
const std::error_code aborted = asio::error::operation_aborted;

Config quick(std::string url) {
    return {.url = std::move(url),
            .timeouts = {.close = 500ms},
            .keepalive = {.interval = 0ms},
            .reconnect = {.enabled = false}};
}

/// Echoes messages, and answers Close frames.
void echo(Peer& peer) {
    if (!peer.upgrade()) return;
    while (const auto read = peer.read_frame()) {
        if (!peer.send(frame(read->opcode, read->payload)) || read->opcode == 8) return;
    }
}
void deaf(Peer& peer) {
    peer.upgrade();
    peer.hold();
}
void mute(Peer& peer) { peer.hold(); }

/// Runs the coroutine on a context of its own until it has ended, and everything else with it.
template <class Body>
void run(Body body) {
    asio::io_context io;
    std::exception_ptr thrown;
    bool ended = false;
    asio::co_spawn(io, body(asio::any_io_executor(io.get_executor())), [&](std::exception_ptr exception) {
        thrown = exception;
        ended = true;
    });
    io.run_for(bearable);
    EXPECT_TRUE(ended) << "it hangs";
    if (thrown) std::rethrow_exception(thrown);
}

/// The io_context returns from `run`: nothing of the client is left.
void expect_nothing_left(asio::io_context& io) {
    io.restart();
    const auto before = std::chrono::steady_clock::now();
    io.run_for(bearable);
    EXPECT_LT(std::chrono::steady_clock::now() - before, bearable);
}

// --- tokens --------------------------------------------------------------------------------------------------------

TEST(AsyncTokens, Coroutines) {
    ScriptedServer server(echo);
    run([&](asio::any_io_executor executor) -> asio::awaitable<void> {
        AsyncClient client{executor, quick(server.url())};
        EXPECT_TRUE(client.get_executor() == executor);
        co_await client.async_connect(asio::use_awaitable);
        EXPECT_EQ(client.state(), State::open);
        for (int i = 0; i < 100; ++i) {
            co_await client.async_send(std::to_string(i), asio::use_awaitable);
            const Message answer = co_await client.async_receive(asio::use_awaitable);
            EXPECT_TRUE(answer.is_text());
            EXPECT_EQ(answer.text(), std::to_string(i));
        }
        co_await client.async_send(as_bytes("bytes"), asio::use_awaitable);
        const Message answer = co_await client.async_receive(asio::use_awaitable);
        EXPECT_FALSE(answer.is_text());
        co_await client.async_drain(asio::use_awaitable);
        co_await client.async_close(CloseCode::normal, "bye", asio::use_awaitable);
        EXPECT_EQ(client.state(), State::idle);
        EXPECT_TRUE(client.last_error() == Errc::closed_locally);
        // It can be used again.
        co_await client.async_connect(asio::use_awaitable);
        co_await client.async_close(CloseCode::normal, "", asio::use_awaitable);
    });
}

TEST(AsyncTokens, CoroutinesGetExceptions) {
    run([&](asio::any_io_executor executor) -> asio::awaitable<void> {
        AsyncClient client{executor, quick("http://wrong")};
        std::error_code error;
        try {
            co_await client.async_connect(asio::use_awaitable);
        } catch (const std::system_error& thrown) {
            error = thrown.code();
        }
        EXPECT_EQ(error, Errc::url_scheme);
        EXPECT_TRUE(client.last_error() == Errc::url_scheme);
    });
}

TEST(AsyncTokens, Futures) {
    ScriptedServer server(echo);
    asio::thread_pool pool(3);
    {
        AsyncClient client{pool.get_executor(), quick(server.url())};
        client.async_connect(asio::use_future).get();
        std::vector<std::future<Message>> answers;
        for (int i = 0; i < 100; ++i) answers.push_back(client.async_receive(asio::use_future));
        for (int i = 0; i < 100; ++i) client.async_send(std::to_string(i), asio::use_future).get();
        for (int i = 0; i < 100; ++i) EXPECT_EQ(answers[static_cast<std::size_t>(i)].get().text(), std::to_string(i));
        client.async_drain(asio::use_future).get();
        client.async_close(CloseCode::normal, "", asio::use_future).get();
        EXPECT_THROW(client.async_receive(asio::use_future).get(), std::system_error);
    }
    pool.join();
}

TEST(AsyncTokens, CallbacksAreNeverCalledInline) {
    ScriptedServer server(echo);
    asio::io_context io;
    AsyncClient client{io.get_executor(), quick(server.url())};
    bool inside = false;
    int answers = 0;
    const auto outside = [&] { EXPECT_FALSE(inside) << "called before the function had returned"; };
    const auto guarded = [&](auto&& begin) {
        inside = true;
        begin();
        inside = false;
    };
    std::function<void()> receive = [&] {
        guarded([&] {
            client.async_receive([&](std::error_code error, const Message& message) {
                outside();
                EXPECT_FALSE(error);
                EXPECT_EQ(message.text(), std::to_string(answers));
                if (++answers < 50) return receive();
                guarded([&] { client.async_close(CloseCode::normal, "", [&](std::error_code) { outside(); }); });
            });
        });
    };
    guarded([&] {
        client.async_connect([&](std::error_code error) {
            outside();
            ASSERT_FALSE(error);
            guarded([&] {
                // All at once; they keep their order.
                for (int i = 0; i < 50; ++i) {
                    client.async_send(std::to_string(i), [&](std::error_code sent) {
                        outside();
                        EXPECT_FALSE(sent);
                    });
                }
            });
            receive();
        });
    });
    io.run_for(bearable);
    EXPECT_EQ(answers, 50);
    EXPECT_TRUE(io.stopped()) << "something is left";
}

TEST(AsyncTokens, DeferredAndDetached) {
    ScriptedServer server(echo);
    run([&](asio::any_io_executor executor) -> asio::awaitable<void> {
        AsyncClient client{executor, quick(server.url())};
        auto connect = client.async_connect(asio::experimental::deferred);
        EXPECT_EQ(client.state(), State::idle) << "nothing has begun";
        co_await std::move(connect)(asio::use_awaitable);
        EXPECT_EQ(client.state(), State::open);
        client.async_send("x", asio::detached);
        auto receive = client.async_receive(asio::experimental::deferred);
        const Message answer = co_await std::move(receive)(asio::use_awaitable);
        EXPECT_EQ(answer.text(), "x");
    });
}

std::atomic<int> allocations = 0;
std::atomic<int> deallocations = 0;

template <class T>
struct Counting {
    using value_type = T;
    Counting() = default;
    template <class U>
    Counting(const Counting<U>&) {}  // NOLINT(google-explicit-constructor): as allocators are
    T* allocate(std::size_t n) {
        ++allocations;
        return std::allocator<T>().allocate(n);
    }
    void deallocate(T* memory, std::size_t n) {
        ++deallocations;
        std::allocator<T>().deallocate(memory, n);
    }
    template <class U>
    bool operator==(const Counting<U>&) const {
        return true;
    }
};

TEST(AsyncTokens, MoveOnlyHandlersRunOnTheirExecutorWithTheirAllocator) {
    allocations = deallocations = 0;
    struct Handler {
        using executor_type = asio::io_context::executor_type;
        using allocator_type = Counting<void*>;

        [[nodiscard]] executor_type get_executor() const noexcept { return executor; }
        [[nodiscard]] allocator_type get_allocator() const noexcept { return {}; }
        void operator()(std::error_code error) const {
            EXPECT_FALSE(error);
            EXPECT_TRUE(executor.running_in_this_thread());
            *called = true;
        }

        executor_type executor;
        std::unique_ptr<int> move_only;
        bool* called;
    };
    ScriptedServer server(echo);
    asio::thread_pool pool(1);
    asio::io_context io;
    bool called = false;
    AsyncClient client{pool.get_executor(), quick(server.url())};
    client.async_connect(Handler{io.get_executor(), std::make_unique<int>(1), &called});
    io.run_for(bearable);  // held by the work of the operation
    EXPECT_TRUE(called);
    EXPECT_GT(allocations, 0);
    EXPECT_EQ(allocations, deallocations);
}

// --- what the operations promise -----------------------------------------------------------------------------------

TEST(AsyncOperations, FailuresAreTold) {
    ScriptedServer server([](Peer& peer) {
        peer.read_request();
        peer.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    });
    run([&](asio::any_io_executor executor) -> asio::awaitable<void> {
        AsyncClient client{executor, quick(server.url())};
        auto [early] = co_await client.async_send("x", as_tuple);
        EXPECT_EQ(early, Errc::not_connected);
        auto [nothing, message] = co_await client.async_receive(as_tuple);
        EXPECT_EQ(nothing, Errc::not_connected);
        auto [undrained] = co_await client.async_drain(as_tuple);
        EXPECT_EQ(undrained, Errc::not_connected);
        auto [unclosed] = co_await client.async_close(CloseCode::normal, "", as_tuple);
        EXPECT_EQ(unclosed, Errc::not_connected);
        auto [refused] = co_await client.async_connect(as_tuple);
        EXPECT_EQ(refused, Errc::upgrade_refused);
        EXPECT_EQ(client.last_error().response.status, 404);
    });
}

TEST(AsyncOperations, OneConnectAtATime) {
    ScriptedServer server(echo);
    run([&](asio::any_io_executor executor) -> asio::awaitable<void> {
        AsyncClient client{executor, quick(server.url())};
        std::optional<std::error_code> second;
        auto first = client.async_connect(asio::experimental::deferred);
        client.async_connect([&](std::error_code error) { EXPECT_EQ(error, aborted) << "the client goes before"; });
        client.async_connect([&](std::error_code error) { second = error; });
        auto [third] = co_await std::move(first)(as_tuple);
        EXPECT_EQ(third, Errc::already_started);
        EXPECT_EQ(second, make_error_code(Errc::already_started));
    });
}

TEST(AsyncOperations, TheEndOfTheConnectionEndsThoseThatWait) {
    ScriptedServer server([](Peer& peer) {
        peer.upgrade();
        peer.send(frame(1, "last") + close_frame(4000, "enough"));
        peer.drain();
    });
    run([&](asio::any_io_executor executor) -> asio::awaitable<void> {
        AsyncClient client{executor, quick(server.url())};
        co_await client.async_connect(asio::use_awaitable);
        const Message last = co_await client.async_receive(asio::use_awaitable);
        EXPECT_EQ(last.text(), "last");
        auto [error, message] = co_await client.async_receive(as_tuple);
        EXPECT_EQ(error, Errc::closed_by_peer);
    });
}

TEST(AsyncOperations, MessagesThatNobodyReceivesAreHeldBackInTheServer) {
    std::atomic<bool> all_sent = false;
    ScriptedServer server([&](Peer& peer) {
        peer.upgrade();
        const std::string message = frame(2, std::string(10'000, 'x'));
        for (int i = 0; i < 5'000 && peer.send(message); ++i) {
        }
        all_sent = true;
        peer.drain();
    });
    run([&](asio::any_io_executor executor) -> asio::awaitable<void> {
        AsyncClient client{executor, quick(server.url())};
        co_await client.async_connect(asio::use_awaitable);
        for (int i = 0; i < 5'000; ++i) {
            const Message message = co_await client.async_receive(asio::use_awaitable);
            EXPECT_EQ(message.data.size(), 10'000u);
            if (i == 500) {
                EXPECT_FALSE(all_sent) << "nothing between the server and us can hold 45 MB";
            }
        }
    });
}

TEST(AsyncOperations, BehindALargeMessageReadingGoesOn) {
    std::promise<bool> answered;
    ScriptedServer server([&](Peer& peer) {
        peer.upgrade();
        peer.send(frame(2, std::string(200'000, 'x')) + frame(9, "still there?"));
        const auto pong = peer.read_frame();
        answered.set_value(pong && pong->opcode == 10);
        peer.hold();
    });
    run([&](asio::any_io_executor executor) -> asio::awaitable<void> {
        AsyncClient client{executor, quick(server.url())};
        co_await client.async_connect(asio::use_awaitable);
        EXPECT_EQ((co_await client.async_receive(asio::use_awaitable)).data.size(), 200'000u);
        auto pong = answered.get_future();
        asio::steady_timer timer(executor);
        for (int i = 0; i < 1000 && pong.wait_for(0ms) != std::future_status::ready; ++i) {
            timer.expires_after(1ms);
            co_await timer.async_wait(asio::use_awaitable);  // nobody receives
        }
        EXPECT_EQ(pong.wait_for(0ms), std::future_status::ready) << "it is not read any more";
    });
}

TEST(AsyncOperations, SendsWaitForRoomInTheirOrder) {
    std::string received;
    {
        ScriptedServer server([&](Peer& peer) {
            peer.upgrade();
            while (const auto read = peer.read_frame()) {
                if (read->opcode == 8) {
                    peer.send(frame(8, read->payload));
                    return;
                }
                received += read->payload.substr(0, 1);
            }
        });
        Config config = quick(server.url());
        config.limits.max_send_queue = 300'000;
        config.timeouts.close = 20s;
        run([&](asio::any_io_executor executor) -> asio::awaitable<void> {
            AsyncClient client{executor, config};
            co_await client.async_connect(asio::use_awaitable);
            std::size_t accepted = 0;
            for (int i = 0; i < 200; ++i) {
                client.async_send(std::string(200'000, static_cast<char>('a' + i % 26)), [&, i](std::error_code error) {
                    EXPECT_FALSE(error);
                    EXPECT_EQ(accepted++, static_cast<std::size_t>(i));
                });
            }
            auto [never] = co_await client.async_send(std::string(400'000, 'x'), as_tuple);
            EXPECT_EQ(never, Errc::send_queue_full) << "it is larger than the queue";
            co_await client.async_drain(asio::use_awaitable);
            EXPECT_EQ(accepted, 200u);
            EXPECT_EQ(client.stats().send_queued, 0u);
            co_await client.async_close(CloseCode::normal, "", asio::use_awaitable);
        });
    }
    ASSERT_EQ(received.size(), 200u);
    for (std::size_t i = 0; i < 200; ++i) EXPECT_EQ(received[i], static_cast<char>('a' + i % 26));
}

TEST(AsyncOperations, WhatIsThereNeedsNoOperation) {
    constexpr int count = 1'000;
    ScriptedServer server(echo);
    run([&](asio::any_io_executor executor) -> asio::awaitable<void> {
        Config slow = quick(server.url());
        slow.timeouts.connect = slow.timeouts.upgrade = slow.timeouts.attempt = 60s;  // no timer helps out meanwhile
        AsyncClient client{executor, slow};
        EXPECT_EQ(client.try_send("too early"), Errc::not_connected);
        EXPECT_FALSE(client.try_receive());
        co_await client.async_connect(asio::use_awaitable);
        EXPECT_FALSE(client.try_send("nothing follows", {.more = true}));
        co_await client.async_drain(asio::use_awaitable);
        const Message drained = co_await client.async_receive(asio::use_awaitable);
        EXPECT_EQ(drained.text(), "nothing follows");
        for (int i = 0; i < count; ++i) {
            EXPECT_FALSE(client.try_send(std::to_string(i), {.more = i + 1 < count}));
        }
        for (int i = 0; i < count;) {
            std::optional<Message> message = co_await client.async_receive(asio::use_awaitable);
            for (; message; message = client.try_receive()) {
                EXPECT_EQ(message->text(), std::to_string(i++));
            }
        }
        co_await client.async_close(CloseCode::normal, "", asio::use_awaitable);
        EXPECT_EQ(client.try_send("too late"), Errc::not_connected);
    });
}

TEST(AsyncOperations, WhoWaitsForRoomComesFirst) {
    ScriptedServer server(deaf);
    run([&](asio::any_io_executor executor) -> asio::awaitable<void> {
        Config small = quick(server.url());
        small.limits.max_send_queue = 2u << 20u;
        AsyncClient client{executor, small};
        co_await client.async_connect(asio::use_awaitable);
        const std::string large(1u << 20u, 'x');
        while (!client.try_send(large)) {
        }
        EXPECT_EQ(client.try_send(large, {.wait = bearable}), Errc::send_queue_full) << "it never waits";
        int waits = 0;
        client.async_send(large, [&](std::error_code error) { waits += error ? 1 : 100; });
        EXPECT_EQ(client.try_send("small, and there is room for it"), Errc::send_queue_full);
        client.cancel();
        co_await asio::post(executor, asio::use_awaitable);
        EXPECT_EQ(waits, 1);
        EXPECT_FALSE(client.try_send("small, and there is room for it"));
    });
}

TEST(AsyncOperations, DrainFailsWithTheConnection) {
    std::promise<void> draining;
    ScriptedServer server([&](Peer& peer) {
        peer.upgrade();
        static_cast<void>(draining.get_future().wait_for(20s));
        peer.reset();
    });
    run([&](asio::any_io_executor executor) -> asio::awaitable<void> {
        AsyncClient client{executor, quick(server.url())};
        co_await client.async_connect(asio::use_awaitable);
        co_await client.async_send(std::string(30'000'000, 'x'), asio::use_awaitable);
        asio::post(executor, [&] { draining.set_value(); });  // when the next line waits
        auto [error] = co_await client.async_drain(as_tuple);
        EXPECT_TRUE(error == Condition::closed) << error.message();
    });
}

TEST(AsyncOperations, EventsAreToldAndWhatTheyThrowComesOutOfRun) {
    ScriptedServer server(echo);
    asio::io_context io;
    AsyncClient client{io.get_executor(), quick(server.url())};
    EXPECT_FALSE(client.on_event([&](const Event& event) {
        if (event.kind == Event::Kind::open) throw std::runtime_error("from a handler");
    }));
    client.async_connect([](std::error_code error) { EXPECT_FALSE(error); });
    EXPECT_THROW(io.run_for(bearable), std::runtime_error);
    EXPECT_EQ(client.on_event({}), make_error_code(Errc::handlers_in_use));
}

// --- cancellation --------------------------------------------------------------------------------------------------

constexpr asio::cancellation_type types[] = {asio::cancellation_type::total, asio::cancellation_type::partial,
                                             asio::cancellation_type::terminal};

TEST(AsyncCancellation, OfConnecting) {
    ScriptedServer silent(mute);
    Config config = quick(silent.url());
    config.timeouts.upgrade = 200ms;
    for (const asio::cancellation_type type : types) {
        run([&](asio::any_io_executor executor) -> asio::awaitable<void> {
            AsyncClient client{executor, config};
            asio::cancellation_signal signal;
            std::optional<std::error_code> outcome;
            client.async_connect(asio::bind_cancellation_slot(signal.slot(), [&](std::error_code e) { outcome = e; }));
            co_await asio::post(executor, asio::use_awaitable);
            signal.emit(type);
            EXPECT_FALSE(outcome) << "not inline";
            asio::steady_timer timer(executor);
            while (!outcome) {
                timer.expires_after(1ms);
                co_await timer.async_wait(asio::use_awaitable);
            }
            EXPECT_EQ(*outcome, aborted);
            // Idle again: the next attempt may begin.
            EXPECT_EQ(client.state(), State::idle);
            auto [again] = co_await (client.async_connect(as_tuple));
            EXPECT_EQ(again, Errc::upgrade_timeout);
        });
    }
}

TEST(AsyncCancellation, OfReceivingLosesNothing) {
    ScriptedServer server(echo);
    for (const asio::cancellation_type type : types) {
        run([&](asio::any_io_executor executor) -> asio::awaitable<void> {
            AsyncClient client{executor, quick(server.url())};
            co_await client.async_connect(asio::use_awaitable);
            asio::cancellation_signal signal;
            std::optional<std::error_code> outcome;
            client.async_receive(
                asio::bind_cancellation_slot(signal.slot(), [&](std::error_code e, const Message&) { outcome = e; }));
            signal.emit(type);
            co_await client.async_send("x", asio::use_awaitable);
            const Message answer = co_await client.async_receive(asio::use_awaitable);
            EXPECT_EQ(answer.text(), "x");
            EXPECT_EQ(outcome, aborted);
            signal.emit(type);  // too late for anything
        });
    }
}

TEST(AsyncCancellation, ByATimeoutInACoroutine) {
    ScriptedServer server(deaf);
    run([&](asio::any_io_executor executor) -> asio::awaitable<void> {
        AsyncClient client{executor, quick(server.url())};
        co_await client.async_connect(asio::use_awaitable);
        for (int i = 0; i < 20; ++i) {
            asio::steady_timer timer(executor, 1ms);
            const auto result =
                co_await (client.async_receive(asio::use_awaitable) || timer.async_wait(asio::use_awaitable));
            EXPECT_EQ(result.index(), 1u);
        }
    });
}

TEST(AsyncCancellation, OfSendingAndDraining) {
    ScriptedServer server(deaf);
    Config config = quick(server.url());
    config.limits.max_send_queue = 20'000'000;
    for (const asio::cancellation_type type : types) {
        run([&](asio::any_io_executor executor) -> asio::awaitable<void> {
            AsyncClient client{executor, config};
            co_await client.async_connect(asio::use_awaitable);
            co_await client.async_send(std::string(19'000'000, 'x'), asio::use_awaitable);
            asio::cancellation_signal signals[3];
            std::optional<std::error_code> outcomes[3];
            const auto bound = [&](std::size_t i) {
                return asio::bind_cancellation_slot(signals[i].slot(), [&, i](std::error_code e) { outcomes[i] = e; });
            };
            client.async_send(std::string(19'000'000, 'y'), bound(0));
            client.async_send(std::string(19'000'000, 'z'), bound(1));
            client.async_drain(bound(2));
            co_await asio::post(executor, asio::use_awaitable);
            const auto before = client.stats();
            for (auto& signal : signals) signal.emit(type);
            co_await asio::post(executor, asio::use_awaitable);
            co_await asio::post(executor, asio::use_awaitable);
            for (const auto& outcome : outcomes) EXPECT_EQ(outcome, aborted);
            EXPECT_EQ(client.stats().messages_sent, before.messages_sent);
        });
    }
}

TEST(AsyncCancellation, OfClosing) {
    ScriptedServer server(deaf);
    for (const asio::cancellation_type type : types) {
        run([&](asio::any_io_executor executor) -> asio::awaitable<void> {
            AsyncClient client{executor, quick(server.url())};
            co_await client.async_connect(asio::use_awaitable);
            asio::cancellation_signal signal;
            std::optional<std::error_code> outcome;
            client.async_close(CloseCode::normal, "",
                               asio::bind_cancellation_slot(signal.slot(), [&](std::error_code e) { outcome = e; }));
            co_await asio::post(executor, asio::use_awaitable);
            signal.emit(type);
            asio::steady_timer timer(executor);
            while (!outcome) {
                timer.expires_after(1ms);
                co_await timer.async_wait(asio::use_awaitable);
            }
            switch (type) {
                case asio::cancellation_type::total: EXPECT_EQ(*outcome, Errc::close_timeout); break;
                case asio::cancellation_type::partial:
                    EXPECT_EQ(*outcome, aborted);
                    EXPECT_EQ(client.state(), State::closing);
                    break;
                default: EXPECT_EQ(*outcome, aborted); EXPECT_EQ(client.state(), State::idle);
            }
        });
    }
}

// --- the end -------------------------------------------------------------------------------------------------------

TEST(AsyncEnding, DestructionAbortsWhatIsUnderWay) {
    ScriptedServer server(deaf);
    for (const bool connected : {false, true}) {
        asio::io_context io;
        std::vector<std::error_code> outcomes;
        const auto note = [&](std::error_code error) { outcomes.push_back(error); };
        auto client = std::make_unique<AsyncClient>(io.get_executor(), quick(server.url()));
        if (connected) {
            auto opened = client->async_connect(asio::use_future);
            while (opened.wait_for(0s) != std::future_status::ready) io.run_one_for(1s);
            EXPECT_NO_THROW(opened.get());
            client->async_send(std::string(60'000'000, 'x'), asio::detached);
            client->async_send(std::string(60'000'000, 'x'), note);
            client->async_receive([&](std::error_code error, const Message&) { note(error); });
            client->async_drain(note);
            client->async_close(CloseCode::normal, "", note);
        } else {
            client->async_connect(note);
            client->async_receive([&](std::error_code error, const Message&) { note(error); });
        }
        client.reset();
        EXPECT_TRUE(outcomes.empty()) << "not inline";
        expect_nothing_left(io);
        EXPECT_EQ(outcomes, std::vector<std::error_code>(connected ? 4 : 2, aborted));
    }
}

TEST(AsyncEnding, TheContextMayEndWithEverythingInIt) {
    ScriptedServer server(echo);
    for (int turns : {0, 1, 2, 3, 5, 8, 13, 21}) {
        asio::io_context io;
        asio::co_spawn(
            io,
            [&, executor = asio::any_io_executor(io.get_executor())]() -> asio::awaitable<void> {
                AsyncClient client{executor, quick(server.url())};
                co_await client.async_connect(asio::use_awaitable);
                for (;;) {
                    co_await client.async_send("x", asio::use_awaitable);
                    co_await client.async_receive(asio::use_awaitable);
                }
            },
            asio::detached);
        for (int i = 0; i < turns; ++i) io.run_one_for(100ms);
    }
}

TEST(AsyncEnding, ACompletionMayDestroyTheClient) {
    ScriptedServer server(echo);
    asio::io_context io;
    auto client = std::make_unique<AsyncClient>(io.get_executor(), quick(server.url()));
    bool gone = false;
    client->async_receive([](std::error_code error, const Message&) { EXPECT_EQ(error, Errc::not_connected); });
    client->async_connect([&](std::error_code error) {
        EXPECT_FALSE(error);
        client.reset();
        gone = true;
    });
    io.run_for(bearable);
    EXPECT_TRUE(gone);
    EXPECT_TRUE(io.stopped());
}

TEST(AsyncEnding, CanBeMovedWithOperationsUnderWay) {
    ScriptedServer server(echo);
    run([&](asio::any_io_executor executor) -> asio::awaitable<void> {
        AsyncClient client{executor, quick(server.url())};
        AsyncClient other{executor, quick(server.url())};
        co_await client.async_connect(asio::use_awaitable);
        std::string answer;
        client.async_receive([&](std::error_code, const Message& message) { answer = message.data; });
        other = std::move(client);
        co_await other.async_send("1", asio::use_awaitable);
        co_await other.async_send("2", asio::use_awaitable);
        const Message second = co_await other.async_receive(asio::use_awaitable);
        EXPECT_EQ(answer, "1");
        EXPECT_EQ(second.text(), "2");
    });
}

TEST(AsyncClientOnThreads, ManyCoroutinesOnAPoolUseOneClient) {
    ScriptedServer server(echo);
    asio::thread_pool pool(4);
    std::atomic<int> received = 0;
    {
        AsyncClient client{pool.get_executor(), quick(server.url())};
        client.async_connect(asio::use_future).get();
        std::vector<std::future<void>> ends;
        for (int t = 0; t < 8; ++t) {
            ends.push_back(asio::co_spawn(
                pool,
                [&]() -> asio::awaitable<void> {
                    for (int i = 0; i < 100; ++i) {
                        co_await client.async_send("x", asio::use_awaitable);
                        co_await client.async_receive(asio::use_awaitable);
                        ++received;
                    }
                },
                asio::use_future));
        }
        for (auto& end : ends) end.get();
    }
    EXPECT_EQ(received, 800);
    pool.join();
}

}  // namespace
}  // namespace tern::interop
