// The requirements of RFC 6455 (sections 4 to 8 and 10) and RFC 7692 (section 7) that bind a client, one row each.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <tern/core.hpp>

namespace tern::conformance {

/// What a program does once the connection is open, before the server says anything.
using Act = std::function<void(ClientCore&)>;

struct Row {
    std::string section;  ///< "6455 5.1"
    std::string level;    ///< MUST, MUST NOT, SHOULD, ...
    std::string text;     ///< The requirement in our own words.
    std::string outcome;  ///< What is expected, for people.

    /// A row that is not played: why.
    std::string argued = {};
    Config config = {};
    /// Header lines of the answer besides the right ones, each with CRLF; `answer` replaces all of it. "\1" stands for
    /// the right value of Sec-WebSocket-Accept.
    std::string headers = {};
    std::string answer = {};
    Act act = {};
    /// What the server sends behind its answer.
    std::string script = {};
    /// The server ends TCP behind that.
    bool ends = true;
    /// What has to happen, in order: events, then the frames that were sent, then how it ended.
    std::vector<std::string> expected = {};
    /// Judges the request; empty: right.
    std::function<std::string(const std::string& request)> request = {};
};

const std::vector<Row>& table();

}  // namespace tern::conformance
