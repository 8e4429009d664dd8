#include "ring.hpp"

#include <array>
#include <cerrno>
#include <liburing.h>
#include <limits>
#include <new>
#include <poll.h>

namespace tern::driver {
namespace {

constexpr unsigned entries = 512;     ///< Submitted at once; more take a system call more.
constexpr unsigned chunk_count = 64;  ///< When they are used up, sockets are read without the ring.
constexpr std::uint64_t epoll_key = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t nobody = epoll_key - 1;

class IoUring final : public Ring {
public:
    IoUring() = default;
    ~IoUring() override {
        if (open_) io_uring_queue_exit(&ring_);
    }

    [[nodiscard]] bool open(int epoll) noexcept {
        io_uring_params params{};
        params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL;
        if (io_uring_queue_init_params(entries, &ring_, &params) != 0) return false;
        open_ = true;
        // Saves looking the descriptor up in each call.
        static_cast<void>(io_uring_register_ring_fd(&ring_));
        io_uring_buf_reg registration{};
        registration.ring_addr = reinterpret_cast<std::uint64_t>(stock());
        registration.ring_entries = chunk_count;
        registration.bgid = 0;
        if (io_uring_register_buf_ring(&ring_, &registration, 0) != 0) return false;
        io_uring_buf_ring_init(stock());
        for (Chunk& each : chunks_) give_back(each);
        epoll_ = epoll;
        watch_epoll();
        return io_uring_submit(&ring_) == 1;
    }

    [[nodiscard]] bool receive(std::uint64_t key, int socket, Mode mode) noexcept override {
        io_uring_sqe* const entry = next_entry();
        if (entry == nullptr) return false;
        switch (mode) {
            case Mode::readable: io_uring_prep_poll_add(entry, socket, POLLIN); break;
            case Mode::once: io_uring_prep_recv(entry, socket, nullptr, chunk_size, 0); break;
            case Mode::on_and_on: io_uring_prep_recv_multishot(entry, socket, nullptr, 0, 0); break;
        }
        if (mode != Mode::readable) {
            entry->flags |= IOSQE_BUFFER_SELECT;
            entry->ioprio |= IORING_RECVSEND_POLL_FIRST;  // whoever waits has found nothing there
            entry->buf_group = 0;
        }
        entry->user_data = key;
        return true;
    }

    [[nodiscard]] bool cancel(std::uint64_t key) noexcept override {
        // One that the system has not seen yet becomes nothing: its number may be that of another socket by then.
        for (unsigned i = *ring_.sq.khead; i != ring_.sq.sqe_tail; ++i) {
            io_uring_sqe& entry = ring_.sq.sqes[i & ring_.sq.ring_mask];
            if (entry.user_data != key) continue;
            io_uring_prep_nop(&entry);
            entry.user_data = nobody;
            return true;
        }
        if (io_uring_sqe* const entry = next_entry()) {
            io_uring_prep_cancel64(entry, key, 0);
            entry->user_data = nobody;
        }
        return false;
    }

    bool wait(int timeout) noexcept override {
        if (epoll_ended_) watch_epoll();
        if (timeout == 0) return is_sound(io_uring_submit_and_get_events(&ring_));
        __kernel_timespec limit{.tv_sec = timeout / 1000, .tv_nsec = timeout % 1000 * 1'000'000LL};
        io_uring_cqe* first = nullptr;
        return is_sound(io_uring_submit_and_wait_timeout(&ring_, &first, 1, timeout < 0 ? nullptr : &limit, nullptr));
    }

    [[nodiscard]] std::size_t take(std::span<Received> received, bool& epoll) noexcept override {
        std::size_t count = 0;
        for (;;) {
            unsigned seen = 0;
            unsigned head = 0;
            io_uring_cqe* entry = nullptr;
            io_uring_for_each_cqe(&ring_, head, entry) {
                if (count == received.size()) break;
                ++seen;
                if (entry->user_data == epoll_key) {
                    epoll = true;
                    epoll_ended_ = (entry->flags & IORING_CQE_F_MORE) == 0;
                } else if (entry->user_data != nobody) {
                    received[count++] = result(*entry);
                }
            }
            io_uring_cq_advance(&ring_, seen);
            // What had no room in the queue has to be asked for.
            if (count == received.size() || !io_uring_cq_has_overflow(&ring_)) return count;
            if (!is_sound(io_uring_get_events(&ring_))) return count;
        }
    }

    void give_back(Chunk& chunk) noexcept override {
        const auto number = static_cast<unsigned short>(&chunk - chunks_.data());
        io_uring_buf_ring_add(stock(), memory_.data() + number * chunk_size, unsigned{chunk_size}, number,
                              io_uring_buf_ring_mask(chunk_count), 0);
        io_uring_buf_ring_advance(stock(), 1);
    }

private:
    [[nodiscard]] io_uring_buf_ring* stock() noexcept { return reinterpret_cast<io_uring_buf_ring*>(stock_.data()); }

    [[nodiscard]] static bool is_sound(int result) noexcept {
        // Of these the next call is as good as this one.
        return result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN || result == -EBUSY;
    }

    [[nodiscard]] io_uring_sqe* next_entry() noexcept {
        if (io_uring_sqe* const entry = io_uring_get_sqe(&ring_)) return entry;
        io_uring_submit(&ring_);
        return io_uring_get_sqe(&ring_);
    }

    /// Told once for each edge, until the system says that it ends.
    void watch_epoll() noexcept {
        io_uring_sqe* const entry = next_entry();
        epoll_ended_ = entry == nullptr;
        if (entry == nullptr) return;
        io_uring_prep_poll_multishot(entry, epoll_, POLLIN);
        entry->user_data = epoll_key;
    }

    [[nodiscard]] Received result(const io_uring_cqe& entry) noexcept {
        Received one{.key = entry.user_data,
                     .error = entry.res < 0 ? -entry.res : 0,
                     .goes_on = (entry.flags & IORING_CQE_F_MORE) != 0};
        if ((entry.flags & IORING_CQE_F_BUFFER) == 0) return one;
        const std::size_t number = entry.flags >> IORING_CQE_BUFFER_SHIFT;
        if (entry.res > 0) {
            one.chunk = &chunks_[number];
            *one.chunk = {.bytes = {memory_.data() + number * chunk_size, static_cast<std::size_t>(entry.res)}};
        } else {
            give_back(chunks_[number]);
        }
        return one;
    }

    io_uring ring_{};
    bool open_ = false;
    int epoll_ = -1;
    bool epoll_ended_ = false;
    std::array<Chunk, chunk_count> chunks_;
    alignas(4096) std::array<io_uring_buf, chunk_count> stock_{};
    std::array<std::byte, chunk_count * chunk_size> memory_;
};

}  // namespace

std::unique_ptr<Ring> Ring::open(int epoll) noexcept {
    std::unique_ptr<IoUring> ring(new (std::nothrow) IoUring);
    return ring != nullptr && ring->open(epoll) ? std::move(ring) : nullptr;
}

}  // namespace tern::driver
