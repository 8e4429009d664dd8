// What every life has to come to, whatever fails in it.
#pragma once

#include <gtest/gtest.h>

#include "full_life.hpp"

namespace tern::failing {

inline void expect_clear(const std::error_code& code) {
    ASSERT_TRUE(code);
    EXPECT_EQ(code.category(), make_error_code(Errc::stopped).category()) << code.message();
    EXPECT_NE(error_row(static_cast<Errc>(code.value())), nullptr) << code.value();
    EXPECT_FALSE(code.message().empty());
}

inline void expect_sound(const Outcome& outcome) {
    EXPECT_TRUE(outcome.ended || outcome.start_error || !outcome.constructed);
    EXPECT_TRUE(outcome.thrown.empty() || !outcome.constructed) << "a call has thrown " << outcome.thrown;
    EXPECT_FALSE(outcome.altered) << "a message came back that was not sent";
    EXPECT_TRUE(outcome.restarted) << "the client does not begin anew";
    if (outcome.start_error) expect_clear(outcome.start_error.code);
    for (const std::error_code& each : outcome.call_errors) expect_clear(each);
    for (const Error& each : outcome.errors) {
        expect_clear(each.code);
        EXPECT_FALSE(each.message().empty());
        EXPECT_FALSE(phase_name(each.phase).empty());
    }
}

}  // namespace tern::failing
