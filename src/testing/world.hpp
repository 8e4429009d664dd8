// A whole world from a seed: clients, servers, names, links and the time, which jumps to whatever happens next.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client.hpp"
#include "faults.hpp"
#include "link.hpp"
#include "schedule.hpp"
#include "server.hpp"

namespace tern::sim {

/// "192.0.2.1" or "2001:db8::1" with at most one "::".
Address address(std::string_view text, std::uint16_t port = 0);

using testing::Name;

class World : public Schedule, private Network {
public:
    explicit World(std::uint64_t seed) : Schedule(seed) {}

    /// The name's entry, to be changed at will. A name without an entry is `host_not_found`.
    Name& dns(const std::string& host, std::vector<std::string> addresses = {});
    Server& server(std::string_view where, std::uint16_t port, Behaviour behaviour);
    Client& client(Config config, bool pooled = false);

    /// Runs whatever is due next. False if nothing will ever happen again.
    bool step();
    /// Runs until the predicate is true, and says whether it became true within the time.
    bool run_until(const std::function<bool()>& predicate, Duration limit);
    void run_for(Duration time);

    /// All offences, one a line, and the seed; empty if there are none.
    [[nodiscard]] std::string report() const;
    [[nodiscard]] const std::vector<std::unique_ptr<Peer>>& peers() const { return peers_; }

private:
    void resolve(const std::string& host, Resolved answer) override;
    void connect(const Address& where, Connected answer) override;
    [[nodiscard]] std::optional<TimePoint> next_time() const;

    std::map<std::string, Name> names_;
    std::vector<std::unique_ptr<Server>> servers_;
    std::vector<std::unique_ptr<Wire>> wires_;
    std::vector<std::unique_ptr<Peer>> peers_;
    std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace tern::sim
