#include "websocket.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <shared_mutex>
#include <unordered_map>
#include <utility>

#include "errors.hpp"
#include "esp_log.h"

namespace tern::esp {
namespace {

using namespace std::chrono_literals;

constexpr const char* log_tag = "websocket_client";
/// After both Close frames the server should end TCP (RFC 6455 section 7.1.1); then we do.
constexpr auto linger = 1s;
/// A handler that is busy when its client has to end gets so much more.
constexpr auto grace = 1s;
/// A shared thread that does not answer for so long is held up by the handler of another client.
constexpr auto loop_patience = 500ms;

}  // namespace

Websocket::Websocket(Options options, esp_websocket_client_handle_t handle)
    : handle_(handle), options_(std::move(options)) {}

Websocket::~Websocket() {
    cancel_timers();
    if (carrier_ != nullptr) carrier_->let_go();
}

// --- life ----------------------------------------------------------------------------------------------------------

esp_err_t Websocket::start() {
    const Lock lock(mutex_);
    if (destroyed_) return ESP_ERR_INVALID_ARG;
    if (state_ != State::idle) {
        ESP_LOGE(log_tag, "The client has started");
        return ESP_FAIL;
    }
    if (const std::string obstacle = options_.obstacle(); !obstacle.empty()) {
        ESP_LOGE(log_tag, "start: %s", obstacle.c_str());
        return ESP_FAIL;
    }
    const std::weak_ptr<Websocket> weak = weak_from_this();
    auto carrier = std::make_shared<Carrier>(options_.config(), options_.own_task);
    stop_all_at_exit(false);
    const Error error = Carrier::start(carrier, {.on_event =
                                                     [weak](const Event& event) {
                                                         if (const auto self = weak.lock()) self->on_event(event);
                                                     },
                                                 .before_attempt =
                                                     [weak](Attempt& attempt) {
                                                         const auto self = weak.lock();
                                                         if (self == nullptr) return;
                                                         const Lock inner(self->mutex_);
                                                         self->options_.prepare(attempt, self->headers_);
                                                     }});
    if (error) {
        ESP_LOGE(log_tag, "start: %s", error.message().c_str());
        return ESP_FAIL;
    }
    carrier_ = std::move(carrier);
    ++life_;
    state_ = State::connecting;
    headers_ = options_.headers;
    begun_ = attempting_ = stop_wanted_ = close_wanted_ = close_received_ = false;
    doom_ = Doom::none;
    return ESP_OK;
}

esp_err_t Websocket::begin_stop() {
    const Lock lock(mutex_);
    if (state_ == State::idle) return ESP_FAIL;
    stop_wanted_ = true;
    if (carrier_ != nullptr) carrier_->client().begin_stop(0ms);
    return ESP_OK;
}

esp_err_t Websocket::stop() {
    std::uint64_t life = 0;
    std::chrono::milliseconds patience{0};
    {
        const Lock lock(mutex_);
        life = life_;
        patience = options_.network_timeout;
    }
    if (begin_stop() != ESP_OK) {
        ESP_LOGW(log_tag, "The client is not running");
        return ESP_FAIL;
    }
    if (Handlers::inside()) return ESP_OK;
    const Clock::time_point until = Clock::now() + patience;
    Lock lock(mutex_);
    return wait_for_finish(lock, life, until) && wait_for_grave(lock, until) ? ESP_OK : ESP_FAIL;
}

void Websocket::destroy() {
    const auto self = shared_from_this();
    Lock lock(mutex_);
    destroyed_ = true;
    const std::uint64_t life = life_;
    const bool running = finished_ < life;
    if (running) {
        lock.unlock();
        begin_stop();
        lock.lock();
    }
    if (Handlers::inside()) {
        // Nothing may come after this call, so what is left to be said is said now.
        if (running && life_ == life) static_cast<void>(end_here(lock, true));
        handlers_.mute();
        return;
    }
    if (running) static_cast<void>(wait_for_finish(lock, life, Clock::time_point::max()));
    static_cast<void>(wait_for_grave(lock, Clock::time_point::max()));
    lock.unlock();
    handlers_.mute();
    handlers_.wait_until_quiet();
}

bool Websocket::destroy_on_exit() {
    const Lock lock(mutex_);
    destroy_on_exit_ = true;
    return state_ == State::idle && life_ != 0 && finished_ == life_;
}

esp_err_t Websocket::close(CloseCode code, std::string_view text, TickType_t ticks) {
    Lock lock(mutex_);
    if (state_ == State::idle || state_ == State::ending || state_ == State::waiting) {
        ESP_LOGW(log_tag, "close: there is no connection");
        return ESP_FAIL;
    }
    const std::uint64_t life = life_;
    if (state_ == State::connecting) {
        lock.unlock();
        return stop();
    }
    if (const std::error_code error = begin_close(code, text); error && error != Errc::already_closing) {
        ESP_LOGE(log_tag, "close: %s", error.message().c_str());
        // What is left is that the connection has just ended; the loop is about to say so.
        if (error != Errc::not_connected) return ESP_ERR_INVALID_ARG;
    }
    state_ = State::closing;
    close_wanted_ = true;
    if (options_.close_reconnect) {
        if (!close_received_) arm_end(Clock::now() + options_.network_timeout, Doom::close_timeout);
        return ESP_OK;
    }
    if (Handlers::inside()) {
        if (!close_received_) arm_end(after(ticks), Doom::close_timeout);
        return ESP_OK;
    }
    if (wait_for_finish(lock, life, after(ticks))) {
        static_cast<void>(wait_for_grave(lock, Clock::now() + grace));
        return ESP_OK;
    }
    if (life_ != life || carrier_ == nullptr) return ESP_OK;
    stop_wanted_ = true;
    carrier_->client().begin_stop(0ms);
    return wait_for_finish(lock, life, Clock::now() + grace) ? ESP_OK : ESP_FAIL;
}

/// The Close frame. It ends the life, unless the client is to connect again behind it.
std::error_code Websocket::begin_close(CloseCode code, std::string_view text) {
    if (carrier_ == nullptr) return Errc::not_connected;
    Client& client = carrier_->client();
    return options_.close_reconnect ? client.reopen(code, text) : client.close(code, text);
}

/// For the end that somebody has asked for. It is made here when the thread that should make it is held up by the
/// handler of another client.
bool Websocket::wait_for_finish(Lock& lock, std::uint64_t life, Clock::time_point until) {
    const auto finished = [&] { return finished_ >= life; };
    for (;;) {
        const Clock::time_point now = Clock::now();
        const Clock::time_point next = until - now > loop_patience ? now + loop_patience : until;
        if (wait_until(changed_, lock, next, finished)) return true;
        if (life_ == life && stop_wanted_ && end_here(lock, false)) return true;
        if (next == until) return finished();
    }
}

/// Until the thread of the life is gone too: who stops a client may end the program next.
bool Websocket::wait_for_grave(Lock& lock, Clock::time_point until) const {
    const std::shared_ptr<Carrier::Grave> grave = grave_;
    if (grave == nullptr) return true;
    lock.unlock();
    const bool done = grave->wait(until);
    lock.lock();
    return done;
}

/// The end of a life. On return the lock is held again.
void Websocket::finish(Lock& lock) {
    const auto carrier = std::exchange(carrier_, nullptr);
    if (carrier == nullptr) return;  // it was ended by somebody else
    const std::uint64_t life = life_;
    cancel_timers();
    state_ = State::idle;
    lock.unlock();
    post(WEBSOCKET_EVENT_FINISH);
    carrier->let_go();
    lock.lock();
    grave_ = carrier->grave();
    finished_ = std::max(finished_, life);
    changed_.notify_all();
    if (destroy_on_exit_ && life == life_) Registry::take(handle_);
}

/// Ends the life on this thread, with the events that are left. `inside`: whatever the carrier's thread is doing;
/// otherwise false when that is delivering an event of this client, or there is nothing to end.
bool Websocket::end_here(Lock& lock, bool inside) {
    const auto carrier = carrier_;
    if (carrier == nullptr) return false;
    if (inside) {
        carrier->let_go();
    } else if (!carrier->try_let_go()) {
        return false;
    }
    const bool first = !std::exchange(begun_, true);
    const bool attempt = std::exchange(attempting_, false);
    const bool open = !attempt && (state_ == State::connected || state_ == State::closing);
    state_ = State::ending;
    lock.unlock();
    if (first) post(WEBSOCKET_EVENT_BEGIN);
    if (attempt) tell_failure(Error(Errc::stopped, Phase::connect));
    if (open) post(WEBSOCKET_EVENT_DISCONNECTED);
    lock.lock();
    finish(lock);
    return true;
}

// --- what the connection tells -------------------------------------------------------------------------------------

void Websocket::on_event(const Event& event) {
    switch (event.kind) {
        case Event::Kind::connecting: return on_connecting();
        case Event::Kind::redirected: post_headers(event.error->response); return post(WEBSOCKET_EVENT_BEFORE_CONNECT);
        case Event::Kind::open: return on_open(*event.handshake);
        case Event::Kind::chunk: return on_chunk(event.chunk);
        case Event::Kind::pong: {
            const Lock lock(mutex_);
            pong_missing_since_.reset();
            break;
        }
        case Event::Kind::ping: break;
        case Event::Kind::closing: return on_closing(event);
        case Event::Kind::closed: return on_connection_end(*event.close);
        case Event::Kind::reconnecting: return on_reconnecting(event);
        case Event::Kind::failed: return on_given_up(*event.error);
        default: return;
    }
    deliver_frame(static_cast<std::uint8_t>(event.opcode), event.bytes);
}

void Websocket::on_connecting() {
    bool first = false;
    {
        const Lock lock(mutex_);
        first = !std::exchange(begun_, true);
        attempting_ = true;
        if (!stop_wanted_) state_ = State::connecting;
        status_ = close_status_ = 0;
        doom_ = Doom::none;
        close_received_ = false;
    }
    if (first) post(WEBSOCKET_EVENT_BEGIN);
    post(WEBSOCKET_EVENT_BEFORE_CONNECT);
}

void Websocket::on_open(const Handshake& handshake) {
    {
        const Lock lock(mutex_);
        status_ = handshake.response.status;
        attempting_ = false;
    }
    post_headers(handshake.response);
    {
        const Lock lock(mutex_);
        if (!stop_wanted_) state_ = State::connected;
        stop_all_at_exit(true);
        pinged_ = Clock::now();
        pong_missing_since_.reset();
        arm_ping(pinged_ + options_.ping_interval);
    }
    post(WEBSOCKET_EVENT_CONNECTED);
}

void Websocket::on_chunk(const ChunkView& chunk) {
    if (chunk.frame_length > static_cast<std::uint64_t>(std::numeric_limits<int>::max())) {
        const Lock lock(mutex_);
        if (doom_ == Doom::none) drop(Doom::frame_too_long);
        return;
    }
    std::size_t room = 0;
    {
        const Lock lock(mutex_);
        room = options_.buffer_size;
        ++delivering_;
        // The pong may be stuck behind this frame; while its bytes arrive, the link is alive.
        const bool inside_frame = chunk.frame_offset + chunk.bytes.size() < chunk.frame_length;
        if (inside_frame && pong_missing_since_) pong_missing_since_ = Clock::now();
    }
    std::string_view rest = chunk.text();
    auto offset = static_cast<int>(chunk.frame_offset);
    do {
        const std::string_view piece = rest.substr(0, room);
        rest.remove_prefix(piece.size());
        post(WEBSOCKET_EVENT_DATA, {.data = piece,
                                    .fin = chunk.frame_fin,
                                    .opcode = static_cast<std::uint8_t>(chunk.frame_opcode),
                                    .length = static_cast<int>(chunk.frame_length),
                                    .offset = offset});
        offset += static_cast<int>(piece.size());
    } while (!rest.empty() && !ending());
    const Lock lock(mutex_);
    --delivering_;
}

void Websocket::deliver_frame(std::uint8_t opcode, Bytes payload) {
    {
        const Lock lock(mutex_);
        ++delivering_;
    }
    post(WEBSOCKET_EVENT_DATA,
         {.data = as_text(payload), .fin = true, .opcode = opcode, .length = static_cast<int>(payload.size())});
    const Lock lock(mutex_);
    --delivering_;
}

void Websocket::on_closing(const Event& event) {
    {
        const Lock lock(mutex_);
        state_ = State::closing;
        close_received_ = true;
        close_status_ = event.close->code == CloseCode::no_status ? 0 : static_cast<int>(event.close->code);
    }
    deliver_frame(static_cast<std::uint8_t>(Opcode::close), event.bytes);
    const Lock lock(mutex_);
    arm_end(Clock::now() + linger, Doom::linger);
}

void Websocket::on_connection_end(const CloseInfo& close) {
    bool wanted = false;
    bool again = false;
    Doom doom = Doom::none;
    {
        const Lock lock(mutex_);
        cancel_timers();
        doom = doom_;
        const bool wanted_again = close.received ? options_.close_reconnect : options_.auto_reconnect;
        wanted = stop_wanted_ || (close_wanted_ && !options_.close_reconnect);
        again = close.will_reconnect && wanted_again && !wanted;
        close_wanted_ = false;
        state_ = State::ending;
    }
    if (close.received) {
        esp_websocket_error_codes_t codes{};
        codes.esp_ws_handshake_status_code = status_;
        if (again) codes.error_type = WEBSOCKET_ERROR_TYPE_SERVER_CLOSE;
        post(WEBSOCKET_EVENT_CLOSED, {}, codes);
    } else if (wanted) {
        post(WEBSOCKET_EVENT_DISCONNECTED);
    } else {
        tell_failure(cause(doom, close.error));
    }
    Lock lock(mutex_);
    if (!again || stop_wanted_) finish(lock);
}

/// Why a connection has ended that this side has dropped; the core only knows that it did.
Error Websocket::cause(Doom doom, const Error& told) {
    switch (doom) {
        case Doom::pong: return Error(Errc::pong_timeout, Phase::open);
        case Doom::close_timeout: return Error(Errc::close_timeout, Phase::closing);
        case Doom::frame_too_long:
            return Error(Errc::message_too_big, Phase::open, "a frame is longer than an int can say");
        default: return told;
    }
}

/// The core will try again; of an attempt that has failed nobody was told yet.
void Websocket::on_reconnecting(const Event& event) {
    bool again = true;
    Lock lock(mutex_);
    if (attempting_) {
        again = options_.auto_reconnect;
        lock.unlock();
        tell_failed_attempt(*event.error);
        lock.lock();
    }
    if (!again || stop_wanted_) return finish(lock);
    state_ = State::waiting;
    lock.unlock();
    ESP_LOGW(log_tag, "Reconnect after %d ms", static_cast<int>(event.delay.count()));
}

void Websocket::on_given_up(const Error& error) {
    Lock lock(mutex_);
    if (attempting_) {
        lock.unlock();
        tell_failed_attempt(error);
        lock.lock();
    }
    finish(lock);
}

void Websocket::tell_failed_attempt(const Error& error) {
    {
        const Lock lock(mutex_);
        attempting_ = false;
        state_ = State::ending;
        status_ = error.response.status;
    }
    post_headers(error.response);
    tell_failure(error);
}

void Websocket::tell_failure(const Error& error) {
    std::string text;
    const esp_websocket_error_codes_t codes = codes_of(error);
    {
        const Lock lock(mutex_);
        text = codes.error_type == WEBSOCKET_ERROR_TYPE_PONG_TIMEOUT
                   ? "no PONG received within " + std::to_string(options_.pong_timeout.count()) + " seconds"
                   : error.message();
        last_error_ = text;
    }
    ESP_LOGE(log_tag, "%s", text.c_str());
    post(WEBSOCKET_EVENT_ERROR, {.data = text}, codes);
    post(WEBSOCKET_EVENT_DISCONNECTED, {}, codes);
}

// --- timers --------------------------------------------------------------------------------------------------------

void Websocket::arm_ping(Clock::time_point at) {
    if (ping_timer_ != 0) Service::clients().cancel(ping_timer_);
    if (options_.pong_required && pong_missing_since_) at = std::min(at, *pong_missing_since_ + options_.pong_timeout);
    ping_timer_ = Service::clients().at(at, [weak = weak_from_this(), life = life_] {
        if (const auto self = weak.lock()) self->on_ping_time(life);
    });
}

void Websocket::on_ping_time(std::uint64_t life) {
    const Lock lock(mutex_);
    if (state_ != State::connected || life != life_) return;
    ping_timer_ = 0;
    const Clock::time_point now = Clock::now();
    if (options_.pong_required && pong_missing_since_ && now >= *pong_missing_since_ + options_.pong_timeout) {
        if (delivering_ == 0 && !carrier_->held_up()) return drop(Doom::pong);
        // A handler is slow, not the peer: what has arrived is read first.
        pong_missing_since_ = now - options_.pong_timeout + grace;
    }
    if (now >= pinged_ + options_.ping_interval) {
        static_cast<void>(carrier_->client().ping());
        pinged_ = now;
        if (!pong_missing_since_) pong_missing_since_ = now;
    }
    arm_ping(pinged_ + options_.ping_interval);
}

void Websocket::arm_end(Clock::time_point at, Doom why) {
    if (end_timer_ != 0) Service::clients().cancel(end_timer_);
    end_timer_ = 0;
    if (at == Clock::time_point::max()) return;
    end_timer_ = Service::clients().at(at, [weak = weak_from_this(), life = life_, why] {
        const auto self = weak.lock();
        if (self == nullptr) return;
        const Lock lock(self->mutex_);
        if (self->life_ == life && self->state_ == State::closing) self->drop(why);
    });
}

void Websocket::drop(Doom why) {
    doom_ = why;
    if (carrier_ != nullptr) static_cast<void>(carrier_->client().abort());
}

void Websocket::cancel_timers() {
    for (Service::Id* timer : {&ping_timer_, &end_timer_}) {
        if (*timer != 0) Service::clients().cancel(*timer);
        *timer = 0;
    }
}

// --- events --------------------------------------------------------------------------------------------------------

void Websocket::post(int id, const Piece& piece, const esp_websocket_error_codes_t& codes) {
    esp_websocket_event_data_t data{};
    data.data_ptr = piece.data.empty() ? nullptr : piece.data.data();
    data.data_len = static_cast<int>(piece.data.size());
    data.fin = piece.fin;
    data.op_code = piece.opcode;
    data.client = handle_;
    data.payload_len = piece.length;
    data.payload_offset = piece.offset;
    data.error_handle = codes;
    {
        const Lock lock(mutex_);
        data.user_context = options_.user_context;
        data.close_status_code = close_status_;
    }
    // Another handler can be waiting for this one to end, if this is inside one.
    const bool may_wait = !Handlers::inside();
    handlers_.call(WEBSOCKET_EVENTS, id, &data,
                   may_wait ? std::nullopt : std::optional<std::chrono::milliseconds>(grace));
}

void Websocket::post_headers([[maybe_unused]] const Response& response) {
#if WS_TRANSPORT_HEADER_CALLBACK_SUPPORT
    for (const Header& field : response.headers) {
        constexpr std::string_view hidden = "sec-websocket-accept";
        const bool same = field.name.size() == hidden.size() &&
                          std::equal(hidden.begin(), hidden.end(), field.name.begin(),
                                     [](char small, char c) { return small == (c >= 'A' && c <= 'Z' ? c + 32 : c); });
        if (same) continue;
        const std::string line = field.name + ": " + field.value;
        post(WEBSOCKET_EVENT_HEADER_RECEIVED, {.data = line});
    }
#endif
}

esp_websocket_error_codes_t Websocket::codes_of(const Error& error) const {
    esp_websocket_error_codes_t codes = error_codes(error);
    const Lock lock(mutex_);
    codes.esp_ws_handshake_status_code = status_;
    return codes;
}

bool Websocket::ending() const {
    const Lock lock(mutex_);
    return stop_wanted_ || doom_ != Doom::none;
}

// --- sending -------------------------------------------------------------------------------------------------------

/// Null: not connected, or too much waits for the network and does not go within the time.
std::shared_ptr<Carrier> Websocket::room_to_send(TickType_t ticks, bool control) const {
    std::shared_ptr<Carrier> carrier;
    std::size_t window = 0;
    {
        const Lock lock(mutex_);
        if (state_ == State::connected) carrier = carrier_;
        window = options_.send_window;
    }
    if (carrier == nullptr || control || carrier->client().stats().send_queued <= window) return carrier;
    if (carrier->client().flush(to_milliseconds(ticks), window)) return nullptr;
    return carrier;
}

int Websocket::send(Opcode opcode, std::string_view data, TickType_t ticks) {
    const auto carrier = room_to_send(ticks, false);
    if (carrier == nullptr) return -1;
    Client& client = carrier->client();
    const std::error_code error = opcode == Opcode::text ? client.send_text(data) : client.send_binary(as_bytes(data));
    if (error) ESP_LOGE(log_tag, "send: %s", error.message().c_str());
    return error ? -1 : static_cast<int>(data.size());
}

int Websocket::send_part(Opcode opcode, std::string_view data, bool fin, TickType_t ticks) {
    const auto carrier = room_to_send(ticks, false);
    if (carrier == nullptr) return -1;
    Client& client = carrier->client();
    const std::error_code error = client.send_part(opcode, as_bytes(data), fin);
    if (error) ESP_LOGE(log_tag, "send: %s", error.message().c_str());
    return error ? -1 : static_cast<int>(data.size());
}

int Websocket::send_control(Opcode opcode, std::string_view data, TickType_t ticks) {
    const auto carrier = room_to_send(ticks, true);
    if (carrier == nullptr) return -1;
    Client& client = carrier->client();
    std::error_code error;
    if (opcode == Opcode::ping) {
        error = client.ping(data);
    } else if (opcode == Opcode::pong) {
        error = client.pong(data);
    } else {
        if (data.size() == 1) return -1;  // RFC 6455 section 5.5.1: two bytes of code, or none
        const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(data[at]); };
        const CloseCode code = data.empty() ? CloseCode::no_status : static_cast<CloseCode>(byte(0) << 8u | byte(1));
        const Lock lock(mutex_);
        error = begin_close(code, data.empty() ? data : data.substr(2));
        if (!error && state_ == State::connected) {
            state_ = State::closing;
            close_wanted_ = true;
            arm_end(Clock::now() + options_.network_timeout, Doom::close_timeout);
        }
    }
    if (error) ESP_LOGE(log_tag, "send: %s", error.message().c_str());
    return error ? -1 : static_cast<int>(data.size());
}

