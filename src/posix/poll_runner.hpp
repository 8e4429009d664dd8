// The smallest complete driver of ClientCore: poll(), one thread, no library. It is the example of how a foreign loop
// drives the core (docs/driving_the_core.md), and the tests run it against the same servers as the Asio driver.
//
// What it leaves out: `Config::socket` but for `ip_version`, and `Client::before_attempt`.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <poll.h>
#include <span>
#include <string_view>
#include <system_error>
#include <vector>

#include <tern/core.hpp>

namespace tern::posix {

/// A client in a loop of poll(). Everything is called by one thread, also from inside the handler; only `wake` may be
/// called by others. It must not be destroyed inside the handler.
class PollRunner {
public:
    /// Is told every event. What the event refers to is valid until it returns.
    using Handler = std::function<void(const Event&)>;

    /// std::system_error: the system has no descriptors left.
    PollRunner(Config config, Handler handler);
    /// Drops the connection.
    ~PollRunner();
    PollRunner(const PollRunner&) = delete;
    PollRunner& operator=(const PollRunner&) = delete;

    // As those of `ClientCore`.
    [[nodiscard]] Error start(StartMode mode = StartMode::keep_trying);
    void stop();
    std::error_code send(Opcode opcode, Bytes payload, const SendOptions& options = {});
    std::error_code send_part(Opcode opcode, Bytes payload, bool fin, const SendOptions& options = {});
    std::error_code ping(Bytes payload);
    std::error_code close(CloseCode code = CloseCode::normal, std::string_view reason = {});
    [[nodiscard]] State state() const noexcept { return core_.state(); }
    [[nodiscard]] Stats stats() const noexcept { return core_.stats(); }

    /// With a loop of its own: waits until something happens, at most `limit`, and does what is to be done. False:
    /// idle.
    bool run_once(std::chrono::milliseconds limit);

    // In the loop of somebody else.
    /// Adds the descriptors that it waits for.
    void add_to(std::vector<pollfd>& set) const;
    /// When `on_ready` is to be called even if no descriptor is ready; empty: never.
    [[nodiscard]] std::optional<TimePoint> deadline() const noexcept { return core_.deadline(); }
    /// What poll() has answered; descriptors of others are skipped.
    void on_ready(std::span<const pollfd> set);

    /// Lets poll() return. Any thread.
    void wake() noexcept;

private:
    struct Stream {
        StreamId id = 0;
        int descriptor = -1;
        bool connecting = true;
        bool reading = false;  ///< The core has room for more.
        bool blocked = false;  ///< The kernel has none for what waits.
        int write_error = 0;   ///< Only reading goes on, until there is nothing more, to learn what the peer said last.
    };
    struct Lookups;

    void pump();
    void run(const Command& command);
    void resolve(const Command& command);
    void take_lookups();
    void connect(const Command& command);
    void on_connecting(StreamId id);
    bool read(StreamId id);
    void write(Stream& stream);
    void drop(StreamId id);
    [[nodiscard]] Stream* find(StreamId id);

    const std::shared_ptr<const Config> config_;
    const Handler handler_;
    ClientCore core_;
    std::vector<Stream> streams_;
    std::shared_ptr<Lookups> lookups_;
    bool pumping_ = false;
};

}  // namespace tern::posix
