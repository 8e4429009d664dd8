// A raw TCP server on loopback that does to a client whatever a script says. Its codec is its own.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace tern::interop {

/// A frame that a client sent.
struct ClientFrame {
    bool fin = false;
    unsigned rsv = 0;
    unsigned opcode = 0;
    bool masked = false;
    bool minimal = false;  ///< Its length is encoded in the fewest bytes.
    std::string key;
    std::string payload;  ///< Unmasked.

    /// The code of a Close frame; empty if it has none.
    [[nodiscard]] std::optional<unsigned> close_code() const;
};

/// A frame as a server writes it, or as no server should.
std::string frame(unsigned opcode, std::string_view payload, bool fin = true, unsigned rsv = 0);
/// Takes a whole frame from the front, off its mask. Nothing: it is not all there yet.
std::optional<ClientFrame> take_frame(std::string& bytes);
std::string close_frame(unsigned code, std::string_view reason = {});

/// One connection, seen from the server's side. Reading gives up after ten seconds, so that no script outlives its
/// test.
class Peer {
public:
    /// `ending`: the test is over, there is nothing to wait for any more.
    Peer(int descriptor, const std::atomic<bool>& ending) : descriptor_(descriptor), ending_(ending) {}
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;
    ~Peer();

    /// False if the client has gone.
    bool send(std::string_view bytes);
    /// The upgrade request, up to the blank line; empty if the client has gone.
    std::string read_request();
    /// The right answer to a request; `extra`: more header lines, each with CRLF.
    static std::string accept(std::string_view request, std::string_view extra = {});
    static std::string accept_value(std::string_view request);
    /// Reads the request and accepts it.
    bool upgrade();
    /// The next frame; empty if the client has gone.
    std::optional<ClientFrame> read_frame();
    /// Reads whatever comes next. False if the client has gone.
    bool read_some() { return fill(); }
    /// Reads until the client has gone, and drops what it says.
    void drain();
    /// Waits until the client has gone, or the test is over, without reading what it says.
    void hold();
    void half_close() const;
    /// Ends with a reset instead of a FIN.
    void reset();

private:
    bool fill();

    int descriptor_;
    const std::atomic<bool>& ending_;
    std::string in_;
};

/// Listens on a free port and runs the script for each connection, on a thread of its own. The destructor waits for all
/// scripts, which end when their clients are gone.
class ScriptedServer {
public:
    explicit ScriptedServer(std::function<void(Peer&)> script);
    ScriptedServer(const ScriptedServer&) = delete;
    ScriptedServer& operator=(const ScriptedServer&) = delete;
    ~ScriptedServer();

    [[nodiscard]] std::uint16_t port() const { return port_; }
    [[nodiscard]] std::string url(std::string_view path = "/") const;
    /// "127.0.0.1:PORT", as errors name it.
    [[nodiscard]] std::string name() const;

private:
    void run();

    std::function<void(Peer&)> script_;
    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::thread thread_;
    std::vector<std::thread> scripts_;
    std::atomic<bool> ending_ = false;
};

}  // namespace tern::interop
