#include "poll_runner.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <netdb.h>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace tern::posix {
namespace {

TimePoint clock_now() { return std::chrono::steady_clock::now(); }

// --- names ---------------------------------------------------------------------------------------------------------

struct Answer {
    StreamId id = 0;
    std::vector<Address> addresses;
    Error error;
};

int family_of(IpVersion version) {
    switch (version) {
        case IpVersion::any: break;
        case IpVersion::ipv4: return AF_INET;
        case IpVersion::ipv6: return AF_INET6;
    }
    return AF_UNSPEC;
}

Address address_of(const sockaddr& from, std::uint16_t port) {
    Address address{.port = port};
    if (from.sa_family == AF_INET6) {
        sockaddr_in6 in{};
        std::memcpy(&in, &from, sizeof(in));
        address.family = Address::Family::ipv6;
        address.scope_id = in.sin6_scope_id;
        std::memcpy(address.bytes.data(), &in.sin6_addr, sizeof(in.sin6_addr));
    } else {
        sockaddr_in in{};
        std::memcpy(&in, &from, sizeof(in));
        std::memcpy(address.bytes.data(), &in.sin_addr, sizeof(in.sin_addr));
    }
    return address;
}

/// Blocks unless `flags` has AI_NUMERICHOST.
Answer look_up(const std::string& host, std::uint16_t port, IpVersion version, int flags) {
    addrinfo hints{};
    hints.ai_family = family_of(version);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;
    addrinfo* list = nullptr;
    const int status = getaddrinfo(host.c_str(), nullptr, &hints, &list);
    Answer answer;
    if (status != 0) {
        const Errc code = status == EAI_NONAME  ? Errc::host_not_found
                          : status == EAI_AGAIN ? Errc::resolver_unavailable
                                                : Errc::resolver_error;
        answer.error = Error(code, Phase::resolve, gai_strerror(status));
        answer.error.native = status == EAI_SYSTEM ? errno : status;
        return answer;
    }
    for (const addrinfo* each = list; each != nullptr; each = each->ai_next) {
        if (each->ai_family == AF_INET || each->ai_family == AF_INET6) {
            answer.addresses.push_back(address_of(*each->ai_addr, port));
        }
    }
    freeaddrinfo(list);
    return answer;
}

bool same_name(const std::string& left, const std::string& right) {
    return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                      [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
}

// --- sockets -------------------------------------------------------------------------------------------------------

socklen_t fill(sockaddr_storage& storage, const Address& address) {
    if (address.family == Address::Family::ipv4) {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        in.sin_port = htons(address.port);
        std::memcpy(&in.sin_addr, address.bytes.data(), sizeof(in.sin_addr));
        std::memcpy(&storage, &in, sizeof(in));
        return sizeof(in);
    }
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(address.port);
    in.sin6_scope_id = address.scope_id;
    std::memcpy(&in.sin6_addr, address.bytes.data(), sizeof(in.sin6_addr));
    std::memcpy(&storage, &in, sizeof(in));
    return sizeof(in);
}

Error connect_error(int number) {
    const Errc code = number == ECONNREFUSED                            ? Errc::connection_refused
                      : number == EHOSTUNREACH || number == ENETUNREACH ? Errc::host_unreachable
                                                                        : Errc::connect_error;
    Error error(code, Phase::connect);
    if (code == Errc::connect_error) error.detail = std::system_category().message(number);
    error.native = number;
    return error;
}

Error stream_error(int number) {
    const bool reset = number == ECONNRESET || number == EPIPE;
    Error error(reset ? Errc::connection_reset : Errc::io_error, Phase::open,
                reset ? "" : std::system_category().message(number));
    error.native = number;
    return error;
}

bool would_block(int number) { return number == EAGAIN || number == EWOULDBLOCK || number == EINTR; }

/// Pieces offered to the kernel at once.
constexpr std::size_t max_pieces = 4;

}  // namespace

/// Answers of the threads that look names up, and the pipe that lets poll() return for them.
struct PollRunner::Lookups {
    Lookups() {
        if (pipe2(pipe.data(), O_NONBLOCK | O_CLOEXEC) != 0) throw std::system_error(errno, std::system_category());
    }
    Lookups(const Lookups&) = delete;
    Lookups& operator=(const Lookups&) = delete;
    ~Lookups() {
        for (const int end : pipe) ::close(end);
    }
    void wake() const noexcept {
        const char byte = 0;
        // A full pipe wakes too.
        while (::write(pipe[1], &byte, 1) < 0 && errno == EINTR) {
        }
    }

