// The configuration of a client: what Espressif's structure says, in strings of its own, and what follows from it.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tern/client.hpp>

#include "esp_websocket_client.h"

namespace tern::esp {

/// What a URI says; empty parts are those that it does not have.
struct UriParts {
    std::string scheme;  ///< In small letters.
    std::string host;    ///< Without brackets.
    int port = 0;
    std::string path;  ///< With the query.
    std::string user;  ///< As written.
    std::string password;

    /// False: it is none.
    static bool parse(std::string_view text, UriParts& parts);
};

/// What tern_esp_ext.h was asked for instead of a fixed delay without end.
struct Backoff {
    std::chrono::milliseconds longest{0};  ///< If it is more than `reconnect_timeout`, which is the shortest then.
    unsigned max_attempts = 0;             ///< 0: no limit.
    std::chrono::milliseconds give_up_after{0};
};

struct Options {
    explicit Options(const esp_websocket_client_config_t& config);

    UriParts uri;
    bool uri_was_set = false;  ///< By set_uri, which beats the fields; the URI of the structure does not.
    UriParts fields;
    esp_websocket_transport_t transport = WEBSOCKET_TRANSPORT_UNKNOWN;

    bool auto_reconnect = true;
    bool close_reconnect = false;
    void* user_context = nullptr;
    bool own_task = false;
    std::size_t buffer_size = 0;
    std::string subprotocol;
    std::string user_agent;
    std::string headers;
    std::chrono::seconds pong_timeout{0};
    bool pong_required = true;
    std::chrono::milliseconds reconnect_timeout{0};
    std::chrono::milliseconds network_timeout{0};
    std::chrono::seconds ping_interval{0};
    Tls tls;
    bool verifies = false;  ///< There is a source of trust.
    TcpKeepalive keepalive;
    std::string interface;
    bool foreign_transport = false;

    // Of tern_esp_ext.h.
    Backoff backoff;
    std::size_t send_window = 64u << 10u;
    std::vector<std::function<void(Config&)>> extras;
    std::string bearer_token;

    [[nodiscard]] bool secure() const;
    /// Why it cannot be started here; empty: it can.
    [[nodiscard]] std::string obstacle() const;
    [[nodiscard]] Config config() const;
    /// `header_text`: the headers of this attempt.
    void prepare(Attempt& attempt, const std::string& header_text) const;

private:
    void take_tls(const esp_websocket_client_config_t& config);
    [[nodiscard]] std::string part(std::string UriParts::* member) const;
    [[nodiscard]] int port() const;
};

/// Lines of "name: value". False: one of them is not, or contains what a header must not.
bool parse_headers(std::string_view text, std::vector<Header>& headers);
[[nodiscard]] bool is_header(std::string_view name, std::string_view value);

}  // namespace tern::esp
