#include "tunnel_server.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "scripted_server.hpp"
#include "tls_peer.hpp"

namespace tern::failing {
namespace {

void must(bool condition, const char* what) {
    if (condition) return;
    std::perror(what);
    std::_Exit(1);
}

/// Messages are compressed each on its own, so what comes can go back as it is.
constexpr std::string_view extension =
    "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";

class Connection {
public:
    explicit Connection(int descriptor) : descriptor_(descriptor) {}
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() { close(descriptor_); }

    [[nodiscard]] int descriptor() const { return descriptor_; }
    [[nodiscard]] bool gone() const { return gone_; }
    [[nodiscard]] short wanted() const { return static_cast<short>(POLLIN | (wire_.empty() ? 0 : POLLOUT)); }

    void on_readable() {
        std::array<char, 65536> bytes;
        const ssize_t size = recv(descriptor_, bytes.data(), bytes.size(), 0);
        if (size <= 0) {
            gone_ = size == 0 || (errno != EAGAIN && errno != EINTR);
            return;
        }
        const std::string_view read(bytes.data(), static_cast<std::size_t>(size));
        if (tls_ == nullptr) return tunnel(read);
        tls_->feed(read);
        try {
            on_plain();
        } catch (const std::runtime_error&) {  // it has nothing to say any more, after an alert
            gone_ = true;
        }
    }

    void on_writable() {
        const ssize_t sent = send(descriptor_, wire_.data(), wire_.size(), MSG_NOSIGNAL);
        if (sent < 0) {
            gone_ = errno != EAGAIN && errno != EINTR;
        } else {
            wire_.erase(0, static_cast<std::size_t>(sent));
        }
        gone_ = gone_ || (ends_ && wire_.empty());
    }

private:
    void tunnel(std::string_view read) {
        request_ += read;
        if (request_.find("\r\n\r\n") == std::string::npos) return;
        wire_ += "HTTP/1.1 200 Connection established\r\n\r\n";
        tls_ = std::make_unique<tls::TlsPeer>(tls::PeerSettings{});
    }

    void on_plain() {
        plain_ += std::exchange(tls_->received, {});
        if (!upgraded_) upgrade();
        while (upgraded_ && frame()) {
        }
        wire_ += std::exchange(tls_->out, {});
        // A client that ends TLS has said all that it had to say.
        ends_ = ends_ || tls_->failed() || tls_->closed();
        gone_ = gone_ || (ends_ && wire_.empty());
    }

    void upgrade() {
        const std::size_t end = plain_.find("\r\n\r\n");
        if (end == std::string::npos) return;
        tls_->write(interop::Peer::accept(plain_.substr(0, end + 4), extension));
        plain_.erase(0, end + 4);
        upgraded_ = true;
    }

    /// Takes a whole frame from the front.
    bool frame() {
        const auto read = interop::take_frame(plain_);
        if (!read) return false;
        if (read->payload == TunnelServer::drop) {
            gone_ = true;
            return false;
        }
        if (read->opcode != 10) {
            tls_->write(interop::frame(read->opcode == 9 ? 10 : read->opcode, read->payload, read->fin, read->rsv));
        }
        if (read->opcode == 8) {
            tls_->close_notify();
            ends_ = true;
        }
        return read->opcode != 8;
    }

    int descriptor_;
    std::unique_ptr<tls::TlsPeer> tls_;
    std::string request_;  ///< To the proxy.
    std::string plain_;    ///< From the client.
    std::string wire_;     ///< To the client.
    bool upgraded_ = false;
    bool ends_ = false;  ///< When everything is on its way.
    bool gone_ = false;
};

[[noreturn]] void serve(int listener) {
    std::vector<std::unique_ptr<Connection>> connections;
    std::vector<pollfd> waiting;
    for (;;) {
        waiting.assign({{listener, POLLIN, 0}});
        for (const auto& each : connections) waiting.push_back({each->descriptor(), each->wanted(), 0});
        poll(waiting.data(), waiting.size(), -1);
        for (std::size_t i = 0; i < connections.size(); ++i) {
            const short events = waiting[i + 1].revents;
            if ((events & ~POLLOUT) != 0) connections[i]->on_readable();
            if ((events & POLLOUT) != 0 && !connections[i]->gone()) connections[i]->on_writable();
        }
        std::erase_if(connections, [](const auto& each) { return each->gone(); });
        for (int accepted; (accepted = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
            const int on = 1;
            setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            connections.push_back(std::make_unique<Connection>(accepted));
        }
    }
}

}  // namespace

TunnelServer::TunnelServer() {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    must(bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0, "bind");
    must(listen(listener, 64) == 0, "listen");
    must(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0, "getsockname");
    port_ = ntohs(address.sin_port);
    const pid_t parent = getpid();
    pid_ = fork();
    must(pid_ >= 0, "fork");
    if (pid_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) std::_Exit(1);
        serve(listener);
    }
    close(listener);
}

TunnelServer::~TunnelServer() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
}

}  // namespace tern::failing
