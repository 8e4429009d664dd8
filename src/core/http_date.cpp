#include "http_date.hpp"

#include <array>
#include <cstddef>

namespace tern::core {
namespace {

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// "Jan" is 1; 0 if it is no month.
unsigned month_number(std::string_view word) noexcept {
    constexpr std::string_view names = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const std::size_t at = word.size() == 3 ? names.find(word) : names.npos;
    return at == names.npos || at % 3 != 0 ? 0 : static_cast<unsigned>(at / 3) + 1;
}

struct Parts {
    std::array<unsigned, 5> numbers{};  ///< All numbers, in the order in which they stand.
    std::array<std::size_t, 5> digits{};
    std::size_t count = 0;
    unsigned month = 0;
    std::size_t month_at = 0;  ///< Numbers in front of it.
};

/// The formats differ in order and punctuation alone, so words and numbers tell all of it.
bool split(std::string_view text, Parts& parts) noexcept {
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t begin = at;
        if (is_digit(text[at])) {
            unsigned value = 0;
            while (at < text.size() && is_digit(text[at])) value = value * 10 + static_cast<unsigned>(text[at++] - '0');
            if (at - begin > 4 || parts.count == parts.numbers.size()) return false;
            parts.digits[parts.count] = at - begin;
            parts.numbers[parts.count++] = value;
        } else if (is_letter(text[at])) {
            while (at < text.size() && is_letter(text[at])) ++at;
            const unsigned month = month_number(text.substr(begin, at - begin));
            if (month != 0 && parts.month != 0) return false;
            if (month != 0) parts.month = month, parts.month_at = parts.count;
        } else {
            constexpr std::string_view between = " ,:-";
            if (between.find(text[at++]) == between.npos) return false;
        }
    }
    return parts.count == parts.numbers.size() && parts.month != 0;
}

}  // namespace

std::optional<std::chrono::sys_seconds> parse_http_date(std::string_view text) noexcept {
    Parts parts;
    if (text.size() > 40 || !split(text, parts)) return std::nullopt;
    // "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", and asctime's "Sun Nov  6 08:49:37 1994".
    const bool asctime = parts.month_at == 0;
    if (parts.month_at > 1) return std::nullopt;
    const auto& [first, second, third, fourth, fifth] = parts.numbers;
    const unsigned day = first;
    const std::size_t year_at = asctime ? 4 : 1;
    unsigned year = parts.numbers[year_at];
    // Two digits: the obsolete format, which is older than this program.
    if (parts.digits[year_at] == 2) year += year < 70 ? 2000 : 1900;
    const unsigned hour = asctime ? second : third;
    const unsigned minute = asctime ? third : fourth;
    const unsigned second_of_minute = asctime ? fourth : fifth;
    const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(year)), std::chrono::month(parts.month),
                                           std::chrono::day(day)};
    if (!date.ok() || hour > 23 || minute > 59 || second_of_minute > 60) return std::nullopt;
    return std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
           std::chrono::seconds(second_of_minute);
}

}  // namespace tern::core
