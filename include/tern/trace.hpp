// A view inside: what happens in a client, told while it happens, and two writers for it. Set `Config::tracer`.
//
//     config.tracer = std::make_shared<tern::TextTracer>(stderr);
//     config.tracer = tern::PcapngTracer::open("chat.pcapng", error);  // Wireshark shows the WebSocket inside of TLS
//
// Credentials (the headers Authorization, Proxy-Authorization, Cookie and Set-Cookie) are never told, payloads only to
// those who ask for them. Without a tracer nothing is spent on it but the question whether there is one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include <tern/export.hpp>
#include <tern/message.hpp>

namespace tern {

/// One thing that happened. What it refers to is valid during the call.
struct TraceRecord {
    enum class Kind : std::uint8_t {
        state,             ///< An event of the client's life; `text`.
        command,           ///< What the core asks of its driver: resolve, connect, close, ...; `text`.
        timer,             ///< A deadline has passed.
        received,          ///< `size` bytes came from the network, still encrypted where there is TLS.
        sent,              ///< `size` bytes were taken by the kernel.
        head_sent,         ///< The upgrade request; `bytes`, with the values of credentials left out.
        head_received,     ///< The answer to it; likewise.
        frame_sent,        ///< A frame begins; `opcode`, `fin`, `rsv`, `size` of its payload.
        frame_received,    ///< Likewise.
        payload_sent,      ///< Payload of the frame told last, unmasked; `bytes`. For tracers that want it.
        payload_received,  ///< Likewise.
    };

    Kind kind = Kind::state;
    std::uint32_t stream = 0;  ///< The connection, as in `Command::id`; 0: none in particular.
    std::string_view text;
    Bytes bytes;
    std::uint64_t size = 0;
    Opcode opcode = Opcode::continuation;
    bool fin = false;
    unsigned rsv = 0;  ///< The three reserved bits as a number; RSV1 is 4.
};

/// Whoever wants to know. Called by the thread on which it happens: what is received is told by the loop's thread, what
/// is sent perhaps by another at the same time, and with the client's lock held. So it has to be thread-safe, quick,
/// and must not call the client.
class TERN_API Tracer {
public:
    Tracer() = default;
    Tracer(const Tracer&) = delete;
    Tracer& operator=(const Tracer&) = delete;
    virtual ~Tracer() = default;

    virtual void trace(const TraceRecord& record) noexcept = 0;
    /// Are payloads told? Asked once a connection.
    [[nodiscard]] virtual bool wants_payload() const noexcept { return false; }
};

/// An HTTP head with the size in place of each value that is a credential.
[[nodiscard]] TERN_API std::string without_credentials(std::string_view head);

/// Writes a line a record: what the command shows with `-vv`.
class TERN_API TextTracer final : public Tracer {
public:
    /// The file stays the caller's and must outlive the tracer.
    explicit TextTracer(std::FILE* file) noexcept : file_(file) {}
    void trace(const TraceRecord& record) noexcept override;

private:
    std::FILE* file_;
};

/// Writes a capture that Wireshark opens: the HTTP upgrade and the frames, decrypted and unmasked, in made-up packets.
/// The addresses in it are of TEST-NET-1, the client's port is 40000 plus the number of the connection.
class TERN_API PcapngTracer final : public Tracer {
public:
    /// Null, with errno's code in `error`, if the file cannot be made. An existing file is overwritten.
    [[nodiscard]] static std::shared_ptr<PcapngTracer> open(const std::string& path, std::error_code& error);
    ~PcapngTracer() override;

    void trace(const TraceRecord& record) noexcept override;
    [[nodiscard]] bool wants_payload() const noexcept override { return true; }

private:
    class Impl;
    explicit PcapngTracer(std::unique_ptr<Impl> impl) noexcept;
    std::unique_ptr<Impl> impl_;
};

}  // namespace tern
