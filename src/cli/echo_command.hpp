// `tern echo`: a server for trials. It is built on Boost.Beast, so that it is an independent peer and not our own codec
// talking to itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace tern::cli {

struct EchoOptions {
    std::string host = "127.0.0.1";
    std::uint16_t port = 9001;  ///< 0: a free one.
    std::string subprotocol;    ///< Chosen if the client offers it.
    std::size_t fragment = 0;   ///< Answer in fragments of this size; 0: in one frame.
    bool compress = true;       ///< Agree to compression (permessage-deflate).
    std::string certificate;    ///< File of the chain, PEM; with one it serves wss.
    std::string key;            ///< File of its key, if it is another one.
};

/// Says where it listens, and serves until SIGINT or SIGTERM. Returns the exit code.
int echo(const EchoOptions& options);

}  // namespace tern::cli
