// Bare sockets: the measure for all others.
//
// bare: moves the bytes and nothing else: reads of 64 KiB that nobody looks at, writes of 64 KiB that were prepared.
//
// floor: the least that a client has to do: cuts frames in place, checks UTF-8, masks with fresh keys, all of it
// gathered in blocks of 64 KiB.
//
// edge: as bare with many connections, but asks epoll for edges, as tern does, and even if there is only one; connects
// so too.
//
// uring: as edge, but io_uring does all of it (where liburing is installed).
//
// TLS is OpenSSL as its documentation advises for throughput: it reads ahead, and writes whole records.
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
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

#ifdef BENCH_URING
#include <liburing.h>
#endif

#include "task.hpp"

namespace {

constexpr std::size_t block_size = 64u << 10u;

SSL_CTX* context() {
    static SSL_CTX* const shared = [] {
        SSL_CTX* made = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_read_ahead(made, 1);
        SSL_CTX_set_default_read_buffer_len(made, block_size);
        return made;
    }();
    return shared;
}

/// A socket on which the upgrade is done.
class Stream {
public:
    explicit Stream(const bench::Task& task, SSL_SESSION* session = nullptr)
        : by_edges_(task.form == "edge" && task.row == "connect"),
          descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (by_edges_ ? SOCK_NONBLOCK : 0), 0)) {
        const int on = 1;
        setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(static_cast<std::uint16_t>(task.port));
        if (connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 &&
            !(by_edges_ && errno == EINPROGRESS)) {
            bench::fail("connect");
        }
        if (by_edges_) wait_for_connection(task);
        if (task.tls) {
            ssl_ = SSL_new(context());
            SSL_set_fd(ssl_, descriptor_);
            if (session != nullptr) SSL_set_session(ssl_, session);
            if (!task.root.empty()) verify(task);
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

    /// With `at_once`: nothing, if there is nothing.
    std::size_t read(char* to, std::size_t room, bool at_once = false) {
        ssize_t size = 0;
        if (ssl_ != nullptr) {
            size = SSL_read(ssl_, to, static_cast<int>(room));
        } else if (at_once) {
            size = recv(descriptor_, to, room, MSG_DONTWAIT);
            if (size < 0 && errno == EAGAIN) return 0;
        } else {
            if (by_edges_) wait_for_edge();
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
    void verify(const bench::Task& task) const {
        static const bool loaded = SSL_CTX_load_verify_file(context(), task.root.c_str()) == 1;
        if (!loaded) bench::fail("SSL_CTX_load_verify_file");
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), task.host().c_str());
        SSL_set_verify(ssl_, SSL_VERIFY_PEER, nullptr);
    }

    void wait_for_connection(const bench::Task& task) const {
        if (task.tls) bench::unsupported("edges with TLS");
        epoll_event event{};
        event.events = EPOLLIN | EPOLLOUT | EPOLLET;
        epoll_ctl(epoll(), EPOLL_CTL_ADD, descriptor_, &event);
        wait_for_edge();
    }
    static void wait_for_edge() {
        epoll_event event{};
        epoll_wait(epoll(), &event, 1, -1);
    }
    static int epoll() {
        static const int shared = epoll_create1(EPOLL_CLOEXEC);
        return shared;
    }

    const bool by_edges_;  ///< One after the other, and all that is received wakes up once.
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

/// Many connections on one thread: a system call for each thing that is done.
class Epoll {
public:
    explicit Epoll(const bench::Task& task) : edge_(task.form == "edge") {
        if (edge_ && task.tls) bench::unsupported("edges with TLS");
    }
    void add(Stream& stream) {
        epoll_event event{};
        event.events = EPOLLIN | (edge_ ? static_cast<std::uint32_t>(EPOLLET) : 0u);
        event.data.u64 = all_.size();
        epoll_ctl(epoll_, EPOLL_CTL_ADD, stream.descriptor(), &event);
        all_.push_back(&stream);
    }
    void write(std::size_t which, std::string_view bytes) { all_[which]->write(bytes); }
    /// Waits, and tells of all that has come: of which, and how much.
    template <class Received>
    void turn(const Received& received) {
        const int count = epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), -1);
        for (int i = 0; i < count; ++i) {
            const std::size_t which = events_[static_cast<std::size_t>(i)].data.u64;
            std::size_t size = 0;
            do {
                size = all_[which]->read(buffer_.data(), buffer_.size(), edge_);
                if (size != 0) received(which, size);
            } while (edge_ && size == buffer_.size());  // an edge does not come again for what has been left
        }
    }

private:
    const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
    const bool edge_;
    std::array<epoll_event, 256> events_{};
    std::vector<Stream*> all_;
    std::vector<char> buffer_ = std::vector<char>(block_size);
};

