// A whole life drawn from a seed: a storm of faults, in which everybody does something all the time, and then a calm,
// in which everything has to come right again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ledger.hpp"
#include "world.hpp"

namespace tern::sim {

class RandomLife {
public:
    /// `choices` take the place of the plan's randomness, as long as there are some, and have to outlive this.
    explicit RandomLife(std::uint64_t seed, bool keep_trace = false, std::string_view choices = {});

    /// Lives it to its end.
    void run();
    /// What was wrong; empty if nothing was.
    [[nodiscard]] std::string complaints() const;
    [[nodiscard]] std::uint64_t trace_hash() const { return world_.trace_hash(); }
    [[nodiscard]] const std::vector<Entry>& log() const { return client_->log; }
    [[nodiscard]] std::string trace_text() const { return world_.trace_text(); }
    [[nodiscard]] bool is_brief() const { return brief_; }
    [[nodiscard]] bool open_at_the_end() const { return client_->state() == State::open; }
    [[nodiscard]] const World& world() const { return world_; }
    [[nodiscard]] bool has_flips() const { return rules_.flips; }

private:
    [[nodiscard]] Config draw_config();
    void draw_route(Config& config);
    [[nodiscard]] Link draw_link();
    [[nodiscard]] DriverFaults draw_driver();
    [[nodiscard]] Behaviour draw_behaviour();
    [[nodiscard]] bool nothing_under_way() const;
    void change_the_weather();
    void answer(Peer& peer);
    void chat(Peer& peer);
    void server_acts(Peer& peer);
    void user_acts();
    void user_sends();
    void begin_calm();
    void soothe(Peer& peer);
    void end_parts(int tries);
    void last_words();
    [[nodiscard]] Duration slowest_round_trip() const;
    [[nodiscard]] std::error_code send_last_words();
    [[nodiscard]] bool received(std::string_view text, std::size_t begin) const;
    void complain(std::string what) { complaints_ += what + "\n"; }

    [[nodiscard]] std::string some_payload(unsigned opcode, std::size_t limit);
    /// So that every message of the user is another one; a few are empty.
    [[nodiscard]] std::string tagged(std::string payload);
    [[nodiscard]] Duration some_time(std::size_t low_ms, std::size_t high_ms);

    World world_;
    Random random_;  ///< Of the plan; the world's own is for details.
    bool brief_;     ///< Most lives are; the long ones have larger messages and slower clocks too.
    Ledger::Rules rules_;
    bool while_lent_;
    bool follows_all_;
    Config config_;
    Ledger ledger_;
    Client* client_ = nullptr;
    std::vector<Server*> servers_;
    bool storm_ = true;
    std::uint64_t tags_ = 0;
    std::uint64_t keys_ = 0;
    std::uint64_t redirects_ = 0;
    std::string complaints_;
};

}  // namespace tern::sim
