#include "table.hpp"

#include <set>
#include <string_view>

#include "wire.hpp"

namespace tern::conformance {
namespace {

using namespace std::string_literals;
using wire::close_body;
using wire::fragment;
using wire::frame;

const std::string deflate = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
/// "Hello", compressed (RFC 7692 section 7.2.3.1).
const std::string hello = "\xf2\x48\xcd\xc9\xc9\x07\x00"s;

std::string rsv(unsigned bits, std::string bytes) {
    bytes[0] = static_cast<char>(static_cast<unsigned char>(bytes[0]) | bits << 4u);
    return bytes;
}

std::string extension(const std::string& value) { return "Sec-WebSocket-Extensions: " + value + "\r\n"; }

/// The request has this line once.
std::function<std::string(const std::string&)> line(const std::string& wanted) {
    return [wanted](const std::string& request) {
        const std::size_t at = request.find("\r\n" + wanted + "\r\n");
        if (at == request.npos) return "there is no line " + wanted;
        return request.find("\r\n" + wanted + "\r\n", at + 1) == request.npos ? "" : "twice " + wanted;
    };
}

std::string header_value(const std::string& request, const std::string& name) {
    const std::size_t at = request.find("\r\n" + name + ": ");
    if (at == request.npos) return {};
    const std::size_t begin = at + 4 + name.size();
    return request.substr(begin, request.find("\r\n", begin) - begin);
}

Act send_text(const std::string& text, SendOptions options = {}) {
    return [=](ClientCore& core) { static_cast<void>(core.send(Opcode::text, as_bytes(text), options)); };
}

Config with(const std::function<void(Config&)>& change) {
    Config config;
    change(config);
    return config;
}

Config offering(std::vector<CompressionOffer> offers) {
    return with([&](Config& config) { config.compression.offers = std::move(offers); });
}

/// The server breaks a rule: nothing of it reaches the program, and it is told why.
Row broken(std::string section, std::string level, std::string text, std::string script, const std::string& error,
           unsigned code, std::string headers = {}) {
    return {.section = std::move(section),
            .level = std::move(level),
            .text = std::move(text),
            .outcome = "`" + error + "`, Close " + std::to_string(code),
            .headers = std::move(headers),
            .script = std::move(script),
            .expected = {"sent close " + std::to_string(code), "end " + error}};
}

/// The server's answer to the upgrade breaks a rule.
Row refused(std::string section, std::string text, std::string answer, const std::string& error, Config config = {}) {
    Row row{.section = std::move(section),
            .level = "MUST",
            .text = std::move(text),
            .outcome = "`" + error + "`",
            .expected = {"end " + error}};
    (answer.starts_with("HTTP") ? row.answer : row.headers) = std::move(answer);
    row.config = std::move(config);
    return row;
}

Row asked(std::string section, std::string level, std::string text, std::string outcome, Config config,
          std::function<std::string(const std::string&)> request) {
    return {.section = std::move(section),
            .level = std::move(level),
            .text = std::move(text),
            .outcome = std::move(outcome),
            .config = std::move(config),
            .expected = {"end connection_lost"},
            .request = std::move(request)};
}

Row good(std::string section, std::string level, std::string text, std::string outcome, std::string script,
         std::vector<std::string> expected, std::string headers = {}) {
    expected.emplace_back("end connection_lost");
    return {.section = std::move(section),
            .level = std::move(level),
            .text = std::move(text),
            .outcome = std::move(outcome),
            .headers = std::move(headers),
            .script = std::move(script),
            .expected = std::move(expected)};
}

Row sending(std::string section, std::string level, std::string text, std::string outcome, Act act,
            std::vector<std::string> expected, std::string script = {}, std::string headers = {}, Config config = {}) {
    expected.emplace_back(script.empty() ? "end connection_lost" : "end closed_locally");
    return {.section = std::move(section),
            .level = std::move(level),
            .text = std::move(text),
            .outcome = std::move(outcome),
            .config = std::move(config),
            .headers = std::move(headers),
            .act = std::move(act),
            .script = std::move(script),
            .expected = std::move(expected)};
}

Row argued(std::string section, std::string level, std::string text, std::string why) {
    return {.section = std::move(section),
            .level = std::move(level),
            .text = std::move(text),
            .outcome = {},
            .argued = std::move(why)};
}

const std::string right = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \1\r\n";
std::string switching(const std::string& headers) { return "HTTP/1.1 101 S\r\n" + headers + "\r\n"; }

void add_handshake(std::vector<Row>& rows) {
    rows.push_back(argued(
        "6455 4.1", "MUST NOT", "There is at most one connection to an address in state CONNECTING.",
        "Kept by a single client. Several clients of one program are independent; the rule is there for browsers, "
        "which run code of strangers."));
    rows.push_back(
        asked("6455 4.1", "MUST", "The request is a GET of HTTP/1.1 or higher.", "`GET / HTTP/1.1`", {},
              [](const std::string& r) { return r.starts_with("GET / HTTP/1.1\r\n") ? "" : "another line"; }));
    rows.push_back(asked("6455 4.1", "MUST", "The resource is the path and query of the URL.", "`GET /a?b HTTP/1.1`",
                         with([](Config& c) { c.url = "ws://host.example/a?b"; }), [](const std::string& r) {
                             return r.starts_with("GET /a?b HTTP/1.1\r\n") ? "" : "another line";
                         }));
    rows.push_back(asked("6455 4.1", "MUST", "Host names the host, and the port if it is not the default.",
                         "`Host: host.example:8080`", with([](Config& c) { c.url = "ws://host.example:8080/"; }),
                         line("Host: host.example:8080")));
    rows.push_back(asked("6455 4.1", "MUST", "Upgrade contains websocket.", "`Upgrade: websocket`", {},
                         line("Upgrade: websocket")));
    rows.push_back(asked("6455 4.1", "MUST", "Connection contains Upgrade.", "`Connection: Upgrade`", {},
                         line("Connection: Upgrade")));
    rows.push_back(asked("6455 4.1", "MUST",
                         "Sec-WebSocket-Key is a nonce of 16 random bytes in Base64, new for each connection.",
                         "24 characters, never the same", {}, [](const std::string& r) -> std::string {
                             static std::set<std::string> seen;
                             const std::string key = header_value(r, "Sec-WebSocket-Key");
                             if (key.size() != 24 || !key.ends_with("==")) return "not 16 bytes: " + key;
                             return seen.insert(key).second ? "" : "used before: " + key;
                         }));
    rows.push_back(asked("6455 4.1", "MUST", "Sec-WebSocket-Version is 13.", "`Sec-WebSocket-Version: 13`", {},
                         line("Sec-WebSocket-Version: 13")));
    rows.push_back(asked("6455 4.1", "MUST", "Subprotocols are offered in the order of preference, each once.",
                         "`Sec-WebSocket-Protocol: b, a`", with([](Config& c) { c.subprotocols = {"b", "a"}; }),
                         line("Sec-WebSocket-Protocol: b, a")));
    rows.push_back(asked("6455 4.1", "MAY", "Origin is for browsers; other clients may send one.", "sent as configured",
                         with([](Config& c) { c.origin = "https://a.example"; }), line("Origin: https://a.example")));
    rows.push_back(refused("6455 4.1",
                           "A status other than 101 is handled as HTTP says; there is no WebSocket connection.",
                           "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "upgrade_refused"));
    rows.push_back(
        refused("6455 4.1", "Without Upgrade the connection fails.", switching(right.substr(20)), "upgrade_header"));
    rows.push_back(refused("6455 4.1", "With another value of Upgrade it fails.",
                           switching("Upgrade: h2c\r\n" + right.substr(20)), "upgrade_header"));
    rows.push_back(refused("6455 4.1", "Without Connection: Upgrade it fails.",
                           switching("Upgrade: websocket\r\nSec-WebSocket-Accept: \1\r\n"), "connection_header"));
    rows.push_back(refused("6455 4.1", "Without Sec-WebSocket-Accept it fails.",
                           switching("Upgrade: websocket\r\nConnection: Upgrade\r\n"), "accept_missing"));
    rows.push_back(refused("6455 4.1", "With another value than that of the key it fails.",
                           switching("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n"),
                           "accept_mismatch"));
    rows.push_back(
        refused("6455 4.1", "An extension that was not offered fails it.", extension("x"), "extension_not_offered"));
    rows.push_back(refused("6455 4.1", "A subprotocol that was not offered fails it.", "Sec-WebSocket-Protocol: x\r\n",
                           "subprotocol_not_offered"));
    rows.push_back(refused("6455 4.1", "Upgrade is compared without case, as in an answer that is right otherwise.",
                           switching("upgrade: WEBSOCKET\r\nCONNECTION: upgrade\r\nsec-websocket-accept: \1\r\n"),
                           "connection_lost"));
    rows.back().outcome = "open";
    rows.push_back(refused("6455 4.4", "A server that speaks no version of ours refuses; the client does not connect.",
                           "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 8\r\nContent-Length: 0\r\n\r\n",
                           "upgrade_refused"));
    rows.push_back(asked("6455 4.1, 10.5", "MAY", "The request may carry credentials.", "`Authorization: Basic dTpw`",
                         with([](Config& c) { c.user = "u", c.password = "p"; }), line("Authorization: Basic dTpw")));
}

void add_framing(std::vector<Row>& rows) {
    rows.push_back(sending("6455 5.1, 5.3", "MUST", "A client masks every frame, with a key that nobody can foresee.",
                           "masked; `tests/unit/core/outbox_test.cpp` has the keys", send_text("Hello"),
                           {"sent text Hello"}));
    rows.push_back(broken("6455 5.1", "MUST", "A masked frame of the server closes the connection.", "\x81\x85"s,
                          "masked_frame", 1002));
    for (const unsigned bits : {1u, 2u, 4u}) {
        rows.push_back(broken("6455 5.2", "MUST",
                              "RSV" +
                                  std::to_string(bits == 4   ? 1
                                                 : bits == 2 ? 2
                                                             : 3) +
                                  " without an extension that gives it a meaning fails the connection.",
                              rsv(bits, frame(wire::text, "x")), "reserved_bits", 1002));
    }
    for (const unsigned opcode : {3u, 7u, 11u, 15u}) {
        rows.push_back(broken("6455 5.2", "MUST",
                              "Opcode " + std::to_string(opcode) + ", which is reserved, fails the connection.",
                              frame(opcode, "x"), "reserved_opcode", 1002));
    }
    rows.push_back(broken("6455 5.2", "MUST", "A length is written in the fewest bytes (2 for a short one).",
                          wire::header(wire::binary, 5, true, 2) + "Hello", "length_not_minimal", 1002));
    rows.push_back(broken("6455 5.2", "MUST", "A length is written in the fewest bytes (8 for a short one).",
                          wire::header(wire::binary, 65535, true, 8), "length_not_minimal", 1002));
    rows.push_back(
        broken("6455 5.2", "MUST", "The highest bit of a length is 0.", "\x82\x7f\xff"s, "length_overflow", 1002));
    for (const std::size_t size : {0u, 125u, 126u, 65535u, 65536u}) {
        const std::string payload(size, 'x');
        const std::string shown = size < 200 ? payload : std::to_string(size) + " bytes";
        rows.push_back(good("6455 5.2", "MUST", "A payload of " + std::to_string(size) + " bytes is understood.",
                            "delivered", frame(wire::binary, payload), {"message binary " + shown}));
    }
    rows.push_back(good("6455 5.4", "MUST", "Fragments are put together in order.", "one message",
                        fragment(wire::text, "a") + fragment(wire::continuation, "b") + frame(wire::continuation, "c"),
                        {"message text abc"}));
    rows.push_back(good("6455 5.4", "MUST", "Control frames between fragments are understood and do not wait.",
                        "ping, then the message",
                        fragment(wire::text, "a") + frame(wire::ping, "p") + frame(wire::continuation, "b"),
                        {"ping p", "message text ab", "sent pong p"}));
    rows.push_back(good("6455 5.4", "MUST", "Fragments may be empty.", "one message",
                        fragment(wire::text, "") + fragment(wire::continuation, "") + frame(wire::continuation, ""),
                        {"message text "}));
    rows.push_back(broken("6455 5.4", "MUST NOT", "Control frames are not fragmented.", fragment(wire::ping, "x"),
                          "control_fragmented", 1002));
    rows.push_back(broken("6455 5.4", "MUST NOT", "Fragments of two messages are not mixed.",
                          fragment(wire::text, "a") + frame(wire::text, "b"), "unfinished_message", 1002));
    rows.push_back(broken("6455 5.4", "MUST", "A continuation continues something.", frame(wire::continuation, "x"),
                          "unexpected_continuation", 1002));
    rows.push_back(broken("6455 5.5", "MUST", "A control frame has at most 125 bytes.", wire::header(wire::ping, 126),
                          "control_too_long", 1002));
    rows.push_back(good("6455 5.5.2, 5.5.3", "MUST", "A ping is answered by a pong with the same payload.", "pong",
                        frame(wire::ping, "abc"), {"ping abc", "sent pong abc"}));
    rows.push_back(good("6455 5.5.2", "MUST", "A ping of 125 bytes is answered.", "pong",
                        frame(wire::ping, std::string(125, 'x')),
                        {"ping " + std::string(125, 'x'), "sent pong " + std::string(125, 'x')}));
    rows.push_back(good("6455 5.5.3", "MAY", "A pong that nobody asked for is no fault, and has no answer.",
                        "event only", frame(wire::pong, "x"), {"pong x"}));
    rows.push_back(sending("6455 5.4", "MUST", "What is sent in parts is one message, with pings allowed in between.",
                           "text, ping, continuation",
                           [](ClientCore& core) {
                               static_cast<void>(core.send_part(Opcode::text, as_bytes("a"), false));
                               static_cast<void>(core.send(Opcode::text, as_bytes("refused")));
                               static_cast<void>(core.send_part(Opcode::continuation, as_bytes("b"), true));
                           },
                           {"sent unfinished text a", "sent continuation b"}));
    rows.push_back(argued("6455 5.8, 9", "MUST NOT",
                          "Reserved opcodes and bits are used only by a negotiated extension.",
                          "See the rows of 5.2; what tern sends is checked against it in every row here."));
}

void add_closing(std::vector<Row>& rows) {
    const auto closing = [](Act act) { return act; };
    rows.push_back({.section = "6455 5.5.1",
                    .level = "MUST",
                    .text = "A Close that has not been asked for is answered with a Close, and its code is repeated.",
                    .outcome = "Close 1000",
                    .script = frame(wire::close, close_body(1000, "bye")),
                    .expected = {"closing 1000 bye", "sent close 1000", "end closed_by_peer"}});
    rows.push_back({.section = "6455 5.5.1, 7.1.5",
                    .level = "MUST",
                    .text = "A Close may be empty; the code of the connection is 1005 then.",
                    .outcome = "empty Close, code 1005",
                    .script = frame(wire::close, ""),
                    .expected = {"closing 1005 ", "sent close", "end closed_by_peer"}});
    rows.push_back(broken("6455 5.5.1", "MUST", "A body of a Close begins with a code of two bytes.",
                          frame(wire::close, "x"), "close_body_length", 1002));
    rows.push_back(broken("6455 5.5.1", "MUST", "The reason of a Close is UTF-8.",
                          frame(wire::close, close_body(1000, "\xff")), "close_reason_not_utf8", 1007));
    for (const unsigned code : {0u, 999u, 1004u, 1005u, 1006u, 1015u, 1016u, 2999u, 5000u}) {
        rows.push_back(broken("6455 7.4.1, 7.4.2", "MUST NOT",
                              "Code " + std::to_string(code) + " does not stand in a Close.",
                              frame(wire::close, close_body(code)), "close_code_invalid", 1002));
    }
    for (const unsigned code : {1001u, 1014u, 3000u, 4999u}) {
        rows.push_back({.section = "6455 7.4",
                        .level = "MUST",
                        .text = "Code " + std::to_string(code) + " may stand in a Close.",
                        .outcome = "answered",
                        .script = frame(wire::close, close_body(code)),
                        .expected = {"closing " + std::to_string(code) + " ", "sent close " + std::to_string(code),
                                     "end closed_by_peer"}});
    }
    rows.push_back(sending("6455 5.5.1", "MUST NOT", "Behind our Close no message is sent.", "refused",
                           closing([](ClientCore& core) {
                               static_cast<void>(core.close(CloseCode{4000}, "why"));
                               static_cast<void>(core.send(Opcode::text, as_bytes("behind")));
                           }),
                           {"closing 4000 ", "sent close 4000"}, frame(wire::close, close_body(4000))));
    rows.push_back({.section = "6455 5.5.1",
                    .level = "MUST",
                    .text = "What the peer sends behind its Close is not looked at.",
                    .outcome = "nothing is delivered",
                    .script = frame(wire::close, close_body(1000)) + frame(wire::text, "behind") + "\xff\xff",
                    .expected = {"closing 1000 ", "sent close 1000", "end closed_by_peer"}});
    rows.push_back({.section = "6455 7.1.1",
                    .level = "SHOULD",
                    .text = "The client waits for the server to close TCP.",
                    .outcome = "the stream stays until then, or until `timeouts.close`",
                    .script = frame(wire::close, close_body(1000)),
                    .ends = false,
                    .expected = {"closing 1000 ", "sent close 1000", "end waiting"}});
    rows.push_back(sending("6455 7.4.1", "MUST NOT", "1005, 1006 and 1015 are not sent.", "`invalid_close_code`",
                           closing([](ClientCore& core) {
                               for (const int code : {1005, 1006, 1015}) {
                                   if (code != 1005 && !core.close(static_cast<CloseCode>(code))) std::abort();
                               }
                           }),
                           {}));
    rows.push_back(good("6455 7.1.5", "MUST", "Without a Close the code of the connection is 1006.",
                        "`connection_lost`, code 1006", "", {"code 1006"}));
    rows.push_back(
        broken("6455 7.1.7", "MUST NOT", "When the connection has failed, nothing that follows is processed.",
               frame(3, "") + frame(wire::text, "x") + frame(wire::close, close_body(1000)), "reserved_opcode", 1002));
    rows.push_back(argued("6455 7.2.3", "SHOULD",
                          "After abnormal closures a client waits a random time, growing from attempt to attempt.",
                          "`tests/unit/core/reconnect_test.cpp`, `tests/sim/`: docs/connecting.md has the delays."));
}

void add_data(std::vector<Row>& rows) {
    rows.push_back(good("6455 5.6, 6.2", "MUST", "Text and binary messages are told apart.", "two events",
                        frame(wire::text, "t") + frame(wire::binary, "b"), {"message text t", "message binary b"}));
    rows.push_back(sending("6455 5.6, 6.1", "MUST", "Text that is sent is UTF-8.",
                           "`outgoing_text_not_utf8`, nothing is sent", send_text("\xff"), {}));
    rows.push_back(good("6455 8.1", "MUST", "Text of several bytes a character is understood.", "delivered",
                        frame(wire::text, "\xce\xba\xf0\x9f\x90\xa6"), {"message text \xce\xba\xf0\x9f\x90\xa6"}));
    for (const std::string& bad : {"\xff"s, "\xc0\xaf"s, "\xed\xa0\x80"s, "\xf4\x90\x80\x80"s, "\xce"s}) {
        rows.push_back(broken("6455 8.1", "MUST",
                              "Text that is not UTF-8 fails the connection (" + wire::hex(bad) + ").",
                              frame(wire::text, bad), "text_not_utf8", 1007));
    }
    rows.push_back(broken("6455 8.1", "MUST", "It need not be seen in one fragment alone.",
                          fragment(wire::text, "\xce") + frame(wire::continuation, "x"), "text_not_utf8", 1007));
    rows.push_back(
        argued("6455 10.3", "MUST",
               "A masking key comes from a strong source, and the payload is not changed once sending has begun.",
               "`tests/unit/core/outbox_test.cpp`: each frame has a key of the cryptographic generator, and is copied "
               "while it is masked."));
    Row big = broken("6455 10.4", "SHOULD", "A limit on frames and messages is kept.", wire::header(wire::binary, 1001),
                     "message_too_big", 1009);
    big.config.limits.max_message_size = 1000;
    rows.push_back(big);
    Row sum = broken("6455 10.4", "SHOULD", "A limit on the sum of the fragments is kept.",
                     fragment(wire::binary, std::string(600, 'x')) + wire::header(wire::continuation, 401),
                     "message_too_big", 1009);
    sum.config.limits.max_message_size = 1000;
    rows.push_back(sum);
    rows.push_back(argued("6455 10.6", "SHOULD", "wss is verified as TLS and HTTPS ask.",
                          "`tests/engine/`, `tests/interop/network_test.cpp`."));
    rows.push_back(argued("6455 10.7", "SHOULD",
                          "Data that is not valid closes the connection with the code that fits.",
                          "See every row with a Close here."));
}

void add_deflate(std::vector<Row>& rows) {
    rows.push_back(asked("7692 5, 7.1", "MUST", "The offer uses only parameters that are defined for it.",
                         "`permessage-deflate; client_max_window_bits`", {},
                         line("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")));
    rows.push_back(
        asked("7692 5.1", "MAY", "Several offers stand in the order of preference.", "as configured",
              offering({{.server_window_bits = 10}, {.client_context_takeover = false}}),
              line("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; server_max_window_bits=10, "
                   "permessage-deflate; client_max_window_bits; client_no_context_takeover")));
    for (const char* parameter :
         {"x", "server_no_context_takeover=1", "server_max_window_bits", "server_max_window_bits=7",
          "server_max_window_bits=16", "client_max_window_bits=010", "client_max_window_bits=a"}) {
        rows.push_back(refused("7692 5.2, 7.1", "An answer with `"s + parameter + "` fails the connection.",
                               extension("permessage-deflate; "s + parameter), "compression_parameter"));
    }
    rows.push_back(refused("7692 7.1", "A parameter given twice fails it.",
                           extension("permessage-deflate; server_no_context_takeover; server_no_context_takeover"),
                           "compression_parameter"));
    rows.push_back(refused("7692 5.2", "An extension given twice fails it.",
                           extension("permessage-deflate, permessage-deflate"), "extension_repeated"));
    rows.push_back(refused("7692 7.1.1.1", "A server that was asked for server_no_context_takeover confirms it.",
                           deflate, "compression_mismatch", offering({{.server_context_takeover = false}})));
    rows.push_back(refused("7692 7.1.2.1", "A server that was asked for a window confirms one that is no larger.",
                           extension("permessage-deflate; server_max_window_bits=11"), "compression_mismatch",
                           offering({{.server_window_bits = 10}})));
    rows.push_back(refused("7692 7.1.2.2", "A window for the client is no larger than the one it offered.",
                           extension("permessage-deflate; client_max_window_bits=12"), "compression_mismatch",
                           offering({{.client_window_bits = 11}})));
    rows.push_back(refused("7692 7.1.2.2", "A client that cannot keep to the window fails the connection.",
                           extension("permessage-deflate; client_max_window_bits=8"), "compression_window"));
    rows.push_back(good(
        "7692 7.1.1, 7.1.2", "MAY", "A server may promise more than it was asked for.", "open", "", {},
        extension(
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9")));
    rows.push_back(good("7692 7.2.2", "MUST", "A compressed message is inflated.", "delivered",
                        rsv(4, frame(wire::text, hello)), {"message text Hello"}, deflate));
    rows.push_back(good("7692 7.2.2", "MUST", "Messages refer back to those before them.", "delivered",
                        rsv(4, frame(wire::text, hello)) + rsv(4, frame(wire::text, "\xf2\x00\x11\x00\x00"s)),
                        {"message text Hello", "message text Hello"}, deflate));
    rows.push_back(good("7692 6.2", "MUST", "Only the first fragment has RSV1; what is compressed is the message.",
                        "delivered",
                        rsv(4, fragment(wire::text, hello.substr(0, 3))) + frame(wire::ping, "p") +
                            frame(wire::continuation, hello.substr(3)),
                        {"ping p", "message text Hello", "sent pong p"}, deflate));
    rows.push_back(good("7692 6", "MUST", "Messages without RSV1 are not compressed, whatever was agreed on.",
                        "delivered", frame(wire::text, "plain") + rsv(4, frame(wire::text, hello)),
                        {"message text plain", "message text Hello"}, deflate));
    rows.push_back(good("7692 7.2.3.3", "MUST", "Stored blocks are inflated.", "delivered",
                        rsv(4, frame(wire::text, "\x00\x05\x00\xfa\xffHello\x00"s)), {"message text Hello"}, deflate));
    rows.push_back(good("7692 7.2.3.4", "MUST", "Blocks with BFINAL are inflated.", "delivered",
                        rsv(4, frame(wire::text, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"s)), {"message text Hello"},
                        deflate));
    rows.push_back(good("7692 7.2.3.5", "MUST", "A message may have several blocks.", "delivered",
                        rsv(4, frame(wire::text, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"s)),
                        {"message text Hello"}, deflate));
    rows.push_back(good("7692 7.2.3.6", "MUST", "An empty message is one byte.", "delivered",
                        rsv(4, frame(wire::text, "\0"s)), {"message text "}, deflate));
    rows.push_back(broken("7692 6", "MUST NOT", "Control frames are not compressed.", rsv(4, frame(wire::ping, "")),
                          "reserved_bits", 1002, deflate));
    rows.push_back(broken("7692 6.2", "MUST NOT", "Continuations have no RSV1.",
                          fragment(wire::text, "x") + rsv(4, frame(wire::continuation, "x")), "reserved_bits", 1002,
                          deflate));
    rows.push_back(broken("7692 7.2.2", "MUST", "Data that cannot be inflated fails the connection.",
                          rsv(4, frame(wire::binary, "\x07")), "compressed_data", 1007, deflate));
    rows.push_back(broken("7692 7.2.2, 7.1.1.1", "MUST NOT", "With server_no_context_takeover no message refers back.",
                          rsv(4, frame(wire::text, "\xf2\x00\x11\x00\x00"s)), "compressed_data", 1007,
                          extension("permessage-deflate; server_no_context_takeover")));
    rows.push_back(broken("7692 7.2.2; 6455 8.1", "MUST", "Text is checked when it has been inflated.",
                          rsv(4, frame(wire::text, "\x00\x01\x00\xfe\xff\xff\x00"s)), "text_not_utf8", 1007, deflate));
    const std::string text(64, 'a');
    rows.push_back(sending(
        "7692 6.1, 7.2.1", "MUST", "What is compressed has RSV1 in its first frame, and ends without 00 00 ff ff.",
        "it inflates to what was sent", send_text(text), {"sent compressed text " + text}, {}, deflate));
    rows.push_back(sending("7692 7.2.1, 7.2.3.6", "MUST", "An empty message is compressed to one byte.", "00",
                           send_text("", {.compress = Compress::always}), {"sent compressed text "}, {}, deflate));
    rows.push_back(sending("7692 6.1", "MUST NOT", "Without agreement nothing is compressed.", "plain",
                           send_text(text, {.compress = Compress::always}), {"sent text " + text}));
    rows.push_back(sending(
        "7692 7.1.1.2", "MUST", "With client_no_context_takeover each message stands for itself.",
        "the same bytes twice",
        [text](ClientCore& core) {
            for (int i = 0; i < 2; ++i) static_cast<void>(core.send(Opcode::text, as_bytes(text)));
        },
        {"sent alone compressed text " + text, "sent alone compressed text " + text}, {},
        extension("permessage-deflate; client_no_context_takeover")));
    rows.push_back(sending(
        "7692 6.1", "MUST", "Control frames are never compressed.", "a plain ping",
        [](ClientCore& core) { static_cast<void>(core.ping(as_bytes(std::string(100, 'a')))); },
        {"sent ping " + std::string(100, 'a')}, {}, deflate));
    rows.push_back(sending(
        "7692 6.1", "MUST", "In parts, too, only the first frame has RSV1.", "one message",
        [](ClientCore& core) {
            static_cast<void>(core.send_part(Opcode::text, as_bytes("Hel"), false));
            static_cast<void>(core.send_part(Opcode::continuation, as_bytes("lo"), true));
        },
        {"sent compressed text in 2 frames Hello"}, {}, deflate));
    Row bomb = broken(
        "7692 8", "SHOULD", "Inflating is limited, because little data can become much.",
        rsv(4, frame(wire::binary,
                     "\xec\xc1\x31\x01\x00\x00\x00\xc2\xa0\xf5\x4f\x6d\x0a\x3f\xa0\x00\x00\x00\x00\x80\xb7\x01"s)),
        "message_too_big", 1009, deflate);
    bomb.config.limits.max_message_size = 1000;
    rows.push_back(bomb);
}

}  // namespace

const std::vector<Row>& table() {
    static const std::vector<Row> rows = [] {
        std::vector<Row> all;
        add_handshake(all);
        add_framing(all);
        add_closing(all);
        add_data(all);
        add_deflate(all);
        return all;
    }();
    return rows;
}

}  // namespace tern::conformance
