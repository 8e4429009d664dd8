// A ClientCore driven by hand: the test is the network, and time stands still unless it is told to move.
#pragma once

#include <array>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core.hpp>

namespace tern {

/// No pings, and the same wait before each further attempt.
inline Config foreseeable(Config config) {
    config.url = "ws://host.example/";
    config.keepalive.interval = std::chrono::milliseconds(0);
    config.reconnect.min_delay = config.reconnect.max_delay = std::chrono::milliseconds(300);
    return config;
}

class DrivenCore {
public:
    explicit DrivenCore(Config config, Crypto& crypto = default_crypto())
        : crypto_(crypto), core_(std::move(config), crypto) {}

    ClientCore& operator*() { return core_; }
    ClientCore* operator->() { return &core_; }

    Error start(StartMode mode = StartMode::once) { return core_.start(mode, now_); }
    /// The next command, which has to be of this kind.
    Command expect(Command::Kind kind) {
        Command command;
        EXPECT_TRUE(core_.next(command));
        EXPECT_EQ(static_cast<int>(command.kind), static_cast<int>(kind));
        return command;
    }
    /// Answers the lookup with 192.0.2.1 and accepts the connection; the request is on its way then.
    void connect() {
        const Address address{.port = 80, .bytes = {192, 0, 2, 1}};
        core_.on_resolved(expect(Command::Kind::resolve).id, {&address, 1}, {}, now_);
        stream_ = expect(Command::Kind::connect).id;
        core_.on_connected(stream_, {}, now_);
        request_ = transmit();
    }
    /// The request is wrapped into something, which this takes off.
    template <class Unwrap>
    void read_request(Unwrap unwrap) {
        take();
        std::string wrapped = transmit();
        request_ = unwrap(wrapped);
    }
    /// From nothing to an open connection.
    void open(const std::string& headers = {}) {
        EXPECT_FALSE(start());
        connect();
        receive(answer(headers));
        take();
        EXPECT_EQ(core_.state(), State::open);
    }
    /// The right answer to the request; `accept` replaces the right value.
    [[nodiscard]] std::string answer(const std::string& extra = {}, const std::string& accept = {}) const {
        const std::string name = "Sec-WebSocket-Key: ";
        const std::string key = request_.substr(request_.find(name) + name.size(), 24);
        const auto digest = crypto_.sha1(as_bytes(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
        return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
               "Upgrade\r\nSec-WebSocket-Accept: " +
               (accept.empty() ? crypto_.base64(digest) : accept) + "\r\n" + extra + "\r\n";
    }
    void receive(const std::string& bytes) {
        for (std::size_t at = 0; at < bytes.size();) {
            const std::span<std::byte> space = core_.rx_space(stream_);
            if (space.empty()) return;
            const std::size_t size = std::min(space.size(), bytes.size() - at);
            std::memcpy(space.data(), bytes.data() + at, size);
            core_.rx_commit(stream_, size, now_);
            at += size;
            take();
        }
    }
    /// Takes all events, and keeps what ended the life.
    void take() {
        for (bool again = true; again;) {
            core_.settle(now_);
            again = false;
            for (Event event; core_.next(event);) {
                again = true;
                kinds.push_back(event.kind);
                note(event);
            }
        }
        core_.settle(now_);
    }
    std::string transmit() {
        std::string written;
        std::array<Bytes, 4> pieces;
        while (const std::size_t count = core_.tx(stream_, pieces)) {
            std::size_t size = 0;
            for (std::size_t i = 0; i < count; ++i) {
                written += as_text(pieces[i]);
                size += pieces[i].size();
            }
            core_.tx_consume(stream_, size);
        }
        return written;
    }
    /// Writes what waits, ends the stream as a server does that has understood, and takes the last events.
    void finish() {
        sent += transmit();
        core_.settle(now_);
        core_.on_eof(stream_, now_);
        take();
    }
    void pass(std::chrono::milliseconds time) {
        now_ += time;
        core_.on_timeout(now_);
        take();
    }
    /// From now on it is this stream that the test reads and writes, and not the one that was connected last.
    void turn_to(StreamId stream) { stream_ = stream; }
    [[nodiscard]] TimePoint now() const { return now_; }
    [[nodiscard]] StreamId stream() const { return stream_; }
    [[nodiscard]] const std::string& request() const { return request_; }

    std::vector<Event::Kind> kinds;
    Error error;  ///< Of the last `failed`, `closed` or `switch_failed`.
    CloseInfo close;
    std::vector<std::string> texts;  ///< Messages and chunks.
    std::vector<std::string> fates;  ///< "1 sent", "2 dropped connection_lost".
    std::vector<std::string> waits;  ///< "attempt 2 in 300 ms".
    std::string sent;                ///< By `finish`.

private:
    void note(const Event& event) {
        using Kind = Event::Kind;
        switch (event.kind) {
            case Kind::closed: close = *event.close; [[fallthrough]];
            case Kind::failed:
            case Kind::switch_failed: error = *event.error; break;
            case Kind::message: texts.emplace_back(as_text(event.bytes)); break;
            case Kind::chunk: texts.emplace_back(event.chunk.text()); break;
            case Kind::fate:
                fates.push_back(std::to_string(event.number) + ' ' + std::string(fate_name(event.fate)));
                if (event.error != nullptr) fates.back() += ' ' + std::string(error_row(event.error->errc())->name);
                break;
            case Kind::reconnecting:
                waits.push_back("attempt " + std::to_string(event.attempt) + " in " +
                                std::to_string(event.delay.count()) + " ms");
                break;
            default: break;
        }
    }

    Crypto& crypto_;
    TimePoint now_{std::chrono::hours(1)};
    ClientCore core_;
    StreamId stream_ = 0;
    std::string request_;
};

}  // namespace tern
