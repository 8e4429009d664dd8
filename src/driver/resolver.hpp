// Names to addresses without blocking the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tern/core.hpp>

#include "engine.hpp"
#include "lookup_pool.hpp"

namespace tern::driver {

struct Lookup {
    std::vector<Address> addresses;
    Error error;
};
using Resolved = std::function<void(const Lookup&)>;

/// What is known without asking anybody: the addresses of the configuration, or of a literal. An error if nothing is.
/// Does not block.
[[nodiscard]] Lookup known_addresses(const Config& config, const std::string& host, std::uint16_t port);

/// Looks the name up and posts the answer to the loop. Asio's own resolver is not used: its thread is joined when the
/// loop is destroyed, so that a slow name server would hold up the end of the client. Here a few threads that nobody
/// waits for do it for all clients (`lookup_pool`); an answer that comes too late is dropped, and a lookup that has not
/// begun when the ticket goes never begins. `config` says which addresses are wanted.
[[nodiscard]] LookupPool::Ticket resolve(Engine& engine, const Config& config, const std::string& host,
                                         std::uint16_t port, Resolved resolved);

}  // namespace tern::driver
