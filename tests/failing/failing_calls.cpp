#include "failing_calls.hpp"

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <netdb.h>
#include <poll.h>
#include <system_error>

#include <openssl/bio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "exposure.hpp"

namespace tern::failing {
namespace {

std::atomic<bool> counting = false;
std::atomic<bool> failed = false;
std::array<std::atomic<long>, call_count> made;
Failure planned;  // written before `counting` is set
long planned_before = 0;

/// What is to happen to this call; null: nothing.
const Failure* failure_of(Call call) {
    if (!counting.load(std::memory_order_acquire) || !exposed) return nullptr;
    const long before = made[static_cast<std::size_t>(call)]++;
    if (call != planned.call || before != planned_before) return nullptr;
    failed = true;
    return &planned;
}

/// Only errors make sense for it.
bool fails(Call call) {
    const Failure* failure = failure_of(call);
    if (failure != nullptr) errno = failure->number;
    return failure != nullptr;
}

}  // namespace

void fail(const Failure& failure, long before) {
    fail_nothing();
    for (auto& each : made) each = 0;
    failed = false;
    planned = failure;
    planned_before = before;
    counting.store(true, std::memory_order_release);
}
void count_calls() { fail({}, 0); }
void fail_nothing() { counting = false; }
bool has_failed() { return failed; }
std::array<long, call_count> calls_made() {
    std::array<long, call_count> all{};
    for (std::size_t i = 0; i < call_count; ++i) all[i] = made[i];
    return all;
}

// Each with the signature of the call that it stands for.
// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,readability-identifier-naming,cert-dcl50-cpp)
extern "C" {

int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol) {
    return fails(Call::socket) ? -1 : __real_socket(domain, type, protocol);
}
int __real_connect(int descriptor, const sockaddr* address, socklen_t size);
int __wrap_connect(int descriptor, const sockaddr* address, socklen_t size) {
    return fails(Call::connect) ? -1 : __real_connect(descriptor, address, size);
}
int __real_setsockopt(int descriptor, int level, int name, const void* value, socklen_t size);
int __wrap_setsockopt(int descriptor, int level, int name, const void* value, socklen_t size) {
    return fails(Call::setsockopt) ? -1 : __real_setsockopt(descriptor, level, name, value, size);
}
int __real_getsockopt(int descriptor, int level, int name, void* value, socklen_t* size);
int __wrap_getsockopt(int descriptor, int level, int name, void* value, socklen_t* size) {
    return fails(Call::getsockopt) ? -1 : __real_getsockopt(descriptor, level, name, value, size);
}
int __real_ioctl(int descriptor, unsigned long request, void* value);
int __wrap_ioctl(int descriptor, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void* value = va_arg(rest, void*);
    va_end(rest);
    return fails(Call::ioctl) ? -1 : __real_ioctl(descriptor, request, value);
}
int __real_fcntl(int descriptor, int command, long value);
int __wrap_fcntl(int descriptor, int command, ...) {
    va_list rest;
    va_start(rest, command);
    const long value = va_arg(rest, long);
    va_end(rest);
    return fails(Call::fcntl) ? -1 : __real_fcntl(descriptor, command, value);
}
int __real_shutdown(int descriptor, int how);
int __wrap_shutdown(int descriptor, int how) { return fails(Call::shutdown) ? -1 : __real_shutdown(descriptor, how); }
/// Whatever it says, the descriptor is free again: as Linux does it.
int __real_close(int descriptor);
int __wrap_close(int descriptor) {
    const int result = __real_close(descriptor);
    return fails(Call::close) ? -1 : result;
}

ssize_t __real_sendmsg(int descriptor, const msghdr* message, int flags);
ssize_t __wrap_sendmsg(int descriptor, const msghdr* message, int flags) {
    const Failure* failure = failure_of(Call::send);
    if (failure == nullptr) return __real_sendmsg(descriptor, message, flags);
    if (failure->how == How::error) {
        errno = failure->number;
        return -1;
    }
    iovec first = message->msg_iov[0];
    first.iov_len = first.iov_len != 0 ? 1 : 0;
    msghdr shorter = *message;
    shorter.msg_iov = &first;
    shorter.msg_iovlen = 1;
    return __real_sendmsg(descriptor, &shorter, flags);
}
ssize_t __real_recv(int descriptor, void* bytes, size_t size, int flags);
ssize_t __wrap_recv(int descriptor, void* bytes, size_t size, int flags) {
    const Failure* failure = failure_of(Call::receive);
    if (failure == nullptr) return __real_recv(descriptor, bytes, size, flags);
    if (failure->how == How::end) return 0;
    if (failure->how == How::partial) return __real_recv(descriptor, bytes, 1, flags);
    errno = failure->number;
    return -1;
}

int __real_poll(pollfd* set, nfds_t size, int timeout);
int __wrap_poll(pollfd* set, nfds_t size, int timeout) {
    return fails(Call::poll) ? -1 : __real_poll(set, size, timeout);
}
int __real_pipe(int* ends);
int __wrap_pipe(int* ends) { return fails(Call::pipe) ? -1 : __real_pipe(ends); }
int __real_pipe2(int* ends, int flags);
int __wrap_pipe2(int* ends, int flags) { return fails(Call::pipe) ? -1 : __real_pipe2(ends, flags); }
ssize_t __real_read(int descriptor, void* bytes, size_t size);
ssize_t __wrap_read(int descriptor, void* bytes, size_t size) {
    return fails(Call::read) ? -1 : __real_read(descriptor, bytes, size);
}
ssize_t __real_write(int descriptor, const void* bytes, size_t size);
ssize_t __wrap_write(int descriptor, const void* bytes, size_t size) {
    return fails(Call::write) ? -1 : __real_write(descriptor, bytes, size);
}

int __real_epoll_create1(int flags);
int __wrap_epoll_create1(int flags) { return fails(Call::epoll_create) ? -1 : __real_epoll_create1(flags); }
int __real_epoll_ctl(int set, int operation, int descriptor, epoll_event* event);
int __wrap_epoll_ctl(int set, int operation, int descriptor, epoll_event* event) {
    const Call call = operation == EPOLL_CTL_ADD   ? Call::epoll_add
                      : operation == EPOLL_CTL_MOD ? Call::epoll_modify
                                                   : Call::epoll_remove;
    return fails(call) ? -1 : __real_epoll_ctl(set, operation, descriptor, event);
}
int __real_epoll_wait(int set, epoll_event* events, int size, int timeout);
int __wrap_epoll_wait(int set, epoll_event* events, int size, int timeout) {
    return fails(Call::epoll_wait) ? -1 : __real_epoll_wait(set, events, size, timeout);
}
int __real_eventfd(unsigned count, int flags);
int __wrap_eventfd(unsigned count, int flags) { return fails(Call::eventfd) ? -1 : __real_eventfd(count, flags); }
int __real_timerfd_create(clockid_t clock, int flags);
int __wrap_timerfd_create(clockid_t clock, int flags) {
    return fails(Call::timerfd_create) ? -1 : __real_timerfd_create(clock, flags);
}
int __real_timerfd_settime(int descriptor, int flags, const itimerspec* value, itimerspec* before);
int __wrap_timerfd_settime(int descriptor, int flags, const itimerspec* value, itimerspec* before) {
    return fails(Call::timerfd_settime) ? -1 : __real_timerfd_settime(descriptor, flags, value, before);
}

int __real_getaddrinfo(const char* name, const char* service, const addrinfo* hints, addrinfo** list);
int __wrap_getaddrinfo(const char* name, const char* service, const addrinfo* hints, addrinfo** list) {
    const Failure* failure = failure_of(Call::getaddrinfo);
    if (failure == nullptr) return __real_getaddrinfo(name, service, hints, list);
    errno = EMFILE;  // what EAI_SYSTEM refers to
    return failure->number;
}
/// What all constructors of std::thread come to.
void __real__ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_StateESt14default_deleteIS1_EEPFvvE(void* thread,
                                                                                                  void* state,
                                                                                                  void (*unused)());
void __wrap__ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_StateESt14default_deleteIS1_EEPFvvE(void* thread,
                                                                                                  void* state,
                                                                                                  void (*unused)()) {
    if (fails(Call::thread)) throw std::system_error(errno, std::generic_category());
    __real__ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_StateESt14default_deleteIS1_EEPFvvE(thread, state, unused);
}
BIO* __real_BIO_new_file(const char* name, const char* mode);
BIO* __wrap_BIO_new_file(const char* name, const char* mode) {
    return fails(Call::open_file) ? nullptr : __real_BIO_new_file(name, mode);
}

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,readability-identifier-naming,cert-dcl50-cpp)

}  // namespace tern::failing
