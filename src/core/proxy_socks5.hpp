// A connection through a SOCKS5 proxy (RFC 1928), with user and password if the proxy's URL has them (RFC 1929).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <tern/core.hpp>

#include "handshaker.hpp"
#include "proxy_url.hpp"
#include "url.hpp"

namespace tern::core {

class ProxySocks5 final : public Handshaker {
public:
    /// To the URL's host and port. `address`: the host's, resolved here; without one the proxy gets the name. The
    /// references outlive the handshake.
    ProxySocks5(const ProxyUrl& proxy, const Url& url, const std::optional<Address>& address);

    Status advance(Buffer& in, std::string& out) override;
    Status on_eof() override;
    Status on_deadline() override;
    [[nodiscard]] const Error& error() const override { return error_; }

private:
    enum class Stage : std::uint8_t { greeting, method, credentials, reply, done, failed };

    bool check();
    void greet(std::string& out);
    bool take_method(Buffer& in, std::string& out);
    bool take_verdict(Buffer& in, std::string& out);
    bool take_reply(Buffer& in);
    void request(std::string& out);
    bool fail(Errc code, std::string detail);
    Status end(Errc code);
    [[nodiscard]] Status status() const noexcept;

    const ProxyUrl& proxy_;
    const Url& url_;
    const std::optional<Address>& address_;
    Stage stage_ = Stage::greeting;
    Error error_;
};

}  // namespace tern::core
