// The small public types: close codes, names, addresses, errors and the judgement of a configuration.
#include <limits>
#include <set>
#include <string_view>

#include <gtest/gtest.h>

#include <tern/core.hpp>

namespace tern {
namespace {

using namespace std::chrono_literals;

/// RFC 6455 section 7.4.
TEST(CloseCodeTest, WhatMayBeOnTheWire) {
    for (unsigned code = 0; code <= 0xffff; ++code) {
        const bool defined = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
        const bool free = code >= 3000 && code <= 4999;
        EXPECT_EQ(is_sendable(CloseCode{static_cast<std::uint16_t>(code)}), defined || free) << code;
    }
}

/// Each value up to the last has a name that no other has, and what is none is "unknown".
template <class Value>
void expect_own_names(std::string_view (*name)(Value), Value first, Value last) {
    std::set<std::string_view> names;
    const auto number = [](Value value) { return static_cast<unsigned>(value); };
    for (unsigned each = number(first); each <= number(last); ++each) {
        EXPECT_TRUE(names.insert(name(static_cast<Value>(each))).second) << each;
    }
    EXPECT_FALSE(names.contains("unknown"));
    EXPECT_EQ(name(static_cast<Value>(200)), "unknown");
}

TEST(NamesTest, EveryValueHasItsOwn) {
    expect_own_names<Event::Kind>(event_name, Event::Kind::connecting, Event::Kind::failed);
    expect_own_names<State>(state_name, State::idle, State::reconnecting);
    expect_own_names<Fate>(fate_name, Fate::sent, Fate::replaced);
    expect_own_names<Condition>(condition_name, Condition::url_invalid, Condition::misuse);
    expect_own_names<Retry>(retry_name, Retry::never, Retry::later);
    expect_own_names<Phase>(phase_name, Phase::none, Phase::closing);
    // The documents and the command print these.
    EXPECT_EQ(fate_name(Fate::expired), "expired");
    EXPECT_EQ(retry_name(Retry::at_once), "at once");
    EXPECT_EQ(phase_name(Phase::upgrade), "upgrade");
}

/// RFC 5952 section 4.
TEST(AddressTest, TextIsCanonical) {
    const auto v6 = [](std::array<unsigned, 8> groups, std::uint32_t scope = 0) {
        Address address{.family = Address::Family::ipv6, .scope_id = scope};
        for (std::size_t i = 0; i < 8; ++i) {
            address.bytes[2 * i] = static_cast<std::uint8_t>(groups[i] >> 8u);
            address.bytes[2 * i + 1] = static_cast<std::uint8_t>(groups[i]);
        }
        return address.to_string();
    };
    EXPECT_EQ((Address{.bytes = {192, 0, 2, 1}}.to_string()), "192.0.2.1");
    EXPECT_EQ((Address{.bytes = {255, 255, 255, 0}}.to_string()), "255.255.255.0");
    EXPECT_EQ(v6({0, 0, 0, 0, 0, 0, 0, 0}), "::");
    EXPECT_EQ(v6({0, 0, 0, 0, 0, 0, 0, 1}), "::1");
    EXPECT_EQ(v6({1, 0, 0, 0, 0, 0, 0, 0}), "1::");
    EXPECT_EQ(v6({0x2001, 0xdb8, 0, 1, 1, 1, 1, 1}), "2001:db8:0:1:1:1:1:1");
    EXPECT_EQ(v6({0x2001, 0xdb8, 0, 0, 1, 0, 0, 1}), "2001:db8::1:0:0:1");
    EXPECT_EQ(v6({0x2001, 0, 0, 1, 0, 0, 0, 1}), "2001:0:0:1::1");
    EXPECT_EQ(v6({0x2001, 0xabc, 0, 0, 0x10, 0, 0, 0xf00f}), "2001:abc::10:0:0:f00f");
    EXPECT_EQ(v6({0xfe80, 0, 0, 0, 0, 0, 0, 1}, 3), "fe80::1%3");
}

TEST(ErrorTest, AMessageNamesPhasePeerAndCause) {
    Error error(Errc::connection_refused, Phase::connect, "192.0.2.1");
    error.peer = "host:80";
    const std::string text = error.message();
    for (const char* part : {"connect", "host:80", "refused", "192.0.2.1"}) {
        EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
    }
    EXPECT_TRUE(error);
    EXPECT_FALSE(Error());
}

TEST(ErrorTest, CodesHaveFamilies) {
    EXPECT_EQ(make_error_code(Errc::masked_frame), Condition::protocol_violation);
    EXPECT_EQ(make_error_code(Errc::connect_timeout), Condition::timed_out);
    EXPECT_EQ(make_error_code(Errc::connect_timeout), std::errc::timed_out);
    EXPECT_EQ(make_error_code(Errc::stopped), std::errc::operation_canceled);
    EXPECT_NE(make_error_code(Errc::masked_frame), Condition::timed_out);
    EXPECT_EQ(error_row(static_cast<Errc>(9)), nullptr);
    EXPECT_EQ(error_category().message(0), "success");
    EXPECT_EQ(error_category().message(9), "unknown tern error 9");
    EXPECT_EQ(make_error_condition(Condition::tls_failed).message(), "tls_failed");
    EXPECT_EQ(condition_category().name(), std::string_view("tern.condition"));
}

TEST(ErrorTest, AMessageWithoutAPeer) {
    EXPECT_EQ(Error().message(), "success");
    EXPECT_EQ(Error(Errc::stopped).message(), make_error_code(Errc::stopped).message());
    EXPECT_EQ(Error(Errc::stopped, Phase::prepare).message(), "prepare: " + make_error_code(Errc::stopped).message());
}

Config good() {
    Config config;
    config.url = "ws://host/";
    return config;
}

TEST(ConfigTest, EachValueHasItsRange) {
    EXPECT_FALSE(ClientCore::check(good(), default_crypto()));
    const auto refused = [](auto change) {
        Config config = good();
        change(config);
        return ClientCore::check(config, default_crypto()) == Errc::invalid_config;
    };
    constexpr auto eternity = std::chrono::hours(24 * 366);
    for (const auto member :
         {&Timeouts::resolve, &Timeouts::connect, &Timeouts::upgrade, &Timeouts::attempt, &Timeouts::close}) {
        EXPECT_TRUE(refused([&](Config& c) { c.timeouts.*member = 0ms; }));
        EXPECT_TRUE(refused([&](Config& c) { c.timeouts.*member = -1ms; }));
        EXPECT_TRUE(refused([&](Config& c) { c.timeouts.*member = eternity; }));
        EXPECT_FALSE(refused([&](Config& c) { c.timeouts.*member = 1ms; }));
    }
    EXPECT_FALSE(refused([](Config& c) { c.timeouts.stop = 0ms; }));
    EXPECT_TRUE(refused([](Config& c) { c.timeouts.stop = -1ms; }));
    EXPECT_FALSE(refused([](Config& c) { c.keepalive.interval = 0ms; }));
    EXPECT_TRUE(refused([](Config& c) { c.keepalive.interval = -1ms; }));
    EXPECT_TRUE(refused([](Config& c) { c.keepalive.pong_timeout = 0ms; }));
    EXPECT_FALSE(refused([](Config& c) { c.reconnect.min_delay = 0ms; }));
    EXPECT_TRUE(refused([](Config& c) { c.reconnect.min_delay = -1ms; }));
    EXPECT_TRUE(refused([](Config& c) { c.reconnect.max_delay = c.reconnect.min_delay - 1ms; }));
    EXPECT_TRUE(refused([](Config& c) { c.reconnect.max_later = c.reconnect.min_later - 1ms; }));
    EXPECT_TRUE(refused([](Config& c) { c.reconnect.give_up_after = -1ms; }));
    EXPECT_TRUE(refused([](Config& c) { c.offline_queue.expire_after = -1ms; }));
    EXPECT_TRUE(refused([](Config& c) { c.water_marks.low = c.water_marks.high; }));
    EXPECT_FALSE(refused([](Config& c) { c.water_marks = {.high = 0, .low = 5}; }));
    EXPECT_TRUE(refused([](Config& c) { c.receive_buffer = 4095; }));
    EXPECT_FALSE(refused([](Config& c) { c.receive_buffer = 4096; }));
    EXPECT_TRUE(refused([](Config& c) { c.receive_buffer = (16u << 20u) + 1; }));
    const std::size_t needed = good().receive_buffer + good().limits.max_head_size + good().limits.max_error_body;
    EXPECT_TRUE(refused([&](Config& c) { c.limits.max_memory = needed; })) << "and a little beside it";
    EXPECT_FALSE(refused([&](Config& c) { c.limits.max_memory = needed + (8u << 10u); }));
    EXPECT_TRUE(refused([](Config& c) { c.limits.max_head_size = 0; }));
    EXPECT_TRUE(refused([](Config& c) { c.limits.max_head_fields = 0; }));
}

TEST(ConfigTest, OfSeveralEndpointsTheOneThatIsWrongIsNamed) {
    Config config = good();
    config.endpoints = {"ws://other/", "http://third/"};
    const Error scheme = ClientCore::check(config, default_crypto());
    EXPECT_EQ(scheme, Errc::url_scheme);
    EXPECT_TRUE(scheme.detail.ends_with("endpoint 3")) << scheme.detail;

    config.url.clear();
    config.endpoints = {"ws://first/", ""};
    const Error empty = ClientCore::check(config, default_crypto());
    EXPECT_TRUE(empty.detail.ends_with("endpoint 2")) << empty.detail;

    config.endpoints = {""};
    EXPECT_EQ(ClientCore::check(config, default_crypto()).detail.find("endpoint"), std::string::npos) << "there is one";
}

}  // namespace
}  // namespace tern
