#include "reconnect.hpp"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

namespace tern::core {
namespace {

using namespace std::chrono_literals;

/// Always gives the same bytes, or none.
class Dice final : public Crypto {
public:
    explicit Dice(int byte) : byte_(byte) {}
    bool random_bytes(std::span<std::byte> out) override {
        for (std::byte& each : out) each = static_cast<std::byte>(byte_);
        return byte_ >= 0;
    }
    std::array<std::byte, 20> sha1(Bytes) override { return {}; }
    std::string base64(Bytes) override { return {}; }

private:
    int byte_;
};

constexpr int most = 0xff;
constexpr int least = 0x00;

/// One life's attempts, at times that the test says.
struct Bench {
    explicit Bench(Reconnect reconnect = {}, int dice_shows = most, std::size_t endpoints = 1)
        : config(std::move(reconnect)), dice(dice_shows), supervisor(config, endpoints, dice, now) {}

    Supervisor::Decision fail(const Error& error = Errc::connection_refused) {
        supervisor.on_attempt();
        return supervisor.on_failed(error, now);
    }
    /// An attempt that succeeds, and how the connection ends after some time.
    Supervisor::Decision end(std::chrono::milliseconds open_for, const Error& error = Errc::connection_lost,
                             CloseCode close = CloseCode{0}) {
        supervisor.on_attempt();
        supervisor.on_open(now);
        now += open_for;
        return supervisor.on_ended(error, close, now);
    }

