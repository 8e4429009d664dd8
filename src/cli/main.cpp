// The `tern` command.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <exception>
#include <fcntl.h>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <fmt/format.h>

#include <tern/trace.hpp>

#include "connect_command.hpp"
#include "demo_command.hpp"
#include "echo_command.hpp"
#include "exit_code.hpp"

namespace {

using namespace tern::cli;

/// "Name: value", as curl's -H has it.
tern::Header parse_header(const std::string& line) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || colon == 0) throw CLI::ValidationError("-H", "write it as 'Name: value'");
    const std::size_t value = line.find_first_not_of(" \t", colon + 1);
    return {line.substr(0, colon), value == std::string::npos ? "" : line.substr(value)};
}

struct ConnectArguments {
    int verbosity = 0;
    std::string trace;
    ConnectOptions options;
    std::vector<std::string> headers;
    double ping_interval = 20;
    std::optional<double> connect_timeout;
    bool reconnect = false;
    std::string cacert, capath, certificate, key;
    std::vector<std::string> pins;
    bool insecure = false;
    std::string user;
    std::optional<std::string> proxy;
    std::string noproxy;
    std::vector<std::string> resolve;
    bool ipv4 = false;
    bool ipv6 = false;
};

/// What curl calls the same has curl's name.
void add_tls(CLI::App& command, ConnectArguments& arguments) {
    tern::Tls& tls = arguments.options.config.tls;
    const std::string group = "TLS";
    command.add_option("--cacert", arguments.cacert, "File of certificates to trust, instead of the system's")
        ->group(group);
    command.add_option("--capath", arguments.capath, "Folder of certificates to trust (see openssl rehash)")
        ->group(group);
    command.add_option("--cert", arguments.certificate, "File of a client certificate")->group(group);
    command.add_option("--key", arguments.key, "File of its key, if it is another one")->group(group);
    command.add_option("--pass", tls.passphrase, "Passphrase of the key")->group(group);
    command.add_option("--pin,--pinnedpubkey", arguments.pins, "sha256//BASE64 of a public key (repeatable)")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->group(group);
    command.add_flag("-k,--insecure", arguments.insecure, "Do not verify the server: anybody can listen and change")
        ->group(group);
    command.add_option("--keylog", tls.key_log_file, "Append the secrets of TLS to this file, for Wireshark")
        ->group(group);
}

void add_network(CLI::App& command, ConnectArguments& arguments) {
    tern::Config& config = arguments.options.config;
    const std::string group = "Network";
    command
        .add_option("-x,--proxy", arguments.proxy,
                    "http://, https://, socks5:// or socks5h://[user:password@]host[:port]; empty: none")
        ->group(group);
    command.add_option("--noproxy", arguments.noproxy, "Hosts to be reached without a proxy, as in no_proxy")
        ->group(group);
    command.add_option("--resolve", arguments.resolve, "HOST:PORT:ADDRESS: an address for a host (repeatable)")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->group(group);
    command.add_option("--interface", config.socket.interface, "Network interface, or address, to connect from")
        ->group(group);
    command.add_option("--unix-socket", config.socket.unix_path, "Connect to this Unix socket")->group(group);
    CLI::Option* four = command.add_flag("-4,--ipv4", arguments.ipv4, "IPv4 addresses only")->group(group);
    command.add_flag("-6,--ipv6", arguments.ipv6, "IPv6 addresses only")->group(group)->excludes(four);
}

/// "HOST:PORT:ADDRESS", as curl's --resolve has it.
tern::HostAddress parse_resolve(const std::string& text) {
    const std::size_t first = text.find(':');
    const std::size_t second = first == std::string::npos ? first : text.find(':', first + 1);
    unsigned port = 0;
    if (second != std::string::npos) {
        const char* begin = text.data() + first + 1;
        const auto [end, error] = std::from_chars(begin, text.data() + second, port);
        if (error != std::errc() || end != text.data() + second) port = 0;
    }
    if (port == 0 || port > 65535) throw CLI::ValidationError("--resolve", "write it as HOST:PORT:ADDRESS");
    std::string address = text.substr(second + 1);
    if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
    return {text.substr(0, first), static_cast<std::uint16_t>(port), address};
}

