// Runs a handshake on the same bytes in every way in which they can arrive: whole, byte by byte, in two pieces at every
// split, in front of bytes of the next stage, through buffers of several sizes. The outcome has to be the same each
// time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <tern/error.hpp>

#include "handshaker.hpp"

namespace tern::core {

struct HandshakeCase {
    enum class Ending { none, eof, deadline };

    /// A fresh handshaker for every run.
    std::function<std::unique_ptr<Handshaker>()> make;
    /// What the peer sends, to the last byte that belongs to the handshake.
    std::string input;
    /// What happens when it has sent that.
    Ending ending = Ending::none;
    /// More to compare, such as what was agreed on.
    std::function<std::string(Handshaker&)> summary = [](Handshaker&) { return std::string(); };
    /// Off for errors that are found before their line is complete and show what has arrived of it.
    bool same_detail = true;
};

struct HandshakeOutcome {
    Handshaker::Status status = Handshaker::Status::need_input;
    std::string out;   ///< What was sent.
    std::string left;  ///< What of the input was not taken.
    std::string summary;
    Error error;
};

inline std::ostream& operator<<(std::ostream& stream, Handshaker::Status status) {
    constexpr const char* names[] = {"need_input", "done", "failed"};
    return stream << names[static_cast<std::size_t>(status)];
}

/// One run; the pieces arrive one after the other, in a buffer of `capacity` bytes.
inline HandshakeOutcome run_handshake(const HandshakeCase& test, const std::vector<std::string_view>& pieces,
                                      std::size_t capacity) {
    std::vector<std::byte> memory(capacity);
    Buffer in{memory};
    const std::unique_ptr<Handshaker> handshaker = test.make();
    HandshakeOutcome outcome;
    outcome.status = handshaker->advance(in, outcome.out);
    std::string rest;
    for (std::string_view piece : pieces) {
        while (!piece.empty() && outcome.status == Handshaker::Status::need_input) {
            in.compact();
            const std::span<std::byte> room = in.writable();
            if (room.empty()) {
                ADD_FAILURE() << "the handshaker waits for more than the buffer holds";
                return outcome;
            }
            const std::size_t n = std::min(room.size(), piece.size());
            std::memcpy(room.data(), piece.data(), n);
            in.commit(n);
            piece.remove_prefix(n);
            outcome.status = handshaker->advance(in, outcome.out);
        }
        rest += piece;
    }
    if (outcome.status == Handshaker::Status::need_input && test.ending != HandshakeCase::Ending::none) {
        outcome.status = test.ending == HandshakeCase::Ending::eof ? handshaker->on_eof() : handshaker->on_deadline();
        EXPECT_NE(outcome.status, Handshaker::Status::need_input) << "nothing more will come";
    }
    outcome.left = std::string(as_text(in.readable())) + rest;
    outcome.summary = test.summary(*handshaker);
    outcome.error = handshaker->error();
    return outcome;
}

inline void expect_same_outcome(const HandshakeCase& test, const HandshakeOutcome& expected,
                                const HandshakeOutcome& actual) {
    EXPECT_EQ(actual.status, expected.status);
    EXPECT_EQ(actual.out, expected.out);
    EXPECT_EQ(actual.summary, expected.summary);
    EXPECT_EQ(actual.error.code, expected.error.code);
    EXPECT_EQ(actual.error.phase, expected.error.phase);
    if (test.same_detail) {
        EXPECT_EQ(actual.error.detail, expected.error.detail);
    }
    const Response& response = actual.error.response;
    EXPECT_EQ(response.status, expected.error.response.status);
    EXPECT_EQ(response.reason, expected.error.response.reason);
    EXPECT_EQ(response.body, expected.error.response.body);
    EXPECT_EQ(response.headers.size(), expected.error.response.headers.size());
}

namespace harness {

constexpr std::size_t small_buffer = 1024;
/// A long input is not split at every position.
constexpr std::size_t max_splits = 1500;

inline std::size_t large_enough(std::string_view text) { return std::max(text.size(), small_buffer); }

inline std::vector<std::string_view> byte_by_byte(std::string_view text) {
    std::vector<std::string_view> pieces;
    for (std::size_t i = 0; i < text.size(); ++i) pieces.push_back(text.substr(i, 1));
    return pieces;
}

/// All ways to cut `test.input + trailing`; `check` judges each outcome.
template <class Check>
void run_every_way(const HandshakeCase& test, std::string_view trailing, const Check& check) {
    const std::string all = test.input + std::string(trailing);
    const std::string_view text = all;
    {
        SCOPED_TRACE("whole, with a small buffer");
        check(run_handshake(test, {text}, small_buffer));
    }
    {
        SCOPED_TRACE("byte by byte");
        check(run_handshake(test, byte_by_byte(text), small_buffer));
    }
    const std::size_t step = text.size() / max_splits + 1;
    for (std::size_t split = 0; split <= text.size(); split += step) {
        SCOPED_TRACE("split at " + std::to_string(split));
        check(run_handshake(test, {text.substr(0, split), text.substr(split)}, large_enough(text)));
        if (::testing::Test::HasFailure()) return;  // the others would say the same
    }
}

}  // namespace harness

/// Runs the case in every way, checks that it ends the same each time, and returns how. A handshake that is done has to
/// leave alone what follows it.
inline HandshakeOutcome run_every_way(const HandshakeCase& test) {
    const HandshakeOutcome whole = run_handshake(test, {test.input}, harness::large_enough(test.input));
    harness::run_every_way(test, "", [&](const HandshakeOutcome& outcome) {
        expect_same_outcome(test, whole, outcome);
        if (whole.status != Handshaker::Status::failed) {
            EXPECT_EQ(outcome.left, whole.left);
        }
    });
    if (whole.status != Handshaker::Status::done) return whole;
    EXPECT_EQ(whole.left, "") << "the handshake was done before the end of the input";
    for (const std::string& trailing :
         {std::string("\x81\x05hello"), std::string("\r\n\r\n"), std::string(3000, '\0')}) {
        SCOPED_TRACE("with " + std::to_string(trailing.size()) + " bytes of the next stage");
        harness::run_every_way(test, trailing, [&](const HandshakeOutcome& outcome) {
            expect_same_outcome(test, whole, outcome);
            EXPECT_EQ(outcome.left, trailing);
        });
    }
    return whole;
}

}  // namespace tern::core
