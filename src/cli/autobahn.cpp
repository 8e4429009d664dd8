// The testee for the public Autobahn fuzzing server, see docs/autobahn.md:
//     tern-autobahn [--offer=default|alone|small|several|none] BASE_URL AGENT [first [last]]
#include <charconv>
#include <chrono>
#include <future>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include <tern/client.hpp>

namespace {

using namespace std::chrono_literals;

constexpr auto patience = 60s;

std::string percent_encoded(std::string_view text) {
    std::string encoded;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                           c == '_' || c == '.' || c == '~';
        encoded += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return encoded;
}

/// What is offered of permessage-deflate.
tern::Compression offers = {};

/// False: there is no such variant.
bool choose_offers(std::string_view variant) {
    const tern::CompressionOffer alone{.server_context_takeover = false, .client_context_takeover = false};
    const tern::CompressionOffer small{.server_window_bits = 9, .client_window_bits = 9};
    if (variant == "alone") {
        offers.offers = {alone};
    } else if (variant == "small") {
        offers.offers = {small};
    } else if (variant == "several") {
        offers.offers = {small, alone, {}};
    } else if (variant == "none") {
        offers.enabled = false;
    } else {
        return variant == "default";
    }
    return true;
}

tern::Config config(std::string url) {
    return {.url = std::move(url),
            .compression = offers,
            .limits = {.max_message_size = 64u << 20u},
            .keepalive = {.interval = 0ms},
            .reconnect = {.enabled = false}};
}

/// 0 if it is none.
int number(std::string_view text) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() ? value : 0;
}

/// The number of cases; 0 if it cannot be had.
int case_count(const std::string& base) {
    tern::Client client{config(base + "/getCaseCount")};
    if (const tern::Error error = client.connect()) {
        fmt::print(stderr, "tern-autobahn: {}\n", error.message());
        return 0;
    }
    const tern::Result<tern::Message> answer = client.receive(patience);
    if (!answer) {
        fmt::print(stderr, "tern-autobahn: {}\n", answer.error().message());
        return 0;
    }
    return number(answer->data);
}

/// Echoes until the connection ends; how it ends is the server's to judge.
std::string run_case(const std::string& url) {
    std::promise<std::string> ended;
    tern::Client client{config(url)};
    static_cast<void>(client.on_event([&](const tern::Event& event) {
        if (event.kind == tern::Event::Kind::message) {
            // A refusal means that the connection is ending.
            static_cast<void>(event.message().is_text() ? client.send_text(event.message().text())
                                                        : client.send_binary(event.bytes));
        } else if (event.kind == tern::Event::Kind::closed || event.kind == tern::Event::Kind::failed) {
            ended.set_value(event.error->message());
        }
    }));
    if (const tern::Error error = client.start()) return error.message();
    std::future<std::string> outcome = ended.get_future();
    if (outcome.wait_for(patience) != std::future_status::ready) return "not ended in time";
    return outcome.get();
}

}  // namespace

int main(int argc, char** argv) {
    constexpr std::string_view option = "--offer=";
    if (argc > 1 && std::string_view(argv[1]).starts_with(option)) {
        if (!choose_offers(std::string_view(argv[1]).substr(option.size()))) argc = 0;
        ++argv;
        --argc;
    }
    if (argc < 3 || argc > 5) {
        fmt::print(stderr,
                   "usage: tern-autobahn [--offer=default|alone|small|several|none] BASE_URL AGENT [first [last]]\n");
        return 2;
    }
    const std::string base = argv[1];
    const std::string agent = percent_encoded(argv[2]);
    const int count = case_count(base);
    if (count <= 0) return 1;
    const int first = argc > 3 ? number(argv[3]) : 1;
    const int last = argc > 4 ? number(argv[4]) : count;
    for (int each = first; each <= last; ++each) {
        fmt::print("case {} of {}: ", each, count);
        std::fflush(stdout);
        fmt::print("{}\n", run_case(fmt::format("{}/runCase?case={}&agent={}", base, each, agent)));
    }
    fmt::print("writing the report: {}\n", run_case(fmt::format("{}/updateReports?agent={}", base, agent)));
    return 0;
}
