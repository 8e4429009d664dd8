#include <chrono>
#include <ctime>

#include <tern/trace.hpp>

namespace tern {
namespace {

const char* opcode_text(Opcode opcode) noexcept {
    switch (opcode) {
        case Opcode::continuation: return "continuation";
        case Opcode::text: return "text";
        case Opcode::binary: return "binary";
        case Opcode::close: return "close";
        case Opcode::ping: return "ping";
        case Opcode::pong: return "pong";
    }
    return "reserved opcode";
}

/// Printable, whatever a peer may have put in.
std::string shown(std::string_view text) {
    std::string out;
    for (const char c : text) out += (c >= ' ' && c < 0x7f) || c == '\n' ? c : c == '\r' ? '\0' : '?';
    std::erase(out, '\0');
    while (!out.empty() && out.back() == '\n') out.pop_back();
    return out;
}

}  // namespace

void TextTracer::trace(const TraceRecord& record) noexcept {
    const auto now = std::chrono::system_clock::now();
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    const auto micros =
        std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count() % 1'000'000;
    std::tm local{};
    localtime_r(&seconds, &local);
    char time[32];
    std::snprintf(time, sizeof time, "%02d:%02d:%02d.%06d #%u", local.tm_hour, local.tm_min, local.tm_sec,
                  static_cast<int>(micros), record.stream);
    const auto size = static_cast<unsigned long long>(record.size);
    using Kind = TraceRecord::Kind;
    switch (record.kind) {
        case Kind::state: std::fprintf(file_, "%s = %s\n", time, shown(record.text).c_str()); return;
        case Kind::command: std::fprintf(file_, "%s ! %s\n", time, shown(record.text).c_str()); return;
        case Kind::timer: std::fprintf(file_, "%s ! timer\n", time); return;
        case Kind::received: std::fprintf(file_, "%s < %llu bytes\n", time, size); return;
        case Kind::sent: std::fprintf(file_, "%s > %llu bytes\n", time, size); return;
        case Kind::head_sent:
        case Kind::head_received:
            std::fprintf(file_, "%s %c %s\n", time, record.kind == Kind::head_sent ? '>' : '<',
                         shown(as_text(record.bytes)).c_str());
            return;
        case Kind::frame_sent:
        case Kind::frame_received:
            std::fprintf(file_, "%s %c frame %s%s%s, %llu bytes\n", time, record.kind == Kind::frame_sent ? '>' : '<',
                         opcode_text(record.opcode), record.fin ? "" : ", more follows",
                         record.rsv == 0   ? ""
                         : record.rsv == 4 ? ", compressed"
                                           : ", reserved bits",
                         size);
            return;
        case Kind::payload_sent:
        case Kind::payload_received: return;
    }
}

}  // namespace tern
