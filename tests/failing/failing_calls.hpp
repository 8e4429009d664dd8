// The system calls of the library, any of which can be made to fail. The linker hands them over (CMakeLists.txt).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tern::failing {

enum class Call : std::uint8_t {
    socket,
    connect,
    setsockopt,
    getsockopt,
    ioctl,
    fcntl,
    shutdown,
    close,
    send,
    receive,
    poll,
    pipe,
    read,
    write,
    epoll_create,
    epoll_add,
    epoll_modify,
    epoll_remove,
    epoll_wait,
    eventfd,
    timerfd_create,
    timerfd_settime,
    getaddrinfo,
    thread,
    open_file,
    count,
};
constexpr std::size_t call_count = static_cast<std::size_t>(Call::count);

/// What happens instead of the call.
enum class How : std::uint8_t {
    error,    ///< It fails with `number`.
    partial,  ///< One byte is moved.
    end,      ///< The peer has ended its direction.
};

struct Failure {
    Call call = Call::count;
    How how = How::error;
    int number = 0;  ///< errno, or what getaddrinfo returns.
};

/// From now on calls are counted, and the one behind `before` others of its kind fails.
void fail(const Failure& failure, long before);
/// Calls are only counted.
void count_calls();
/// Nothing fails any more and nothing is counted.
void fail_nothing();
/// Has it failed?
[[nodiscard]] bool has_failed();
/// Calls since counting began.
[[nodiscard]] std::array<long, call_count> calls_made();

}  // namespace tern::failing
