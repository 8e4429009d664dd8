// One client of Espressif's API: a life from start to FINISH, made of connections of a tern::Client.
//
// Events come on the thread of the client's carrier, one at a time. The last ones can come elsewhere: inside the
// handler that destroys the client, and on the thread that ends it when the carrier's is held up by another client's
// handler.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tern/client.hpp>

#include "carrier.hpp"
#include "handlers.hpp"
#include "options.hpp"
#include "service.hpp"

namespace tern::esp {

/// What an event says beside its id.
struct Piece {
    std::string_view data;
    bool fin = false;
    std::uint8_t opcode = 0;
    int length = 0;
    int offset = 0;
};

class Websocket : public std::enable_shared_from_this<Websocket> {
public:
    Websocket(Options options, esp_websocket_client_handle_t handle);
    Websocket(const Websocket&) = delete;
    Websocket& operator=(const Websocket&) = delete;
    ~Websocket();

    // As the functions of the same names; arguments have been checked for null.
    esp_err_t start();
    esp_err_t stop();
    void destroy();
    /// True: it can be forgotten at once.
    bool destroy_on_exit();
    esp_err_t close(CloseCode code, std::string_view text, TickType_t ticks);
    int send(Opcode opcode, std::string_view data, TickType_t ticks);
    int send_part(Opcode opcode, std::string_view data, bool fin, TickType_t ticks);
    int send_control(Opcode opcode, std::string_view data, TickType_t ticks);
    [[nodiscard]] bool connected() const;
    esp_err_t set_uri(const char* uri);
    esp_err_t set_headers(const char* headers);
    esp_err_t append_header(std::string_view key, std::string_view value);
    [[nodiscard]] std::chrono::seconds ping_interval() const;
    void set_ping_interval(std::chrono::seconds interval);
    [[nodiscard]] std::optional<std::chrono::milliseconds> reconnect_timeout() const;
    esp_err_t set_reconnect_timeout(std::chrono::milliseconds timeout);
    Handlers& handlers() noexcept { return handlers_; }

    // Of tern_esp_ext.h.
    /// Changes what the next start uses.
    void change(const std::function<void(Options&)>& how);
    [[nodiscard]] Stats stats() const;
    [[nodiscard]] std::string last_error() const;
    esp_err_t begin_stop();
    esp_err_t flush(TickType_t ticks);

private:
    using Lock = std::unique_lock<std::mutex>;
    /// `ending`: the events of an end are being delivered.
    enum class State : std::uint8_t { idle, connecting, connected, closing, ending, waiting };
    /// Why this side drops the connection.
    enum class Doom : std::uint8_t { none, pong, linger, close_timeout, frame_too_long };

    void on_event(const Event& event);
    void on_connecting();
    void on_open(const Handshake& handshake);
    void on_chunk(const ChunkView& chunk);
    void on_closing(const Event& event);
    void on_connection_end(const CloseInfo& close);
    void on_reconnecting(const Event& event);
    void on_given_up(const Error& error);
    void tell_failed_attempt(const Error& error);
    void tell_failure(const Error& error);
    void finish(Lock& lock);
    [[nodiscard]] bool end_here(Lock& lock, bool inside);

    void post(int id, const Piece& piece = {}, const esp_websocket_error_codes_t& codes = {});
    void post_headers(const Response& response);
    void deliver_frame(std::uint8_t opcode, Bytes payload);
    [[nodiscard]] esp_websocket_error_codes_t codes_of(const Error& error) const;

    void arm_ping(Clock::time_point at);
    void on_ping_time(std::uint64_t life);
    void arm_end(Clock::time_point at, Doom why);
    void cancel_timers();
    void drop(Doom why);
    [[nodiscard]] static Error cause(Doom doom, const Error& told);
    [[nodiscard]] bool wait_for_finish(Lock& lock, std::uint64_t life, Clock::time_point until);
    [[nodiscard]] bool wait_for_grave(Lock& lock, Clock::time_point until) const;
    [[nodiscard]] std::error_code begin_close(CloseCode code, std::string_view text);
    static void stop_all_at_exit(bool open);
    [[nodiscard]] std::shared_ptr<Carrier> room_to_send(TickType_t ticks, bool control) const;
    [[nodiscard]] bool ending() const;

    const esp_websocket_client_handle_t handle_;
    Handlers handlers_;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    Options options_;
    std::string headers_;                    ///< Of this life.
    std::shared_ptr<Carrier> carrier_;       ///< Of the life that is running.
    std::shared_ptr<Carrier::Grave> grave_;  ///< Of the carrier before.
    State state_ = State::idle;
    std::uint64_t life_ = 0;      ///< Counts the starts.
    std::uint64_t finished_ = 0;  ///< The last life whose FINISH was delivered.
    bool begun_ = false;          ///< BEGIN was delivered.
    bool attempting_ = false;     ///< The outcome of an attempt is to be told.
    bool destroyed_ = false;
    bool stop_wanted_ = false;
    bool close_wanted_ = false;
    bool close_received_ = false;
    bool destroy_on_exit_ = false;
    Doom doom_ = Doom::none;
    int status_ = 0;        ///< Of this attempt's answer.
    int close_status_ = 0;  ///< Of this connection.
    std::string last_error_;

    Service::Id ping_timer_ = 0;
    Service::Id end_timer_ = 0;
    Clock::time_point pinged_;
    std::optional<Clock::time_point> pong_missing_since_;
    unsigned delivering_ = 0;  ///< Handlers of frames are running: the pong may be among what has not been read yet.
};

/// All clients by handle. Handles are numbers that are never used again, so one of a client that is gone is known to be
/// stale.
class Registry {
public:
    static esp_websocket_client_handle_t add(Options options);
    /// Null: there is none.
    [[nodiscard]] static std::shared_ptr<Websocket> find(esp_websocket_client_handle_t handle);
    /// The same, and it is not found any more.
    static std::shared_ptr<Websocket> take(esp_websocket_client_handle_t handle);
    [[nodiscard]] static std::vector<std::shared_ptr<Websocket>> all();
    [[nodiscard]] static std::size_t size();
};

}  // namespace tern::esp
