#include "resolver.hpp"

#include <cerrno>
#include <cstring>
#include <netdb.h>
#include <system_error>
#include <thread>
#include <utility>

#include <asio/post.hpp>
#include <netinet/in.h>
#include <sys/socket.h>

#include "engine.hpp"

namespace tern::driver {
namespace {

struct Answer {
    std::vector<Address> addresses;
    Error error;
};

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

/// Blocks unless `flags` has AI_NUMERICHOST.
Answer look_up(const std::string& host, std::uint16_t port, int flags) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;
    addrinfo* list = nullptr;
    const int status = getaddrinfo(host.c_str(), nullptr, &hints, &list);
    Answer answer;
    if (status != 0) {
        answer.error = Error(errc_of(status), Phase::resolve, gai_strerror(status));
        answer.error.native = status == EAI_SYSTEM ? errno : status;
        return answer;
    }
    for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
        append(answer.addresses, *entry->ai_addr, port);
    }
    freeaddrinfo(list);
    return answer;
}

void post_answer(Engine& engine, Resolved resolved, Answer answer) {
    asio::post(engine.io(), [resolved = std::move(resolved), answer = std::move(answer)]() mutable {
        resolved(std::move(answer.addresses), std::move(answer.error));
    });
}

}  // namespace

void resolve(const std::shared_ptr<Engine>& engine, const std::string& host, std::uint16_t port, Resolved resolved) {
    Answer literal = look_up(host, port, AI_NUMERICHOST);
    if (!literal.error) return post_answer(*engine, std::move(resolved), std::move(literal));
    try {
        std::thread([engine, host, port, resolved]() mutable {
            Answer answer = look_up(host, port, 0);
            post_answer(*engine, std::move(resolved), std::move(answer));
        }).detach();
    } catch (const std::system_error& error) {
        Answer answer;
        answer.error = Error(Errc::resolver_error, Phase::resolve, std::string("no thread: ") + error.what());
        answer.error.native = error.code().value();
        post_answer(*engine, std::move(resolved), std::move(answer));
    }
}

}  // namespace tern::driver
