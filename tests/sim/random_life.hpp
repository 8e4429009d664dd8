// A whole life drawn from a seed: a storm of faults, in which everybody does something all the time, and then a calm,
// in which everything has to come right again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "world.hpp"

namespace tern::sim {

class RandomLife {
public:
    explicit RandomLife(std::uint64_t seed, bool keep_trace = false);

    /// Lives it to its end.
    void run();
    /// What was wrong; empty if nothing was.
    [[nodiscard]] std::string complaints() const;
    [[nodiscard]] std::uint64_t trace_hash() const { return world_.trace_hash(); }
    [[nodiscard]] const std::vector<Entry>& log() const { return client_->log; }
    [[nodiscard]] bool open_at_the_end() const { return client_->state() == State::open; }
    [[nodiscard]] bool has_flips() const { return flips_; }

private:
    [[nodiscard]] Config draw_config();
    [[nodiscard]] Link draw_link();
    [[nodiscard]] DriverFaults draw_driver();
    [[nodiscard]] Behaviour draw_behaviour();
    void change_the_weather();
    void answer(Peer& peer);
    void chat(Peer& peer);
    void server_acts(Peer& peer);
    void user_acts();
    void user_sends();
    void remember(Opcode opcode, std::string_view payload, bool fin);
    void begin_calm();
    void last_words();

    void check_messages();
    void check_connection(std::size_t connection, const Peer& peer, const std::vector<Entry>& entries);
    void complain(std::string what) { complaints_ += what + "\n"; }

    [[nodiscard]] std::string some_payload(unsigned opcode, std::size_t limit);
    [[nodiscard]] Duration some_time(std::size_t low_ms, std::size_t high_ms);

    World world_;
    Random random_;  ///< Of the plan; the world's own is for details.
    bool flips_;
    bool while_lent_;
    Config config_;
    Client* client_ = nullptr;
    std::vector<Server*> servers_;
    bool storm_ = true;
    /// What was accepted for sending, by the number of the connection from 1.
    std::map<std::uint32_t, std::vector<Message>> accepted_;
    std::map<std::uint32_t, Message> part_;
    std::string complaints_;
};

}  // namespace tern::sim