esp_err_t Websocket::flush(TickType_t ticks) {
    std::shared_ptr<Carrier> carrier;
    {
        const Lock lock(mutex_);
        carrier = carrier_;
    }
    if (carrier == nullptr) return ESP_ERR_INVALID_STATE;
    const std::error_code error = carrier->client().flush(to_milliseconds(ticks));
    if (error == Errc::call_timeout) return ESP_ERR_TIMEOUT;
    return error ? ESP_ERR_INVALID_STATE : ESP_OK;
}

// --- settings ------------------------------------------------------------------------------------------------------

bool Websocket::connected() const {
    const Lock lock(mutex_);
    return state_ == State::connected;
}

esp_err_t Websocket::set_uri(const char* uri) {
    UriParts parts;
    if (!UriParts::parse(uri, parts)) {
        ESP_LOGE(log_tag, "this is no URI: %s", uri);
        return ESP_FAIL;
    }
    const Lock lock(mutex_);
    options_.uri = std::move(parts);
    options_.uri_was_set = true;
    return ESP_OK;
}

esp_err_t Websocket::set_headers(const char* headers) {
    std::vector<Header> lines;
    if (!parse_headers(headers, lines)) return ESP_ERR_INVALID_ARG;
    const Lock lock(mutex_);
    if (state_ != State::connected) return ESP_ERR_INVALID_ARG;
    headers_ = headers;
    return ESP_OK;
}

