#include "proxy_rules.hpp"

#include <charconv>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <uriparser/Uri.h>

#include "http_head.hpp"

namespace tern::core {
namespace {

using AddressBytes = std::vector<std::uint8_t>;

std::string_view without_brackets(std::string_view text) {
    return text.size() >= 2 && text.front() == '[' && text.back() == ']' ? text.substr(1, text.size() - 2) : text;
}

/// 4 or 16 bytes; none if the text is no address literal. The URL parser knows how to read one.
std::optional<AddressBytes> address_bytes(std::string_view text) {
    text = without_brackets(text);
    const bool ipv6 = text.find(':') != text.npos;
    const std::string url = ipv6 ? "ws://[" + std::string(text) + "]" : "ws://" + std::string(text);
    UriUriA uri{};
    const char* end = nullptr;
    std::optional<AddressBytes> bytes;
    if (uriParseSingleUriExA(&uri, url.data(), url.data() + url.size(), &end) == URI_SUCCESS) {
        if (uri.hostData.ip4 != nullptr) bytes = AddressBytes(uri.hostData.ip4->data, uri.hostData.ip4->data + 4);
        if (uri.hostData.ip6 != nullptr) bytes = AddressBytes(uri.hostData.ip6->data, uri.hostData.ip6->data + 16);
    }
    uriFreeUriMembersA(&uri);
    return bytes;
}

bool in_network(const AddressBytes& address, const AddressBytes& network, std::size_t bits) {
    if (address.size() != network.size() || bits > 8 * network.size()) return false;
    for (std::size_t i = 0; i < bits; ++i) {
        if ((address[i / 8] ^ network[i / 8]) >> (7 - i % 8) & 1) return false;
    }
    return true;
}

bool matches_address(std::string_view entry, const AddressBytes& host) {
    const std::size_t slash = entry.find('/');
    const auto network = address_bytes(entry.substr(0, slash));
    if (!network) return false;
    std::size_t bits = 8 * network->size();
    if (slash != entry.npos) {
        const std::string_view number = entry.substr(slash + 1);
        const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), bits);
        if (error != std::errc() || end != number.data() + number.size()) return false;
    }
    return in_network(host, *network, bits);
}

/// The name itself, or one below it; dots at its ends mean nothing.
bool matches_name(std::string_view entry, std::string_view host) {
    if (entry.starts_with('.')) entry.remove_prefix(1);
    if (entry.ends_with('.')) entry.remove_suffix(1);
    if (host.ends_with('.')) host.remove_suffix(1);
    if (entry.empty() || host.size() < entry.size()) return false;
    const std::size_t before = host.size() - entry.size();
    return iequals(host.substr(before), entry) && (before == 0 || host[before - 1] == '.');
}

}  // namespace

std::string choose_proxy(const ProxyEnvironment& environment, const Url& url) {
    if (bypasses_proxy(environment.no_proxy, url.host)) return {};
    const std::string& own = url.secure ? environment.wss_proxy : environment.ws_proxy;
    if (!own.empty()) return own;
    const std::string& http = url.secure ? environment.https_proxy : environment.http_proxy;
    return http.empty() ? environment.all_proxy : http;
}

bool bypasses_proxy(std::string_view list, std::string_view host) {
    if (list == "*") return true;
    const auto address = address_bytes(host);
    while (!list.empty()) {
        const std::size_t end = std::min(list.find_first_of(", \t"), list.size());
        const std::string_view entry = list.substr(0, end);
        list.remove_prefix(std::min(end + 1, list.size()));
        if (entry.empty()) continue;
        if (address ? matches_address(entry, *address) : matches_name(entry, host)) return true;
    }
    return false;
}

}  // namespace tern::core

namespace tern {

std::string proxy_for(const ProxyEnvironment& environment, std::string_view url) {
    core::Url parsed;
    if (core::parse_url(url, parsed)) return {};
    return core::choose_proxy(environment, parsed);
}

}  // namespace tern
