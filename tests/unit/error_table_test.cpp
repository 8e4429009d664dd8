// Every row of the error table is provoked here, through the public interface. A row without an entry fails.
#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include <tern/client.hpp>
#include <tern/core.hpp>
#include <tern/loop.hpp>

#include "driven_core.hpp"
#include "fake_tls.hpp"

namespace tern {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

Config config() { return {.url = "ws://host.example/", .limits = {.max_message_size = 1000, .max_send_queue = 1000}}; }

Error started(Config one) { return DrivenCore(std::move(one)).start(); }
Error with_url(const std::string& url) { return started({.url = url}); }
Error with_header(const std::string& name, const std::string& value) {
    Config one = config();
    one.headers = {{name, value}};
    return started(one);
}
/// A code as it comes from a call.
Error from(std::error_code code) { return static_cast<Errc>(code.value()); }

Error resolving(Errc code) {
    DrivenCore core(config());
    EXPECT_FALSE(core.start());
    core->on_resolved(core.expect(Command::Kind::resolve).id, {}, code, core.now());
    core.take();
    return core.error;
}
Error connecting(Errc code) {
    DrivenCore core(config());
    EXPECT_FALSE(core.start());
    const Address address{.port = 80};
    core->on_resolved(core.expect(Command::Kind::resolve).id, {&address, 1}, {}, core.now());
    core->on_connected(core.expect(Command::Kind::connect).id, code, core.now());
    core.take();
    return core.error;
}
/// The server answers the upgrade like this; "\1" stands for the right value of Sec-WebSocket-Accept.
Error answered(std::string text, const Config& with = config()) {
    DrivenCore core(with);
    EXPECT_FALSE(core.start());
    core.connect();
    if (const std::size_t at = text.find('\1'); at != std::string::npos) {
        const std::string right = core.answer();
        const std::size_t begin = right.find("Accept: ") + 8;
        text.replace(at, 1, right.substr(begin, right.find("\r\n", begin) - begin));
    }
    core.receive(text);
    core.take();
    return core.error;
}
std::string switching(const std::string& headers) { return "HTTP/1.1 101 S\r\n" + headers + "\r\n"; }
const std::string deflate = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
/// A compressed message of one byte over and over, written by hand: a fixed block with one literal and matches of 258
/// bytes at distance 1, of 13 bits each.
std::string bomb() {
    std::string bits =
        "010"
        "00110000";  // not final, fixed codes; the literal 0
    for (int i = 0; i < 2000; ++i)
        bits +=
            "11000101"
            "00000";
    std::string payload;
    for (std::size_t i = 0; i + 8 <= bits.size(); i += 8) {
        unsigned byte = 0;
        for (std::size_t j = 0; j < 8; ++j) byte |= (bits[i + j] == '1' ? 1u : 0u) << j;
        payload += static_cast<char>(byte);
    }
    return "\xc2\x7e" + std::string{static_cast<char>(payload.size() >> 8u), static_cast<char>(payload.size())} +
           payload;
}
const std::string good = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \1\r\n";

std::string extended(const std::string& extensions) {
    return switching(good + "Sec-WebSocket-Extensions: " + extensions + "\r\n");
}

/// The server says this on an open connection. The Close that it gets must have the code of the table.
Error received(const std::string& bytes, const std::string& headers = {}, const Config& with = config()) {
    DrivenCore core(with);
    core.open(headers);
    core.receive(bytes);
    core.finish();
    const ErrorRow* row = error_row(core.error.errc());
    if (row != nullptr && row->close_code != 0) {
        EXPECT_EQ(static_cast<unsigned>(core.close.sent_code), row->close_code);
        EXPECT_GE(core.sent.size(), 8u);
        if (core.sent.size() >= 8) {
            EXPECT_EQ(static_cast<unsigned char>(core.sent[0]), 0x88u);
            const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(core.sent[i]); };
            EXPECT_EQ(((byte(6) ^ byte(2)) * 256u) + (byte(7) ^ byte(3)), row->close_code);
        }
    }
    return core.error;
}
Error timing_out(std::chrono::milliseconds after, bool connected, const std::function<void(Config&)>& change) {
    Config one = config();
    change(one);
    DrivenCore core(one);
    EXPECT_FALSE(core.start());
    if (connected) core.connect();
    core.pass(after);
    return core.error;
}
Error on_open(const std::function<Error(DrivenCore&)>& act) {
    DrivenCore core(config());
    core.open();
    const Error error = act(core);
    EXPECT_EQ(core->state(), State::open) << "misuse must not change the connection";
    return error;
}

