#include "message_reader.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <malloc.h>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "wire.hpp"
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TERN_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TERN_TEST_SANITIZED 1
#endif
#endif
#if defined(TERN_TEST_SANITIZED)
extern "C" std::size_t __sanitizer_get_current_allocated_bytes();
#endif

namespace tern::core {
namespace {

using wire::fragment;
using wire::frame;

// --- the harness ---------------------------------------------------------------------------------------------------

/// The smallest buffer that every control frame fits into.
constexpr std::size_t smallest_buffer = 2 + max_control_payload;
constexpr std::size_t big_limit = 1u << 20u;

struct Setup {
    Delivery delivery = Delivery::messages;
    std::size_t capacity = 4096;
    std::size_t limit = big_limit;
    std::size_t at_once = 0;  ///< Messages that are asked for in a row; 0: events one by one.
    std::size_t direct = 0;   ///< Payloads of which so much is to come are written to their place; 0: never.
};

/// A reader with its buffer, fed as a connection feeds it. Keeps a record of the events, with chunks put together to
/// messages again, so that the record is the same for both deliveries.
class Feed {
public:
    explicit Feed(const Setup& setup)
        : memory_(new std::byte[setup.capacity]),
          in({memory_.get(), setup.capacity}),
          reader(setup.delivery, setup.limit),
          row_(setup.at_once),
          direct_(setup.direct) {}

    /// Takes the bytes in as large pieces as the buffer has room for.
    void add(std::string_view bytes) {
        while (!bytes.empty()) {
            if (direct_ != 0 && in.empty() && add_to_payload(bytes)) continue;
            if (in.writable().size() < in.capacity() / 2) in.compact();
            const std::size_t size = std::min(bytes.size(), in.writable().size());
            ASSERT_GT(size, 0u) << "the reader makes no progress";
            std::memcpy(in.writable().data(), bytes.data(), size);
            in.commit(size);
            bytes.remove_prefix(size);
            drain();
        }
    }

    /// "open", "closed", or the name of the error.
    [[nodiscard]] std::string end() const {
        if (failed) return std::string(error_row(reader.error())->name);
        return reader.closed() ? "closed" : "open";
    }

    [[nodiscard]] bool refers_into_buffer(Bytes bytes) const {
        return bytes.data() >= memory_.get() && bytes.data() + bytes.size() <= memory_.get() + in.capacity();
    }

private:
    std::unique_ptr<std::byte[]> memory_;

public:
    Buffer in;
    MessageReader reader;
    std::vector<std::string> record;
    std::vector<Event> events;  ///< What they refer to is gone, except for the sizes and `payloads`.
    std::vector<std::string> payloads;
    bool failed = false;

private:
    bool add_to_payload(std::string_view& bytes) {
        const std::span<std::byte> space = reader.payload_space(direct_);
        if (space.empty()) return false;
        EXPECT_FALSE(refers_into_buffer(space));
        EXPECT_TRUE(reader.payload_lent());
        const std::size_t size = std::min(space.size(), bytes.size());
        std::memcpy(space.data(), bytes.data(), size);
        EXPECT_EQ(as_text(reader.commit_payload(size)), bytes.substr(0, size));
        bytes.remove_prefix(size);
        drain();
        return true;
    }

    void drain() {
        for (Event event;;) {
            take_row();
            const MessageReader::Status status = reader.next(in, event);
            if (status == MessageReader::Status::need_input) break;
            ASSERT_TRUE(record.empty() || record.back() != "Close") << "nothing comes after a Close frame";
            ASSERT_FALSE(failed) << "nothing comes after a failure";
            if (status == MessageReader::Status::failed) {
                failed = true;
            } else {
                note(event);
            }
        }
        EXPECT_TRUE(in.empty() || !(failed || reader.closed())) << "what follows is to be discarded";
    }

    /// Messages in a row, of which every other time all but the first are put back.
    void take_row() {
        while (const std::size_t count = reader.next(in, row_)) {
            std::span<const MessageView> messages(row_.data(), count);
            if (std::exchange(puts_back_, !puts_back_)) {
                reader.put_back(in, messages.subspan(1));
                messages = messages.first(1);
            }
            for (const MessageView message : messages) {
                Event event;
                event.opcode = message.opcode;
                event.bytes = message.bytes;
                note(event);
            }
        }
    }

    void note(const Event& event) {
        events.push_back(event);
        payloads.emplace_back(as_text(event.bytes));
        const auto opcode = static_cast<unsigned>(event.opcode);
        switch (event.kind) {
            case Event::Kind::message: return note_message(opcode, payloads.back());
            case Event::Kind::chunk: return note_chunk(event.chunk);
            case Event::Kind::ping:
            case Event::Kind::pong:
                record.push_back(std::string(event_name(event.kind)) + " " + wire::shown(payloads.back()));
                EXPECT_EQ(event.kind == Event::Kind::ping ? wire::ping : wire::pong, opcode);
                return;
            case Event::Kind::closing: record.push_back("Close"); return;
            default: ADD_FAILURE() << "a reader has no event " << event_name(event.kind);
        }
    }

    void note_message(unsigned opcode, std::string_view payload) {
        record.push_back(std::string(wire::opcode_name(opcode)) + " " + wire::shown(payload));
    }

    void note_chunk(const ChunkView& chunk) {
        EXPECT_EQ(chunk.first, !message_) << "the first piece of a message says so, and no other";
        EXPECT_LE(chunk.frame_offset + chunk.bytes.size(), chunk.frame_length);
        if (chunk.first) message_ = {static_cast<unsigned>(chunk.opcode), ""};
        ASSERT_TRUE(message_);
        EXPECT_EQ(static_cast<unsigned>(chunk.opcode), message_->first);
        message_->second += as_text(chunk.bytes);
        if (!chunk.last) return;
        EXPECT_TRUE(chunk.frame_fin);
        EXPECT_EQ(chunk.frame_offset + chunk.bytes.size(), chunk.frame_length);
        note_message(message_->first, message_->second);
        message_.reset();
    }

