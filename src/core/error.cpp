#include <tern/error.hpp>

#include <algorithm>
#include <array>

namespace tern {
namespace {

constexpr ErrorRow rows[] = {
#define TERN_ERROR(name, number, condition, close_code, retry, esp_type, text) \
    {Errc::name, #name, Condition::condition, close_code, Retry::retry, #esp_type, text},
#include <tern/error_table.inc>
#undef TERN_ERROR
};

class ErrorCategory final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "tern"; }

    [[nodiscard]] std::string message(int value) const override {
        const ErrorRow* row = value > 0 ? error_row(static_cast<Errc>(value)) : nullptr;
        if (row != nullptr) return std::string(row->text);
        return value == 0 ? "success" : "unknown tern error " + std::to_string(value);
    }

    [[nodiscard]] std::error_condition default_error_condition(int value) const noexcept override {
        const ErrorRow* row = value > 0 ? error_row(static_cast<Errc>(value)) : nullptr;
        return row != nullptr ? make_error_condition(row->condition) : std::error_condition(value, *this);
    }

    /// Two families have a counterpart in the standard, for code that knows only that.
    [[nodiscard]] bool equivalent(int value, const std::error_condition& condition) const noexcept override {
        const std::error_condition own = default_error_condition(value);
        return own == condition || (own == Condition::timed_out && condition == std::errc::timed_out) ||
               (own == Condition::cancelled && condition == std::errc::operation_canceled);
    }
};

class ConditionCategory final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "tern.condition"; }

    [[nodiscard]] std::string message(int value) const override {
        return std::string(condition_name(static_cast<Condition>(value)));
    }
};

}  // namespace

const std::error_category& error_category() noexcept {
    static const ErrorCategory category;
    return category;
}

const std::error_category& condition_category() noexcept {
    static const ConditionCategory category;
    return category;
}

std::error_code make_error_code(Errc code) noexcept { return {static_cast<int>(code), error_category()}; }

std::error_condition make_error_condition(Condition condition) noexcept {
    return {static_cast<int>(condition), condition_category()};
}

const ErrorRow* error_row(Errc code) noexcept {
    const auto* row = std::lower_bound(std::begin(rows), std::end(rows), code,
                                       [](const ErrorRow& left, Errc right) { return left.code < right; });
    return row != std::end(rows) && row->code == code ? row : nullptr;
}

const std::vector<ErrorRow>& error_table() {
    static const std::vector<ErrorRow> table(std::begin(rows), std::end(rows));
    return table;
}

std::string_view condition_name(Condition condition) noexcept {
    switch (condition) {
        case Condition::url_invalid: return "url_invalid";
        case Condition::resolve_failed: return "resolve_failed";
        case Condition::connect_failed: return "connect_failed";
        case Condition::proxy_failed: return "proxy_failed";
        case Condition::tls_failed: return "tls_failed";
        case Condition::handshake_failed: return "handshake_failed";
        case Condition::protocol_violation: return "protocol_violation";
        case Condition::limit_exceeded: return "limit_exceeded";
        case Condition::timed_out: return "timed_out";
        case Condition::closed: return "closed";
        case Condition::cancelled: return "cancelled";
        case Condition::misuse: return "misuse";
    }
    return "unknown";
}

std::string_view retry_name(Retry retry) noexcept {
    switch (retry) {
        case Retry::never: return "never";
        case Retry::backoff: return "backoff";
        case Retry::at_once: return "at once";
        case Retry::later: return "later";
    }
    return "unknown";
}

std::string_view phase_name(Phase phase) noexcept {
    switch (phase) {
        case Phase::none: return "none";
        case Phase::prepare: return "prepare";
        case Phase::resolve: return "resolve";
        case Phase::connect: return "connect";
        case Phase::proxy: return "proxy";
        case Phase::tls: return "tls";
        case Phase::upgrade: return "upgrade";
        case Phase::open: return "open";
        case Phase::closing: return "closing";
    }
    return "unknown";
}

std::string duration_text(std::chrono::microseconds duration) {
    const bool seconds = duration >= std::chrono::seconds(1);
    const auto tenths = duration.count() / (seconds ? 100'000 : 100);
    return std::to_string(tenths / 10) + '.' + std::to_string(tenths % 10) + (seconds ? " s" : " ms");
}

std::string_view Response::header(std::string_view name) const noexcept {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
    for (const Header& field : headers) {
        if (std::equal(field.name.begin(), field.name.end(), name.begin(), name.end(),
                       [&](char left, char right) { return lower(left) == lower(right); })) {
            return field.value;
        }
    }
    return {};
}

std::string Error::message() const {
    if (!code) return "success";
    std::string line;
    if (phase != Phase::none) {
        line += phase_name(phase);
        line += peer.empty() ? ": " : " with ";
    }
    if (!peer.empty()) line += peer + ": ";
    line += code.message();
    if (!detail.empty()) line += ": " + detail;
    if (elapsed >= std::chrono::microseconds(100)) line += " (after " + duration_text(elapsed) + ")";
    return line;
}

}  // namespace tern
