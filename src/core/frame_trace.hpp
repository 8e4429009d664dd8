// Finds the frames in a stream of bytes, to tell a tracer of them. It judges nothing: what is wrong with a frame is
// what somebody who reads a trace wants to see.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <tern/trace.hpp>

namespace tern::core {

class FrameTrace {
public:
    /// The tracer outlives it.
    FrameTrace(Tracer& tracer, std::uint32_t stream, bool sent) noexcept
        : tracer_(tracer), stream_(stream), sent_(sent), payload_wanted_(tracer.wants_payload()) {}

    /// The next bytes of the stream.
    void add(Bytes bytes) noexcept;

private:
    [[nodiscard]] std::size_t header_size() const noexcept;
    void begin_frame() noexcept;
    void tell_payload(Bytes bytes) noexcept;

    Tracer& tracer_;
    const std::uint32_t stream_;
    const bool sent_;
    const bool payload_wanted_;
    std::array<std::byte, 14> header_{};
    std::size_t have_ = 0;         ///< Bytes of the header.
    std::uint64_t remaining_ = 0;  ///< Of the payload.
    std::uint64_t offset_ = 0;     ///< In the payload.
    std::array<std::byte, 4> key_{};
    bool masked_ = false;
};

}  // namespace tern::core
