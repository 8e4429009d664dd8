// Without handlers: connect, send, receive, close, each with a deadline.
//     build/release/example_blocking ws://localhost:9001
#include <chrono>
#include <iostream>

#include <tern/tern.hpp>

int main(int argc, char** argv) {
    using namespace std::chrono_literals;

    tern::Client client{{.url = argc > 1 ? argv[1] : "ws://localhost:9001"}};
    if (const tern::Error error = client.connect()) {
        std::cerr << error.message() << '\n';
        return 1;
    }
    for (const char* question : {"one", "two", "three"}) {
        if (const std::error_code error = client.send_text(question)) {
            std::cerr << error.message() << '\n';
            return 1;
        }
        const tern::Result<tern::Message> answer = client.receive(5s);
        if (!answer) {
            std::cerr << answer.error().message() << '\n';
            return 1;
        }
        std::cout << answer->text() << '\n';
    }
    client.stop();
}
