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

RandomLife::RandomLife(std::uint64_t seed, bool keep_trace, std::string_view choices)
    : world_(seed),
      random_(seed ^ 0x11feu, choices),
      brief_(!random_.chance(0.02)),
      rules_{.moves = random_.chance(0.4), .queues = random_.chance(0.3), .flips = random_.chance(0.2)},
      while_lent_(random_.chance(0.3)),
      follows_all_(rules_.queues || rules_.moves || random_.chance(0.2)),
      config_(draw_config()),
      ledger_(rules_) {
    world_.keep_trace(keep_trace);
    client_ = &world_.client(config_, random_.chance(0.5));
    client_->crypto.has_tls = true;
    client_->on_accepted = [this](Opcode opcode, std::string_view payload, bool fin, const SendOptions& options) {
        ledger_.on_accepted(opcode, payload, fin, options, client_->stats().connects);
    };
    const char* addresses[] = {"192.0.2.1", "2001:db8::1", "192.0.2.2"};
    const std::size_t count = random_.between(1, 3);
    std::vector<std::string> names(addresses, addresses + count);
    for (const std::string& name : names) servers_.push_back(&world_.server(name, 80, draw_behaviour()));
    world_.dns("host", names);
    world_.dns("proxy", names);
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
    const std::size_t sizes[] = {1000, brief_ ? 5'000u : 20'000u, brief_ ? 50'000u : 1'000'000u};
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
    const std::size_t patience = brief_ ? 1200 : 3000;
    config.keepalive = {.interval = random_.chance(0.2) ? 0ms : ms(200, patience), .pong_timeout = ms(150, patience)};
    config.reconnect.min_delay = ms(0, 1000);
    config.reconnect.max_delay = config.reconnect.min_delay + ms(0, 1000);
    config.reconnect.min_later = ms(0, 1000);
    config.reconnect.max_later = config.reconnect.min_later + ms(0, 1000);
    config.reconnect.stable_after = ms(0, 3000);
    config.reconnect.make_before_break = rules_.moves;
    if (rules_.queues) {
        using Full = OfflineQueue::Full;
        config.offline_queue.max_bytes = random_.between(1, random_.chance(0.5) ? 2'000 : 200'000);
        config.offline_queue.when_full =
            random_.chance(0.3) ? Full::drop_oldest : (random_.chance(0.3) ? Full::drop_newest : Full::reject);
        if (random_.chance(0.4)) config.offline_queue.expire_after = ms(1, 2000);
    }
    if (random_.chance(0.3)) config.water_marks = {.high = random_.between(2, 20'000), .low = random_.below(2)};
    if (random_.chance(0.3)) {
        config.limits.max_head_size = 2000;
        config.limits.max_memory = config.receive_buffer + (15u << 10u) + random_.below(200'000);
    }
    draw_route(config);
    if (random_.chance(0.1)) config.reconnect.max_attempts = static_cast<std::uint32_t>(random_.between(1, 8));
    return config;
}

/// What the connections lead through.
void RandomLife::draw_route(Config& config) {
    if (random_.chance(0.2)) {
        config.url = "wss://host:80/life";
        // What a layer of TLS may take.
        if (config.limits.max_memory != 0) config.limits.max_memory += config.receive_buffer + 300'000;
    }
    const char* proxies[] = {"http://proxy:80", "socks5://proxy:80", "socks5h://proxy:80"};
    if (random_.chance(0.2)) config.proxy = proxies[random_.below(3)];
    config.timeouts.proxy = config.timeouts.tls = config.timeouts.upgrade;
    config.max_redirects = static_cast<std::uint32_t>(random_.below(4));
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
        if (rules_.flips && random_.chance(0.5))
            behaviour.down.flip = 0.01 / static_cast<double>(random_.between(1, 100));
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
    const std::size_t wanted = random_.between(0, most);
    const std::size_t ceiling = random_.chance(0.9) ? std::size_t{brief_ ? 2'000u : 20'000u} : no_limit;
    const std::size_t size = std::min(wanted, ceiling);
    if (opcode == opcode::binary) return random_.bytes(size);
    const char* characters[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    std::string some;
    while (some.size() + 4 <= std::min<std::size_t>(size, 60)) some += characters[random_.below(4)];
    std::string text = some;
    while (!some.empty() && text.size() + some.size() <= size) text += some;
    return text;
}

// --- the storm -----------------------------------------------------------------------------------------------------

void RandomLife::run() {
    static_cast<void>(client_->start());
    world_.after(brief_ ? some_time(100, 2'000) : some_time(5'000, 20'000), [this] { begin_calm(); });
    change_the_weather();
    user_acts();
    world_.run_until([this] { return !storm_; }, 60s);
    // What the storm has left behind comes out: pings that were not answered, ends that nobody had noticed.
    world_.run_for(brief_ ? 2500ms : 6500ms);
    const auto settled = [this] {
        const State state = client_->state();
        if (state != State::open) return client_->ended() && nothing_under_way();
        return client_->unread() == 0 && client_->stats().send_queued == 0 && nothing_under_way();
    };
    if (!world_.run_until(settled, long_enough)) {
        complain("neither open nor ended, but " + std::string(state_name(client_->state())) + "; unread " +
                 std::to_string(client_->unread()) + ", queued " + std::to_string(client_->stats().send_queued) +
                 (nothing_under_way() ? "" : ", something is under way"));
    }
    if (!rules_.flips) last_words();
    world_.run_for(1s);
    // A connection that was only kept up in name takes last words too, and they wait for its successor.
    if (!world_.run_until(settled, long_enough)) complain("last words wait for ever");
    if (client_->ended() && client_->pool.out() != 0) complain("memory of the pool is kept behind the end");
    complaints_ += ledger_.judge(client_->log, world_.peers());
}

/// A link that was slow in the storm still carries what was sent then, and maybe an end.
bool RandomLife::nothing_under_way() const {
    const auto& peers = world_.peers();
    return std::all_of(peers.begin(), peers.end(), [](const auto& peer) {
        return peer->wire().up.idle() && peer->wire().down.idle() && !peer->writing();
    });
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
    world_.dns("proxy") = name;
    client_->faults = draw_driver();
    client_->pool.failures = random_.chance(0.3) ? 0.05 : 0;
    world_.after(some_time(100, 2000), [this] { change_the_weather(); });
}

void RandomLife::answer(Peer& peer) {
    if (!storm_) soothe(peer);  // it was begun in the storm, maybe
    const std::size_t luck = storm_ ? random_.below(100) : 99;
    if (luck < 5) return;
    if (luck < 10) {
        peer.write("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
        return peer.finish();
    }
    if (luck < 12) {
        peer.write("HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /" + std::to_string(++redirects_) +
                   "\r\n\r\n");
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
        // One after the other: compilers differ in the order of arguments, and a seed is to be the same life for all.
        const std::string payload = some_payload(opcode, limit);
        const std::size_t fragment = random_.chance(0.5) ? no_limit : random_.between(1, 2000);
        peer.send_message(opcode, payload, fragment);
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
    } else if (luck < (rules_.moves ? 930 : 905)) {
        if (!peer.close_sent) peer.send(close_frame(random_.chance(0.5) ? 1001 : 1012, "storm"));
    } else if (luck < 935) {
        peer.finish();
    } else if (luck < 940) {
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
    } else if (luck < 830) {
        client_->reconnect_now();
    } else if (luck < 850 && rules_.moves) {
        static_cast<void>(client_->refresh());
    }
    if (client_->state() == State::idle && random_.chance(0.05)) {
        static_cast<void>(client_->start(random_.chance(0.5) ? StartMode::once : StartMode::keep_trying));
    }
    world_.after(some_time(0, 100), [this] { user_acts(); });
}

void RandomLife::user_sends() {
    const Opcode opcode = random_.chance(0.5) ? Opcode::text : Opcode::binary;
    std::string payload = some_payload(to_number(opcode), random_.chance(0.05) ? (brief_ ? 20'000 : 200'000) : 5000);
    const std::size_t luck = random_.below(10);
    if (luck < 2) return static_cast<void>(client_->ping(payload.substr(0, 125)));
    std::uint64_t number = 0;
    SendOptions options{.number = follows_all_ || random_.chance(0.3) ? &number : nullptr};
    if (luck >= 7) {
        const bool fin = random_.chance(0.5);
        const bool begins = random_.chance(0.5);
        payload = begins ? tagged(std::move(payload)) : std::move(payload);
        static_cast<void>(client_->send_part(begins ? opcode : Opcode::continuation, payload, fin, options));
        return;
    }
    std::string key;
    if (rules_.queues && random_.chance(0.3)) {
        // Each key twice, so that it is clear who replaced whom.
        key = std::to_string(keys_++ / 2);
        options.key = key;
    }
    if (rules_.queues && random_.chance(0.2)) options.expires = world_.now() + some_time(0, 500);
    static_cast<void>(client_->send(opcode, tagged(std::move(payload)), options));
}

std::string RandomLife::tagged(std::string payload) {
    if (payload.empty() && random_.chance(0.5)) return payload;
    return std::to_string(++tags_) + ":" + payload;
}

// --- the calm ------------------------------------------------------------------------------------------------------

void RandomLife::begin_calm() {
    storm_ = false;
    world_.trace("calm");
    Name& name = world_.dns("host");
    name.delay = 5ms;
    name.error = {};
    name.silent = false;
    world_.dns("proxy") = name;
    client_->pool.failures = 0;
    for (Server* server : servers_) server->behaviour = draw_behaviour();
    for (const auto& peer : world_.peers()) soothe(*peer);
    client_->faults = {};
    client_->while_lent = nullptr;
    client_->resume();
    end_parts(20);
}

/// No more faults on this connection.
void RandomLife::soothe(Peer& peer) {
    for (Pipe* pipe : {&peer.wire().up, &peer.wire().down}) {
        pipe->link().flip = 0;
        pipe->link().cut = {};
        pipe->link().bytes_per_second = 0;
        pipe->link().capacity = std::max(pipe->link().capacity, std::size_t{100'000});
        pipe->link().segment = std::max(pipe->link().segment, std::size_t{10'000});
        if (const auto more_room = pipe->on_room) more_room();
    }
    peer.wire().resume();
    peer.resume();
}

/// A message in parts holds up others, and the place that another connection is to take.
void RandomLife::end_parts(int tries) {
    std::uint64_t number = 0;
    // A text may have stopped inside a character, and not every byte goes on with it.
    for (const char* end : {"", "\x80", "\xa0\x80", "\x80\x80", "\x90\x80\x80", "\x80\x80\x80"}) {
        const SendOptions options{.number = follows_all_ ? &number : nullptr};
        if (!client_->send_part(Opcode::continuation, end, true, options)) break;
    }
    if (tries > 0) world_.after(200ms, [this, tries] { end_parts(tries - 1); });
}

/// An open connection must be a working one.
void RandomLife::last_words() {
    if (client_->state() != State::open) return;
    const std::size_t lost = client_->count(Event::Kind::closed);
    const std::size_t begin = client_->log.size();
    std::error_code error;
    const auto accepted = [&] {
        if (client_->state() != State::open) return true;
        error = send_last_words();
        return error != Errc::send_queue_full;
    };
    // While one connection takes the place of another there may be no memory for it.
    for (int tries = 0; !accepted() && tries < 100; ++tries) world_.run_for(200ms);
    if (error) return complain("an open connection refuses to send: " + error.message());
    const auto answered = [&] { return client_->state() != State::open || received("last words", begin); };
    if (!world_.run_until(answered, long_enough)) complain("an open connection does not work");
    if (client_->count(Event::Kind::closed) == lost) return;
    const CloseInfo& end = client_->find(Event::Kind::closed)->close;
    // The server may have taken its leave in the storm, and its Close still waited for a successor then.
    if (end.reason == "storm") return;
    // The links keep their delays. A pong may take longer than the client was told to wait for it.
    if (end.error == Errc::pong_timeout && slowest_round_trip() >= config_.keepalive.pong_timeout) return;
    complain("the connection was lost in the calm");
}

/// Of the connections that were opened, without what anybody takes to answer.
Duration RandomLife::slowest_round_trip() const {
    Duration slowest{0};
    for (const auto& peer : world_.peers()) {
        if (!peer->upgraded) continue;
        const Link& up = peer->wire().up.link();
        const Link& down = peer->wire().down.link();
        slowest = std::max(slowest, up.delay + up.jitter + down.delay + down.jitter);
    }
    return slowest;
}

std::error_code RandomLife::send_last_words() {
    std::uint64_t number = 0;
    return client_->send(Opcode::text, "last words", {.number = follows_all_ ? &number : nullptr});
}

/// Was that message delivered, with its beginning at that place of the log or later?
bool RandomLife::received(std::string_view text, std::size_t begin) const {
    std::string joined;
    for (std::size_t i = begin; i < client_->log.size(); ++i) {
        const Entry& entry = client_->log[i];
        if (entry.kind == Event::Kind::message && entry.bytes == text) return true;
        if (entry.kind != Event::Kind::chunk) continue;
        if (entry.chunk.first) joined.clear();
        joined += entry.bytes;
        if (entry.chunk.last && joined == text) return true;
    }
    return false;
}

std::string RandomLife::complaints() const { return complaints_ + world_.report(); }

}  // namespace tern::sim
