// What stands in front of a server, played by the same end of the connection: TLS that is none, and a proxy. It finds
// out by listening which of them the client wants.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tern::sim {

class Tunnel {
public:
    /// Takes what has arrived, and returns what of it is for the server. What is to be said at once is added to
    /// `reply`.
    std::string receive(std::string_view bytes, std::string& reply);
    /// What the server says, as it goes out.
    [[nodiscard]] std::string send(std::string_view plain) const;
    /// What is said in front of FIN.
    [[nodiscard]] std::string farewell() const { return secure() ? "c" : ""; }

    [[nodiscard]] bool secure() const noexcept { return stage_ == Stage::records; }
    [[nodiscard]] bool through_proxy() const noexcept { return proxied_; }
    /// What the client did wrong; empty if nothing.
    [[nodiscard]] const std::string& offence() const noexcept { return offence_; }

private:
    enum class Stage : std::uint8_t { unknown, socks, plain, records, broken };

    bool advance(std::string& reply);
    bool read_connect(std::string& reply);
    bool read_socks(std::string& reply);
    bool stop(const char* offence);
    bool go_on_behind(std::size_t size);

    Stage stage_ = Stage::unknown;
    bool proxied_ = false;
    std::string in_;
    std::string offence_;
};

}  // namespace tern::sim
