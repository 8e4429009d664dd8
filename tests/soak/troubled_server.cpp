#include "troubled_server.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <poll.h>
#include <random>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "scripted_server.hpp"
#include "tls_peer.hpp"

namespace tern::soak {
namespace {

void must(bool condition, const char* what) {
    if (condition) return;
    std::perror(what);
    std::exit(1);
}

/// More than that is not kept for a client that does not read; nor is more read from one that does not stop.
constexpr std::size_t most_waiting = 256u << 10u;
constexpr std::string_view lock_step =
    "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
    "client_no_context_takeover\r\n";

}  // namespace

class TroubledServer::Connection {
public:
    Connection(int descriptor, TroubledServer& server, std::minstd_rand& random)
        : descriptor_(descriptor), server_(server), random_(random) {
        trouble_ = static_cast<Trouble>(below(trouble_count));
        messages_left_ = below(30);
        compresses_ = below(2) == 0;
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() { ::close(descriptor_); }

    [[nodiscard]] int descriptor() const { return descriptor_; }
    [[nodiscard]] bool gone() const { return gone_; }
    [[nodiscard]] short wanted() const {
        short events = 0;
        if (!deaf_ && wire_.size() < most_waiting) events |= POLLIN;
        if (!wire_.empty() || flooding()) events |= POLLOUT;
        return events;
    }

    void on_readable() {
        std::array<char, 16384> bytes;
        const ssize_t size = recv(descriptor_, bytes.data(), bytes.size(), 0);
        if (size <= 0) {
            gone_ = size == 0 || (errno != EAGAIN && errno != EINTR);
            return;
        }
        std::string_view read(bytes.data(), static_cast<std::size_t>(size));
        if (!begun_) {
            begun_ = true;
            // 22: a TLS record with a handshake.
            if (read.front() == 22) tls_ = std::make_unique<tls::TlsPeer>(tls::PeerSettings{});
        }
        if (tls_ != nullptr) {
            tls_->feed(read);
            plain_ += std::exchange(tls_->received, {});
            flush_tls();
            if (tls_->failed() || tls_->closed()) gone_ = true;
        } else {
            plain_ += read;
        }
        if (!upgraded_) upgrade();
        while (upgraded_ && !gone_ && frame()) {
        }
    }

    void on_writable() {
        if (wire_.empty() && flooding()) {
            for (int i = 0; i < 20; ++i)
                send(interop::frame(trouble_ == Trouble::pings ? 9 : 2, std::string(below(120), 'f')));
        }
        // Any number of bytes at a time, as networks do it.
        const std::size_t size = std::min<std::size_t>(wire_.size(), below(8) == 0 ? 1 + below(20) : wire_.size());
        const ssize_t sent = ::send(descriptor_, wire_.data(), size, MSG_NOSIGNAL);
        if (sent < 0) {
            gone_ = errno != EAGAIN && errno != EINTR;
        } else {
            wire_.erase(0, static_cast<std::size_t>(sent));
            gone_ = ends_ && wire_.empty();
        }
    }

private:
    unsigned below(unsigned n) { return static_cast<unsigned>(random_()) % n; }
    [[nodiscard]] bool flooding() const { return made_ && (trouble_ == Trouble::flood || trouble_ == Trouble::pings); }

    void send(std::string_view bytes) {
        if (tls_ == nullptr) {
            wire_ += bytes;
            return;
        }
        tls_->write(bytes);
        flush_tls();
    }
    void flush_tls() { wire_ += std::exchange(tls_->out, {}); }

    void upgrade() {
        const std::size_t end = plain_.find("\r\n\r\n");
        if (end == std::string::npos) return;
        const std::string request = plain_.substr(0, end + 4);
        plain_.erase(0, end + 4);
        switch (trouble_) {
            case Trouble::refuse: {
                constexpr std::array answers = {"404 Not Found", "429 Too Many Requests", "503 Service Unavailable"};
                send(std::string("HTTP/1.1 ") + answers[below(answers.size())] +
                     "\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nsoak");
                return leave(true);
            }
            case Trouble::wrong_accept: send(interop::Peer::accept("Sec-WebSocket-Key: x\r\n")); return leave(true);
            case Trouble::silent: return leave(false);
            default: break;
        }
        compresses_ = compresses_ && request.find("permessage-deflate") != std::string::npos;
        send(interop::Peer::accept(request, compresses_ ? lock_step : std::string_view()));
        upgraded_ = true;
    }

    /// Takes a whole frame from the front. Messages are compressed on their own, so they go back as they came.
    bool frame() {
        const auto read = interop::take_frame(plain_);
        if (!read) return false;
        if (read->opcode == 8) {
            send(interop::frame(8, read->payload));
            ends_ = true;
            return false;
        }
        if (read->opcode == 10) return true;
        send(interop::frame(read->opcode == 9 ? 10 : read->opcode, read->payload, read->fin, read->rsv));
        if (read->opcode < 8 && read->fin && messages_left_-- == 0) make_trouble();
        return true;
    }

    void make_trouble() {
        switch (trouble_) {
            case Trouble::reset: {
                const linger now{.l_onoff = 1, .l_linger = 0};
                setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
                gone_ = true;
                break;
            }
            case Trouble::end: ends_ = true; break;
            case Trouble::close: {
                constexpr std::array codes = {1000u, 1001u, 1011u, 1012u, 1013u, 4321u};
                send(interop::close_frame(codes[below(codes.size())], "soak"));
                break;
            }
            case Trouble::garbage: {
                const std::array frames = {interop::frame(3, "reserved"),
                                           interop::frame(2, "rsv", true, 2),
                                           interop::frame(1, "\xff\xfe"),
                                           interop::frame(9, "ping", false),
                                           interop::frame(0, "nothing to continue"),
                                           std::string("\x82\xff", 2)};
                send(frames[below(frames.size())]);
                break;
            }
            case Trouble::stall:
                send(interop::frame(2, std::string(1000, 's')).substr(0, 1 + below(900)));
                return leave(false);
            case Trouble::deaf: deaf_ = true; break;
            case Trouble::too_large:
                send(std::string("\x82\x7f\0\0\0\0\x7f\0\0\0", 10) + std::string(5000, 't'));
                break;
            case Trouble::none:
            case Trouble::refuse:
            case Trouble::wrong_accept:
            case Trouble::silent:
            case Trouble::flood:
            case Trouble::pings: break;
        }
        note();
    }
    /// Nothing more is said on this connection.
    void leave(bool ends) {
        ends_ = ends;
        deaf_ = !ends;
        note();
    }
    void note() {
        if (!made_) ++server_.made_[static_cast<std::size_t>(trouble_)];
        made_ = true;
    }

    int descriptor_;
    TroubledServer& server_;
    std::minstd_rand& random_;
    std::unique_ptr<tls::TlsPeer> tls_;
    std::string plain_;  ///< From the client.
    std::string wire_;   ///< To the client.
    Trouble trouble_ = Trouble::none;
    unsigned messages_left_ = 0;
    bool compresses_ = false;
    bool begun_ = false;
    bool upgraded_ = false;
    bool made_ = false;
    bool deaf_ = false;
    bool ends_ = false;  ///< When everything is on its way.
    bool gone_ = false;
};

TroubledServer::TroubledServer(std::uint64_t seed) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    must(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0, "bind");
    must(listen(listener_, 1024) == 0, "listen");
    must(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0, "getsockname");
    port_ = ntohs(address.sin_port);
    wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    must(wake_ >= 0, "eventfd");
    thread_ = std::thread([this, seed] { run(seed); });
}

TroubledServer::~TroubledServer() {
    ending_ = true;
    eventfd_write(wake_, 1);
    thread_.join();
    ::close(listener_);
    ::close(wake_);
}

void TroubledServer::drop_all() {
    dropping_ = true;
    eventfd_write(wake_, 1);
    dropping_.wait(true);
}

void TroubledServer::run(std::uint64_t seed) {
    std::minstd_rand random(static_cast<std::uint32_t>(seed * 2654435761u + 1));
    std::vector<std::unique_ptr<Connection>> connections;
    std::vector<pollfd> waiting;
    while (!ending_) {
        waiting.assign({{listener_, POLLIN, 0}, {wake_, POLLIN, 0}});
        for (const auto& each : connections) waiting.push_back({each->descriptor(), each->wanted(), 0});
        poll(waiting.data(), waiting.size(), -1);
        for (std::size_t i = 0; i < connections.size(); ++i) {
            const short events = waiting[i + 2].revents;
            // An end that nobody waits for would be told again and again.
            if ((events & (POLLERR | POLLHUP)) != 0 || (events & POLLIN) != 0) connections[i]->on_readable();
            if ((events & POLLOUT) != 0 && !connections[i]->gone()) connections[i]->on_writable();
        }
        std::erase_if(connections, [](const auto& each) { return each->gone(); });
        if ((waiting[1].revents & POLLIN) != 0) {
            eventfd_t count = 0;
            eventfd_read(wake_, &count);
        }
        for (int accepted; (accepted = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
            ++accepted_;
            connections.push_back(std::make_unique<Connection>(accepted, *this, random));
        }
        if (dropping_) {
            connections.clear();
            dropping_ = false;
            dropping_.notify_all();
        }
    }
}

}  // namespace tern::soak
