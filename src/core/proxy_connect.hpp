// A tunnel through an HTTP proxy: CONNECT (RFC 9110 section 9.3.6).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <tern/config.hpp>
#include <tern/core.hpp>

#include "handshaker.hpp"
#include "http_body.hpp"
#include "http_head.hpp"
#include "proxy_url.hpp"
#include "url.hpp"

namespace tern::core {

class ProxyConnect final : public Handshaker {
public:
    /// A tunnel to the URL's host and port. The references outlive the handshake.
    ProxyConnect(const Config& config, const ProxyUrl& proxy, const Url& url, Crypto& crypto);

    Status advance(Buffer& in, std::string& out) override;
    Status on_eof() override;
    Status on_deadline() override;
    [[nodiscard]] const Error& error() const override { return error_; }

private:
    enum class Stage : std::uint8_t { request, head, body, done, failed };

    void write_request(std::string& out);
    void take_head();
    void refuse();
    Status end(Errc code_without_head);
    void fail(Error error);
    [[nodiscard]] Status status() const noexcept;

    const Config& config_;
    const ProxyUrl& proxy_;
    const Url& url_;
    Crypto& crypto_;
    Stage stage_ = Stage::request;
    std::size_t interim_ = 0;  ///< Interim responses so far.
    std::optional<HttpHeadParser> parser_;
    std::optional<HttpBodyReader> body_;
    Error error_;
};

}  // namespace tern::core
