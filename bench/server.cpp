// The server of the benchmarks. It has to be faster than every client, so that what is measured is the client: frames
// are prepared once and written in big blocks, what is received is counted and thrown away, and it has a core of its
// own (bench/run.py). After each task it prints a JSON line with its own CPU time, so that one sees if it was the
// limit.
//
//     bench_server [--sendfile] [--root FILE]    prints "ready PORT PORT PORT": for ws, for wss, and for wss with a
//                                                chain of certificates, whose root is written to the file
//
// With --sendfile it does not even copy, and is idle while bare sockets are measured. But then all that a client reads
// lies in its own cache already, as it never does for data that came from somewhere, so that is not the default.
//
// A text message is a command; while the task lasts, messages are what the task says:
//     flood COUNT SIZE KIND   sends that many messages; KIND is binary, text (of many-byte UTF-8) or deflate
//     sink COUNT              takes so many messages, then answers with their number
// A binary message outside of a task is sent back. While a connection to /spin is open, the server never sleeps.
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <unistd.h>
#include <unordered_map>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <zlib.h>

#include "certificate.hpp"

namespace {

constexpr std::size_t receive_size = 256u << 10u;
/// A block is at least that long; it stays in the second-level cache.
constexpr std::size_t block_size = 256u << 10u;
/// What one connection is given before the next has its turn.
constexpr std::size_t turn_size = 256u << 10u;
/// Encrypted at once: several records.
constexpr std::size_t encrypt_size = 64u << 10u;

const char* root_file = "/dev/null";
bool copying = true;  // sends from memory and not from pages of a file
int spinning = 0;     // connections that want it

[[noreturn]] void die(const char* what) {
    std::perror(what);
    std::_Exit(1);
}

std::uint64_t clock_ns(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

// --- prepared frames -----------------------------------------------------------------------------------------------

/// Letters of one to four bytes, as texts of the world have them.
std::string many_byte_text(std::size_t size) {
    constexpr std::string_view words =
        "Ταχίστη αλώπηξ βαφής ψημένη γη, δρασκελίζει υπέρ νωθρού κυνός. Съешь ещё этих мягких "
        "французских булок. 日本語の文章 \U0001F426 ";
    std::string text;
    while (text.size() <= size) text += words;
    std::size_t whole = size;
    while (whole > 0 && (static_cast<unsigned char>(text[whole]) & 0xC0u) == 0x80u) --whole;
    text.resize(whole);
    text.resize(size, '.');
    return text;
}

/// Records like those that servers send; zlib makes a third or a fourth of them.
std::string records(std::size_t size, unsigned seed) {
    std::string text;
    while (text.size() < size) {
        const auto next = [&seed] { return seed = seed * 1'103'515'245u + 12'345u; };
        text += "{\"symbol\":\"" + std::string(1, static_cast<char>('A' + (next() >> 16u) % 26)) +
                "SDT\",\"price\":" + std::to_string(next() >> 12u) +
                ",\"quantity\":" + std::to_string((next() >> 16u) % 1000) + ",\"side\":\"" +
                ((next() >> 16u) % 2 == 0 ? "buy" : "sell") + "\"},";
    }
    text.resize(size);
    return text;
}

/// RFC 7692 section 7.2.1; each message stands for itself, which is allowed with context takeover too.
std::string deflated(const std::string& text) {
    z_stream stream{};
    if (deflateInit2(&stream, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) die("deflateInit2");
    std::string out(deflateBound(&stream, static_cast<uLong>(text.size())) + 16, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    if (deflate(&stream, Z_SYNC_FLUSH) != Z_OK) die("deflate");
    out.resize(out.size() - stream.avail_out - 4);
    deflateEnd(&stream);
    return out;
}

void add_frame(std::string& to, unsigned first_byte, std::string_view payload) {
    to += static_cast<char>(first_byte);
    const std::size_t size = payload.size();
    if (size <= 125) {
        to += static_cast<char>(size);
    } else if (size <= 0xFFFF) {
        to += static_cast<char>(126);
        to += static_cast<char>(size >> 8u);
        to += static_cast<char>(size & 0xFFu);
    } else {
        to += static_cast<char>(127);
        for (int shift = 56; shift >= 0; shift -= 8)
            to += static_cast<char>((size >> static_cast<unsigned>(shift)) & 0xFFu);
    }
    to += payload;
}

/// The same few messages over and over, and the same in a file in memory.
struct Block {
    Block(std::size_t size, const std::string& kind) {
        for (unsigned i = 0; bytes.size() < block_size; ++i) {
            if (kind == "deflate") {
                add_frame(bytes, 0xC2, deflated(records(size, i % 16)));
            } else if (kind == "text") {
                add_frame(bytes, 0x81, many_byte_text(size));
            } else {
                add_frame(bytes, 0x82, std::string(size, static_cast<char>('a' + i % 26)));
            }
            ends.push_back(bytes.size());
        }
        file = memfd_create("block", MFD_CLOEXEC);
        if (file < 0 || write(file, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) die("memfd");
    }

    std::string bytes;
    std::vector<std::size_t> ends;  ///< Of each message.
    int file = -1;
};

const Block& block_of(std::size_t size, const std::string& kind) {
    static std::map<std::tuple<std::size_t, std::string>, Block> blocks;
    return blocks.try_emplace({size, kind}, size, kind).first->second;
}

// --- a connection --------------------------------------------------------------------------------------------------

class Connection {
public:
    Connection(int descriptor, SSL_CTX* context) : descriptor_(descriptor) {
        if (context == nullptr) return;
        ssl_ = SSL_new(context);
        SSL_set_accept_state(ssl_);
        in_ = BIO_new(BIO_s_mem());
        out_ = BIO_new(BIO_s_mem());
        SSL_set_bio(ssl_, in_, out_);
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() {
        if (spins_) --spinning;
        if (inflater_.state != nullptr) inflateEnd(&inflater_);
        if (ssl_ != nullptr) SSL_free(ssl_);
        close(descriptor_);
    }

    /// False: it has ended.
    bool on_readable() {
        for (int i = 0; i < 8; ++i) {
            const Got got = receive();
            if (got == Got::end) return false;
            if (got == Got::nothing) break;
            if (!(open_ ? take_frames() : take_request())) return false;
            if (got == Got::last) break;
        }
        return on_writable();
    }

    /// False: it has ended.
    bool on_writable() {
        std::size_t sent = 0;
        blocked_ = false;
        while (!blocked_ && sent < turn_size) {
            if (pending() > 0) {
                const ssize_t size = send_pending();
                if (size < 0) return false;
                sent += static_cast<std::size_t>(size);
            } else if (flood_left_ > 0) {
                const ssize_t size = send_block();
                if (size < 0) return false;
                sent += static_cast<std::size_t>(size);
            } else {
                break;
            }
        }
        if (flooding_ && flood_left_ == 0 && pending() == 0) {
            flooding_ = false;
            report("flood");
        }
        return !(closing_ && pending() == 0);
    }

    [[nodiscard]] bool wants_to_write() const { return flood_left_ > 0 || pending() > 0; }
    [[nodiscard]] bool blocked() const { return blocked_; }

private:
    enum class Got { nothing, some, last, end };

    // --- bytes

    Got receive() {
        if (ssl_ == nullptr && skip_ > receive_size && used_ == 0) {
            // The payload is not wanted, and the kernel need not copy it.
            const ssize_t size =
                recv(descriptor_, nullptr, std::min<std::size_t>(skip_, 1u << 20u), MSG_TRUNC | MSG_DONTWAIT);
            if (size < 0) return errno == EAGAIN ? Got::nothing : Got::end;
            if (size == 0) return Got::end;
            skip_ -= static_cast<std::size_t>(size);
            return Got::some;
        }
        static std::array<char, receive_size> encrypted;
        if (buffer().size() < used_ + 64) buffer().resize(used_ + receive_size);
        char* const into = ssl_ == nullptr ? buffer().data() + used_ : encrypted.data();
        const std::size_t room = ssl_ == nullptr ? buffer().size() - used_ : encrypted.size();
        const ssize_t size = recv(descriptor_, into, room, MSG_DONTWAIT);
        if (size < 0) return errno == EAGAIN ? Got::nothing : Got::end;
        if (size == 0) return Got::end;
        const Got got = static_cast<std::size_t>(size) == room ? Got::some : Got::last;
        if (ssl_ == nullptr) {
            used_ += static_cast<std::size_t>(size);
            return got;
        }
        BIO_write(in_, encrypted.data(), static_cast<int>(size));
        for (;;) {
            if (buffer().size() < used_ + (16u << 10u)) buffer().resize(2 * buffer().size());
            const int plain = SSL_read(ssl_, buffer().data() + used_, static_cast<int>(buffer().size() - used_));
            if (plain <= 0) return SSL_get_error(ssl_, plain) == SSL_ERROR_WANT_READ ? got : Got::end;
            used_ += static_cast<std::size_t>(plain);
        }
    }

    /// Only a connection that holds back the beginning of a frame has memory of its own.
    std::string& buffer() {
        static std::string shared(receive_size, '\0');
        if (used_ == 0 && own_.empty()) return shared;
        return own_.empty() ? shared : own_;
    }
    void keep(std::size_t from) {
        std::string& bytes = buffer();
        const std::size_t left = used_ - from;
        if (left == 0) {
            own_.clear();
        } else if (&bytes == &own_) {
            std::memmove(own_.data(), own_.data() + from, left);
        } else {
            own_.assign(receive_size, '\0');
            std::memcpy(own_.data(), bytes.data() + from, left);
        }
        used_ = left;
    }

    [[nodiscard]] std::size_t pending() const {
        return ssl_ == nullptr ? plain_out_.size() - plain_sent_ : BIO_ctrl_pending(out_);
    }

    ssize_t send_pending() {
        const char* data = plain_out_.data() + plain_sent_;
        if (ssl_ != nullptr) {
            char* all = nullptr;
            const auto size = BIO_get_mem_data(out_, &all);
            static_cast<void>(size);
            data = all;
        }
        const ssize_t size = sent(send(descriptor_, data, pending(), MSG_NOSIGNAL | MSG_DONTWAIT));
        if (size <= 0) return size;
        if (ssl_ == nullptr) {
            plain_sent_ += static_cast<std::size_t>(size);
            if (plain_sent_ == plain_out_.size()) {
                plain_out_.clear();
                plain_sent_ = 0;
            }
        } else if (static_cast<std::size_t>(size) == pending()) {
            static_cast<void>(BIO_reset(out_));
        } else {
            std::string rest(pending(), '\0');
            BIO_read(out_, rest.data(), static_cast<int>(size));
        }
        return size;
    }

    ssize_t sent(ssize_t size) {
        if (size < 0 && errno != EAGAIN) return -1;
        blocked_ = size < 0;
        return std::max<ssize_t>(size, 0);
    }

    /// The next piece of the block.
    ssize_t send_block() {
        const std::size_t end = block_->ends[std::min<std::size_t>(flood_left_, block_->ends.size()) - 1];
        std::size_t wanted = end - flood_at_;
        ssize_t size = 0;
        if (ssl_ != nullptr) {
            wanted = std::min(wanted, encrypt_size);
            size = SSL_write(ssl_, block_->bytes.data() + flood_at_, static_cast<int>(wanted));
            if (size <= 0) return -1;
        } else if (copying) {
            size = sent(send(descriptor_, block_->bytes.data() + flood_at_, wanted, MSG_NOSIGNAL | MSG_DONTWAIT));
        } else {
            auto offset = static_cast<off_t>(flood_at_);
            size = sent(sendfile(descriptor_, block_->file, &offset, wanted));
        }
        if (size < 0) return size;
        flood_at_ += static_cast<std::size_t>(size);
        if (flood_at_ == end) {
            flood_left_ -= std::min<std::size_t>(flood_left_, block_->ends.size());
            flood_at_ = 0;
        }
        return size;
    }

    void write(std::string_view bytes) {
        if (ssl_ == nullptr) {
            plain_out_ += bytes;
        } else {
            SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()));
        }
    }
    void write_frame(unsigned first_byte, std::string_view payload) {
        static std::string frame;
        frame.clear();
        add_frame(frame, first_byte, payload);
        write(frame);
    }

    // --- what is said

    bool take_request() {
        const std::string_view all(buffer().data(), used_);
        const std::size_t end = all.find("\r\n\r\n");
        if (end == std::string_view::npos) {
            keep(0);
            return used_ < receive_size;
        }
        std::string head(all.substr(0, end + 2));
        std::string lower = head;
        std::transform(lower.begin(), lower.end(), lower.begin(),
                       [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
        constexpr std::string_view name = "\r\nsec-websocket-key:";
        std::size_t at = lower.find(name);
        if (at == std::string::npos) return false;
        at = head.find_first_not_of(' ', at + name.size());
        const std::string key = head.substr(at, head.find("\r\n", at) - at) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
        std::array<unsigned char, 20> digest{};
        SHA1(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
        std::array<unsigned char, 32> accept{};
        EVP_EncodeBlock(accept.data(), digest.data(), static_cast<int>(digest.size()));
        std::string answer =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
        answer += reinterpret_cast<const char*>(accept.data());
        answer += "\r\n";
        if (lower.find("permessage-deflate") != std::string::npos)
            answer += "Sec-WebSocket-Extensions: permessage-deflate\r\n";
        answer += "\r\n";
        write(answer);
        spins_ = head.rfind("GET /spin", 0) == 0;
        if (spins_) ++spinning;
        open_ = true;
        if (used_ == end + 4) {
            keep(used_);
            return true;
        }
        taken_ = end + 4;
        return take_frames();
    }

    bool take_frames() {
        const char* const data = buffer().data();
        std::size_t at = std::exchange(taken_, 0);
        const auto byte = [data](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(data[i])); };
        for (;;) {
            if (skip_ > 0) {
                const std::size_t size = std::min<std::size_t>(skip_, used_ - at);
                skip_ -= size;
                at += size;
            }
            if (skip_ == 0 && std::exchange(counts_, false)) count_message();
            const std::size_t left = used_ - at;
            if (left < 6) break;
            const unsigned short_size = byte(at + 1) & 0x7Fu;
            const std::size_t header = 6u + (short_size == 126 ? 2u : short_size == 127 ? 8u : 0u);
            if (left < header) break;
            std::uint64_t size = short_size;
            if (short_size >= 126) {
                size = 0;
                for (std::size_t i = 2; i < header - 4; ++i) size = size << 8u | byte(at + i);
            }
            const unsigned opcode = byte(at) & 0x0Fu;
            if (sink_left_ > 0 && opcode <= 2) {
                counts_ = (byte(at) & 0x80u) != 0;
                at += header;
                skip_ = size;
                continue;
            }
            if (left < header + size) {
                if (buffer().size() < header + size) own_.resize(std::max(own_.size(), header + size));
                break;
            }
            std::string payload(data + at + header, size);
            for (std::size_t i = 0; i < payload.size(); ++i)
                payload[i] = static_cast<char>(payload[i] ^ data[at + header - 4 + i % 4]);
            const unsigned first_byte = byte(at);
            at += header + size;
            if ((first_byte & 0x40u) != 0) payload = inflated(payload);
            if (!on_message(opcode, payload)) return false;
        }
        keep(at);
        return true;
    }

    /// Only commands are inflated; before the first of them no compressed message has been left out.
    std::string inflated(const std::string& payload) {
        if (inflater_.state == nullptr && inflateInit2(&inflater_, -15) != Z_OK) die("inflateInit2");
        std::string in = payload + std::string("\0\0\xff\xff", 4);
        std::string out(64u << 10u, '\0');
        inflater_.next_in = reinterpret_cast<Bytef*>(in.data());
        inflater_.avail_in = static_cast<uInt>(in.size());
        inflater_.next_out = reinterpret_cast<Bytef*>(out.data());
        inflater_.avail_out = static_cast<uInt>(out.size());
        inflate(&inflater_, Z_SYNC_FLUSH);
        out.resize(out.size() - inflater_.avail_out);
        return out;
    }

    bool on_message(unsigned opcode, const std::string& payload) {
        switch (opcode) {
            case 1: return on_command(payload);
            case 2: write_frame(0x82, payload); return true;
            case 8:
                write_frame(0x88, std::string_view(payload).substr(0, 2));
                closing_ = true;
                return true;
            case 9: write_frame(0x8A, payload); return true;
            default: return true;
        }
    }

    bool on_command(const std::string& text) {
        unsigned long long count = 0;
        std::size_t size = 0;
        std::array<char, 16> kind{};
        cpu_ = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        wall_ = clock_ns(CLOCK_MONOTONIC);
        if (std::sscanf(text.c_str(), "flood %llu %zu %15s", &count, &size, kind.data()) == 3) {
            block_ = &block_of(size, kind.data());
            task_count_ = flood_left_ = count;
            flood_at_ = 0;
            flooding_ = true;
            cpu_ = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
            wall_ = clock_ns(CLOCK_MONOTONIC);
            return true;
        }
        if (std::sscanf(text.c_str(), "sink %llu", &count) == 1) {
            task_count_ = sink_left_ = count;
            return true;
        }
        std::fprintf(stderr, "unknown command: %.40s\n", text.c_str());
        return false;
    }

    void count_message() {
        if (--sink_left_ != 0) return;
        report("sink");
        write_frame(0x81, std::to_string(task_count_));
    }

    void report(const char* task) const {
        std::printf("{\"task\": \"%s\", \"count\": %llu, \"cpu_ns\": %llu, \"wall_ns\": %llu}\n", task,
                    static_cast<unsigned long long>(task_count_),
                    static_cast<unsigned long long>(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_),
                    static_cast<unsigned long long>(clock_ns(CLOCK_MONOTONIC) - wall_));
        std::fflush(stdout);
    }

    const int descriptor_;
    SSL* ssl_ = nullptr;
    BIO* in_ = nullptr;  ///< Owned by `ssl_`, as is the next.
    BIO* out_ = nullptr;
    bool open_ = false;
    bool closing_ = false;
    bool spins_ = false;

    std::string own_;
    std::size_t used_ = 0;
    std::size_t taken_ = 0;
    std::uint64_t skip_ = 0;  ///< Of a payload that is not wanted.
    bool counts_ = false;     ///< With its last byte a message is complete.

    z_stream inflater_{};
    std::string plain_out_;
    std::size_t plain_sent_ = 0;
    bool blocked_ = false;

    const Block* block_ = nullptr;
    std::uint64_t flood_left_ = 0;
    std::size_t flood_at_ = 0;
    bool flooding_ = false;
    std::uint64_t sink_left_ = 0;
    std::uint64_t task_count_ = 0;
    std::uint64_t cpu_ = 0;
    std::uint64_t wall_ = 0;
};

// --- all of them ---------------------------------------------------------------------------------------------------

int listen_somewhere(unsigned& port) {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 || listen(listener, 4096) != 0 ||
        getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        die("listen");
    }
    port = ntohs(address.sin_port);
    return listener;
}

class Server {
public:
    Server() {
        watch(plain_, EPOLLIN, EPOLL_CTL_ADD);
        watch(secure_, EPOLLIN, EPOLL_CTL_ADD);
        watch(chained_, EPOLLIN, EPOLL_CTL_ADD);
        std::printf("ready %u %u %u\n", plain_port_, secure_port_, chained_port_);
        std::fflush(stdout);
    }

    [[noreturn]] void run() {
        std::array<epoll_event, 256> events;
        for (;;) {
            const int count = epoll_wait(epoll_, events.data(), events.size(), spinning > 0 ? 0 : -1);
            for (int i = 0; i < count; ++i) {
                const epoll_event& event = events[static_cast<std::size_t>(i)];
                const int descriptor = event.data.fd;
                if (descriptor == plain_ || descriptor == secure_ || descriptor == chained_) {
                    accept_all(descriptor);
                } else {
                    serve(descriptor, event.events);
                }
            }
        }
    }

private:
    void watch(int descriptor, std::uint32_t events, int operation) const {
        epoll_event event{};
        event.events = events;
        event.data.fd = descriptor;
        if (epoll_ctl(epoll_, operation, descriptor, &event) != 0) die("epoll_ctl");
    }

    void accept_all(int listener) {
        for (;;) {
            const int descriptor = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (descriptor < 0) return;
            const int on = 1;
            setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            connections_[descriptor] = {std::make_unique<Connection>(descriptor, context_of(listener)), false};
            watch(descriptor, EPOLLIN, EPOLL_CTL_ADD);
        }
    }

    void serve(int descriptor, std::uint32_t what) {
        const auto found = connections_.find(descriptor);
        if (found == connections_.end()) return;
        auto& [connection, writing] = found->second;
        bool alive = true;
        if ((what & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) alive = connection->on_readable();
        if (alive && (what & EPOLLOUT) != 0) alive = connection->on_writable();
        if (!alive) {
            connections_.erase(found);
            return;
        }
        if (connection->wants_to_write() != writing) {
            writing = !writing;
            watch(descriptor, EPOLLIN | (writing ? static_cast<std::uint32_t>(EPOLLOUT) : 0u), EPOLL_CTL_MOD);
        }
    }

    /// Null: in the clear.
    [[nodiscard]] SSL_CTX* context_of(int listener) const {
        return listener == plain_ ? nullptr : listener == secure_ ? context_ : chain_context_;
    }

    struct Entry {
        std::unique_ptr<Connection> connection;
        bool writing = false;
    };

    const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
    unsigned plain_port_ = 0;
    unsigned secure_port_ = 0;
    unsigned chained_port_ = 0;
    const int plain_ = listen_somewhere(plain_port_);
    const int secure_ = listen_somewhere(secure_port_);
    const int chained_ = listen_somewhere(chained_port_);
    static constexpr long mode = SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS;
    SSL_CTX* const context_ = bench::server_context(mode);
    SSL_CTX* const chain_context_ = bench::chain_context(mode, root_file);
    std::unordered_map<int, Entry> connections_;
};

}  // namespace

int main(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
        if (std::string_view(argv[i]) == "--sendfile") {
            copying = false;
        } else if (std::string_view(argv[i]) == "--root" && i + 1 < argc) {
            root_file = argv[++i];
        } else {
            std::fprintf(stderr, "usage: bench_server [--sendfile] [--root FILE]\n");
            return 2;
        }
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // with its parent it has nothing to do
    signal(SIGPIPE, SIG_IGN);
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    Server().run();
}
