// One layer of TLS in a connection: an engine, and the bytes on their way through it.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include <tern/tls.hpp>

#include "buffer.hpp"
#include "memory.hpp"

namespace tern::core {

class TlsLayer {
public:
    using Status = tls::Engine::Status;

    TlsLayer(std::unique_ptr<tls::Engine> engine, Block memory) noexcept
        : engine_(std::move(engine)), memory_(std::move(memory)), in_(memory_.span()) {}

    /// Makes sure that there is memory for what arrives. False: there is none.
    [[nodiscard]] bool hold_memory(std::size_t size, MemoryBudget* budget);
    /// Gives it back if nothing is in it.
    void release_memory() noexcept;
    /// Records that have arrived.
    [[nodiscard]] Buffer& in() noexcept { return in_; }
    /// Records to be sent.
    [[nodiscard]] std::string& out() noexcept { return out_; }
    [[nodiscard]] const tls::Engine& engine() const noexcept { return *engine_; }
    /// The handshake is complete.
    [[nodiscard]] bool up() const noexcept { return up_; }
    /// The peer has said close_notify.
    [[nodiscard]] bool ended() const noexcept { return ended_; }

    [[nodiscard]] Status handshake();
    /// Decrypts everything that has arrived to the end of `to`, which has room for all of `in` and a record more.
    /// Never `ok`.
    [[nodiscard]] Status decrypt(Buffer& to);
    [[nodiscard]] bool encrypt(Bytes plain) { return engine_->encrypt(plain, out_); }
    void shutdown();

private:
    std::unique_ptr<tls::Engine> engine_;
    Block memory_;
    Buffer in_;
    std::string out_;
    bool up_ = false;
    bool ended_ = false;
    bool shut_down_ = false;
};

}  // namespace tern::core