void apply_network(ConnectArguments& arguments) {
    tern::Config& config = arguments.options.config;
    for (const std::string& text : arguments.resolve) config.addresses.push_back(parse_resolve(text));
    if (arguments.ipv4) config.socket.ip_version = tern::IpVersion::ipv4;
    if (arguments.ipv6) config.socket.ip_version = tern::IpVersion::ipv6;
    // curl takes an address for --interface too; a dot alone is in the names of VLANs.
    in6_addr bytes{};
    const char* const interface = config.socket.interface.c_str();
    if (inet_pton(AF_INET, interface, &bytes) == 1 || inet_pton(AF_INET6, interface, &bytes) == 1) {
        std::swap(config.socket.interface, config.socket.local_address);
    }
    tern::ProxyEnvironment environment = tern::ProxyEnvironment::current();
    if (arguments.proxy) environment = {.all_proxy = *arguments.proxy, .no_proxy = environment.no_proxy};
    if (!arguments.noproxy.empty()) environment.no_proxy = arguments.noproxy;
    if (config.socket.unix_path.empty()) config.proxy = tern::proxy_for(environment, config.url);
}

void apply_tls(ConnectArguments& arguments) {
    tern::Tls& tls = arguments.options.config.tls;
    if (!arguments.cacert.empty()) tls.trust.push_back(tern::TlsSource::file(arguments.cacert));
    if (!arguments.capath.empty()) tls.trust.push_back(tern::TlsSource::folder(arguments.capath));
    if (!arguments.certificate.empty()) {
        tls.certificate = tern::TlsSource::file(arguments.certificate);
        tls.key = tern::TlsSource::file(arguments.key.empty() ? arguments.certificate : arguments.key);
    } else if (!arguments.key.empty()) {
        throw CLI::ValidationError("--key", "it needs --cert");
    }
    // The library does without a log that cannot be written; whoever asks for one here wants it.
    if (!tls.key_log_file.empty()) {
        const int file = open(tls.key_log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (file < 0)
            throw CLI::ValidationError("--keylog", tls.key_log_file + ": " + std::system_category().message(errno));
        close(file);
    }
    tls.pins = arguments.pins;
    if (arguments.insecure) {
        tls.verify = tern::TlsVerify::insecurely_not_at_all;
        fmt::print(stderr, "tern: warning: --insecure: the server is not verified\n");
    }
}

void add_connect(CLI::App& app, ConnectArguments& arguments) {
    CLI::App* command = app.add_subcommand("connect", "Send lines of standard input as messages, print what arrives");
    tern::Config& config = arguments.options.config;
    command->add_option("URL", config.url, "ws://host[:port][/path], or wss://")->required();
    command->add_option("-H,--header", arguments.headers, "A header for the upgrade, 'Name: value' (repeatable)")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    command->add_option("--subprotocol", config.subprotocols, "Offer a subprotocol (repeatable)")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    command->add_option("--origin", config.origin, "The Origin header");
    command->add_option("-u,--user", arguments.user, "USER:PASSWORD, for Basic authentication");
    command->add_option("--bearer,--oauth2-bearer", config.bearer_token, "A token, for Bearer authentication");
    command->add_option("--max-redirects", config.max_redirects, "Redirects that are followed; 0: none")
        ->capture_default_str();
    command
        ->add_option("--connect-timeout", arguments.connect_timeout,
                     "Seconds for everything until the connection is open (30, and 10 for each phase)")
        ->check(CLI::Range(0.001, 86400.0));
    command->add_flag("--binary", arguments.options.binary, "Send lines as binary messages");
    command->add_option("--ping-interval", arguments.ping_interval, "Seconds between pings; 0: none")
        ->check(CLI::Range(0.0, 86400.0))
        ->capture_default_str();
    command->add_option("--max-message-size", config.limits.max_message_size, "Bytes of the largest message accepted")
        ->check(CLI::Range(std::size_t{0}, std::size_t{1} << 40u))
        ->capture_default_str();
    command->add_flag("--once", arguments.options.once, "End after the first message received");
    command->add_flag("--reconnect", arguments.reconnect, "Connect again when the connection is lost");
    command->add_flag("--compress,!--no-compress", config.compression.enabled,
                      "Offer compression (permessage-deflate), or do not; the default is to offer it");
    command->add_flag("-v,--verbose", arguments.verbosity,
                      "Tell what happens, on standard error; -vv tells of each frame too");
    command->add_option("--trace", arguments.trace, "Write a capture for Wireshark, decrypted, to this file");
    add_tls(*command, arguments);
    add_network(*command, arguments);
    command->footer(exit_code_help);
}

/// Tells two tracers, either of which may be missing.
class Tee final : public tern::Tracer {
public:
    Tee(std::shared_ptr<Tracer> text, std::shared_ptr<Tracer> capture)
        : text_(std::move(text)), capture_(std::move(capture)) {}
    void trace(const tern::TraceRecord& record) noexcept override {
        if (text_ != nullptr) text_->trace(record);
        if (capture_ != nullptr) capture_->trace(record);
    }
    [[nodiscard]] bool wants_payload() const noexcept override { return capture_ != nullptr; }

private:
    const std::shared_ptr<Tracer> text_;
    const std::shared_ptr<Tracer> capture_;
};

void apply_trace(ConnectArguments& arguments) {
    std::shared_ptr<tern::Tracer> text;
    std::shared_ptr<tern::Tracer> capture;
    arguments.options.verbose = arguments.verbosity > 0;
    if (arguments.verbosity > 1) text = std::make_shared<tern::TextTracer>(stderr);
    if (!arguments.trace.empty()) {
        std::error_code error;
        capture = tern::PcapngTracer::open(arguments.trace, error);
        if (capture == nullptr) throw CLI::ValidationError("--trace", arguments.trace + ": " + error.message());
    }
    if (text != nullptr || capture != nullptr) {
        arguments.options.config.tracer = std::make_shared<Tee>(std::move(text), std::move(capture));
    }
}

int run_connect(ConnectArguments& arguments) {
    tern::Config& config = arguments.options.config;
    apply_trace(arguments);
    for (const std::string& line : arguments.headers) config.headers.push_back(parse_header(line));
    config.keepalive.interval = std::chrono::milliseconds(static_cast<std::int64_t>(arguments.ping_interval * 1000));
    if (arguments.connect_timeout) {
        // As curl means it: one limit for all, which no phase undercuts.
        tern::Timeouts& t = config.timeouts;
        t.attempt = std::chrono::milliseconds(static_cast<std::int64_t>(*arguments.connect_timeout * 1000));
        t.resolve = t.connect = t.proxy = t.tls = t.upgrade = t.attempt;
    }
    config.reconnect.enabled = arguments.reconnect;
    const std::size_t colon = std::min(arguments.user.find(':'), arguments.user.size());
    config.user = arguments.user.substr(0, colon);
    if (colon < arguments.user.size()) config.password = arguments.user.substr(colon + 1);
    apply_tls(arguments);
    apply_network(arguments);
    return connect(arguments.options);
}

void add_echo(CLI::App& app, EchoOptions& options) {
    CLI::App* command = app.add_subcommand("echo", "An echo server for trials");
    command->add_option("--port", options.port, "0: a free one")->capture_default_str();
    command->add_option("--host", options.host, "The address to listen on")->capture_default_str();
    command->add_option("--subprotocol", options.subprotocol, "Chosen if the client offers it");
    command->add_flag("--compress,!--no-compress", options.compress,
                      "Agree to compression, or do not; the default is to agree");
    command->add_option("--fragment", options.fragment, "Answer in fragments of so many bytes; 0: in one frame");
    CLI::Option* certificate =
        command->add_option("--cert", options.certificate, "Serve wss with this file's certificate");
    command->add_option("--key", options.key, "File of its key, if it is another one")->needs(certificate);
    command->footer(
        "Paths for trials: /close/CODE closes at once, /status/CODE refuses the upgrade, /silent never answers.");
}

int run(int argc, char** argv) {
    CLI::App app("tern: a WebSocket client that stays up", "tern");
    app.set_version_flag("--version", "tern " TERN_VERSION);
    app.require_subcommand(1);
    app.footer(exit_code_help);
    ConnectArguments connect_arguments;
    EchoOptions echo_options;
    std::string demo_url;
    add_connect(app, connect_arguments);
    add_echo(app, echo_options);
    app.add_subcommand("demo", "Show the client at work against an echo server")
        ->add_option("URL", demo_url, "Of the echo server, as `tern echo` prints it")
        ->required();
    try {
        app.parse(argc, argv);
        if (app.got_subcommand("connect")) return run_connect(connect_arguments);
        if (app.got_subcommand("echo")) return echo(echo_options);
        return demo(demo_url);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? exit_ok : exit_usage;
    }
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        fmt::print(stderr, "tern: {}\n", error.what());
        return exit_failure;
    }
}