    std::vector<MessageView> row_;
    bool puts_back_ = false;
    std::size_t direct_;
    std::optional<std::pair<unsigned, std::string>> message_;  ///< Of which chunks have come.
};

/// Where a script is worth being split: everywhere, or for a long one near its ends and near full buffers.
std::vector<std::size_t> split_positions(std::size_t size) {
    std::vector<std::size_t> all;
    for (std::size_t at = 0; at <= size; ++at) {
        if (size < 700 || at < 20 || size - at < 20 || (at + 8) % 4096 < 16) all.push_back(at);
    }
    return all;
}

/// What came of a script, with the way that it was fed.
struct Outcome {
    std::vector<std::string> record;
    std::string end;
    std::uint64_t messages;
};

Outcome outcome_of(const Setup& setup, std::initializer_list<std::string_view> pieces) {
    Feed feed(setup);
    for (const std::string_view piece : pieces) feed.add(piece);
    return {feed.record, feed.end(), feed.reader.messages()};
}

Outcome outcome_bytewise(const Setup& setup, std::string_view script) {
    Feed feed(setup);
    for (std::size_t at = 0; at < script.size(); ++at) feed.add(script.substr(at, 1));
    return {feed.record, feed.end(), feed.reader.messages()};
}

/// Runs the script in every way in which it can arrive, and expects the same record each time. `torn`: it ends inside a
/// frame or a message, so that nothing can be sent after it.
void expect_record(const std::string& script, const std::vector<std::string>& record, const std::string& end = "open",
                   std::size_t limit = big_limit, bool torn = false) {
    const auto messages = static_cast<std::uint64_t>(std::count_if(record.begin(), record.end(), [](const auto& line) {
        return line.starts_with("text") || line.starts_with("binary");
    }));
    const auto expect = [&](const Outcome& outcome, const std::string& how) {
        EXPECT_EQ(outcome.record, record) << how;
        EXPECT_EQ(outcome.end, end) << how;
        EXPECT_EQ(outcome.messages, messages) << how;
    };
    for (const Delivery delivery : {Delivery::messages, Delivery::chunks}) {
        for (const std::size_t capacity : {std::size_t{64}, smallest_buffer, std::size_t{4096}}) {
            // A buffer that is too small for a control frame is against the contract.
            const auto is_long = [](const auto& line) { return line.find("bytes") != line.npos; };
            if (capacity == 64 && std::any_of(record.begin(), record.end(), is_long)) continue;
            SCOPED_TRACE((delivery == Delivery::messages ? "messages, buffer " : "chunks, buffer ") +
                         std::to_string(capacity));
            const Setup setup{delivery, capacity, limit};
            Setup in_rows = setup;
            in_rows.at_once = 3;
            expect(outcome_of(setup, {script}), "whole");
            expect(outcome_of(in_rows, {script}), "whole, in rows");
            Setup directly = setup;
            directly.direct = 1;
            expect(outcome_of(directly, {script}), "whole, payloads to their place");
            expect(outcome_bytewise(directly, script), "byte by byte, payloads to their place");
            expect(outcome_bytewise(setup, script), "byte by byte");
            for (const std::size_t at : split_positions(script.size())) {
                const std::string_view all = script;
                expect(outcome_of(setup, {all.substr(0, at), all.substr(at)}), "split at " + std::to_string(at));
                expect(outcome_of(in_rows, {all.substr(0, at), all.substr(at)}),
                       "in rows, split at " + std::to_string(at));
            }
            if (torn) continue;
            Outcome trailed = outcome_of(setup, {script + frame(wire::binary, "trailing")});
            if (end == "open") {
                ASSERT_FALSE(trailed.record.empty());
                EXPECT_EQ(trailed.record.back(), "binary \"trailing\"");
                trailed.record.pop_back();
                --trailed.messages;
            }
            expect(trailed, "with trailing bytes");
            if (testing::Test::HasFailure()) return;  // one failure is enough to read
        }
    }
}

void expect_failure(const std::string& script, Errc error, const std::vector<std::string>& record = {},
                    std::size_t limit = big_limit) {
    expect_record(script, record, std::string(error_row(error)->name), limit);
}

std::string text_of(std::size_t size) {
    std::string text;
    for (std::size_t i = 0; i < size; ++i) text += static_cast<char>('a' + i * 7 % 26 + i / 4096 % 2);
    return text;
}

// --- messages ------------------------------------------------------------------------------------------------------

TEST(MessageReaderTest, WholeMessages) {
    expect_record("", {});
    expect_record(frame(wire::text, "hello"), {R"(text "hello")"});
    expect_record(frame(wire::binary, std::string("\0\xff\x80", 3)), {std::string("binary \"\0\xff\x80\"", 12)});
    expect_record(frame(wire::text, "one") + frame(wire::binary, "two") + frame(wire::text, "three"),
                  {R"(text "one")", R"(binary "two")", R"(text "three")"});
}

TEST(MessageReaderTest, EmptyMessages) {
    expect_record(frame(wire::text, ""), {R"(text "")"});
    expect_record(frame(wire::binary, "") + frame(wire::text, "") + frame(wire::binary, "x"),
                  {R"(binary "")", R"(text "")", R"(binary "x")"});
    expect_record(fragment(wire::text, "") + frame(wire::continuation, ""), {R"(text "")"});
    expect_record(fragment(wire::binary, "") + fragment(wire::continuation, "") + frame(wire::continuation, ""),
                  {R"(binary "")"});
}

TEST(MessageReaderTest, Fragments) {
    expect_record(fragment(wire::text, "one ") + frame(wire::continuation, "two"), {R"(text "one two")"});
    expect_record(fragment(wire::binary, "1") + fragment(wire::continuation, "2") + fragment(wire::continuation, "3") +
                      frame(wire::continuation, "4"),
                  {R"(binary "1234")"});
    // Frames without payload at the beginning, in the middle and at the end.
    expect_record(fragment(wire::text, "") + fragment(wire::continuation, "one") + fragment(wire::continuation, "") +
                      fragment(wire::continuation, " two") + frame(wire::continuation, ""),
                  {R"(text "one two")"});
    expect_record(fragment(wire::text, "a") + frame(wire::continuation, "b") + frame(wire::text, "c") +
                      fragment(wire::binary, "d") + frame(wire::continuation, "e"),
                  {R"(text "ab")", R"(text "c")", R"(binary "de")"});
}

TEST(MessageReaderTest, ControlFramesBetweenFragments) {
    expect_record(
        frame(wire::ping, "0") + fragment(wire::text, "one") + frame(wire::ping, "1") + frame(wire::pong, "2") +
            fragment(wire::continuation, " two") + frame(wire::ping, "") + frame(wire::continuation, " three") +
            frame(wire::pong, "3"),
        {R"(ping "0")", R"(ping "1")", R"(pong "2")", R"(ping "")", R"(text "one two three")", R"(pong "3")"});
    // A text that is split inside a character does not mind a ping there.
    expect_record(fragment(wire::text, "\xe2\x82") + frame(wire::ping, "\xff") + frame(wire::continuation, "\xac"),
                  {"ping \"\xff\"", "text \"\xe2\x82\xac\""});
    expect_record(fragment(wire::text, "one") + frame(wire::close, "") + frame(wire::continuation, "two"), {"Close"},
                  "closed");
}

TEST(MessageReaderTest, ControlFramesOfEveryAllowedSize) {
    for (const std::size_t size : {0u, 1u, 61u, 124u, 125u}) {
        const std::string payload(size, 'p');
        expect_record(frame(wire::ping, payload) + fragment(wire::binary, "") + frame(wire::pong, payload) +
                          frame(wire::continuation, ""),
                      {"ping " + wire::shown(payload), "pong " + wire::shown(payload), R"(binary "")"});
    }
}

TEST(MessageReaderTest, SizesAroundTheBufferAndTheLengthForms) {
    for (const std::size_t size : {61u,  62u,   63u,   64u,   65u,   120u,  123u,  124u,   125u,   126u,  127u,
                                   128u, 4091u, 4092u, 4093u, 4096u, 4097u, 8200u, 65535u, 65536u, 70000u}) {
        SCOPED_TRACE(size);
        const std::string payload = text_of(size);
        const std::string line = "text " + wire::shown(payload);
        expect_record(frame(wire::text, payload), {line});
        expect_record(
            fragment(wire::text, payload.substr(0, size / 3)) + frame(wire::continuation, payload.substr(size / 3)),
            {line});
    }
}

TEST(MessageReaderTest, LargeMessagesOneAfterTheOther) {
    const std::string one = text_of(9000);
    const std::string two(5000, 'x');
    expect_record(frame(wire::text, one) + frame(wire::text, "small") + frame(wire::binary, two) +
                      fragment(wire::text, two) + frame(wire::continuation, one),
                  {"text " + wire::shown(one), R"(text "small")", "binary " + wire::shown(two),
                   "text " + wire::shown(two + one)});
}

TEST(MessageReaderTest, WhatIsNotCompleteIsNotDelivered) {
    for (const std::string& whole :
         {frame(wire::text, "hello"), frame(wire::ping, "hello"), frame(wire::binary, text_of(200)),
          fragment(wire::text, "one") + frame(wire::continuation, "two"), frame(wire::close, wire::close_body(1000))}) {
        for (std::size_t size = 0; size < whole.size(); ++size) {
            if (size > 12 && size < whole.size() - 2) continue;
            expect_record(whole.substr(0, size), {}, "open", big_limit, true);
        }
    }
}

// --- where messages are put ----------------------------------------------------------------------------------------

TEST(MessageReaderTest, AFrameThatFitsStaysInTheBuffer) {
    for (const std::size_t size : {1u, 125u, 126u, 200u, 250u, 251u, 252u, 253u, 300u, 1000u}) {
        SCOPED_TRACE(size);
        const std::string script = frame(wire::binary, std::string(size, 'x'));
        Feed feed({Delivery::messages, 256});
        for (const char& byte : script) feed.add({&byte, 1});
        ASSERT_EQ(feed.events.size(), 1u);
        EXPECT_EQ(feed.refers_into_buffer(feed.events[0].bytes), script.size() <= 256);
    }
}

TEST(MessageReaderTest, FragmentsAreAssembledElsewhere) {
    Feed feed({});
    feed.add(fragment(wire::binary, "one") + frame(wire::continuation, "two"));
    ASSERT_EQ(feed.payloads, std::vector<std::string>{"onetwo"});
    EXPECT_FALSE(feed.refers_into_buffer(feed.events[0].bytes));
}

TEST(MessageReaderTest, ChunksStayInTheBuffer) {
    Feed feed({Delivery::chunks, 256});
    feed.add(frame(wire::binary, text_of(1000)));
    ASSERT_GT(feed.events.size(), 3u);
    for (const Event& event : feed.events) EXPECT_TRUE(feed.refers_into_buffer(event.bytes));
}

TEST(MessageReaderTest, MessagesInARow) {
    std::string script;
    for (std::size_t i = 0; i < 5; ++i) script += frame(i % 2 == 0 ? wire::binary : wire::text, std::string(i, 'x'));
    script += frame(wire::binary, std::string(200, 'y')) + frame(wire::ping, "") + frame(wire::binary, "behind");
    Feed feed({});
    std::memcpy(feed.in.writable().data(), script.data(), script.size());
    feed.in.commit(script.size());
    std::array<MessageView, 8> row;
    ASSERT_EQ(feed.reader.next(feed.in, row), 6u) << "the ping ends it";
    for (std::size_t i = 0; i < 5; ++i) {
        EXPECT_EQ(row[i].text(), std::string(i, 'x')) << "all of them stay";
        EXPECT_EQ(row[i].is_text(), i % 2 != 0);
    }
    EXPECT_EQ(row[5].text(), std::string(200, 'y'));
    EXPECT_EQ(feed.reader.messages(), 6u);

    feed.reader.put_back(feed.in, std::span(row).subspan(5, 1));
    EXPECT_EQ(feed.reader.messages(), 5u);
    Event event;
    ASSERT_EQ(feed.reader.next(feed.in, event), MessageReader::Status::event);
    EXPECT_EQ(as_text(event.bytes), std::string(200, 'y')) << "put back, and taken as an event";
    EXPECT_EQ(feed.reader.next(feed.in, row), 0u) << "not over the head of the ping";
    ASSERT_EQ(feed.reader.next(feed.in, event), MessageReader::Status::event);
    EXPECT_EQ(event.kind, Event::Kind::ping);
    ASSERT_EQ(feed.reader.next(feed.in, std::span(row).first(1)), 1u);
    EXPECT_EQ(row[0].text(), "behind");
    EXPECT_EQ(feed.reader.next(feed.in, row), 0u);
    EXPECT_TRUE(feed.in.empty());
}

TEST(MessageReaderTest, AMessageStaysUntilTheNextIsAskedFor) {
    for (const std::string& script :
         {frame(wire::text, "hello"), fragment(wire::text, "hel") + frame(wire::continuation, "lo")}) {
        Feed feed({});
        const std::string more = frame(wire::text, "world");
        std::memcpy(feed.in.writable().data(), script.data(), script.size());
        feed.in.commit(script.size());
        std::memcpy(feed.in.writable().data(), more.data(), more.size());
        feed.in.commit(more.size());
        Event event;
        ASSERT_EQ(feed.reader.next(feed.in, event), MessageReader::Status::event);
        EXPECT_EQ(as_text(event.bytes), "hello");
        feed.reader.trim();
        feed.reader.trim();
        EXPECT_EQ(as_text(event.bytes), "hello");
        ASSERT_EQ(feed.reader.next(feed.in, event), MessageReader::Status::event);
        EXPECT_EQ(as_text(event.bytes), "world");
        ASSERT_EQ(feed.reader.next(feed.in, event), MessageReader::Status::need_input);
    }
}

// --- order of frames -----------------------------------------------------------------------------------------------

TEST(MessageReaderTest, ContinuationOfNothing) {
    for (const bool fin : {false, true}) {
        for (const std::string_view payload : {"", "x"}) {
            const std::string offending = frame(wire::continuation, payload, fin);
            expect_failure(offending, Errc::unexpected_continuation);
            expect_failure(frame(wire::text, "a") + offending, Errc::unexpected_continuation, {R"(text "a")"});
            expect_failure(fragment(wire::text, "a") + frame(wire::continuation, "b") + offending,
                           Errc::unexpected_continuation, {R"(text "ab")"});
        }
    }
}

TEST(MessageReaderTest, NewMessageInsideAFragmentedOne) {
    for (const unsigned opcode : {wire::text, wire::binary}) {
        for (const bool fin : {false, true}) {
            for (const std::string_view payload : {"", "x"}) {
                expect_failure(fragment(wire::text, payload) + frame(opcode, "b", fin), Errc::unfinished_message);
                expect_failure(fragment(wire::binary, "a") + fragment(wire::continuation, "") + frame(wire::ping, "p") +
                                   frame(opcode, payload, fin),
                               Errc::unfinished_message, {R"(ping "p")"});
            }
        }
    }
}

TEST(MessageReaderTest, FailsWithTheHeaderBeforeThePayload) {
    expect_record(wire::header(wire::continuation, 100), {}, "unexpected_continuation", big_limit, true);
    expect_record(fragment(wire::text, "a") + wire::header(wire::text, 100), {}, "unfinished_message", big_limit, true);
}

TEST(MessageReaderTest, HeaderErrorsEndEverything) {
    const std::string before = frame(wire::text, "a") + frame(wire::ping, "p");
    const auto expect = [&](std::initializer_list<unsigned> header, Errc error) {
        std::string bytes;
        for (const unsigned byte : header) bytes += static_cast<char>(byte);
        expect_failure(bytes, error);
        expect_failure(before + bytes, error, {R"(text "a")", R"(ping "p")"});
        expect_failure(fragment(wire::binary, "begun") + bytes, error);
    };
    expect({0xc1}, Errc::reserved_bits);
    expect({0x83}, Errc::reserved_opcode);
    expect({0x8b}, Errc::reserved_opcode);
    expect({0x09}, Errc::control_fragmented);
    expect({0x88, 126}, Errc::control_too_long);
    expect({0x82, 126, 0, 125}, Errc::length_not_minimal);
    expect({0x82, 127, 0x80}, Errc::length_overflow);
    expect({0x81, 0x85}, Errc::masked_frame);
}

TEST(MessageReaderTest, DetailOfAReservedOpcode) {
    Feed feed({});
    feed.add("\x8b");
    EXPECT_TRUE(feed.failed);
    EXPECT_NE(feed.reader.error_detail().find("11"), std::string::npos) << feed.reader.error_detail();
}

// --- text ----------------------------------------------------------------------------------------------------------

/// A text whose last byte is the first that no continuation can make valid.
const std::vector<std::string>& impossible_texts() {
    static const std::vector<std::string> all = [] {
        std::vector<std::string> texts;
        for (const std::string_view before : {"", "a", "abc\xce\xba", "\xf0\x9f\x92\xa9"}) {
            for (const std::string_view bad : {"\x80",         "\xbf",
                                               "\xc0",         "\xc1",
                                               "\xf5",         "\xfe",
                                               "\xff",         "\xc3(",
                                               "\xc3\xc3",     "\xe0\x80",
                                               "\xe0\x9f",     "\xe2\x82(",
                                               "\xe2\xe2",     "\xed\xa0",
                                               "\xed\xbf",     "\xf0\x80",
                                               "\xf0\x8f",     "\xf0\x9f\x92(",
                                               "\xf1\x80\xc0", "\xf4\x90",
                                               "\xf4\xbf",     "\xf4\x8f\xbf\x7f"}) {
                texts.push_back(std::string(before).append(bad));
            }
        }
        // Behind so much ASCII that it is checked many bytes at once.
        texts.push_back(std::string(45, 'a') + "\xed\xa0");
        return texts;
    }();
    return all;
}

/// However the script is split, it fails with its last byte and not before.
void expect_failure_with_last_byte(const std::string& script, Errc error) {
    const std::string later = frame(wire::text, "later");
    for (const Delivery delivery : {Delivery::messages, Delivery::chunks}) {
        for (const std::size_t capacity : {std::size_t{64}, std::size_t{4096}}) {
            const Setup setup{delivery, capacity};
            for (std::size_t at = 0; at < script.size(); ++at) {
                Feed feed(setup);
                feed.add(std::string_view(script).substr(0, at));
                ASSERT_EQ(feed.end(), "open") << wire::hex(script) << "failed with " << at << " bytes";
                feed.add(script.substr(at) + later);
                ASSERT_EQ(feed.end(), error_row(error)->name) << wire::hex(script) << "split at " << at;
            }
            Feed bytewise(setup);
            for (const char& byte : script) {
                ASSERT_EQ(bytewise.end(), "open") << wire::hex(script);
                bytewise.add({&byte, 1});
            }
            ASSERT_EQ(bytewise.end(), error_row(error)->name) << wire::hex(script);
        }
    }
}

TEST(MessageReaderTest, TextFailsAtItsFirstImpossibleByte) {
    // In a frame that would fit into the smaller buffer, in one that would not, and in one that no buffer holds. None
    // of them is ever completed.
    for (const std::string& text : impossible_texts()) {
        for (const std::size_t claimed : {text.size() + 5, std::size_t{300}, std::size_t{70000}}) {
            expect_failure_with_last_byte(wire::header(wire::text, claimed) + text, Errc::text_not_utf8);
        }
        expect_failure_with_last_byte(frame(wire::text, text), Errc::text_not_utf8);
    }
}

TEST(MessageReaderTest, TextFailsAtItsFirstImpossibleByteAcrossFragments) {
    for (const std::string& text : impossible_texts()) {
        if (text.size() > 10) continue;
        for (std::size_t cut = 0; cut < text.size(); ++cut) {
            const std::string end = text.substr(cut);
            const std::string begin = fragment(wire::text, text.substr(0, cut));
            expect_failure_with_last_byte(begin + wire::header(wire::continuation, end.size() + 1) + end,
                                          Errc::text_not_utf8);
            expect_failure_with_last_byte(begin + fragment(wire::continuation, "") + frame(wire::ping, "\x80") +
                                              fragment(wire::continuation, end),
                                          Errc::text_not_utf8);
        }
    }
}

TEST(MessageReaderTest, TextThatIsWrittenToItsPlaceIsCheckedToo) {
    const std::string good = text_of(1000);
    for (const std::size_t at : {std::size_t{0}, std::size_t{500}, std::size_t{999}}) {
        std::string bad = good;
        bad[at] = '\xff';
        Feed feed({.capacity = smallest_buffer, .direct = 1});
        feed.add(frame(wire::text, good) + frame(wire::text, bad));
        EXPECT_EQ(feed.record.size(), 1u);
        EXPECT_EQ(feed.end(), "text_not_utf8");
    }
}

TEST(MessageReaderTest, TextThatEndsInsideACharacter) {
    for (const std::string_view part : {"\xc3", "\xe2", "\xe2\x82", "\xf0", "\xf0\x9f", "\xf0\x9f\x92"}) {
        for (const std::string_view before : {"", "abc", "\xc3\xb6"}) {
            const std::string text = std::string(before).append(part);
            expect_failure_with_last_byte(frame(wire::text, text), Errc::text_not_utf8);
            for (std::size_t cut = 1; cut < text.size(); ++cut) {
                expect_failure_with_last_byte(
                    fragment(wire::text, text.substr(0, cut)) + frame(wire::continuation, text.substr(cut)),
                    Errc::text_not_utf8);
            }
            // The last frame has no payload, so its header is the end.
            expect_failure_with_last_byte(fragment(wire::text, text) + frame(wire::continuation, ""),
                                          Errc::text_not_utf8);
            // What begins anew does not complete it.
            expect_failure(fragment(wire::binary, text) + frame(wire::continuation, "") + frame(wire::text, "\x82\xac"),
                           Errc::text_not_utf8, {"binary " + wire::shown(text)});
        }
    }
}

TEST(MessageReaderTest, TextOfEveryLengthOfCharacters) {
    const std::string text =
        "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5 \xf0\x9f\x92\xa9 \xf4\x8f\xbf\xbf \xee\x80\x80 z";
    expect_record(frame(wire::text, text), {"text " + wire::shown(text)});
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        expect_record(fragment(wire::text, text.substr(0, cut)) + frame(wire::continuation, text.substr(cut)),
                      {"text " + wire::shown(text)});
    }
    std::string bytewise = fragment(wire::text, "");
    for (const char byte : text) bytewise += fragment(wire::continuation, {&byte, 1});
    expect_record(bytewise + frame(wire::continuation, ""), {"text " + wire::shown(text)});
    // In place, assembled, in place again: the state of one is not that of the other.
    const std::string large = text + text_of(5000) + text;
    expect_record(frame(wire::text, text) + frame(wire::text, large) + frame(wire::text, text),
                  {"text " + wire::shown(text), "text " + wire::shown(large), "text " + wire::shown(text)});
}

TEST(MessageReaderTest, BinaryAndPingsNeedNotBeText) {
    expect_record(frame(wire::binary, "\xff\xfe") + frame(wire::ping, "\xc0") + fragment(wire::binary, "\x80") +
                      frame(wire::continuation, "\xed\xa0"),
                  {"binary \"\xff\xfe\"", "ping \"\xc0\"", "binary \"\x80\xed\xa0\""});
}

// --- limits --------------------------------------------------------------------------------------------------------

TEST(MessageReaderTest, AMessageOfExactlyTheLimit) {
    for (const std::size_t limit : {1u, 10u, 100u, 5000u}) {
        SCOPED_TRACE(limit);
        const std::string payload = text_of(limit);
        const std::string line = "text " + wire::shown(payload);
        expect_record(frame(wire::text, payload), {line}, "open", std::max<std::size_t>(limit, 8));
        const std::string cut = fragment(wire::text, payload.substr(0, limit / 2)) + fragment(wire::continuation, "") +
                                fragment(wire::continuation, payload.substr(limit / 2)) + frame(wire::continuation, "");
        // `trailing` has eight bytes.
        if (limit >= 8) expect_record(cut + cut, {line, line}, "open", limit);
    }
}

TEST(MessageReaderTest, AHeaderThatClaimsMoreThanTheLimit) {
    for (const std::size_t limit : {8u, 100u, 5000u, 70000u}) {
        for (const std::uint64_t claimed :
             {std::uint64_t{limit} + 1, std::uint64_t{1} << 40u, ~std::uint64_t{0} >> 1u}) {
            // Nothing of the payload has to arrive.
            const std::string header = wire::header(wire::binary, claimed);
            expect_record(header, {}, "message_too_big", limit, true);
            expect_failure(frame(wire::ping, "p") + header, Errc::message_too_big, {R"(ping "p")"}, limit);
            expect_failure(fragment(wire::binary, "") + wire::header(wire::continuation, claimed),
                           Errc::message_too_big, {}, limit);
        }
    }
}

TEST(MessageReaderTest, FragmentsThatAreTogetherMoreThanTheLimit) {
    const std::string four = fragment(wire::text, "four");
    expect_failure(four + frame(wire::continuation, "fiver"), Errc::message_too_big, {}, 8);
    expect_failure(
        four + fragment(wire::continuation, "more") + frame(wire::ping, "p") + frame(wire::continuation, "x"),
        Errc::message_too_big, {R"(ping "p")"}, 8);
    expect_failure(four + wire::header(wire::continuation, 5), Errc::message_too_big, {}, 8);
    // So large a length that a sum would overflow.
    expect_failure(four + wire::header(wire::continuation, ~std::uint64_t{0} >> 1u), Errc::message_too_big, {}, 8);
    // Each message is counted for itself, and control frames are not counted.
    const std::string whole = four + frame(wire::ping, "0123456789") + frame(wire::continuation, "more");
    expect_record(whole + whole + frame(wire::text, "eight by"),
                  {R"(ping "0123456789")", R"(text "fourmore")", R"(ping "0123456789")", R"(text "fourmore")",
                   R"(text "eight by")"},
                  "open", 8);
}

TEST(MessageReaderTest, DetailOfTheLimit) {
    Feed feed({.limit = 1000});
    feed.add(fragment(wire::text, text_of(600)) + wire::header(wire::continuation, 401));
    EXPECT_EQ(feed.end(), "message_too_big");
    for (const std::string_view number : {"600", "401", "1000"}) {
        EXPECT_NE(feed.reader.error_detail().find(number), std::string::npos) << feed.reader.error_detail();
    }
}

// --- Close frames --------------------------------------------------------------------------------------------------

/// What the reader keeps of a Close frame, read byte by byte.
CloseFrame close_frame_of(const std::string& body) {
    Feed feed({.capacity = smallest_buffer});
    for (const char& byte : frame(wire::close, body)) feed.add({&byte, 1});
    EXPECT_EQ(feed.end(), "closed");
    EXPECT_EQ(feed.payloads, std::vector<std::string>{body});
    return feed.reader.close_frame();
}

TEST(MessageReaderTest, CloseFrames) {
    const std::string longest = text_of(123);
    for (const std::string& body : {std::string(), wire::close_body(1000), wire::close_body(1001, "bye"),
                                    wire::close_body(4999, "\xf0\x9f\x92\xa9"), wire::close_body(3000, longest)}) {
        if (body.size() < 60) {
            expect_record(frame(wire::close, body), {"Close"}, "closed");
            expect_record(frame(wire::text, "a") + frame(wire::close, body), {R"(text "a")", "Close"}, "closed");
        }
    }
    EXPECT_EQ(close_frame_of("").code, CloseCode::no_status);
    EXPECT_EQ(close_frame_of("").reason, "");
    EXPECT_EQ(close_frame_of(wire::close_body(1001, "bye")).code, CloseCode::going_away);
    EXPECT_EQ(close_frame_of(wire::close_body(1001, "bye")).reason, "bye");
    EXPECT_EQ(close_frame_of(wire::close_body(4321, longest)).code, CloseCode{4321});
    EXPECT_EQ(close_frame_of(wire::close_body(4321, longest)).reason, longest);
}

TEST(MessageReaderTest, CloseFrameOfOneByte) {
    for (const char byte : {'\x03', '\0', '\xff'}) {
        expect_failure(frame(wire::close, {&byte, 1}), Errc::close_body_length);
    }
    expect_failure(fragment(wire::text, "a") + frame(wire::close, "x"), Errc::close_body_length);
}

TEST(MessageReaderTest, EveryCloseCode) {
    // RFC 6455 section 7.4.1 and the registry: 1004 is reserved, 1005, 1006 and 1015 are never sent.
    const auto allowed = [](unsigned code) {
        return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
    };
    for (unsigned code = 0; code <= 0xffff; ++code) {
        Feed feed({});
        feed.add(frame(wire::close, wire::close_body(code, "reason")));
        ASSERT_EQ(feed.end(), allowed(code) ? "closed" : "close_code_invalid") << code;
        ASSERT_EQ(feed.reader.error_detail(), allowed(code) ? "" : std::to_string(code));
    }
    expect_failure(frame(wire::text, "a") + frame(wire::close, wire::close_body(1005)), Errc::close_code_invalid,
                   {R"(text "a")"});
}

TEST(MessageReaderTest, CloseReasonThatIsNotText) {
    for (const std::string_view reason : {"\xff", "abc\x80", "\xc3", "\xed\xa0\x80", "\xf0\x9f\x92"}) {
        expect_failure(frame(wire::close, wire::close_body(1000, reason)), Errc::close_reason_not_utf8);
    }
    // A character that the limit of 125 bytes cuts.
    Feed feed({});
    feed.add(frame(wire::close, wire::close_body(1000, std::string(122, 'r') + "\xc3")));
    EXPECT_EQ(feed.end(), "close_reason_not_utf8");
}

TEST(MessageReaderTest, NothingIsReadBehindAClose) {
    const std::string close = frame(wire::close, wire::close_body(1000));
    for (const std::string& behind : {frame(wire::text, "late"), frame(wire::ping, "late"), close,
                                      std::string("\xff\xff"), fragment(wire::text, "\xff"), text_of(9000)}) {
        expect_record(frame(wire::text, "a") + close + behind, {R"(text "a")", "Close"}, "closed");
    }
}

TEST(MessageReaderTest, DiscardEndsTheReading) {
    Feed feed({});
    feed.add(frame(wire::text, "one") + fragment(wire::text, "two"));
    feed.reader.discard();
    feed.add(frame(wire::continuation, "two") + frame(wire::ping, "p") + text_of(10000));
    EXPECT_EQ(feed.record, std::vector<std::string>{R"(text "one")"});
    EXPECT_EQ(feed.end(), "open");
    EXPECT_TRUE(feed.in.empty());
}

// --- chunks --------------------------------------------------------------------------------------------------------

std::string shown_chunk(const Event& event, const std::string& payload) {
    const ChunkView& chunk = event.chunk;
    EXPECT_EQ(event.opcode, chunk.opcode);
    EXPECT_EQ(event.bytes.data(), chunk.bytes.data());
    EXPECT_EQ(event.bytes.size(), chunk.bytes.size());
    std::string line(wire::opcode_name(static_cast<unsigned>(chunk.opcode)));
    if (chunk.first) line += " first";
    if (chunk.last) line += " last";
    line += " of " + std::string(wire::opcode_name(static_cast<unsigned>(chunk.frame_opcode)));
    if (chunk.frame_fin) line += " fin";
    return line + " " + std::to_string(chunk.frame_offset) + "/" + std::to_string(chunk.frame_length) + " \"" +
           payload + '"';
}

std::vector<std::string> chunks_of(std::initializer_list<std::string> pieces) {
    Feed feed({Delivery::chunks});
    for (const std::string& piece : pieces) feed.add(piece);
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < feed.events.size(); ++i) {
        lines.push_back(feed.events[i].kind == Event::Kind::chunk ? shown_chunk(feed.events[i], feed.payloads[i])
                                                                  : feed.record.front());
    }
    return lines;
}

