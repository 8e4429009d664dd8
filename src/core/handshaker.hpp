// A handshake on a byte stream: it exists until it is done, and then bytes pass it by. The HTTP upgrade is one; proxies
// will be others. All share one test harness (whole, byte by byte, at every split, with trailing bytes).
#pragma once

#include <string>

#include <tern/error.hpp>

#include "buffer.hpp"

namespace tern::core {

class Handshaker {
public:
    enum class Status { need_input, done, failed };

    Handshaker() = default;
    Handshaker(const Handshaker&) = delete;
    Handshaker& operator=(const Handshaker&) = delete;
    virtual ~Handshaker() = default;

    /// Consumes what belongs to the handshake from `in` and appends what is to be sent to `out`. Called once with an
    /// empty `in` to begin, and then whenever bytes have arrived. What it leaves in `in` after `done` belongs to the
    /// next stage.
    virtual Status advance(Buffer& in, std::string& out) = 0;
    /// The peer ended the stream. Never `need_input`.
    virtual Status on_eof() = 0;
    /// The handshake's deadline has passed: what had been learnt until then decides. Never `need_input`.
    virtual Status on_deadline() = 0;
    /// Why it failed; `peer` is filled in by the caller.
    [[nodiscard]] virtual const Error& error() const = 0;
};

}  // namespace tern::core
