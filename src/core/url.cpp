#include "url.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include <idn2.h>
#include <uriparser/Uri.h>

#include "quote.hpp"

namespace tern::core {
namespace {

/// A limit of our own; servers refuse request lines that are much shorter.
constexpr std::size_t max_url_size = 8192;
/// RFC 1035 section 2.3.4, as text: 255 octets on the wire are 253 characters.
constexpr std::size_t max_name_size = 253;
constexpr std::size_t max_label_size = 63;

/// What the text was cut into. All of them are views into it, so that an error can tell where something stands.
struct Parts {
    std::string_view user_info;
    std::string_view host;  ///< An address literal with its brackets.
    std::string_view port;
    std::string_view target;  ///< From the first '/' or '?' behind the host.
};

Error fault(Errc code, std::string detail) { return {code, Phase::none, std::move(detail)}; }

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }
bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

/// RFC 3986 section 2.3.
bool is_unreserved(char c) {
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') || c == '-' || c == '.' || c == '_' || c == '~';
}

int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = lower(c);
    return out;
}

std::string percent_encoded(std::string_view text) {
    constexpr char digits[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        out.append({'%', digits[byte >> 4u], digits[byte & 0xfu]});
    }
    return out;
}

/// Positions are counted in bytes from 1, as a person would.
std::string at(std::string_view text, const char* where) {
    return " at position " + std::to_string(where - text.data() + 1);
}

// --- what must stand nowhere in a URL ------------------------------------------------------------------------------

/// The size of the white space character that the text begins with; 0 if it begins with another. White space beyond
/// ASCII (the property White_Space of Unicode) comes from copying out of documents.
std::size_t white_space_size(std::string_view text) {
    if (text.front() == ' ') return 1;
    if (is_ascii(text.front())) return 0;
    for (const std::string_view space : {"\xc2\x85", "\xc2\xa0", "\xe1\x9a\x80", "\xe2\x80\xa8", "\xe2\x80\xa9",
                                         "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"}) {
        if (text.starts_with(space)) return space.size();
    }
    // U+2000 to U+200A
    const bool wide = text.size() >= 3 && text.starts_with("\xe2\x80") && !is_ascii(text[2]) &&
                      static_cast<unsigned char>(text[2]) <= 0x8a;
    return wide ? 3 : 0;
}

Error check_characters(std::string_view text) {
    if (text.empty()) return Errc::url_empty;
    if (text.size() > max_url_size) {
        return fault(Errc::url_syntax,
                     "it has " + std::to_string(text.size()) + " bytes; the limit is " + std::to_string(max_url_size));
    }
    const auto control = std::find_if(text.begin(), text.end(), is_control);
    if (control != text.end()) {
        const char* where = text.data() + (control - text.begin());
        return fault(Errc::url_control_character, quoted({where, 1}) + at(text, where));
    }
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (const std::size_t size = white_space_size(text.substr(i)); size != 0) {
            return fault(Errc::url_space, quoted(text.substr(i, size)) + at(text, text.data() + i));
        }
    }
    return {};
}

// --- the parts -----------------------------------------------------------------------------------------------------

Error read_scheme(std::string_view text, Url& url) {
    const std::size_t colon = text.find(':');
    const std::string scheme = lower(text.substr(0, colon == text.npos ? 0 : colon));
    if (scheme != "ws" && scheme != "wss") {
        // What stands there may be anything, user info too; only names that people confuse are worth repeating.
        if (scheme == "http") return fault(Errc::url_scheme, "it is \"http\"; write ws:// instead");
        if (scheme == "https") return fault(Errc::url_scheme, "it is \"https\"; write wss:// instead");
        return fault(Errc::url_scheme, "a WebSocket URL begins with ws:// or wss://");
    }
    if (!text.substr(colon).starts_with("://")) {
        return fault(Errc::url_scheme, "\"//\" is missing behind \"" + scheme + ":\"");
    }
    url.secure = scheme == "wss";
    return {};
}

/// Does it look like an IPv6 address whose brackets were forgotten?
bool looks_like_ipv6(std::string_view text) {
    return std::count(text.begin(), text.end(), ':') > 1 &&
           std::all_of(text.begin(), text.end(), [](char c) { return hex_value(c) >= 0 || c == ':' || c == '.'; });
}

