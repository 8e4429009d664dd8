// The upgrade of a connection from HTTP/1.1 to WebSocket: the request, and the judgement of the answer (RFC 6455
// section 4.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <tern/config.hpp>
#include <tern/core.hpp>
#include <tern/error.hpp>
#include <tern/message.hpp>

#include "handshaker.hpp"
#include "http_body.hpp"
#include "http_head.hpp"
#include "rare.hpp"
#include "url.hpp"

namespace tern::core {

/// What of the configuration goes into the request: `invalid_header`, `reserved_header` or `invalid_subprotocol`.
[[nodiscard]] Error check_upgrade_config(const Config& config);

class Upgrade final : public Handshaker {
public:
    /// The references outlive the handshake; the configuration has passed `check_upgrade_config`.
    /// `foreign`: the user's URL was redirected to another origin, which does not get the user's credentials and
    /// cookies.
    Upgrade(const Config& config, const Url& url, Crypto& crypto, bool foreign = false);

    Status advance(Buffer& in, std::string& out) override;
    Status on_eof() override;
    Status on_deadline() override;
    [[nodiscard]] const Error& error() const override { return error_.view(); }
    /// The 101 and what was agreed on, when done, and once. `peer` is filled in by the caller.
    [[nodiscard]] std::unique_ptr<Handshake> take_result() noexcept { return std::move(result_); }

private:
    enum class Stage : std::uint8_t { request, head, body, done, failed };

    void write_request(std::string& out);
    [[nodiscard]] std::string authorization() const;
    void take_head();
    void judge(HttpHead& head);
    [[nodiscard]] Error check_answer(const HttpHead& head, Handshake& result) const;
    void expect_body(HttpHead& head);
    void refuse();
    Status end(Errc code_without_head);
    void fail(Error&& error);
    [[nodiscard]] std::string progress();
    [[nodiscard]] Status status() const noexcept;

    const Config& config_;
    const Url& url_;
    Crypto& crypto_;
    const bool foreign_;
    Stage stage_ = Stage::request;
    std::string key_;
    std::optional<HttpHeadParser> parser_;
    std::size_t interim_ = 0;  ///< Interim responses so far.
    std::optional<HttpBodyReader> body_;
    std::string request_;
    Rare<Error> error_;
    std::unique_ptr<Handshake> result_;
};

}  // namespace tern::core
