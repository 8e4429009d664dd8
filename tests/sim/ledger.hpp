// The books of a life: what was accepted for sending and what the servers got; what they sent and what was delivered;
// what was said about each message that somebody follows.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "log.hpp"
#include "server.hpp"

namespace tern::sim {

class Ledger {
public:
    /// What the judgement depends on.
    struct Rules {
        bool moves = false;   ///< A second connection may take the place of the first.
        bool queues = false;  ///< Messages may outlive their connection; then all are followed.
        bool flips = false;   ///< What the client received is not what was sent.
    };

    explicit Ledger(Rules rules) : rules_(rules) {}

    /// Something was accepted while the so-many-th connection, from 1, was the open one.
    void on_accepted(Opcode opcode, std::string_view payload, bool fin, const SendOptions& options,
                     std::uint32_t connection);
    /// What is wrong in a life that is over, or has nothing left to do; a line each.
    [[nodiscard]] std::string judge(const std::vector<Entry>& log, const std::vector<std::unique_ptr<Peer>>& peers);

private:
    struct Item {
        Message message;
        std::uint32_t connection = 0;
        std::uint64_t number = 0;  ///< 0: nobody follows it.
        std::string key;
        std::optional<Fate> fate;
        const Peer* got_by = nullptr;
    };
    /// A connection that the user was told of.
    struct Opened {
        const Peer* peer = nullptr;
        bool by_switch = false;
    };

    void complain(std::string what) { complaints_ += what + "\n"; }
    void note_connections(const std::vector<Entry>& log, const std::vector<std::unique_ptr<Peer>>& peers);
    void judge_fates(const std::vector<Entry>& log);
    [[nodiscard]] std::vector<Item*> order_of_sending();
    void judge_sending(const std::vector<std::unique_ptr<Peer>>& peers);
    void judge_run(const Peer& peer, const std::vector<Item*>& order, std::size_t& at);
    void judge_connection(const Item& item);
    void judge_lost(const std::vector<Item*>& order, const std::vector<std::unique_ptr<Peer>>& peers);
    void judge_receiving(const std::vector<Entry>& log);
    void judge_pongs(const Peer& peer);

    Rules rules_;
    std::vector<Item> items_;
    Item part_;  ///< A message in parts that has begun.
    std::vector<Opened> opened_;
    std::string complaints_;
};

}  // namespace tern::sim
