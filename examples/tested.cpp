// An application whose reconnect logic is tested without sockets and without sleeping: an hour of outages takes
// milliseconds. What is tested is `Prices`, which takes the type of its client as a parameter; the program uses
// `Prices<tern::Client>`.
#include <chrono>
#include <cstdint>
#include <iostream>
#include <map>
#include <string>

#include <tern/testing/world.hpp>

namespace {

using namespace std::chrono_literals;

/// Follows the price of one thing: subscribes on each new connection, and knows when what it has is not to be trusted.
template <class Client>
class Prices {
public:
    explicit Prices(Client& client) : client_(client) {
        client_.on_open([this](const tern::Handshake&) { client_.send_text("subscribe gold"); });
        client_.on_message([this](tern::MessageView message) {
            price_ = message.text();
            fresh_ = true;
        });
        client_.on_close([this](const tern::CloseInfo&) { fresh_ = false; });
    }
    [[nodiscard]] const std::string& price() const { return price_; }
    [[nodiscard]] bool fresh() const { return fresh_; }

private:
    Client& client_;
    std::string price_;
    bool fresh_ = false;
};

bool check(bool right, const char* what) {
    std::cout << (right ? "ok      " : "FAILED  ") << what << '\n';
    return right;
}

tern::testing::Script price_server(int& price) {
    return {.on_message = [&price](tern::testing::Connection connection, tern::Opcode, std::string_view text) {
        if (text == "subscribe gold") connection.send_text(std::to_string(price));
    }};
}

bool survives_a_reset() {
    int price = 100;
    tern::testing::World world;
    auto& server = world.server("prices.test", 80, price_server(price));
    tern::testing::Client client(world, {.url = "ws://prices.test/"});
    Prices prices(client);
    client.start();
    world.run_for(1s);
    bool right = check(prices.fresh() && prices.price() == "100", "the price comes after the subscription");

    price = 200;  // NOLINT(clang-analyzer-deadcode.DeadStores): the server reads it
    server.accept(tern::testing::Server::Accept::refuse);
    server.last().reset();
    world.run_for(30s);
    right &= check(!prices.fresh(), "while the server is away the old price is not trusted");

    server.accept(tern::testing::Server::Accept::yes);
    world.run_for(60s);
    right &= check(prices.fresh() && prices.price() == "200", "it is subscribed again on the next connection");
    right &= check(world.report().empty(), "nothing strange was seen");
    return right;
}

bool survives_storms() {
    bool right = true;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        int price = 300;
        tern::testing::World world(seed);
        world.server("prices.test", 80, price_server(price));
        tern::testing::Client client(world, {.url = "ws://prices.test/"});
        Prices prices(client);
        client.start();
        world.storm({}, 1h);
        world.run_for(1h);
        right &= world.run_until([&] { return prices.fresh(); }, 5min);
        if (!right) std::cout << "seed " << seed << '\n';
    }
    return check(right, "after an hour of accidents the price is fresh again, twenty times");
}

}  // namespace

int main() {
    const bool right = survives_a_reset() && survives_storms();
    return right ? 0 : 1;
}
