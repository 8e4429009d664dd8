#include "ledger.hpp"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace tern::sim {
namespace {

using Kind = Event::Kind;

/// How far what was delivered has come in what each of two connections sent: the one whose place was taken, and the one
/// that took it. Equal messages can be told apart no further than this, so there may be several answers.
template <class T>
class Cursors {
public:
    Cursors() : places_{{0, 0}} {}

    /// Another connection; `keeps` the one before it.
    void open(const std::vector<T>* sent, bool keeps) {
        older_ = keeps ? newer_ : nullptr;
        newer_ = sent;
        for (auto& [older, newer] : places_) older = keeps ? newer : 0, newer = 0;
        tidy();
    }
    /// False if neither can have sent it now.
    bool take(const T& what) {
        std::vector<Place> next;
        for (const auto& [older, newer] : places_) {
            if (is(older_, older, what)) next.push_back({older + 1, newer});
            if (is(newer_, newer, what)) next.push_back({older, newer + 1});
        }
        places_ = std::move(next);
        tidy();
        return !places_.empty();
    }
    /// Is there one that satisfies the predicate and could come next?
    template <class Predicate>
    bool any(const Predicate& predicate) const {
        return std::any_of(places_.begin(), places_.end(), [&](const Place& place) {
            return (older_ != nullptr && place.first < older_->size() && predicate((*older_)[place.first])) ||
                   (newer_ != nullptr && place.second < newer_->size() && predicate((*newer_)[place.second]));
        });
    }

private:
    using Place = std::pair<std::size_t, std::size_t>;

    static bool is(const std::vector<T>* sent, std::size_t at, const T& what) {
        return sent != nullptr && at < sent->size() && (*sent)[at] == what;
    }
    void tidy() {
        std::sort(places_.begin(), places_.end());
        places_.erase(std::unique(places_.begin(), places_.end()), places_.end());
    }

    const std::vector<T>* older_ = nullptr;
    const std::vector<T>* newer_ = nullptr;
    std::vector<Place> places_;
};

}  // namespace

void Ledger::on_accepted(Opcode opcode, std::string_view payload, bool fin, const SendOptions& options,
                         std::uint32_t connection) {
    if (opcode != Opcode::continuation) part_ = {.message = {static_cast<unsigned>(opcode), {}}};
    part_.message.payload += payload;
    if (!fin) return;
    part_.connection = connection;
    part_.number = options.number != nullptr ? *options.number : 0;
    part_.key = options.key;
    items_.push_back(std::exchange(part_, {}));
}

std::string Ledger::judge(const std::vector<Entry>& log, const std::vector<std::unique_ptr<Peer>>& peers) {
    note_connections(log, peers);
    judge_fates(log);
    judge_sending(peers);
    if (rules_.flips) return complaints_;
    judge_receiving(log);
    for (const auto& peer : peers) judge_pongs(*peer);
    return complaints_;
}

void Ledger::note_connections(const std::vector<Entry>& log, const std::vector<std::unique_ptr<Peer>>& peers) {
    for (const Entry& entry : log) {
        if (entry.kind != Kind::open && entry.kind != Kind::switched) continue;
        const std::string number(entry.handshake.response.header("x-peer"));
        opened_.push_back({.by_switch = entry.kind == Kind::switched});
        if (!rules_.flips) opened_.back().peer = peers.at(std::stoul(number)).get();
    }
}

// --- fates ---------------------------------------------------------------------------------------------------------

/// Every message that somebody follows has one. That none has two is judged when they are told.
void Ledger::judge_fates(const std::vector<Entry>& log) {
    std::unordered_map<std::uint64_t, Item*> followed;
    std::uint64_t last = 0;
    for (Item& item : items_) {
        if (item.number == 0) continue;
        if (item.number <= last) complain("the numbers of messages do not count up");
        last = item.number;
        followed[item.number] = &item;
    }
    for (const Entry& entry : log) {
        if (entry.kind != Kind::fate) continue;
        const auto found = followed.find(entry.number);
        if (found == followed.end()) {
            complain("a fate of message " + std::to_string(entry.number) + ", which nobody follows");
        } else {
            found->second->fate = entry.fate;
        }
    }
    for (const Item& item : items_) {
        if (item.number != 0 && !item.fate) complain("message " + std::to_string(item.number) + " has no fate");
    }
}

// --- from the client to the servers --------------------------------------------------------------------------------

/// What may arrive, in the order in which it may: without what was dropped, and with each message that replaced another
/// one in that one's place.
std::vector<Ledger::Item*> Ledger::order_of_sending() {
    std::vector<Item*> order;
    for (Item& item : items_) order.push_back(&item);
    for (std::size_t i = 0; i < order.size(); ++i) {
        if (order[i] == nullptr || order[i]->fate != Fate::replaced) continue;
        const auto successor =
            std::find_if(order.begin() + static_cast<std::ptrdiff_t>(i) + 1, order.end(),
                         [&](const Item* item) { return item != nullptr && item->key == order[i]->key; });
        if (successor == order.end()) {
            complain("a message was replaced by none");
        } else {
            order[i] = std::exchange(*successor, nullptr);
        }
    }
    std::erase_if(order, [](const Item* item) {
        return item == nullptr || item->fate.value_or(Fate::sent) != Fate::sent || item->message.payload.empty();
    });
    return order;
}