    std::array<int, 2> pipe{};
    std::mutex mutex;
    std::vector<Answer> answers;
};

PollRunner::PollRunner(Config config, Handler handler)
    : config_(std::make_shared<const Config>(std::move(config))),
      handler_(std::move(handler)),
      core_(config_, default_crypto()),
      lookups_(std::make_shared<Lookups>()) {}

PollRunner::~PollRunner() {
    for (const Stream& stream : streams_) ::close(stream.descriptor);
}

// --- what the user wants -------------------------------------------------------------------------------------------

Error PollRunner::start(StartMode mode) {
    Error error = core_.start(mode, clock_now());
    if (!error) pump();
    return error;
}

void PollRunner::stop() {
    core_.stop(clock_now());
    pump();
}

std::error_code PollRunner::send(Opcode opcode, Bytes payload, const SendOptions& options) {
    const std::error_code error = core_.send(opcode, payload, options);
    if (!error) pump();
    return error;
}

std::error_code PollRunner::send_part(Opcode opcode, Bytes payload, bool fin, const SendOptions& options) {
    const std::error_code error = core_.send_part(opcode, payload, fin, options);
    if (!error) pump();
    return error;
}

std::error_code PollRunner::ping(Bytes payload) {
    const std::error_code error = core_.ping(payload);
    if (!error) pump();
    return error;
}

std::error_code PollRunner::close(CloseCode code, std::string_view reason) {
    const std::error_code error = core_.close(code, reason);
    if (!error) pump();
    return error;
}

// --- the loop ------------------------------------------------------------------------------------------------------

bool PollRunner::run_once(std::chrono::milliseconds limit) {
    std::vector<pollfd> set;
    add_to(set);
    if (const auto at = deadline()) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(*at - clock_now());
        limit = std::clamp(left, std::chrono::milliseconds(0), limit);
    }
    constexpr std::chrono::milliseconds longest = std::chrono::hours(1);
    const int ready = poll(set.data(), set.size(), static_cast<int>(std::min(limit, longest).count()));
    if (ready < 0) set.clear();  // a signal
    on_ready(set);
    return state() != State::idle;
}

void PollRunner::add_to(std::vector<pollfd>& set) const {
    set.push_back({.fd = lookups_->pipe[0], .events = POLLIN, .revents = 0});
    for (const Stream& stream : streams_) {
        const bool in = stream.reading && !stream.connecting;
        const bool out = stream.connecting || stream.blocked;
        const int events = (in ? POLLIN : 0) | (out ? POLLOUT : 0);
        // Without a wish poll() would still tell of errors, again and again.
        if (events != 0) set.push_back({stream.descriptor, static_cast<short>(events), 0});
    }
}

void PollRunner::on_ready(std::span<const pollfd> set) {
    for (const pollfd& each : set) {
        if (each.revents == 0) continue;
        if (each.fd == lookups_->pipe[0]) {
            take_lookups();
            continue;
        }
        const auto found = std::find_if(streams_.begin(), streams_.end(),
                                        [&](const Stream& stream) { return stream.descriptor == each.fd; });
        if (found == streams_.end()) continue;
        const StreamId id = found->id;
        if (found->connecting) {
            on_connecting(id);
        } else {
            found->blocked = found->blocked && (each.revents & POLLOUT) == 0;
            if (found->reading && (each.revents & ~POLLOUT) != 0) read(id);
        }
    }
    // Not before: a stream that is made meanwhile may get the descriptor of one that was closed.
    core_.on_timeout(clock_now());
    pump();
}

void PollRunner::wake() noexcept { lookups_->wake(); }

/// The pump of tern/core.hpp. What the handler calls is done by the pump that called the handler.
void PollRunner::pump() {
    if (std::exchange(pumping_, true)) return;
    for (bool again = true; again || core_.unsettled();) {
        core_.settle(clock_now());
        for (Stream& stream : streams_) write(stream);
        for (Stream& stream : streams_) {
            // What has arrived before; the peer may have said why.
            while (stream.write_error != 0 && read(stream.id)) {
            }
        }
        core_.settle(clock_now());
        Command command;
        while (core_.next(command)) run(command);
        again = false;
        Event event;
        while (core_.next(event)) {
            again = true;
            handler_(event);
        }
    }
    for (Stream& stream : streams_) stream.reading = !stream.connecting && !core_.rx_space(stream.id).empty();
    pumping_ = false;
}

void PollRunner::run(const Command& command) {
    switch (command.kind) {
        case Command::Kind::prepare: return;  // not asked for
        case Command::Kind::resolve: return resolve(command);
        case Command::Kind::connect: return connect(command);
        case Command::Kind::half_close:
            if (const Stream* stream = find(command.id)) shutdown(stream->descriptor, SHUT_WR);
            return;
        case Command::Kind::close: return drop(command.id);
    }
}

PollRunner::Stream* PollRunner::find(StreamId id) {
    const auto found = std::find_if(streams_.begin(), streams_.end(), [id](const Stream& s) { return s.id == id; });
    return found == streams_.end() ? nullptr : &*found;
}

