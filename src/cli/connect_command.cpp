#include "connect_command.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <optional>
#include <poll.h>
#include <string>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>

#include <tern/client.hpp>
#include <tern/trace.hpp>

#include "escape.hpp"
#include "exit_code.hpp"

namespace tern::cli {
namespace {

using namespace std::chrono_literals;

/// Written by the signal handler, read by the input loop.
volatile std::sig_atomic_t interrupts = 0;

void on_interrupt(int) {
    interrupts = interrupts + 1;
    if (interrupts > 1) _exit(exit_interrupted);
}

/// One run of the command: the client's handlers on the one side, standard input on the other.
class Conversation {
public:
    explicit Conversation(const ConnectOptions& options)
        : options_(options), client_(options.config), terminal_(isatty(STDOUT_FILENO) == 1) {
        client_.on_event([this](const Event& event) { on_event(event); });
    }

    int run();

private:
    void on_event(const Event& event);
    void tell(const Event& event) const;
    void tell_of_phases() const;
    void print(MessageView message);
    void end(int code);

    void read_input();
    bool take_lines();
    bool send(std::string_view line);

    const ConnectOptions& options_;
    Client client_;
    const bool terminal_;
    std::string input_;
    bool printed_ = false;  ///< Only the loop's thread.

    std::mutex mutex_;
    std::condition_variable changed_;
    bool opened_ = false;
    std::optional<int> exit_;  ///< The life has ended.
};

int Conversation::run() {
    if (const Error error = client_.start()) {
        fmt::print(stderr, "tern: {}\n", escape(error.message()));
        return exit_code(error);
    }
    read_input();
    if (interrupts > 0) {
        client_.stop(1s);
        return exit_interrupted;
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return exit_.has_value(); });
    return *exit_;
}

/// How long each phase took.
void Conversation::tell_of_phases() const {
    const PhaseTimes times = client_.stats().phases;
    std::string text;
    const auto add = [&](const char* name, std::chrono::microseconds time) {
        if (time.count() == 0) return;
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, duration_text(time));
    };
    add("resolve", times.resolve);
    add("connect", times.connect);
    add("proxy", times.proxy);
    add("TLS", times.tls);
    add("upgrade", times.upgrade);
    fmt::print(stderr, "* {}\n", text);
}

// --- what arrives --------------------------------------------------------------------------------------------------

void Conversation::on_event(const Event& event) {
    if (options_.verbose) tell(event);
    switch (event.kind) {
        case Event::Kind::open: {
            const std::lock_guard lock(mutex_);
            opened_ = true;
            changed_.notify_all();
            return;
        }
        case Event::Kind::message:
            if (options_.once && printed_) return;
            print(event.message());
            printed_ = true;
            if (options_.once) static_cast<void>(client_.close());
            return;
        case Event::Kind::reconnecting:
            if (!options_.verbose) fmt::print(stderr, "tern: {}; trying again\n", escape(event.error->message()));
            return;
        case Event::Kind::failed:
            fmt::print(stderr, "tern: {}\n", escape(event.error->message()));
            return end(exit_code(*event.error));
        case Event::Kind::closed: {
            const CloseInfo& info = *event.close;
            if (info.will_reconnect) return;
            const bool as_wished = info.error == Errc::closed_locally || info.code == CloseCode::normal ||
                                   info.code == CloseCode::going_away;
            if (!as_wished) fmt::print(stderr, "tern: {}\n", escape(info.error.message()));
            return end(as_wished ? exit_ok : exit_code(info.error));
        }
        default: return;
    }
}

void tell_of_tls(const char* where, const tls::Info& info) {
    if (info.version.empty()) return;
    fmt::print(stderr, "* TLS {}{}, {}{}{}{}\n", where, info.version, info.cipher, info.alpn.empty() ? "" : ", ALPN ",
               escape(info.alpn), info.resumed ? ", resumed" : "");
    if (info.chain.empty()) return;
    const tls::Certificate& own = info.chain.front();
    fmt::print(stderr, "*   certificate: {}\n*   issued by:   {}\n", escape(own.subject), escape(own.issuer));
    fmt::print(stderr, "*   valid:       {} to {}\n*   names:       {}\n*   pin:         {}\n", own.not_before,
               own.not_after, escape(fmt::format("{}", fmt::join(own.names, ", "))), own.pin);
    if (!info.verified) fmt::print(stderr, "*   NOT VERIFIED\n");
}

void tell_of_compression(const CompressionInfo& info) {
    if (!info.active) return;
    const auto side = [](const char* who, int bits, bool takeover) {
        return fmt::format("{} {} bytes of window{}", who, 1 << bits, takeover ? "" : ", each message alone");
    };
    fmt::print(stderr, "* compression: permessage-deflate; {}; {}\n",
               side("we use", info.client_window_bits, info.client_context_takeover),
               side("the server uses", info.server_window_bits, info.server_context_takeover));
}

void tell_of_request(std::string_view head) {
    while (!head.empty()) {
        const std::size_t end = head.find("\r\n");
        if (end == head.npos || end == 0) return;
        fmt::print(stderr, "> {}\n", escape(without_credentials(head.substr(0, end))));
        head.remove_prefix(end + 2);
    }
}

void tell_of_response(const Response& response) {
    if (response.status == 0) return;
    fmt::print(stderr, "< HTTP/1.1 {} {}\n", response.status, escape(response.reason));
    for (const Header& field : response.headers) {
        fmt::print(stderr, "< {}: {}\n", escape(field.name), escape(field.value));
    }
    for (std::string_view body = response.body; !body.empty();) {
        const std::size_t end = std::min(body.find('\n'), body.size());
        fmt::print(stderr, "<   {}\n", escape(body.substr(0, end)));
        body.remove_prefix(std::min(end + 1, body.size()));
    }
}

