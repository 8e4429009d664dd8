// Each system call of a full life fails once, in turn, in the ways in which it can: the client gets over it or ends
// with an error that says what was the matter; nothing hangs, and no descriptor, thread or memory is left. What the C
// library and OpenSSL ask of the system by themselves is not among them, except as the failure of what they were asked
// for.
#include <algorithm>
#include <array>
#include <cerrno>
#include <netdb.h>
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "failing_calls.hpp"
#include "full_life.hpp"
#include "left_behind.hpp"
#include "poll_client.hpp"
#include "soundness.hpp"

namespace tern::failing {
namespace {

struct Row {
    friend void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

    const char* name;
    Failure failure;
    bool told;  ///< It is the end of an attempt or a connection, and an error of the life has the number.
};

/// Not EPOLL_CTL_MOD: it needs no memory, so that Linux does it whenever the descriptor is there.
const std::vector<Row> rows = {
    {"socket", {Call::socket, How::error, EMFILE}, true},
    {"connect", {Call::connect, How::error, ENETUNREACH}, true},
    {"setsockopt", {Call::setsockopt, How::error, ENOBUFS}, false},
    {"getsockopt", {Call::getsockopt, How::error, ENOBUFS}, false},
    {"ioctl", {Call::ioctl, How::error, EIO}, true},
    {"fcntl", {Call::fcntl, How::error, EMFILE}, false},
    {"shutdown", {Call::shutdown, How::error, ENOTCONN}, false},
    {"close", {Call::close, How::error, EIO}, false},
    {"send_reset", {Call::send, How::error, ECONNRESET}, false},
    {"send_nobufs", {Call::send, How::error, ENOBUFS}, false},
    {"send_again", {Call::send, How::error, EAGAIN}, false},
    {"send_interrupted", {Call::send, How::error, EINTR}, false},
    {"send_a_byte", {Call::send, How::partial, 0}, false},
    {"receive_reset", {Call::receive, How::error, ECONNRESET}, true},
    {"receive_nomem", {Call::receive, How::error, ENOMEM}, true},
    {"receive_again", {Call::receive, How::error, EAGAIN}, false},
    {"receive_interrupted", {Call::receive, How::error, EINTR}, false},
    {"receive_a_byte", {Call::receive, How::partial, 0}, false},
    {"receive_end", {Call::receive, How::end, 0}, false},
    {"poll", {Call::poll, How::error, ENOMEM}, false},
    {"poll_interrupted", {Call::poll, How::error, EINTR}, false},
    {"pipe", {Call::pipe, How::error, EMFILE}, false},
    {"read", {Call::read, How::error, EINTR}, false},
    {"write", {Call::write, How::error, EINTR}, false},
    {"epoll_create", {Call::epoll_create, How::error, EMFILE}, false},
    {"epoll_add", {Call::epoll_add, How::error, ENOSPC}, true},
    {"epoll_remove", {Call::epoll_remove, How::error, ENOMEM}, false},
    {"epoll_wait", {Call::epoll_wait, How::error, EINTR}, false},
    {"eventfd", {Call::eventfd, How::error, EMFILE}, false},
    {"timerfd_create", {Call::timerfd_create, How::error, EMFILE}, false},
    {"timerfd_settime", {Call::timerfd_settime, How::error, EINVAL}, false},
    {"getaddrinfo_again", {Call::getaddrinfo, How::error, EAI_AGAIN}, false},
    {"getaddrinfo_memory", {Call::getaddrinfo, How::error, EAI_MEMORY}, false},
    {"getaddrinfo_system", {Call::getaddrinfo, How::error, EAI_SYSTEM}, false},
    {"thread", {Call::thread, How::error, EAGAIN}, false},
    {"open_file", {Call::open_file, How::error, EMFILE}, true},
};

/// One for the whole program, from before it has threads.
TunnelServer& server() {
    static TunnelServer one;
    return one;
}

bool any_has(const Outcome& outcome, int number) {
    const auto has = [number](const Error& error) { return error.native == number; };
    return has(outcome.start_error) || !outcome.thrown.empty() ||
           std::any_of(outcome.errors.begin(), outcome.errors.end(), has);
}

/// What a life without failures is like.
struct Baseline {
    std::array<long, call_count> calls{};
    Holdings holdings;
    long heap = 0;
};

template <class Driver>
const Baseline& baseline() {
    static const Baseline one = [] {
        Baseline made;
        FullLife<Driver> life(server(), TERN_TEST_AUTHORITY "/root.pem");
        for (int i = 0; i < 3; ++i) {  // tables and caches of all libraries
            count_calls();
            const Outcome good = life.live(fail_nothing);
            EXPECT_TRUE(good.clean && good.opens == 2 && good.thrown.empty());
            made.calls = calls_made();
        }
        made.holdings = holdings_when_quiet({holdings().descriptors, 1}, patience);
        made.heap = heap_in_use();
        return made;
    }();
    return one;
}

class FailingCalls : public testing::TestWithParam<Row> {
protected:
    template <class Driver>
    static void expect_each_to_be_survived() {
        const Row& row = GetParam();
        const Baseline& before = baseline<Driver>();
        const long all = before.calls[static_cast<std::size_t>(row.failure.call)];
        if (all == 0) GTEST_SKIP() << "this driver does not make the call";
        FullLife<Driver> life(server(), TERN_TEST_AUTHORITY "/root.pem");
        for (long which = 0; which < all && !HasFailure(); which += stride) {
            SCOPED_TRACE("call " + std::to_string(which) + " of " + std::to_string(all));
            life.name(std::string(row.name) + " " + std::to_string(which));
            fail(row.failure, which);
            const Outcome outcome = life.live(fail_nothing);
            expect_sound(outcome);
            EXPECT_TRUE(!row.told || !has_failed() || any_has(outcome, row.failure.number));
            EXPECT_TRUE(holdings_when_quiet(before.holdings, patience) == before.holdings)
                << "descriptors or threads are left";
        }
        EXPECT_LE(heap_in_use(), before.heap + heap_slack);
        EXPECT_FALSE(anything_leaked());
    }

private:
#if defined(TERN_LEAK_SANITIZER)
    static constexpr long stride = 2;  // a life takes its time
#else
    static constexpr long stride = 1;
#endif
    /// What the C library keeps for each thread, and for reuse. Under the leak sanitizer nothing is overlooked.
    static constexpr long heap_slack = 256l << 10u;
};

TEST_P(FailingCalls, Client) {
    // It may rely on a short read having got all there was (epoll(7)); the server's single bytes are in life_test.
    if (GetParam().failure.call == Call::receive && GetParam().failure.how == How::partial) GTEST_SKIP();
    expect_each_to_be_survived<Client>();
}
TEST_P(FailingCalls, PollRunner) { expect_each_to_be_survived<interop::PollClient>(); }

INSTANTIATE_TEST_SUITE_P(Each, FailingCalls, testing::ValuesIn(rows),
                         [](const testing::TestParamInfo<Row>& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace tern::failing

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    static_cast<void>(tern::failing::server().port());
    return RUN_ALL_TESTS();
}
