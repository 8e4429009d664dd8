#include "redirect.hpp"

#include <memory>
#include <string>

#include <uriparser/Uri.h>

#include "http_head.hpp"
#include "quote.hpp"

namespace tern::core {
namespace {

constexpr std::size_t max_shown = 200;

/// A parsed URI of uriparser's; it refers to the text that it was parsed from.
class ParsedUri {
public:
    ParsedUri() noexcept = default;
    explicit ParsedUri(const std::string& text) {
        const char* end = nullptr;
        valid_ = uriParseSingleUriExA(&uri_, text.data(), text.data() + text.size(), &end) == URI_SUCCESS;
    }
    ParsedUri(const ParsedUri&) = delete;
    ParsedUri& operator=(const ParsedUri&) = delete;
    ~ParsedUri() { uriFreeUriMembersA(&uri_); }

    [[nodiscard]] bool valid() const noexcept { return valid_; }
    /// Makes this one `reference` seen from `base` (RFC 3986 section 5.2).
    [[nodiscard]] bool resolve(const ParsedUri& reference, const ParsedUri& base) {
        return uriAddBaseUriA(&uri_, &reference.uri_, &base.uri_) == URI_SUCCESS;
    }
    [[nodiscard]] std::string text() const {
        int size = 0;
        if (uriToStringCharsRequiredA(&uri_, &size) != URI_SUCCESS) return {};
        std::string text(static_cast<std::size_t>(size) + 1, '\0');
        if (uriToStringA(text.data(), &uri_, size + 1, nullptr) != URI_SUCCESS) return {};
        text.resize(static_cast<std::size_t>(size));
        return text;
    }

private:
    UriUriA uri_{};
    bool valid_ = false;
};

Error unusable(std::string what) { return {Errc::redirect_location, Phase::upgrade, std::move(what)}; }

/// http and https become ws and wss.
std::string as_websocket(std::string url) {
    if (iequals(std::string_view(url).substr(0, 5), "http:")) return "ws" + url.substr(4);
    if (iequals(std::string_view(url).substr(0, 6), "https:")) return "wss" + url.substr(5);
    return url;
}

}  // namespace

bool is_redirect_status(int status) noexcept {
    switch (status) {
        case 301:
        case 302:
        case 303:
        case 307:
        case 308: return true;
        default: return false;
    }
}

bool is_redirect(const Error& error) noexcept {
    return error == Errc::upgrade_refused && is_redirect_status(error.response.status);
}

Error resolve_redirect(const Url& base, const Error& refusal, Url& target) {
    const std::string status = std::to_string(refusal.response.status);
    if (count_fields(refusal.response.headers, "Location") != 1) {
        return unusable(status + " with " + std::to_string(count_fields(refusal.response.headers, "Location")) +
                        " Location headers");
    }
    std::string location(refusal.response.header("Location"));
    location.resize(std::min(location.size(), location.find('#')));
    const std::string shown = status + " to " + quoted(without_user_info(location), max_shown);
    const std::string from = base.text();
    const ParsedUri parsed_base(from);
    const ParsedUri reference(location);
    ParsedUri resolved;
    if (location.empty() || !reference.valid() || !parsed_base.valid() || !resolved.resolve(reference, parsed_base)) {
        return unusable(shown);
    }
    if (const Error error = parse_url(as_websocket(resolved.text()), target)) {
        return unusable(shown + ": " + error.code.message());
    }
    if (base.secure && !target.secure) return {Errc::redirect_insecure, Phase::upgrade, shown};
    if (!target.has_user_info && same_origin(base, target)) {
        target.has_user_info = base.has_user_info;
        target.user = base.user;
        target.password = base.password;
    }
    return {};
}

bool same_origin(const Url& left, const Url& right) noexcept {
    return left.secure == right.secure && left.host == right.host && left.port == right.port;
}

}  // namespace tern::core