/// `-v`: a line for everything but the messages, which are printed anyway.
void Conversation::tell(const Event& event) const {
    const auto line = [](const std::string& text) { fmt::print(stderr, "* {}\n", text); };
    switch (event.kind) {
        case Event::Kind::connecting: return line(fmt::format("connecting, attempt {}", event.attempt));
        case Event::Kind::redirected: return line("redirected to " + escape(event.error->response.header("Location")));
        case Event::Kind::open: {
            tell_of_tls("to the proxy: ", event.handshake->proxy_tls);
            tell_of_tls("", event.handshake->tls);
            tell_of_request(event.handshake->request);
            tell_of_response(event.handshake->response);
            tell_of_compression(event.handshake->compression);
            if (!event.handshake->subprotocol.empty()) line("subprotocol " + escape(event.handshake->subprotocol));
            tell_of_phases();
            return line("open: " + escape(event.handshake->peer));
        }
        case Event::Kind::message:
            return line(fmt::format("{} message of {} bytes", event.message().is_text() ? "text" : "binary",
                                    event.bytes.size()));
        case Event::Kind::ping: return line(fmt::format("ping of {} bytes, answered", event.bytes.size()));
        case Event::Kind::pong:
            if (event.round_trip >= 0us) return line(fmt::format("pong after {} us", event.round_trip.count()));
            return line(fmt::format("pong of {} bytes", event.bytes.size()));
        case Event::Kind::closing:
            return line(fmt::format("the server says close: {} {}", static_cast<unsigned>(event.close->code),
                                    escape(event.close->reason)));
        case Event::Kind::closed: return line("closed: " + escape(event.close->error.message()));
        case Event::Kind::failed: return tell_of_response(event.error->response);
        case Event::Kind::reconnecting:
            tell_of_response(event.error->response);
            return line(fmt::format("{}; trying again in {} ms", escape(event.error->message()), event.delay.count()));
        default: return;
    }
}

/// Blocks when standard output does; then the client reads nothing more, and the server has to wait.
void Conversation::print(MessageView message) {
    const std::string shown = !terminal_          ? std::string(message.text())
                              : message.is_text() ? escape(message.text())
                                                  : hex_dump(message.bytes);
    const bool newline = terminal_ || message.is_text();
    std::fwrite(shown.data(), 1, shown.size(), stdout);
    if (newline) std::fputc('\n', stdout);
    if (std::fflush(stdout) != 0) end(exit_ok);  // nobody reads any more, as in `tern ... | head -1`
}

void Conversation::end(int code) {
    const std::lock_guard lock(mutex_);
    if (!exit_) exit_ = code;
    changed_.notify_all();
}

// --- what goes out -------------------------------------------------------------------------------------------------

/// Waits for input by poll, so that the end of the connection and interrupts are noticed too.
void Conversation::read_input() {
    {
        std::unique_lock lock(mutex_);
        while (!opened_ && !exit_ && interrupts == 0) changed_.wait_for(lock, 50ms);
        if (exit_) return;
    }
    for (;;) {
        {
            const std::lock_guard lock(mutex_);
            if (exit_ || interrupts > 0) return;
        }
        pollfd waiting{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
        if (poll(&waiting, 1, 50) <= 0) continue;
        char bytes[64 * 1024];
        const ssize_t size = read(STDIN_FILENO, bytes, sizeof(bytes));
        if (size < 0 && errno == EINTR) continue;
        if (size > 0) input_.append(bytes, static_cast<std::size_t>(size));
        if (!take_lines()) return;
        if (size <= 0) break;
    }
    if (!input_.empty() && !send(input_)) return;
    // With --once the answer is still awaited; otherwise what was sent goes out, and then our Close.
    if (!options_.once) static_cast<void>(client_.close());
}

/// Sends every complete line. False: there is no use in going on.
bool Conversation::take_lines() {
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = input_.find('\n', begin)) != std::string::npos; begin = end + 1) {
        if (!send(std::string_view(input_).substr(begin, end - begin))) return false;
    }
    input_.erase(0, begin);
    return true;
}

bool Conversation::send(std::string_view line) {
    for (;;) {
        const std::error_code error = options_.binary ? client_.send_binary(as_bytes(line)) : client_.send_text(line);
        if (!error) return true;
        const bool waiting =
            error == Errc::send_queue_full || (error == Errc::not_connected && options_.config.reconnect.enabled);
        {
            const std::lock_guard lock(mutex_);
            if (exit_ || interrupts > 0) return false;
        }
        if (error == Errc::outgoing_text_not_utf8) {
            fmt::print(stderr, "tern: a line is not valid UTF-8 and was not sent; --binary sends anything\n");
            end(exit_usage);
            return false;
        }
        // Closing or lost: the event that ends the life is on its way.
        if (!waiting && error != Errc::already_closing && error != Errc::not_connected) {
            fmt::print(stderr, "tern: a line was not sent: {}\n", error.message());
            end(exit_code(Error(static_cast<Errc>(error.value()))));
            return false;
        }
        std::this_thread::sleep_for(10ms);
    }
}

}  // namespace

int connect(const ConnectOptions& options) {
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGINT, on_interrupt);
    std::signal(SIGTERM, on_interrupt);
    return Conversation(options).run();
}

}  // namespace tern::cli
