#include "upgrade.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "extensions.hpp"
#include "http_refusal.hpp"
#include "quote.hpp"
#include "redirect.hpp"

namespace tern::core {
namespace {

/// RFC 6455 section 1.3.
constexpr std::string_view guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr std::size_t key_size = 16;
/// RFC 9110 section 15.2 sets no limit to interim responses; nobody needs that many.
constexpr std::size_t max_interim = 8;
/// In the detail of an error.
constexpr std::size_t max_shown = 200;

Error fault(Errc code, std::string detail) { return {code, Phase::upgrade, std::move(detail)}; }
Error misuse(Errc code, std::string detail) { return {code, Phase::none, std::move(detail)}; }

// --- the configuration ---------------------------------------------------------------------------------------------

/// Headers that the handshake sets, or that would say that the request has a body.
bool is_reserved(std::string_view name, const Config& config) {
    constexpr std::string_view prefix = "Sec-WebSocket-";
    if (iequals(name.substr(0, prefix.size()), prefix)) return true;
    if (iequals(name, "Origin")) return !config.origin.empty();
    constexpr std::string_view names[] = {"Host", "Upgrade", "Connection", "Content-Length", "Transfer-Encoding"};
    return std::any_of(std::begin(names), std::end(names),
                       [&](std::string_view other) { return iequals(name, other); });
}

/// The value may be a secret and is not shown.
Error check_header(const Header& header, const Config& config) {
    if (!is_token(header.name))
        return misuse(Errc::invalid_header, "the name " + quoted(header.name) + " is not a token");
    if (!is_field_value(header.value)) {
        return misuse(Errc::invalid_header, "the value of " + quoted(header.name) + " contains a control character");
    }
    if (is_reserved(header.name, config)) return misuse(Errc::reserved_header, quoted(header.name));
    return {};
}

bool has_header(const Config& config, std::string_view name) { return count_fields(config.headers, name) != 0; }

// --- the answer ----------------------------------------------------------------------------------------------------

/// All values of the fields of that name, to be shown.
std::string values(const HttpHead& head, std::string_view name) {
    std::string all;
    for (const Header& field : head.fields) {
        if (!iequals(field.name, name)) continue;
        if (!all.empty()) all += ", ";
        all += field.value.substr(0, max_shown);
        if (all.size() > max_shown) break;
    }
    return all;
}

std::string expected_and_received(std::string_view expected, const HttpHead& head, std::string_view name) {
    const bool present = count_fields(head.fields, name) != 0;
    return "expected " + quoted(expected) + " in " + std::string(name) + ", received " +
           (present ? quoted(values(head, name), max_shown) : "no such header");
}

Error check_upgrade(const HttpHead& head) {
    if (!has_token(head.fields, "Upgrade", "websocket")) {
        return fault(Errc::upgrade_header, expected_and_received("websocket", head, "Upgrade"));
    }
    if (!has_token(head.fields, "Connection", "upgrade")) {
        return fault(Errc::connection_header, expected_and_received("Upgrade", head, "Connection"));
    }
    return {};
}

Error check_accept(const HttpHead& head, std::string_view expected) {
    constexpr std::string_view name = "Sec-WebSocket-Accept";
    const std::size_t count = count_fields(head.fields, name);
    if (count == 0) return fault(Errc::accept_missing, expected_and_received(expected, head, name));
    if (count > 1)
        return fault(Errc::duplicate_header, std::string(name) + ": " + quoted(values(head, name), max_shown));
    const auto field = std::find_if(head.fields.begin(), head.fields.end(),
                                    [&](const Header& other) { return iequals(other.name, name); });
    if (field->value != expected) return fault(Errc::accept_mismatch, expected_and_received(expected, head, name));
    return {};
}

/// Unlike in the request it is a single token (RFC 6455 section 11.3.4), and case matters (section 4.1).
Error check_subprotocol(const HttpHead& head, const Config& config, std::string& chosen) {
    constexpr std::string_view name = "Sec-WebSocket-Protocol";
    const std::size_t count = count_fields(head.fields, name);
    if (count == 0) return {};
    const auto field = std::find_if(head.fields.begin(), head.fields.end(),
                                    [&](const Header& other) { return iequals(other.name, name); });
    std::string_view list = field->value;
    std::string_view element;
    const bool several = next_element(list, element) && next_element(list, element);
    if (count > 1 || several) {
        return fault(Errc::duplicate_header, std::string(name) + ": " + quoted(values(head, name), max_shown));
    }
    const auto& offered = config.subprotocols;
    if (!config.accept_any_subprotocol && std::find(offered.begin(), offered.end(), field->value) == offered.end()) {
        std::string all;
        for (const std::string& one : offered) all += (all.empty() ? "" : ", ") + one;
        return fault(Errc::subprotocol_not_offered, "expected " +
                                                        (all.empty() ? "none" : "one of " + quoted(all, max_shown)) +
                                                        ", received " + quoted(field->value, max_shown));
    }
    chosen = field->value;
    return {};
}

}  // namespace

Error check_upgrade_config(const Config& config) {
    for (const Header& header : config.headers) {
        if (Error error = check_header(header, config)) return error;
    }
    if (!is_field_value(config.origin)) return misuse(Errc::invalid_header, "origin contains a control character");
    if (!is_field_value(config.bearer_token)) {
        return misuse(Errc::invalid_header, "bearer_token contains a control character");
    }
    // RFC 7617 section 2: the first colon ends the user name.
    if (config.user.find(':') != config.user.npos) return misuse(Errc::invalid_header, "user contains a colon");
    for (auto it = config.subprotocols.begin(); it != config.subprotocols.end(); ++it) {
        if (!is_token(*it)) return misuse(Errc::invalid_subprotocol, quoted(*it) + " is not a token");
        if (std::find(config.subprotocols.begin(), it, *it) != it) {
            return misuse(Errc::invalid_subprotocol, quoted(*it) + " is given twice");
        }
    }
    return {};
}

Upgrade::Upgrade(const Config& config, const Url& url, Crypto& crypto, bool foreign)
    : config_(config), url_(url), crypto_(crypto), foreign_(foreign) {
    parser_.emplace(config_.limits.max_head_size, config_.limits.max_head_fields);
}

Handshaker::Status Upgrade::advance(Buffer& in, std::string& out) {
    if (stage_ == Stage::request) write_request(out);
    while (stage_ == Stage::head && !in.empty()) {
        const auto parsed = parser_->advance(in);
        if (parsed == HttpHeadParser::Status::failed) fail(Error(parser_->error()));
        if (parsed == HttpHeadParser::Status::done) take_head();
    }
    if (stage_ == Stage::body) {
        body_->advance(in);
        if (body_->finished()) refuse();
    }
    return status();
}

Handshaker::Status Upgrade::on_eof() { return end(Errc::upgrade_eof); }
Handshaker::Status Upgrade::on_deadline() { return end(Errc::upgrade_timeout); }

/// RFC 6455 section 4.1, second half, and section 10.5 for Authorization.
void Upgrade::write_request(std::string& out) {
    std::array<std::byte, key_size> nonce{};
    if (!crypto_.random_bytes(nonce)) return fail(fault(Errc::no_entropy, "for Sec-WebSocket-Key"));
    key_ = crypto_.base64(nonce);

    const auto add = [&](std::string_view name, std::string_view value) {
        out.append(name).append(": ").append(value).append("\r\n");
    };
    out.reserve(out.size() + 256);  // enough for most
    out.append("GET ").append(url_.target).append(" HTTP/1.1\r\n");
    add("Host", url_.host_header());
    out.append("Upgrade: websocket\r\nConnection: Upgrade\r\n");
    add("Sec-WebSocket-Key", key_);
    out.append("Sec-WebSocket-Version: 13\r\n");
    std::string subprotocols;
    for (const std::string& one : config_.subprotocols) subprotocols += (subprotocols.empty() ? "" : ", ") + one;
    if (!subprotocols.empty()) add("Sec-WebSocket-Protocol", subprotocols);
    if (const std::string offers = extension_offers(config_.compression); !offers.empty()) {
        add("Sec-WebSocket-Extensions", offers);
    }
    if (!config_.origin.empty()) add("Origin", config_.origin);
    if (const std::string value = authorization(); !value.empty()) add("Authorization", value);
    if (!has_header(config_, "User-Agent")) add("User-Agent", "tern");
    for (const Header& header : config_.headers) {
        const bool personal = iequals(header.name, "Authorization") || iequals(header.name, "Cookie") ||
                              iequals(header.name, "Proxy-Authorization");
        if (!foreign_ || !personal) add(header.name, header.value);
    }
    out.append("\r\n");
    request_ = out;
    stage_ = Stage::head;
}

/// The configured credentials are for the configured origin; those of a URL are for that URL.
std::string Upgrade::authorization() const {
    const auto basic = [&](const std::string& user, const std::string& password) {
        return "Basic " + crypto_.base64(as_bytes(user + ':' + password));
    };
    if (!foreign_) {
        if (has_header(config_, "Authorization")) return {};
        if (!config_.bearer_token.empty()) return "Bearer " + config_.bearer_token;
        if (!config_.user.empty() || !config_.password.empty()) return basic(config_.user, config_.password);
    }
    return url_.has_user_info ? basic(url_.user, url_.password) : std::string();
}

void Upgrade::take_head() {
    HttpHead& head = parser_->head();
    if (head.status == 101) return judge(head);
    if (head.status >= 200) return expect_body(head);
    // RFC 9110 section 15.2: interim responses that were not asked for are ignored.
    if (++interim_ > max_interim) {
        return fail(fault(Errc::response_malformed, "more than " + std::to_string(max_interim) + " interim responses"));
    }
    parser_.emplace(config_.limits.max_head_size, config_.limits.max_head_fields);
}

Error Upgrade::check_answer(const HttpHead& head, Handshake& result) const {
    if (Error error = check_upgrade(head)) return error;
    std::string digested;
    digested.reserve(key_.size() + guid.size());
    digested.append(key_).append(guid);
    if (Error error = check_accept(head, crypto_.base64(crypto_.sha1(as_bytes(digested))))) return error;
    if (Error error = judge_extensions(head.fields, config_.compression, result.compression)) return error;
    return check_subprotocol(head, config_, result.subprotocol);
}

void Upgrade::judge(HttpHead& head) {
    auto result = std::make_unique<Handshake>();
    if (Error error = check_answer(head, *result)) {
        error.response = {head.status, std::move(head.reason), std::move(head.fields), {}};
        return fail(std::move(error));
    }
    result->request = std::move(request_);
    result->response.status = head.status;
    result->response.reason = std::move(head.reason);
    result->response.headers = std::move(head.fields);
    result_ = std::move(result);
    stage_ = Stage::done;
}

void Upgrade::expect_body(HttpHead& head) {
    // Nobody looks at the body of a redirect that is followed, and a server may leave its end open.
    const bool followed = config_.max_redirects != 0 && is_redirect_status(head.status);
    body_.emplace(head, followed ? 0 : config_.limits.max_error_body);
    Response& response = error_.emplace().response;
    response.status = head.status;
    response.reason = std::move(head.reason);
    response.headers = std::move(head.fields);
    stage_ = Stage::body;
}

void Upgrade::refuse() {
    Error error = fault(Errc::upgrade_refused, refusal_detail(error_->response));
    error.response = std::move(error_->response);
    error.response.body = std::move(body_->body());
    fail(std::move(error));
}

/// The end of the stream and the deadline decide alike: a status is an answer, whatever is missing of its body.
Handshaker::Status Upgrade::end(Errc code_without_head) {
    if (stage_ == Stage::body) refuse();
    if (stage_ == Stage::request || stage_ == Stage::head) fail(fault(code_without_head, progress()));
    return status();
}

void Upgrade::fail(Error&& error) {
    error_ = std::move(error);
    stage_ = Stage::failed;
}

/// How much of the answer had arrived.
std::string Upgrade::progress() {
    std::string text;
    if (interim_ != 0)
        text = std::to_string(interim_) + (interim_ == 1 ? " interim response" : " interim responses") + ", then ";
    const std::size_t received = parser_->received();
    if (received == 0) return text + "nothing of the answer had arrived";
    text += std::to_string(received) + " bytes of the answer's head had arrived";
    const HttpHead& head = parser_->head();
    if (head.status != 0) text += " (" + std::to_string(head.status) + ' ' + escaped(head.reason) + ')';
    return text;
}

Handshaker::Status Upgrade::status() const noexcept {
    if (stage_ == Stage::failed) return Status::failed;
    return stage_ == Stage::done ? Status::done : Status::need_input;
}

}  // namespace tern::core