TEST(MessageReaderTest, ChunkOfAWholeMessage) {
    EXPECT_EQ(chunks_of({frame(wire::text, "hello")}),
              std::vector<std::string>{R"(text first last of text fin 0/5 "hello")"});
    EXPECT_EQ(chunks_of({frame(wire::binary, "")}),
              std::vector<std::string>{R"(binary first last of binary fin 0/0 "")"});
}

TEST(MessageReaderTest, ChunksOfAFrameInPieces) {
    EXPECT_EQ(
        chunks_of({"\x82\x06", "ab", "c", "def" + frame(wire::text, "x")}),
        (std::vector<std::string>{R"(binary first of binary fin 0/6 "ab")", R"(binary of binary fin 2/6 "c")",
                                  R"(binary last of binary fin 3/6 "def")", R"(text first last of text fin 0/1 "x")"}));
}

TEST(MessageReaderTest, ChunksOfFragments) {
    EXPECT_EQ(
        chunks_of({fragment(wire::text, "ab") + fragment(wire::continuation, "") + "\x80",
                   "\x03"
                   "c",
                   "de"}),
        (std::vector<std::string>{R"(text first of text 0/2 "ab")", R"(text of continuation 0/0 "")",
                                  R"(text of continuation fin 0/3 "c")", R"(text last of continuation fin 1/3 "de")"}));
    EXPECT_EQ(
        chunks_of({fragment(wire::binary, ""), frame(wire::continuation, "")}),
        (std::vector<std::string>{R"(binary first of binary 0/0 "")", R"(binary last of continuation fin 0/0 "")"}));
}

