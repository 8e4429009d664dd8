// A scripted server in a simulated world.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <tern/config.hpp>
#include <tern/message.hpp>
#include <tern/testing/network.hpp>

namespace tern::sim {
class Peer;
class Server;
}  // namespace tern::sim

namespace tern::testing {

/// The server's end of one connection. A handle that may be copied; valid as long as the world.
class Connection {
public:
    explicit Connection(sim::Peer& peer) noexcept : peer_(&peer) {}

    // --- what the server says; it leaves at once, and arrives after the link's delay ---

    /// Answers the request with 101.
    void accept(const std::vector<Header>& headers = {});
    /// Answers it with another status. Follow with `finish` to end TCP too.
    void refuse(int status, const std::vector<Header>& headers = {}, std::string_view body = {});
    void send_text(std::string_view text);
    void send_binary(std::string_view bytes);
    void ping(std::string_view payload = {});
    /// A Close frame; TCP ends when the client has answered.
    void close(CloseCode code = CloseCode::normal, std::string_view reason = {});
    /// These very bytes, for all that a server should not say.
    void write(std::string_view bytes);
    /// FIN: the server has nothing more to say.
    void finish();
    /// RST.
    void reset();
    /// Nothing passes in either direction, as if the cable was cut, until `resume`.
    void stall();
    /// Stops reading, so that the client's window fills up, until `resume`.
    void pause();
    void resume();

    // --- what it has heard ---

    /// Counts the world's TCP connections, from 0.
    [[nodiscard]] std::size_t number() const;
    /// "/path?query" of the request; empty before it has come.
    [[nodiscard]] std::string target() const;
    /// A header of the request; empty if there is none.
    [[nodiscard]] std::string header(std::string_view name) const;
    /// Whole text and binary messages, in their order.
    [[nodiscard]] std::vector<std::string> messages() const;
    /// The code of the client's Close frame; `abnormal` if none has come.
    [[nodiscard]] CloseCode close_code() const;
    /// Neither side has ended it.
    [[nodiscard]] bool open() const;

private:
    sim::Peer* peer_;
};

/// What a server does with each connection. What is not set is done as a good server does it.
struct Script {
    std::function<void(Connection)> on_request;                             ///< Otherwise: `accept`.
    std::function<void(Connection, Opcode, std::string_view)> on_message;   ///< A whole message. Otherwise: nothing.
    std::function<void(Connection, std::string_view payload)> on_ping;      ///< Otherwise: a pong.
    std::function<void(Connection, CloseCode, std::string_view)> on_close;  ///< Otherwise: a Close and FIN.
};

/// Sends every message back.
[[nodiscard]] Script echo();

/// What listens at a host and port. Change it at any time: it counts for connections to come.
class Server {
public:
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    enum class Accept : std::uint8_t { yes, refuse, unreachable, black_hole };

    void script(Script script);
    void accept(Accept how);
    /// Both ways of connections to come: from the client to the server, and back.
    void links(const Link& up, const Link& down);

    /// Connections that were accepted, the oldest first.
    [[nodiscard]] std::vector<Connection> connections() const;
    /// The newest. There must be one.
    [[nodiscard]] Connection last() const;
    /// When somebody tried to connect, with success or without.
    [[nodiscard]] const std::vector<TimePoint>& attempts() const;

private:
    friend class World;
    explicit Server(sim::Server& server) noexcept : server_(server) {}

    sim::Server& server_;
};

}  // namespace tern::testing