esp_err_t Websocket::append_header(std::string_view key, std::string_view value) {
    if (!is_header(key, value)) return ESP_ERR_INVALID_ARG;
    const Lock lock(mutex_);
    if (!options_.headers.empty() && !options_.headers.ends_with('\n')) options_.headers += "\r\n";
    options_.headers.append(key).append(": ").append(value).append("\r\n");
    return ESP_OK;
}

std::chrono::seconds Websocket::ping_interval() const {
    const Lock lock(mutex_);
    return options_.ping_interval;
}

void Websocket::set_ping_interval(std::chrono::seconds interval) {
    const Lock lock(mutex_);
    options_.ping_interval = interval;
    if (state_ == State::connected) arm_ping(pinged_ + interval);
}

std::optional<std::chrono::milliseconds> Websocket::reconnect_timeout() const {
    const Lock lock(mutex_);
    if (!options_.auto_reconnect) return std::nullopt;
    return options_.reconnect_timeout;
}

esp_err_t Websocket::set_reconnect_timeout(std::chrono::milliseconds timeout) {
    if (timeout.count() <= 0) return ESP_ERR_INVALID_ARG;
    const Lock lock(mutex_);
    if (!options_.auto_reconnect) return ESP_ERR_INVALID_STATE;
    options_.reconnect_timeout = timeout;
    if (carrier_ != nullptr) {
        static_cast<void>(
            carrier_->client().set_reconnect_delays(timeout, std::max(timeout, options_.backoff.longest)));
    }
    return ESP_OK;
}

