#include <iostream>

#include <tern/tern.hpp>

int main(int argc, char** argv) {
    tern::Client client{{.url = argc > 1 ? argv[1] : ""}};
    if (const tern::Error error = client.connect()) {
        std::cerr << error.message() << '\n';
        return 1;
    }
    client.send_text("hello");
    const auto answer = client.receive(std::chrono::seconds(10));
    return answer && answer->text() == "hello" ? 0 : 1;
}
