// What the coordinator tells of an attempt: redirects, and answers that are no upgrade.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core.hpp>

#include "driven_core.hpp"

namespace tern {
namespace {

using Kind = Event::Kind;

TEST(ClientCoreAttempt, ARedirectIsAnEventWithTheAnswerThatLedThere) {
    DrivenCore core({.url = "ws://host.example/"});
    ASSERT_FALSE(core.start());
    core.connect();
    std::vector<std::string> told;
    const std::string answer = "HTTP/1.1 302 Found\r\nX-Why: moved\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n";
    const std::span<std::byte> space = core->rx_space(core.stream());
    std::memcpy(space.data(), answer.data(), answer.size());
    core->rx_commit(core.stream(), answer.size(), core.now());
    for (Event event; core->next(event);) {
        told.emplace_back(event_name(event.kind));
        if (event.kind != Kind::redirected) continue;
        ASSERT_NE(event.error, nullptr);
        EXPECT_EQ(event.error->response.status, 302);
        EXPECT_EQ(event.error->response.header("X-Why"), "moved");
        EXPECT_EQ(event.error->peer, "host.example:80 (192.0.2.1)");
    }
    EXPECT_EQ(told, (std::vector<std::string>{"connecting", "redirected"}));
    core.take();
    core.expect(Command::Kind::close);
    core.connect();
    core.receive(core.answer());
    EXPECT_EQ(core.kinds, std::vector<Kind>{Kind::open});
}

TEST(ClientCoreAttempt, AnAnswerThatIsNoUpgradeIsKept) {
    DrivenCore core({.url = "ws://host.example/"});
    ASSERT_FALSE(core.start());
    core.connect();
    core.receive(core.answer("X-Server: odd\r\n", "wrong"));
    EXPECT_EQ(core.error, Errc::accept_mismatch);
    EXPECT_EQ(core.error.response.status, 101);
    EXPECT_EQ(core.error.response.reason, "Switching Protocols");
    EXPECT_EQ(core.error.response.header("X-Server"), "odd");
}

TEST(ClientCoreAttempt, ACloseBehindWhichTheConnectionComesUpFreesIt) {
    DrivenCore core({.url = "ws://example.org/"});
    ASSERT_FALSE(core.start());
    const Address address{.port = 80, .bytes = {192, 0, 2, 1}};
    core->on_resolved(core.expect(Command::Kind::resolve).id, {&address, 1}, {}, core.now());
    const StreamId stream = core.expect(Command::Kind::connect).id;
    ASSERT_FALSE(core->close(CloseCode::normal, {}));  // another thread, before the driver comes to settle
    core->on_connected(stream, {}, core.now());
    EXPECT_EQ(core.expect(Command::Kind::close).id, stream);
    EXPECT_EQ(core->state(), State::idle);
}

TEST(ClientCoreAttempt, APongCanBeSentUnasked) {
    DrivenCore core({.url = "ws://host.example/"});
    EXPECT_EQ(core->pong(as_bytes("early")), Errc::not_connected);
    core.open();
    EXPECT_FALSE(core->pong(as_bytes("p")));
    const std::string sent = core.transmit();
    ASSERT_EQ(sent.size(), 2u + 4u + 1u);
    EXPECT_EQ(sent.substr(0, 2), "\x8a\x81");
    EXPECT_EQ(sent[6] ^ sent[2], 'p');
    EXPECT_EQ(core->pong(as_bytes(std::string(126, 'p'))), Errc::control_payload_too_long);
}

}  // namespace
}  // namespace tern
