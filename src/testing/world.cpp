#include "world.hpp"

#include <algorithm>
#include <utility>

namespace tern::sim {
namespace {

std::vector<unsigned> hextets(std::string_view text) {
    std::vector<unsigned> values;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find(':', at), text.size());
        values.push_back(static_cast<unsigned>(std::stoul(std::string(text.substr(at, end - at)), nullptr, 16)));
        at = end + 1;
    }
    return values;
}

Address ipv6(std::string_view text) {
    Address address{.family = Address::Family::ipv6};
    const std::size_t gap = text.find("::");
    std::vector<unsigned> left = hextets(text.substr(0, std::min(gap, text.size())));
    const std::vector<unsigned> right =
        gap == std::string_view::npos ? std::vector<unsigned>() : hextets(text.substr(gap + 2));
    left.resize(8 - right.size());
    left.insert(left.end(), right.begin(), right.end());
    for (std::size_t i = 0; i < 8; ++i) {
        address.bytes[2 * i] = static_cast<std::uint8_t>(left[i] >> 8u);
        address.bytes[2 * i + 1] = static_cast<std::uint8_t>(left[i] & 0xffu);
    }
    return address;
}

}  // namespace

Address address(std::string_view text, std::uint16_t port) {
    Address result;
    if (text.find(':') != std::string_view::npos) {
        result = ipv6(text);
    } else {
        std::size_t at = 0;
        for (std::size_t i = 0; i < 4; ++i) {
            const std::size_t end = std::min(text.find('.', at), text.size());
            result.bytes[i] = static_cast<std::uint8_t>(std::stoul(std::string(text.substr(at, end - at))));
            at = end + 1;
        }
    }
    result.port = port;
    return result;
}

Name& World::dns(const std::string& host, std::vector<std::string> addresses) {
    Name& name = names_[host];
    if (!addresses.empty()) name.addresses = std::move(addresses);
    return name;
}

Server& World::server(std::string_view where, std::uint16_t port, Behaviour behaviour) {
    servers_.push_back(std::make_unique<Server>(address(where, port), std::move(behaviour)));
    return *servers_.back();
}

Client& World::client(Config config, bool pooled) {
    Network& network = *this;
    clients_.push_back(std::make_unique<Client>(*this, network, std::move(config), pooled));
    return *clients_.back();
}

// --- time ----------------------------------------------------------------------------------------------------------

std::optional<TimePoint> World::next_time() const {
    std::optional<TimePoint> earliest = next();
    for (const auto& client : clients_) {
        const auto timer = client->timer();
        if (timer && (!earliest || *timer < *earliest)) earliest = timer;
    }
    return earliest;
}

/// What arrives at the same moment as a timer comes first.
bool World::step() {
    const auto at = next_time();
    if (!at) return false;
    if (next() == at) {
        run_next();
        return true;
    }
    for (const auto& client : clients_) {
        if (client->timer() != at) continue;
        advance_to(*at);
        client->on_timer();
        return true;
    }
    return false;
}

bool World::run_until(const std::function<bool()>& predicate, Duration limit) {
    const TimePoint end = now() + limit;
    while (!predicate()) {
        const auto at = next_time();
        if (!at || *at > end) {
            advance_to(end);
            return predicate();
        }
        step();
    }
    return true;
}

void World::run_for(Duration time) {
    run_until([] { return false; }, time);
}

std::string World::report() const {
    if (offences().empty()) return {};
    std::string text = "seed " + std::to_string(seed()) + "\n";
    for (const std::string& offence : offences()) text += offence + "\n";
    return text;
}

// --- the network ---------------------------------------------------------------------------------------------------

void World::resolve(const std::string& host, Resolved answer) {
    const auto found = names_.find(host);
    Name name;
    if (found != names_.end()) {
        name = found->second;
    } else if (host.find_first_not_of("0123456789.") == std::string::npos || host.find(':') != std::string::npos) {
        name.addresses = {host};
    } else {
        name.error = Errc::host_not_found;
    }
    trace("resolve", 0, 0, host);
    if (name.silent) return;
    after(name.delay, [name, answer = std::move(answer)] {
        std::vector<Address> addresses;
        addresses.reserve(name.addresses.size());
        for (const std::string& text : name.addresses) addresses.push_back(address(text));
        if (name.error) addresses.clear();
        answer(std::move(addresses), name.error);
    });
}

/// The handshake of TCP takes one round trip.
void World::connect(const Address& where, Connected answer) {
    trace("connect", where.port, 0, where.to_string());
    const auto found =
        std::find_if(servers_.begin(), servers_.end(), [&](const auto& s) { return s->address == where; });
    if (found == servers_.end()) {
        after(2 * Link{}.delay, [answer = std::move(answer)] { answer(nullptr, Errc::connection_refused); });
        return;
    }
    Server& server = **found;
    server.attempts.push_back(now());
    const Behaviour behaviour = server.behaviour;
    if (behaviour.accept == Behaviour::Accept::black_hole) return;
    after(behaviour.up.delay + behaviour.down.delay, [this, &server, behaviour, answer = std::move(answer)] {
        if (behaviour.accept == Behaviour::Accept::refuse) return answer(nullptr, Errc::connection_refused);
        if (behaviour.accept == Behaviour::Accept::unreachable) return answer(nullptr, Errc::host_unreachable);
        wires_.push_back(std::make_unique<Wire>(*this, behaviour.up, behaviour.down));
        peers_.push_back(std::make_unique<Peer>(*this, *wires_.back(), behaviour, peers_.size()));
        server.peers.push_back(peers_.back().get());
        answer(wires_.back().get(), {});
    });
}

}  // namespace tern::sim