/// RFC 3986 section 3.2: [ userinfo "@" ] host [ ":" port ].
Error split(std::string_view text, Parts& parts) {
    std::string_view rest = text.substr(text.find("://") + 3);
    const auto authority_end = std::find_if(rest.begin(), rest.end(), [](char c) { return c == '/' || c == '?'; });
    const auto authority_size = static_cast<std::size_t>(authority_end - rest.begin());
    parts.target = rest.substr(authority_size);
    std::string_view authority = rest.substr(0, authority_size);

    // With the last '@', "ws://good@evil" and its relatives cannot be read in two ways: any other is refused below.
    const std::size_t at_sign = authority.rfind('@');
    if (at_sign != authority.npos) {
        parts.user_info = authority.substr(0, at_sign);
        authority.remove_prefix(at_sign + 1);
        if (parts.user_info.find('@') != parts.user_info.npos) {
            return fault(Errc::url_syntax, "there are two '@'; in a user name or password write %40");
        }
    }

    std::size_t host_size = std::min(authority.find(':'), authority.size());
    if (authority.starts_with('[')) {
        const std::size_t bracket = authority.find(']');
        if (bracket == authority.npos) return fault(Errc::url_host, "']' is missing in " + quoted(authority));
        host_size = bracket + 1;
        if (host_size < authority.size() && authority[host_size] != ':') {
            return fault(Errc::url_host, quoted(authority) + ": only a port can follow ']'");
        }
    } else if (looks_like_ipv6(authority)) {
        return fault(Errc::url_host, "an IPv6 address is written in brackets: [" + escaped(authority) + "]");
    }
    parts.host = authority.substr(0, host_size);
    parts.port = authority.substr(std::min(host_size + 1, authority.size()));
    return {};
}

Error read_port(std::string_view text, const Parts& parts, Url& url) {
    // RFC 3986 section 3.2.3: a port that is empty is the default.
    if (parts.port.empty()) {
        url.port = url.secure ? 443 : 80;
        url.has_port = false;
        return {};
    }
    constexpr unsigned limit = 0xffff;
    unsigned port = 0;
    bool valid = true;
    for (const char c : parts.port) {
        valid = valid && is_digit(c);
        if (valid) port = std::min(port * 10 + static_cast<unsigned>(c - '0'), limit + 1);
    }
    if (!valid || port == 0 || port > limit) {
        // "ws://user:pass/word@host" puts half a password here; it is not repeated.
        const bool perhaps_secret = !valid && parts.target.find('@') != parts.target.npos;
        return fault(
            Errc::url_port,
            perhaps_secret
                ? "in a user name or password '/' is written %2F and '?' %3F"
                : quoted(parts.port) +
                      at(text, parts.port.data()));  // NOLINT(bugprone-suspicious-stringview-data-usage): a position
    }
    url.port = static_cast<std::uint16_t>(port);
    url.has_port = true;
    return {};
}

/// Section 2.1. The detail of a failure shows nothing of the text, which may be a password.
Error percent_decode(std::string_view text, std::string_view part, std::string& out) {
    out = part.substr(0, part.find('%'));
    for (std::size_t i = out.size(); i < part.size(); ++i) {
        if (part[i] != '%') {
            out += part[i];
            continue;
        }
        const int high = i + 2 < part.size() ? hex_value(part[i + 1]) : -1;
        const int low = i + 2 < part.size() ? hex_value(part[i + 2]) : -1;
        if (high < 0 || low < 0) {
            return fault(Errc::url_syntax, "'%'" + at(text, part.data() + i) +
                                               " is not followed by two hexadecimal digits; for '%' itself write %25");
        }
        out += static_cast<char>(high * 16 + low);
        if (is_control(out.back())) {
            return fault(Errc::url_control_character, "percent-encoded" + at(text, part.data() + i));
        }
        i += 2;
    }
    return {};
}

Error read_user_info(std::string_view text, const Parts& parts, Url& url) {
    if (parts.user_info.empty()) return {};
    url.has_user_info = true;
    const std::size_t colon = std::min(parts.user_info.find(':'), parts.user_info.size());
    if (Error error = percent_decode(text, parts.user_info.substr(0, colon), url.user)) return error;
    if (url.user.find(':') != url.user.npos) {
        // RFC 7617 section 2: there is no way to send it.
        return fault(Errc::url_syntax, "the user name contains ':' (%3A)");
    }
    if (colon == parts.user_info.size()) return {};
    return percent_decode(text, parts.user_info.substr(colon + 1), url.password);
}

// --- the host ------------------------------------------------------------------------------------------------------

/// Names in other scripts become A-labels (RFC 5891), mapped and normalised before as browsers do (UTS 46,
/// nontransitional).
Error to_ascii(std::string& name) {
    char* converted = nullptr;
    const int status = idn2_to_ascii_8z(name.c_str(), &converted, IDN2_NONTRANSITIONAL);
    if (status == IDN2_MALLOC) return Errc::out_of_memory;
    if (status != IDN2_OK) return fault(Errc::url_host, quoted(name) + ": " + escaped(idn2_strerror(status)));
    name = converted;
    idn2_free(converted);
    return {};
}