TEST(MessageReaderTest, ChunksOfTextMayEndInsideACharacter) {
    EXPECT_EQ(chunks_of({"\x81\x03\xe2", "\x82", "\xac"}),
              (std::vector<std::string>{"text first of text fin 0/3 \"\xe2\"", "text of text fin 1/3 \"\x82\"",
                                        "text last of text fin 2/3 \"\xac\""}));
}

TEST(MessageReaderTest, ChunksNeedNoMemory) {
    Feed feed({Delivery::chunks, 4096, 1u << 30u});
    feed.add(wire::header(wire::binary, 100u << 20u));
    EXPECT_EQ(feed.events.size(), 0u) << "a chunk without bytes says nothing";
    feed.add(text_of(20'000));
    ASSERT_GE(feed.events.size(), 2u);
    EXPECT_TRUE(feed.events[0].chunk.first);
    EXPECT_FALSE(feed.events[1].chunk.first);
    EXPECT_EQ(feed.events[1].chunk.frame_length, 100u << 20u);
    EXPECT_EQ(feed.events[1].chunk.frame_offset, feed.events[0].bytes.size());
}

// --- between messages ----------------------------------------------------------------------------------------------

TEST(MessageReaderTest, BetweenMessages) {
    for (const Delivery delivery : {Delivery::messages, Delivery::chunks}) {
        Feed feed({delivery});
        const auto expect_after = [&](const std::string& bytes, bool between) {
            feed.add(bytes);
            EXPECT_EQ(feed.reader.between_messages(), between)
                << "after " << wire::hex(bytes) << (delivery == Delivery::messages ? "as messages" : "as chunks");
        };
        expect_after("", true);
        expect_after(frame(wire::text, "whole"), true);
        expect_after(fragment(wire::text, "begun"), false);
        expect_after(frame(wire::ping, "p"), false);
        expect_after(fragment(wire::continuation, ""), false);
        expect_after(frame(wire::continuation, ""), true);
        expect_after(wire::header(wire::binary, 10'000), false);
        expect_after(text_of(9'999), false);
        expect_after("x", true);
        expect_after("\x82", false);
        expect_after("\x0a", false);
        expect_after("012345678", false);
        expect_after("9", true);
    }
}

// --- memory --------------------------------------------------------------------------------------------------------

/// Bytes of the heap that are in use, roughly.
std::size_t heap_in_use() {
#if defined(TERN_TEST_SANITIZED)
    return __sanitizer_get_current_allocated_bytes();
#else
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
#endif
}

std::size_t grown_since(std::size_t before) {
    const std::size_t now = heap_in_use();
    return now > before ? now - before : 0;
}

TEST(MessageReaderTest, AClaimCostsNoMemory) {
    for (const std::string& header :
         {wire::header(wire::binary, 900u << 20u), wire::header(wire::binary, 900u << 20u, false),
          fragment(wire::text, "") + wire::header(wire::continuation, 900u << 20u)}) {
        Feed feed({.limit = 1u << 30u});
        const std::string arrived = text_of(100'000);
        const std::size_t before = heap_in_use();
        feed.add(header);
        EXPECT_LT(grown_since(before), 64u << 10u);
        feed.add(arrived);
        EXPECT_LT(grown_since(before), 400'000u) << "for 100000 bytes that have arrived";
        EXPECT_EQ(feed.end(), "open");
    }
}

TEST(MessageReaderTest, TrimGivesMemoryBackThatIsNotNeeded) {
    Feed feed({.limit = 16u << 20u});
    const std::string large = frame(wire::binary, std::string(8u << 20u, 'x'));
    const std::string small = frame(wire::text, "small");
    feed.payloads.reserve(10);
    const std::size_t before = heap_in_use();
    feed.add(large);
    feed.payloads.clear();
    feed.payloads.shrink_to_fit();
    feed.add(small);
    EXPECT_GE(grown_since(before), 8u << 20u) << "kept for the next message";
    // It was needed since the last call, or rather since the beginning.
    feed.reader.trim();
    EXPECT_GE(grown_since(before), 8u << 20u);
    feed.add(small);
    feed.reader.trim();
    EXPECT_LT(grown_since(before), 1u << 20u);
    feed.add(large);
    EXPECT_EQ(feed.payloads.back().size(), 8u << 20u);
}

TEST(MessageReaderTest, TrimLeavesAMessageThatIsBeingAssembled) {
    Feed feed({});
    feed.add(fragment(wire::text, "begun, "));
    for (int i = 0; i < 3; ++i) feed.reader.trim();
    feed.add(frame(wire::ping, "p"));
    for (int i = 0; i < 3; ++i) feed.reader.trim();
    feed.add(frame(wire::continuation, "ended"));
    EXPECT_EQ(feed.record, (std::vector<std::string>{R"(ping "p")", R"(text "begun, ended")"}));
}

}  // namespace
}  // namespace tern::core
