// A thousand clients on one loop: each says hello, prints nothing, and closes when it is answered.
//     build/release/example_many_clients ws://localhost:9001 1000
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <tern/tern.hpp>

namespace {

/// How many clients have come to their end, and how many of them well.
class Tally {
public:
    void add(bool well) {
        const std::lock_guard lock(mutex_);
        ++ended_;
        well_ += well ? 1u : 0u;
        changed_.notify_all();
    }
    std::size_t wait_for(std::size_t count) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return ended_ >= count; });
        return well_;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t ended_ = 0;
    std::size_t well_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    const std::size_t count = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 100;
    // One configuration for all of them, so that each needs less memory.
    const auto config = std::make_shared<const tern::Config>(tern::Config{
        .url = argc > 1 ? argv[1] : "ws://localhost:9001",
        .reconnect = {.enabled = false},
    });

    Tally tally;  // before the clients, because their handlers refer to it
    tern::Loop loop;
    std::vector<std::unique_ptr<tern::Client>> clients;
    for (std::size_t i = 0; i < count; ++i) {
        tern::Client& client = *clients.emplace_back(std::make_unique<tern::Client>(loop, config));
        client.on_open([&client, i](const tern::Handshake&) { client.send_text("hello from " + std::to_string(i)); });
        client.on_message([&client](tern::MessageView) { client.close(); });
        client.on_close([&tally](const tern::CloseInfo& info) { tally.add(info.clean()); });
        client.on_error([&tally](const tern::Error& error, bool is_final) {
            std::cerr << error.message() << '\n';
            if (is_final) tally.add(false);
        });
        if (const tern::Error error = client.start()) {
            std::cerr << error.message() << '\n';
            return 1;
        }
    }
    const std::size_t well = tally.wait_for(count);
    std::cout << well << " of " << count << " were answered and closed\n";
    return well == count ? 0 : 1;
}