void Ledger::judge_sending(const std::vector<std::unique_ptr<Peer>>& peers) {
    const std::vector<Item*> order = order_of_sending();
    std::size_t at = 0;
    for (const auto& peer : peers) judge_run(*peer, order, at);
    judge_lost(order, peers);
    if (rules_.flips) return;
    for (const Item& item : items_) {
        if (item.got_by != nullptr) judge_connection(item);
    }
}

/// One connection gets a piece of what was sent, without a gap. Connections follow one another.
void Ledger::judge_run(const Peer& peer, const std::vector<Item*>& order, std::size_t& at) {
    const std::string where = "connection to server " + std::to_string(peer.number) + ": ";
    bool first = true;
    for (const Message& message : peer.messages) {
        if (message.payload.empty()) continue;  // nobody can tell which one it is
        const std::size_t before = at;
        while (at < order.size() && order[at]->message != message) ++at;
        if (at == order.size()) {
            at = before;
            return complain(where + "the server got what was not sent, or was dropped, or out of order, or twice: " +
                            message.payload.substr(0, 20));
        }
        const bool begins = std::exchange(first, false);
        const bool stays = !rules_.moves && !rules_.queues;
        if (at != before && (!begins || (stays && order[at - 1]->connection == order[at]->connection))) {
            complain(where + "a message is missing in front of " + message.payload.substr(0, 10) + ": " +
                     order[at - 1]->message.payload.substr(0, 10) + ", number " +
                     std::to_string(order[at - 1]->number) + ", accepted for connection " +
                     std::to_string(order[at - 1]->connection));
        }
        order[at++]->got_by = &peer;
    }
}

/// Without a queue a message goes to the connection that was open, or to the one that takes its place.
void Ledger::judge_connection(const Item& item) {
    if (rules_.queues) return;
    const auto is = [&](std::size_t number) {
        return number != 0 && number <= opened_.size() && opened_[number - 1].peer == item.got_by;
    };
    const std::size_t next = item.connection + 1;
    if (is(item.connection)) return;
    if (rules_.moves && is(next) && opened_[next - 1].by_switch) return;
    complain("a message was accepted for connection " + std::to_string(item.connection) + " and went to another one");
}

/// What the kernel has gets lost only where a connection is torn.
void Ledger::judge_lost(const std::vector<Item*>& order, const std::vector<std::unique_ptr<Peer>>& peers) {
    const auto torn = [&](std::size_t from, std::size_t to) {
        for (std::size_t i = std::min(from, to); i <= std::max(from, to) && i < peers.size(); ++i) {
            if (peers[i]->wire().up.was_reset()) return true;
        }
        return false;
    };
    std::size_t before = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
        if (order[i]->got_by != nullptr) {
            before = order[i]->got_by->number;
        } else if (order[i]->fate == Fate::sent) {
            const auto next = std::find_if(order.begin() + static_cast<std::ptrdiff_t>(i), order.end(),
                                           [](const Item* item) { return item->got_by != nullptr; });
            const std::size_t after = next == order.end() ? peers.size() : (*next)->got_by->number;
            if (torn(before, after)) continue;
            complain("message " + std::to_string(order[i]->number) + " was sent, and has not arrived");
        }
    }
}

// --- from the servers to the client --------------------------------------------------------------------------------

void Ledger::judge_receiving(const std::vector<Entry>& log) {
    Cursors<Message> messages;
    Cursors<std::string> pings;
    std::size_t connection = 0;
    std::string unfinished;
    bool explained = false;  // it was begun by a connection that is not remembered any more
    const auto where = [&] { return "connection " + std::to_string(connection) + ": "; };
    const auto cut = [&] {
        const std::string begun = std::exchange(unfinished, {});
        const auto begins = [&](const Message& message) { return message.payload.starts_with(begun); };
        if (!begun.empty() && !std::exchange(explained, false) && !messages.any(begins)) {
            complain(where() + "the unfinished message is not what the server sent");
        }
    };
    const auto take = [&](const Message& message) {
        if (messages.take(message)) return true;
        complain(where() + "what was delivered is not what the server sent, in its order");
        return false;
    };
    for (const Entry& entry : log) {
        if (entry.kind == Kind::open || entry.kind == Kind::switched) {
            const bool keeps = entry.kind == Kind::switched;
            if (!keeps) cut();
            const auto begins = [&](const Message& message) { return message.payload.starts_with(unfinished); };
            explained = !unfinished.empty() && (explained || messages.any(begins));
            const Peer& peer = *opened_[connection++].peer;
            messages.open(&peer.sent, keeps);
            pings.open(&peer.pings_sent, keeps);
        } else if (entry.kind == Kind::ping) {
            if (!pings.take(entry.bytes)) {
                return complain(where() + "the pings are not those that the server sent");
            }
        } else if (entry.kind == Kind::message) {
            if (!take({static_cast<unsigned>(entry.opcode), entry.bytes})) return;
        } else if (entry.kind == Kind::chunk) {
            if (entry.chunk.first) cut();
            unfinished += entry.bytes;
            if (entry.chunk.last && !take({static_cast<unsigned>(entry.opcode), std::exchange(unfinished, {})})) return;
        }
    }
    cut();
}

void Ledger::judge_pongs(const Peer& peer) {
    auto ping = peer.pings_sent.begin();
    for (const Peer::Received& entry : peer.frames) {
        if (entry.frame.opcode != opcode::pong) continue;
        ping = std::find(ping, peer.pings_sent.end(), entry.frame.payload);
        if (ping == peer.pings_sent.end()) {
            return complain("connection to server " + std::to_string(peer.number) +
                            ": a pong that answers no ping, or out of order");
        }
        ++ping;
    }
}

}  // namespace tern::sim
