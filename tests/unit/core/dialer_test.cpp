#include "dialer.hpp"

#include <gtest/gtest.h>

namespace tern::core {
namespace {

using namespace std::chrono_literals;
using Status = Dialer::Status;

constexpr TimePoint start{std::chrono::hours(1)};

Address v4(std::uint8_t last) { return {.family = Address::Family::ipv4, .port = 80, .bytes = {192, 0, 2, last}}; }
Address v6(std::uint8_t last) {
    Address address{.family = Address::Family::ipv6, .port = 80, .bytes = {0x20, 0x01, 0x0d, 0xb8}};
    address.bytes[15] = last;
    return address;
}

/// A dialer and everything that it has asked for.
class Bench {
public:
    explicit Bench(Dialer::Goal goal = Dialer::Goal::connection)
        : dialer(timeouts, goal, "host", 80, next_id, commands, start) {}

    /// What it asks for now: "resolve host:80", "connect 192.0.2.1", "close 3".
    std::vector<std::string> asked() {
        std::vector<std::string> lines;
        while (!commands.empty()) {
            const Command command = commands.pop();
            switch (command.kind) {
                case Command::Kind::resolve:
                    lookup = command.id;
                    lines.push_back("resolve " + command.host + ":" + std::to_string(command.port));
                    break;
                case Command::Kind::connect:
                    attempts.push_back(command.id);
                    lines.push_back("connect " + command.address.to_string());
                    break;
                case Command::Kind::close: lines.push_back("close " + name(command.id)); break;
                case Command::Kind::half_close: lines.emplace_back("half_close"); break;
                case Command::Kind::prepare: lines.emplace_back("prepare"); break;
            }
        }
        return lines;
    }
    /// The attempts of the race: the lookup is answered, and nothing else.
    std::vector<std::string> resolve(const std::vector<Address>& addresses) {
        asked();
        dialer.on_resolved(lookup, addresses, {}, start);
        return asked();
    }
    std::vector<std::string> pass(std::chrono::milliseconds until) {
        dialer.on_timeout(start + until);
        return asked();
    }
    std::vector<std::string> connected(std::size_t attempt, Error error = {}, std::chrono::milliseconds at = 10ms) {
        dialer.on_connected(attempts.at(attempt), std::move(error), start + at);
        return asked();
    }
    std::string name(StreamId id) const {
        if (id == lookup) return "lookup";
        for (std::size_t i = 0; i < attempts.size(); ++i) {
            if (attempts[i] == id) return std::to_string(i);
        }
        return "unknown";
    }

