// A client in a simulated world, with the handlers and functions of `tern::Client`, so that a program which takes its
// client's type as a template parameter runs in either.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <system_error>

#include <tern/config.hpp>
#include <tern/error.hpp>
#include <tern/message.hpp>

namespace tern::testing {

class World;

/// The real core of `tern::Client`, without its thread and its sockets. What the functions and handlers mean stands at
/// `tern::Client`; here is what differs:
/// * Nothing happens unless the world runs. Handlers run inside `World::run_for` and `World::run_until`.
/// * `connect` and `stop`, which wait, run the world while they wait. Call them between its runs; inside a handler
/// `stop`
///   does not wait, and `connect` says `would_deadlock`.
/// * `receive`, `drain` and `SendOptions::wait` are not there. There is no TLS: wss URLs are refused
///   (`tls_unavailable`), so let the test say ws.
///
/// Not thread-safe: a world and all in it belong to one thread. The world must outlive the client.
class Client {
public:
    Client(World& world, Config config);
    /// As `stop(0ms)`. No handler runs any more.
    ~Client();
    Client(Client&&) noexcept;
    Client& operator=(Client&&) noexcept;

    std::error_code on_message(std::function<void(MessageView)> handler);
    std::error_code on_chunk(std::function<void(const ChunkView&)> handler);
    std::error_code on_open(std::function<void(const Handshake&)> handler);
    std::error_code on_close(std::function<void(const CloseInfo&)> handler);
    std::error_code on_error(std::function<void(const Error&, bool is_final)> handler);
    std::error_code on_fate(std::function<void(std::uint64_t number, Fate fate, const Error& why)> handler);
    std::error_code on_event(std::function<void(const Event&)> handler);
    std::error_code before_attempt(std::function<void(Attempt&)> handler);

    Error start();
    Error connect();
    std::error_code close(CloseCode code = CloseCode::normal, std::string_view reason = {});
    void reconnect_now();
    std::error_code refresh();
    void pause();
    void resume();
    void stop();
    std::error_code stop(std::chrono::milliseconds limit);

    std::error_code send_text(std::string_view text, const SendOptions& options = {});
    std::error_code send_binary(Bytes bytes, const SendOptions& options = {});
    std::error_code send_part(Opcode opcode, Bytes bytes, bool fin, const SendOptions& options = {});
    std::error_code ping(std::string_view payload = {});

    [[nodiscard]] State state() const;
    [[nodiscard]] Stats stats() const;

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace tern::testing
