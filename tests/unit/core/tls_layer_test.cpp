#include "tls_layer.hpp"

#include <cstring>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "counting_pool.hpp"
#include "fake_tls.hpp"

namespace tern::core {
namespace {

using Status = TlsLayer::Status;

/// A layer, and where its plain bytes go.
class Bench {
public:
    explicit Bench(MemoryBudget* budget = nullptr, std::size_t room = 1000)
        : layer(context_->connect("host", 443), Block::borrow(1000, budget)),
          plain_memory_(room),
          plain(plain_memory_) {}

    void arrive(std::string_view bytes) {
        Buffer& in = layer.in();
        in.compact();
        ASSERT_LE(bytes.size(), in.writable().size());
        std::memcpy(in.writable().data(), bytes.data(), bytes.size());
        in.commit(bytes.size());
    }
    void shake_hands() {
        arrive("welcome\n");
        ASSERT_EQ(layer.handshake(), Status::ok);
        layer.out().clear();
    }

private:
    FakeTls library_;
    Error error_;
    std::unique_ptr<tls::Context> context_ = library_.create({}, error_);

public:
    TlsLayer layer;

private:
    std::vector<std::byte> plain_memory_;

public:
    Buffer plain;
};

TEST(TlsLayerTest, IsUpAfterTheHandshake) {
    Bench bench;
    EXPECT_EQ(bench.layer.handshake(), Status::need_input);
    EXPECT_EQ(bench.layer.out(), "hello\n");
    bench.arrive("welc");
    EXPECT_EQ(bench.layer.handshake(), Status::need_input);
    EXPECT_FALSE(bench.layer.up());
    bench.arrive("ome\n" + FakeTls::record("first"));
    EXPECT_EQ(bench.layer.handshake(), Status::ok);
    EXPECT_TRUE(bench.layer.up());
    EXPECT_EQ(bench.layer.decrypt(bench.plain), Status::need_input);
    EXPECT_EQ(as_text(bench.plain.readable()), "first") << "what came behind the handshake";
}

TEST(TlsLayerTest, DecryptsAllThatHasArrived) {
    Bench bench;
    bench.shake_hands();
    bench.arrive(FakeTls::record("one ") + FakeTls::record("two ") + FakeTls::record("three").substr(0, 4));
    EXPECT_EQ(bench.layer.decrypt(bench.plain), Status::need_input);
    EXPECT_TRUE(bench.layer.in().empty());
    EXPECT_EQ(as_text(bench.plain.readable()), "one two ");
    bench.arrive(FakeTls::record("three").substr(4) + "c");
    EXPECT_EQ(bench.layer.decrypt(bench.plain), Status::closed);
    EXPECT_EQ(as_text(bench.plain.readable()), "one two three");
    EXPECT_TRUE(bench.layer.ended());
}

TEST(TlsLayerTest, AFailureIsNotAnEnd) {
    Bench bench;
    bench.shake_hands();
    bench.arrive("x");
    EXPECT_EQ(bench.layer.decrypt(bench.plain), Status::failed);
    EXPECT_EQ(bench.layer.engine().error(), Errc::tls_record);
    EXPECT_FALSE(bench.layer.ended());
}

TEST(TlsLayerTest, SaysCloseNotifyOnceAndOnlyWhenItIsUp) {
    Bench bench;
    bench.layer.shutdown();
    EXPECT_EQ(bench.layer.out(), "");
    bench.shake_hands();
    ASSERT_TRUE(bench.layer.encrypt(as_bytes("last")));
    bench.layer.shutdown();
    bench.layer.shutdown();
    EXPECT_EQ(bench.layer.out(), FakeTls::record("last") + "c");
}

TEST(TlsLayerTest, HoldsMemoryOfThePoolOnlyWhileItIsNeeded) {
    CountingPool pool;
    MemoryBudget budget(0, &pool);
    Bench bench(&budget);
    EXPECT_EQ(pool.lent, 1000u);
    bench.shake_hands();
    bench.arrive("d");
    bench.layer.release_memory();
    EXPECT_EQ(pool.lent, 1000u) << "something is in it";
    EXPECT_EQ(bench.layer.decrypt(bench.plain), Status::need_input);
    bench.layer.release_memory();
    EXPECT_EQ(pool.lent, 0u);
    EXPECT_EQ(bench.layer.decrypt(bench.plain), Status::need_input) << "that is no harm";

    ASSERT_TRUE(bench.layer.hold_memory(500, &budget));
    EXPECT_EQ(pool.lent, 500u);
    ASSERT_TRUE(bench.layer.hold_memory(500, &budget));
    EXPECT_EQ(pool.lent, 500u) << "it has some";
    bench.arrive(FakeTls::record("text").substr(1));
    EXPECT_EQ(bench.layer.decrypt(bench.plain), Status::need_input);
    EXPECT_EQ(as_text(bench.plain.readable()), "text");

    bench.layer.release_memory();
    pool.blocks_left = 0;
    EXPECT_FALSE(bench.layer.hold_memory(500, &budget));
    EXPECT_EQ(budget.used(), 0u);
}

}  // namespace
}  // namespace tern::core
