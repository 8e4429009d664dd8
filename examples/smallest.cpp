// The smallest client: connects, says hello, prints the answer, closes.
//     build/release/example_smallest ws://localhost:9001
#include <future>
#include <iostream>

#include <tern/tern.hpp>

int main(int argc, char** argv) {
    tern::Client client{{.url = argc > 1 ? argv[1] : "ws://localhost:9001", .reconnect = {.enabled = false}}};
    std::promise<int> done;

    client.on_open([&](const tern::Handshake&) { client.send_text("hello"); });
    client.on_message([&](tern::MessageView message) {
        std::cout << message.text() << '\n';
        client.close();
    });
    client.on_close([&](const tern::CloseInfo& info) { done.set_value(info.clean() ? 0 : 1); });
    client.on_error([&](const tern::Error& error, bool is_final) {
        std::cerr << error.message() << '\n';
        if (is_final) done.set_value(1);
    });

    if (const tern::Error error = client.start()) {
        std::cerr << error.message() << '\n';
        return 1;
    }
    return done.get_future().get();
}