    Timeouts timeouts{.resolve = 5s, .connect = 10s};
    StreamId next_id = 7;
    Fifo<Command> commands;
    Dialer dialer;
    StreamId lookup = 0;
    std::vector<StreamId> attempts;
};

using Lines = std::vector<std::string>;

TEST(DialerTest, ResolvesThenConnects) {
    Bench bench;
    EXPECT_EQ(bench.asked(), Lines{"resolve host:80"});
    EXPECT_TRUE(bench.dialer.resolving());
    EXPECT_EQ(bench.dialer.deadline(), start + 5s);
    EXPECT_EQ(bench.resolve({v4(1)}), Lines{"connect 192.0.2.1"});
    EXPECT_FALSE(bench.dialer.resolving());
    EXPECT_EQ(bench.dialer.deadline(), start + 10s);
    EXPECT_EQ(bench.connected(0), Lines{});
    EXPECT_EQ(bench.dialer.status(), Status::connected);
    EXPECT_EQ(bench.dialer.stream(), bench.attempts[0]);
    EXPECT_EQ(bench.dialer.address(), v4(1));
    EXPECT_EQ(bench.dialer.deadline(), std::nullopt);
}

/// RFC 8305 section 4.
TEST(DialerTest, TheFamiliesAlternateAndBeginWithTheFirst) {
    Bench bench;
    EXPECT_EQ(bench.resolve({v6(1), v6(2), v6(3), v4(1), v4(2)}), Lines{"connect 2001:db8::1"});
    EXPECT_EQ(bench.pass(250ms), Lines{"connect 192.0.2.1"});
    EXPECT_EQ(bench.pass(500ms), Lines{"connect 2001:db8::2"});
    EXPECT_EQ(bench.pass(750ms), Lines{"connect 192.0.2.2"});
    EXPECT_EQ(bench.pass(1000ms), Lines{"connect 2001:db8::3"});
}

TEST(DialerTest, TheNextOneStartsAfterTheDelayOrAtOnceAfterAFailure) {
    Bench bench;
    bench.resolve({v4(1), v4(2), v4(3)});
    EXPECT_EQ(bench.dialer.deadline(), start + 250ms);
    EXPECT_EQ(bench.pass(249ms), Lines{});
    EXPECT_EQ(bench.connected(0, Errc::connection_refused), Lines{"connect 192.0.2.2"});
    EXPECT_EQ(bench.dialer.deadline(), start + 260ms);
    EXPECT_EQ(bench.pass(260ms), Lines{"connect 192.0.2.3"});
}

TEST(DialerTest, TheFirstToAnswerWinsAndTheOthersAreClosed) {
    Bench bench;
    bench.resolve({v4(1), v4(2), v4(3), v4(4)});
    bench.pass(250ms);
    bench.pass(500ms);
    EXPECT_EQ(bench.connected(1), (Lines{"close 0", "close 2"}));
    EXPECT_EQ(bench.dialer.address(), v4(2));
    EXPECT_EQ(bench.connected(0), Lines{}) << "its answer was on the way";
    EXPECT_EQ(bench.dialer.address(), v4(2));
}

TEST(DialerTest, TheErrorIsThatOfTheFirstAndNamesThemAll) {
    Bench bench;
    bench.resolve({v4(1), v4(2)});
    bench.connected(0, Errc::connection_refused);
    EXPECT_EQ(bench.dialer.status(), Status::working);
    bench.connected(1, Errc::host_unreachable);
    EXPECT_EQ(bench.dialer.status(), Status::failed);
    EXPECT_EQ(bench.dialer.error(), Errc::connection_refused);
    EXPECT_EQ(bench.dialer.error().phase, Phase::connect);
    EXPECT_NE(bench.dialer.error().detail.find("192.0.2.1"), std::string::npos);
    EXPECT_NE(bench.dialer.error().detail.find("192.0.2.2: there is no route"), std::string::npos);
}

TEST(DialerTest, WhatBecameOfEachAddressAndAfterHowLong) {
    Bench bench;
    bench.resolve({v4(1), v4(2)});
    bench.pass(250ms);
    bench.connected(1, Errc::connection_refused, 260ms);
    bench.pass(10s);
    EXPECT_EQ(bench.dialer.error().detail,
              "192.0.2.2 after 10.0 ms; 192.0.2.1 after 10.0 s: connecting took longer than timeouts.connect");
}

TEST(DialerTest, AnAttemptThatHangsIsGivenUp) {
    Bench bench;
    bench.resolve({v4(1)});
    EXPECT_EQ(bench.pass(10s - 1ms), Lines{});
    EXPECT_EQ(bench.pass(10s), Lines{"close 0"});
    EXPECT_EQ(bench.dialer.status(), Status::failed);
    EXPECT_EQ(bench.dialer.error(), Errc::connect_timeout);
}

TEST(DialerTest, ALookupThatHangsIsGivenUp) {
    Bench bench;
    bench.asked();
    EXPECT_EQ(bench.pass(5s), Lines{"close lookup"});
    EXPECT_EQ(bench.dialer.status(), Status::failed);
    EXPECT_EQ(bench.dialer.error(), Errc::resolve_timeout);
    EXPECT_EQ(bench.dialer.error().phase, Phase::resolve);
}

TEST(DialerTest, ALookupThatFails) {
    Bench bench;
    bench.asked();
    bench.dialer.on_resolved(bench.lookup, {}, Error(Errc::resolver_unavailable), start);
    EXPECT_EQ(bench.dialer.status(), Status::failed);
    EXPECT_EQ(bench.dialer.error(), Errc::resolver_unavailable);
    EXPECT_EQ(bench.dialer.error().phase, Phase::resolve);

    Bench none;
    EXPECT_EQ(none.resolve({}), Lines{});
    EXPECT_EQ(none.dialer.error(), Errc::host_not_found);
}

TEST(DialerTest, AnswersToNothingAreIgnored) {
    Bench bench;
    bench.resolve({v4(1)});
    const std::array<Address, 1> other{v4(9)};
    bench.dialer.on_resolved(bench.lookup, other, {}, start);
    bench.dialer.on_resolved(99, other, {}, start);
    bench.dialer.on_connected(99, {}, start);
    EXPECT_EQ(bench.asked(), Lines{});
    EXPECT_EQ(bench.dialer.status(), Status::working);
}

TEST(DialerTest, AbandonClosesWhatIsUnderWay) {
    Bench early;
    early.asked();
    early.dialer.abandon();
    EXPECT_EQ(early.asked(), Lines{"close lookup"});

    Bench late;
    late.resolve({v4(1), v4(2), v4(3)});
    late.pass(250ms);
    late.dialer.abandon();
    EXPECT_EQ(late.asked(), (Lines{"close 0", "close 1"}));
    EXPECT_EQ(late.pass(1s), Lines{});
}

TEST(DialerTest, MoreAddressesThanSensibleAreNotTried) {
    Bench bench;
    std::vector<Address> many;
    for (unsigned i = 0; i < 200; ++i) many.push_back(v4(static_cast<std::uint8_t>(i)));
    bench.resolve(many);
    for (std::size_t i = 0; i < bench.attempts.size(); ++i) bench.connected(i, Errc::connection_refused);
    EXPECT_EQ(bench.attempts.size(), 64u);
    EXPECT_EQ(bench.dialer.status(), Status::failed);
}

TEST(DialerTest, OnlyTheAddressIsWanted) {
    Bench bench(Dialer::Goal::address);
    EXPECT_EQ(bench.resolve({v6(1), v4(2)}), Lines{}) << "nothing is connected to";
    EXPECT_EQ(bench.dialer.status(), Status::connected);
    EXPECT_EQ(bench.dialer.address(), v6(1)) << "the one that the resolver prefers";
    EXPECT_EQ(bench.dialer.stream(), 0u);
    EXPECT_EQ(bench.dialer.deadline(), std::nullopt);
    bench.dialer.abandon();
    EXPECT_EQ(bench.asked(), Lines{});

    Bench nowhere(Dialer::Goal::address);
    EXPECT_EQ(nowhere.resolve({}), Lines{});
    EXPECT_EQ(nowhere.dialer.status(), Status::failed);
    EXPECT_EQ(nowhere.dialer.error(), Errc::host_not_found);
}

}  // namespace
}  // namespace tern::core
