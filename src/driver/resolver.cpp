#include "resolver.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <memory>
#include <netdb.h>
#include <new>
#include <system_error>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "engine.hpp"

namespace tern::driver {
namespace {

Errc errc_of(int status) {
    switch (status) {
        case EAI_NONAME:
#ifdef EAI_NODATA
        case EAI_NODATA:
#endif
            return Errc::host_not_found;
        case EAI_AGAIN: return Errc::resolver_unavailable;
        default: return Errc::resolver_error;
    }
}

void append(std::vector<Address>& addresses, const sockaddr& from, std::uint16_t port) {
    Address address;
    address.port = port;
    if (from.sa_family == AF_INET) {
        sockaddr_in in{};
        std::memcpy(&in, &from, sizeof(in));
        std::memcpy(address.bytes.data(), &in.sin_addr, sizeof(in.sin_addr));
    } else if (from.sa_family == AF_INET6) {
        sockaddr_in6 in{};
        std::memcpy(&in, &from, sizeof(in));
        address.family = Address::Family::ipv6;
        address.scope_id = in.sin6_scope_id;
        std::memcpy(address.bytes.data(), &in.sin6_addr, sizeof(in.sin6_addr));
    } else {
        return;
    }
    addresses.push_back(address);
}

int family_of(IpVersion version) {
    switch (version) {
        case IpVersion::any: break;
        case IpVersion::ipv4: return AF_INET;
        case IpVersion::ipv6: return AF_INET6;
    }
    return AF_UNSPEC;
}

/// Blocks unless `flags` has AI_NUMERICHOST.
Lookup look_up(const std::string& host, std::uint16_t port, IpVersion version, int flags) {
    addrinfo hints{};
    hints.ai_family = family_of(version);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;
    addrinfo* list = nullptr;
    const int status = getaddrinfo(host.c_str(), nullptr, &hints, &list);
    Lookup answer;
    if (status != 0) {
        answer.error = Error(errc_of(status), Phase::resolve, gai_strerror(status));
        answer.error.native = status == EAI_SYSTEM ? errno : status;
        return answer;
    }
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(list, &freeaddrinfo);
    for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
        append(answer.addresses, *entry->ai_addr, port);
    }
    return answer;
}

/// Of a literal. The commonest kind needs no resolver.
Lookup look_up_literal(const std::string& host, std::uint16_t port, IpVersion version) {
    in_addr four{};
    if (version == IpVersion::ipv6 || inet_pton(AF_INET, host.c_str(), &four) != 1) {
        return look_up(host, port, version, AI_NUMERICHOST);
    }
    Address address{.port = port};
    std::memcpy(address.bytes.data(), &four, sizeof(four));
    return {.addresses = {address}, .error = {}};
}

void post_answer(Engine::Gate& gate, Resolved resolved, Lookup answer) {
    gate.post([resolved = std::move(resolved), answer = std::move(answer)] { resolved(answer); });
}

bool same_name(const std::string& left, const std::string& right) {
    return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                      [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
}

}  // namespace

Lookup known_addresses(const Config& config, const std::string& host, std::uint16_t port) {
    const IpVersion version = config.socket.ip_version;
    // The address of a Unix socket is its path; the core only has to be told that there is one.
    if (!config.socket.unix_path.empty()) return {.addresses = {Address{.port = port}}, .error = {}};
    Lookup answer;
    for (const HostAddress& each : config.addresses) {
        if (each.port != port || !same_name(each.host, host)) continue;
        Lookup one = look_up_literal(each.address, port, version);
        answer.addresses.insert(answer.addresses.end(), one.addresses.begin(), one.addresses.end());
    }
    if (answer.addresses.empty()) return look_up_literal(host, port, version);
    return answer;
}

LookupPool::Ticket resolve(Engine& engine, const Config& config, const std::string& host, std::uint16_t port,
                           Resolved resolved) {
    try {
        return lookup_pool().run([gate = engine.gate(), host, port, version = config.socket.ip_version, resolved] {
            try {
                post_answer(*gate, resolved, look_up(host, port, version, 0));
            } catch (const std::bad_alloc&) {
                patiently([&] { post_answer(*gate, resolved, {{}, Error(Errc::out_of_memory, Phase::resolve)}); });
            }
        });
    } catch (const std::system_error& error) {
        Lookup answer;
        answer.error = Error(Errc::resolver_error, Phase::resolve, std::string("no thread: ") + error.what());
        answer.error.native = error.code().value();
        post_answer(*engine.gate(), std::move(resolved), std::move(answer));
        return {};
    }
}

}  // namespace tern::driver