void Websocket::change(const std::function<void(Options&)>& how) {
    const Lock lock(mutex_);
    how(options_);
}

Stats Websocket::stats() const {
    std::shared_ptr<Carrier> carrier;
    {
        const Lock lock(mutex_);
        carrier = carrier_;
    }
    return carrier != nullptr ? carrier->client().stats() : Stats();
}

std::string Websocket::last_error() const {
    const Lock lock(mutex_);
    return last_error_;
}

// --- the end of the program ----------------------------------------------------------------------------------------

namespace {

/// Programs of this kind call exit() while clients run. What exit() takes down (the TLS library's state above all) must
/// not be in use then.
void stop_all() {
    const Clock::time_point until = Clock::now() + grace;
    for (const auto& client : Registry::all()) {
        client->handlers().mute();
        client->begin_stop();
    }
    Carrier::wait_for_all(until);
}

}  // namespace

/// Functions of atexit run in reverse order, so this is called again once everything else has registered its own.
void Websocket::stop_all_at_exit(bool open) {
    static std::once_flag at_start;
    static std::once_flag at_open;
    std::call_once(open ? at_open : at_start, [] { static_cast<void>(std::atexit(stop_all)); });
}

// --- registry ------------------------------------------------------------------------------------------------------

namespace {

struct Clients {
    std::shared_mutex mutex;
    std::uintptr_t last = 0;
    std::unordered_map<esp_websocket_client_handle_t, std::shared_ptr<Websocket>> by_handle;
};
Clients& clients() {
    static auto* const instance = new Clients;
    return *instance;
}

}  // namespace

