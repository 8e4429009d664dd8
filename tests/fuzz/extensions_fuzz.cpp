// The judgement of Sec-WebSocket-Extensions and of Location: whatever a server writes there ends in an agreement that
// was offered, in a URL that can be used, or in an error.
#include "extensions.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "redirect.hpp"
#include "url.hpp"

using namespace tern;
using namespace tern::core;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

void judge(const std::string& text, const Compression& config) {
    CompressionInfo agreed;
    const Error error = judge_extensions({{"Sec-WebSocket-Extensions", text}}, config, agreed);
    if (error) return;
    if (!agreed.active) return;
    require(config.enabled);
    require(agreed.client_window_bits >= 9 && agreed.client_window_bits <= 15);
    require(agreed.server_window_bits >= 8 && agreed.server_window_bits <= 15);
    bool fits = false;
    for (const CompressionOffer& offer : config.offers) {
        fits = fits || (agreed.client_window_bits <= offer.client_window_bits &&
                        agreed.server_window_bits <= offer.server_window_bits &&
                        (offer.server_context_takeover || !agreed.server_context_takeover));
    }
    require(fits);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    judge(text, {});
    judge(text, {.enabled = false});
    judge(text, {.offers = {{.server_context_takeover = false, .server_window_bits = 10}, {.client_window_bits = 9}}});

    Url base;
    if (parse_url("ws://host.example/a/b?c", base)) return 0;
    Error refusal(Errc::upgrade_refused, Phase::upgrade);
    refusal.response.status = 302;
    refusal.response.headers = {{"Location", text}};
    Url target;
    if (resolve_redirect(base, refusal, target)) return 0;
    require(!target.host.empty() && target.port != 0);
    require(target.target.find_first_of("\r\n ") == std::string::npos);
    Url again;
    require(!parse_url(target.text(), again));
    return 0;
}