#ifdef BENCH_URING
/// The same, as io_uring's manual has it for speed: one system call a turn, which submits what there is to send and
/// waits; each connection is asked for bytes once (multishot), and they come into buffers that lie ready for all.
class Uring {
public:
    explicit Uring(const bench::Task& task)
        : buffer_size_(task.row == "echo" ? 2048 : block_size),
          buffer_count_(task.row == "echo" ? most_buffers : 64),
          memory_(buffer_size_ * buffer_count_) {
        if (task.tls) bench::unsupported("io_uring with TLS");
        io_uring_params params{};
        params.flags =
            IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_CQSIZE;
        params.cq_entries = 4096;
        if (io_uring_queue_init_params(1024, &ring_, &params) != 0) bench::unsupported("io_uring is not allowed here");
        if (io_uring_register_ring_fd(&ring_) != 1) bench::fail("io_uring_register_ring_fd");
        buffers_ = static_cast<io_uring_buf_ring*>(std::aligned_alloc(4096, most_buffers * sizeof(io_uring_buf)));
        io_uring_buf_reg registration{};
        registration.ring_addr = reinterpret_cast<std::uintptr_t>(buffers_);
        registration.ring_entries = buffer_count_;
        if (io_uring_register_buf_ring(&ring_, &registration, 0) != 0) bench::fail("io_uring_register_buf_ring");
        io_uring_buf_ring_init(buffers_);
        for (unsigned i = 0; i < buffer_count_; ++i) give_back(i, static_cast<int>(i));
        io_uring_buf_ring_advance(buffers_, static_cast<int>(buffer_count_));
    }
    void add(const Stream& stream) {
        descriptors_.push_back(stream.descriptor());
        receive(descriptors_.size() - 1);
    }
    /// `bytes` stay where they are. Only of a failure we hear.
    void write(std::size_t which, std::string_view bytes) {
        io_uring_sqe* const entry = next_entry();
        io_uring_prep_send(entry, descriptors_[which], bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_WAITALL);
        entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
        entry->user_data = of_write;
    }
    template <class Received>
    void turn(const Received& received) {
        io_uring_submit_and_wait(&ring_, 1);
        unsigned head = 0;
        unsigned count = 0;
        int given_back = 0;
        io_uring_cqe* done = nullptr;
        io_uring_for_each_cqe(&ring_, head, done) {
            ++count;
            if (done->user_data == of_write) bench::fail("write");
            if ((done->flags & IORING_CQE_F_MORE) == 0) receive(done->user_data);
            if (done->res == -ENOBUFS) continue;
            if (done->res <= 0) bench::fail("read");
            give_back(done->flags >> IORING_CQE_BUFFER_SHIFT, given_back++);
            received(done->user_data, static_cast<std::size_t>(done->res));
        }
        io_uring_buf_ring_advance(buffers_, given_back);
        io_uring_cq_advance(&ring_, count);
    }

private:
    static constexpr unsigned most_buffers = 1024;
    static constexpr std::uint64_t of_write = ~std::uint64_t{0};

    io_uring_sqe* next_entry() {
        if (io_uring_sqe* const entry = io_uring_get_sqe(&ring_)) return entry;
        io_uring_submit(&ring_);
        return io_uring_get_sqe(&ring_);
    }
    void receive(std::size_t which) {
        io_uring_sqe* const entry = next_entry();
        io_uring_prep_recv_multishot(entry, descriptors_[which], nullptr, 0, 0);
        entry->flags |= IOSQE_BUFFER_SELECT;
        entry->user_data = which;
    }
    void give_back(unsigned buffer, int offset) {
        io_uring_buf_ring_add(buffers_, memory_.data() + buffer * buffer_size_, static_cast<unsigned>(buffer_size_),
                              static_cast<unsigned short>(buffer), io_uring_buf_ring_mask(buffer_count_), offset);
    }

    const std::size_t buffer_size_;
    const unsigned buffer_count_;
    std::vector<char> memory_;
    io_uring ring_{};
    io_uring_buf_ring* buffers_ = nullptr;
    std::vector<int> descriptors_;
};
#endif

/// Each message is taken as it comes, whoever gets it.
template <class Loop>
void many(const bench::Task& task) {
    bench::raise_file_limit(task.connections + 100);
    Loop loop(task);
    std::vector<std::unique_ptr<Stream>> all;
    for (std::size_t i = 0; i < task.connections; ++i) {
        all.push_back(std::make_unique<Stream>(task));
        loop.add(*all.back());
    }
    const bool echo = task.row == "echo";
    const std::string prepared = frame(2, task.payload());
    const std::size_t answer = header_size(task.size) + task.size;
    bench::Meter meter;
    for (const bool measured : {false, true}) {
        const std::uint64_t each = std::max<std::uint64_t>((measured ? task.count : task.warm) / task.connections, 1);
        std::vector<std::uint64_t> left(task.connections, each * answer);
        const std::string first = echo ? prepared : frame(1, task.command(each));
        if (measured) meter.start();
        for (std::size_t i = 0; i < task.connections; ++i) loop.write(i, first);
        for (std::size_t open = task.connections; open > 0;) {
            loop.turn([&](std::size_t which, std::size_t size) {
                left[which] -= size;
                if (left[which] == 0) {
                    --open;
                } else if (echo && left[which] % answer == 0) {
                    loop.write(which, prepared);
                }
            });
        }
    }
    meter.stop();
    bench::Task actual = task;
    actual.count = std::max<std::uint64_t>(task.count / task.connections, 1) * task.connections;
    bench::report(actual, meter);
}

void many_by_uring(const bench::Task& task) {
#ifdef BENCH_URING
    many<Uring>(task);
#else
    static_cast<void>(task);
    bench::unsupported("there was no liburing when this was built");
#endif
}

}  // namespace

int main(int argc, char** argv) {
    const bench::Task task = bench::parse(argc, argv, {"bare", "floor", "edge", "uring"});
    if (task.form == "uring" || (task.form == "edge" && task.row != "connect")) {
        if (task.row != "receive" && task.row != "echo") bench::unsupported("of this row not that form");
        if (task.form == "edge") {
            many<Epoll>(task);
        } else {
            many_by_uring(task);
        }
        return 0;
    }
    if (task.row == "idle") {
        idle(task);
    } else if (task.row == "connect") {
        connect_and_close(task);
    } else if (task.row == "storm") {
        storm(task);
    } else if (task.connections > 1) {
        many<Epoll>(task);
    } else if (task.row == "echo") {
        echo(task);
    } else {
        flood_or_sink(task);
    }
}
