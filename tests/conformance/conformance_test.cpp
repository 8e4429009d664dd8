// Plays the table: each row whole, byte by byte, and at every split (at many of a long script). With --markdown it
// prints docs/conformance.md instead.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <zlib.h>

#include "driven_core.hpp"
#include "table.hpp"
#include "wire.hpp"

namespace tern::conformance {
namespace {

using Lines = std::vector<std::string>;

std::string shown(std::string_view payload) {
    return payload.size() < 200 ? std::string(payload) : std::to_string(payload.size()) + " bytes";
}

/// What a compressed message of the client means, by zlib itself.
class Server {
public:
    explicit Server(bool alone) : alone_(alone) { inflateInit2(&z_, -15); }
    ~Server() { inflateEnd(&z_); }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    std::string inflate(std::string payload) {
        payload.append("\0\0\xff\xff", 4);
        std::string out(1u << 20u, '\0');
        z_.next_in = reinterpret_cast<Bytef*>(payload.data());
        z_.avail_in = static_cast<uInt>(payload.size());
        z_.next_out = reinterpret_cast<Bytef*>(out.data());
        z_.avail_out = static_cast<uInt>(out.size());
        if (::inflate(&z_, Z_SYNC_FLUSH) != Z_OK || z_.avail_in != 0) return "?";
        out.resize(out.size() - z_.avail_out);
        if (alone_) inflateReset(&z_);
        return out;
    }

private:
    bool alone_;
    z_stream z_{};
};

/// The frames that a client has sent, as lines. Compressed messages are put together and inflated.
Lines sent_lines(std::string bytes, bool alone) {
    Lines lines;
    Server server(alone);
    std::string compressed;
    std::string opcode;
    std::size_t frames = 0;
    while (!bytes.empty()) {
        const bool rsv1 = (static_cast<unsigned char>(bytes[0]) & 0x40u) != 0;
        bytes[0] = static_cast<char>(static_cast<unsigned char>(bytes[0]) & 0xbfu);
        std::string offence;
        const auto frame = wire::first_client_frame(bytes, offence);
        if (!frame) return {"offence " + offence};
        bytes.erase(0, frame->size);
        std::string name(wire::opcode_name(frame->opcode));
        if (rsv1) {
            opcode = name;
            compressed.clear();
            frames = 0;
        }
        if (!opcode.empty() && !frame->is_control()) {
            compressed += frame->payload;
            ++frames;
            if (!frame->fin) continue;
            lines.push_back("sent " + std::string(alone ? "alone " : "") + "compressed " + opcode +
                            (frames > 1 ? " in " + std::to_string(frames) + " frames " : " ") +
                            server.inflate(compressed));
            opcode.clear();
        } else if (frame->opcode == wire::close) {
            lines.push_back("sent close");
            if (frame->payload.size() >= 2) {
                lines.back() += " " + std::to_string(static_cast<unsigned char>(frame->payload[0]) * 256u +
                                                     static_cast<unsigned char>(frame->payload[1]));
            }
        } else {
            lines.push_back(std::string("sent ") + (frame->fin ? "" : "unfinished ") + name + " " +
                            shown(frame->payload));
        }
    }
    return lines;
}

/// One life, with what the server says cut into pieces.
class Play {
public:
    explicit Play(const Row& row) : row_(row), core_(config_of(row), default_crypto()) {
        EXPECT_FALSE(core_.start(StartMode::once, now_));
        Command command;
        EXPECT_TRUE(core_.next(command));
        const Address address{.port = 80, .bytes = {192, 0, 2, 1}};
        core_.on_resolved(command.id, {&address, 1}, {}, now_);
        EXPECT_TRUE(core_.next(command));
        stream_ = command.id;
        core_.on_connected(stream_, {}, now_);
        write();
        request = std::exchange(sent_, {});
    }

