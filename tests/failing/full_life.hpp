// A life with everything in it: the way through a proxy to TLS, compressed messages from the program's thread and from
// a handler, whole and in parts, a connection that is lost, another one, and a clean end.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <tern/client.hpp>

#include "exposure.hpp"
#include "tunnel_server.hpp"

namespace tern::failing {

/// Reaching it means that something hangs.
constexpr std::chrono::seconds patience{20};

/// What came of it.
struct Outcome {
    bool constructed = false;
    std::string thrown;         ///< By the constructor or a call.
    Error start_error;          ///< What `start` returned.
    std::vector<Error> errors;  ///< That events told of, in order.
    std::vector<std::error_code> call_errors;
    bool altered = false;   ///< A message came back that was not sent.
    bool ended = false;     ///< The life has had its last event.
    bool clean = false;     ///< As it was meant to be: the second connection was closed.
    bool restarted = true;  ///< A client that did not come so far could begin anew.
    int opens = 0;
};

/// Of the client under test, whose functions are those of `Client`.
template <class Driver>
class FullLife {
public:
    explicit FullLife(const TunnelServer& server, const std::string& root) {
        const std::string port = std::to_string(server.port());
        config_.url = "wss://localhost:" + port + "/";
        config_.proxy = "http://localhost:" + port;
        config_.socket.ip_version = IpVersion::ipv4;
        config_.tls.trust = {TlsSource::file(root)};
        config_.reconnect.min_delay = config_.reconnect.max_delay = std::chrono::milliseconds(1);
        config_.reconnect.max_attempts = 20;
        config_.keepalive = {.interval = std::chrono::milliseconds(500), .pong_timeout = std::chrono::seconds(3)};
    }

    /// For when it hangs.
    void name(std::string name) { name_ = std::move(name); }

    /// `done` is called when nothing more is to fail, and before the client is tried again.
    template <class Function>
    Outcome live(const Function& done) {
        const Spared spared;
        outcome_ = Outcome();
        received_.clear();
        opens_ = 0;
        ended_ = false;
        try {
            live_through(done);
        } catch (const std::exception& exception) {
            outcome_.thrown = exception.what();
        }
        done();
        return outcome_;
    }

private:
    using Lock = std::unique_lock<std::mutex>;

    template <class Function>
    void live_through(const Function& done) {
        // The configuration is the program's.
        Config config = config_;
        std::optional<Driver> client;
        call([&] { client.emplace(std::move(config)); });
        outcome_.constructed = true;
        static_cast<void>(client->on_event([&](const Event& event) { note(*client, event); }));
        outcome_.start_error = call([&] { return client->start(); });
        if (!outcome_.start_error) converse(*client);
        done();
        if (!outcome_.clean) try_again(*client);
        client->stop();
    }

    void converse(Driver& client) {
        for (int round = 0, seen = 0;;) {
            if (!wait([&] { return ended_ || opens_ != seen; })) return;
            if (ended_) return;
            seen = opens_;
            if (!talk(client) || !wait([&] { return ended_ || opens_ != seen || received_.size() >= 4; })) return;
            if (ended_ || opens_ != seen) continue;
            const bool last = ++round == 2;
            if (last ? !end(client) : !send(client, TunnelServer::drop, Compress::never)) return;
            if (last) static_cast<void>(wait([&] { return ended_; }));
        }
    }

    /// False: there is no sense in waiting for an answer.
    bool talk(Driver& client) {
        const Bytes part = as_bytes(texts_[2]);
        return send(client, texts_[0], Compress::automatic) && send(client, texts_[1], Compress::automatic) &&
               judge(client, call([&] { return client.send_part(Opcode::text, part.first(3000), false); })) &&
               judge(client, call([&] { return client.send_part(Opcode::continuation, part.subspan(3000), true); }));
    }
    bool send(Driver& client, const std::string& text, Compress compress) {
        return judge(client, call([&] { return client.send_text(text, {.compress = compress}); }));
    }
    /// A connection that has gone will be followed by another one. Other errors are the end of it.
    bool judge(Driver& client, std::error_code error) {
        if (!error) return true;
        outcome_.call_errors.push_back(error);
        if (error == make_error_code(Errc::not_connected)) return true;
        static_cast<void>(end(client));
        return false;
    }
    bool end(Driver& client) {
        const std::error_code error = call([&] { return client.close(); });
        if (!error) return wait([&] { return ended_; });
        outcome_.call_errors.push_back(error);
        call([&] {
            client.stop();
            return true;
        });
        return false;
    }

    /// Nothing fails any more.
    void try_again(Driver& client) {
        client.stop();
        const int before = opens_;
        ended_ = false;
        outcome_.restarted = !client.start() && wait([&] { return opens_ != before || ended_; }) && opens_ != before;
        if (outcome_.restarted && !client.close()) outcome_.restarted = wait([&] { return ended_; });
    }

    template <class Condition>
    bool wait(const Condition& condition) {
        Lock lock(mutex_);
        if (changed_.wait_for(lock, patience, condition)) return true;
        // The client cannot be expected to end either.
        std::fprintf(stderr, "%s: the client hangs: %d connections, %zu messages\n", name_.c_str(), opens_,
                     received_.size());
        const std::size_t shown = std::min<std::size_t>(outcome_.errors.size(), 5);
        for (std::size_t i = 0; i < shown; ++i) std::fprintf(stderr, "  %s\n", outcome_.errors[i].message().c_str());
        std::abort();
    }

    void note(Driver& client, const Event& event) {
        const Spared spared;
        const Lock lock(mutex_);
        if (event.error != nullptr) outcome_.errors.push_back(*event.error);
        switch (event.kind) {
            case Event::Kind::open:
                ++opens_;
                received_.clear();
                outcome_.opens = opens_;
                // From the loop's own thread too.
                if (const auto error = call([&] { return client.send_binary(as_bytes(texts_[3])); })) {
                    outcome_.call_errors.push_back(error);
                    static_cast<void>(client.close());
                }
                break;
            case Event::Kind::message: received_.emplace_back(as_text(event.bytes)); break;
            case Event::Kind::closed:
            case Event::Kind::failed:
                ended_ = event.close == nullptr || !event.close->will_reconnect;
                outcome_.ended = outcome_.ended || ended_;
                outcome_.clean =
                    outcome_.clean || (ended_ && event.close != nullptr && event.close->clean() && opens_ >= 2);
                break;
            default: break;
        }
        for (const std::string& each : received_) {
            outcome_.altered = outcome_.altered || std::find(texts_.begin(), texts_.end(), each) == texts_.end();
        }
        changed_.notify_all();
    }

    static std::string prose(std::size_t size) {
        std::string text;
        while (text.size() < size) text += "number " + std::to_string(text.size() * 7919) + "; ";
        text.resize(size);
        return text;
    }

    Config config_;
    std::string name_;
    const std::vector<std::string> texts_ = {prose(20'000), prose(150'000), prose(5000), prose(70)};

    std::mutex mutex_;
    std::condition_variable changed_;
    Outcome outcome_;
    std::vector<std::string> received_;  ///< On this connection.
    int opens_ = 0;
    bool ended_ = false;
};

}  // namespace tern::failing
