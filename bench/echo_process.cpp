#include "echo_process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <string>
#include <unistd.h>
#include <unordered_map>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "certificate.hpp"

namespace bench {
namespace {

[[noreturn]] void die(const char* what) {
    std::perror(what);
    std::_Exit(1);
}

/// One connection. It writes as if nothing ever blocked: the clients here always read.
class Connection {
public:
    Connection(int socket, SSL_CTX* context) : socket_(socket) {
        if (context == nullptr) return;
        ssl_.reset(SSL_new(context));
        SSL_set_fd(ssl_.get(), socket);
        SSL_set_accept_state(ssl_.get());
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() { close(socket_); }

    /// False: it is over.
    bool on_readable() {
        std::array<char, 65536> bytes;
        for (;;) {
            const long n = ssl_ ? SSL_read(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()))
                                : read(socket_, bytes.data(), bytes.size());
            if (n <= 0) {
                return ssl_ ? SSL_get_error(ssl_.get(), static_cast<int>(n)) == SSL_ERROR_WANT_READ
                            : n < 0 && errno == EAGAIN;
            }
            in_.append(bytes.data(), static_cast<std::size_t>(n));
            if (upgraded_ ? !echo() : !upgrade()) return false;
        }
    }

private:
    struct Free {
        void operator()(SSL* ssl) const { SSL_free(ssl); }
    };

    bool upgrade() {
        const std::size_t end = in_.find("\r\n\r\n");
        if (end == std::string::npos) return true;
        const std::string name = "Sec-WebSocket-Key: ";
        const std::size_t at = in_.find(name);
        if (at == std::string::npos) return false;
        const std::string key = in_.substr(at + name.size(), 24) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
        std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
        SHA1(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
        std::array<unsigned char, 64> accept{};
        EVP_EncodeBlock(accept.data(), digest.data(), static_cast<int>(digest.size()));
        in_.erase(0, end + 4);
        upgraded_ = true;
        return send(
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Accept: " +
                   std::string(reinterpret_cast<const char*>(accept.data())) + "\r\n\r\n") &&
               echo();
    }

    /// Frames of up to 64 KiB come back as they are, unmasked; pings as pongs.
    bool echo() {
        std::string out;
        for (;;) {
            if (in_.size() < 2) break;
            const auto at = [&](std::size_t i) { return static_cast<unsigned char>(in_[i]); };
            std::size_t length = at(1) & 0x7fu;
            const std::size_t header = length == 126 ? 8 : 6;
            if (length == 127) return false;
            if (in_.size() < header) break;
            if (length == 126) length = static_cast<std::size_t>(at(2)) << 8u | at(3);
            if (in_.size() < header + length) break;
            const bool ping = (at(0) & 0xfu) == 9;
            out += static_cast<char>(ping ? 0x8a : at(0));
            out += static_cast<char>(at(1) & 0x7fu);
            if (header == 8) out += in_.substr(2, 2);
            for (std::size_t i = 0; i < length; ++i) {
                out += static_cast<char>(at(header + i) ^ at(header - 4 + i % 4));
            }
            in_.erase(0, header + length);
        }
        if (in_.empty()) std::string().swap(in_);
        return out.empty() || send(out);
    }

    bool send(const std::string& bytes) {
        const long n = ssl_ ? SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()))
                            : write(socket_, bytes.data(), bytes.size());
        return n == static_cast<long>(bytes.size());
    }

    int socket_;
    std::unique_ptr<SSL, Free> ssl_;
    bool upgraded_ = false;
    std::string in_;
};

[[noreturn]] void serve(int listener, SSL_CTX* context) {
    const int poll = epoll_create1(0);
    epoll_event event{.events = EPOLLIN, .data = {.fd = listener}};
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    std::unordered_map<int, std::unique_ptr<Connection>> connections;
    std::array<epoll_event, 64> events;
    for (;;) {
        const int count = epoll_wait(poll, events.data(), static_cast<int>(events.size()), -1);
        for (int i = 0; i < count; ++i) {
            const int socket = events[static_cast<std::size_t>(i)].data.fd;
            if (socket != listener) {
                if (!connections[socket]->on_readable()) connections.erase(socket);
                continue;
            }
            for (;;) {
                const int accepted = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
                if (accepted < 0) break;
                const int on = 1;
                setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
                connections[accepted] = std::make_unique<Connection>(accepted, context);
                epoll_event added{.events = EPOLLIN, .data = {.fd = accepted}};
                epoll_ctl(poll, EPOLL_CTL_ADD, accepted, &added);
            }
        }
    }
}

}  // namespace

EchoProcess::EchoProcess(bool secure) {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener, 4096) != 0) die("listen");
    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    process_ = fork();
    if (process_ < 0) die("fork");
    if (process_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        std::signal(SIGPIPE, SIG_IGN);
        serve(listener, secure ? server_context(SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY) : nullptr);
    }
    close(listener);
}

EchoProcess::~EchoProcess() {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
}

}  // namespace bench
