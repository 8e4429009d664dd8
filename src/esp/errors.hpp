// tern's errors in Espressif's words.
#pragma once

#include <tern/error.hpp>

#include "esp_websocket_client.h"

namespace tern::esp {

/// All but the status of the handshake, which belongs to the attempt.
[[nodiscard]] esp_websocket_error_codes_t error_codes(const Error& error);

}  // namespace tern::esp
