// Bare sockets: the measure for all others.
//
//     bare    moves the bytes and nothing else: reads of 64 KiB that nobody looks at, writes of 64 KiB that were
//     prepared floor   the least that a client has to do: cuts frames in place, checks UTF-8, masks with fresh keys,
//     all of it
//             gathered in blocks of 64 KiB
//
// TLS is OpenSSL as its documentation advises for throughput: it reads ahead, and writes whole records.
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <simdjson.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <zlib.h>

#include "task.hpp"

namespace {

constexpr std::size_t block_size = 64u << 10u;

SSL_CTX* context() {
    static SSL_CTX* const shared = [] {
        SSL_CTX* made = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_read_ahead(made, 1);
        SSL_CTX_set_default_read_buffer_len(made, block_size);
        SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_CLIENT);
        return made;
    }();
    return shared;
}

/// A socket on which the upgrade is done.
class Stream {
public:
    explicit Stream(const bench::Task& task, SSL_SESSION* session = nullptr)
        : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const int on = 1;
        setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(static_cast<std::uint16_t>(task.port));
        if (connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
            bench::fail("connect");
        if (task.tls) {
            ssl_ = SSL_new(context());
            SSL_set_fd(ssl_, descriptor_);
            if (session != nullptr) SSL_set_session(ssl_, session);
            if (SSL_connect(ssl_) != 1) bench::fail("SSL_connect");
        }
        std::string request = "GET " + task.path() + " HTTP/1.1\r\nHost: " + task.host() +
                              "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
        request += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
        if (task.kind == "deflate") request += "Sec-WebSocket-Extensions: permessage-deflate\r\n";
        write(request + "\r\n");
        std::array<char, 2048> answer;
        std::size_t size = 0;
        while (std::string_view(answer.data(), size).find("\r\n\r\n") == std::string_view::npos) {
            size += read(answer.data() + size, answer.size() - size);
        }
    }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    ~Stream() {
        if (ssl_ != nullptr) {
            SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);  // else the session cannot be resumed
            SSL_free(ssl_);
        }
        close(descriptor_);
    }

    std::size_t read(char* to, std::size_t room) {
        ssize_t size = 0;
        if (ssl_ != nullptr) {
            size = SSL_read(ssl_, to, static_cast<int>(room));
        } else {
            do size = recv(descriptor_, to, room, spinning_ ? MSG_DONTWAIT : 0);
            while (size < 0 && errno == EAGAIN);
        }
        if (size <= 0) bench::fail("read");
        return static_cast<std::size_t>(size);
    }
    void write(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t size = ssl_ != nullptr ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                                                 : send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (size <= 0) bench::fail("write");
            bytes.remove_prefix(static_cast<std::size_t>(size));
        }
    }
    void spin() {
        spinning_ = true;
        // With TLS the socket BIO is asked again and again by SSL_read.
        if (ssl_ != nullptr) bench::unsupported("spinning with TLS");
    }
    [[nodiscard]] int descriptor() const { return descriptor_; }
    [[nodiscard]] SSL* ssl() const { return ssl_; }

private:
    const int descriptor_;
    SSL* ssl_ = nullptr;
    bool spinning_ = false;
};

std::size_t header_size(std::size_t payload) { return payload <= 125 ? 2 : payload <= 0xFFFF ? 4 : 10; }

/// The header of a masked frame.
std::size_t write_header(char* to, unsigned opcode, std::size_t size, const char* key) {
    to[0] = static_cast<char>(0x80u | opcode);
    std::size_t at = 2;
    if (size <= 125) {
        to[1] = static_cast<char>(0x80u | size);
    } else if (size <= 0xFFFF) {
        to[1] = static_cast<char>(0x80u | 126u);
        to[2] = static_cast<char>(size >> 8u);
        to[3] = static_cast<char>(size & 0xFFu);
        at = 4;
    } else {
        to[1] = static_cast<char>(0x80u | 127u);
        for (unsigned i = 0; i < 8; ++i) to[2 + i] = static_cast<char>((size >> (56u - 8u * i)) & 0xFFu);
        at = 10;
    }
    std::memcpy(to + at, key, 4);
    return at + 4;
}

/// The compiler makes of it what the CPU has at least; the loop is the plainest that is fast.
void mask(char* to, const char* from, std::size_t size, const char* key) {
    std::uint32_t word = 0;
    std::memcpy(&word, key, 4);
    const std::uint64_t twice = std::uint64_t{word} << 32u | word;
    std::size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        std::uint64_t bytes = 0;
        std::memcpy(&bytes, from + i, 8);
        bytes ^= twice;
        std::memcpy(to + i, &bytes, 8);
    }
    for (; i < size; ++i) to[i] = static_cast<char>(from[i] ^ key[i % 4]);
}

std::string frame(unsigned opcode, std::string_view payload) {
    std::string bytes(14 + payload.size(), '\0');
    const std::string_view key = "\x12\x34\x56\x78";
    const std::size_t header = write_header(bytes.data(), opcode, payload.size(), key.data());
    mask(bytes.data() + header, payload.data(), payload.size(), key.data());
    bytes.resize(header + payload.size());
    return bytes;
}

