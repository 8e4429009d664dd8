// The capture format: draft-ietf-opsawg-pcapng. Packets are IPv4 (RFC 791) with TCP (RFC 9293), made up so that a
// dissector finds its way to HTTP and WebSocket.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <mutex>
#include <utility>

#include <tern/trace.hpp>

namespace tern {
namespace {

/// Integers of the file are in this machine's order, which the section header tells; those of packets in network order.
class Bits {
public:
    template <class T>
    void native(T value) {
        text.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    void network16(unsigned value) {
        text += static_cast<char>(value >> 8u & 0xffu);
        text += static_cast<char>(value & 0xffu);
    }
    void network32(std::uint32_t value) {
        network16(value >> 16u);
        network16(value & 0xffffu);
    }
    std::string text;
};

constexpr std::uint32_t section_header = 0x0a0d0d0a;
constexpr std::uint32_t byte_order_magic = 0x1a2b3c4d;
constexpr std::uint32_t interface_description = 1;
constexpr std::uint32_t enhanced_packet = 6;
constexpr std::uint16_t link_type_raw_ip = 101;
constexpr std::size_t max_segment = 32'768;
constexpr unsigned flag_syn = 0x02;
constexpr unsigned flag_push_ack = 0x18;
constexpr unsigned flag_ack = 0x10;

}  // namespace

class PcapngTracer::Impl {
public:
    explicit Impl(std::FILE* file) : file_(file) {
        Bits section;
        section.native(byte_order_magic);
        section.native<std::uint16_t>(1);
        section.native<std::uint16_t>(0);
        section.native<std::int64_t>(-1);
        block(section_header, section.text);
        Bits interface;
        interface.native(link_type_raw_ip);
        interface.native<std::uint16_t>(0);
        interface.native<std::uint32_t>(0);
        block(interface_description, interface.text);
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    ~Impl() { std::fclose(file_); }

    void trace(const TraceRecord& record) {
        using Kind = TraceRecord::Kind;
        const std::lock_guard lock(mutex_);
        switch (record.kind) {
            case Kind::head_sent: open(record.stream); return data(record.stream, true, as_text(record.bytes));
            case Kind::head_received: return data(record.stream, false, as_text(record.bytes));
            case Kind::frame_sent:
            case Kind::frame_received: return data(record.stream, record.kind == Kind::frame_sent, header(record));
            case Kind::payload_sent:
            case Kind::payload_received:
                return data(record.stream, record.kind == Kind::payload_sent, as_text(record.bytes));
            case Kind::state: std::fflush(file_); return;
            default: return;
        }
    }

private:
    struct Stream {
        std::uint32_t next[2] = {1, 1};  ///< Sequence numbers: of the server, of the client.
    };

    static std::string header(const TraceRecord& record) {
        Bits bits;
        bits.text +=
            static_cast<char>((record.fin ? 0x80u : 0u) | record.rsv << 4u | static_cast<unsigned>(record.opcode));
        if (record.size <= 125) {
            bits.text += static_cast<char>(record.size);
        } else if (record.size <= 0xffff) {
            bits.text += '\x7e';
            bits.network16(static_cast<unsigned>(record.size));
        } else {
            bits.text += '\x7f';
            bits.network32(static_cast<std::uint32_t>(record.size >> 32u));
            bits.network32(static_cast<std::uint32_t>(record.size));
        }
        return bits.text;
    }

    void block(std::uint32_t type, std::string body) {
        body.resize((body.size() + 3) / 4 * 4, '\0');
        Bits bits;
        const auto size = static_cast<std::uint32_t>(body.size() + 12);
        bits.native(type);
        bits.native(size);
        bits.text += body;
        bits.native(size);
        std::fwrite(bits.text.data(), 1, bits.text.size(), file_);
    }

    void open(std::uint32_t stream) {
        packet(stream, true, flag_syn, {}, 0, 0);
        packet(stream, false, flag_syn | flag_ack, {}, 0, 1);
        packet(stream, true, flag_ack, {}, 1, 1);
    }

    void data(std::uint32_t stream, bool sent, std::string_view bytes) {
        Stream& state = streams_[stream];
        for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), max_segment))) {
            const std::string_view segment = bytes.substr(0, max_segment);
            packet(stream, sent, flag_push_ack, segment, state.next[sent ? 1 : 0], state.next[sent ? 0 : 1]);
            state.next[sent ? 1 : 0] += static_cast<std::uint32_t>(segment.size());
        }
    }

    void packet(std::uint32_t stream, bool sent, unsigned flags, std::string_view payload, std::uint32_t sequence,
                std::uint32_t acknowledgement) {
        constexpr std::uint32_t client = 0xc0000201;  // 192.0.2.1
        constexpr std::uint32_t server = 0xc0000202;
        const unsigned port = 40'000 + stream % 20'000;
        Bits ip;
        ip.network16(0x4500);
        ip.network16(static_cast<unsigned>(40 + payload.size()));
        ip.network32(0x00004000);  // do not fragment
        ip.network16(0x4006);      // time to live, TCP
        const std::size_t checksum_at = ip.text.size();
        ip.network16(0);
        ip.network32(sent ? client : server);
        ip.network32(sent ? server : client);
        unsigned sum = 0;
        for (std::size_t i = 0; i < ip.text.size(); i += 2) {
            sum += static_cast<unsigned>(static_cast<unsigned char>(ip.text[i])) << 8u |
                   static_cast<unsigned char>(ip.text[i + 1]);
        }
        while (sum > 0xffffu) sum = (sum & 0xffffu) + (sum >> 16u);
        ip.text[checksum_at] = static_cast<char>(~sum >> 8u & 0xffu);
        ip.text[checksum_at + 1] = static_cast<char>(~sum & 0xffu);
        ip.network16(sent ? port : 80);
        ip.network16(sent ? 80 : port);
        ip.network32(sequence);
        ip.network32(acknowledgement);
        ip.network16(0x5000u | flags);
        ip.network16(0xffff);
        ip.network32(0);
        ip.text += payload;

        const auto time =
            std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch());
        const auto micros = static_cast<std::uint64_t>(time.count());
        Bits body;
        body.native<std::uint32_t>(0);
        body.native(static_cast<std::uint32_t>(micros >> 32u));
        body.native(static_cast<std::uint32_t>(micros));
        body.native(static_cast<std::uint32_t>(ip.text.size()));
        body.native(static_cast<std::uint32_t>(ip.text.size()));
        body.text += ip.text;
        block(enhanced_packet, std::move(body.text));
    }

    std::FILE* file_;
    std::mutex mutex_;
    std::map<std::uint32_t, Stream> streams_;
};

PcapngTracer::PcapngTracer(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
PcapngTracer::~PcapngTracer() = default;

std::shared_ptr<PcapngTracer> PcapngTracer::open(const std::string& path, std::error_code& error) {
    std::FILE* file = std::fopen(path.c_str(), "wb");
    if (file == nullptr) {
        error = std::error_code(errno, std::generic_category());
        return nullptr;
    }
    error.clear();
    return std::shared_ptr<PcapngTracer>(new PcapngTracer(std::make_unique<Impl>(file)));
}

void PcapngTracer::trace(const TraceRecord& record) noexcept { impl_->trace(record); }

}  // namespace tern
