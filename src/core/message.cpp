#include <tern/message.hpp>

namespace tern {

bool is_sendable(CloseCode code) noexcept {
    const auto number = static_cast<unsigned>(code);
    // 1004 is reserved; 1005, 1006 and 1015 only ever stand for something that was not on the wire.
    if (number >= 1000 && number <= 1014) return number != 1004 && number != 1005 && number != 1006;
    return number >= 3000 && number <= 4999;
}

std::string_view event_name(Event::Kind kind) noexcept {
    switch (kind) {
        case Event::Kind::connecting: return "connecting";
        case Event::Kind::redirected: return "redirected";
        case Event::Kind::open: return "open";
        case Event::Kind::message: return "message";
        case Event::Kind::chunk: return "chunk";
        case Event::Kind::ping: return "ping";
        case Event::Kind::pong: return "pong";
        case Event::Kind::congested: return "congested";
        case Event::Kind::writable: return "writable";
        case Event::Kind::fate: return "fate";
        case Event::Kind::switched: return "switched";
        case Event::Kind::switch_failed: return "switch_failed";
        case Event::Kind::closing: return "closing";
        case Event::Kind::closed: return "closed";
        case Event::Kind::reconnecting: return "reconnecting";
        case Event::Kind::failed: return "failed";
    }
    return "unknown";
}

std::string_view fate_name(Fate fate) noexcept {
    switch (fate) {
        case Fate::sent: return "sent";
        case Fate::dropped: return "dropped";
        case Fate::expired: return "expired";
        case Fate::replaced: return "replaced";
    }
    return "unknown";
}

std::string_view state_name(State state) noexcept {
    switch (state) {
        case State::idle: return "idle";
        case State::connecting: return "connecting";
        case State::open: return "open";
        case State::closing: return "closing";
        case State::reconnecting: return "reconnecting";
    }
    return "unknown";
}

}  // namespace tern
