// Masking, beside the byte-wise form of RFC 6455 section 5.3.
#include "mask.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include "reference/mask_reference.hpp"

namespace tern::core {
namespace {

/// Payloads lie one behind the other, as in a send buffer, with a short header before each.
template <class Mask>
void run(benchmark::State& state, const Mask& mask) {
    constexpr std::size_t header = 6;
    constexpr std::size_t window = 16u << 10u;
    const auto size = static_cast<std::size_t>(state.range(0));
    const std::size_t frames = std::max<std::size_t>(window / (header + size), 1);
    const std::vector<std::byte> from(size, std::byte{'x'});
    std::vector<std::byte> to(frames * (header + size), std::byte{'y'});
    MaskKey key{std::byte{0x37}, std::byte{0xfa}, std::byte{0x21}, std::byte{0x3d}};
    std::size_t frame = 0;
    for (auto _ : state) {
        benchmark::DoNotOptimize(key);
        mask(to.data() + frame * (header + size) + header, from.data(), size, key);
        benchmark::ClobberMemory();
        frame = frame + 1 == frames ? 0 : frame + 1;
    }
    state.SetBytesProcessed(state.iterations() * state.range(0));
}

void mask_to_copy(benchmark::State& state) {
    run(state,
        [](std::byte* to, const std::byte* from, std::size_t size, MaskKey key) { mask_copy(to, from, size, key, 0); });
}

void mask_to_copy_slowly(benchmark::State& state) {
    run(state, [](std::byte* to, const std::byte* from, std::size_t size, const MaskKey& key) {
        reference::mask(to, from, size, key, 0);
    });
}

void mask_where_it_is(benchmark::State& state) {
    run(state,
        [](std::byte* data, const std::byte*, std::size_t size, MaskKey key) { mask_in_place(data, size, key, 0); });
}

void mask_where_it_is_slowly(benchmark::State& state) {
    run(state, [](std::byte* data, const std::byte*, std::size_t size, const MaskKey& key) {
        reference::mask(data, data, size, key, 0);
    });
}

constexpr auto sizes = [](auto* bench) { bench->Arg(16)->Arg(128)->Arg(1 << 10)->Arg(16 << 10)->Arg(1 << 20); };

BENCHMARK(mask_to_copy)->Apply(sizes);
BENCHMARK(mask_to_copy_slowly)->Apply(sizes);
BENCHMARK(mask_where_it_is)->Apply(sizes);
BENCHMARK(mask_where_it_is_slowly)->Apply(sizes);

}  // namespace
}  // namespace tern::core