void PollRunner::drop(StreamId id) {
    std::erase_if(streams_, [id](const Stream& stream) {
        if (stream.id == id) ::close(stream.descriptor);
        return stream.id == id;
    });
}

// --- names ---------------------------------------------------------------------------------------------------------

/// getaddrinfo() knows no limit, so a thread waits for it that nobody waits for. Literals need none.
void PollRunner::resolve(const Command& command) {
    const IpVersion version = config_->socket.ip_version;
    Answer answer;
    for (const HostAddress& each : config_->addresses) {
        if (each.port != command.port || !same_name(each.host, command.host)) continue;
        Answer one = look_up(each.address, command.port, version, AI_NUMERICHOST);
        answer.addresses.insert(answer.addresses.end(), one.addresses.begin(), one.addresses.end());
    }
    if (answer.addresses.empty()) answer = look_up(command.host, command.port, version, AI_NUMERICHOST);
    if (!answer.error) return core_.on_resolved(command.id, answer.addresses, {}, clock_now());
    try {
        std::thread([lookups = lookups_, command, version] {
            Answer found = look_up(command.host, command.port, version, 0);
            found.id = command.id;
            {
                const std::lock_guard lock(lookups->mutex);
                lookups->answers.push_back(std::move(found));
            }
            lookups->wake();
        }).detach();
    } catch (const std::system_error& error) {
        core_.on_resolved(command.id, {}, Error(Errc::resolver_error, Phase::resolve, error.what()), clock_now());
    }
}

void PollRunner::take_lookups() {
    std::array<char, 64> bytes;
    while (::read(lookups_->pipe[0], bytes.data(), bytes.size()) > 0) {
    }
    std::vector<Answer> answers;
    {
        const std::lock_guard lock(lookups_->mutex);
        answers.swap(lookups_->answers);
    }
    // Those that came too late are unknown to the core, which is fine.
    for (Answer& each : answers) core_.on_resolved(each.id, each.addresses, std::move(each.error), clock_now());
}

// --- sockets -------------------------------------------------------------------------------------------------------

void PollRunner::connect(const Command& command) {
    sockaddr_storage storage{};
    const socklen_t size = fill(storage, command.address);
    const int descriptor = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return core_.on_connected(command.id, connect_error(errno), clock_now());
    const int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    streams_.push_back({.id = command.id, .descriptor = descriptor});
    if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&storage), size) == 0) return on_connecting(command.id);
    if (errno == EINPROGRESS) return;
    const int number = errno;
    drop(command.id);
    core_.on_connected(command.id, connect_error(number), clock_now());
}

void PollRunner::on_connecting(StreamId id) {
    Stream* stream = find(id);
    int number = 0;
    socklen_t size = sizeof(number);
    if (getsockopt(stream->descriptor, SOL_SOCKET, SO_ERROR, &number, &size) != 0) number = errno;
    stream->connecting = false;
    if (number != 0) drop(id);
    core_.on_connected(id, number == 0 ? Error() : connect_error(number), clock_now());
}

/// False: there is nothing more for now.
bool PollRunner::read(StreamId id) {
    Stream* stream = find(id);
    const std::span<std::byte> space = core_.rx_space(id);
    if (space.empty()) return false;
    const ssize_t size = recv(stream->descriptor, space.data(), space.size(), 0);
    const int number = errno;
    core_.rx_commit(id, size > 0 ? static_cast<std::size_t>(size) : 0, clock_now());
    if (size > 0) return true;
    if (size == 0) {
        core_.on_eof(id, clock_now());
    } else if (!would_block(number)) {
        core_.on_io_error(id, stream_error(number), clock_now());
    } else if (stream->write_error != 0) {
        core_.on_io_error(id, stream_error(stream->write_error), clock_now());
    }
    return false;
}

void PollRunner::write(Stream& stream) {
    if (stream.connecting || stream.blocked || stream.write_error != 0) return;
    for (;;) {
        std::array<Bytes, max_pieces> pieces;
        const std::size_t count = core_.tx(stream.id, pieces);
        if (count == 0) return;
        std::array<iovec, max_pieces> vectors;
        std::size_t offered = 0;
        for (std::size_t i = 0; i < count; ++i) {
            vectors[i] = {const_cast<std::byte*>(pieces[i].data()), pieces[i].size()};
            offered += pieces[i].size();
        }
        msghdr message{};
        message.msg_iov = vectors.data();
        message.msg_iovlen = count;
        const ssize_t size = sendmsg(stream.descriptor, &message, MSG_NOSIGNAL);
        const int number = errno;
        const std::size_t written = size > 0 ? static_cast<std::size_t>(size) : 0;
        core_.tx_consume(stream.id, written);
        if (written == offered) continue;
        if (size < 0 && !would_block(number)) stream.write_error = number;
        stream.blocked = stream.write_error == 0;
        return;
    }
}

}  // namespace tern::posix
