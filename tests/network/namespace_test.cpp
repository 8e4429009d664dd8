// What networks do to a client: addresses that are dead or gone, loss, delay, and packets that are too large.
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "server_process.hpp"
#include "two_hosts.hpp"
#include "watched_client.hpp"

namespace tern::network {
namespace {

using namespace std::chrono_literals;
using interop::patient_config;
using interop::ServerProcess;
using interop::WatchedClient;
constexpr auto patience = 60s;

TwoHosts* hosts = nullptr;

/// An echo server on the other host.
class Echo {
public:
    explicit Echo(const std::string& address) {
        hosts->elsewhere().run([&] {
            process_ = std::make_unique<ServerProcess>(
                std::vector<std::string>{TERN_COMMAND, "echo", "--port", "0", "--host", address});
        });
        port_ = process_->read_port();
        EXPECT_NE(port_, 0) << "the echo server did not start on " << address;
    }
    [[nodiscard]] std::uint16_t port() const { return port_; }

private:
    std::unique_ptr<ServerProcess> process_;
    std::uint16_t port_ = 0;
};

class Namespaces : public testing::Test {
protected:
    void SetUp() override {
        if (!hosts->missing().empty()) GTEST_SKIP() << hosts->missing();
        hosts->set({});
    }

    /// To a name with these addresses.
    static Config config(std::uint16_t port, const std::vector<std::string>& addresses) {
        Config one = patient_config("ws://server.test:" + std::to_string(port));
        for (const std::string& each : addresses) one.addresses.push_back({"server.test", port, each});
        return one;
    }
    static void expect_echo(Client& client, std::size_t size = 5) {
        const std::string payload(size, 'e');
        ASSERT_FALSE(client.send_text(payload));
        const Result<Message> answer = client.receive(patience);
        ASSERT_TRUE(answer) << answer.error().message();
        EXPECT_TRUE(answer->data == payload);
    }
    /// Connects, sends something there and back, and returns where that was.
    static std::string peer_of(const Config& config, std::size_t size = 5) {
        std::string peer;
        Client client{config};
        static_cast<void>(client.on_open([&](const Handshake& handshake) { peer = handshake.peer; }));
        const Error error = client.connect();
        EXPECT_FALSE(error) << error.message();
        if (!error) expect_echo(client, size);
        static_cast<void>(client.stop(patience));
        return peer;
    }
    static Error outcome(const Config& config) { return Client{config}.connect(); }
};

void expect_contains(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in: " << text;
}

// --- addresses -----------------------------------------------------------------------------------------------------

TEST_F(Namespaces, ADeadIpv6CostsNoConnection) {
    const Echo echo("::");
    expect_contains(peer_of(config(echo.port(), {TwoHosts::there_ipv6, TwoHosts::there})), TwoHosts::there_ipv6);
    hosts->set({.black_holes = {TwoHosts::there_ipv6}});
    expect_contains(peer_of(config(echo.port(), {TwoHosts::there_ipv6, TwoHosts::there})), TwoHosts::there);
}

TEST_F(Namespaces, ABlackHoledFirstAddress) {
    const Echo echo(TwoHosts::there);
    hosts->set({.black_holes = {TwoHosts::nobody, TwoHosts::also_there}});
    expect_contains(peer_of(config(echo.port(), {TwoHosts::nobody, TwoHosts::also_there, TwoHosts::there})),
                    TwoHosts::there);

    Config alone = config(echo.port(), {TwoHosts::nobody, TwoHosts::also_there});
    alone.timeouts.connect = 300ms;
    const Error error = outcome(alone);
    EXPECT_EQ(error, Errc::connect_timeout) << error.message();
    EXPECT_EQ(error.phase, Phase::connect);
    expect_contains(error.message(), TwoHosts::nobody);
    expect_contains(error.message(), TwoHosts::also_there);
}

TEST_F(Namespaces, ARefusedFirstAddress) {
    const Echo echo(TwoHosts::there);
    expect_contains(peer_of(config(echo.port(), {TwoHosts::also_there, TwoHosts::there})), TwoHosts::there);
    const Error error = outcome(config(echo.port(), {TwoHosts::also_there}));
    EXPECT_EQ(error, Errc::connection_refused) << error.message();
    expect_contains(error.message(), TwoHosts::also_there);
}

TEST_F(Namespaces, InterfaceAndLocalAddress) {
    const Echo echo(TwoHosts::there);
    Config one = config(echo.port(), {TwoHosts::there});
    one.socket = {.local_address = TwoHosts::here, .interface = TwoHosts::device};
    expect_contains(peer_of(one), TwoHosts::there);
    one.socket = {.interface = "lo"};
    one.timeouts.connect = 300ms;
    const Error error = outcome(one);
    EXPECT_EQ(error.phase, Phase::connect) << "the other host is not behind lo: " << error.message();
}

// --- bad weather ---------------------------------------------------------------------------------------------------

TEST_F(Namespaces, LossAndDelay) {
    const Echo echo(TwoHosts::there);
    hosts->set({.loss = 5, .delay = 5ms});
    for (int i = 0; i < 3; ++i)
        expect_contains(peer_of(config(echo.port(), {TwoHosts::there}), 50'000), TwoHosts::there);
}

TEST_F(Namespaces, AnAddressThatDisappearsAndReturns) {
    const Echo echo(TwoHosts::there);
    Config one = config(echo.port(), {TwoHosts::there});
    one.keepalive = {.interval = 100ms, .pong_timeout = 200ms};
    one.timeouts.connect = 200ms;
    one.reconnect = {.enabled = true, .min_delay = 50ms, .max_delay = 50ms};
    WatchedClient client(one);
    ASSERT_TRUE(client.wait_for_open()) << client.error().message();

    hosts->set({.dead = true});
    ASSERT_TRUE(client.wait_for_kind(Event::Kind::closed));
    EXPECT_EQ(client.error(), Errc::pong_timeout) << client.error().message();
    EXPECT_TRUE(client.close().will_reconnect);
    ASSERT_TRUE(client.wait_for_kind(Event::Kind::reconnecting, 2)) << "the attempts fail, and go on";

    hosts->set({});
    ASSERT_TRUE(client.wait_for_kind(Event::Kind::open, 2));
    ASSERT_FALSE(client->send_text("again"));
    ASSERT_TRUE(client.wait_for_messages(1));
    EXPECT_EQ(client.messages().front().data, "again");
    EXPECT_FALSE(client->stop(patience));
}

TEST_F(Namespaces, ALinkThatIsDown) {
    const Echo echo(TwoHosts::there);
    Config one = config(echo.port(), {TwoHosts::there});
    one.reconnect = {.enabled = true, .min_delay = 50ms, .max_delay = 50ms};
    ASSERT_TRUE(TwoHosts::set_link(false));
    const Error error = outcome(one);
    EXPECT_EQ(error, Errc::host_unreachable) << error.message();

    WatchedClient client(one);
    EXPECT_TRUE(client.wait_for_kind(Event::Kind::reconnecting, 2));
    ASSERT_TRUE(TwoHosts::set_link(true));
    EXPECT_TRUE(client.wait_for_open()) << client.error().message();
    EXPECT_FALSE(client->stop(patience));
}

/// Small packets pass and large ones vanish, and nobody says so: an upgrade of one packet succeeds, a larger one meets
/// its deadline, and a large message on an open connection meets that of the pong.
TEST_F(Namespaces, AnMtuBlackHole) {
    const Echo echo(TwoHosts::there);
    hosts->set({.largest = 700});
    Config large = config(echo.port(), {TwoHosts::there});
    large.headers = {{"X-Large", std::string(3000, 'x')}};
    large.timeouts.upgrade = 500ms;
    const Error error = outcome(large);
    EXPECT_EQ(error, Errc::upgrade_timeout) << error.message();
    expect_contains(error.message(), "nothing of the answer had arrived");

    Config one = config(echo.port(), {TwoHosts::there});
    one.keepalive = {.interval = 100ms, .pong_timeout = 300ms};
    one.compression.enabled = false;  // it would make small ones of the large packets
    WatchedClient client(one);
    ASSERT_TRUE(client.wait_for_open()) << client.error().message();
    ASSERT_FALSE(client->send_text("small"));
    ASSERT_TRUE(client.wait_for_messages(1));
    ASSERT_FALSE(client->send_text(std::string(5000, 'x')));
    ASSERT_TRUE(client.wait_for_end());
    EXPECT_EQ(client.error(), Errc::pong_timeout) << client.error().message();
}

// --- names ---------------------------------------------------------------------------------------------------------

TEST_F(Namespaces, ANameServerThatNeverAnswers) {
    if (!use_name_server(TwoHosts::nobody)) GTEST_SKIP() << "/etc/resolv.conf cannot be replaced";
    hosts->set({.black_holes = {TwoHosts::nobody}});
    Config slow = patient_config("ws://slow.test");
    WatchedClient client(slow);
    ASSERT_TRUE(client.wait_for_kind(Event::Kind::connecting));

    // Nobody else waits for it.
    const Echo echo(TwoHosts::there);
    expect_contains(peer_of(config(echo.port(), {TwoHosts::there})), TwoHosts::there);

    EXPECT_FALSE(client->stop(patience));
    EXPECT_EQ(client.error(), Errc::closed_locally) << client.error().message();
    EXPECT_EQ(client.error().phase, Phase::resolve) << "and not when the lookup had ended";

    slow.timeouts.resolve = 200ms;
    const Error error = outcome(slow);
    EXPECT_EQ(error, Errc::resolve_timeout) << error.message();
    {
        Client destroyed{slow};
        EXPECT_FALSE(destroyed.start());
    }
}

}  // namespace
}  // namespace tern::network

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    if (testing::GTEST_FLAG(list_tests)) return RUN_ALL_TESTS();
    tern::network::TwoHosts network;
    tern::network::hosts = &network;
    if (!network.missing().empty()) std::printf("no network of our own: %s\n", network.missing().c_str());
    return RUN_ALL_TESTS();
}
