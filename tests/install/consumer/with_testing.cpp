// The test kit, found as a component: an hour of one answer a second, without a server and without waiting.
#include <chrono>
#include <cstdio>
#include <string>

#include <tern/testing/world.hpp>

int main() {
    using namespace std::chrono_literals;
    tern::testing::World world;
    auto& server = world.server("example.test", 80, tern::testing::echo());
    tern::testing::Client client(world, {.url = "ws://example.test/"});
    int received = 0;
    client.on_message([&](tern::MessageView) { ++received; });
    client.start();
    world.run_for(1s);
    server.last().reset();
    if (!world.run_until([&] { return client.stats().connects == 2; }, 1min)) return 1;
    for (int i = 0; i < 3600; ++i) {
        client.send_text(std::to_string(i));
        world.run_for(1s);
    }
    std::printf("%d answers\n", received);
    return received == 3600 && world.report().empty() ? 0 : 1;
}
