// The validator of UTF-8 against the reference: whole, and in pieces. The first two bytes of the input say how long the
// text in front of the rest is and where to split; the rest is the text.
#include "utf8.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <span>
#include <vector>

#include <tern/message.hpp>

#include "reference/utf8_reference.hpp"

namespace tern::core {
namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

std::vector<std::byte> behind_text(std::size_t characters, Bytes bytes) {
    std::vector<std::byte> text;
    for (std::size_t i = 0; i < characters; ++i) text.insert(text.end(), {std::byte{0xCE}, std::byte{0xBA}});
    text.insert(text.end(), bytes.begin(), bytes.end());
    return {text.begin(), text.end()};  // Without room behind it, for AddressSanitizer.
}

void check_whole(Bytes text) {
    const auto verdict = reference::judge_utf8(text);
    Utf8Validator validator;
    require(is_utf8(text) == verdict.complete);
    require(validator.add(text) == !verdict.impossible_at);
    require(validator.complete() == verdict.complete);
}

void check_pieces(Bytes text, std::minstd_rand random) {
    const auto verdict = reference::judge_utf8(text);
    const std::size_t longest = std::size_t{1} << random() % 8;
    Utf8Validator validator;
    for (std::size_t arrived = 0; arrived < text.size();) {
        const Bytes rest = text.subspan(arrived);
        const Bytes bytes = rest.first(std::min<std::size_t>(random() % (longest + 1), rest.size()));
        const std::vector<std::byte> piece(bytes.begin(), bytes.end());
        arrived += piece.size();
        require(validator.add(piece) == !(verdict.impossible_at && *verdict.impossible_at < arrived));
    }
    require(validator.complete() == verdict.complete);
}

void check(Bytes input) {
    if (input.size() < 2) return;
    const auto characters = std::to_integer<std::size_t>(input[0]);
    const auto seed = std::to_integer<std::uint32_t>(input[1]);
    const std::vector<std::byte> text = behind_text(characters, input.subspan(2));
    check_whole(text);
    check_pieces(text, std::minstd_rand(seed));
}

}  // namespace
}  // namespace tern::core

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    tern::core::check(std::as_bytes(std::span(data, size)));
    return 0;
}
