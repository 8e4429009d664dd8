#include "reconnect.hpp"

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

std::optional<std::chrono::milliseconds> decision(const Reconnect& config, const Error& error, int dice = 0x80) {
    Dice random(dice);
    return ReconnectPolicy(config).decide(error, random);
}

Error refused(int status) {
    Error error(Errc::upgrade_refused, Phase::upgrade);
    error.response.status = status;
    return error;
}

TEST(ReconnectTest, TheJitterLiesBetweenItsBounds) {
    const Reconnect config{.delay = 1000ms, .jitter = 0.5};
    const Error error(Errc::connection_refused);
    EXPECT_EQ(decision(config, error, 0x00), 500ms);
    EXPECT_EQ(decision(config, error, 0xff), 1500ms);
    EXPECT_NEAR(static_cast<double>(decision(config, error, 0x80).value().count()), 1000, 5);
    EXPECT_EQ(decision(config, error, -1), 1000ms) << "without entropy there is no jitter";
    EXPECT_EQ(decision({.delay = 1000ms, .jitter = 0}, error, 0xff), 1000ms);
}

TEST(ReconnectTest, TheTableDecidesWhatIsFinal) {
    for (const ErrorRow& row : error_table()) {
        EXPECT_EQ(decision({}, Error(row.code)).has_value(), row.retry) << row.name;
    }
}

TEST(ReconnectTest, ARefusalIsJudgedByItsStatus) {
    for (const int status : {300, 301, 400, 401, 403, 404, 410, 426, 499}) {
        EXPECT_FALSE(decision({}, refused(status))) << status;
    }
    for (const int status : {200, 204, 408, 425, 429, 500, 502, 503, 504, 599}) {
        EXPECT_TRUE(decision({}, refused(status))) << status;
    }
}

TEST(ReconnectTest, TheLimitCountsAttemptsSinceTheLastOpen) {
    const Reconnect config{.max_attempts = 2};
    const Error error(Errc::connection_refused);
    Dice random(0);
    ReconnectPolicy policy(config);
    EXPECT_EQ(policy.next_attempt(), 1u);
    EXPECT_EQ(policy.on_attempt(), 1u);
    EXPECT_TRUE(policy.decide(error, random));
    EXPECT_EQ(policy.next_attempt(), 2u);
    EXPECT_EQ(policy.on_attempt(), 2u);
    EXPECT_FALSE(policy.decide(error, random));
    policy.on_open();
    EXPECT_TRUE(policy.decide(error, random));
    EXPECT_EQ(policy.on_attempt(), 1u);
}

TEST(ReconnectTest, SwitchedOff) { EXPECT_FALSE(decision({.enabled = false}, Errc::connection_lost)); }

}  // namespace
}  // namespace tern::core
