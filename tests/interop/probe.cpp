// Talks to an echo server as the matrix wants it (tests/interop/matrix.py):
//     interop_probe URL CA_FILE compress|plain
// Prints "ok compressed" or "ok plain", or what went wrong.
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

#include <tern/client.hpp>

namespace {

using namespace std::chrono_literals;

int fail(const std::string& what) {
    std::printf("%s\n", what.c_str());
    return 1;
}

std::string prose(std::size_t size) {
    std::string text;
    for (std::size_t i = 0; text.size() < size; ++i)
        text += "{\"id\": " + std::to_string(i * 7919) + ", \"n\": \"g\xc3\xbcll\"}, ";
    while (text.size() > size || (static_cast<unsigned char>(text.back()) >= 0x80)) text.pop_back();
    return text;
}

std::string noise(std::size_t size) {
    std::string bytes;
    std::uint32_t state = 1;
    while (bytes.size() < size) bytes += static_cast<char>((state = state * 1664525u + 1013904223u) >> 24u);
    return bytes;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    tern::Config config{.url = argv[1], .reconnect = {.enabled = false}};
    config.tls.trust = {tern::TlsSource::file(argv[2])};
    config.compression.enabled = std::string_view(argv[3]) == "compress";
    bool compressed = false;
    bool ponged = false;
    tern::Client client(config);
    client.on_event([&](const tern::Event& event) {
        if (event.kind == tern::Event::Kind::open) compressed = event.handshake->compression.active;
        if (event.kind == tern::Event::Kind::pong) ponged = true;
    });
    if (const tern::Error error = client.connect()) return fail(error.message());
    for (const std::size_t size : {std::size_t{1}, std::size_t{63}, std::size_t{64}, std::size_t{1000},
                                   std::size_t{70'000}, std::size_t{300'000}}) {
        for (const bool binary : {false, true}) {
            const std::string sent = binary ? noise(size) : prose(size);
            for (int round = 0; round < 3; ++round) {
                const std::error_code error =
                    binary ? client.send_binary(tern::as_bytes(sent)) : client.send_text(sent);
                if (error) return fail("send: " + error.message());
            }
            for (int round = 0; round < 3; ++round) {
                const tern::Result<tern::Message> echo = client.receive(20s);
                if (!echo) return fail(echo.error().message());
                if (echo->data != sent || echo->is_text() == binary)
                    return fail("another echo of " + std::to_string(size) + " bytes");
            }
        }
    }
    // In parts, too.
    const std::string whole = prose(5000);
    for (std::size_t at = 0; at < whole.size(); at += 1000) {
        const std::string_view part = std::string_view(whole).substr(at, 1000);
        const tern::Opcode opcode = at == 0 ? tern::Opcode::text : tern::Opcode::continuation;
        if (client.send_part(opcode, tern::as_bytes(part), at + 1000 >= whole.size()))
            return fail("a part was refused");
    }
    if (client.ping("ping")) return fail("the ping was refused");
    const tern::Result<tern::Message> echo = client.receive(20s);
    if (!echo) return fail(echo.error().message());
    if (echo->data != whole) return fail("another echo of a message in parts");
    // A further round trip lets the pong come.
    if (client.send_text("last") || !client.receive(20s)) return fail("no last echo");
    if (client.close()) return fail("close was refused");
    tern::Result<tern::Message> end = client.receive(10s);
    if (end || !(end.error() == tern::Errc::closed_locally))
        return fail("the end: " + (end ? "a message" : end.error().message()));
    std::printf("ok %s%s\n", compressed ? "compressed" : "plain", ponged ? "" : " (no pong)");
    return 0;
}
