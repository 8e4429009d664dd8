#include "exit_code.hpp"

#include <gtest/gtest.h>

namespace tern::cli {
namespace {

TEST(ExitCode, FollowsTheFamily) {
    EXPECT_EQ(exit_code(Error()), 0);
    EXPECT_EQ(exit_code(Errc::url_scheme), 2);
    EXPECT_EQ(exit_code(Errc::invalid_header), 2);
    EXPECT_EQ(exit_code(Errc::host_not_found), 3);
    EXPECT_EQ(exit_code(Errc::connection_refused), 4);
    EXPECT_EQ(exit_code(Errc::tls_unavailable), 6);
    EXPECT_EQ(exit_code(Errc::upgrade_refused), 7);
    EXPECT_EQ(exit_code(Errc::text_not_utf8), 8);
    EXPECT_EQ(exit_code(Errc::message_too_big), 9);
    EXPECT_EQ(exit_code(Errc::pong_timeout), 10);
    EXPECT_EQ(exit_code(Errc::connection_lost), 11);
    EXPECT_EQ(exit_code(Errc::closed_locally), 0);
}

TEST(ExitCode, HasOneForEveryRow) {
    for (const ErrorRow& row : error_table()) {
        EXPECT_EQ(exit_code(row.code) == 0, row.condition == Condition::cancelled) << row.name;
        EXPECT_NE(exit_code(row.code), exit_failure) << row.name;
    }
}

}  // namespace
}  // namespace tern::cli
