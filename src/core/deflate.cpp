#include "deflate.hpp"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <limits>
#include <new>

#include <zlib.h>

namespace tern::core {
namespace {

/// RFC 7692 section 7.2.1: the end of every message, which is not sent.
constexpr std::array<std::byte, 4> tail{std::byte{0x00}, std::byte{0x00}, std::byte{0xff}, std::byte{0xff}};
/// Section 7.2.3.6: an empty message.
constexpr std::byte empty_message{0x00};
/// zlib counts in `uInt`.
constexpr std::size_t max_step = std::size_t{1} << 30u;
constexpr std::size_t first_output_size = 256;
/// Less room than that behind a flush would make zlib flush twice.
constexpr std::size_t flush_room = 16;

static_assert(sizeof(z_stream) <= DeflateStream::size);
static_assert(std::numeric_limits<uInt>::max() >= max_step);

z_stream& of(DeflateStream& stream) noexcept { return *static_cast<z_stream*>(stream.raw()); }

/// In front of what zlib gets, so that what it frees can be counted.
struct alignas(std::max_align_t) Prefix {
    std::size_t size;
};

voidpf allocate(voidpf owner, uInt items, uInt size) noexcept {
    DeflateStream& stream = *static_cast<DeflateStream*>(owner);
    const std::size_t total = sizeof(Prefix) + std::size_t{items} * size;
    if (!stream.take(total)) return nullptr;
    void* memory = std::malloc(total);
    if (memory == nullptr) {
        stream.give(total);
        return nullptr;
    }
    return new (memory) Prefix{total} + 1;
}

void deallocate(voidpf owner, voidpf memory) noexcept {
    Prefix* prefix = static_cast<Prefix*>(memory) - 1;
    static_cast<DeflateStream*>(owner)->give(prefix->size);
    std::free(prefix);
}

z_stream& prepare(DeflateStream& stream) noexcept {
    auto* raw = new (stream.raw()) z_stream{};
    raw->zalloc = allocate;
    raw->zfree = deallocate;
    raw->opaque = &stream;
    return *raw;
}

/// zlib only reads it, but says so only when it is built with ZLIB_CONST.
Bytef* readable(const std::byte* bytes) noexcept {
    return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes));  // NOLINT(cppcoreguidelines-pro-type-const-cast)
}
Bytef* writable(std::byte* bytes) noexcept { return reinterpret_cast<Bytef*>(bytes); }

uInt step(std::size_t size) noexcept { return static_cast<uInt>(std::min(size, max_step)); }

}  // namespace

// --- compressing ---------------------------------------------------------------------------------------------------

Compressor::Compressor(const CompressionInfo& agreed, const Compression& config, MemoryBudget* budget) noexcept
    : window_bits_(agreed.client_window_bits),
      context_takeover_(agreed.client_context_takeover),
      level_(config.level),
      memory_level_(config.memory_level),
      stream_(budget),
      output_(budget) {}

Compressor::~Compressor() { end(); }

bool Compressor::begin() noexcept {
    if (active_) return true;
    z_stream& z = prepare(stream_);
    active_ = deflateInit2(&z, level_, Z_DEFLATED, -window_bits_, memory_level_, Z_DEFAULT_STRATEGY) == Z_OK;
    return active_;
}

void Compressor::end() noexcept {
    if (active_) deflateEnd(&of(stream_));
    active_ = false;
}

/// A part ends at the boundary of a byte, so that the peer can have all of it: that takes a flush, whose mark stays
/// where more follows and is cut off from the end of the message.
Errc Compressor::compress(Bytes part, bool fin) noexcept {
    output_size_ = 0;
    if (!make_room()) return Errc::out_of_memory;
    if (part.empty()) {
        // Behind a flush the stream stands at a byte, and so it does before anything.
        if (fin) output_.data()[output_size_++] = empty_message;
    } else {
        if (!begin()) return Errc::out_of_memory;
        z_stream& z = of(stream_);
        for (bool flushed = false; !flushed;) {
            if (!make_room()) {
                forget();
                return Errc::out_of_memory;
            }
            const uInt size = step(part.size());
            const uInt room = step(output_.size() - output_size_);
            z.next_in = readable(part.data());
            z.avail_in = size;
            z.next_out = writable(output_.data() + output_size_);
            z.avail_out = room;
            [[maybe_unused]] const int status = deflate(&z, size == part.size() ? Z_SYNC_FLUSH : Z_NO_FLUSH);
            assert(status == Z_OK || status == Z_BUF_ERROR);
            part = part.subspan(size - z.avail_in);
            output_size_ += room - z.avail_out;
            flushed = part.empty() && z.avail_out != 0;
        }
        if (fin) {
            assert(output_size_ > tail.size());
            output_size_ -= tail.size();
        }
    }
    if (fin && !context_takeover_) end();
    return {};
}

