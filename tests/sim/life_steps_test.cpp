// What a user may do at any moment, done at every moment: after each single call that the driver makes.
#include "life.hpp"

namespace tern::sim {
namespace {

/// Talks for a while. A message that reads "close" ends it.
void talk(Life& life) {
    life.client.on_event = [&life](const Entry& entry) {
        if (entry.kind == Kind::open || entry.kind == Kind::switched) {
            static_cast<void>(life.client.send_text("one"));
            static_cast<void>(life.client.ping("two"));
            static_cast<void>(life.client.send_binary(std::string(300, 'x')));
            static_cast<void>(life.client.send_text("close"));
        }
        if (entry.kind == Kind::message && entry.bytes == "close") static_cast<void>(life.client.close());
    };
}

/// A connection that is opened, used, and closed by this side.
void ordinary(Life& life) { talk(life); }

/// The first address refuses, the first connection is reset, the second closed by the peer, the third breaks the rules.
void troubled(Life& life) {
    life.world.dns("host", {"192.0.2.9", "192.0.2.1"});
    life.server.behaviour.on_message = [](Peer& peer, const Message& message) {
        peer.send_message(message.opcode, message.payload, 100);
        if (message.payload != "one") return;
        if (peer.number == 0) peer.reset();
        if (peer.number == 1) peer.send(close_frame(1001, "going"));
        if (peer.number == 2) peer.send({.opcode = 3});
    };
    talk(life);
}

struct Scenario {
    const char* name;
    std::function<void(Life&)> prepare;
};

class SimSteps : public ::testing::TestWithParam<Scenario> {
protected:
    /// The whole life, with `act` after step number `at`. Returns how many steps there were.
    static std::uint64_t run(std::uint64_t at, const std::function<void(Life&)>& act,
                             const std::function<void(Life&)>& check) {
        Life life(echo(), {.reconnect = {.min_delay = 50ms, .max_delay = 50ms}});
        life.client.faults.max_write = 64;
        life.client.faults.max_read = 200;
        GetParam().prepare(life);
        life.client.after_step = [&](std::uint64_t step) {
            if (step == at) act(life);
        };
        EXPECT_FALSE(life.client.start());
        EXPECT_TRUE(life.until_end()) << "after step " << at << "\n" << life.log();
        check(life);
        return life.client.steps();
    }

    static void expect_one_end(const Life& life, std::uint64_t step) {
        const auto ends =
            std::count_if(life.client.log.begin(), life.client.log.end(), [](const Entry& e) { return e.is_final(); });
        EXPECT_EQ(ends, 1) << "after step " << step << "\n" << life.log();
    }
};

TEST_P(SimSteps, StopAfterEveryStep) {
    const std::uint64_t total = run(0, [](Life&) {}, [](Life& life) { expect_one_end(life, 0); });
    ASSERT_GT(total, 40u);
    for (std::uint64_t step = 1; step <= total; ++step) {
        TimePoint stopped{};
        run(
            step,
            [&](Life& life) {
                stopped = life.world.now();
                life.client.stop();
                EXPECT_EQ(life.client.state(), State::idle);
            },
            [&](Life& life) {
                expect_one_end(life, step);
                EXPECT_EQ(life.client.log.back().at, stopped) << step;
            });
        if (HasFailure()) return;
    }
}

TEST_P(SimSteps, CloseAfterEveryStep) {
    const std::uint64_t total = run(0, [](Life&) {}, [](Life&) {});
    for (std::uint64_t step = 1; step <= total; ++step) {
        std::error_code result;
        std::size_t attempts = 0;
        run(
            step,
            [&](Life& life) {
                result = life.client.close(CloseCode::normal, "enough");
                attempts = life.client.stats().attempts;
            },
            [&](Life& life) {
                expect_one_end(life, step);
                if (result) return;
                EXPECT_EQ(life.client.stats().attempts, attempts) << "another attempt after close, step " << step;
            });
        if (HasFailure()) return;
    }
}

TEST_P(SimSteps, StopAndStartAfterEveryStep) {
    const std::uint64_t total = run(0, [](Life&) {}, [](Life&) {});
    for (std::uint64_t step = 1; step <= total; ++step) {
        run(
            step,
            [](Life& life) {
                life.client.stop();
                EXPECT_FALSE(life.client.start());
            },
            [&](Life& life) {
                const auto ends = std::count_if(life.client.log.begin(), life.client.log.end(),
                                                [](const Entry& e) { return e.is_final(); });
                EXPECT_EQ(ends, 2) << "after step " << step << "\n" << life.log();
            });
        if (HasFailure()) return;
    }
}

TEST_P(SimSteps, SendAfterEveryStep) {
    const std::uint64_t total = run(0, [](Life&) {}, [](Life&) {});
    for (std::uint64_t step = 1; step <= total; ++step) {
        run(
            step,
            [](Life& life) {
                const std::error_code error = life.client.send_part(Opcode::text, "extra", true);
                EXPECT_TRUE(!error || error == Errc::not_connected || error == Errc::already_closing)
                    << error.message();
                static_cast<void>(life.client.ping("extra"));
            },
            [&](Life& life) { expect_one_end(life, step); });
        if (HasFailure()) return;
    }
}

TEST_P(SimSteps, PauseForAWhileAfterEveryStep) {
    std::string usual;
    const std::uint64_t total = run(0, [](Life&) {}, [&](Life& life) { usual = life.log(); });
    for (std::uint64_t step = 1; step <= total; ++step) {
        run(
            step,
            [](Life& life) {
                life.client.pause();
                life.world.after(2s, [&life] { life.client.resume(); });
            },
            [&](Life& life) { expect_one_end(life, step); });
        if (HasFailure()) return;
    }
}

TEST_P(SimSteps, TimeoutsTooEarlyAndAnswersToNothingAfterEveryStep) {
    std::string usual;
    const std::uint64_t total = run(0, [](Life& l) { l.client.faults = {}; }, [&](Life& life) { usual = life.log(); });
    EXPECT_GT(total, 0u);
    Life life(echo(), {.reconnect = {.min_delay = 50ms, .max_delay = 50ms}});
    life.client.faults.max_write = 64;
    life.client.faults.max_read = 200;
    life.client.faults.spurious_timeout = 1;
    life.client.faults.stray_answer = 1;
    GetParam().prepare(life);
    EXPECT_FALSE(life.client.start());
    EXPECT_TRUE(life.until_end());
    EXPECT_EQ(life.log(), usual);
}

INSTANTIATE_TEST_SUITE_P(Lives, SimSteps,
                         ::testing::Values(Scenario{"ordinary", ordinary}, Scenario{"troubled", troubled}),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(SimLoan, WhatTxLendsStaysWhateverIsSentMeanwhile) {
    Behaviour behaviour = echo();
    behaviour.up.capacity = 2048;
    Life life(behaviour, {.fragment_size = 100});
    std::uint64_t calls = 0;
    life.client.while_lent = [&] {
        if (++calls > 200) return;
        static_cast<void>(life.client.send_binary(std::string(calls * 37 % 5000, 's')));
        if (calls % 3 == 0) static_cast<void>(life.client.ping("while lent"));
        if (calls == 200) static_cast<void>(life.client.close());
    };
    ASSERT_TRUE(life.open());
    EXPECT_FALSE(life.client.send_binary(std::string(10'000, 'x')));
    ASSERT_TRUE(life.until_end()) << life.log();
    EXPECT_GT(calls, 200u);
    EXPECT_TRUE(life.client.log.back().close.clean());
}

}  // namespace
}  // namespace tern::sim
