#include "extensions.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tern::core {
namespace {

constexpr const char* name = "Sec-WebSocket-Extensions";

Compression with(std::vector<CompressionOffer> offers) { return {.offers = std::move(offers)}; }

/// What was agreed on in one line, or the name of the error.
std::string judged(const std::string& answer, const Compression& config = {}) {
    CompressionInfo agreed;
    if (const Error error = judge_extensions({{name, answer}}, config, agreed)) {
        EXPECT_EQ(error.phase, Phase::upgrade);
        return std::string(error_row(error.errc())->name);
    }
    if (!agreed.active) return "none";
    return "client " + std::to_string(agreed.client_window_bits) + (agreed.client_context_takeover ? "" : " alone") +
           ", server " + std::to_string(agreed.server_window_bits) + (agreed.server_context_takeover ? "" : " alone");
}

TEST(ExtensionOffers, SayWhatIsConfigured) {
    EXPECT_EQ(extension_offers({}), "permessage-deflate; client_max_window_bits");
    EXPECT_EQ(extension_offers({.enabled = false}), "");
    EXPECT_EQ(extension_offers(with({})), "");
    EXPECT_EQ(extension_offers(with({{.server_context_takeover = false,
                                      .client_context_takeover = false,
                                      .server_window_bits = 8,
                                      .client_window_bits = 9},
                                     {}})),
              "permessage-deflate; client_max_window_bits=9; server_max_window_bits=8; server_no_context_takeover; "
              "client_no_context_takeover, permessage-deflate; client_max_window_bits");
}

TEST(CompressionConfig, ValuesOutOfRange) {
    EXPECT_FALSE(check_compression({}));
    EXPECT_FALSE(check_compression(with({{.server_window_bits = 8, .client_window_bits = 9}})));
    for (const int level : {-1, 0, 10}) {
        EXPECT_EQ(check_compression({.level = level}), Errc::invalid_config) << level;
        EXPECT_EQ(check_compression({.memory_level = level}), Errc::invalid_config) << level;
    }
    for (const int bits : {0, 8, 16}) {
        EXPECT_EQ(check_compression(with({{.client_window_bits = bits}})), Errc::invalid_config) << bits;
    }
    for (const int bits : {0, 7, 16}) {
        EXPECT_EQ(check_compression(with({{}, {.server_window_bits = bits}})), Errc::invalid_config) << bits;
    }
    EXPECT_EQ(check_compression(with(std::vector<CompressionOffer>(9))), Errc::invalid_config);
}

TEST(JudgeExtensions, NothingChosen) {
    EXPECT_EQ(judged(""), "none");
    EXPECT_EQ(judged(" , ,"), "none");
    CompressionInfo agreed;
    EXPECT_FALSE(judge_extensions({{"X", "permessage-deflate"}}, {}, agreed));
    EXPECT_FALSE(agreed.active);
}

TEST(JudgeExtensions, WhatAServerMayAnswer) {
    EXPECT_EQ(judged("permessage-deflate"), "client 15, server 15");
    EXPECT_EQ(judged("Permessage-Deflate;Server_No_Context_Takeover"), "client 15, server 15 alone");
    // RFC 7692 sections 7.1.1 and 7.1.2: a server may promise more than the offer asks for.
    EXPECT_EQ(judged("permessage-deflate; client_no_context_takeover"), "client 15 alone, server 15");
    EXPECT_EQ(judged("permessage-deflate ; server_max_window_bits=8 ;\tclient_max_window_bits = 9"),
              "client 9, server 8");
    EXPECT_EQ(judged(R"(permessage-deflate; server_max_window_bits="1\0"; client_max_window_bits="15")"),
              "client 15, server 10");
}

TEST(JudgeExtensions, SeveralFieldsAreOneList) {
    CompressionInfo agreed;
    EXPECT_FALSE(judge_extensions({{name, ""}, {"sec-websocket-EXTENSIONS", ",permessage-deflate,"}}, {}, agreed));
    EXPECT_TRUE(agreed.active);
    const Error error = judge_extensions({{name, "permessage-deflate"}, {name, "permessage-deflate"}}, {}, agreed);
    EXPECT_EQ(error, Errc::extension_repeated);
}

TEST(JudgeExtensions, WhatWasNotOffered) {
    EXPECT_EQ(judged("permessage-bzip2"), "extension_not_offered");
    EXPECT_EQ(judged("permessage-deflate, x"), "extension_not_offered");
    EXPECT_EQ(judged("permessage-deflate", {.enabled = false}), "extension_not_offered");
    EXPECT_EQ(judged("permessage-deflate", with({})), "extension_not_offered");
    EXPECT_EQ(judged("permessage-deflate; x", {.enabled = false}), "extension_not_offered");
}

TEST(JudgeExtensions, NotWellFormed) {
    for (const char* answer : {";", "permessage-deflate;", "permessage deflate", "permessage-deflate; =1", "a/b",
                               "permessage-deflate; server_max_window_bits=", "permessage-deflate; x=\"",
                               "permessage-deflate; x=\"\"", "permessage-deflate; x=\"a b\"",
                               "permessage-deflate; x=a=b", "permessage-deflate;;server_no_context_takeover",
                               "permessage-deflate; x=\"a\\", "permessage-deflate; x=\"a\"b\""}) {
        EXPECT_EQ(judged(answer), "extension_malformed") << answer;
    }
}

TEST(JudgeExtensions, Repeated) {
    EXPECT_EQ(judged("permessage-deflate, permessage-deflate"), "extension_repeated");
    EXPECT_EQ(judged("permessage-deflate; server_max_window_bits=10, PERMESSAGE-DEFLATE"), "extension_repeated");
}

TEST(JudgeExtensions, ParametersThatCannotBe) {
    for (const char* parameter :
         {"x", "x=1", "server_no_context_takeover=1", "client_no_context_takeover=\"a\"", "server_max_window_bits",
          "client_max_window_bits", "server_max_window_bits=7", "server_max_window_bits=16",
          "server_max_window_bits=08", "server_max_window_bits=010", "server_max_window_bits=1",
          "server_max_window_bits=a", "client_max_window_bits=7", "client_max_window_bits=16",
          "client_max_window_bits=+9", "server_no_context_takeover; server_no_context_takeover",
          "client_no_context_takeover; Client_No_Context_Takeover",
          "server_max_window_bits=10; server_max_window_bits=10",
          "client_max_window_bits=10; client_max_window_bits=11"}) {
        EXPECT_EQ(judged(std::string("permessage-deflate; ") + parameter), "compression_parameter") << parameter;
    }
}

TEST(JudgeExtensions, AnAnswerHasToFitAnOffer) {
    const Compression small_server = with({{.server_window_bits = 10}});
    EXPECT_EQ(judged("permessage-deflate", small_server), "compression_mismatch");
    EXPECT_EQ(judged("permessage-deflate; server_max_window_bits=11", small_server), "compression_mismatch");
    EXPECT_EQ(judged("permessage-deflate; server_max_window_bits=9", small_server), "client 15, server 9");
    const Compression alone = with({{.server_context_takeover = false}});
    EXPECT_EQ(judged("permessage-deflate", alone), "compression_mismatch");
    EXPECT_EQ(judged("permessage-deflate; server_no_context_takeover", alone), "client 15, server 15 alone");
    const Compression small_client = with({{.client_window_bits = 10}});
    EXPECT_EQ(judged("permessage-deflate; client_max_window_bits=11", small_client), "compression_mismatch");
}

TEST(JudgeExtensions, WhatWeAnnounceBindsUs) {
    EXPECT_EQ(judged("permessage-deflate", with({{.client_window_bits = 10}})), "client 10, server 15");
    EXPECT_EQ(judged("permessage-deflate; client_max_window_bits=9", with({{.client_window_bits = 10}})),
              "client 9, server 15");
    EXPECT_EQ(judged("permessage-deflate", with({{.client_context_takeover = false}})), "client 15 alone, server 15");
}

TEST(JudgeExtensions, SeveralOffers) {
    const Compression offers =
        with({{.server_window_bits = 9, .client_window_bits = 9}, {.client_context_takeover = false}});
    EXPECT_EQ(judged("permessage-deflate; server_max_window_bits=9", offers), "client 9, server 9");
    EXPECT_EQ(judged("permessage-deflate", offers), "client 15 alone, server 15");
    EXPECT_EQ(judged("permessage-deflate; server_max_window_bits=9; client_max_window_bits=12", offers),
              "client 12 alone, server 9");
}

TEST(JudgeExtensions, AWindowThatZlibCannotMake) {
    EXPECT_EQ(judged("permessage-deflate; client_max_window_bits=8"), "compression_window");
}

TEST(JudgeExtensions, TheDetailShowsBothSides) {
    CompressionInfo agreed;
    const Error error = judge_extensions({{name, "permessage-deflate"}}, with({{.server_window_bits = 10}}), agreed);
    EXPECT_NE(error.detail.find("server_max_window_bits=10"), std::string::npos) << error.detail;
    EXPECT_NE(error.detail.find("received \"permessage-deflate\""), std::string::npos) << error.detail;
}

}  // namespace
}  // namespace tern::core