    /// What the server says: the answer to the upgrade.
    [[nodiscard]] std::string answer() const {
        std::string text = row_.answer;
        if (text.empty()) {
            text = "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \1\r\n" +
                   row_.headers + "\r\n";
        }
        const std::string name = "Sec-WebSocket-Key: ";
        const std::string key = request.substr(request.find(name) + name.size(), 24);
        const auto digest = default_crypto().sha1(as_bytes(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
        if (const std::size_t at = text.find('\1'); at != text.npos)
            text.replace(at, 1, default_crypto().base64(digest));
        return text;
    }
    void receive(std::string_view bytes) {
        while (!bytes.empty()) {
            const std::span<std::byte> space = core_.rx_space(stream_);
            if (space.empty()) return;
            const std::size_t size = std::min(space.size(), bytes.size());
            std::memcpy(space.data(), bytes.data(), size);
            core_.rx_commit(stream_, size, now_);
            bytes.remove_prefix(size);
            take();
        }
    }
    Lines end() {
        take();
        if (row_.ends) core_.on_eof(stream_, now_);
        take();
        Lines all = events_;
        const bool alone = row_.headers.find("client_no_context_takeover") != row_.headers.npos;
        for (const std::string& line : sent_lines(sent_, alone)) all.push_back(line);
        if (abnormal_ && !row_.expected.empty() && row_.expected.front() == "code 1006")
            all.insert(all.begin(), "code 1006");
        all.push_back("end " + (end_.empty() ? "waiting" : end_));
        return all;
    }

    std::string request;

private:
    static Config config_of(const Row& row) {
        Config config = row.config;
        if (config.url.empty()) config.url = "ws://host.example/";
        config.reconnect.enabled = false;
        return config;
    }
    void write() {
        std::array<Bytes, 4> pieces;
        while (const std::size_t count = core_.tx(stream_, pieces)) {
            std::size_t size = 0;
            for (std::size_t i = 0; i < count; ++i) {
                sent_ += as_text(pieces[i]);
                size += pieces[i].size();
            }
            core_.tx_consume(stream_, size);
        }
    }
    void take() {
        for (bool again = true; again;) {
            again = false;
            core_.settle(now_);
            write();
            core_.settle(now_);
            for (Event event; core_.next(event);) {
                again = true;
                note(event);
            }
        }
    }
    void note(const Event& event) {
        switch (event.kind) {
            case Event::Kind::open:
                if (row_.act) row_.act(core_);
                return;
            case Event::Kind::message:
                events_.push_back("message " + std::string(wire::opcode_name(static_cast<unsigned>(event.opcode))) +
                                  " " + shown(as_text(event.bytes)));
                return;
            case Event::Kind::ping: events_.push_back("ping " + std::string(as_text(event.bytes))); return;
            case Event::Kind::pong: events_.push_back("pong " + std::string(as_text(event.bytes))); return;
            case Event::Kind::closing:
                events_.push_back("closing " + std::to_string(static_cast<unsigned>(event.close->code)) + " " +
                                  event.close->reason);
                return;
            case Event::Kind::closed:
                abnormal_ = event.close->code == CloseCode::abnormal;
                end_ = error_row(event.error->errc())->name;
                return;
            case Event::Kind::failed: end_ = error_row(event.error->errc())->name; return;
            default: return;
        }
    }

    const Row& row_;
    TimePoint now_{std::chrono::hours(1)};
    ClientCore core_;
    StreamId stream_ = 0;
    std::string sent_;
    Lines events_;
    std::string end_;
    bool abnormal_ = false;
};

class Conformance : public testing::TestWithParam<std::size_t> {};

TEST_P(Conformance, IsKept) {
    const Row& row = table()[GetParam()];
    SCOPED_TRACE(row.section + ": " + row.text);
    if (!row.argued.empty()) GTEST_SKIP() << row.argued;
    {
        Play whole(row);
        if (row.request) {
            EXPECT_EQ(row.request(whole.request), "") << whole.request;
        }
        whole.receive(whole.answer() + row.script);
        EXPECT_EQ(whole.end(), row.expected);
    }
    {
        Play bytewise(row);
        const std::string all = bytewise.answer() + row.script;
        if (all.size() < 5000) {
            for (const char c : all) bytewise.receive({&c, 1});
            EXPECT_EQ(bytewise.end(), row.expected) << "byte by byte";
        }
    }
    const std::size_t size = Play(row).answer().size() + row.script.size();
    const std::size_t step = size / 600 + 1;
    for (std::size_t at = 0; at <= size && !HasFailure(); at += step) {
        Play split(row);
        const std::string all = split.answer() + row.script;
        split.receive(std::string_view(all).substr(0, at));
        split.receive(std::string_view(all).substr(at));
        EXPECT_EQ(split.end(), row.expected) << "split at " << at;
    }
}

std::vector<std::size_t> numbers() {
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < table().size(); ++i) all.push_back(i);
    return all;
}

INSTANTIATE_TEST_SUITE_P(Rows, Conformance, testing::ValuesIn(numbers()));

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '|') out += '\\';
        out += c;
    }
    return out;
}

/// docs/conformance.md.
std::string markdown() {
    std::string out =
        "# Conformance\n\n"
        "The requirements of RFC 6455 (sections 4 to 8 and 10) and of RFC 7692 that bind a client, one row each. This "
        "page is\n"
        "generated from `tests/conformance/table.cpp` by `./dev docs`. Each row is played through `ClientCore` in "
        "memory, whole,\n"
        "byte by byte and at every split, and is right only if events, frames sent and the end are the same each time. "
        "Rows\n"
        "without an outcome are not played; they say why.\n\n"
        "| section | | requirement | outcome |\n|---|---|---|---|\n";
    for (const Row& row : table()) {
        out += "| " + row.section + " | " + row.level + " | " + escaped(row.text) + " | " +
               escaped(row.argued.empty() ? row.outcome : row.argued) + " |\n";
    }
    return out;
}

TEST(ConformancePage, IsCurrent) {
    std::ifstream file(TERN_CONFORMANCE_PAGE);
    const std::string page{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    EXPECT_TRUE(page == markdown()) << "run ./dev docs";
}

}  // namespace
}  // namespace tern::conformance

int main(int argc, char** argv) {
    if (argc == 2 && std::string_view(argv[1]) == "--markdown") {
        std::fputs(tern::conformance::markdown().c_str(), stdout);
        return 0;
    }
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
