// One attempt to connect: [ask the program] -> names -> addresses -> a connection -> its handshakes, redirects
// included. An attempt is a fresh object, and has one deadline for all of it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <tern/config.hpp>
#include <tern/core.hpp>

#include "connection.hpp"
#include "dialer.hpp"
#include "fifo.hpp"
#include "proxy_url.hpp"
#include "rare.hpp"
#include "url.hpp"

namespace tern::core {

/// What all attempts of a client have in common. It outlives them, and the connections that they make.
struct Common {
    Common(const Config& settings, Crypto& generator, BufferPool* pool)
        : config(settings), crypto(generator), memory(settings.limits.max_memory, pool) {}

    const Config& config;  ///< The client's.
    Crypto& crypto;
    MemoryBudget memory;
    Rare<ProxyUrl> proxy;
    std::shared_ptr<tls::Context> tls;  ///< Made when it is first needed, as is the next.
    std::shared_ptr<tls::Context> proxy_tls;
    StreamId next_id = 1;
    Fifo<Command> commands;  ///< For the driver.

    /// Certificates are read once, so that a mistake in them is found before the first attempt.
    [[nodiscard]] Error prepare_tls(const Url& url);
    /// Tells the driver to give up whatever the id stands for.
    void give_up(StreamId id);
};

/// A connection, and by what the driver and the user know it.
struct Link {
    std::unique_ptr<Connection> connection;
    StreamId stream = 0;
    bool dropped = false;  ///< The driver was told to close the stream; events may still wait to be taken.
    std::string peer;

    explicit operator bool() const noexcept { return connection != nullptr; }
    [[nodiscard]] Session& session() const noexcept { return connection->session(); }
};

/// Errors of what an attempt may have of its own: URL and headers.
[[nodiscard]] Error check_attempt(const Config& config, Crypto& crypto, Url& url);

class ConnectAttempt {
public:
    enum class Status : std::uint8_t { working, open, failed };

    /// `url`: where it leads, unless `prepare`: then the program is asked (`Command::Kind::prepare`, `number`), and
    /// the URL is what it gets to see first.
    ConnectAttempt(std::shared_ptr<const Config> config, Common& common, Url&& url, std::string_view url_text,
                   bool prepare, std::uint32_t number, TimePoint now);

    [[nodiscard]] Status status() const noexcept { return status_; }
    /// The connection has failed, and `update` waits until its last words are written.
    [[nodiscard]] bool has_failed() const noexcept {
        return link_ && link_.connection->stage() == Connection::Stage::failed;
    }
    /// Why it failed.
    [[nodiscard]] const Error& error() const noexcept { return error_.view(); }
    [[nodiscard]] std::uint32_t number() const noexcept { return number_; }
    [[nodiscard]] Phase phase() const noexcept;
    /// "host:port (address)", as far as it is known.
    [[nodiscard]] const std::string& peer() const noexcept { return link_.peer; }
    [[nodiscard]] const PhaseTimes& times() const noexcept { return times_; }
    /// The connection in its handshakes; once the attempt is open, it is to be taken away.
    [[nodiscard]] Link& link() noexcept { return link_; }

    /// An answer has sent it elsewhere, and was not taken yet.
    [[nodiscard]] bool redirected() const noexcept { return bool(redirect_); }
    [[nodiscard]] Error take_redirect() { return redirect_.take(); }

    void on_prepared(StreamId id, Attempt attempt, Error error, TimePoint now);
    void on_resolved(StreamId id, std::span<const Address> addresses, Error&& error, TimePoint now);
    void on_connected(StreamId id, Error&& error, TimePoint now);
    void on_timeout(TimePoint now);
    /// Draws the consequences of what was reported, to the link too.
    void update(TimePoint now);
    /// Gives up everything that is under way.
    void abandon();
    [[nodiscard]] std::optional<TimePoint> deadline() const noexcept;

private:
    void dial(TimePoint now);
    void dial_next(TimePoint now);
    void update_dialer(TimePoint now);
    void update_link(TimePoint now);
    void follow_redirect(const Error& refusal, TimePoint now);
    void fail(Error&& error);

    std::shared_ptr<const Config> config_;
    Common& common_;
    Url url_;              ///< Where it leads now.
    Rare<Url> start_url_;  ///< Where it led before it was redirected; none: it was not.
    const std::uint32_t number_;
    const TimePoint began_;
    Status status_ = Status::working;
    Rare<Error> error_;
    PhaseTimes times_;

    StreamId preparing_ = 0;  ///< The command `prepare` that has no answer yet; 0: none.
    std::optional<Dialer> dialer_;
    std::optional<Address> target_;     ///< The server's, resolved here for a SOCKS5 proxy.
    std::vector<std::string> visited_;  ///< The URLs that have redirected it.
    std::uint32_t redirects_ = 0;
    Rare<Error> redirect_;  ///< Of the last one, until it is taken.
    Link link_;
};

}  // namespace tern::core
