// Beginning and ending, from any thread and from inside handlers.
#include <atomic>
#include <filesystem>
#include <future>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "scripted_server.hpp"
#include "watched_client.hpp"

namespace tern::interop {
namespace {

using namespace std::chrono_literals;

/// Echoes text and binary messages, answers pings and Close frames.
void echo(Peer& peer) {
    if (!peer.upgrade()) return;
    while (const auto read = peer.read_frame()) {
        if (read->opcode == 8) {
            peer.send(frame(8, read->payload));
            return;
        }
        if (!peer.send(frame(read->opcode == 9 ? 10 : read->opcode, read->payload, read->fin))) return;
    }
}

void deaf(Peer& peer) {
    peer.upgrade();
    peer.hold();
}

using Clock = std::chrono::steady_clock;
/// Proves that something does not hang; no claim about speed.
constexpr auto bearable = 10s;

/// Reads nothing for a while, and then everything.
void slow(Peer& peer, const std::atomic<bool>& go) {
    if (!peer.upgrade()) return;
    while (!go) std::this_thread::sleep_for(1ms);
    peer.drain();
}

TEST(BeginStop, DoesNotWaitForAHandler) {
    ScriptedServer server(deaf);
    std::promise<void> release;
    WatchedClient client(patient_config(server.url()), false);
    static_cast<void>(client->on_open([&](const Handshake&) { release.get_future().wait(); }));
    ASSERT_FALSE(client->start());
    while (client->state() != State::open) std::this_thread::yield();
    client->begin_stop(0ms);
    release.set_value();
    ASSERT_TRUE(client.wait_for_end());
    EXPECT_TRUE(client.error() == Errc::stopped);
}

TEST(Flush, WaitsForTheKernelAlsoInsideAHandler) {
    std::atomic<bool> go = false;
    ScriptedServer server([&](Peer& peer) { slow(peer, go); });
    const std::string large(32u << 20u, 'x');
    std::promise<std::vector<std::error_code>> outcome;
    Client client{patient_config(server.url())};
    EXPECT_EQ(client.flush(10ms), Errc::not_connected);
    client.on_open([&](const Handshake&) {
        std::vector<std::error_code> results;
        results.push_back(client.flush(0ms));
        results.push_back(client.send_binary(as_bytes(large)));
        results.push_back(client.flush(20ms));
        go = true;
        results.push_back(client.flush(bearable, 1000));
        outcome.set_value(results);
    });
    ASSERT_FALSE(client.start());
    const std::vector<std::error_code> expected{{}, {}, Errc::call_timeout, {}};
    EXPECT_EQ(outcome.get_future().get(), expected);
    EXPECT_LE(client.stats().send_queued, 1000u);
    EXPECT_FALSE(client.pong("unasked"));
    EXPECT_FALSE(client.flush(bearable));
}

TEST(Blocking, ConnectSendReceiveClose) {
    ScriptedServer server(echo);
    Client client{short_config(server.url())};
    ASSERT_FALSE(client.connect());
    EXPECT_FALSE(client.send_text("hello"));
    EXPECT_FALSE(client.send_binary(as_bytes("bytes")));
    const Result<Message> text = client.receive(bearable);
    ASSERT_TRUE(text) << text.error().message();
    EXPECT_TRUE(text->is_text());
    EXPECT_EQ(text->text(), "hello");
    const Result<Message> binary = client.receive(bearable);
    ASSERT_TRUE(binary);
    EXPECT_EQ(binary->opcode, Opcode::binary);
    EXPECT_TRUE(client.receive(20ms).error() == Errc::call_timeout);
    client.stop();
    EXPECT_TRUE(client.receive(bearable).error() == Errc::closed_locally);
    EXPECT_EQ(client.state(), State::idle);
}

TEST(Blocking, AClientCanBeUsedAgain) {
    ScriptedServer server(echo);
    Client client{short_config(server.url())};
    for (int i = 0; i < 3; ++i) {
        ASSERT_FALSE(client.connect());
        EXPECT_FALSE(client.send_text("again"));
        EXPECT_TRUE(client.receive(bearable));
        client.stop();
    }
    EXPECT_EQ(client.stats().connects, 3u);
}

TEST(Blocking, MessagesThatNobodyReceivesAreHeldBackInTheServer) {
    std::atomic<bool> all_sent = false;
    ScriptedServer server([&](Peer& peer) {
        peer.upgrade();
        const std::string message = frame(2, std::string(10'000, 'x'));
        for (int i = 0; i < 10'000 && peer.send(message); ++i) {
        }
        all_sent = true;
        peer.drain();
    });
    Client client{short_config(server.url())};
    ASSERT_FALSE(client.connect());
    for (int i = 0; i < 10'000; ++i) {
        ASSERT_TRUE(client.receive(bearable)) << "message " << i;
        if (i == 1000) {
            EXPECT_FALSE(all_sent) << "nothing between the server and us can hold 90 MB";
        }
    }
}

TEST(Blocking, FailuresOfConnect) {
    EXPECT_TRUE(Client{Config{.url = "http://x"}}.connect() == Errc::url_scheme);
    EXPECT_TRUE((Client{Config{.url = "ws://x", .proxy = "ftp://x"}}.connect() == Errc::proxy_url));
    ScriptedServer server(deaf);
    Client client{short_config(server.url())};
    ASSERT_FALSE(client.connect());
    EXPECT_TRUE(client.connect() == Errc::already_started);
    EXPECT_TRUE(client.start() == Errc::already_started);
    EXPECT_EQ(client.on_open([](const Handshake&) {}), make_error_code(Errc::handlers_in_use));
}

TEST(Misuse, LeavesTheConnectionAlone) {
    ScriptedServer server(echo);
    Client client{short_config(server.url())};
    EXPECT_EQ(client.send_text("early"), make_error_code(Errc::not_connected));
    EXPECT_EQ(client.ping(), make_error_code(Errc::not_connected));
    EXPECT_EQ(client.close(), make_error_code(Errc::not_connected));
    EXPECT_TRUE(client.receive(1ms).error() == Errc::not_connected);
    ASSERT_FALSE(client.connect());
    EXPECT_EQ(client.ping(std::string(126, 'x')), make_error_code(Errc::control_payload_too_long));
    EXPECT_EQ(client.send_text("\xff"), make_error_code(Errc::outgoing_text_not_utf8));
    EXPECT_EQ(client.close(CloseCode{1005}, "x"), make_error_code(Errc::invalid_close_reason));
    EXPECT_EQ(client.close(CloseCode{1006}), make_error_code(Errc::invalid_close_code));
    EXPECT_EQ(client.close(CloseCode::normal, std::string(124, 'x')), make_error_code(Errc::invalid_close_reason));
    EXPECT_EQ(client.send_part(Opcode::continuation, {}, true), make_error_code(Errc::no_message_in_progress));
    EXPECT_EQ(client.send_part(Opcode::ping, {}, true), make_error_code(Errc::invalid_opcode));
    EXPECT_FALSE(client.send_part(Opcode::text, as_bytes("a"), false));
    EXPECT_EQ(client.send_text("b"), make_error_code(Errc::message_in_progress));
    EXPECT_FALSE(client.send_part(Opcode::continuation, as_bytes("b"), true));
    const Result<Message> answer = client.receive(bearable);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->text(), "ab");
}

TEST(Ending, StopAndDestructorMeetTheirDeadlineWhateverTheServerDoes) {
    for (const auto& script : {std::function<void(Peer&)>(deaf), std::function<void(Peer&)>(echo),
                               std::function<void(Peer&)>([](Peer& peer) { peer.hold(); })}) {
        ScriptedServer server(script);
        const auto before = Clock::now();
        {
            Client client{short_config(server.url())};
            EXPECT_FALSE(client.start());
            client.stop();  // perhaps before the connection is made
        }
        {
            Client client{short_config(server.url())};
            static_cast<void>(client.connect());
        }
        EXPECT_LT(Clock::now() - before, bearable);
    }
}

TEST(Ending, QueuedMessagesGoOutBeforeTheClose) {
    std::size_t received = 0;
    std::optional<unsigned> code;
    {
        ScriptedServer server([&](Peer& peer) {
            peer.upgrade();
            std::this_thread::sleep_for(50ms);  // lets the messages pile up
            while (const auto read = peer.read_frame()) {
                if (read->opcode == 8) {
                    code = read->close_code();
                    peer.send(frame(8, read->payload));
                    return;
                }
                received += read->payload.size();
            }
        });
        Client client{patient_config(server.url())};
        ASSERT_FALSE(client.connect());
        for (int i = 0; i < 20; ++i) EXPECT_FALSE(client.send_binary(as_bytes(std::string(1'000'000, 'x'))));
        EXPECT_FALSE(client.stop(bearable));
    }
    EXPECT_EQ(received, 20'000'000u);
    EXPECT_EQ(code, 1001u);
}

/// Does something with a client inside the handler of its first event of a kind, and expects the life to end.
void in_handler(Event::Kind kind, const std::function<void(std::unique_ptr<Client>&)>& act) {
    ScriptedServer server(echo);
    auto client = std::make_unique<Client>(short_config(server.url()));
    std::promise<void> done;
    std::atomic<bool> acted = false;
    std::atomic<int> late = 0;
    static_cast<void>(client->on_event([&](const Event& event) {
        if (event.kind == Event::Kind::open) static_cast<void>(client->send_text("x"));
        if (event.kind == Event::Kind::message && kind == Event::Kind::closed) static_cast<void>(client->close());
        if (event.kind != kind || acted.exchange(true)) return;
        act(client);
        if (client == nullptr) late = -1000;
        done.set_value();
    }));
    ASSERT_FALSE(client->start());
    ASSERT_EQ(done.get_future().wait_for(bearable), std::future_status::ready);
    if (late < 0) return;
    client->stop();
    EXPECT_EQ(client->state(), State::idle);
}

constexpr Event::Kind kinds[] = {Event::Kind::connecting, Event::Kind::open, Event::Kind::message, Event::Kind::closed};

TEST(InHandler, Stop) {
    for (const Event::Kind kind : kinds) in_handler(kind, [](auto& client) { client->stop(); });
}
TEST(InHandler, StopAtOnce) {
    for (const Event::Kind kind : kinds) in_handler(kind, [](auto& client) { EXPECT_FALSE(client->stop(0ms)); });
}
TEST(InHandler, Close) {
    for (const Event::Kind kind : kinds) in_handler(kind, [](auto& client) { static_cast<void>(client->close()); });
}
TEST(InHandler, Destroy) {
    for (const Event::Kind kind : kinds) in_handler(kind, [](auto& client) { client.reset(); });
}
TEST(InHandler, BlockingCallsAreRefused) {
    in_handler(Event::Kind::open, [](auto& client) {
        EXPECT_TRUE(client->receive(1s).error() == Errc::would_deadlock);
        EXPECT_TRUE(client->connect() == Errc::would_deadlock);
    });
}
TEST(InHandler, StartAgainInTheLastEvent) {
    ScriptedServer server(echo);
    std::promise<void> twice;
    int opens = 0;
    Client client{short_config(server.url())};
    static_cast<void>(client.on_event([&](const Event& event) {
        if (event.kind == Event::Kind::open && ++opens == 2) twice.set_value();
        if (event.kind == Event::Kind::open && opens == 1) static_cast<void>(client.close());
        if (event.kind == Event::Kind::closed && opens == 1) {
            EXPECT_FALSE(client.start());
        }
    }));
    ASSERT_FALSE(client.start());
    EXPECT_EQ(twice.get_future().wait_for(bearable), std::future_status::ready);
}

TEST(InHandler, NothingBeginsOnceTheClientIsBeingDestroyed) {
    ScriptedServer server(deaf);
    std::promise<Error> refused;
    {
        Config config = short_config(server.url());
        config.timeouts.stop = 50ms;
        Client client{config};
        static_cast<void>(client.on_event([&](const Event& event) {
            if (event.kind == Event::Kind::closed) refused.set_value(client.start());
        }));
        ASSERT_FALSE(client.connect());
    }
    EXPECT_TRUE(refused.get_future().get() == Errc::stopped);
}

TEST(Handlers, ThatThrowBecomeErrorsAndTheConnectionGoesOn) {
    ScriptedServer server(echo);
    std::promise<std::string> reported;
    std::promise<void> second;
    int messages = 0;
    Client client{short_config(server.url())};
    static_cast<void>(client.on_open([&](const Handshake&) { static_cast<void>(client.send_text("1")); }));
    static_cast<void>(client.on_message([&](MessageView) {
        if (++messages == 1) {
            static_cast<void>(client.send_text("2"));
            throw std::runtime_error("oh no");
        }
        second.set_value();
    }));
    static_cast<void>(client.on_error([&](const Error& error, bool is_final) {
        EXPECT_TRUE(error == Errc::handler_threw);
        EXPECT_FALSE(is_final);
        reported.set_value(error.detail);
        throw 42;  // nobody is left to tell, and nothing breaks
    }));
    ASSERT_FALSE(client.start());
    auto report = reported.get_future();
    ASSERT_EQ(report.wait_for(bearable), std::future_status::ready);
    EXPECT_EQ(report.get(), "oh no");
    EXPECT_EQ(second.get_future().wait_for(bearable), std::future_status::ready);
}

/// Twenty messages that arrive together: what one handler does matters for the next one.
void twenty(Peer& peer) {
    if (!peer.upgrade()) return;
    std::string all;
    for (int i = 1; i <= 20; ++i) all += frame(1, std::to_string(i));
    peer.send(all);
    peer.hold();
}

TEST(Handlers, OfMessagesThatCameTogetherMayPauseTheirClient) {
    ScriptedServer server(twenty);
    Client client{short_config(server.url())};
    std::string seen;
    std::promise<void> paused;
    std::promise<void> all;
    static_cast<void>(client.on_message([&](MessageView message) {
        seen += std::string(message.text()) + " ";
        if (message.text() == "3" || message.text() == "4") client.pause();
        if (message.text() == "3") paused.set_value();
        if (message.text() == "20") all.set_value();
    }));
    ASSERT_FALSE(client.start());
    ASSERT_EQ(paused.get_future().wait_for(bearable), std::future_status::ready);
    EXPECT_TRUE(client.drain(1s) == std::error_code()) << "the loop has come round";
    EXPECT_EQ(seen, "1 2 3 ");
    auto done = all.get_future();
    while (done.wait_for(1ms) != std::future_status::ready) client.resume();
    EXPECT_EQ(seen, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 ");
}

TEST(Handlers, OfMessagesThatCameTogetherMayThrow) {
    ScriptedServer server(twenty);
    Client client{short_config(server.url())};
    int seen = 0;
    int reported = 0;
    std::promise<void> all;
    static_cast<void>(client.on_message([&](MessageView message) {
        ++seen;
        if (message.text() == "20") all.set_value();
        if (seen % 3 == 0) throw std::runtime_error("oh no");
    }));
    static_cast<void>(client.on_error([&](const Error& error, bool) { reported += error == Errc::handler_threw; }));
    ASSERT_FALSE(client.start());
    ASSERT_EQ(all.get_future().wait_for(bearable), std::future_status::ready);
    EXPECT_EQ(client.stop(1s), std::error_code());
    EXPECT_EQ(seen, 20);
    EXPECT_EQ(reported, 6);
}

TEST(Handlers, OfMessagesThatCameTogetherMayDestroyTheirClient) {
    ScriptedServer server(twenty);
    std::atomic<int> seen = 0;
    Loop loop;
    auto client = std::make_unique<tern::Client>(loop, short_config(server.url()));
    std::promise<void> gone;
    static_cast<void>(client->on_message([&](MessageView message) {
        ++seen;
        if (message.text() != "5") return;
        client.reset();
        gone.set_value();
    }));
    ASSERT_FALSE(client->start());
    ASSERT_EQ(gone.get_future().wait_for(bearable), std::future_status::ready);
    tern::Client other(loop, short_config(server.url()));  // when it has a connection, the loop has come round
    ASSERT_FALSE(other.connect());
    EXPECT_EQ(seen, 5);
}

TEST(Ending, NoHandlerRunsAfterTheDestructor) {
    ScriptedServer server([](Peer& peer) {
        if (!peer.upgrade()) return;
        while (peer.send(frame(1, "flood"))) {
        }
    });
    for (int i = 0; i < 20; ++i) {
        std::atomic<bool> gone = false;
        std::atomic<int> late = 0;
        {
            Config config = short_config(server.url());
            config.timeouts.stop = 1ms;
            Client client{config};
            static_cast<void>(client.on_message([&](MessageView) { late += gone ? 1 : 0; }));
            ASSERT_FALSE(client.start());
            while (client.stats().messages_received == 0) std::this_thread::yield();
        }
        gone = true;
        std::this_thread::yield();
        EXPECT_EQ(late, 0);
    }
}

TEST(Ending, StopSaysWhenAHandlerIsStillRunning) {
    ScriptedServer server(echo);
    std::promise<void> entered;
    std::promise<void> release;
    auto released = release.get_future();
    Client client{short_config(server.url())};
    static_cast<void>(client.on_open([&](const Handshake&) {
        entered.set_value();
        released.wait();
    }));
    ASSERT_FALSE(client.start());
    entered.get_future().wait();
    EXPECT_EQ(client.stop(1ms), make_error_code(Errc::call_timeout));
    release.set_value();
    EXPECT_FALSE(client.stop(1ms));
}

TEST(Reconnecting, HappensAfterALossUntilItIsStopped) {
    std::atomic<int> connects = 0;
    ScriptedServer server([&](Peer& peer) {
        ++connects;
        peer.upgrade();
    });
    Config config = short_config(server.url());
    config.reconnect = {.enabled = true, .min_delay = 1ms, .max_delay = 1ms};
    WatchedClient client(config);
    EXPECT_TRUE(client.wait_for_kind(Event::Kind::reconnecting, 5));
    client->stop();
    EXPECT_GE(connects, 5);
    EXPECT_GE(client.count(Event::Kind::connecting), 5);
}

TEST(Reconnecting, GivesUpAfterItsAttempts) {
    std::uint16_t port = 0;
    {
        const ScriptedServer server([](Peer&) {});
        port = server.port();
    }
    Config config = short_config("ws://127.0.0.1:" + std::to_string(port));
    config.reconnect = {.enabled = true, .min_delay = 1ms, .max_delay = 1ms, .max_attempts = 3};
    WatchedClient client(config);
    ASSERT_TRUE(client.wait_for_end());
    EXPECT_EQ(client.count(Event::Kind::connecting), 3);
    EXPECT_EQ(client.count(Event::Kind::reconnecting), 2);
    EXPECT_EQ(client.count(Event::Kind::failed), 1);
}

TEST(Reconnecting, KeepsNoDescriptorOfAnAttemptThatFailed) {
    std::uint16_t port = 0;
    {
        const ScriptedServer server([](Peer&) {});
        port = server.port();
    }
    const auto descriptors = [] {
        const std::filesystem::directory_iterator all("/proc/self/fd");
        return std::distance(begin(all), end(all));
    };
    Config config = short_config("ws://127.0.0.1:" + std::to_string(port));
    config.reconnect = {.enabled = true, .min_delay = 1ms, .max_delay = 1ms};
    WatchedClient client(config);
    ASSERT_TRUE(client.wait_for_kind(Event::Kind::reconnecting));
    const auto before = descriptors();
    ASSERT_TRUE(client.wait_for_kind(Event::Kind::reconnecting, 20));
    EXPECT_LT(descriptors(), before + 5);
}

TEST(Sending, FromManyThreadsLosesAndMixesNothing) {
    ScriptedServer server(echo);
    constexpr std::size_t threads = 8;
    constexpr std::size_t each = 250;
    WatchedClient client(patient_config(server.url()));
    ASSERT_TRUE(client.wait_for_open());
    std::vector<std::thread> senders;
    for (std::size_t t = 0; t < threads; ++t) {
        senders.emplace_back([&, t] {
            for (std::size_t i = 0; i < each; ++i) {
                EXPECT_FALSE(
                    client->send_text(std::to_string(t) + ":" + std::to_string(i) + std::string(i * 7 % 900, '.')));
            }
        });
    }
    for (std::thread& sender : senders) sender.join();
    ASSERT_TRUE(client.wait_for_messages(threads * each));
    std::vector<std::size_t> next(threads);
    for (const Message& message : client.messages()) {
        const std::size_t t = std::stoul(message.data);
        const std::string expected =
            std::to_string(t) + ":" + std::to_string(next.at(t)) + std::string(next[t] * 7 % 900, '.');
        EXPECT_EQ(message.data, expected);
        ++next[t];
    }
}

/// A handler that has sent long enough alone does so without a mutex, until another thread comes.
TEST(Sending, FromAHandlerThatNeverStopsAndFromAnotherThread) {
    std::promise<void> complete;
    std::atomic<std::size_t> wanted = 0;  // of the handler
    std::atomic<std::size_t> handled = 0;
    std::atomic<bool> enough = false;
    ScriptedServer server([&](Peer& peer) {
        if (!peer.upgrade()) return;
        peer.send(frame(1, "go"));
        std::size_t next_of_handler = 0;
        std::size_t next_of_thread = 0;
        for (bool last = false; !last;) {
            const auto read = peer.read_frame();
            if (!read) return;
            last = read->payload == "last";
            if (last) break;
            std::size_t& next = read->payload[0] == 'h' ? next_of_handler : next_of_thread;
            if (std::stoul(read->payload.substr(1)) != next++) return;
        }
        EXPECT_EQ(next_of_handler, handled);
        EXPECT_EQ(next_of_thread, 300u);
        complete.set_value();
        peer.hold();
    });
    Client client{patient_config(server.url())};
    static_cast<void>(client.on_message([&](MessageView) {
        while (!enough) {
            while (handled < wanted) {
                EXPECT_EQ(client.send_text("h" + std::to_string(handled)), std::error_code());
                ++handled;
            }
        }
        EXPECT_EQ(client.send_text("last"), std::error_code());
    }));
    ASSERT_FALSE(client.start());
    for (std::size_t i = 0; i < 300; ++i) {
        if (i % 100 == 0) {
            wanted += 20'000;
            while (handled < wanted) std::this_thread::yield();
        }
        wanted += 100;  // meanwhile
        EXPECT_EQ(client.send_text("t" + std::to_string(i), {.wait = bearable}), std::error_code());
        if (i % 10 == 0) static_cast<void>(client.stats());
    }
    enough = true;
    EXPECT_EQ(complete.get_future().wait_for(bearable), std::future_status::ready);
}

/// A client whose loop stays inside a handler, so that nobody but the test writes. Against `echo`.
class HeldClient {
public:
    explicit HeldClient(const Config& config) : client_(config) {
        EXPECT_FALSE(client_.on_message([this, released = release_.get_future().share()](MessageView message) {
            if (message.text() != "hold") return;
            held_.set_value();
            released.wait();
        }));
        EXPECT_FALSE(client_.connect());
        EXPECT_FALSE(client_.send_text("hold"));
        EXPECT_EQ(held_.get_future().wait_for(bearable), std::future_status::ready);
    }
    HeldClient(const HeldClient&) = delete;
    HeldClient& operator=(const HeldClient&) = delete;
    ~HeldClient() { release_.set_value(); }

    Client* operator->() { return &client_; }

private:
    std::promise<void> held_;
    std::promise<void> release_;
    Client client_;
};

TEST(Sending, WhatHasMoreBehindItWaitsForTheRest) {
    ScriptedServer server(echo);
    HeldClient client{short_config(server.url())};
    ASSERT_FALSE(client->send_text("one", {.more = true}));
    const std::size_t one = client->stats().send_queued;
    EXPECT_NE(one, 0u);
    ASSERT_FALSE(client->send_text("two", {.more = true}));
    EXPECT_EQ(client->stats().send_queued, 2 * one);
    ASSERT_FALSE(client->send_text("end"));
    EXPECT_EQ(client->stats().send_queued, 0u);
    ASSERT_FALSE(client->send_binary(std::vector<std::byte>(70'000), {.more = true}));
    EXPECT_EQ(client->stats().send_queued, 0u) << "so much does not wait";
    ASSERT_FALSE(client->send_text("drained", {.more = true}));
    EXPECT_FALSE(client->drain(bearable));
    EXPECT_EQ(client->stats().send_queued, 0u);
}

TEST(Sending, WhatWaitsForMoreMakesRoomWhenTheQueueIsFull) {
    ScriptedServer server(echo);
    Config small = short_config(server.url());
    small.limits.max_send_queue = 5'000;
    HeldClient client{small};
    for (const std::size_t size : {40u, 1'000u}) {  // too short to be compressed, and not
        for (int i = 0; i < 300; ++i) {
            ASSERT_FALSE(client->send_text(std::string(size, 'x'), {.more = true})) << size << " bytes, number " << i;
        }
    }
}

TEST(Sending, WhoIsRefusedInAHandlerGoesOnWhenThereIsRoom) {
    constexpr int wanted = 1'000;
    std::promise<int> heard;
    ScriptedServer server([&](Peer& peer) {
        if (!peer.upgrade()) return;
        int count = 0;
        while (const auto read = peer.read_frame()) {
            if (read->opcode == 8) break;
            if (read->payload == std::to_string(count) + std::string(100, 'x')) ++count;
            if (count == wanted) break;
        }
        heard.set_value(count);
    });
    Config small = short_config(server.url());
    small.limits.max_send_queue = 4u << 10u;  // less than what is gathered inside a handler
    Client client{small};
    int sent = 0;
    const auto go_on = [&] {
        while (sent < wanted && !client.send_text(std::to_string(sent) + std::string(100, 'x'))) ++sent;
    };
    ASSERT_FALSE(client.on_event([&](const Event& event) {
        if (event.kind == Event::Kind::open || event.kind == Event::Kind::writable) go_on();
    }));
    ASSERT_FALSE(client.start());
    auto outcome = heard.get_future();
    ASSERT_EQ(outcome.wait_for(bearable), std::future_status::ready);
    EXPECT_EQ(outcome.get(), wanted);
}

/// Random calls from several threads and from handlers. That it ends without a report of a sanitizer is the test.
TEST(Stress, RandomCallsFromEverywhere) {
    ScriptedServer server(echo);
    for (unsigned seed = 0; seed < 30; ++seed) {
        std::atomic<bool> gone = false;
        Config config = short_config(server.url());
        config.timeouts.stop = 100ms;
        config.keepalive.interval = 20ms;
        config.reconnect = {.enabled = true, .min_delay = 1ms, .max_delay = 1ms};
        auto client = std::make_unique<Client>(config);
        Client& handle = *client;
        std::minstd_rand in_handlers(seed + 1);
        static_cast<void>(handle.on_event([&](const Event&) {
            EXPECT_FALSE(gone) << "an event after the end";
            switch (in_handlers() % 40) {
                case 0: static_cast<void>(handle.close()); break;
                case 1: handle.stop(); break;
                case 2: throw std::runtime_error("random");
                case 3: static_cast<void>(handle.start()); break;
                case 4: static_cast<void>(handle.send_text("from a handler")); break;
                default: break;
            }
        }));
        std::vector<std::thread> threads;
        for (unsigned t = 0; t < 3; ++t) {
            threads.emplace_back([&, t] {
                std::minstd_rand random(seed * 10 + t + 1);
                for (int i = 0; i < 50; ++i) {
                    switch (random() % 9) {
                        case 0: static_cast<void>(handle.start()); break;
                        case 1: static_cast<void>(handle.stop(std::chrono::milliseconds(random() % 10))); break;
                        case 2: static_cast<void>(handle.close(CloseCode{4000}, "random")); break;
                        case 3: static_cast<void>(handle.ping("random")); break;
                        case 4: static_cast<void>(handle.send_part(Opcode::binary, {}, random() % 2 == 0)); break;
                        case 5: static_cast<void>(handle.stats()); break;
                        case 6: std::this_thread::yield(); break;
                        default: static_cast<void>(handle.send_text(std::string(random() % 3000, 'x')));
                    }
                }
            });
        }
        for (std::thread& thread : threads) thread.join();
        client.reset();
        gone = true;
    }
}

// --- attempts that the program prepares ----------------------------------------------------------------------------

/// Tells the client the request that it has made, and ends the connection.
void tell_request(Peer& peer) {
    const std::string request = peer.read_request();
    peer.send(Peer::accept(request) + frame(1, request));
}

TEST(Preparing, EachAttemptHasAFreshToken) {
    ScriptedServer server(tell_request);
    Config config = short_config("");
    config.reconnect = {.min_delay = 1ms, .max_delay = 1ms};
    int asked = 0;
    std::vector<std::string> requests;
    std::promise<void> twice;
    Client client{config};
    ASSERT_FALSE(client.before_attempt([&](Attempt& attempt) {
        attempt.url = server.url("/" + std::to_string(++asked));
        attempt.bearer_token = "token" + std::to_string(asked);
    }));
    ASSERT_FALSE(client.on_message([&](MessageView message) {
        requests.emplace_back(message.text());
        if (requests.size() == 2) twice.set_value();
    }));
    ASSERT_FALSE(client.start());
    ASSERT_EQ(twice.get_future().wait_for(bearable), std::future_status::ready);
    client.stop();
    for (const std::size_t i : {0u, 1u}) {
        const std::string number = std::to_string(i + 1);
        EXPECT_NE(requests[i].find("GET /" + number + " "), std::string::npos) << requests[i];
        EXPECT_NE(requests[i].find("Authorization: Bearer token" + number + "\r\n"), std::string::npos) << requests[i];
    }
}

TEST(Preparing, TheAnswerMayComeLaterFromAnyThread) {
    ScriptedServer server(echo);
    std::promise<PendingAttempt> asked;
    Client client{short_config("ws://not-this-one.test/")};
    ASSERT_FALSE(client.before_attempt([&](PendingAttempt pending) { asked.set_value(std::move(pending)); }));
    std::thread answering([&] {
        PendingAttempt pending = asked.get_future().get();
        EXPECT_EQ(pending.number(), 1u);
        EXPECT_EQ(pending->url, "ws://not-this-one.test/");
        EXPECT_EQ(client.state(), State::connecting);
        pending->url = server.url();
        pending.go();
        pending.go();  // once is enough
    });
    const Error error = client.connect();
    EXPECT_FALSE(error) << error.message();
    answering.join();
}

TEST(Preparing, WhoThrowsOrLetsGoOrSaysNoFailsTheAttempt) {
    const std::pair<std::function<void(PendingAttempt)>, const char*> answers[] = {
        {[](PendingAttempt pending) { pending.fail("no token today"); }, "no token today"},
        {[](const PendingAttempt&) {}, "without an answer"},
        {[](const PendingAttempt&) { throw std::runtime_error("no vault"); }, "without an answer"},
    };
    for (const auto& [answer, why] : answers) {
        Client client{short_config("ws://127.0.0.1:1/")};
        ASSERT_FALSE(client.before_attempt(answer));
        const Error error = client.connect();
        EXPECT_EQ(error, Errc::prepare_failed) << error.message();
        EXPECT_NE(error.message().find(why), std::string::npos) << error.message();
        EXPECT_EQ(error.phase, Phase::prepare);
    }
    std::promise<std::string> told;
    Client client{short_config("ws://127.0.0.1:1/")};
    ASSERT_FALSE(client.before_attempt([](Attempt&) { throw std::runtime_error("no vault"); }));
    ASSERT_FALSE(client.on_error([&](const Error& error, bool is_final) {
        if (!is_final) told.set_value(error.message());
    }));
    EXPECT_EQ(client.connect(), Errc::prepare_failed);
    EXPECT_NE(told.get_future().get().find("no vault"), std::string::npos);
}

TEST(Preparing, TheQuestionMayOutliveItsClient) {
    std::optional<PendingAttempt> kept;
    std::promise<void> asked;
    {
        Client client{short_config("ws://127.0.0.1:1/")};
        ASSERT_FALSE(client.before_attempt([&](PendingAttempt pending) {
            kept.emplace(std::move(pending));
            asked.set_value();
        }));
        ASSERT_FALSE(client.start());
        ASSERT_EQ(asked.get_future().wait_for(bearable), std::future_status::ready);
        const auto before = Clock::now();
        EXPECT_FALSE(client.stop(bearable));
        EXPECT_LT(Clock::now() - before, bearable) << "nobody waits for the answer";
    }
    kept->go();
    kept.reset();
}

/// Random bytes at level 9 keep the compressor busy for seconds; meanwhile the server's ping has to be answered, which
/// takes the lock that sending takes too.
TEST(LifeTest, ReceivingGoesOnWhileAnotherThreadCompresses) {
    std::vector<unsigned> order;
    ScriptedServer server([&](Peer& peer) {
        peer.send(Peer::accept(peer.read_request(), "Sec-WebSocket-Extensions: permessage-deflate\r\n"));
        while (const auto read = peer.read_frame()) {
            order.push_back(read->opcode);
            if (read->opcode == 1) peer.send(frame(9, "are you there?"));
            if (read->opcode == 8) {
                peer.send(close_frame(1000));
                return;
            }
        }
    });
    Config config{.url = server.url()};
    config.compression.level = 9;
    WatchedClient client(config);
    ASSERT_TRUE(client.wait_for_open());
    std::string noise(16u << 20u, '\0');
    std::minstd_rand random(1);
    for (char& c : noise) c = static_cast<char>(random() >> 8u);
    std::thread sender([&] { EXPECT_FALSE(client->send_binary(as_bytes(noise))); });
    ASSERT_FALSE(client->send_text("go"));
    EXPECT_TRUE(client.wait_for_kind(Event::Kind::ping));
    sender.join();
    ASSERT_FALSE(client->close());
    EXPECT_TRUE(client.wait_for_end());
    ASSERT_EQ(order.size(), 4u);
    EXPECT_EQ(order, (std::vector<unsigned>{1, 10, 2, 8})) << "the pong does not wait for the compressor";
}

}  // namespace
}  // namespace tern::interop