/// Letters, digits, hyphens and, because names in private networks have them, underscores. Where a hyphen may stand is
/// the registry's business. RFC 3986 would allow more, but no resolver takes it.
bool is_name_character(char c) { return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_'; }

std::optional<std::string> label_fault(std::string_view label) {
    if (label.empty()) return "a label is empty";
    if (label.size() > max_label_size) return "a label is longer than 63 characters";
    const auto bad = std::find_if_not(label.begin(), label.end(), is_name_character);
    if (bad != label.end()) return "a host name cannot contain " + quoted({&*bad, 1});
    return std::nullopt;
}

/// A number at the end makes a name an address for many resolvers, which know curious forms of it ("127.1",
/// "0x7f000001"). Only the usual form is let through.
bool ends_in_number(std::string_view name) {
    if (name.ends_with('.')) name.remove_suffix(1);
    const std::string_view last = name.substr(name.rfind('.') + 1);
    return std::all_of(last.begin(), last.end(), is_digit) ||
           (last.starts_with("0x") &&
            std::all_of(last.begin() + 2, last.end(), [](char c) { return hex_value(c) >= 0; }));
}

Error read_name(std::string_view text, const Parts& parts, Url& url) {
    if (parts.host.empty()) return fault(Errc::url_host, "it is empty");
    if (Error error = percent_decode(text, parts.host, url.host)) return error;
    // Names that are ASCII go to the resolver as they are: some in use would not pass ("r3---sn", A-labels of emoji).
    if (!std::all_of(url.host.begin(), url.host.end(), is_ascii)) {
        if (Error error = to_ascii(url.host)) return error;
    }
    for (char& c : url.host) c = lower(c);
    return {};
}

Error check_name(const Url& url) {
    std::string_view labels = url.host;
    if (labels.ends_with('.')) labels.remove_suffix(1);  // the root
    if (labels.size() > max_name_size) {
        return fault(Errc::url_host, quoted(url.host) + ": it is longer than 253 characters");
    }
    for (std::size_t begin = 0; begin <= labels.size();) {
        const std::size_t end = std::min(labels.find('.', begin), labels.size());
        if (const auto wrong = label_fault(labels.substr(begin, end - begin))) {
            return fault(Errc::url_host, quoted(url.host) + ": " + *wrong);
        }
        begin = end + 1;
    }
    return {};
}

/// RFC 6874: the zone of a link-local address is behind "%25". The address itself is checked by `check_syntax`.
Error read_address_literal(std::string_view text, const Parts& parts, Url& url) {
    const std::string_view inside = parts.host.substr(1, parts.host.size() - 2);
    url.host_is_ipv6 = true;
    const std::size_t percent = std::min(inside.find('%'), inside.size());
    url.host = lower(inside.substr(0, percent));
    if (percent == inside.size()) return {};

    const std::string_view zone = inside.substr(percent);
    if (!zone.starts_with("%25") || zone.size() == 3) {
        return fault(Errc::url_host, quoted(parts.host) + ": a zone is written like this: [fe80::1%25eth0]");
    }
    std::string decoded;
    if (Error error = percent_decode(text, zone.substr(3), decoded)) return error;
    // Decoded it is the name of an interface: anything printable, but nothing that could end the address.
    const bool syntax = std::all_of(zone.begin(), zone.end(), [](char c) { return is_unreserved(c) || c == '%'; });
    const bool printable = std::all_of(decoded.begin(), decoded.end(), [](char c) { return c > ' ' && is_ascii(c); });
    if (!syntax || !printable || decoded.find_first_of("%/[]") != decoded.npos || decoded.size() > max_label_size) {
        return fault(Errc::url_host, quoted(parts.host) + ": its zone cannot be the name of an interface");
    }
    url.host += '%' + decoded;
    return {};
}

// --- the syntax of the rest ----------------------------------------------------------------------------------------

/// Section 2.1 for path and query, whose escapes stay.
Error check_target(std::string_view text, const Parts& parts) {
    for (std::size_t i = 0; i < parts.target.size(); ++i) {
        if (parts.target[i] != '%') continue;
        const std::string_view digits = parts.target.substr(i + 1, 2);
        if (digits.size() < 2 || hex_value(digits[0]) < 0 || hex_value(digits[1]) < 0) {
            return fault(Errc::url_syntax, quoted(parts.target.substr(i, 3)) + at(text, parts.target.data() + i) +
                                               " is no percent escape; for '%' itself write %25");
        }
    }
    return {};
}

/// Owns what uriparser allocated.
class ParsedUri {
public:
    explicit ParsedUri(const std::string& text)
        : status_(uriParseSingleUriExA(&uri_, text.data(), text.data() + text.size(), &error_)) {}
    ParsedUri(const ParsedUri&) = delete;
    ParsedUri& operator=(const ParsedUri&) = delete;
    ~ParsedUri() {
        if (ok()) uriFreeUriMembersA(&uri_);
    }

    [[nodiscard]] bool ok() const { return status_ == URI_SUCCESS; }
    [[nodiscard]] bool out_of_memory() const { return status_ == URI_ERROR_MALLOC; }
    [[nodiscard]] const char* error() const { return error_; }
    [[nodiscard]] bool is_ipv4() const { return uri_.hostData.ip4 != nullptr; }
    [[nodiscard]] bool is_ipv6() const { return uri_.hostData.ip6 != nullptr; }

private:
    UriUriA uri_{};
    const char* error_ = nullptr;
    int status_;
};

/// One character, which is more than one byte beyond ASCII.
Error stray_character(std::string_view text, const char* where) {
    std::string_view character = text.substr(static_cast<std::size_t>(where - text.data()), 4);
    std::size_t size = 1;
    while (size < character.size() && (static_cast<unsigned char>(character[size]) & 0xc0u) == 0x80) ++size;
    character = character.substr(0, size);
    return fault(Errc::url_syntax,
                 quoted(character) + at(text, where) + " must be percent-encoded: " + percent_encoded(character));
}

/// The grammar of RFC 3986 on the URL in plain ASCII: the name as A-labels, the zone left out.
Error check_syntax(std::string_view text, const Parts& parts, const Url& url) {
    const std::string host = url.host_is_ipv6 ? '[' + url.host.substr(0, url.host.find('%')) + ']' : url.host;
    std::string plain = "ws://";
    const std::size_t user_info_begin = plain.size();
    if (!parts.user_info.empty()) plain.append(parts.user_info).append("@");
    const std::size_t host_begin = plain.size();
    plain += host;
    const std::size_t target_begin = plain.size();
    plain += parts.target;

    const ParsedUri uri(plain);
    if (uri.out_of_memory()) return Errc::out_of_memory;
    if (!uri.ok()) {
        const auto position = static_cast<std::size_t>(uri.error() - plain.data());
        if (position >= target_begin && position < plain.size()) {
            return stray_character(text, parts.target.data() + (position - target_begin));
        }
        if (position < host_begin && position - user_info_begin < parts.user_info.size()) {
            return stray_character(text, parts.user_info.data() + (position - user_info_begin));
        }
        return fault(Errc::url_host, quoted(parts.host) + ": it is no IPv6 address");
    }
    if (url.host_is_ipv6 && !uri.is_ipv6()) {
        return fault(Errc::url_host, quoted(parts.host) + ": it is no IPv6 address");
    }
    if (!url.host_is_ipv6 && !uri.is_ipv4() && ends_in_number(url.host)) {
        return fault(Errc::url_host, quoted(parts.host) + ": it ends in a number, but is no address like 192.0.2.1");
    }
    return {};
}

/// All that the parts say, and no more judgement of them than that takes.
Error read(std::string_view text, Parts& parts, Url& url) {
    if (Error error = read_scheme(text, url)) return error;
    if (const std::size_t hash = text.find('#'); hash != text.npos) {
        return fault(Errc::url_fragment, "'#'" + at(text, text.data() + hash) + "; where it is meant itself write %23");
    }
    if (Error error = split(text, parts)) return error;
    if (Error error = read_port(text, parts, url)) return error;
    if (Error error = read_user_info(text, parts, url)) return error;
    url.target = parts.target.starts_with('/') ? "" : "/";
    url.target += parts.target;
    return parts.host.starts_with('[') ? read_address_literal(text, parts, url) : read_name(text, parts, url);
}

}  // namespace

Error parse_url(std::string_view text, Url& url) {
    url = {};
    // Each check relies on those before it.
    if (Error error = check_characters(text)) return error;
    Parts parts;
    if (Error error = read(text, parts, url)) return error;
    if (Error error = url.host_is_ipv6 ? Error() : check_name(url)) return error;
    if (Error error = check_target(text, parts)) return error;
    return check_syntax(text, parts, url);
}

Error parse_accepted_url(std::string_view text, Url& url) {
    Parts parts;
    return read(text, parts, url);
}

std::string Url::host_header() const {
    // The zone has a meaning on this machine only (RFC 6874 section 1).
    std::string header = host_is_ipv6 ? '[' + host.substr(0, host.find('%')) + ']' : host;
    if (port != (secure ? 443 : 80)) header += ':' + std::to_string(port);
    return header;
}

std::string Url::text() const { return (secure ? "wss://" : "ws://") + host_header() + target; }

std::string Url::authority() const {
    std::string text;
    text.reserve(host.size() + 32);  // an address will be added
    if (host_is_ipv6) text += '[';
    text += host;
    if (host_is_ipv6) text += ']';
    return text.append(1, ':').append(std::to_string(port));
}

}  // namespace tern::core