    const Reconnect config;
    Dice dice;
    TimePoint now{1h};
    Supervisor supervisor;
};

Error refused(int status, std::vector<Header> headers = {}) {
    Error error(Errc::upgrade_refused, Phase::upgrade);
    error.response.status = status;
    error.response.headers = std::move(headers);
    return error;
}

TEST(ReconnectTest, TheDelayIsDrawnBelowABoundThatDoubles) {
    const Reconnect config{.min_delay = 500ms, .max_delay = 10s};
    Bench high(config, most);
    for (const auto delay : {1000ms, 2000ms, 4000ms, 8000ms, 10'000ms, 10'000ms}) {
        EXPECT_EQ(high.fail().delay, delay);
    }
    Bench low(config, least);
    for (int i = 0; i < 6; ++i) EXPECT_EQ(low.fail().delay, 500ms);
    Bench middle(config, 0x80);
    EXPECT_NEAR(static_cast<double>(middle.fail().delay.count()), 750, 2);
    Bench without_entropy(config, -1);
    EXPECT_EQ(without_entropy.fail().delay, 750ms);
}

TEST(ReconnectTest, TheSameBoundsAreAFixedDelay) {
    for (const int dice : {least, most}) {
        Bench bench({.min_delay = 777ms, .max_delay = 777ms}, dice);
        for (int i = 0; i < 100; ++i) EXPECT_EQ(bench.fail().delay, 777ms);
    }
}

TEST(ReconnectTest, ALongOutageOverflowsNothing) {
    Bench bench({.min_delay = 1ms, .max_delay = std::chrono::hours(24 * 365)});
    for (int i = 0; i < 1000; ++i) {
        const auto decision = bench.fail();
        EXPECT_TRUE(decision.again);
        EXPECT_GE(decision.delay, 1ms);
        EXPECT_LE(decision.delay, std::chrono::hours(24 * 365));
    }
}

TEST(ReconnectTest, OnlyAStableConnectionResetsTheDelay) {
    Bench bench({.min_delay = 500ms, .max_delay = 60s, .stable_after = 10s});
    EXPECT_EQ(bench.end(9999ms).delay, 1s);
    EXPECT_EQ(bench.end(9999ms).delay, 2s);
    EXPECT_EQ(bench.supervisor.next_attempt(), 3u);
    EXPECT_EQ(bench.end(10s).delay, 0ms) << "once at once";
    EXPECT_EQ(bench.supervisor.next_attempt(), 1u);
    EXPECT_EQ(bench.fail().delay, 1s) << "and then small again";
    EXPECT_EQ(bench.end(0ms).delay, 2s);
}

TEST(ReconnectTest, AtOnceIsForEndsThatNobodyMeant) {
    for (const ErrorRow& row : error_table()) {
        Bench bench;
        const auto decision = bench.end(1h, Error(row.code));
        EXPECT_EQ(decision.again, row.retry != Retry::never) << row.name;
        EXPECT_EQ(decision.again && decision.delay == 0ms, row.retry == Retry::at_once) << row.name;
    }
}

TEST(ReconnectTest, ACodeOfThePeerBeatsTheTable) {
    const Error closed(Errc::closed_by_peer);
    for (const int code : {1002, 1003, 1007, 1008}) {
        EXPECT_EQ(retry_class({}, closed, CloseCode{static_cast<std::uint16_t>(code)}), Retry::never) << code;
    }
    for (const int code : {1012, 1013}) {
        EXPECT_EQ(retry_class({}, closed, CloseCode{static_cast<std::uint16_t>(code)}), Retry::later) << code;
    }
    for (const int code : {1000, 1001, 1005, 1011, 3000, 4999}) {
        EXPECT_EQ(retry_class({}, closed, CloseCode{static_cast<std::uint16_t>(code)}), Retry::at_once) << code;
    }
}

TEST(ReconnectTest, ARefusalIsJudgedByItsStatus) {
    for (const int status : {300, 301, 400, 401, 403, 404, 410, 426, 499}) {
        EXPECT_EQ(retry_class({}, refused(status), {}), Retry::never) << status;
    }
    for (const int status : {200, 204, 408, 425, 429, 500, 502, 504, 599}) {
        EXPECT_EQ(retry_class({}, refused(status), {}), Retry::backoff) << status;
    }
    EXPECT_EQ(retry_class({}, refused(503), {}), Retry::later);
}

TEST(ReconnectTest, LaterHasARangeOfItsOwn) {
    const Reconnect config{.min_delay = 500ms, .max_delay = 60s, .min_later = 5s, .max_later = 30s};
    EXPECT_EQ(Bench(config, least).fail(refused(503)).delay, 5s);
    Bench bench(config, most);
    EXPECT_EQ(bench.end(1h, Errc::closed_by_peer, CloseCode::service_restart).delay, 30s) << "also when it was stable";
    for (int i = 0; i < 4; ++i) bench.fail();
    EXPECT_EQ(bench.fail(refused(503)).delay, 32s) << "the larger of the two";
}

TEST(ReconnectTest, RulesBeatEverything) {
    const Reconnect config{.rules = {{.status = 503, .retry = Retry::never},
                                     {.error = Errc::upgrade_refused, .status = 404, .retry = Retry::backoff},
                                     {.close = CloseCode{4001}, .retry = Retry::never},
                                     {.error = Errc::certificate_expired, .retry = Retry::later}}};
    EXPECT_EQ(retry_class(config, refused(503), {}), Retry::never);
    EXPECT_EQ(retry_class(config, refused(404), {}), Retry::backoff);
    EXPECT_EQ(retry_class(config, refused(410), {}), Retry::never);
    EXPECT_EQ(retry_class(config, Errc::closed_by_peer, CloseCode{4001}), Retry::never);
    EXPECT_EQ(retry_class(config, Errc::closed_by_peer, CloseCode{4002}), Retry::at_once);
    EXPECT_EQ(retry_class(config, Errc::certificate_expired, {}), Retry::later);
}

TEST(ReconnectTest, RetryAfterIsHonouredUpToALimit) {
    const Reconnect config{.min_delay = 500ms, .max_retry_after = 300s};
    const auto delay = [&](std::vector<Header> headers, int dice = least) {
        return Bench(config, dice).fail(refused(429, std::move(headers))).delay;
    };
    EXPECT_EQ(delay({{"Retry-After", "120"}}), 120s);
    EXPECT_EQ(delay({{"Retry-After", "120"}}, most), 120'500ms) << "not all at the same moment";
    EXPECT_EQ(delay({{"Retry-After", "301"}}), 300s);
    EXPECT_EQ(delay({{"Retry-After", "99999999999999999999999"}}), 300s);
    EXPECT_EQ(delay({{"Retry-After", "0"}}), 500ms);
    for (const char* nothing : {"", "soon", "-5", "1.5", "Sun, 06 Nov 1994 08:50:37 GMT"}) {
        EXPECT_EQ(delay({{"Retry-After", nothing}}), 500ms) << nothing;
    }
    EXPECT_EQ(delay({{"Date", "Sun, 06 Nov 1994 08:49:37 GMT"}, {"Retry-After", "Sun, 06 Nov 1994 08:51:07 GMT"}}),
              90s);
    EXPECT_EQ(delay({{"Date", "Sun, 06 Nov 1994 08:49:37 GMT"}, {"Retry-After", "Sun, 06 Nov 1994 08:49:00 GMT"}}),
              500ms);
    EXPECT_EQ(
        Bench({.min_delay = 500ms, .max_retry_after = 0ms}, least).fail(refused(429, {{"Retry-After", "120"}})).delay,
        500ms);
}

TEST(ReconnectTest, LimitsOfAttemptsAndTime) {
    Bench counted({.max_attempts = 3});
    EXPECT_TRUE(counted.fail().again);
    EXPECT_TRUE(counted.end(1s).again) << "an unstable connection does not count";
    const auto last = counted.fail();
    EXPECT_FALSE(last.again);
    EXPECT_TRUE(last.limited);

    Bench timed({.min_delay = 500ms, .max_delay = 500ms, .give_up_after = 10s});
    timed.now += 9500ms;
    EXPECT_TRUE(timed.fail().again);
    timed.now += 1ms;
    EXPECT_TRUE(timed.fail().limited);
    EXPECT_TRUE(timed.end(1h).again) << "the time runs anew after a stable connection";
}

TEST(ReconnectTest, EndpointsAreTriedInTurnBeforeADelay) {
    Bench bench({.min_delay = 1s, .max_delay = 1s}, most, 3);
    for (int round = 0; round < 2; ++round) {
        for (const std::size_t endpoint : {0u, 1u}) {
            EXPECT_EQ(bench.supervisor.endpoint(), endpoint);
            const auto decision = bench.fail();
            EXPECT_TRUE(decision.again && decision.same_round);
            EXPECT_EQ(decision.delay, 0ms);
        }
        EXPECT_EQ(bench.supervisor.endpoint(), 2u);
        const auto decision = bench.fail();
        EXPECT_TRUE(decision.again && !decision.same_round);
        EXPECT_EQ(decision.delay, 1s);
    }
}

TEST(ReconnectTest, AnEndpointThatWorksIsKept) {
    Bench bench({.min_delay = 1s, .max_delay = 1s}, most, 3);
    bench.fail();
    EXPECT_TRUE(bench.end(1h).again);
    EXPECT_EQ(bench.supervisor.endpoint(), 1u);
}

TEST(ReconnectTest, AnEndpointThatFailsForGoodIsStruckOut) {
    Bench bench({}, most, 3);
    EXPECT_TRUE(bench.fail(refused(404)).same_round);
    EXPECT_EQ(bench.supervisor.endpoint(), 1u);
    EXPECT_TRUE(bench.fail().same_round);
    EXPECT_EQ(bench.supervisor.endpoint(), 2u);
    EXPECT_FALSE(bench.fail(refused(401)).same_round) << "the round is over";
    EXPECT_EQ(bench.supervisor.endpoint(), 1u);
    const auto last = bench.fail(refused(403));
    EXPECT_FALSE(last.again || last.limited);
}

TEST(ReconnectTest, ARoundIsTriedEvenWithoutReconnecting) {
    Bench bench({.enabled = false}, most, 2);
    EXPECT_TRUE(bench.fail().again);
    EXPECT_FALSE(bench.fail().again);
    EXPECT_FALSE(Bench({.enabled = false}).end(1h).again);
}

TEST(ReconnectTest, ARandomOrderHasAllOfThem) {
    for (const int dice : {0x00, 0x55, 0xc3}) {
        Bench bench({.random_endpoints = true}, dice, 4);
        std::set<std::size_t> seen;
        for (int i = 0; i < 4; ++i) {
            seen.insert(bench.supervisor.endpoint());
            bench.fail();
        }
        EXPECT_EQ(seen.size(), 4u);
    }
}

TEST(ReconnectTest, ANetworkChangeMakesDelaysSmallAgain) {
    Bench bench({.min_delay = 500ms, .max_delay = 60s});
    for (int i = 0; i < 5; ++i) bench.fail();
    bench.supervisor.forget_failures();
    EXPECT_EQ(bench.fail().delay, 1s);
}

TEST(Reconnecting, ACrowdIsSpreadOverTheShortestDelay) {
    EXPECT_EQ(Bench({.min_delay = 400ms}, most).supervisor.spread(), 400ms);
    EXPECT_EQ(Bench({.min_delay = 400ms}, least).supervisor.spread(), 0ms);
    EXPECT_EQ(Bench({.min_delay = 400ms}, -1).supervisor.spread(), 200ms) << "without entropy the middle";
    Bench changed({.min_delay = 400ms}, most);
    changed.supervisor.set_delays(70ms, 1s);
    EXPECT_EQ(changed.supervisor.spread(), 70ms);
}

}  // namespace
}  // namespace tern::core
