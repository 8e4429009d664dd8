// Seeded randomness that is the same on every machine (the distributions of <random> are not).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tern::sim {

class Random {
public:
    /// As long as there are bytes in `choices`, which has to outlive this, two of them make each number: so that a
    /// fuzzer can choose.
    explicit Random(std::uint64_t seed, std::string_view choices = {}) noexcept : state_(seed), choices_(choices) {}

    /// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
    std::uint64_t next() noexcept {
        if (choices_.size() >= 2) return chosen();
        state_ += 0x9e3779b97f4a7c15u;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30u)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27u)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31u);
    }
    /// 0 to `n` - 1; 0 if `n` is 0.
    std::uint64_t below(std::uint64_t n) noexcept { return n == 0 ? 0 : next() % n; }
    /// `low` to `high`, both included.
    std::size_t between(std::size_t low, std::size_t high) noexcept {
        return low + static_cast<std::size_t>(below(high - low + 1));
    }
    bool chance(double probability) noexcept { return static_cast<double>(next() >> 11u) * 0x1.0p-53 < probability; }
    std::string bytes(std::size_t size) {
        std::string out(size, '\0');
        for (std::size_t at = 0; at < size;) {
            std::uint64_t word = next();
            for (const std::size_t end = at + 8 < size ? at + 8 : size; at < end; ++at, word >>= 8u)
                out[at] = static_cast<char>(word & 0xffu);
        }
        return out;
    }

private:
    std::uint64_t chosen() noexcept {
        const auto low = static_cast<unsigned char>(choices_[0]);
        const auto high = static_cast<unsigned char>(choices_[1]);
        choices_.remove_prefix(2);
        // In the upper bits too, where `chance` looks.
        return (low | std::uint64_t{high} << 8u) * 0x0001'0001'0001'0001u;
    }

    std::uint64_t state_;
    std::string_view choices_;
};

}  // namespace tern::sim
