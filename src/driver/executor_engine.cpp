#include "executor_engine.hpp"

#include <cerrno>
#include <system_error>

#include <asio/error.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>

#include "socket.hpp"

namespace tern::driver {
namespace {

using asio::posix::stream_descriptor;

/// Asio asks the system anew for each wait, which finds what is there already.
class AsioWatch final : public Watch {
public:
    AsioWatch(const asio::any_io_executor& executor, const std::shared_ptr<Watcher>& watcher, StreamId id)
        : descriptor_(executor), watcher_(watcher), id_(id) {}
    ~AsioWatch() override {
        if (descriptor_.is_open()) static_cast<void>(descriptor_.release());  // the socket is its owner's
    }

    [[nodiscard]] std::error_code open(int descriptor) {
        std::error_code error;
        descriptor_.assign(descriptor, error);
        return error;
    }
    void wait_readable(bool) override {
        wait(stream_descriptor::wait_read, [](Watcher& watcher, StreamId id) { watcher.on_readable(id); });
    }
    void wait_writable() override {
        wait(stream_descriptor::wait_write, [](Watcher& watcher, StreamId id) { watcher.on_writable(id, false); });
    }
    [[nodiscard]] bool ended() const noexcept override { return false; }
    [[nodiscard]] std::size_t read(std::span<std::byte> space, std::error_code& error) override {
        return read_some(descriptor_.native_handle(), space, error);
    }

private:
    template <class Tell>
    void wait(stream_descriptor::wait_type what, const Tell& tell) {
        descriptor_.async_wait(what, [watcher = watcher_.lock(), id = id_, tell](const std::error_code& error) {
            if (error != asio::error::operation_aborted) tell(*watcher, id);
        });
    }

    stream_descriptor descriptor_;
    const std::weak_ptr<Watcher> watcher_;  ///< A wait keeps it alive.
    const StreamId id_;
};

}  // namespace

void ExecutorEngine::post(Task task) { asio::post(strand_, std::move(task)); }

std::unique_ptr<Watch> ExecutorEngine::watch(std::shared_ptr<Watcher> watcher, StreamId id, int descriptor) {
    auto watch = std::make_unique<AsioWatch>(strand_, watcher, id);
    const std::error_code error = watch->open(descriptor);
    if (!error) return watch;
    errno = error.value();
    return nullptr;
}

void ExecutorEngine::set_alarm(TimePoint at) {
    if (at == TimePoint::max()) return static_cast<void>(timer_.cancel());  // it would keep the loop from ending
    patiently([this, at] {
        timer_.expires_at(at);
        timer_.async_wait([weak = weak_from_this()](const std::error_code& error) {
            const auto self = weak.lock();
            if (!error && self != nullptr) static_cast<ExecutorEngine&>(*self).on_alarm();
        });
    });
}

}  // namespace tern::driver
