// Extensions in the handshake (RFC 6455 section 9.1): tern knows one, permessage-deflate (RFC 7692 section 7.1). What
// is offered, and the judgement of what the server made of it.
#pragma once

#include <string>
#include <vector>

#include <tern/config.hpp>
#include <tern/error.hpp>
#include <tern/message.hpp>

namespace tern::core {

/// `invalid_config`, without a phase.
[[nodiscard]] Error check_compression(const Compression& config);

/// The value of Sec-WebSocket-Extensions; empty: nothing is offered.
[[nodiscard]] std::string extension_offers(const Compression& config);

/// What the header fields of the answer choose. An error has the phase `upgrade`.
[[nodiscard]] Error judge_extensions(const std::vector<Header>& fields, const Compression& config,
                                     CompressionInfo& agreed);

}  // namespace tern::core
