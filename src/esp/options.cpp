#include "options.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <limits>
#include <net/if.h>

#include "esp_log.h"
#include "ticks.hpp"

namespace tern::esp {
namespace {

using namespace std::chrono_literals;

constexpr const char* log_tag = "websocket_client";
constexpr std::size_t default_buffer = 1024;
constexpr std::size_t smallest_receive_buffer = 4096;

std::string string_of(const char* text) { return text != nullptr ? text : ""; }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lowered(std::string_view text) {
    std::string result(text);
    std::transform(result.begin(), result.end(), result.begin(), lower);
    return result;
}

bool is_token(std::string_view text) {
    constexpr std::string_view others = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
        return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || others.find(c) != others.npos;
    });
}

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t");
    if (first == text.npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// Those that the handshake sets itself.
bool is_reserved(std::string_view name) {
    constexpr std::array<std::string_view, 5> names = {"host", "upgrade", "connection", "content-length",
                                                       "transfer-encoding"};
    return std::find(names.begin(), names.end(), name) != names.end() || name.starts_with("sec-websocket-");
}

/// Espressif's client sends any path as it stands; what a request line cannot carry is escaped (RFC 3986 section 2.1).
std::string escaped_path(std::string_view path) {
    constexpr std::string_view unfit = "\"#<>\\^`{|}";
    std::string result;
    for (const char c : path) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte > 0x20 && byte < 0x7f && unfit.find(c) == unfit.npos) {
            result += c;
            continue;
        }
        std::array<char, 4> hex{};
        std::snprintf(hex.data(), hex.size(), "%%%02X", byte);
        result += hex.data();
    }
    return result;
}

/// Length 0 means text that ends with a zero, and so does PEM of any length.
TlsSource source_of(const char* data, std::size_t size) {
    if (data == nullptr) return {};
    std::string bytes = size == 0 ? std::string(data) : std::string(data, size);
    if (bytes.find("-----BEGIN") == bytes.npos) return TlsSource::der(std::move(bytes));
    while (!bytes.empty() && bytes.back() == '\0') bytes.pop_back();
    return TlsSource::pem(std::move(bytes));
}

std::chrono::milliseconds positive_or(int value, int otherwise) {
    return std::chrono::milliseconds(value > 0 ? value : otherwise);
}

std::vector<std::string> elements(std::string_view list) {
    std::vector<std::string> result;
    while (!list.empty()) {
        const std::size_t comma = std::min(list.find(','), list.size());
        const std::string_view one = trimmed(list.substr(0, comma));
        if (!one.empty() && std::find(result.begin(), result.end(), one) == result.end()) result.emplace_back(one);
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
    return result;
}

bool parse_authority(std::string_view authority, UriParts& parts) {
    if (const std::size_t at = authority.rfind('@'); at != authority.npos) {
        const std::string_view user_info = authority.substr(0, at);
        const std::size_t colon = user_info.find(':');
        parts.user = user_info.substr(0, colon);
        if (colon != user_info.npos) parts.password = user_info.substr(colon + 1);
        authority.remove_prefix(at + 1);
    }
    std::string_view port;
    if (authority.starts_with('[')) {
        const std::size_t end = authority.find(']');
        if (end == authority.npos) return false;
        parts.host = authority.substr(1, end - 1);
        const std::string_view rest = authority.substr(end + 1);
        if (!rest.empty() && rest.front() != ':') return false;
        port = rest.empty() ? rest : rest.substr(1);
    } else {
        const std::size_t colon = authority.find(':');
        parts.host = authority.substr(0, colon);
        if (colon != authority.npos) port = authority.substr(colon + 1);
    }
    if (parts.host.empty()) return false;
    if (port.empty()) return true;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), parts.port);
    return error == std::errc() && end == port.data() + port.size() && parts.port > 0 && parts.port <= 65535;
}

}  // namespace

bool UriParts::parse(std::string_view text, UriParts& parts) {
    if (std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) <= 0x20; })) {
        return false;
    }
    const std::size_t colon = text.find("://");
    if (colon == text.npos || colon == 0) return false;
    UriParts result;
    result.scheme = lowered(text.substr(0, colon));
    if (!is_token(result.scheme)) return false;
    text.remove_prefix(colon + 3);
    text = text.substr(0, text.find('#'));
    const std::size_t end = std::min(text.find_first_of("/?"), text.size());
    if (!parse_authority(text.substr(0, end), result)) return false;
    result.path = text.substr(end);
    if (result.path.starts_with('?')) result.path.insert(0, "/");
    parts = std::move(result);
    return true;
}

