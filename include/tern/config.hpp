// The configuration: plain aggregates with defaults, made for designated initialisers.
//
//     tern::Client client{{.url = "ws://localhost:9001/chat", .subprotocols = {"chat.v2"}}};
//
// A duration of zero switches the thing off where the comment says so and is refused (`invalid_config`) elsewhere.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tern/error.hpp>
#include <tern/export.hpp>
#include <tern/message.hpp>

namespace tern {

class Tracer;

/// How messages reach the user.
enum class Delivery : std::uint8_t {
    messages,  ///< Whole messages (`Event::Kind::message`).
    chunks,    ///< Pieces as they arrive, never assembled (`Event::Kind::chunk`).
};

/// A deadline for each phase, and one for all of an attempt.
struct Timeouts {
    std::chrono::milliseconds resolve{10'000};
    std::chrono::milliseconds connect{10'000};  ///< For each address.
    std::chrono::milliseconds proxy{10'000};    ///< From the request to the proxy's answer.
    std::chrono::milliseconds tls{10'000};      ///< Each TLS handshake.
    std::chrono::milliseconds upgrade{10'000};
    std::chrono::milliseconds attempt{30'000};  ///< All of it, from `before_attempt` to open.
    /// From the Close frame (ours or the peer's) to the end of TCP. RFC 6455 section 7.1.1 wants the server to close
    /// TCP first; when this has passed, we do.
    std::chrono::milliseconds close{5'000};
    /// How long `Client::stop()` and the destructor leave for queued messages and the closing handshake before they
    /// drop the connection.
    std::chrono::milliseconds stop{2'000};

    bool operator==(const Timeouts&) const = default;
};

/// What the peer may make us keep, in bytes unless said.
struct Limits {
    /// A whole message, the sum of its fragments, inflated, in either delivery. Larger: close code 1009.
    std::size_t max_message_size = 16u << 20u;
    /// Header block of the upgrade response.
    std::size_t max_head_size = 64u << 10u;
    std::size_t max_head_fields = 128;       ///< Number of header fields.
    std::size_t max_error_body = 4u << 10u;  ///< Kept of the body of a refusal.
    /// Accepted for sending and not yet handed to the kernel. A send that would exceed it is refused.
    std::size_t max_send_queue = 64u << 20u;
    /// A ceiling for all that grows with the traffic of this client: receive buffer, messages being assembled, what
    /// waits to be sent, handshakes, TLS (docs/guide.md has the sum). Reaching it refuses a send (`send_queue_full`),
    /// or ends the connection (`memory_limit`, 1009). 0: no ceiling.
    std::size_t max_memory = 0;

    bool operator==(const Limits&) const = default;
};

/// Own pings, and how a dead link is noticed.
struct Keepalive {
    /// A ping is sent every so often. 0: no pings of our own, and dead links go unnoticed.
    std::chrono::milliseconds interval{20'000};
    /// How long the peer may stay silent after the ping; at least 1 ms. Every byte that arrives counts as a sign of
    /// life, because a pong can be stuck behind a large message; so does every byte that a full link takes again.
    std::chrono::milliseconds pong_timeout{20'000};

    bool operator==(const Keepalive&) const = default;
};

/// Another class than the table's for some endings. Fields that are set have to match, all of them.
struct RetryRule {
    Errc error{};        ///< Not set: any.
    int status = 0;      ///< Of a refusal (HTTP). 0: any.
    CloseCode close{0};  ///< In the peer's Close. 0: any, and none.
    Retry retry = Retry::backoff;

    bool operator==(const RetryRule&) const = default;
};

/// What happens when a connection is lost or cannot be made. What another attempt cannot mend is final at once;
/// docs/reconnecting.md has the classes.
struct Reconnect {
    bool enabled = true;
    /// Each delay is drawn between `min_delay` and a bound, which is twice `min_delay` at first and doubles with each
    /// failure until it is `max_delay`. The same value in both: that delay, always.
    std::chrono::milliseconds min_delay{500};
    std::chrono::milliseconds max_delay{60'000};
    /// For `Retry::later`. The defaults are those of the IANA registry for close code 1012.
    std::chrono::milliseconds min_later{5'000};
    std::chrono::milliseconds max_later{30'000};
    /// A connection that was open for so long resets the delays and limits. One that ended sooner counts as a failure,
    /// so that a server which accepts and closes is not stormed.
    std::chrono::milliseconds stable_after{10'000};
    /// A server's Retry-After is honoured up to this. 0: it is ignored.
    std::chrono::milliseconds max_retry_after{300'000};
    std::uint32_t max_attempts = 0;              ///< In a row without a stable connection; 0: no limit.
    std::chrono::milliseconds give_up_after{0};  ///< Since the start or the last stable connection; 0: no limit.
    /// `Config::endpoints` in a random order, another one each time all were tried; otherwise in the order given.
    bool random_endpoints = false;
    /// The first that matches beats the table.
    std::vector<RetryRule> rules;
    /// When the peer says that it goes away (1001) or restarts (1012), connect anew at once and go on there without a
    /// `closed` event in between (`switched`).
    bool make_before_break = true;

    bool operator==(const Reconnect&) const = default;
};

/// What becomes of messages that are sent while no connection is open.
struct OfflineQueue {
    enum class Full : std::uint8_t {
        reject,       ///< `send` says `send_queue_full`.
        drop_oldest,  ///< The oldest make room.
        drop_newest,  ///< The new one is accepted and dropped at once.
    };
    /// Bytes of messages that may wait. 0: none; `send` says `not_connected`.
    std::size_t max_bytes = 0;
    /// Messages of which the kernel has not got all when a connection ends wait for the next one, in front of later
    /// ones; a copy of each is kept until then. False: they are dropped, with that fate, and nothing is copied. What
    /// the kernel has got is never sent again: the peer may have it.
    bool resend = true;
    Full when_full = Full::reject;
    std::chrono::milliseconds expire_after{0};  ///< Older messages are dropped. 0: never.

    bool operator==(const OfflineQueue&) const = default;
};

/// Marks in the bytes that wait to be sent.
struct WaterMarks {
    std::size_t high = 1u << 20u;  ///< From here on: event `congested`. 0: never.
    /// Down to here: event `writable`, if something had to wait, which is when it was congested, when the kernel
    /// refused bytes, or when a call was refused with `send_queue_full` (a message that does not fit although nothing
    /// waits never will, and there is no event for it). A new connection begins anew: there `open` or `switched` comes
    /// instead.
    std::size_t low = 0;

    bool operator==(const WaterMarks&) const = default;
};

/// The variables of the environment that name proxies.
struct TERN_API ProxyEnvironment {
    std::string ws_proxy, wss_proxy;
    std::string
        http_proxy;  ///< For ws. Of the variables, only that in small letters: CGI sets the other (CVE-2016-5385).
    std::string https_proxy;  ///< For wss.
    std::string all_proxy;
    std::string no_proxy;  ///< Hosts to be reached without: names with all below them, addresses, networks, or "*".

    /// As they are now; where curl reads HTTPS_PROXY, ALL_PROXY and NO_PROXY too, so does this.
    [[nodiscard]] static ProxyEnvironment current();
};

/// The proxy that curl would use for the URL, to be put into `Config::proxy`; empty: none. Nothing is read from the
/// environment unless you ask with this.
[[nodiscard]] TERN_API std::string proxy_for(const ProxyEnvironment& environment, std::string_view url);

/// Which addresses of a host are used.
enum class IpVersion : std::uint8_t { any, ipv4, ipv6 };

/// Probes of TCP itself (SO_KEEPALIVE). The pings of `Keepalive` see more; these cost no thread and no frame.
struct TcpKeepalive {
    std::chrono::seconds idle{0};  ///< Of silence before the first probe. 0: no probes.
    std::chrono::seconds interval{10};
    int count = 3;  ///< Probes without an answer that end the connection.

    bool operator==(const TcpKeepalive&) const = default;
};

/// How sockets are made.
struct Socket {
    /// A Unix socket to connect to instead of the URL's host and port; the URL still says Host, path and name for TLS.
    std::string unix_path;
    IpVersion ip_version = IpVersion::any;
    /// The address of this machine to connect from. An address literal; empty: the system chooses.
    std::string local_address;
    /// The network interface to use, by name (SO_BINDTODEVICE; may need privileges).
    std::string interface;
    TcpKeepalive keepalive;
    /// Buffers of the kernel (SO_SNDBUF, SO_RCVBUF), in bytes. 0: the system's, which grow by themselves.
    int send_buffer = 0;
    int receive_buffer = 0;

    bool operator==(const Socket&) const = default;
};

/// An address for a name, without asking a name server.
struct HostAddress {
    std::string host;
    std::uint16_t port = 0;
    std::string address;  ///< An address literal.

    bool operator==(const HostAddress&) const = default;
};

/// Certificates or a key, and where they are.
struct TlsSource {
    enum class Kind : std::uint8_t {
        none,
        pem,     ///< `value` is PEM text; several certificates may follow one another.
        der,     ///< `value` is one certificate or key in DER.
        file,    ///< `value` is the name of a file with one of these.
        folder,  ///< `value` is a folder of PEM files, each with one certificate and named by its hash (`openssl
                 ///< rehash`).
    };
    Kind kind = Kind::none;
    std::string value;

    [[nodiscard]] static TlsSource pem(std::string text) { return {Kind::pem, std::move(text)}; }
    [[nodiscard]] static TlsSource der(std::string bytes) { return {Kind::der, std::move(bytes)}; }
    [[nodiscard]] static TlsSource file(std::string name) { return {Kind::file, std::move(name)}; }
    [[nodiscard]] static TlsSource folder(std::string name) { return {Kind::folder, std::move(name)}; }

    bool operator==(const TlsSource&) const = default;
};

/// How much of the server's certificate is checked.
enum class TlsVerify : std::uint8_t {
    full,                   ///< Trust, dates and name.
    without_name,           ///< Trust and dates, but any name.
    insecurely_not_at_all,  ///< Nothing: whoever can stand between can read and change everything. For tests.
};

enum class TlsVersion : std::uint8_t { tls1_2, tls1_3 };

/// TLS for wss URLs and for proxies of the scheme https.
struct Tls {
    /// Certificates to trust. None: the system's store.
    std::vector<TlsSource> trust;
    TlsVerify verify = TlsVerify::full;
    /// The name that the server's certificate has to have, instead of the URL's host. It is sent as SNI too.
    std::string expected_name;
    /// "sha256//" and the Base64 of the SHA-256 of a public key (SPKI), as curl writes it. If there are any, a key of
    /// the server's chain has to be among them, whatever else is verified.
    std::vector<std::string> pins;

    /// Shown to a server that asks for it, with the certificates between it and its authority behind it.
    TlsSource certificate;
    TlsSource key;           ///< Of `certificate`.
    std::string passphrase;  ///< Of an encrypted `key`.

    TlsVersion min_version = TlsVersion::tls1_2;
    TlsVersion max_version = TlsVersion::tls1_3;
    /// Offered by ALPN (RFC 7301), in this order. Empty: the extension is not sent.
    std::vector<std::string> alpn = {"http/1.1"};
    /// Resume sessions of earlier connections (RFC 8446 section 2.2, RFC 5077).
    bool resume = true;
    /// Append the secrets of every connection to this file, for Wireshark. Whoever can read it can read the connection.
    std::string key_log_file;

    bool operator==(const Tls&) const = default;
};

/// One offer of permessage-deflate (RFC 7692 section 7.1).
struct CompressionOffer {
    /// The server may let its messages refer back to earlier ones. Off: it must not, which saves memory here.
    bool server_context_takeover = true;
    /// Our messages refer back to earlier ones, unless the server forbids it. Off: they do not, and the compressor's
    /// memory is freed between messages.
    bool client_context_takeover = true;
    /// Messages of the server refer back by up to 2^n bytes: 8 to 15. Below 15 the server has to confirm it.
    int server_window_bits = 15;
    /// Ours do, unless the server wants less: 9 to 15. A server that wants 8 fails the handshake, because zlib cannot
    /// compress with so small a window.
    int client_window_bits = 15;

    bool operator==(const CompressionOffer&) const = default;
};

/// Compression of messages by permessage-deflate (RFC 7692). docs/compression.md says what it costs and when not to use
/// it: where a secret and something that an attacker can choose go through one connection, the lengths can betray the
/// secret.
struct Compression {
    /// Offer it. Whether it is used is for the server to say (`Handshake::compression`).
    bool enabled = true;
    /// In the order of preference, at most 8. The server accepts one of them, or none. Empty: nothing is offered.
    std::vector<CompressionOffer> offers = {CompressionOffer()};
    /// 1 (fast) to 9 (small).
    int level = 1;
    /// Memory for the compressor's tables: 1 (little) to 9 (fast, and a little smaller).
    int memory_level = 8;
    /// Smaller messages are sent as they are. In bytes.
    std::size_t threshold = 64;
    /// A message may be so many times larger than what arrived of it; looked at once it is larger than 64 KiB. Beyond
    /// it the connection fails with `compression_ratio`. 0: no limit but `limits.max_message_size`, which counts what
    /// has been inflated.
    std::uint32_t max_ratio = 0;

    bool operator==(const Compression&) const = default;
};

/// What one attempt uses in place of the fields of the same names in `Config`.
struct Attempt {
    std::string url;
    std::vector<Header> headers;
    std::string user;
    std::string password;
    std::string bearer_token;
};

struct Config {
    /// ws:// or wss://[user[:password]@]host[:port][/path][?query]; RFC 6455 section 3, RFC 3986. Names may be
    /// internationalised.
    std::string url;
    /// More URLs of the same service, for when that one cannot be reached: all of them are tried before a delay. One
    /// that fails for good (`Retry::never`) is struck out until the next start; the life ends when none is left.
    std::vector<std::string> endpoints;

    /// Offered in this order (RFC 6455 section 1.9). Each a token, none twice.
    std::vector<std::string> subprotocols;
    /// Accept a subprotocol that was not offered. RFC 6455 section 4.1 forbids it; Espressif's client does it.
    bool accept_any_subprotocol = false;

    /// The Origin header; none if empty. Browsers send one, other programs need not.
    std::string origin;
    /// More headers for the upgrade request, sent in this order. Those that the handshake sets itself are refused.
    std::vector<Header> headers;

    /// Sent as `Authorization: Basic` (RFC 7617), instead of the URL's user info. None if both are empty.
    std::string user;
    std::string password;
    /// Sent as `Authorization: Bearer` (RFC 6750), instead of user and password. A header `Authorization` beats both.
    std::string bearer_token;

    Tls tls;
    /// http://, https://, socks5:// or socks5h://[user[:password]@]host[:port]. Empty: none. `socks5` resolves the
    /// server's name here, `socks5h` and the others let the proxy do it.
    std::string proxy;
    /// TLS to a proxy of the scheme https.
    Tls proxy_tls;
    /// Redirects (301, 302, 303, 307, 308) that are followed in one attempt. 0: a redirect is a refusal.
    std::uint32_t max_redirects = 5;

    Socket socket;
    /// Beats the resolver for these hosts and ports; several entries for one are several addresses.
    std::vector<HostAddress> addresses;

    Delivery delivery = Delivery::messages;

    Compression compression;

    /// Messages larger than this are sent as fragments of this size, so that a ping or pong need not wait for the end
    /// of a large message. 0: one frame a message.
    std::size_t fragment_size = 0;
    /// Refuse to send text that is not UTF-8. Switch it off only for text that is known to be valid.
    bool check_outgoing_text = true;

    /// Bytes read from the network at once; four times as many while more has arrived than that, by clients that borrow
    /// their buffers (all but a core without a `BufferPool` or with `limits.max_memory`). Frames that fit are delivered
    /// without being copied, and what is still to come of larger ones is read to its place. 4 KiB to 16 MiB.
    std::size_t receive_buffer = 64u << 10u;

    Timeouts timeouts;
    Limits limits;
    Keepalive keepalive;
    Reconnect reconnect;
    OfflineQueue offline_queue;
    WaterMarks water_marks;

    /// Is told what happens inside; null: nobody is. See trace.hpp.
    std::shared_ptr<Tracer> tracer;

    /// The same settings, and the same tracer.
    bool operator==(const Config&) const = default;
};

}  // namespace tern
