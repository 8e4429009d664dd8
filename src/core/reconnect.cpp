#include "reconnect.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace tern::core {
namespace {

/// Uniform in [-1, 1]; 0 if there is no entropy, because a delay without jitter is better than none.
double random_unit(Crypto& random) {
    std::array<std::byte, 4> bytes{};
    if (!random.random_bytes(bytes)) return 0;
    std::uint32_t number = 0;
    for (const std::byte byte : bytes) number = number << 8u | std::to_integer<std::uint32_t>(byte);
    return static_cast<double>(number) / 2147483647.5 - 1.0;
}

/// A refusal says by its status whether asking the same again can help: 3xx and 4xx blame the request, apart from those
/// that pass with time.
bool worth_retrying(const Error& error) {
    const ErrorRow* row = error_row(error.errc());
    if (row == nullptr || !row->retry) return false;
    const int status = error.response.status;
    return status < 300 || status >= 500 || status == 408 || status == 425 || status == 429;
}

}  // namespace

std::optional<std::chrono::milliseconds> ReconnectPolicy::decide(const Error& error, Crypto& random) const {
    if (!config_->enabled || !worth_retrying(error)) return std::nullopt;
    if (config_->max_attempts != 0 && attempts_ >= config_->max_attempts) return std::nullopt;
    const double factor = 1.0 + config_->jitter * random_unit(random);
    return std::chrono::milliseconds(static_cast<std::int64_t>(static_cast<double>(config_->delay.count()) * factor));
}

}  // namespace tern::core
