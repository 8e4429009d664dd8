#include "websocket.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>
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

/// The one place that decides on which thread a client lives.
std::shared_ptr<Client> make_client(Config config, bool /*own_task*/) {
    return std::make_shared<Client>(std::move(config));
}

}  // namespace

Websocket::Websocket(Options options, esp_websocket_client_handle_t handle)
    : handle_(handle), options_(std::move(options)) {}

Websocket::~Websocket() {
    cancel_timers();
    bury(std::move(engine_));
}

// --- life ----------------------------------------------------------------------------------------------------------

esp_err_t Websocket::start() {
    const Lock lock(mutex_);
    if (state_ != State::idle) {
        ESP_LOGE(log_tag, "The client has started");
        return ESP_FAIL;
    }
    if (const std::string obstacle = options_.obstacle(); !obstacle.empty()) {
        ESP_LOGE(log_tag, "start: %s", obstacle.c_str());
        return ESP_FAIL;
    }
    const std::weak_ptr<Websocket> weak = weak_from_this();
    engine_ = make_client(options_.config(), options_.own_task);
    static_cast<void>(engine_->on_event([weak](const Event& event) {
        const auto self = weak.lock();
        if (self == nullptr) return;
        self->on_event(event);
    }));
    static_cast<void>(engine_->before_attempt(std::function<void(Attempt&)>([weak](Attempt& attempt) {
        const auto self = weak.lock();
        if (self == nullptr) return;
        const Lock inner(self->mutex_);
        self->options_.prepare(attempt, self->headers_);
    })));
    if (const Error error = engine_->start()) {
        ESP_LOGE(log_tag, "start: %s", error.message().c_str());
        burial_ = bury(std::exchange(engine_, nullptr));
        return ESP_FAIL;
    }
    ++life_;
    state_ = State::connecting;
    headers_ = options_.headers;
    begun_ = stop_wanted_ = close_wanted_ = close_received_ = false;
    doom_ = Doom::none;
    failures_ = 0;
    return ESP_OK;
}

esp_err_t Websocket::begin_stop() {
    Lock lock(mutex_);
    if (state_ == State::idle) return ESP_FAIL;
    stop_wanted_ = true;
    if (state_ == State::waiting) {
        finish(lock);
    } else {
        engine_->begin_stop(0ms);
    }
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
    return wait_for_finish(lock, life, until) && wait_for_burial(lock, until) ? ESP_OK : ESP_FAIL;
}

void Websocket::destroy() {
    const auto self = shared_from_this();
    const bool was_open = connected();
    Lock lock(mutex_);
    const std::uint64_t life = life_;
    const bool running = state_ != State::idle;
    lock.unlock();
    if (running) begin_stop();
    if (!Handlers::inside()) {
        lock.lock();
        if (running) static_cast<void>(wait_for_finish(lock, life, Clock::time_point::max()));
        static_cast<void>(wait_for_burial(lock, Clock::time_point::max()));
        lock.unlock();
        handlers_.mute();
        return handlers_.wait_until_quiet();
    }
    // Nothing may come after this call, so what is left to be said is said now.
    lock.lock();
    const bool finished = finished_ >= life || state_ == State::idle;
    lock.unlock();
    if (running && !finished) {
        if (was_open) post(WEBSOCKET_EVENT_DISCONNECTED);
        post(WEBSOCKET_EVENT_FINISH);
    }
    handlers_.mute();
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
    if (const std::error_code error = engine_->close(code, text); error && error != Errc::already_closing) {
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
        static_cast<void>(wait_for_burial(lock, Clock::now() + grace));
        return ESP_OK;
    }
    stop_wanted_ = true;
    if (engine_ != nullptr) engine_->begin_stop(0ms);
    return wait_for_finish(lock, life, Clock::now() + grace) ? ESP_OK : ESP_FAIL;
}

bool Websocket::wait_for_finish(Lock& lock, std::uint64_t life, Clock::time_point until) {
    return wait_until(changed_, lock, until, [&] { return finished_ >= life; });
}

/// Until the thread of the life is gone too: who stops a client may end the program next.
bool Websocket::wait_for_burial(Lock& lock, Clock::time_point until) const {
    const std::shared_ptr<Burial> burial = burial_;
    if (burial == nullptr) return true;
    lock.unlock();
    const bool done = burial->wait(until);
    lock.lock();
    return done;
}

