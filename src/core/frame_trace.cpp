#include "frame_trace.hpp"

#include <algorithm>

namespace tern::core {

void FrameTrace::add(Bytes bytes) noexcept {
    while (!bytes.empty()) {
        if (remaining_ != 0) {
            const Bytes part = bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, bytes.size())));
            if (payload_wanted_) tell_payload(part);
            remaining_ -= part.size();
            offset_ += part.size();
            bytes = bytes.subspan(part.size());
            continue;
        }
        header_[have_++] = bytes.front();
        bytes = bytes.subspan(1);
        if (have_ >= 2 && have_ == header_size()) begin_frame();
    }
}

std::size_t FrameTrace::header_size() const noexcept {
    const auto second = std::to_integer<unsigned>(header_[1]);
    const unsigned length = second & 0x7fu;
    return 2 + (length == 126 ? 2u : length == 127 ? 8u : 0u) + ((second & 0x80u) != 0 ? 4u : 0u);
}

void FrameTrace::begin_frame() noexcept {
    const auto first = std::to_integer<unsigned>(header_[0]);
    const auto second = std::to_integer<unsigned>(header_[1]);
    std::uint64_t length = second & 0x7fu;
    std::size_t at = 2;
    if (length >= 126) {
        const std::size_t end = length == 126 ? 4 : 10;
        for (length = 0; at < end; ++at) length = length << 8u | std::to_integer<std::uint64_t>(header_[at]);
    }
    masked_ = (second & 0x80u) != 0;
    if (masked_) std::copy_n(header_.begin() + static_cast<std::ptrdiff_t>(at), key_.size(), key_.begin());
    TraceRecord record;
    record.kind = sent_ ? TraceRecord::Kind::frame_sent : TraceRecord::Kind::frame_received;
    record.stream = stream_;
    record.opcode = static_cast<Opcode>(first & 0x0fu);
    record.fin = (first & 0x80u) != 0;
    record.rsv = (first >> 4u) & 7u;
    record.size = length;
    tracer_.trace(record);
    have_ = 0;
    offset_ = 0;
    remaining_ = length;
}

void FrameTrace::tell_payload(Bytes bytes) noexcept {
    TraceRecord record;
    record.kind = sent_ ? TraceRecord::Kind::payload_sent : TraceRecord::Kind::payload_received;
    record.stream = stream_;
    record.opcode = Opcode::continuation;
    if (!masked_) {
        record.bytes = bytes;
        record.size = bytes.size();
        return tracer_.trace(record);
    }
    std::array<std::byte, 4096> plain;
    for (std::size_t at = 0; at < bytes.size(); at += plain.size()) {
        const std::size_t size = std::min(plain.size(), bytes.size() - at);
        for (std::size_t i = 0; i < size; ++i) plain[i] = bytes[at + i] ^ key_[(offset_ + at + i) % 4];
        record.bytes = Bytes(plain).first(size);
        record.size = size;
        tracer_.trace(record);
    }
}

}  // namespace tern::core