class NoEntropy final : public Crypto {
public:
    bool random_bytes(std::span<std::byte>) override { return false; }
    std::array<std::byte, 20> sha1(Bytes) override { return {}; }
    std::string base64(Bytes) override { return {}; }
};

Error without_entropy() {
    NoEntropy crypto;
    DrivenCore core(config(), crypto);
    EXPECT_FALSE(core.start());
    core.connect();
    core.take();
    return core.error;
}

/// Memory does not run out on demand here; a driver that has none for its part reports it like this.
Error without_memory() {
    DrivenCore core(config());
    core.open();
    core->on_io_error(core.stream(), Errc::out_of_memory, core.now());
    core.take();
    return core.error;
}

Error inside_handler(const std::function<Error(Client&)>& act) {
    std::promise<Error> outcome;
    std::atomic<bool> done = false;
    Client client{{.url = "ws://127.0.0.1:1/", .reconnect = {.enabled = false}}};
    static_cast<void>(client.on_event([&](const Event&) {
        if (!done.exchange(true)) outcome.set_value(act(client));
    }));
    EXPECT_FALSE(client.start());
    return outcome.get_future().get();
}
Error thrown_by_handler() {
    std::promise<Error> outcome;
    std::atomic<bool> done = false;
    Client client{{.url = "ws://127.0.0.1:1/", .reconnect = {.enabled = false}}};
    static_cast<void>(client.on_event([](const Event&) { throw std::runtime_error("x"); }));
    static_cast<void>(client.on_error([&](const Error& error, bool) {
        if (!done.exchange(true)) outcome.set_value(error);
    }));
    EXPECT_FALSE(client.start());
    return outcome.get_future().get();
}
Error call_timeout() {
    Client client{{.url = "ws://127.0.0.1:1/", .reconnect = {.min_delay = 10s, .max_delay = 10s}}};
    EXPECT_FALSE(client.start());
    return client.receive(1ms).error();
}
Error loop_ended() {
    auto loop = std::make_unique<Loop>();
    Client client{*loop, config()};
    loop.reset();
    return client.start();
}

Error handlers_in_use() {
    Client client{{.url = "ws://127.0.0.1:1/"}};
    static_cast<void>(client.on_message([](MessageView) {}));
    return client.receive(1ms).error();
}

// --- proxies, TLS and redirects ------------------------------------------------------------------------------------

/// An HTTP proxy answers like this, and then nothing, or the end.
Error through_proxy(const std::string& answer, bool ends = false) {
    Config one = config();
    one.proxy = "http://proxy.test";
    DrivenCore core(one);
    EXPECT_FALSE(core.start());
    core.connect();
    core.receive(answer);
    if (ends) core->on_eof(core.stream(), core.now());
    core.take();
    if (!core.error) core.pass(10s);
    return core.error;
}
Config secure() {
    Config one = config();
    one.url = "wss://host.example/";
    return one;
}
/// The program's answer to `prepare`.
Error prepared(const Attempt& attempt, const Error& error) {
    DrivenCore core(config());
    core->prepare_attempts(true);
    EXPECT_FALSE(core.start());
    core->on_prepared(core.expect(Command::Kind::prepare).id, attempt, error, core.now());
    core.take();
    return core.error;
}
/// The TLS library fails like this.
Error over_tls(Errc failure) {
    FakeTls library;
    library.failure = failure;
    DrivenCore core(secure(), library);
    EXPECT_FALSE(core.start());
    core.connect();
    core.take();
    return core.error;
}
/// The server says this over TLS, and ends the stream if `ends`; then time passes.
Error said_over_tls(const std::string& bytes, bool ends = false) {
    FakeTls library;
    DrivenCore core(secure(), library);
    EXPECT_FALSE(core.start());
    core.connect();
    core.receive(bytes);
    if (ends) core->on_eof(core.stream(), core.now());
    core.take();
    if (!core.error) core.pass(10s);
    return core.error;
}
/// An open connection over TLS gets this, and the end.
Error open_over_tls(const std::string& bytes) {
    FakeTls library;
    DrivenCore core(secure(), library);
    EXPECT_FALSE(core.start());
    core.connect();
    core.receive("welcome\n");
    core.read_request(FakeTls::read_records);
    core.receive(FakeTls::record(core.answer()));
    core.take();
    EXPECT_EQ(core->state(), State::open);
    core.receive(bytes);
    core->on_eof(core.stream(), core.now());
    core.take();
    return core.error;
}
Error tls_configuration() {
    FakeTls library;
    library.refusal = Errc::tls_configuration;
    DrivenCore core(secure(), library);
    return core.start();
}
/// Each server in turn redirects to the next of these places.
Error redirected(const std::vector<std::string>& places, bool over_tls = false) {
    FakeTls library;
    Config one = over_tls ? secure() : config();
    one.max_redirects = 2;
    DrivenCore core(one, library);
    EXPECT_FALSE(core.start());
    for (const std::string& place : places) {
        core.connect();
        if (over_tls) core.receive("welcome\n");
        const std::string answer = "HTTP/1.1 302 Found\r\n" + (place.empty() ? "" : "Location: " + place + "\r\n") +
                                   "Content-Length: 0\r\n\r\n";
        core.receive(over_tls ? FakeTls::record(answer) : answer);
        core.take();
        if (core.error) break;
        core.expect(Command::Kind::close);
    }
    return core.error;
}

