// The public face of the simulator: thin handles over its worlds, servers and peers.
#include <algorithm>
#include <cstddef>
#include <deque>
#include <utility>

#include <tern/testing/world.hpp>

#include "world.hpp"

namespace tern::testing {

// --- connections and servers ---------------------------------------------------------------------------------------

namespace {

std::string lines(const std::vector<Header>& headers) {
    std::string text;
    for (const Header& header : headers) text += header.name + ": " + header.value + "\r\n";
    return text;
}

sim::Behaviour behaviour_of(Script script, sim::Behaviour old) {
    old.on_request = [on_request = std::move(script.on_request)](sim::Peer& peer) {
        on_request ? on_request(Connection(peer)) : peer.upgrade();
    };
    old.on_message = nullptr;
    if (script.on_message) {
        old.on_message = [on_message = std::move(script.on_message)](sim::Peer& peer, const sim::Message& message) {
            on_message(Connection(peer), static_cast<Opcode>(message.opcode), message.payload);
        };
    }
    old.on_frame = [on_ping = std::move(script.on_ping), on_close = std::move(script.on_close)](
                       sim::Peer& peer, const sim::Frame& frame) {
        if (on_ping && frame.opcode == sim::opcode::ping) return on_ping(Connection(peer), frame.payload);
        if (on_close && frame.opcode == sim::opcode::close && !peer.close_sent) {
            return on_close(Connection(peer), static_cast<CloseCode>(frame.close_code()), frame.close_reason());
        }
        sim::answer_control(peer, frame);
    };
    old.on_eof = [](sim::Peer& peer) { peer.finish(); };
    return old;
}

}  // namespace

void Connection::accept(const std::vector<Header>& headers) { peer_->upgrade(lines(headers)); }
void Connection::refuse(int status, const std::vector<Header>& headers, std::string_view body) {
    peer_->write("HTTP/1.1 " + std::to_string(status) + " No\r\n" + lines(headers) +
                 "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body));
}
void Connection::send_text(std::string_view text) { peer_->send_message(sim::opcode::text, text); }
void Connection::send_binary(std::string_view bytes) { peer_->send_message(sim::opcode::binary, bytes); }
void Connection::ping(std::string_view payload) { peer_->send(sim::ping_frame(std::string(payload))); }
void Connection::close(CloseCode code, std::string_view reason) {
    if (!peer_->close_sent) peer_->send(sim::close_frame(static_cast<unsigned>(code), reason));
}
void Connection::write(std::string_view bytes) { peer_->write(bytes); }
void Connection::finish() { peer_->finish(); }
void Connection::reset() { peer_->reset(); }
void Connection::stall() { peer_->wire().stall(); }
void Connection::pause() { peer_->pause(); }
void Connection::resume() {
    peer_->wire().resume();
    peer_->resume();
}
std::size_t Connection::number() const { return peer_->number; }
std::string Connection::target() const { return peer_->request.target; }
std::string Connection::header(std::string_view name) const { return peer_->request.header(name); }
std::vector<std::string> Connection::messages() const {
    std::vector<std::string> all;
    all.reserve(peer_->messages.size());
    for (const sim::Message& message : peer_->messages) all.push_back(message.payload);
    return all;
}
CloseCode Connection::close_code() const {
    const auto closes = peer_->received(sim::opcode::close);
    return closes.empty() ? CloseCode::abnormal : static_cast<CloseCode>(closes.front().close_code());
}
bool Connection::open() const {
    return peer_->upgraded && !peer_->eof && !peer_->was_reset && !peer_->wire().down.ended();
}

Script echo() {
    return {.on_message = [](Connection connection, Opcode opcode, std::string_view message) {
        opcode == Opcode::text ? connection.send_text(message) : connection.send_binary(message);
    }};
}

void Server::script(Script script) {
    server_.behaviour = behaviour_of(std::move(script), std::move(server_.behaviour));
}
void Server::accept(Accept how) { server_.behaviour.accept = static_cast<sim::Behaviour::Accept>(how); }
void Server::links(const Link& up, const Link& down) {
    server_.behaviour.up = up;
    server_.behaviour.down = down;
}
std::vector<Connection> Server::connections() const {
    std::vector<Connection> all;
    all.reserve(server_.peers.size());
    for (sim::Peer* peer : server_.peers) all.emplace_back(*peer);
    return all;
}
Connection Server::last() const { return Connection(server_.last()); }
const std::vector<TimePoint>& Server::attempts() const { return server_.attempts; }

// --- the world -----------------------------------------------------------------------------------------------------

class World::Impl {
public:
    explicit Impl(std::uint64_t seed) : world(seed), weather(seed ^ 0x3a11u) {}

    void change(const FaultPlan& plan, TimePoint end);

    sim::World world;
    std::deque<std::unique_ptr<Server>> servers;
    std::deque<std::string> names;

private:
    void disturb(const FaultPlan& plan, sim::Peer& peer);
    void calm();

    sim::Random weather;
    std::vector<std::pair<sim::Server*, sim::Behaviour>> before_;  ///< The storm.
    std::vector<sim::Peer*> stalled_;
};

World::World(std::uint64_t seed) : impl_(std::make_unique<Impl>(seed)) {}
World::~World() = default;

Server& World::server(std::string_view host, std::uint16_t port, Script script) {
    const bool literal = host.find(':') != host.npos || host.find_first_not_of("0123456789.") == host.npos;
    // 198.18.0.0/15 is set aside for such networks (RFC 2544).
    const std::size_t number = impl_->servers.size();
    const std::string address =
        literal ? std::string(host) : "198.18." + std::to_string(number / 250) + "." + std::to_string(number % 250 + 1);
    if (!literal) name(host).addresses.push_back(address);
    sim::Server& made = impl_->world.server(address, port, behaviour_of(std::move(script), {}));
    impl_->servers.push_back(std::unique_ptr<Server>(new Server(made)));
    return *impl_->servers.back();
}

Name& World::name(std::string_view host) {
    const std::string text(host);
    if (std::find(impl_->names.begin(), impl_->names.end(), text) == impl_->names.end()) impl_->names.push_back(text);
    return impl_->world.dns(text);
}

TimePoint World::now() const { return impl_->world.now(); }
void World::run_for(Duration time) { impl_->world.run_for(time); }
bool World::run_until(const std::function<bool()>& predicate, Duration limit) {
    return impl_->world.run_until(predicate, limit);
}
void World::after(Duration delay, std::function<void()> action) { impl_->world.after(delay, std::move(action)); }
std::string World::report() const { return impl_->world.report(); }

void World::storm(const FaultPlan& plan, Duration time) { impl_->change(plan, now() + time); }

void World::Impl::change(const FaultPlan& plan, TimePoint end) {
    calm();
    if (world.now() >= end) return;
    for (const std::string& host : names) {
        if (weather.chance(plan.no_name)) world.dns(host).error = Errc::host_not_found;
    }
    for (const auto& server : servers) {
        sim::Server& each = server->server_;
        before_.emplace_back(&each, each.behaviour);
        using Accept = sim::Behaviour::Accept;
        if (weather.chance(plan.black_hole)) each.behaviour.accept = Accept::black_hole;
        if (weather.chance(plan.refuse)) each.behaviour.accept = Accept::refuse;
        if (weather.chance(plan.slow_link)) {
            each.behaviour.up.delay = each.behaviour.down.delay = std::chrono::milliseconds(weather.below(1000));
            each.behaviour.up.bytes_per_second = each.behaviour.down.bytes_per_second = weather.between(2'000, 100'000);
        }
        for (sim::Peer* peer : each.peers) {
            if (Connection(*peer).open()) disturb(plan, *peer);
        }
    }
    const auto mean = static_cast<std::uint64_t>(std::max<Duration::rep>(plan.change_every.count(), 1));
    const Duration pause(static_cast<Duration::rep>(1 + weather.below(2 * mean)));
    world.at(std::min(world.now() + pause, end), [this, plan, end] { change(plan, end); });
}

void World::Impl::disturb(const FaultPlan& plan, sim::Peer& peer) {
    if (weather.chance(plan.reset)) return peer.reset();
    if (weather.chance(plan.finish)) return peer.finish();
    if (weather.chance(plan.going_away)) return Connection(peer).close(CloseCode::going_away);
    if (!weather.chance(plan.stall)) return;
    peer.wire().stall();
    stalled_.push_back(&peer);
}

void World::Impl::calm() {
    for (auto& [server, behaviour] : std::exchange(before_, {})) server->behaviour = std::move(behaviour);
    for (sim::Peer* peer : std::exchange(stalled_, {})) peer->wire().resume();
    for (const std::string& host : names) {
        if (world.dns(host).error == Errc::host_not_found) world.dns(host).error = {};
    }
}

// --- the client ----------------------------------------------------------------------------------------------------

class Client::Impl : public std::enable_shared_from_this<Client::Impl> {
public:
    Impl(sim::World& where, Config settings)
        : world(where), config(settings), client(where.client(std::move(settings))) {
        client.on_event = [this](const sim::Entry& entry) { deliver(entry); };
        client.keep_log(false);
    }
    /// The last thing: no handler runs after it. One that is running may be the one that wants it.
    void finish() {
        over_ = true;
        client.on_event = nullptr;
        client.on_prepare = nullptr;
        client.stop();
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    template <class Handler>
    std::error_code set(Handler& place, Handler handler) {
        if (client.state() != State::idle) return Errc::handlers_in_use;
        place = std::move(handler);
        return {};
    }
    std::error_code end(std::chrono::milliseconds limit);
    Error connect();
    void prepare(std::function<void(Attempt&)> handler);

    sim::World& world;
    const Config config;
    sim::Client& client;
    std::function<void(MessageView)> on_message;
    std::function<void(const ChunkView&)> on_chunk;
    std::function<void(const Handshake&)> on_open;
    std::function<void(const CloseInfo&)> on_close;
    std::function<void(const Error&, bool)> on_error;
    std::function<void(std::uint64_t, Fate, const Error&)> on_fate;
    std::function<void(const Event&)> on_event;

private:
    void deliver(const sim::Entry& entry);
    void call(const sim::Entry& entry, const Event& event);

    bool over_ = false;
    int inside_ = 0;  ///< A handler.
    Error last_error_;
};

void Client::Impl::deliver(const sim::Entry& entry) {
    Event event;
    event.kind = entry.kind;
    event.opcode = entry.opcode;
    event.bytes = as_bytes(entry.bytes);
    event.chunk = entry.chunk;
    event.chunk.bytes = event.bytes;
    event.handshake = &entry.handshake;
    event.close = &entry.close;
    event.error = entry.error ? &entry.error : nullptr;
    event.attempt = entry.attempt;
    event.delay = entry.delay;
    event.round_trip = entry.round_trip;
    event.number = entry.number;
    event.fate = entry.fate;
    if (entry.error) last_error_ = entry.error;
    const auto self = shared_from_this();
    ++inside_;
    // As with `tern::Client`, a handler that throws is an error, and the client goes on.
    try {
        call(entry, event);
    } catch (const std::exception& thrown) {
        if (!over_ && on_error) on_error(Error(Errc::handler_threw, Phase::none, thrown.what()), false);
    }
    --inside_;
}

void Client::Impl::call(const sim::Entry& entry, const Event& event) {
    using Kind = Event::Kind;
    if (on_event) on_event(event);
    if (over_) return;
    switch (entry.kind) {
        case Kind::message:
            if (on_message) on_message(event.message());
            break;
        case Kind::chunk:
            if (on_chunk) on_chunk(event.chunk);
            break;
        case Kind::open:
            if (on_open) on_open(entry.handshake);
            break;
        case Kind::closed:
            if (on_close) on_close(entry.close);
            break;
        case Kind::fate:
            if (on_fate) on_fate(entry.number, entry.fate, entry.error);
            break;
        case Kind::reconnecting:
        case Kind::switch_failed:
        case Kind::failed:
            if (on_error) on_error(entry.error, entry.kind == Kind::failed);
            break;
        default: break;
    }
}

void Client::Impl::prepare(std::function<void(Attempt&)> handler) {
    client.on_prepare = nullptr;
    if (!handler) return;
    client.on_prepare = [this, handler = std::move(handler)](StreamId id, std::uint32_t) {
        Attempt attempt{.url = config.url,
                        .headers = config.headers,
                        .user = config.user,
                        .password = config.password,
                        .bearer_token = config.bearer_token};
        Error error;
        try {
            handler(attempt);
        } catch (const std::exception& thrown) {
            error = Error(Errc::prepare_failed, Phase::none, thrown.what());
        }
        world.after(Duration{0}, [self = weak_from_this(), id, attempt, error] {
            if (const auto impl = self.lock()) impl->client.prepared(id, attempt, error);
        });
    };
}

Error Client::Impl::connect() {
    if (inside_ != 0) return Errc::would_deadlock;
    last_error_ = {};
    if (Error error = client.start(StartMode::once)) return error;
    const auto decided = [this] { return client.state() == State::open || client.state() == State::idle; };
    world.run_until(decided, config.timeouts.attempt + std::chrono::seconds(1));
    if (client.state() == State::open) return {};
    client.stop();
    return last_error_;
}

std::error_code Client::Impl::end(std::chrono::milliseconds limit) {
    const bool closing = limit.count() > 0 && client.state() != State::idle;
    if (closing) static_cast<void>(client.close(CloseCode::going_away));
    if (closing && inside_ != 0) {
        world.after(limit, [self = weak_from_this()] {
            if (const auto impl = self.lock()) impl->client.stop();
        });
        return {};
    }
    if (closing) world.run_until([this] { return client.state() == State::idle; }, limit);
    client.stop();
    return {};
}

Client::Client(World& world, Config config) : impl_(std::make_shared<Impl>(world.impl_->world, std::move(config))) {}
Client::~Client() {
    if (impl_ != nullptr) impl_->finish();
}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&& other) noexcept {
    if (impl_ != nullptr && this != &other) impl_->finish();
    impl_ = std::move(other.impl_);
    return *this;
}

std::error_code Client::on_message(std::function<void(MessageView)> handler) {
    return impl_->set(impl_->on_message, std::move(handler));
}
std::error_code Client::on_chunk(std::function<void(const ChunkView&)> handler) {
    return impl_->set(impl_->on_chunk, std::move(handler));
}
std::error_code Client::on_open(std::function<void(const Handshake&)> handler) {
    return impl_->set(impl_->on_open, std::move(handler));
}
std::error_code Client::on_close(std::function<void(const CloseInfo&)> handler) {
    return impl_->set(impl_->on_close, std::move(handler));
}
std::error_code Client::on_error(std::function<void(const Error&, bool)> handler) {
    return impl_->set(impl_->on_error, std::move(handler));
}
std::error_code Client::on_fate(std::function<void(std::uint64_t, Fate, const Error&)> handler) {
    return impl_->set(impl_->on_fate, std::move(handler));
}
std::error_code Client::on_event(std::function<void(const Event&)> handler) {
    return impl_->set(impl_->on_event, std::move(handler));
}
std::error_code Client::before_attempt(std::function<void(Attempt&)> handler) {
    if (impl_->client.state() != State::idle) return Errc::handlers_in_use;
    impl_->prepare(std::move(handler));
    return {};
}

Error Client::start() { return impl_->client.start(); }
Error Client::connect() { return impl_->connect(); }
std::error_code Client::close(CloseCode code, std::string_view reason) { return impl_->client.close(code, reason); }
void Client::reconnect_now() { impl_->client.reconnect_now(); }
std::error_code Client::refresh() { return impl_->client.refresh(); }
void Client::pause() { impl_->client.pause(); }
void Client::resume() { impl_->client.resume(); }
void Client::stop() { static_cast<void>(stop(impl_->config.timeouts.stop)); }
std::error_code Client::stop(std::chrono::milliseconds limit) { return impl_->end(limit); }
std::error_code Client::send_text(std::string_view text, const SendOptions& options) {
    return impl_->client.send(Opcode::text, text, options);
}
std::error_code Client::send_binary(Bytes bytes, const SendOptions& options) {
    return impl_->client.send(Opcode::binary, as_text(bytes), options);
}
std::error_code Client::send_part(Opcode opcode, Bytes bytes, bool fin, const SendOptions& options) {
    return impl_->client.send_part(opcode, as_text(bytes), fin, options);
}
std::error_code Client::ping(std::string_view payload) { return impl_->client.ping(payload); }
State Client::state() const { return impl_->client.state(); }
Stats Client::stats() const { return impl_->client.stats(); }

}  // namespace tern::testing
