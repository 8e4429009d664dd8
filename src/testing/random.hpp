// Seeded randomness that is the same on every machine (the distributions of <random> are not).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace tern::sim {

class Random {
public:
    explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

    /// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
    std::uint64_t next() noexcept {
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
    std::uint64_t state_;
};

}  // namespace tern::sim