std::vector<std::shared_ptr<Websocket>> Registry::all() {
    const std::shared_lock lock(clients().mutex);
    std::vector<std::shared_ptr<Websocket>> result;
    for (const auto& [handle, client] : clients().by_handle) result.push_back(client);
    return result;
}

esp_websocket_client_handle_t Registry::add(Options options) {
    constexpr std::uintptr_t step = 16;  // looks like an address, and is none
    const std::lock_guard lock(clients().mutex);
    clients().last += step;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): nobody looks behind it
    auto* const handle = reinterpret_cast<esp_websocket_client_handle_t>(clients().last);
    clients().by_handle.emplace(handle, std::make_shared<Websocket>(std::move(options), handle));
    return handle;
}

std::shared_ptr<Websocket> Registry::find(esp_websocket_client_handle_t handle) {
    const std::shared_lock lock(clients().mutex);
    const auto found = clients().by_handle.find(handle);
    return found == clients().by_handle.end() ? nullptr : found->second;
}

std::shared_ptr<Websocket> Registry::take(esp_websocket_client_handle_t handle) {
    const std::lock_guard lock(clients().mutex);
    auto node = clients().by_handle.extract(handle);
    return node.empty() ? nullptr : std::move(node.mapped());
}

std::size_t Registry::size() {
    const std::shared_lock lock(clients().mutex);
    return clients().by_handle.size();
}

}  // namespace tern::esp
