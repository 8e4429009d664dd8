#include "utf8.hpp"

#include <array>
#include <atomic>
#include <cstdlib>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif
#if defined(TERN_WITH_SIMDJSON)
#include <simdjson.h>
#endif

namespace tern::core::utf8_detail {
namespace {

// --- byte by byte --------------------------------------------------------------------------------------------------
//
// The syntax of RFC 3629 section 4 as an automaton. For each byte there is a word that holds, for every state, the next
// one; a state is the position of its six bits in there. A byte costs one load, which does not wait for the byte
// before, and one shift.

constexpr unsigned width = 6;
constexpr std::uint64_t lowest_bits = 63;

constexpr auto boundary = static_cast<unsigned>(Utf8State::boundary);
constexpr auto failed = static_cast<unsigned>(Utf8State::failed);
constexpr unsigned one_left = 2 * width;    // Of the bytes 80 to BF, which continue a character.
constexpr unsigned two_left = 3 * width;    //
constexpr unsigned three_left = 4 * width;  //
constexpr unsigned after_e0 = 5 * width;    // 80 to 9F: not the shortest form.
constexpr unsigned after_ed = 6 * width;    // A0 to BF: a surrogate.
constexpr unsigned after_f0 = 7 * width;    // 80 to 8F: not the shortest form.
constexpr unsigned after_f4 = 8 * width;    // 90 to BF: above U+10FFFF.
static_assert(boundary == 0 && failed == width);

consteval unsigned after_first(unsigned byte) {
    if (byte <= 0x7F) return boundary;
    if (byte <= 0xC1) return failed;  // C0 and C1 could only begin what is not the shortest form.
    if (byte <= 0xDF) return one_left;
    if (byte == 0xE0) return after_e0;
    if (byte == 0xED) return after_ed;
    if (byte <= 0xEF) return two_left;
    if (byte == 0xF0) return after_f0;
    if (byte <= 0xF3) return three_left;
    return byte == 0xF4 ? after_f4 : failed;
}

consteval std::uint64_t next_states(unsigned byte) {
    std::uint64_t all = std::uint64_t{after_first(byte)} << boundary | std::uint64_t{failed} << failed;
    const auto expect = [&](unsigned state, unsigned from, unsigned to, unsigned next) {
        all |= std::uint64_t{from <= byte && byte <= to ? next : failed} << state;
    };
    expect(one_left, 0x80, 0xBF, boundary);
    expect(two_left, 0x80, 0xBF, one_left);
    expect(three_left, 0x80, 0xBF, two_left);
    expect(after_e0, 0xA0, 0xBF, one_left);
    expect(after_ed, 0x80, 0x9F, one_left);
    expect(after_f0, 0x90, 0xBF, two_left);
    expect(after_f4, 0x80, 0x8F, two_left);
    return all;
}

constexpr auto table = []() consteval {
    std::array<std::uint64_t, 256> rows{};
    for (unsigned byte = 0; byte < rows.size(); ++byte) rows[byte] = next_states(byte);
    return rows;
}();

/// The bits above the lowest six of a state mean nothing.
std::uint64_t step(std::uint64_t state, std::byte byte) noexcept {
    return table[std::to_integer<std::size_t>(byte)] >> (state & lowest_bits);
}

std::uint64_t four_steps(std::uint64_t state, const std::byte* at) noexcept {
    return step(step(step(step(state, at[0]), at[1]), at[2]), at[3]);
}

Utf8State walk_table(Utf8State from, Bytes bytes) noexcept {
    const std::byte* at = bytes.data();
    std::size_t left = bytes.size();
    auto state = static_cast<std::uint64_t>(from);
    for (; left >= 16; at += 16, left -= 16) {
        if ((state & lowest_bits) == boundary && ((load_word(at) | load_word(at + 8)) & high_bits) == 0) continue;
        for (std::size_t i = 0; i < 16; i += 4) state = four_steps(state, at + i);
    }
    for (; left >= 4; at += 4, left -= 4) state = four_steps(state, at);
    for (; left > 0; ++at, --left) state = step(state, *at);
    return static_cast<Utf8State>(state & lowest_bits);
}

/// Takes the rest of a character that an earlier call has begun.
Utf8State finish_character(Utf8State state, Bytes& bytes) noexcept {
    std::size_t n = 0;
    while (n < bytes.size() && state != Utf8State::boundary && state != Utf8State::failed) {
        state = static_cast<Utf8State>(step(static_cast<std::uint64_t>(state), bytes[n++]) & lowest_bits);
    }
    bytes = bytes.subspan(n);
    return state;
}

// --- many bytes at once --------------------------------------------------------------------------------------------

/// Two times 32 bytes.
bool are_ascii(const std::byte* a, const std::byte* b) noexcept {
#if defined(__SSE2__)
    const auto load_pair = [](const std::byte* at) {
        const auto* const from = reinterpret_cast<const __m128i_u*>(at);
        return _mm_or_si128(_mm_loadu_si128(from), _mm_loadu_si128(from + 1));
    };
    return _mm_movemask_epi8(_mm_or_si128(load_pair(a), load_pair(b))) == 0;
#else
    std::uint64_t all = 0;
    for (std::size_t i = 0; i < 32; i += 8) all |= load_word(a + i) | load_word(b + i);
    return (all & high_bits) == 0;
#endif
}

/// What follows the bytes that are easily seen to be ASCII; nothing if all are, and there are not very few.
Bytes skip_ascii(Bytes bytes) noexcept {
    const std::byte* at = bytes.data();
    const std::byte* const end = at + bytes.size();
    if (bytes.size() < 32) return bytes;
    if (bytes.size() < 64) return are_ascii(at, end - 32) ? Bytes{end, end} : bytes;
    for (; end - at >= 64; at += 64) {
        if (!are_ascii(at, at + 32)) return {at, end};
    }
    return {are_ascii(end - 64, end - 32) ? end : at, end};
}

bool is_whole_by_table(Bytes bytes) noexcept { return walk_table(Utf8State::boundary, bytes) == Utf8State::boundary; }

#if defined(TERN_WITH_SIMDJSON)

/// From here on simdjson wins: calling it costs 20 ns and then 0.1 ns a byte, the table 0.6 ns a byte.
constexpr std::size_t long_text = 32;

// simdjson's implementations are static objects with a destructor, and to use one after that ends the program ("pure
// virtual method called"). A client may live longer: in a static object, or in a thread that still runs when `main`
// returns. So the table takes over before they are destroyed.

using WholeCheck = bool(Bytes) noexcept;
bool choose_whole_check(Bytes bytes) noexcept;

constinit std::atomic<WholeCheck*> is_whole_long{choose_whole_check};
constinit std::atomic<const simdjson::implementation*> implementation{nullptr};

bool is_whole_by_simdjson(Bytes bytes) noexcept {
    return implementation.load(std::memory_order_relaxed)
        ->validate_utf8(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void leave_simdjson() noexcept { is_whole_long.store(is_whole_by_table, std::memory_order_release); }

/// Not by `simdjson::validate_utf8`: there the environment variable SIMDJSON_FORCE_IMPLEMENTATION decides, and a name
/// that it does not know makes every text invalid.
bool choose_whole_check(Bytes bytes) noexcept {
    const auto* const best = simdjson::get_available_implementations().detect_best_supported();
    implementation.store(best, std::memory_order_relaxed);
    // One that needs no instruction set is slower than the table, or stands for none at all. Functions of `atexit` are
    // called in reverse order: this one before the destructors of what exists already.
    const bool usable = best->required_instruction_sets() != 0 && std::atexit(leave_simdjson) == 0;
    WholeCheck* expected = choose_whole_check;
    is_whole_long.compare_exchange_strong(expected, usable ? is_whole_by_simdjson : is_whole_by_table,
                                          std::memory_order_release);
    return is_whole_long.load(std::memory_order_acquire)(bytes);
}

/// Where the last character begins if it is incomplete, as far as its first byte tells; otherwise the end.
std::size_t last_boundary(Bytes bytes) noexcept {
    for (std::size_t back = 1; back <= 3; ++back) {
        const auto byte = std::to_integer<unsigned>(bytes[bytes.size() - back]);
        if ((byte & 0xC0u) == 0x80) continue;
        const std::size_t length = byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
        return length > back ? bytes.size() - back : bytes.size();
    }
    return bytes.size();
}

bool is_whole(Bytes bytes) noexcept {
    return bytes.size() >= long_text ? is_whole_long.load(std::memory_order_acquire)(bytes) : is_whole_by_table(bytes);
}

/// simdjson judges whole texts, and not the first bytes of a character.
Utf8State walk_from_boundary(Bytes bytes) noexcept {
    if (bytes.size() < long_text) return walk_table(Utf8State::boundary, bytes);
    const std::size_t whole = last_boundary(bytes);
    if (!is_whole(bytes.first(whole))) return Utf8State::failed;
    return walk_table(Utf8State::boundary, bytes.subspan(whole));
}

#else

bool is_whole(Bytes bytes) noexcept { return is_whole_by_table(bytes); }

Utf8State walk_from_boundary(Bytes bytes) noexcept { return walk_table(Utf8State::boundary, bytes); }

#endif

}  // namespace

Utf8State walk(Utf8State state, Bytes bytes) noexcept {
    if (state != Utf8State::boundary) state = finish_character(state, bytes);
    if (state != Utf8State::boundary) return state;
    const Bytes rest = skip_ascii(bytes);
    return rest.empty() ? Utf8State::boundary : walk_from_boundary(rest);
}

bool is_whole_text(Bytes text) noexcept {
    const Bytes rest = skip_ascii(text);
    return rest.empty() || is_whole(rest);
}

}  // namespace tern::core::utf8_detail