/// Doubles the output when it is nearly full.
bool Compressor::make_room() noexcept {
    if (output_.size() - output_size_ >= flush_room) return true;
    if (!output_.grow(std::max(first_output_size, 2 * output_.size()))) return false;
    output_memory_.store(output_.size(), std::memory_order_relaxed);
    return true;
}

void Compressor::forget() noexcept {
    output_size_ = 0;
    // Blocks that refer to nothing before them can follow whatever the peer has got so far.
    if (active_) deflateReset(&of(stream_));
}

void Compressor::give_back(bool sent) noexcept {
    if (!sent) forget();
    if (!context_takeover_ && !active_) trim();
    lent_.store(false, std::memory_order_release);
}

void Compressor::trim() noexcept {
    output_.release();
    output_size_ = 0;
    output_memory_.store(0, std::memory_order_relaxed);
}

// --- inflating -----------------------------------------------------------------------------------------------------

bool Inflater::begin() noexcept {
    if (active_) return true;
    active_ = inflateInit2(&prepare(stream_), -window_bits_) == Z_OK;
    return active_;
}

Errc Inflater::advance(Bytes& in, std::span<std::byte>& out) noexcept {
    assert(!out.empty());
    if (!begin()) return Errc::out_of_memory;
    z_stream& z = of(stream_);
    for (;;) {
        const uInt size = step(in.size());
        const uInt room = step(out.size());
        z.next_in = readable(in.data());
        z.avail_in = size;
        z.next_out = writable(out.data());
        z.avail_out = room;
        const int status = inflate(&z, Z_SYNC_FLUSH);
        if (size != z.avail_in) final_block_ = false;
        in = in.subspan(size - z.avail_in);
        out = out.subspan(room - z.avail_out);
        if (status == Z_MEM_ERROR) return Errc::out_of_memory;
        if (status == Z_STREAM_END) {
            final_block_ = true;
            if (!restart()) return Errc::out_of_memory;
        } else if (status != Z_OK && status != Z_BUF_ERROR) {
            return Errc::compressed_data;
        }
        // Z_BUF_ERROR: nothing was possible any more.
        if (in.empty() || out.empty() || status == Z_BUF_ERROR) return {};
    }
}

/// Section 7.2.3.5: a block with BFINAL need not be the last. The window goes on.
bool Inflater::restart() noexcept {
    z_stream& z = of(stream_);
    uInt size = 0;
    if (inflateGetDictionary(&z, nullptr, &size) != Z_OK) return false;
    if (size == 0) return inflateReset(&z) == Z_OK;
    Block window = Block::allocate(size, budget_);
    if (window.empty()) return false;
    return inflateGetDictionary(&z, writable(window.data()), &size) == Z_OK && inflateReset(&z) == Z_OK &&
           inflateSetDictionary(&z, writable(window.data()), size) == Z_OK;
}

Errc Inflater::finish(std::span<std::byte>& out, bool& done) noexcept {
    done = false;
    // A sender that ended its stream with BFINAL and nothing behind it has left out too much, but what it means is
    // clear.
    if (!final_block_ || tail_ != 0) {
        Bytes in = Bytes(tail).subspan(tail_);
        if (const Errc error = advance(in, out); error != Errc{}) return error;
        tail_ = tail.size() - in.size();
        if (out.empty()) return {};
        // zlib's documentation of inflate(): 128 is set between two blocks.
        const bool between_blocks = (static_cast<unsigned>(of(stream_).data_type) & 128u) != 0;
        if (tail_ != tail.size() || !between_blocks) return Errc::compressed_data;
    }
    done = true;
    end_message();
    return {};
}

void Inflater::end_message() noexcept {
    tail_ = 0;
    final_block_ = false;
    if (!context_takeover_) release();
}

void Inflater::release() noexcept {
    if (active_) inflateEnd(&of(stream_));
    active_ = false;
}

}  // namespace tern::core