// --- receive -------------------------------------------------------------------------------------------------------

void read_bytes(Stream& stream, std::uint64_t count) {
    static std::vector<char> buffer(block_size);
    while (count > 0) count -= std::min<std::uint64_t>(count, stream.read(buffer.data(), buffer.size()));
}

class Inflater {
public:
    Inflater() { inflateInit2(&stream_, -15); }
    void inflate_message(const char* data, std::size_t size, std::size_t inflated) {
        out_.resize(inflated + 16);
        stream_.next_out = reinterpret_cast<Bytef*>(out_.data());
        stream_.avail_out = static_cast<uInt>(out_.size());
        add(data, size);
        add("\0\0\xff\xff", 4);
        if (out_.size() - stream_.avail_out != inflated) bench::fail("inflate");
    }

private:
    void add(const char* data, std::size_t size) {
        stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data));
        stream_.avail_in = static_cast<uInt>(size);
        inflate(&stream_, Z_SYNC_FLUSH);
    }
    z_stream stream_{};
    std::vector<char> out_;
};

/// Cuts frames in place, and moves what is left of one to the front.
void read_frames(Stream& stream, const bench::Task& task, std::uint64_t count) {
    static std::vector<char> buffer(std::max(block_size, task.size + 16));
    static std::size_t used = 0;
    static Inflater inflater;
    const bool text = task.kind == "text";
    const bool deflated = task.kind == "deflate";
    for (std::size_t at = 0;;) {
        while (used - at >= 2) {
            std::size_t size = static_cast<unsigned char>(buffer[at + 1]);
            std::size_t header = 2;
            if (size == 126) {
                header = 4;
                size = static_cast<std::size_t>(static_cast<unsigned char>(buffer[at + 2])) << 8u |
                       static_cast<unsigned char>(buffer[at + 3]);
            } else if (size == 127) {
                header = 10;
                size = 0;
                for (std::size_t i = 2; i < 10; ++i) size = size << 8u | static_cast<unsigned char>(buffer[at + i]);
            }
            if (used - at < header || used - at < header + size) break;
            const char* const payload = buffer.data() + at + header;
            if (text && !simdjson::validate_utf8(payload, size)) bench::fail("not UTF-8");
            if (deflated) inflater.inflate_message(payload, size, task.size);
            at += header + size;
            if (--count == 0) {
                used -= at;
                if (used != 0) bench::fail("more came");
                return;
            }
        }
        if (at > 0) std::memmove(buffer.data(), buffer.data() + at, used - at);
        used -= std::exchange(at, 0);
        used += stream.read(buffer.data() + used, buffer.size() - used);
    }
}

// --- send ----------------------------------------------------------------------------------------------------------

void send_prepared(Stream& stream, const bench::Task& task, std::uint64_t count) {
    static const std::string one = frame(2, task.payload());
    static const std::string block = [] {
        std::string all = one;
        while (all.size() + one.size() <= block_size) all += one;
        return all;
    }();
    const std::size_t in_block = block.size() / one.size();
    for (; count >= in_block; count -= in_block) stream.write(block);
    stream.write(std::string_view(block).substr(0, count * one.size()));
}

void send_masked(Stream& stream, const bench::Task& task, std::uint64_t count) {
    static const std::string payload = task.payload();
    static std::vector<char> block(std::max(block_size, std::size_t{14} + 4096));
    static std::array<char, 1024> keys;
    static std::size_t key = keys.size();
    std::size_t used = 0;
    for (; count > 0; --count) {
        if (key == keys.size()) {
            RAND_bytes(reinterpret_cast<unsigned char*>(keys.data()), keys.size());
            key = 0;
        }
        if (block.size() - used < 14 + std::min<std::size_t>(payload.size(), 4096)) {
            stream.write({block.data(), used});
            used = 0;
        }
        used += write_header(block.data() + used, 2, payload.size(), keys.data() + key);
        for (std::size_t done = 0;;) {
            const std::size_t size = std::min(block.size() - used, payload.size() - done) &
                                     (payload.size() - done > block.size() - used ? ~std::size_t{7} : ~std::size_t{0});
            mask(block.data() + used, payload.data() + done, size, keys.data() + key);
            used += size;
            done += size;
            if (done == payload.size()) break;
            stream.write({block.data(), used});
            used = 0;
        }
        key += 4;
    }
    stream.write({block.data(), used});
}

// --- rows ----------------------------------------------------------------------------------------------------------

void flood_or_sink(const bench::Task& task) {
    const bool floor = task.form == "floor" || task.kind == "deflate";
    Stream stream(task);
    bench::Meter meter;
    for (const bool measured : {false, true}) {
        const std::uint64_t count = measured ? task.count : task.warm;
        if (measured) meter.start();
        stream.write(frame(1, task.command(count)));
        if (task.row == "send") {
            floor ? send_masked(stream, task, count) : send_prepared(stream, task, count);
            read_bytes(stream, 2 + std::to_string(count).size());
        } else if (floor) {
            read_frames(stream, task, count);
        } else {
            read_bytes(stream, count * (header_size(task.size) + task.size));
        }
    }
    meter.stop();
    bench::report(task, meter);
}

