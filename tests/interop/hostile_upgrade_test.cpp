// Servers that answer the upgrade in every wrong way, and in some unusual right ones.
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "scripted_server.hpp"
#include "watched_client.hpp"

namespace tern::interop {
namespace {

using Answer = std::function<std::string(std::string_view request)>;

struct Refused {
    const char* name;
    Errc expected;
    Answer answer;
};

std::string with_headers(std::string_view headers, std::string_view status = "HTTP/1.1 101 Switching Protocols") {
    return std::string(status) + "\r\n" + std::string(headers) + "\r\n";
}

std::string accept_header(std::string_view request) {
    return "Sec-WebSocket-Accept: " + Peer::accept_value(request) + "\r\n";
}

constexpr std::string_view upgrade = "Upgrade: websocket\r\n";
constexpr std::string_view connection = "Connection: Upgrade\r\n";

std::string join(std::initializer_list<std::string_view> parts) {
    std::string all;
    for (const std::string_view part : parts) all += part;
    return all;
}

const std::vector<Refused>& refused() {
    using sv = std::string_view;
    static const std::vector<Refused> table = {
        {"status_200", Errc::upgrade_refused,
         [](sv r) {
             return with_headers(join({upgrade, connection, accept_header(r), "Content-Length: 0\r\n"}),
                                 "HTTP/1.1 200 OK");
         }},
        {"status_301", Errc::upgrade_refused,
         [](sv) {
             return with_headers("Location: /elsewhere\r\nContent-Length: 0\r\n", "HTTP/1.1 301 Moved Permanently");
         }},
        {"status_401", Errc::upgrade_refused,
         [](sv) {
             return with_headers("WWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 6\r\n",
                                 "HTTP/1.1 401 Unauthorized") +
                    "denied";
         }},
        {"status_404", Errc::upgrade_refused,
         [](sv) { return with_headers("Content-Length: 0\r\n", "HTTP/1.1 404 Not Found"); }},
        {"status_503", Errc::upgrade_refused,
         [](sv) {
             return with_headers("Retry-After: 10\r\nContent-Length: 0\r\n", "HTTP/1.1 503 Service Unavailable");
         }},
        {"http_1_0", Errc::response_version,
         [](sv r) {
             return with_headers(join({upgrade, connection, accept_header(r)}), "HTTP/1.0 101 Switching Protocols");
         }},
        {"garbage", Errc::response_version, [](sv) { return std::string("\x16\x03\x01 this is not HTTP\r\n\r\n"); }},
        {"ssh_banner", Errc::response_version, [](sv) { return std::string("SSH-2.0-OpenSSH_9.2\r\n"); }},
        {"upgrade_missing", Errc::upgrade_header,
         [](sv r) { return with_headers(join({connection, accept_header(r)})); }},
        {"upgrade_wrong", Errc::upgrade_header,
         [](sv r) { return with_headers(join({"Upgrade: h2c\r\n", connection, accept_header(r)})); }},
        {"connection_missing", Errc::connection_header,
         [](sv r) { return with_headers(join({upgrade, accept_header(r)})); }},
        {"connection_wrong", Errc::connection_header,
         [](sv r) { return with_headers(join({upgrade, "Connection: close\r\n", accept_header(r)})); }},
        {"accept_missing", Errc::accept_missing, [](sv) { return with_headers(join({upgrade, connection})); }},
        {"accept_wrong", Errc::accept_mismatch,
         [](sv) {
             return with_headers(join({upgrade, connection, "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"}));
         }},
        {"accept_empty", Errc::accept_mismatch,
         [](sv) { return with_headers(join({upgrade, connection, "Sec-WebSocket-Accept:\r\n"})); }},
        {"accept_prefix", Errc::accept_mismatch,
         [](sv r) {
             return with_headers(
                 join({upgrade, connection, "Sec-WebSocket-Accept: ", Peer::accept_value(r).substr(0, 8), "\r\n"}));
         }},
        {"accept_longer", Errc::accept_mismatch,
         [](sv r) {
             return with_headers(join({upgrade, connection, "Sec-WebSocket-Accept: ", Peer::accept_value(r), "=\r\n"}));
         }},
        {"accept_twice", Errc::duplicate_header,
         [](sv r) { return with_headers(join({upgrade, connection, accept_header(r), accept_header(r)})); }},
        {"extension_not_offered", Errc::extension_not_offered,
         [](sv r) { return Peer::accept(r, "Sec-WebSocket-Extensions: permessage-bzip2\r\n"); }},
        {"compression_twice", Errc::extension_repeated,
         [](sv r) { return Peer::accept(r, "Sec-WebSocket-Extensions: permessage-deflate, permessage-deflate\r\n"); }},
        {"subprotocol_not_offered", Errc::subprotocol_not_offered,
         [](sv r) { return Peer::accept(r, "Sec-WebSocket-Protocol: surprise\r\n"); }},
        {"subprotocol_twice", Errc::duplicate_header,
         [](sv r) { return Peer::accept(r, "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n"); }},
        {"folded_header", Errc::response_malformed, [](sv r) { return Peer::accept(r, "X-Folded: one\r\n two\r\n"); }},
        {"bare_line_feed", Errc::response_malformed, [](sv r) { return Peer::accept(r, "X-Bare: one\n"); }},
        {"nul_in_header", Errc::response_malformed, [](sv r) { return Peer::accept(r, sv("X-Nul: a\0b\r\n", 12)); }},
        {"space_before_colon", Errc::response_malformed, [](sv r) { return Peer::accept(r, "X-Space : a\r\n"); }},
        {"head_too_large", Errc::response_head_too_large,
         [](sv r) { return Peer::accept(r, "X-Large: " + std::string(70'000, 'x') + "\r\n"); }},
        {"too_many_fields", Errc::response_too_many_fields,
         [](sv r) {
             std::string fields;
             for (int i = 0; i < 130; ++i) fields += "X-" + std::to_string(i) + ": x\r\n";
             return Peer::accept(r, fields);
         }},
    };
    return table;
}

class HostileUpgrade : public testing::TestWithParam<std::size_t> {};

TEST_P(HostileUpgrade, IsRefusedWithItsOwnError) {
    const Refused& row = refused()[GetParam()];
    ScriptedServer server([&](Peer& peer) {
        const std::string request = peer.read_request();
        peer.send(row.answer(request));
        peer.drain();
    });
    Config config = patient_config(server.url());
    config.subprotocols = {"chat"};
    config.max_redirects = 0;
    WatchedClient client(config);
    ASSERT_TRUE(client.wait_for_end());
    const Error error = client.error();
    EXPECT_EQ(error.code, make_error_code(row.expected)) << error.message();
    EXPECT_FALSE(client.closed()) << "it was never open";
    EXPECT_EQ(error.phase, Phase::upgrade);
    EXPECT_NE(error.message().find("upgrade with " + server.name()), std::string::npos) << error.message();
    const int status = error.response.status;  // kept of every answer that has a whole head
    EXPECT_TRUE(row.expected == Errc::upgrade_refused ? status != 0 : status == 0 || status == 101) << status;
}

INSTANTIATE_TEST_SUITE_P(Rows, HostileUpgrade, testing::Range<std::size_t>(0, refused().size()),
                         [](const auto& one) { return std::string(refused()[one.param].name); });

TEST(Refusal, CarriesStatusReasonHeadersAndBody) {
    ScriptedServer server([](Peer& peer) {
        peer.read_request();
        peer.send("HTTP/1.1 401 Who Are You\r\nWWW-Authenticate: Bearer\r\nContent-Length: 5000\r\n\r\n" +
                  std::string(5000, 'b'));
        peer.drain();
    });
    WatchedClient client(patient_config(server.url()));
    ASSERT_TRUE(client.wait_for_end());
    const Response response = client.error().response;
    EXPECT_EQ(response.status, 401);
    EXPECT_EQ(response.reason, "Who Are You");
    EXPECT_EQ(response.header("www-authenticate"), "Bearer");
    EXPECT_EQ(response.body, std::string(4096, 'b'));
}

TEST(Refusal, WithoutTheEndOfItsBodyIsReportedAtTheDeadline) {
    ScriptedServer server([](Peer& peer) {
        peer.read_request();
        peer.send("HTTP/1.1 500 Oops\r\nContent-Length: 50\r\n\r\nhalf");
        peer.hold();
    });
    WatchedClient client(impatient_config(server.url()));
    ASSERT_TRUE(client.wait_for_end());
    EXPECT_EQ(client.error().response.status, 500);
    EXPECT_EQ(client.error().response.body, "half");
}

struct Accepted {
    const char* name;
    Answer answer;
};

const std::vector<Accepted>& accepted() {
    using sv = std::string_view;
    static const std::vector<Accepted> table = {
        {"no_blank_after_colon",
         [](sv r) {
             return with_headers(
                 "Upgrade:websocket\r\nConnection:Upgrade\r\nSec-WebSocket-Accept:" + Peer::accept_value(r) + "\r\n");
         }},
        {"tabs_and_trailing_blanks",
         [](sv r) {
             return with_headers("Upgrade:\twebsocket \t\r\nConnection: \tUpgrade  \r\nSec-WebSocket-Accept:\t" +
                                 Peer::accept_value(r) + " \r\n");
         }},
        {"token_lists",
         [](sv r) {
             return with_headers(
                 join({"Upgrade: h2c, WebSocket\r\nConnection: keep-alive, Upgrade\r\n", accept_header(r)}));
         }},
        {"lists_over_lines",
         [](sv r) {
             return with_headers(
                 join({upgrade, "Connection: keep-alive\r\nconnection: upgrade\r\n", accept_header(r)}));
         }},
        {"any_case",
         [](sv r) {
             return with_headers("UPGRADE: WEBSOCKET\r\nconnection: UPGRADE\r\nsec-websocket-accept: " +
                                 Peer::accept_value(r) + "\r\n");
         }},
        {"no_reason",
         [](sv r) { return with_headers(join({upgrade, connection, accept_header(r)}), "HTTP/1.1 101 "); }},
        {"interim_response", [](sv r) { return "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + Peer::accept(r); }},
        {"nearly_too_large", [](sv r) { return Peer::accept(r, "X-Large: " + std::string(65'000, 'x') + "\r\n"); }},
    };
    return table;
}

class UnusualUpgrade : public testing::TestWithParam<std::size_t> {};

TEST_P(UnusualUpgrade, IsAccepted) {
    ScriptedServer server([&](Peer& peer) {
        const std::string request = peer.read_request();
        peer.send(accepted()[GetParam()].answer(request) + frame(1, "hello"));
        peer.drain();
    });
    WatchedClient client(patient_config(server.url()));
    ASSERT_TRUE(client.wait_for_messages(1)) << client.error().message();
    EXPECT_EQ(client.messages()[0].text(), "hello");
}

INSTANTIATE_TEST_SUITE_P(Rows, UnusualUpgrade, testing::Range<std::size_t>(0, accepted().size()),
                         [](const auto& one) { return std::string(accepted()[one.param].name); });

TEST(Upgrade, SaysWhatItShould) {
    std::string request;
    std::string name;
    {
        ScriptedServer server([&](Peer& peer) {
            request = peer.read_request();
            peer.send(Peer::accept(request, "Sec-WebSocket-Protocol: chat.v1\r\nX-Server: yes\r\n"));
            peer.drain();
        });
        name = server.name();
        Config config = patient_config("ws://user:pass@127.0.0.1:" + std::to_string(server.port()) + "/a/b?c=%20d");
        config.subprotocols = {"chat.v2", "chat.v1"};
        config.origin = "https://example.org";
        config.headers = {{"X-Token", "abc"}, {"Cookie", "a=b"}};
        WatchedClient client(config);
        ASSERT_TRUE(client.wait_for_open());
        EXPECT_EQ(client.handshake().subprotocol, "chat.v1");
        EXPECT_EQ(client.handshake().response.header("x-server"), "yes");
        EXPECT_EQ(client.handshake().response.status, 101);
    }
    EXPECT_EQ(request.substr(0, request.find("\r\n")), "GET /a/b?c=%20d HTTP/1.1");
    for (const std::string& line :
         {"Host: " + name, std::string("Upgrade: websocket"), std::string("Connection: Upgrade"),
          std::string("Sec-WebSocket-Version: 13"), std::string("Sec-WebSocket-Protocol: chat.v2, chat.v1"),
          std::string("Origin: https://example.org"), std::string("X-Token: abc"), std::string("Cookie: a=b"),
          std::string("Authorization: Basic dXNlcjpwYXNz")}) {
        EXPECT_NE(request.find("\r\n" + line + "\r\n"), std::string::npos) << line << " is missing in\n" << request;
    }
}

TEST(Upgrade, KeysDiffer) {
    std::vector<std::string> requests;
    for (int i = 0; i < 2; ++i) {
        ScriptedServer server([&](Peer& peer) { requests.push_back(peer.read_request()); });
        WatchedClient client(patient_config(server.url()));
        ASSERT_TRUE(client.wait_for_end());
        EXPECT_EQ(client.error().code, make_error_code(Errc::upgrade_eof)) << client.error().message();
    }
    ASSERT_EQ(requests.size(), 2u);
    EXPECT_NE(Peer::accept_value(requests[0]), Peer::accept_value(requests[1]));
}

TEST(Upgrade, AcceptsAnySubprotocolWhenAsked) {
    ScriptedServer server([](Peer& peer) {
        const std::string request = peer.read_request();
        peer.send(Peer::accept(request, "Sec-WebSocket-Protocol: surprise\r\n"));
        peer.drain();
    });
    Config config = patient_config(server.url());
    config.accept_any_subprotocol = true;
    WatchedClient client(config);
    ASSERT_TRUE(client.wait_for_open()) << client.error().message();
    EXPECT_EQ(client.handshake().subprotocol, "surprise");
}

}  // namespace
}  // namespace tern::interop
