// Servers of the simulated world: what listens at an address, and how it treats each connection.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "link.hpp"
#include "reference_codec.hpp"
#include "schedule.hpp"
#include "tunnel.hpp"

namespace tern::sim {

class Peer;

struct Message {
    unsigned opcode = opcode::text;
    std::string payload;
    friend bool operator==(const Message&, const Message&) = default;
};

/// How a server behaves. The functions that are not set do nothing.
struct Behaviour {
    enum class Accept { yes, refuse, unreachable, black_hole };
    Accept accept = Accept::yes;
    Link up;                                                ///< Client to server.
    Link down;                                              ///< Server to client.
    std::function<void(Peer&)> on_request;                  ///< The request is complete.
    std::function<void(Peer&, const Frame&)> on_frame;      ///< Any frame, control frames too.
    std::function<void(Peer&, const Message&)> on_message;  ///< A message is complete.
    std::function<void(Peer&)> on_eof;                      ///< The client has ended its direction.
};

/// Upgrades, answers pings and Close frames, closes TCP as RFC 6455 section 7.1.1 wants it. Says nothing else.
Behaviour quiet();
/// As `quiet`, and sends every message back in one frame.
Behaviour echo();
/// Upgrades, and never says anything again: no pongs, no Close, no FIN.
Behaviour mute();
/// As `quiet`, and writes these bytes behind the upgrade response in the same write.
Behaviour saying(std::string bytes);
/// Answers every request with these bytes instead of an upgrade.
Behaviour answering(std::string response);
/// Answers pings and Close frames, and ends TCP behind a Close.
void answer_control(Peer& peer, const Frame& frame);

/// The server's end of one connection.
class Peer {
public:
    struct Received {
        TimePoint at;
        Frame frame;
    };

    Peer(Schedule& schedule, Wire& wire, const Behaviour& behaviour, std::size_t number);
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    // --- saying ---

    /// The 101, and more header lines, each with CRLF at its end.
    [[nodiscard]] std::string response(std::string_view more_headers = {}) const;
    void upgrade(std::string_view more_headers = {});
    void write(std::string_view bytes);
    void send(const Frame& frame);
    /// In fragments of `size` bytes; noted in `sent`.
    void send_message(unsigned opcode, std::string_view payload, std::size_t size = no_limit);
    /// FIN, behind what was written.
    void finish();
    void reset() { wire_.down.reset(); }
    /// Stops reading from the socket: a zero window after a while.
    void pause() { reading_ = false; }
    void resume();
    /// Something waits for room in the window.
    [[nodiscard]] bool writing() const { return sent_ < outgoing_.size() && !wire_.down.ended(); }
    /// TLS or a proxy that the client came through.
    [[nodiscard]] const Tunnel& tunnel() const { return tunnel_; }
    [[nodiscard]] Wire& wire() { return wire_; }
    [[nodiscard]] Schedule& schedule() { return schedule_; }

    // --- what was heard ---

    std::size_t number;  ///< Of the world's connections, from 0; stands in the 101 as X-Peer.
    Request request;
    bool requested = false;
    bool upgraded = false;
    std::vector<Received> frames;
    std::vector<Message> messages;  ///< Complete ones.
    std::vector<Message> sent;
    std::vector<std::string> pings_sent;
    bool eof = false;
    TimePoint eof_at;
    bool was_reset = false;
    bool close_received = false;
    bool close_sent = false;

    /// The frames with that opcode.
    [[nodiscard]] std::vector<Frame> received(unsigned opcode) const;

    Behaviour behaviour;

private:
    void on_readable();
    void take_frames();
    void judge(const Frame& frame);
    void flush();

    Schedule& schedule_;
    Wire& wire_;
    std::string head_;
    Tunnel tunnel_;
    FrameReader reader_;
    bool offended_ = false;
    Message message_;
    bool in_message_ = false;
    std::string outgoing_;
    std::size_t sent_ = 0;  ///< Of it.
    bool finishing_ = false;
    bool reading_ = true;
};

/// What listens at one address.
class Server {
public:
    Server(Address where, Behaviour how) : address(where), behaviour(std::move(how)) {}

    Address address;
    Behaviour behaviour;  ///< Of connections to come.
    std::vector<Peer*> peers;
    std::vector<TimePoint> attempts;  ///< When somebody tried to connect.

    /// The newest connection. There must be one.
    [[nodiscard]] Peer& last() const { return *peers.back(); }
};

}  // namespace tern::sim
