#include "random_life.hpp"

#include <algorithm>
#include <utility>

namespace tern::sim {
namespace {

using namespace std::chrono_literals;

/// Enough for every timeout that is drawn below, one after the other, several times.
constexpr Duration long_enough = 120s;

unsigned to_number(Opcode opcode) { return static_cast<unsigned>(opcode); }

}  // namespace

RandomLife::RandomLife(std::uint64_t seed, bool keep_trace)
    : world_(seed),
      random_(seed ^ 0x11feu),
      flips_(random_.chance(0.25)),
      while_lent_(random_.chance(0.3)),
      config_(draw_config()) {
    world_.keep_trace(keep_trace);
    client_ = &world_.client(config_);
    client_->on_accepted = [this](Opcode opcode, std::string_view payload, bool fin) {
        remember(opcode, payload, fin);
    };
    const char* addresses[] = {"192.0.2.1", "2001:db8::1", "192.0.2.2"};
    const std::size_t count = random_.between(1, 3);
    std::vector<std::string> names(addresses, addresses + count);
    for (const std::string& name : names) servers_.push_back(&world_.server(name, 80, draw_behaviour()));
    world_.dns("host", names);
    if (random_.chance(0.3)) {
        client_->on_prepare = [this](StreamId id, std::uint32_t) {
            if (storm_ && random_.chance(0.05)) return;  // no answer at all
            const Error error = storm_ && random_.chance(0.1) ? Error(Errc::prepare_failed) : Error();
            world_.after(some_time(0, 500), [this, id, error] {
                client_->prepared(id, {.url = config_.url, .bearer_token = "token"}, error);
            });
        };
    }
    if (!while_lent_) return;
    // What is sent there has to be written too, so it must come to an end.
    client_->while_lent = [this, left = 200]() mutable {
        if (left > 0 && random_.chance(0.3)) {
            --left;
            user_sends();
        }
    };
}

// --- what is drawn -------------------------------------------------------------------------------------------------

Duration RandomLife::some_time(std::size_t low_ms, std::size_t high_ms) {
    return std::chrono::milliseconds(random_.between(low_ms, high_ms));
}

Config RandomLife::draw_config() {
    const auto ms = [this](std::size_t low, std::size_t high) {
        return std::chrono::milliseconds(random_.between(low, high));
    };
    const std::size_t sizes[] = {1000, 20'000, 1'000'000};
    Config config{.url = "ws://host/life"};
    config.delivery = random_.chance(0.5) ? Delivery::chunks : Delivery::messages;
    config.fragment_size = random_.chance(0.5) ? 0 : random_.between(1, 5000);
    config.receive_buffer = random_.chance(0.5) ? 4096 : random_.between(4096, 100'000);
    config.timeouts = {.resolve = ms(200, 3000),
                       .connect = ms(200, 3000),
                       .upgrade = ms(200, 3000),
                       .attempt = ms(600, 8000),
                       .close = ms(100, 3000)};
    config.limits.max_message_size = sizes[random_.below(3)];
    config.limits.max_send_queue = 5 * sizes[random_.below(3)];
    config.keepalive = {.interval = random_.chance(0.2) ? 0ms : ms(200, 3000), .pong_timeout = ms(150, 3000)};
    config.reconnect.min_delay = ms(0, 1000);
    config.reconnect.max_delay = config.reconnect.min_delay + ms(0, 1000);
    config.reconnect.min_later = ms(0, 1000);
    config.reconnect.max_later = config.reconnect.min_later + ms(0, 1000);
    config.reconnect.stable_after = ms(0, 3000);
    config.reconnect.make_before_break = false;  // connections are told apart by `open` here
    if (random_.chance(0.1)) config.reconnect.max_attempts = static_cast<std::uint32_t>(random_.between(1, 8));
    return config;
}

Link RandomLife::draw_link() {
    Link link{.delay = some_time(0, 100)};
    if (random_.chance(0.3)) link.bytes_per_second = random_.between(2'000, 1'000'000);
    if (random_.chance(0.5)) link.capacity = random_.between(500, 100'000);
    link.segment = random_.chance(0.3) ? random_.between(1, 100) : random_.between(100, 20'000);
    link.random_segments = random_.chance(0.5);
    link.coalesce = random_.chance(0.5) ? 0.5 : 0;
    if (random_.chance(0.3)) link.jitter = some_time(1, 50);
    return link;
}

DriverFaults RandomLife::draw_driver() {
    DriverFaults faults;
    if (random_.chance(0.4)) faults.max_read = random_.between(1, 5000);
    if (random_.chance(0.4)) faults.max_write = random_.between(1, 5000);
    faults.random_sizes = random_.chance(0.5);
    if (random_.chance(0.3)) faults.would_block = 0.3;
    if (random_.chance(0.5)) faults.spurious_timeout = 0.1;
    if (random_.chance(0.5)) faults.stray_answer = 0.1;
    if (random_.chance(0.3)) faults.late_timer = some_time(1, 100);
    faults.tx_pieces = random_.between(1, 16);
    if (random_.chance(0.3)) faults.events_at_once = random_.between(1, 5);
    return faults;
}

Behaviour RandomLife::draw_behaviour() {
    using Accept = Behaviour::Accept;
    Behaviour behaviour;
    const std::size_t luck = storm_ ? random_.below(100) : 99;
    behaviour.accept = luck < 10   ? Accept::refuse
                       : luck < 15 ? Accept::unreachable
                       : luck < 25 ? Accept::black_hole
                                   : Accept::yes;
    if (storm_) {
        behaviour.up = draw_link();
        behaviour.down = draw_link();
        if (flips_ && random_.chance(0.5)) behaviour.down.flip = 0.01 / static_cast<double>(random_.between(1, 100));
        if (random_.chance(0.1)) behaviour.down.cut = Cut{random_.below(5000), random_.chance(0.5)};
    }
    behaviour.on_request = [this](Peer& peer) { answer(peer); };
    behaviour.on_frame = [this](Peer& peer, const Frame& frame) {
        // Now and then a Close or ping is ignored.
        if (!storm_ || !random_.chance(0.1)) answer_control(peer, frame);
    };
    behaviour.on_message = [this](Peer& peer, const Message& message) {
        if (message.payload.size() > config_.limits.max_message_size) return;
        if (!storm_ || random_.chance(0.5))
            peer.send_message(message.opcode, message.payload, random_.between(1, 3000));
    };
    behaviour.on_eof = [](Peer& peer) { peer.finish(); };
    return behaviour;
}

std::string RandomLife::some_payload(unsigned opcode, std::size_t limit) {
    const std::size_t most =
        random_.chance(0.1) ? limit : std::min<std::size_t>(limit, random_.chance(0.3) ? 5000 : 200);
    const std::size_t size = std::min(random_.between(0, most), random_.chance(0.9) ? std::size_t{20'000} : no_limit);
    if (opcode == opcode::binary) return random_.bytes(size);
    const char* characters[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    std::string text;
    while (text.size() + 4 <= size) text += characters[random_.below(4)];
    return text;
}

// --- the storm -----------------------------------------------------------------------------------------------------

void RandomLife::run() {
    static_cast<void>(client_->start());
    world_.after(some_time(5'000, 20'000), [this] { begin_calm(); });
    change_the_weather();
    user_acts();
    world_.run_until([this] { return !storm_; }, 60s);
    const auto settled = [this] {
        const State state = client_->state();
        return (state == State::open && client_->unread() == 0) || client_->ended();
    };
    if (!world_.run_until(settled, long_enough)) {
        complain("neither open nor ended, but " + std::string(state_name(client_->state())));
    }
    if (!flips_) last_words();
    world_.run_for(10s);
    check_messages();
}

void RandomLife::change_the_weather() {
    if (!storm_) return;
    for (Server* server : servers_) {
        if (random_.chance(0.5)) server->behaviour = draw_behaviour();
    }
    Name& name = world_.dns("host");
    name.delay = random_.chance(0.8) ? some_time(0, 50) : some_time(0, 4000);
    name.error =
        random_.chance(0.9) ? Error() : Error(random_.chance(0.5) ? Errc::host_not_found : Errc::resolver_unavailable);
    name.silent = random_.chance(0.05);
    client_->faults = draw_driver();
    world_.after(some_time(100, 2000), [this] { change_the_weather(); });
}

void RandomLife::answer(Peer& peer) {
    const std::size_t luck = storm_ ? random_.below(100) : 99;
    if (luck < 5) return;
    if (luck < 10) {
        peer.write("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
        return peer.finish();
    }
    if (luck < 20) {
        world_.after(some_time(0, 1000), [this, &peer] {
            peer.upgrade();
            chat(peer);
        });
        return;
    }
    peer.upgrade();
    chat(peer);
}

void RandomLife::chat(Peer& peer) {
    if (!storm_) return;
    server_acts(peer);
    world_.after(some_time(0, 200), [this, &peer] { chat(peer); });
}

void RandomLife::server_acts(Peer& peer) {
    const std::size_t luck = random_.below(1000);
    if (luck < 500) {
        const unsigned opcode = random_.chance(0.5) ? opcode::text : opcode::binary;
        const std::size_t limit = config_.limits.max_message_size + (random_.chance(0.005) ? 1000u : 0u);
        peer.send_message(opcode, some_payload(opcode, limit),
                          random_.chance(0.5) ? no_limit : random_.between(1, 2000));
    } else if (luck < 700) {
        if (!peer.close_sent) peer.send(ping_frame(random_.bytes(random_.between(0, 125))));
    } else if (luck < 750) {
        if (!peer.close_sent) peer.send(pong_frame(random_.bytes(random_.between(0, 125))));
    } else if (luck < 770) {
        peer.pause();
    } else if (luck < 820) {
        peer.resume();
    } else if (luck < 840) {
        peer.wire().stall();
    } else if (luck < 900) {
        peer.wire().resume();
    } else if (luck < 905) {
        if (!peer.close_sent) peer.send(close_frame(1001, "storm"));
    } else if (luck < 910) {
        peer.finish();
    } else if (luck < 915) {
        peer.reset();
    }
}

// --- the user ------------------------------------------------------------------------------------------------------

void RandomLife::user_acts() {
    if (!storm_) return;
    const std::size_t luck = random_.below(1000);
    if (luck < 700) {
        user_sends();
    } else if (luck < 800) {
        client_->pause();
        world_.after(some_time(0, 1000), [this] { client_->resume(); });
    } else if (luck < 805) {
        static_cast<void>(client_->close(CloseCode{4000}, "the user"));
    } else if (luck < 810) {
        client_->stop();
    }
    if (client_->state() == State::idle && random_.chance(0.05)) {
        static_cast<void>(client_->start(random_.chance(0.5) ? StartMode::once : StartMode::keep_trying));
    }
    world_.after(some_time(0, 100), [this] { user_acts(); });
}

void RandomLife::user_sends() {
    const Opcode opcode = random_.chance(0.5) ? Opcode::text : Opcode::binary;
    const std::string payload = some_payload(to_number(opcode), random_.chance(0.05) ? 200'000 : 5000);
    const std::size_t luck = random_.below(10);
    if (luck < 2) {
        static_cast<void>(client_->ping(payload.substr(0, 125)));
    } else if (luck < 7) {
        static_cast<void>(client_->send(opcode, payload));
    } else {
        const bool fin = random_.chance(0.5);
        const bool begins = random_.chance(0.5);
        static_cast<void>(client_->send_part(begins ? opcode : Opcode::continuation, payload, fin));
    }
}

void RandomLife::remember(Opcode opcode, std::string_view payload, bool fin) {
    const std::uint32_t connection = client_->stats().connects;
    Message& part = part_[connection];
    if (opcode != Opcode::continuation) part = {to_number(opcode), {}};
    part.payload += payload;
    if (fin) accepted_[connection].push_back(std::exchange(part, {}));
}

// --- the calm ------------------------------------------------------------------------------------------------------

void RandomLife::begin_calm() {
    storm_ = false;
    world_.trace("calm");
    Name& name = world_.dns("host");
    name.delay = 5ms;
    name.error = {};
    name.silent = false;
    for (Server* server : servers_) server->behaviour = draw_behaviour();
    for (const auto& peer : world_.peers()) {
        for (Pipe* pipe : {&peer->wire().up, &peer->wire().down}) {
            pipe->link().flip = 0;
            pipe->link().cut = {};
            pipe->link().bytes_per_second = 0;
            pipe->link().capacity = std::max(pipe->link().capacity, std::size_t{100'000});
            pipe->link().segment = std::max(pipe->link().segment, std::size_t{10'000});
        }
        peer->wire().resume();
        peer->resume();
    }
    client_->faults = {};
    client_->while_lent = nullptr;
    client_->resume();
}

/// An open connection must be a working one.
void RandomLife::last_words() {
    if (client_->state() != State::open) return;
    const std::uint32_t connection = client_->stats().connects;
    static_cast<void>(client_->send_part(Opcode::continuation, "", true));  // should a message in parts be open
    const std::error_code error = client_->send_text("last words");
    if (error) return complain("an open connection refuses to send: " + error.message());
    const auto answered = [&] {
        const auto messages = client_->messages();
        return client_->state() != State::open || (!messages.empty() && messages.back().second == "last words");
    };
    if (!world_.run_until(answered, long_enough)) complain("an open connection does not work");
    if (client_->stats().connects != connection) complain("the connection was lost in the calm");
}

// --- was only that delivered which was sent? -----------------------------------------------------------------------

void RandomLife::check_messages() {
    std::size_t connection = 0;
    std::vector<Entry> entries;
    const Peer* peer = nullptr;
    const auto finish = [&] {
        if (peer != nullptr) check_connection(connection, *peer, entries);
        entries.clear();
        peer = nullptr;
    };
    for (const Entry& entry : client_->log) {
        if (entry.kind == Event::Kind::open) {
            finish();
            ++connection;
            const std::string number(entry.handshake.response.header("x-peer"));
            if (!flips_) peer = world_.peers().at(std::stoul(number)).get();
        }
        entries.push_back(entry);
    }
    finish();
}

void RandomLife::check_connection(std::size_t connection, const Peer& peer, const std::vector<Entry>& entries) {
    const std::string where = "connection " + std::to_string(connection) + ": ";
    std::vector<Message> received;
    std::vector<std::string> pings;
    std::string unfinished;
    for (const Entry& entry : entries) {
        if (entry.kind == Event::Kind::ping) pings.push_back(entry.bytes);
        if (entry.kind == Event::Kind::message) received.push_back({to_number(entry.opcode), entry.bytes});
        if (entry.kind != Event::Kind::chunk) continue;
        unfinished += entry.bytes;
        if (entry.chunk.last) received.push_back({to_number(entry.opcode), std::exchange(unfinished, {})});
    }
    if (received.size() > peer.sent.size() || !std::equal(received.begin(), received.end(), peer.sent.begin())) {
        complain(where + "what was delivered is not what the server sent, in its order");
    } else if (!unfinished.empty() &&
               (received.size() == peer.sent.size() ||
                peer.sent[received.size()].payload.compare(0, unfinished.size(), unfinished) != 0)) {
        complain(where + "the unfinished message is not what the server sent");
    }
    if (pings.size() > peer.pings_sent.size() || !std::equal(pings.begin(), pings.end(), peer.pings_sent.begin())) {
        complain(where + "the pings are not those that the server sent");
    }

    const std::vector<Message>& accepted = accepted_[static_cast<std::uint32_t>(connection)];
    if (peer.messages.size() > accepted.size() ||
        !std::equal(peer.messages.begin(), peer.messages.end(), accepted.begin())) {
        complain(where + "what the server got is not what was sent, in its order");
    }
    auto ping = peer.pings_sent.begin();
    for (const Frame& pong : peer.received(opcode::pong)) {
        ping = std::find(ping, peer.pings_sent.end(), pong.payload);
        if (ping == peer.pings_sent.end()) return complain(where + "a pong that answers no ping, or out of order");
        ++ping;
    }
}

std::string RandomLife::complaints() const { return complaints_ + world_.report(); }

}  // namespace tern::sim
