#include "exit_code.hpp"

namespace tern::cli {

int exit_code(const Error& error) noexcept {
    if (!error) return exit_ok;
    const ErrorRow* row = error_row(error.errc());
    if (row == nullptr) return exit_failure;
    switch (row->condition) {
        case Condition::url_invalid:
        case Condition::misuse: return exit_usage;
        case Condition::resolve_failed: return 3;
        case Condition::connect_failed: return exit_connect;
        case Condition::proxy_failed: return 5;
        case Condition::tls_failed: return 6;
        case Condition::handshake_failed: return 7;
        case Condition::protocol_violation: return 8;
        case Condition::limit_exceeded: return 9;
        case Condition::timed_out: return 10;
        case Condition::closed: return exit_closed;
        case Condition::cancelled: return exit_ok;
    }
    return exit_failure;
}

}  // namespace tern::cli