void echo(const bench::Task& task) {
    Stream stream(task);
    if (task.spin) stream.spin();
    const std::string payload = task.payload();
    const std::string prepared = frame(2, payload);
    std::string sent(prepared.size(), '\0');
    std::vector<char> answer(header_size(payload.size()) + payload.size());
    std::vector<std::uint32_t> latencies;
    latencies.reserve(task.count);
    bench::Meter meter;
    for (std::uint64_t i = 0; i < task.warm + task.count; ++i) {
        if (i == task.warm) meter.start();
        const std::uint64_t begin = bench::now_ns();
        stream.write(prepared);
        for (std::size_t size = 0; size < answer.size();)
            size += stream.read(answer.data() + size, answer.size() - size);
        if (i >= task.warm) latencies.push_back(static_cast<std::uint32_t>(bench::now_ns() - begin));
    }
    meter.stop();
    bench::report(task, meter, std::move(latencies));
}

void connect_and_close(const bench::Task& task) {
    SSL_SESSION* session = nullptr;
    bench::Meter meter;
    const std::string close_frame = frame(8, "\x03\xe8");
    for (std::uint64_t i = 0; i < task.warm + task.count; ++i) {
        if (i == task.warm) meter.start();
        Stream stream(task, session);
        stream.write(close_frame);
        std::array<char, 4> answer;
        for (std::size_t size = 0; size < answer.size();)
            size += stream.read(answer.data() + size, answer.size() - size);
        if (task.resume) {
            if (session != nullptr) SSL_SESSION_free(session);
            session = SSL_get1_session(stream.ssl());
        }
    }
    meter.stop();
    bench::report(task, meter);
}

void idle(const bench::Task& task) {
    bench::measure_idle(
        task, [&] { return std::make_unique<Stream>(task); },
        [](const std::unique_ptr<Stream>& stream, const std::string& message) {
            stream->write(frame(2, message));
            read_bytes(*stream, header_size(message.size()) + message.size());
        });
}

/// One after the other, because there is nobody else to do it.
void storm(bench::Task task) {
    bench::raise_file_limit(task.connections + 100);
    std::vector<std::unique_ptr<Stream>> all;
    all.reserve(task.connections);
    task.count = task.connections;
    bench::Meter meter;
    meter.start();
    for (std::size_t i = 0; i < task.connections; ++i) all.push_back(std::make_unique<Stream>(task));
    meter.stop();
    bench::report(task, meter);
}

/// Many connections, one thread: each message is read as it comes, whoever gets it.
void many(const bench::Task& task) {
    bench::raise_file_limit(task.connections + 100);
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    std::vector<std::unique_ptr<Stream>> all;
    for (std::size_t i = 0; i < task.connections; ++i) {
        all.push_back(std::make_unique<Stream>(task));
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = i;
        epoll_ctl(epoll, EPOLL_CTL_ADD, all.back()->descriptor(), &event);
    }
    const bool echo = task.row == "echo";
    const std::string prepared = frame(2, task.payload());
    const std::size_t answer = header_size(task.size) + task.size;
    std::vector<char> buffer(block_size);
    std::array<epoll_event, 256> events;
    bench::Meter meter;
    for (const bool measured : {false, true}) {
        const std::uint64_t each = std::max<std::uint64_t>((measured ? task.count : task.warm) / task.connections, 1);
        std::vector<std::uint64_t> left(task.connections, each * answer);
        if (measured) meter.start();
        for (const auto& stream : all) stream->write(echo ? prepared : frame(1, task.command(each)));
        for (std::size_t open = task.connections; open > 0;) {
            const int count = epoll_wait(epoll, events.data(), events.size(), -1);
            for (int i = 0; i < count; ++i) {
                const std::size_t which = events[static_cast<std::size_t>(i)].data.u64;
                left[which] -= all[which]->read(buffer.data(), std::min<std::uint64_t>(buffer.size(), left[which]));
                if (left[which] == 0) {
                    --open;
                } else if (echo && left[which] % answer == 0) {
                    all[which]->write(prepared);
                }
            }
        }
    }
    meter.stop();
    bench::Task actual = task;
    actual.count = std::max<std::uint64_t>(task.count / task.connections, 1) * task.connections;
    bench::report(actual, meter);
}

}  // namespace

int main(int argc, char** argv) {
    const bench::Task task = bench::parse(argc, argv, {"bare", "floor"});
    if (task.row == "idle") {
        idle(task);
    } else if (task.row == "connect") {
        connect_and_close(task);
    } else if (task.row == "storm") {
        storm(task);
    } else if (task.connections > 1) {
        many(task);
    } else if (task.row == "echo") {
        echo(task);
    } else {
        flood_or_sink(task);
    }
}