bool is_header(std::string_view name, std::string_view value) {
    return is_token(name) && std::all_of(value.begin(), value.end(), [](char c) {
               return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
           });
}

bool parse_headers(std::string_view text, std::vector<Header>& headers) {
    bool good = true;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (trimmed(line).empty()) continue;
        const std::size_t colon = line.find(':');
        const std::string_view value = colon == line.npos ? "" : trimmed(line.substr(colon + 1));
        if (colon == line.npos || !is_header(line.substr(0, colon), value)) {
            good = false;
            continue;
        }
        headers.push_back({std::string(line.substr(0, colon)), std::string(value)});
    }
    return good;
}

Options::Options(const esp_websocket_client_config_t& config)
    : transport(config.transport),
      auto_reconnect(!config.disable_auto_reconnect),
      close_reconnect(config.enable_close_reconnect),
      user_context(config.user_context),
      own_task(config.task_core_id_set),
      buffer_size(config.buffer_size > 0 ? static_cast<std::size_t>(config.buffer_size) : default_buffer),
      subprotocol(string_of(config.subprotocol)),
      user_agent(config.user_agent != nullptr ? config.user_agent : "ESP32 Websocket Client"),
      headers(string_of(config.headers)),
      pong_timeout(config.pingpong_timeout_sec > 0 ? config.pingpong_timeout_sec : 120),
      pong_required(!config.disable_pingpong_discon),
      reconnect_timeout(auto_reconnect ? positive_or(config.reconnect_timeout_ms, 10'000)
                                       : std::chrono::milliseconds(config.reconnect_timeout_ms)),
      network_timeout(positive_or(config.network_timeout_ms, 10'000)),
      ping_interval(config.ping_interval_sec > 0 ? static_cast<std::int64_t>(config.ping_interval_sec) : 10),
      foreign_transport(config.ext_transport != nullptr) {
    fields.host = string_of(config.host);
    fields.port = config.port;
    fields.path = string_of(config.path);
    fields.user = string_of(config.username);
    fields.password = string_of(config.password);
    if (config.keep_alive_enable) {
        keepalive.idle = std::chrono::seconds(config.keep_alive_idle > 0 ? config.keep_alive_idle : 5);
        keepalive.interval = std::chrono::seconds(config.keep_alive_interval > 0 ? config.keep_alive_interval : 5);
        keepalive.count = config.keep_alive_count > 0 ? config.keep_alive_count : 3;
    }
    if (config.if_name != nullptr) {
        interface.assign(config.if_name->ifr_name, strnlen(config.if_name->ifr_name, IFNAMSIZ));
    }
#ifdef CONFIG_TERN_ESP_TASK_PER_CLIENT
    own_task = true;
#endif
    take_tls(config);
}

/// The bundle beats the global store, and that the certificate of the structure.
void Options::take_tls(const esp_websocket_client_config_t& config) {
    const bool system_store = config.crt_bundle_attach != nullptr || config.use_global_ca_store;
    verifies = system_store || config.cert_pem != nullptr;
    if (!system_store && config.cert_pem != nullptr) tls.trust = {source_of(config.cert_pem, config.cert_len)};
    if (!verifies) {
        tls.verify = TlsVerify::insecurely_not_at_all;
    } else if (config.skip_cert_common_name_check) {
        tls.verify = TlsVerify::without_name;
    }
    tls.expected_name = string_of(config.cert_common_name);
    tls.certificate = source_of(config.client_cert, config.client_cert_len);
    tls.key = source_of(config.client_key, config.client_key_len);
}

std::string Options::part(std::string UriParts::* member) const {
    const std::string& first = uri_was_set ? uri.*member : fields.*member;
    return first.empty() ? (uri_was_set ? fields : uri).*member : first;
}

bool Options::secure() const {
    return uri.scheme.empty() ? transport == WEBSOCKET_TRANSPORT_OVER_SSL : uri.scheme == "wss";
}

int Options::port() const {
    const int first = uri_was_set ? uri.port : fields.port;
    const int port = first != 0 ? first : uri_was_set ? fields.port : uri.port;
    if (port > 0) return port;
    return secure() ? 443 : 80;
}

std::string Options::obstacle() const {
    if (foreign_transport) return "ext_transport does not exist on a host";
    if (!uri.scheme.empty() && uri.scheme != "ws" && uri.scheme != "wss") return "there is no scheme " + uri.scheme;
    if (part(&UriParts::host).empty()) return "there is no host to connect to";
    if (port() > 65535) return "the port is beyond 65535";
    return {};
}

Config Options::config() const {
    constexpr std::chrono::milliseconds day = std::chrono::hours(24);
    Config config;
    std::vector<Header> lines;
    parse_headers(headers, lines);
    std::string offers = subprotocol;
    for (const Header& line : lines) {
        if (lowered(line.name) == "sec-websocket-protocol") offers += "," + line.value;
    }
    config.subprotocols = elements(offers);
    config.accept_any_subprotocol = true;
    config.tls = tls;
    config.socket.interface = interface;
    config.socket.keepalive = keepalive;
    config.delivery = Delivery::chunks;
    config.fragment_size = buffer_size;
    config.check_outgoing_text = false;
    config.compression.enabled = false;  // the reference has none; tern_esp_ext.h can ask for it
    config.receive_buffer = std::clamp<std::size_t>(buffer_size, smallest_receive_buffer, 64u << 10u);
    const std::chrono::milliseconds each = std::min(network_timeout, day);
    config.timeouts = {.resolve = each,
                       .connect = each,
                       .proxy = each,
                       .tls = each,
                       .upgrade = each,
                       // The phases have the deadlines; this one stands behind many addresses and redirects.
                       .attempt = std::min(8 * each, day),
                       .close = day,  // the client's own timers end it
                       .stop = std::chrono::milliseconds(0)};
    config.limits.max_message_size = std::numeric_limits<std::ptrdiff_t>::max();
    config.limits.max_send_queue = std::numeric_limits<std::ptrdiff_t>::max();  // `send` waits by `send_window`
    config.keepalive.interval = std::chrono::milliseconds(0);
    // Whatever the reason was, as the reference does it.
    const std::chrono::milliseconds shortest = std::clamp<std::chrono::milliseconds>(reconnect_timeout, 1ms, day);
    config.reconnect = {.enabled = auto_reconnect || close_reconnect,
                        .min_delay = shortest,
                        .max_delay = std::max(shortest, backoff.longest),
                        .max_retry_after = 0ms,
                        .max_attempts = backoff.max_attempts,
                        .give_up_after = backoff.give_up_after,
                        .rules = {{.retry = Retry::backoff}},
                        .make_before_break = false};
    for (const auto& extra : extras) extra(config);
    return config;
}

void Options::prepare(Attempt& attempt, const std::string& header_text) const {
    std::string host = part(&UriParts::host);
    if (host.find(':') != host.npos) host = "[" + host + "]";
    std::string path = part(&UriParts::path);
    if (!path.starts_with('/')) path.insert(0, "/");
    attempt.url = (secure() ? "wss://" : "ws://") + host + ":" + std::to_string(port()) + escaped_path(path);
    attempt.user = part(&UriParts::user);
    attempt.password = part(&UriParts::password);
    if (attempt.user.empty() || attempt.password.empty()) attempt.user = attempt.password = {};
    attempt.bearer_token = bearer_token;
    std::vector<Header> lines;
    if (!parse_headers(header_text, lines)) ESP_LOGW(log_tag, "a line of the headers is no header and is left out");
    bool has_agent = false;
    attempt.headers.clear();
    for (Header& line : lines) {
        const std::string name = lowered(line.name);
        if (name == "sec-websocket-protocol") continue;  // among the offers, see `config`
        if (is_reserved(name)) {
            ESP_LOGW(log_tag, "the header %s belongs to the handshake and is left out", line.name.c_str());
            continue;
        }
        has_agent = has_agent || name == "user-agent";
        attempt.headers.push_back(std::move(line));
    }
    if (!has_agent) attempt.headers.push_back({"User-Agent", user_agent});
    if (secure() && !verifies) {
        ESP_LOGW(log_tag, "the server's certificate is NOT verified: there is no cert_pem, bundle or global store");
    }
}

}  // namespace tern::esp
