#include "proxy_connect.hpp"

#include <utility>

#include "http_refusal.hpp"

namespace tern::core {
namespace {

/// As in the upgrade: more interim responses than that nobody needs.
constexpr std::size_t max_interim = 8;

Error fault(Errc code, std::string detail) { return {code, Phase::proxy, std::move(detail)}; }

}  // namespace

ProxyConnect::ProxyConnect(const Config& config, const ProxyUrl& proxy, const Url& url, Crypto& crypto)
    : config_(config), proxy_(proxy), url_(url), crypto_(crypto) {
    parser_.emplace(config_.limits.max_head_size, config_.limits.max_head_fields, true);
}

Handshaker::Status ProxyConnect::advance(Buffer& in, std::string& out) {
    if (stage_ == Stage::request) write_request(out);
    while (stage_ == Stage::head && !in.empty()) {
        const auto parsed = parser_->advance(in);
        if (parsed == HttpHeadParser::Status::done) take_head();
        if (parsed != HttpHeadParser::Status::failed) continue;
        // A limit keeps its own error; everything else is the proxy's.
        const Error& error = parser_->error();
        const bool limit = error == Condition::limit_exceeded;
        fail(fault(limit ? error.errc() : Errc::proxy_malformed,
                   (limit ? "" : error.code.message() + ": ") + error.detail));
    }
    if (stage_ == Stage::body) {
        body_->advance(in);
        if (body_->finished()) refuse();
    }
    return status();
}

Handshaker::Status ProxyConnect::on_eof() { return end(Errc::proxy_eof); }
Handshaker::Status ProxyConnect::on_deadline() { return end(Errc::proxy_timeout); }

/// RFC 9112 section 3.2.3: the target is host and port, whatever the port is.
void ProxyConnect::write_request(std::string& out) {
    const std::string target = url_.authority();
    out += "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\nUser-Agent: tern\r\n";
    if (proxy_.has_user_info) {
        const std::string credentials = proxy_.user + ':' + proxy_.password;
        out += "Proxy-Authorization: Basic " + crypto_.base64(as_bytes(credentials)) + "\r\n";
    }
    out += "\r\n";
    stage_ = Stage::head;
}

/// A body of a successful answer does not exist, whatever its headers say (RFC 9110 section 9.3.6).
void ProxyConnect::take_head() {
    HttpHead& head = parser_->head();
    if (head.status >= 200 && head.status < 300) {
        stage_ = Stage::done;
    } else if (head.status >= 300) {
        body_.emplace(head, config_.limits.max_error_body);
        error_.response.status = head.status;
        error_.response.reason = std::move(head.reason);
        error_.response.headers = std::move(head.fields);
        stage_ = Stage::body;
    } else if (head.status == 101 || ++interim_ > max_interim) {
        fail(fault(Errc::proxy_malformed, "the interim response " + std::to_string(head.status)));
    } else {
        parser_.emplace(config_.limits.max_head_size, config_.limits.max_head_fields, true);
    }
}

void ProxyConnect::refuse() {
    // 401 is for servers, but tinyproxy says it about a wrong password.
    const bool credentials = error_.response.status == 407 || error_.response.status == 401;
    std::string detail = refusal_detail(error_.response);
    if (credentials)
        detail += proxy_.has_user_info ? "; it did not accept the user and password of the proxy's URL"
                                       : "; the proxy's URL has no user and password";
    Error error = fault(credentials ? Errc::proxy_authentication : Errc::proxy_refused, std::move(detail));
    error.response = std::move(error_.response);
    error.response.body = std::move(body_->body());
    fail(std::move(error));
}

Handshaker::Status ProxyConnect::end(Errc code_without_head) {
    if (stage_ == Stage::body) refuse();
    if (stage_ == Stage::request || stage_ == Stage::head) {
        fail(fault(code_without_head, std::to_string(parser_->received()) + " bytes of its answer had arrived"));
    }
    return status();
}

void ProxyConnect::fail(Error error) {
    error_ = std::move(error);
    stage_ = Stage::failed;
}

Handshaker::Status ProxyConnect::status() const noexcept {
    if (stage_ == Stage::failed) return Status::failed;
    return stage_ == Stage::done ? Status::done : Status::need_input;
}

}  // namespace tern::core