const std::map<Errc, std::function<Error()>>& triggers() {
    static const std::map<Errc, std::function<Error()>> table = {
        {Errc::url_empty, [] { return with_url(""); }},
        {Errc::url_scheme, [] { return with_url("http://host/"); }},
        {Errc::url_fragment, [] { return with_url("ws://host/#top"); }},
        {Errc::url_port, [] { return with_url("ws://host:65536/"); }},
        {Errc::url_space, [] { return with_url("ws://host/a b"); }},
        {Errc::url_control_character, [] { return with_url("ws://host/\r\n"); }},
        {Errc::url_host, [] { return with_url("ws:///path"); }},
        {Errc::url_syntax, [] { return with_url("ws://host/%zz"); }},
        {Errc::host_not_found, [] { return resolving(Errc::host_not_found); }},
        {Errc::resolver_unavailable, [] { return resolving(Errc::resolver_unavailable); }},
        {Errc::resolver_error, [] { return resolving(Errc::resolver_error); }},
        {Errc::connection_refused, [] { return connecting(Errc::connection_refused); }},
        {Errc::host_unreachable, [] { return connecting(Errc::host_unreachable); }},
        {Errc::connect_error, [] { return connecting(Errc::connect_error); }},
        {Errc::tls_unavailable,
         [] {
             NoEntropy without_tls;
             return DrivenCore({.url = "wss://host/"}, without_tls).start();
         }},
        {Errc::upgrade_refused, [] { return answered("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"); }},
        {Errc::response_version, [] { return answered("HTTP/1.0 101 S\r\n" + good + "\r\n"); }},
        {Errc::response_malformed, [] { return answered("HTTP/1.1 101 S\r\nno colon\r\n\r\n"); }},
        {Errc::upgrade_header,
         [] { return answered(switching("Connection: Upgrade\r\nSec-WebSocket-Accept: \1\r\n")); }},
        {Errc::connection_header,
         [] { return answered(switching("Upgrade: websocket\r\nSec-WebSocket-Accept: \1\r\n")); }},
        {Errc::accept_missing, [] { return answered(switching("Upgrade: websocket\r\nConnection: Upgrade\r\n")); }},
        {Errc::accept_mismatch,
         [] {
             return answered(switching("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n"));
         }},
        {Errc::extension_not_offered, [] { return answered(switching(good + "Sec-WebSocket-Extensions: x\r\n")); }},
        {Errc::extension_malformed, [] { return answered(extended("permessage-deflate; =1")); }},
        {Errc::extension_repeated, [] { return answered(extended("permessage-deflate, permessage-deflate")); }},
        {Errc::compression_parameter,
         [] { return answered(extended("permessage-deflate; server_max_window_bits=7")); }},
        {Errc::compression_mismatch,
         [] {
             Config one = config();
             one.compression.offers = {{.server_window_bits = 10}};
             return answered(extended("permessage-deflate"), one);
         }},
        {Errc::compression_window, [] { return answered(extended("permessage-deflate; client_max_window_bits=8")); }},
        {Errc::compressed_data, [] { return received("\xc1\x01\x07", deflate); }},
        {Errc::compression_ratio,
         [] {
             Config one = config();
             one.limits.max_message_size = 1u << 20u;
             one.compression.max_ratio = 10;
             return received(bomb(), deflate, one);
         }},
        {Errc::subprotocol_not_offered, [] { return answered(switching(good + "Sec-WebSocket-Protocol: x\r\n")); }},
        {Errc::duplicate_header, [] { return answered(switching(good + "Sec-WebSocket-Accept: x\r\n")); }},
        {Errc::upgrade_eof,
         [] {
             DrivenCore core(config());
             EXPECT_FALSE(core.start());
             core.connect();
             core.finish();
             return core.error;
         }},
        {Errc::reserved_bits, [] { return received("\xc1\x01x"); }},
        {Errc::reserved_opcode, [] { return received("\x83\x01x"); }},
        {Errc::control_fragmented, [] { return received("\x09\x01x"); }},
        {Errc::control_too_long, [] { return received("\x89\x7e\x00\x7e"s); }},
        {Errc::length_not_minimal, [] { return received("\x82\x7e\x00\x01x"s); }},
        {Errc::length_overflow, [] { return received("\x82\x7f\xff"); }},
        {Errc::masked_frame, [] { return received("\x81\x81"); }},
        {Errc::unexpected_continuation, [] { return received("\x80\x01x"); }},
        {Errc::unfinished_message, [] { return received("\x01\x01x\x81\x01x"); }},
        {Errc::close_body_length, [] { return received("\x88\x01x"); }},
        {Errc::close_code_invalid, [] { return received("\x88\x02\x03\xed"); }},
        {Errc::close_reason_not_utf8, [] { return received("\x88\x03\x03\xe8\xff"); }},
        {Errc::text_not_utf8, [] { return received("\x81\x01\xff"); }},
        {Errc::message_too_big, [] { return received("\x82\x7e\x03\xe9"); }},
        {Errc::response_head_too_large, [] { return answered(switching("X: " + std::string(70'000, 'x') + "\r\n")); }},
        {Errc::response_too_many_fields,
         [] {
             std::string fields;
             for (int i = 0; i < 129; ++i) fields += "X: x\r\n";
             return answered(switching(fields));
         }},
        {Errc::send_queue_full,
         [] {
             return on_open(
                 [](auto& core) { return from(core->send(Opcode::binary, as_bytes(std::string(1000, 'x')))); });
         }},
        {Errc::out_of_memory, without_memory},
        {Errc::no_entropy, without_entropy},
        {Errc::resolve_timeout, [] { return timing_out(10s, false, [](Config&) {}); }},
        {Errc::connect_timeout,
         [] {
             DrivenCore core(config());
             EXPECT_FALSE(core.start());
             const Address address{.port = 80};
             core->on_resolved(core.expect(Command::Kind::resolve).id, {&address, 1}, {}, core.now());
             core.pass(10s);
             return core.error;
         }},
        {Errc::upgrade_timeout, [] { return timing_out(10s, true, [](Config&) {}); }},
        {Errc::attempt_timeout, [] { return timing_out(2s, true, [](Config& one) { one.timeouts.attempt = 2s; }); }},
        {Errc::pong_timeout,
         [] {
             DrivenCore core(config());
             core.open();
             core.pass(20s);
             core.transmit();
             core.pass(20s);
             return core.error;
         }},
        {Errc::close_timeout,
         [] {
             DrivenCore core(config());
             core.open();
             EXPECT_FALSE(core->close());
             core.take();
             core.transmit();
             core.pass(5s);
             return core.error;
         }},
        {Errc::call_timeout, call_timeout},
        {Errc::closed_by_peer, [] { return received("\x88\x02\x03\xe8"); }},
        {Errc::connection_lost, [] { return received(""); }},
        {Errc::connection_reset,
         [] {
             DrivenCore core(config());
             core.open();
             core->on_io_error(core.stream(), Errc::connection_reset, core.now());
             core.take();
             return core.error;
         }},
        {Errc::io_error,
         [] {
             DrivenCore core(config());
             core.open();
             core->on_io_error(core.stream(), Errc::io_error, core.now());
             core.take();
             return core.error;
         }},
        {Errc::stopped,
         [] {
             DrivenCore core(config());
             core.open();
             core->stop(core.now());
             core.take();
             return core.error;
         }},
        {Errc::closed_locally,
         [] {
             DrivenCore core(config());
             core.open();
             EXPECT_FALSE(core->close());
             core.take();
             core.receive("\x88\x02\x03\xe8");
             core.finish();
             return core.error;
         }},
        {Errc::not_connected, [] { return from(DrivenCore(config())->send(Opcode::text, {})); }},
        {Errc::already_started, [] { return on_open([](auto& core) { return core.start(); }); }},
        {Errc::already_closing,
         [] {
             DrivenCore core(config());
             core.open();
             EXPECT_FALSE(core->close());
             return from(core->send(Opcode::text, {}));
         }},
        {Errc::invalid_close_code,
         [] { return on_open([](auto& core) { return from(core->close(CloseCode{999})); }); }},
        {Errc::invalid_close_reason,
         [] { return on_open([](auto& core) { return from(core->close(CloseCode::normal, "\xff")); }); }},
        {Errc::control_payload_too_long,
         [] { return on_open([](auto& core) { return from(core->ping(as_bytes(std::string(126, 'x')))); }); }},
        {Errc::outgoing_text_not_utf8,
         [] { return on_open([](auto& core) { return from(core->send(Opcode::text, as_bytes("\xff"))); }); }},
        {Errc::message_in_progress,
         [] {
             return on_open([](auto& core) {
                 EXPECT_FALSE(core->send_part(Opcode::text, {}, false));
                 return from(core->send(Opcode::text, {}));
             });
         }},
        {Errc::no_message_in_progress,
         [] { return on_open([](auto& core) { return from(core->send_part(Opcode::continuation, {}, true)); }); }},
        {Errc::invalid_header, [] { return with_header("X-Y", "a\r\nb"); }},
        {Errc::reserved_header, [] { return with_header("Host", "elsewhere"); }},
        {Errc::invalid_subprotocol,
         [] {
             Config one = config();
             one.subprotocols = {"a b"};
             return started(one);
         }},
        {Errc::invalid_config,
         [] {
             Config one = config();
             one.receive_buffer = 1;
             return started(one);
         }},
        {Errc::proxy_url,
         [] {
             Config one = config();
             one.proxy = "ftp://proxy.test";
             return started(one);
         }},
        {Errc::proxy_refused, [] { return through_proxy("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"); }},
        {Errc::proxy_authentication, [] { return through_proxy("HTTP/1.1 407 P\r\nContent-Length: 0\r\n\r\n"); }},
        {Errc::proxy_malformed, [] { return through_proxy("SSH-2.0-OpenSSH\r\n"); }},
        {Errc::proxy_eof, [] { return through_proxy("HTTP/1.1 200 ", true); }},
        {Errc::proxy_timeout, [] { return through_proxy("HTTP/1.1 200 "); }},
        {Errc::tls_configuration, tls_configuration},
        {Errc::tls_handshake, [] { return said_over_tls("SSH-2.0-OpenSSH\r\n"); }},
        {Errc::tls_eof, [] { return said_over_tls("wel", true); }},
        {Errc::tls_timeout, [] { return said_over_tls("wel"); }},
        {Errc::tls_record, [] { return open_over_tls("x"); }},
        {Errc::tls_truncated, [] { return open_over_tls(""); }},
        // What provokes these for real is in tests/engine; here is what becomes of them.
        {Errc::tls_alert, [] { return over_tls(Errc::tls_alert); }},
        {Errc::tls_version, [] { return over_tls(Errc::tls_version); }},
        {Errc::certificate_untrusted, [] { return over_tls(Errc::certificate_untrusted); }},
        {Errc::certificate_expired, [] { return over_tls(Errc::certificate_expired); }},
        {Errc::certificate_not_yet_valid, [] { return over_tls(Errc::certificate_not_yet_valid); }},
        {Errc::certificate_name, [] { return over_tls(Errc::certificate_name); }},
        {Errc::certificate_invalid, [] { return over_tls(Errc::certificate_invalid); }},
        {Errc::certificate_pin, [] { return over_tls(Errc::certificate_pin); }},
        {Errc::redirect_limit, [] { return redirected({"/1", "/2", "/3"}); }},
        {Errc::redirect_location, [] { return redirected({""}); }},
        {Errc::redirect_insecure, [] { return redirected({"ws://host.example/"}, true); }},
        {Errc::redirect_loop, [] { return redirected({"/1", "ws://host.example/"}); }},
        {Errc::memory_limit,
         [] {
             Config one = config();
             one.limits.max_message_size = 2u << 20u;
             one.limits.max_memory = 2 * one.receive_buffer + one.limits.max_head_size;
             DrivenCore core(one);
             core.open();
             core.receive("\x82\x7f" + std::string("\0\0\0\0\0\x10\0\0", 8) + std::string(200'000, 'x'));
             core.finish();
             return core.error;
         }},
        {Errc::prepare_failed, [] { return prepared({}, Errc::prepare_failed); }},
        {Errc::handler_threw, thrown_by_handler},
        {Errc::would_deadlock, [] { return inside_handler([](Client& client) { return client.connect(); }); }},
        {Errc::handlers_in_use, handlers_in_use},
        {Errc::loop_ended, loop_ended},
        {Errc::invalid_opcode, [] { return on_open([](auto& core) { return from(core->send(Opcode::ping, {})); }); }},
    };
    return table;
}

class ErrorRowTest : public testing::TestWithParam<ErrorRow> {};

TEST_P(ErrorRowTest, IsProvoked) {
    const ErrorRow& row = GetParam();
    const auto trigger = triggers().find(row.code);
    ASSERT_NE(trigger, triggers().end()) << "no test triggers " << row.name;
    const Error error = trigger->second();
    EXPECT_EQ(error.code, make_error_code(row.code)) << error.message();
    EXPECT_TRUE(error == row.condition);
    EXPECT_NE(error.message().find(row.text), std::string::npos) << error.message();
    if (error.phase != Phase::none) {
        EXPECT_EQ(error.message().find(phase_name(error.phase)), 0u) << error.message();
    }
}

INSTANTIATE_TEST_SUITE_P(Table, ErrorRowTest, testing::ValuesIn(error_table()),
                         [](const auto& one) { return std::string(one.param.name); });

TEST(ErrorTable, IsInOrder) {
    std::string before;
    int number = 0;
    for (const ErrorRow& row : error_table()) {
        EXPECT_GT(static_cast<int>(row.code), number) << row.name;
        number = static_cast<int>(row.code);
        EXPECT_EQ(number / 100, static_cast<int>(row.condition)) << row.name;
        EXPECT_FALSE(row.text.empty() || row.text.back() == '.') << row.name;
        EXPECT_EQ(error_row(row.code)->name, row.name);
        EXPECT_EQ(make_error_code(row.code).message(), row.text);
        EXPECT_TRUE(make_error_code(row.code) == row.condition);
    }
    EXPECT_EQ(error_row(static_cast<Errc>(99)), nullptr);
}

TEST(ErrorTable, AgreesWithTheStandard) {
    EXPECT_TRUE(make_error_code(Errc::pong_timeout) == std::errc::timed_out);
    EXPECT_TRUE(make_error_code(Errc::stopped) == std::errc::operation_canceled);
    EXPECT_FALSE(make_error_code(Errc::url_empty) == std::errc::timed_out);
    EXPECT_STREQ(error_category().name(), "tern");
    EXPECT_STREQ(condition_category().name(), "tern.condition");
}

TEST(Error, SaysWhereWhoAndWhat) {
    Error error(Errc::upgrade_refused, Phase::upgrade, "404 Not Found");
    error.peer = "localhost:80 (127.0.0.1)";
    EXPECT_EQ(error.message(), "upgrade with localhost:80 (127.0.0.1): the server refused the upgrade: 404 Not Found");
    error.elapsed = std::chrono::microseconds(99);
    EXPECT_EQ(error.message().find("after"), std::string::npos);
    error.elapsed = std::chrono::microseconds(12'345);
    EXPECT_NE(error.message().find("404 Not Found (after 12.3 ms)"), std::string::npos) << error.message();
    error.elapsed = std::chrono::seconds(10);
    EXPECT_NE(error.message().find("404 Not Found (after 10.0 s)"), std::string::npos) << error.message();
    EXPECT_EQ(Error().message(), "success");
    EXPECT_EQ(Error(Errc::url_empty).message(), "the URL is empty");
}

}  // namespace
}  // namespace tern
