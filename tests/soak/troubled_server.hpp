// A server that misbehaves from a seed: it echoes, and then, or before, it does what servers and networks do on bad
// days.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

namespace tern::soak {

/// What it does to a connection, once, at a moment that the seed chooses.
enum class Trouble : std::uint8_t {
    none,          ///< Echoes until the client leaves.
    refuse,        ///< 404, 429 or 503 instead of the upgrade.
    wrong_accept,  ///< An answer to another key.
    silent,        ///< Never answers the upgrade.
    reset,         ///< RST, at any time.
    end,           ///< FIN without a Close.
    close,         ///< A Close: restart, going away, an error of its own.
    garbage,       ///< A frame that no server may send.
    stall,         ///< The first half of a frame, and nothing more.
    deaf,          ///< Reads nothing more.
    flood,         ///< Sends as fast as the client takes it.
    pings,         ///< The same with pings.
    too_large,     ///< A message over the client's limit.
};
constexpr std::size_t trouble_count = 13;

/// Any number of connections on one thread. Connections that the client offers TLS on are served by it.
class TroubledServer {
public:
    explicit TroubledServer(std::uint64_t seed);
    ~TroubledServer();
    TroubledServer(const TroubledServer&) = delete;
    TroubledServer& operator=(const TroubledServer&) = delete;

    [[nodiscard]] std::uint16_t port() const { return port_; }
    /// Ends all connections and waits until they are gone.
    void drop_all();
    /// How often each trouble was made.
    [[nodiscard]] std::uint64_t made(Trouble trouble) const { return made_[static_cast<std::size_t>(trouble)]; }
    [[nodiscard]] std::uint64_t accepted() const { return accepted_; }

private:
    class Connection;
    void run(std::uint64_t seed);

    int listener_ = -1;
    int wake_ = -1;
    std::uint16_t port_ = 0;
    std::atomic<bool> ending_ = false;
    std::atomic<bool> dropping_ = false;
    std::atomic<std::uint64_t> accepted_ = 0;
    std::array<std::atomic<std::uint64_t>, trouble_count> made_{};
    std::thread thread_;
};

}  // namespace tern::soak