/// The end of a life. On return the lock is held again.
void Websocket::finish(Lock& lock) {
    const std::uint64_t life = life_;
    cancel_timers();
    state_ = State::idle;
    auto engine = std::exchange(engine_, nullptr);
    lock.unlock();
    post(WEBSOCKET_EVENT_FINISH);
    const auto burial = bury(std::move(engine));
    lock.lock();
    burial_ = burial;
    finished_ = std::max(finished_, life);
    changed_.notify_all();
    if (destroy_on_exit_ && life == life_) Registry::take(handle_);
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
        case Event::Kind::failed: return on_attempt_failed(*event.error);
        default: return;
    }
    deliver_frame(static_cast<std::uint8_t>(event.opcode), event.bytes);
}

void Websocket::on_connecting() {
    bool first = false;
    {
        const Lock lock(mutex_);
        first = !std::exchange(begun_, true);
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
    }
    post_headers(handshake.response);
    {
        const Lock lock(mutex_);
        if (!stop_wanted_) state_ = State::connected;
        failures_ = 0;
        stop_all_at_exit();
        pinged_ = Clock::now();
        pong_missing_since_.reset();
        arm_ping(pinged_ + options_.ping_interval);
    }
    post(WEBSOCKET_EVENT_CONNECTED);
}

void Websocket::on_chunk(const ChunkView& chunk) {
    if (chunk.frame_length > static_cast<std::uint64_t>(std::numeric_limits<int>::max())) {
        const Lock lock(mutex_);
        return drop(Doom::frame_too_long);
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
    bool reconnects_after_close = false;
    bool reconnects = false;
    Doom doom = Doom::none;
    {
        const Lock lock(mutex_);
        cancel_timers();
        doom = doom_;
        reconnects_after_close = options_.close_reconnect;
        reconnects = options_.auto_reconnect;
        wanted = stop_wanted_ || (close_wanted_ && !reconnects_after_close);
        close_wanted_ = false;
        state_ = State::ending;
    }
    if (close.received) {
        esp_websocket_error_codes_t codes{};
        codes.esp_ws_handshake_status_code = status_;
        if (reconnects_after_close) codes.error_type = WEBSOCKET_ERROR_TYPE_SERVER_CLOSE;
        post(WEBSOCKET_EVENT_CLOSED, {}, codes);
        return go_on_or_finish(reconnects_after_close);
    }
    if (wanted) {
        post(WEBSOCKET_EVENT_DISCONNECTED);
        return go_on_or_finish(false);
    }
    Error error = close.error;
    switch (doom) {
        case Doom::pong: error = Error(Errc::pong_timeout, Phase::open); break;
        case Doom::close_timeout: error = Error(Errc::close_timeout, Phase::closing); break;
        case Doom::frame_too_long:
            error = Error(Errc::message_too_big, Phase::open, "a frame is longer than an int can say");
            break;
        default: break;
    }
    tell_failure(error);
    go_on_or_finish(reconnects);
}

void Websocket::on_attempt_failed(const Error& error) {
    bool reconnects = false;
    {
        const Lock lock(mutex_);
        state_ = State::ending;
        status_ = error.response.status;
        reconnects = options_.auto_reconnect;
    }
    post_headers(error.response);
    tell_failure(error);
    go_on_or_finish(reconnects);
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

void Websocket::go_on_or_finish(bool again) {
    Lock lock(mutex_);
    if (stop_wanted_) again = false;
    const unsigned most = options_.backoff.max_attempts;
    if (again && most != 0 && failures_ + 1 >= most) again = false;
    if (!again) return finish(lock);
    delay_ = next_delay();
    ++failures_;
    wait_began_ = Clock::now();
    state_ = State::waiting;
    ESP_LOGW(log_tag, "Reconnect after %d ms", static_cast<int>(delay_.count()));
    arm_reconnect();
}

std::chrono::milliseconds Websocket::next_delay() {
    const Backoff& backoff = options_.backoff;
    double delay = static_cast<double>(std::max(options_.reconnect_timeout, 1ms).count());
    delay *= std::pow(backoff.factor, std::min(failures_, 64u));
    if (backoff.longest.count() > 0) delay = std::min(delay, static_cast<double>(backoff.longest.count()));
    if (backoff.jitter > 0) {
        thread_local std::minstd_rand random{std::random_device{}()};
        delay *= std::uniform_real_distribution<double>(1 - backoff.jitter, 1 + backoff.jitter)(random);
    }
    constexpr double day = 86'400'000;
    return std::chrono::milliseconds(static_cast<std::int64_t>(std::clamp(delay, 1.0, day)));
}

void Websocket::begin_next_attempt(std::uint64_t life) {
    Lock lock(mutex_);
    if (state_ != State::waiting || life != life_) return;
    reconnect_timer_ = 0;
    const Error error = engine_->start();
    if (!error) {
        state_ = State::connecting;
        return;
    }
    // The loop is about to notice that the life before has ended.
    delay_ = 1ms;
    wait_began_ = Clock::now();
    if (error != Errc::already_started) {
        lock.unlock();
        tell_failure(error);
        lock.lock();
        if (state_ != State::waiting || life != life_) return;
        delay_ = next_delay();
    }
    arm_reconnect();
}

// --- timers --------------------------------------------------------------------------------------------------------

void Websocket::arm_reconnect() {
    if (reconnect_timer_ != 0) Service::clients().cancel(reconnect_timer_);
    reconnect_timer_ = Service::clients().at(wait_began_ + delay_, [weak = weak_from_this(), life = life_] {
        if (const auto self = weak.lock()) self->begin_next_attempt(life);
    });
}

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
        if (delivering_ == 0) return drop(Doom::pong);
        // The handler is slow, not the peer: what has arrived is read first.
        pong_missing_since_ = now - options_.pong_timeout + grace;
    }
    if (now >= pinged_ + options_.ping_interval) {
        static_cast<void>(engine_->ping());
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
    if (engine_ != nullptr) engine_->begin_stop(0ms);
}

void Websocket::cancel_timers() {
    for (Service::Id* timer : {&ping_timer_, &end_timer_, &reconnect_timer_}) {
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
    handlers_.call(WEBSOCKET_EVENTS, id, &data);
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
std::shared_ptr<Client> Websocket::room_to_send(TickType_t ticks, bool control) const {
    std::shared_ptr<Client> engine;
    std::size_t window = 0;
    {
        const Lock lock(mutex_);
        if (state_ == State::connected) engine = engine_;
        window = options_.send_window;
    }
    if (engine == nullptr || control || engine->stats().send_queued <= window) return engine;
    if (engine->flush(to_milliseconds(ticks), window)) return nullptr;
    return engine;
}

int Websocket::send(Opcode opcode, std::string_view data, TickType_t ticks) {
    const auto engine = room_to_send(ticks, false);
    if (engine == nullptr) return -1;
    const std::error_code error =
        opcode == Opcode::text ? engine->send_text(data) : engine->send_binary(as_bytes(data));
    if (error) ESP_LOGE(log_tag, "send: %s", error.message().c_str());
    return error ? -1 : static_cast<int>(data.size());
}

int Websocket::send_part(Opcode opcode, std::string_view data, bool fin, TickType_t ticks) {
    const auto engine = room_to_send(ticks, false);
    if (engine == nullptr) return -1;
    const std::error_code error = engine->send_part(opcode, as_bytes(data), fin);
    if (error) ESP_LOGE(log_tag, "send: %s", error.message().c_str());
    return error ? -1 : static_cast<int>(data.size());
}

int Websocket::send_control(Opcode opcode, std::string_view data, TickType_t ticks) {
    const auto engine = room_to_send(ticks, true);
    if (engine == nullptr) return -1;
    std::error_code error;
    if (opcode == Opcode::ping) {
        error = engine->ping(data);
    } else if (opcode == Opcode::pong) {
        error = engine->pong(data);
    } else {
        if (data.size() == 1) return -1;  // RFC 6455 section 5.5.1: two bytes of code, or none
        const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(data[at]); };
        const CloseCode code = data.empty() ? CloseCode::no_status : static_cast<CloseCode>(byte(0) << 8u | byte(1));
        error = engine->close(code, data.empty() ? data : data.substr(2));
        const Lock lock(mutex_);
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
    std::shared_ptr<Client> engine;
    {
        const Lock lock(mutex_);
        engine = engine_;
    }
    if (engine == nullptr) return ESP_ERR_INVALID_STATE;
    const std::error_code error = engine->flush(to_milliseconds(ticks));
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
    if (state_ == State::waiting) {
        delay_ = timeout;
        arm_reconnect();
    }
    return ESP_OK;
}

void Websocket::change(const std::function<void(Options&)>& how) {
    const Lock lock(mutex_);
    how(options_);
}

Stats Websocket::stats() const {
    std::shared_ptr<Client> engine;
    {
        const Lock lock(mutex_);
        engine = engine_;
    }
    return engine != nullptr ? engine->stats() : Stats();
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
    Burial::wait_for_all(until);
}

}  // namespace

/// Functions of atexit run in reverse order, so this is called when everything else has registered its own.
void Websocket::stop_all_at_exit() {
    static const bool registered = std::atexit(stop_all) == 0;
    static_cast<void>(registered);
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
