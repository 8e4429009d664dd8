// Validating UTF-8, beside the reference decoder: texts of one to four bytes a character, and a mixture.
#include "utf8.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <benchmark/benchmark.h>

#include <tern/message.hpp>

#include "reference/utf8_reference.hpp"

namespace tern::core {
namespace {

/// `unit` again and again, without a part of it at the end: the size is a little smaller than asked for.
std::string text_of(std::string_view unit, std::int64_t size) {
    std::string text;
    while (text.size() + unit.size() <= static_cast<std::size_t>(size)) text += unit;
    return text;
}

template <class Check>
void run(benchmark::State& state, std::string_view unit, const Check& check) {
    const std::string text = text_of(unit, state.range(0));
    Bytes bytes = as_bytes(text);
    for (auto _ : state) {
        benchmark::DoNotOptimize(bytes);
        if (!check(bytes)) state.SkipWithError("refused");
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}

void check_text(benchmark::State& state, std::string_view unit) {
    run(state, unit, [](Bytes bytes) { return is_utf8(bytes); });
}

void check_text_slowly(benchmark::State& state, std::string_view unit) {
    run(state, unit, [](Bytes bytes) { return reference::judge_utf8(bytes).complete; });
}

/// As it arrives, in pieces that end where they like.
void check_arriving(benchmark::State& state, std::string_view unit) {
    run(state, unit, [](Bytes bytes) {
        constexpr std::size_t piece = 1447;
        Utf8Validator validator;
        for (std::size_t at = 0; at < bytes.size(); at += piece) {
            if (!validator.add(bytes.subspan(at, std::min(piece, bytes.size() - at)))) return false;
        }
        return validator.complete();
    });
}

constexpr auto sizes = [](auto* bench) { bench->Arg(16)->Arg(128)->Arg(1 << 10)->Arg(16 << 10)->Arg(1 << 20); };

constexpr std::string_view ascii = "Hello, world! ";
constexpr std::string_view greek = "\xCE\xBA\xCF\x8C";
constexpr std::string_view kanji = "\xE6\xBC\xA2\xE5\xAD\x97";
constexpr std::string_view emoji = "\xF0\x9F\x98\x80";
constexpr std::string_view mixed = "na\xC3\xAFve caf\xC3\xA9 \xE2\x82\xAC";

BENCHMARK_CAPTURE(check_text, ascii, ascii)->Apply(sizes);
BENCHMARK_CAPTURE(check_text_slowly, ascii, ascii)->Apply(sizes);
BENCHMARK_CAPTURE(check_text, greek, greek)->Apply(sizes);
BENCHMARK_CAPTURE(check_text_slowly, greek, greek)->Apply(sizes);
BENCHMARK_CAPTURE(check_text, kanji, kanji)->Apply(sizes);
BENCHMARK_CAPTURE(check_text_slowly, kanji, kanji)->Apply(sizes);
BENCHMARK_CAPTURE(check_text, emoji, emoji)->Apply(sizes);
BENCHMARK_CAPTURE(check_text_slowly, emoji, emoji)->Apply(sizes);
BENCHMARK_CAPTURE(check_text, mixed, mixed)->Apply(sizes);
BENCHMARK_CAPTURE(check_text_slowly, mixed, mixed)->Apply(sizes);
BENCHMARK_CAPTURE(check_arriving, mixed, mixed)->Arg(16 << 10)->Arg(1 << 20);
BENCHMARK_CAPTURE(check_arriving, ascii, ascii)->Arg(16 << 10)->Arg(1 << 20);

}  // namespace
}  // namespace tern::core
