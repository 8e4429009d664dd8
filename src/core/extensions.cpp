#include "extensions.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "http_head.hpp"
#include "quote.hpp"

namespace tern::core {
namespace {

constexpr std::string_view header_name = "Sec-WebSocket-Extensions";
constexpr std::string_view deflate_name = "permessage-deflate";
constexpr int max_window_bits = 15;
/// zlib cannot compress with a window of 256 bytes, only inflate what was.
constexpr int min_client_window_bits = 9;
constexpr int min_server_window_bits = 8;
/// More would only lengthen every request.
constexpr std::size_t max_offers = 8;
/// In the detail of an error.
constexpr std::size_t max_shown = 200;

Error invalid(const char* what) { return {Errc::invalid_config, Phase::none, what}; }
Error fault(Errc code, std::string detail) { return {code, Phase::upgrade, std::move(detail)}; }

/// The parameters of an answer, as RFC 7692 section 7.1 names them.
struct Answer {
    bool server_no_context_takeover = false;
    bool client_no_context_takeover = false;
    std::optional<int> server_max_window_bits;
    std::optional<int> client_max_window_bits;
};

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

/// One parameter: `name`, `name=token` or `name="token"` (RFC 6455 section 9.1).
struct Parameter {
    std::string_view name;
    std::optional<std::string> value;
};

/// The text between quotation marks, without escapes. Empty: not well formed.
std::string unquoted(std::string_view text) {
    std::string value;
    if (text.size() < 2 || text.back() != '"') return {};
    text = text.substr(1, text.size() - 2);
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '"') return {};
        if (text[i] == '\\') ++i;
        if (i == text.size()) return {};
        value += text[i];
    }
    return value;
}

bool parse_parameter(std::string_view text, Parameter& parameter) {
    const std::size_t equals = text.find('=');
    parameter.name = trimmed(text.substr(0, equals));
    if (!is_token(parameter.name)) return false;
    if (equals == text.npos) return true;
    const std::string_view raw = trimmed(text.substr(equals + 1));
    parameter.value = raw.starts_with('"') ? unquoted(raw) : std::string(raw);
    // Section 9.1: what the quotes hold has to be a token too.
    return is_token(*parameter.value);
}

/// 8 to 15, without leading zeros (RFC 7692 section 7.1.2).
std::optional<int> window_bits(const Parameter& parameter) {
    if (!parameter.value) return std::nullopt;
    const std::string& text = *parameter.value;
    if (text.size() == 1 && (text[0] == '8' || text[0] == '9')) return text[0] - '0';
    if (text.size() == 2 && text[0] == '1' && text[1] >= '0' && text[1] <= '5') return 10 + (text[1] - '0');
    return std::nullopt;
}

/// False: it is no parameter of permessage-deflate, has a wrong value, or comes twice.
bool take_parameter(const Parameter& parameter, Answer& answer) {
    const auto flag = [&](bool& taken) { return !parameter.value && !std::exchange(taken, true); };
    const auto bits = [&](std::optional<int>& taken) {
        if (taken) return false;
        taken = window_bits(parameter);
        return taken.has_value();
    };
    if (iequals(parameter.name, "server_no_context_takeover")) return flag(answer.server_no_context_takeover);
    if (iequals(parameter.name, "client_no_context_takeover")) return flag(answer.client_no_context_takeover);
    if (iequals(parameter.name, "server_max_window_bits")) return bits(answer.server_max_window_bits);
    if (iequals(parameter.name, "client_max_window_bits")) return bits(answer.client_max_window_bits);
    return false;
}

bool accepts(const Answer& answer, const CompressionOffer& offer) {
    // Sections 7.1.1.1 and 7.1.2.1: what the offer demands of the server has to be confirmed. The server may promise
    // more than it was asked for.
    if (!offer.server_context_takeover && !answer.server_no_context_takeover) return false;
    const int server_bits = answer.server_max_window_bits.value_or(max_window_bits);
    if (server_bits > offer.server_window_bits) return false;
    // Section 7.1.2.2: our offers always allow it, with our own limit as the largest.
    return answer.client_max_window_bits.value_or(offer.client_window_bits) <= offer.client_window_bits;
}

