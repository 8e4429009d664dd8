// What becomes of messages: fates, the offline queue, and the marks of what waits.
#include "life.hpp"

namespace tern::sim {
namespace {

const Config quick{.reconnect = {.min_delay = 100ms, .max_delay = 100ms}};

Config queueing(OfflineQueue queue) {
    Config config = quick;
    config.offline_queue = queue;
    return config;
}

/// Sends, and returns the number.
std::uint64_t watch(Client& client, std::string_view text, SendOptions options = {}) {
    std::uint64_t number = 0;
    options.number = &number;
    EXPECT_FALSE(client.send(Opcode::text, text, options)) << text;
    EXPECT_NE(number, 0u);
    return number;
}

/// "1 sent, 2 dropped", in the order in which they were told.
std::string fates(const Client& client) {
    std::string text;
    for (const Entry& entry : client.log) {
        if (entry.kind != Kind::fate) continue;
        text += (text.empty() ? "" : ", ") + std::to_string(entry.number) + " " + std::string(fate_name(entry.fate));
    }
    return text;
}

std::vector<std::string> heard(const Life& life) {
    std::vector<std::string> all;
    for (const Peer* peer : life.server.peers) {
        for (const Message& message : peer->messages) all.push_back(message.payload);
    }
    return all;
}
using Texts = std::vector<std::string>;

// --- fates ---------------------------------------------------------------------------------------------------------

TEST(SimFate, IsToldToThoseWhoAsk) {
    Life life(quiet(), quick);
    ASSERT_TRUE(life.open());
    EXPECT_EQ(watch(life.client, "one"), 1u);
    EXPECT_FALSE(life.client.send_text("nobody asks"));
    EXPECT_EQ(watch(life.client, "two"), 2u);
    life.world.run_for(1s);
    EXPECT_EQ(fates(life.client), "1 sent, 2 sent");
}

TEST(SimFate, SentMeansThatTheKernelHasAllOfIt) {
    Behaviour behaviour = quiet();
    behaviour.up.capacity = 1000;
    Life life(behaviour, quick);
    ASSERT_TRUE(life.open());
    life.peer().pause();
    life.world.run_for(1s);
    watch(life.client, "small");
    watch(life.client, std::string(5000, 'x'));
    watch(life.client, "behind it");
    life.world.run_for(1s);
    EXPECT_EQ(fates(life.client), "1 sent");
    life.peer().resume();
    life.world.run_for(10s);
    EXPECT_EQ(fates(life.client), "1 sent, 2 sent, 3 sent");
}

TEST(SimFate, OfMessagesInPartsAndFragments) {
    Config config = quick;
    config.fragment_size = 10;
    Life life(quiet(), config);
    ASSERT_TRUE(life.open());
    std::uint64_t number = 0;
    EXPECT_FALSE(life.client.send_part(Opcode::text, "begun ", false, {.number = &number}));
    EXPECT_EQ(number, 0u) << "it is not complete";
    EXPECT_FALSE(life.client.send_part(Opcode::continuation, "and ended", true, {.number = &number}));
    EXPECT_EQ(number, 1u);
    watch(life.client, std::string(100, 'x'));
    life.world.run_for(1s);
    EXPECT_EQ(fates(life.client), "1 sent, 2 sent");
}

TEST(SimFate, DroppedWithTheConnection) {
    Behaviour behaviour = quiet();
    behaviour.up.capacity = 1000;
    Life life(behaviour, quick);
    ASSERT_TRUE(life.open());
    life.peer().pause();
    watch(life.client, std::string(5000, 'x'));
    watch(life.client, "behind it");
    life.world.run_for(1s);
    life.peer().reset();
    ASSERT_TRUE(life.until(Kind::open, 10s, 2));
    EXPECT_EQ(fates(life.client), "1 dropped, 2 dropped");
    EXPECT_EQ(life.client.find(Kind::fate)->error, Errc::connection_reset);
    EXPECT_EQ(heard(life), Texts{});
}

TEST(SimFate, DroppedByStop) {
    Behaviour behaviour = quiet();
    behaviour.up.capacity = 1000;
    Life life(behaviour, quick);
    ASSERT_TRUE(life.open());
    life.peer().pause();
    watch(life.client, std::string(5000, 'x'));
    life.world.run_for(1s);
    life.client.stop();
    EXPECT_EQ(fates(life.client), "1 dropped");
    EXPECT_EQ(life.client.find(Kind::fate)->error, Errc::stopped);
}

TEST(SimFate, WhatIsRefusedHasNone) {
    Life life(quiet(), quick);
    std::uint64_t number = 77;
    EXPECT_EQ(life.client.send(Opcode::text, "x", {.number = &number}), Errc::not_connected);
    ASSERT_TRUE(life.open());
    EXPECT_EQ(life.client.send(Opcode::text, "\xff", {.number = &number}), Errc::outgoing_text_not_utf8);
    EXPECT_EQ(number, 77u);
    EXPECT_EQ(watch(life.client, "the first that counts"), 1u);
}

// --- the offline queue ---------------------------------------------------------------------------------------------

TEST(SimQueue, WaitsForTheConnectionInOrder) {
    Life life(quiet(), queueing({.max_bytes = 1000}));
    EXPECT_EQ(life.client.send_text("before the start"), Errc::not_connected);
    ASSERT_FALSE(life.client.start());
    for (const char* text : {"one", "two", "three"}) watch(life.client, text);
    EXPECT_EQ(life.client.stats().send_queued, 11u);
    EXPECT_EQ(fates(life.client), "");
    ASSERT_TRUE(life.until(Kind::open));
    watch(life.client, "four");
    life.world.run_for(1s);
    EXPECT_EQ(heard(life), (Texts{"one", "two", "three", "four"}));
    EXPECT_EQ(fates(life.client), "1 sent, 2 sent, 3 sent, 4 sent");
    EXPECT_EQ(life.client.stats().send_queued, 0u);
}

TEST(SimQueue, WhatTheKernelHasNotGotGoesToTheNextConnection) {
    Behaviour behaviour = quiet();
    behaviour.up.capacity = 1000;
    Life life(behaviour, queueing({.max_bytes = 100'000}));
    ASSERT_TRUE(life.open());
    watch(life.client, "sent");
    life.world.run_for(1s);
    life.peer().pause();
    watch(life.client, std::string(5000, 'x'));
    EXPECT_FALSE(life.client.send_binary("not watched"));
    watch(life.client, "behind it");
    life.world.run_for(1s);
    life.peer().reset();
    ASSERT_TRUE(life.until(Kind::reconnecting));
    watch(life.client, "while there is none");
    ASSERT_TRUE(life.until(Kind::open, 10s, 2));
    life.world.run_for(60s);
    EXPECT_EQ(heard(life), (Texts{"sent", std::string(5000, 'x'), "not watched", "behind it", "while there is none"}));
    EXPECT_EQ(fates(life.client), "1 sent, 2 sent, 4 sent, 5 sent");
}

TEST(SimQueue, OrIsDroppedIfSoAsked) {
    Behaviour behaviour = quiet();
    behaviour.up.capacity = 1000;
    Life life(behaviour, queueing({.max_bytes = 100'000, .resend = false}));
    ASSERT_TRUE(life.open());
    life.peer().pause();
    watch(life.client, std::string(5000, 'x'));
    watch(life.client, "behind it");
    life.world.run_for(1s);
    life.peer().reset();
    ASSERT_TRUE(life.until(Kind::closed, 10s));
    watch(life.client, "while there is none");
    ASSERT_TRUE(life.until(Kind::open, 10s, 2));
    life.world.run_for(1s);
    EXPECT_EQ(fates(life.client), "1 dropped, 2 dropped, 3 sent");
    EXPECT_EQ(heard(life), Texts{"while there is none"});
}

TEST(SimQueue, WhatLeftInRecordsOfTlsIsNotSentAgain) {
    Behaviour behaviour = quiet();
    behaviour.up.capacity = 40'000;
    Config config = queueing({.max_bytes = 200'000});
    config.url = "wss://host:80/";
    Life life(behaviour, config);
    life.client.crypto.has_tls = true;
    ASSERT_TRUE(life.open());
    life.peer().pause();
    // What a handler sends is written at once.
    life.client.on_event = [&](const Entry& entry) {
        if (entry.kind != Kind::ping) return;
        watch(life.client, std::string(20'000, '1'));
        watch(life.client, std::string(60'000, '2'));
    };
    life.peer().send(ping_frame(""));
    life.world.run_for(1s);
    EXPECT_EQ(fates(life.client), "");
    life.peer().reset();
    ASSERT_TRUE(life.until(Kind::open, 10s, 2));
    life.world.run_for(60s);
    EXPECT_EQ(heard(life), Texts{std::string(60'000, '2')}) << "the kernel had all of the first";
    EXPECT_EQ(fates(life.client), "1 sent, 2 sent");
}

TEST(SimFate, NothingIsSentBehindTheEndOfTls) {
    Behaviour behaviour = quiet();
    behaviour.down.coalesce = 1;  // one read takes both
    Config config = quick;
    config.url = "wss://host:80/";
    Life life(behaviour, config);
    life.client.crypto.has_tls = true;
    ASSERT_TRUE(life.open());
    life.client.pause();
    life.peer().send_message(opcode::text, "not taken yet");
    life.peer().finish();
    life.world.run_for(1s);
    EXPECT_EQ(watch(life.client, "nobody reads this"), 1u);
    life.world.run_for(1s);
    life.client.resume();
    ASSERT_TRUE(life.until(Kind::closed, 1s));
    EXPECT_EQ(heard(life), Texts{});
    EXPECT_EQ(fates(life.client), "1 dropped");
}

/// Refreshes while the kernel takes no more of the first connection, and sends on.
struct Replaced : Life {
    Replaced() : Life(narrow(), queueing({.max_bytes = 100'000})) {
        EXPECT_TRUE(open());
        watch(client, "1");
        world.run_for(1s);
        peer().pause();
        watch(client, std::string(5000, '2'));
        watch(client, "3");
        EXPECT_FALSE(client.refresh());
        EXPECT_TRUE(until(Kind::switched));
        watch(client, "4");
        EXPECT_EQ(client.send_part(Opcode::text, "a part", false), Errc::send_queue_full);
        world.run_for(200ms);
        EXPECT_TRUE(server.peers.at(1)->messages.empty()) << "what came before it may yet come back";
    }
    static Behaviour narrow() {
        Behaviour behaviour = quiet();
        behaviour.up.capacity = 1000;
        return behaviour;
    }
    [[nodiscard]] Texts heard_by(std::size_t number) const {
        Texts texts;
        for (const Message& message : server.peers.at(number)->messages) texts.push_back(message.payload);
        return texts;
    }
};

TEST(SimQueue, WhatAReplacedConnectionCouldNotSendComesFirst) {
    Replaced life;
    life.server.peers[0]->reset();
    life.world.run_for(1s);
    watch(life.client, "5");
    life.world.run_for(60s);
    EXPECT_EQ(life.heard_by(0), Texts{"1"});
    EXPECT_EQ(life.heard_by(1), (Texts{std::string(5000, '2'), "3", "4", "5"}));
    EXPECT_EQ(fates(life.client), "1 sent, 2 sent, 3 sent, 4 sent, 5 sent");
}

TEST(SimQueue, WhatAReplacedConnectionDoesSendIsNotSentAgain) {
    Replaced life;
    life.server.peers[0]->resume();
    life.world.run_for(60s);
    EXPECT_EQ(life.heard_by(0), (Texts{"1", std::string(5000, '2'), "3"}));
    EXPECT_EQ(life.heard_by(1), Texts{"4"});
    EXPECT_EQ(fates(life.client), "1 sent, 2 sent, 3 sent, 4 sent");
}

TEST(SimQueue, AReplacedConnectionHoldsUpItsSuccessorForTheTimeOfAClosingHandshakeAtMost) {
    Replaced life;
    life.world.run_for(Config().timeouts.close + 1s);
    EXPECT_EQ(life.heard_by(1), (Texts{std::string(5000, '2'), "3", "4"}));
}

TEST(SimQueue, CloseWaitsForNoReplacedConnection) {
    Replaced life;
    EXPECT_FALSE(life.client.close());
    life.world.run_for(60s);
    EXPECT_EQ(life.heard_by(1), Texts{"4"});
    EXPECT_EQ(fates(life.client), "1 sent, 4 sent, 2 dropped, 3 dropped");
}

TEST(SimQueue, Full) {
    using Full = OfflineQueue::Full;
    Life reject(quiet(), queueing({.max_bytes = 10}));
    ASSERT_FALSE(reject.client.start());
    watch(reject.client, "12345");
    EXPECT_EQ(reject.client.send_text("123456"), Errc::send_queue_full);
    watch(reject.client, "67890");
    reject.world.run_for(1s);
    EXPECT_EQ(heard(reject), (Texts{"12345", "67890"}));

    Life oldest(quiet(), queueing({.max_bytes = 10, .when_full = Full::drop_oldest}));
    ASSERT_FALSE(oldest.client.start());
    for (const char* text : {"1111", "2222", "33", "444444"}) watch(oldest.client, text);
    EXPECT_EQ(oldest.client.send_text("larger than all of it"), Errc::send_queue_full);
    oldest.world.run_for(1s);
    EXPECT_EQ(heard(oldest), (Texts{"33", "444444"}));
    EXPECT_EQ(fates(oldest.client), "1 dropped, 2 dropped, 3 sent, 4 sent");

    Life newest(quiet(), queueing({.max_bytes = 10, .when_full = Full::drop_newest}));
    ASSERT_FALSE(newest.client.start());
    for (const char* text : {"12345", "123456", "67890"}) watch(newest.client, text);
    newest.world.run_for(1s);
    EXPECT_EQ(heard(newest), (Texts{"12345", "67890"}));
    EXPECT_EQ(fates(newest.client), "2 dropped, 1 sent, 3 sent");
}

TEST(SimQueue, EmptyMessagesCount) {
    Life life(quiet(), queueing({.max_bytes = 10}));
    ASSERT_FALSE(life.client.start());
    watch(life.client, "");
    watch(life.client, "");
    life.world.run_for(1s);
    EXPECT_EQ(heard(life), (Texts{"", ""}));
}

TEST(SimQueue, ANewerMessageReplacesTheOneWithItsKey) {
    Life life(quiet(), queueing({.max_bytes = 100}));
    ASSERT_FALSE(life.client.start());
    watch(life.client, "price 1", {.key = "price"});
    watch(life.client, "other");
    watch(life.client, "price 2", {.key = "price"});
    watch(life.client, "volume", {.key = "volume"});
    watch(life.client, "price 3", {.key = "price"});
    ASSERT_TRUE(life.until(Kind::open));
    watch(life.client, "price 4", {.key = "price"});
    life.world.run_for(1s);
    EXPECT_EQ(heard(life), (Texts{"price 3", "other", "volume", "price 4"}));
    EXPECT_EQ(fates(life.client), "1 replaced, 3 replaced, 5 sent, 2 sent, 4 sent, 6 sent");
}

TEST(SimQueue, MessagesExpire) {
    Life life(quiet(), queueing({.max_bytes = 100, .expire_after = 10s}));
    life.server.behaviour.accept = Behaviour::Accept::refuse;
    ASSERT_FALSE(life.client.start());
    watch(life.client, "for the queue's time");
    watch(life.client, "for less", {.expires = life.world.now() + 2s});
    life.world.run_for(1900ms);
    EXPECT_EQ(fates(life.client), "");
    life.world.run_for(200ms);
    EXPECT_EQ(fates(life.client), "2 expired");
    life.world.run_for(5s);
    watch(life.client, "later");
    life.world.run_for(3s);
    EXPECT_EQ(fates(life.client), "2 expired, 1 expired");
    life.server.behaviour.accept = Behaviour::Accept::yes;
    ASSERT_TRUE(life.until(Kind::open));
    life.world.run_for(1s);
    EXPECT_EQ(heard(life), Texts{"later"});
}

TEST(SimQueue, TheEndOfTheLifeDropsWhatWaits) {
    for (const bool stop : {false, true}) {
        Life life(quiet(), queueing({.max_bytes = 100}));
        life.server.behaviour.accept = Behaviour::Accept::refuse;
        ASSERT_FALSE(life.client.start());
        watch(life.client, "one");
        EXPECT_FALSE(life.client.send_text("two"));
        life.world.run_for(1s);
        if (stop) {
            life.client.stop();
        } else {
            EXPECT_FALSE(life.client.close());
            EXPECT_EQ(life.client.send_text("three"), Errc::not_connected);
        }
        ASSERT_TRUE(life.until_end());
        EXPECT_EQ(fates(life.client), "1 dropped");
        EXPECT_EQ(life.client.find(Kind::fate)->error, stop ? Errc::stopped : Errc::closed_locally);
    }
}

TEST(SimQueue, PartsAreNotQueued) {
    Life life(quiet(), queueing({.max_bytes = 100}));
    ASSERT_FALSE(life.client.start());
    EXPECT_EQ(life.client.send_part(Opcode::text, "x", false), Errc::not_connected);
    EXPECT_EQ(life.client.send(Opcode::ping, "x"), Errc::invalid_opcode);
    EXPECT_EQ(life.client.send_text("\xff"), Errc::outgoing_text_not_utf8);
}

// --- memory --------------------------------------------------------------------------------------------------------

Config with_ceiling(std::size_t bytes) {
    Config config = quick;
    config.receive_buffer = 4096;
    config.limits.max_head_size = 4096;
    config.limits.max_error_body = 1024;
    config.limits.max_memory = bytes;
    return config;
}

TEST(SimMemory, WhatIsKeptForTheNextMessageMakesRoom) {
    Config config = with_ceiling(24'000);
    config.keepalive.interval = 0ms;  // its pings give such memory back as well
    Life life(quiet(), config);
    ASSERT_TRUE(life.open());
    life.peer().send_message(opcode::binary, std::string(10'000, 'x'));
    ASSERT_TRUE(life.until(Kind::message, 1s));
    int refused = 0;
    while (life.client.send_text("there is room") == Errc::send_queue_full && refused < 10) ++refused;
    EXPECT_GT(refused, 0) << "or this proves nothing";
    EXPECT_LT(refused, 10);
    life.world.run_for(1s);
    EXPECT_EQ(heard(life), Texts{"there is room"});
}

TEST(SimMemory, ASuccessorMakesRoomForTheMessageThatItWaitsFor) {
    Config config = with_ceiling(36'000);
    config.keepalive.interval = 0ms;
    Life life(quiet(), config);
    ASSERT_TRUE(life.open());
    EXPECT_FALSE(life.client.send_part(Opcode::binary, std::string(4'000, 'x'), false));
    EXPECT_FALSE(life.client.refresh());
    life.world.run_for(1s);
    ASSERT_EQ(life.server.peers.size(), 2u);
    EXPECT_EQ(life.client.send_part(Opcode::continuation, std::string(14'000, 'y'), true), Errc::send_queue_full);
    EXPECT_EQ(life.client.count(Kind::switch_failed), 1u) << life.log();
    EXPECT_EQ(life.error(), Errc::memory_limit);
    EXPECT_FALSE(life.client.send_part(Opcode::continuation, std::string(14'000, 'y'), true));
    ASSERT_TRUE(life.until(Kind::switched, 10s)) << "it is tried again";
    EXPECT_EQ(life.server.peers[0]->messages.at(0).payload.size(), 18'000u);
}

TEST(SimMemory, ACeilingForWhatWaitsRefusesSends) {
    Behaviour behaviour = quiet();
    behaviour.up.capacity = 1000;
    Life life(behaviour, with_ceiling(100'000));
    ASSERT_TRUE(life.open());
    life.peer().pause();
    int accepted = 0;
    while (!life.client.send_binary(std::string(1000, 'x')) && accepted < 1000) ++accepted;
    EXPECT_EQ(life.client.send_binary(std::string(1000, 'x')), Errc::send_queue_full);
    EXPECT_GT(accepted, 30);
    EXPECT_LE(life.client.stats().memory, 100'000u);
    life.peer().resume();
    ASSERT_TRUE(life.until(Kind::writable));
    EXPECT_FALSE(life.client.send_binary(std::string(1000, 'x'))) << "there is room again";
    EXPECT_EQ(life.client.state(), State::open);
}

TEST(SimMemory, ACeilingForMessagesEndsTheConnection) {
    Life life(quiet(), with_ceiling(100'000));
    ASSERT_TRUE(life.open());
    life.peer().send_message(opcode::binary, std::string(60'000, 'x'), 1000);
    ASSERT_TRUE(life.until(Kind::message, 10s));
    life.peer().send_message(opcode::binary, std::string(120'000, 'x'), 1000);
    ASSERT_TRUE(life.until(Kind::closed, 10s)) << life.log();
    EXPECT_EQ(life.client.find(Kind::closed)->error, Errc::memory_limit);
    EXPECT_EQ(life.server.peers[0]->received(opcode::close).at(0).close_code(), 1009u);
}

TEST(SimMemory, TheQueueAndTheCopiesCount) {
    Config config = with_ceiling(50'000);
    config.offline_queue.max_bytes = 1'000'000;
    Life life(quiet(), config);
    life.server.behaviour.accept = Behaviour::Accept::refuse;
    ASSERT_FALSE(life.client.start());
    int accepted = 0;
    while (!life.client.send_binary(std::string(1000, 'x')) && accepted < 1000) ++accepted;
    EXPECT_GT(accepted, 20);
    EXPECT_LT(accepted, 50);
    EXPECT_LE(life.client.stats().memory, 50'000u);
    life.client.stop();
    EXPECT_EQ(life.client.stats().memory, 0u);
}

TEST(SimMemory, EverythingIsGivenBack) {
    Life life(echo(), with_ceiling(0));
    ASSERT_TRUE(life.open());
    EXPECT_GE(life.client.stats().memory, 4096u);
    EXPECT_FALSE(life.client.send_binary(std::string(100'000, 'x')));
    ASSERT_TRUE(life.until(Kind::message, 10s));
    EXPECT_GT(life.client.stats().memory, 104'000u);
    EXPECT_FALSE(life.client.close());
    ASSERT_TRUE(life.until_end());
    EXPECT_EQ(life.client.stats().memory, 0u);
}

TEST(SimMemory, WithoutRoomForTheSuccessorTheOldConnectionStays) {
    Life life(echo(), with_ceiling(18'000));
    ASSERT_TRUE(life.open());
    EXPECT_FALSE(life.client.send_text("x"));
    ASSERT_TRUE(life.until(Kind::message, 1s));
    EXPECT_FALSE(life.client.refresh());
    ASSERT_TRUE(life.until(Kind::switch_failed, 10s)) << life.log();
    EXPECT_EQ(life.error(), Errc::memory_limit);
    EXPECT_EQ(life.error().elapsed.count(), 0) << life.error().message();  // it failed before anything began
    EXPECT_EQ(life.client.state(), State::open);
}

// --- water marks ---------------------------------------------------------------------------------------------------

TEST(SimWaterMarks, TellOfTheHighAndTheLowMark) {
    Behaviour behaviour = quiet();
    behaviour.up.capacity = 1000;
    Config config = quick;
    config.water_marks = {.high = 20'000, .low = 5'000};
    Life life(behaviour, config);
    ASSERT_TRUE(life.open());
    life.peer().pause();
    for (int i = 0; i < 15; ++i) EXPECT_FALSE(life.client.send_binary(std::string(1000, 'x')));
    life.world.run_for(1s);
    EXPECT_EQ(life.client.count(Kind::congested), 0u);
    for (int i = 0; i < 15; ++i) EXPECT_FALSE(life.client.send_binary(std::string(1000, 'x')));
    ASSERT_TRUE(life.until(Kind::congested, 1s));
    life.world.run_for(1s);
    EXPECT_EQ(life.client.count(Kind::congested), 1u);
    EXPECT_EQ(life.client.count(Kind::writable), 0u);
    std::size_t queued_then = 0;
    life.client.on_event = [&](const Entry& entry) {
        if (entry.kind == Kind::writable) queued_then = life.client.stats().send_queued;
    };
    life.peer().resume();
    ASSERT_TRUE(life.until(Kind::writable, 60s));
    EXPECT_LE(queued_then, 5'000u);
    EXPECT_GT(queued_then, 0u);
    life.world.run_for(60s);
    EXPECT_EQ(life.client.count(Kind::writable), 1u) << "once";
}

TEST(SimOfflineQueue, WhatNeverFitsDoesNotBlockTheRest) {
    Config config;
    config.limits.max_send_queue = 100;
    config.offline_queue.max_bytes = 1000;
    Life life(quiet(), config);
    ASSERT_FALSE(life.client.start());
    watch(life.client, std::string(500, 'a'));
    watch(life.client, "b");
    life.world.run_for(1s);
    EXPECT_EQ(fates(life.client), "1 dropped, 2 sent");
    EXPECT_EQ(heard(life), Texts{"b"});
}

Config with_memory(std::size_t more) {
    Config config;
    config.receive_buffer = 4096;
    config.limits.max_head_size = 2000;
    config.limits.max_memory = 4096 + 2000 + (4u << 10u) + (8u << 10u) + more;
    config.offline_queue.max_bytes = 100'000;
    return config;
}

TEST(SimOfflineQueue, WithoutMemoryTheOldestMakeRoomForOneWithAKey) {
    Config config = with_memory(5000);
    config.offline_queue.when_full = OfflineQueue::Full::drop_oldest;
    Life life(quiet(), config);
    ASSERT_FALSE(life.client.start());
    watch(life.client, std::string(3000, 'a'));
    watch(life.client, std::string(3000, 'b'), {.key = "k"});
    life.world.run_for(1s);
    EXPECT_EQ(fates(life.client), "1 dropped, 2 sent");
}

TEST(SimOfflineQueue, LeavesMemoryForTheConnectionThatItWaitsFor) {
    Life life(quiet(), with_memory(20'000));
    ASSERT_FALSE(life.client.start());
    while (!life.client.send(Opcode::text, std::string(100, 'a'))) continue;
    EXPECT_TRUE(life.until(Kind::open, 1s)) << life.log();
}

}  // namespace
}  // namespace tern::sim