Error judge_deflate(std::string_view element, const Answer& answer, const Compression& config,
                    CompressionInfo& agreed) {
    const auto offer = std::find_if(config.offers.begin(), config.offers.end(),
                                    [&](const CompressionOffer& each) { return accepts(answer, each); });
    if (offer == config.offers.end()) {
        return fault(Errc::compression_mismatch, "offered " + quoted(extension_offers(config), max_shown) +
                                                     ", received " + quoted(element, max_shown));
    }
    agreed.active = true;
    agreed.server_context_takeover = !answer.server_no_context_takeover;
    agreed.server_window_bits = answer.server_max_window_bits.value_or(max_window_bits);
    // Sections 7.1.1.2 and 7.1.2.2: what we have announced binds us, whether or not the server repeats it.
    agreed.client_context_takeover = offer->client_context_takeover && !answer.client_no_context_takeover;
    agreed.client_window_bits = answer.client_max_window_bits.value_or(offer->client_window_bits);
    if (agreed.client_window_bits < min_client_window_bits) {
        return fault(Errc::compression_window, "received " + quoted(element, max_shown));
    }
    return {};
}

/// Takes the part up to the next semicolon that does not stand in a quoted string.
std::string_view next_part(std::string_view& rest) {
    bool in_quotes = false;
    std::size_t end = 0;
    for (; end < rest.size() && (in_quotes || rest[end] != ';'); ++end) {
        if (rest[end] == '"') in_quotes = !in_quotes;
        if (rest[end] == '\\' && in_quotes && end + 1 < rest.size()) ++end;
    }
    const std::string_view part = rest.substr(0, end);
    rest.remove_prefix(std::min(end, rest.size()));
    return trimmed(part);
}

/// One extension with its parameters.
Error judge_extension(std::string_view element, const Compression& config, CompressionInfo& agreed) {
    std::string_view rest = element;
    const std::string_view name = next_part(rest);
    if (!is_token(name)) return fault(Errc::extension_malformed, quoted(element, max_shown));
    std::vector<Parameter> parameters;
    while (!rest.empty()) {
        rest.remove_prefix(1);
        if (!parse_parameter(next_part(rest), parameters.emplace_back())) {
            return fault(Errc::extension_malformed, quoted(element, max_shown));
        }
    }
    const bool offered = config.enabled && !config.offers.empty();
    if (!offered || !iequals(name, deflate_name)) {
        return fault(Errc::extension_not_offered, "expected " + (offered ? quoted(deflate_name) : "none") +
                                                      ", received " + quoted(element, max_shown));
    }
    if (agreed.active) return fault(Errc::extension_repeated, quoted(element, max_shown));
    Answer answer;
    for (const Parameter& each : parameters) {
        if (!take_parameter(each, answer)) {
            return fault(Errc::compression_parameter, quoted(each.name) + " in " + quoted(element, max_shown));
        }
    }
    return judge_deflate(element, answer, config, agreed);
}

}  // namespace

Error check_compression(const Compression& config) {
    if (config.level < 1 || config.level > 9) return invalid("compression.level lies between 1 and 9");
    if (config.memory_level < 1 || config.memory_level > 9)
        return invalid("compression.memory_level lies between 1 and 9");
    if (config.offers.size() > max_offers) return invalid("compression.offers has at most 8");
    for (const CompressionOffer& offer : config.offers) {
        if (offer.server_window_bits < min_server_window_bits || offer.server_window_bits > max_window_bits) {
            return invalid("server_window_bits lies between 8 and 15");
        }
        if (offer.client_window_bits < min_client_window_bits || offer.client_window_bits > max_window_bits) {
            return invalid("client_window_bits lies between 9 and 15");
        }
    }
    return {};
}

std::string extension_offers(const Compression& config) {
    std::string all;
    if (!config.enabled) return all;
    for (const CompressionOffer& offer : config.offers) {
        if (!all.empty()) all += ", ";
        all += deflate_name;
        // Without a value it says that the server may choose (section 7.1.2.2).
        all += "; client_max_window_bits";
        if (offer.client_window_bits < max_window_bits) all += '=' + std::to_string(offer.client_window_bits);
        if (offer.server_window_bits < max_window_bits) {
            all += "; server_max_window_bits=" + std::to_string(offer.server_window_bits);
        }
        if (!offer.server_context_takeover) all += "; server_no_context_takeover";
        if (!offer.client_context_takeover) all += "; client_no_context_takeover";
    }
    return all;
}

Error judge_extensions(const std::vector<Header>& fields, const Compression& config, CompressionInfo& agreed) {
    agreed = CompressionInfo();
    for (const Header& field : fields) {
        if (!iequals(field.name, header_name)) continue;
        std::string_view list = field.value;
        // Fields without an element choose nothing.
        for (std::string_view element; next_element(list, element);) {
            if (Error error = judge_extension(element, config, agreed)) return error;
        }
    }
    return {};
}

}  // namespace tern::core
