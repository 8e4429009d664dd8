#include "inbox.hpp"

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tern::driver {
namespace {

MessageView view(const Message& message) { return {message.opcode, as_bytes(message.data)}; }

Message message_of(std::size_t size, Opcode opcode = Opcode::binary) {
    Message message{opcode, std::string(size, '\0')};
    for (std::size_t i = 0; i < size; ++i) message.data[i] = static_cast<char>(i * 7 + size);
    return message;
}

void expect_next(Inbox& inbox, const Message& expected) {
    ASSERT_FALSE(inbox.empty());
    bool refill = false;
    const Message got = inbox.pop(0, refill);
    EXPECT_EQ(got.opcode, expected.opcode);
    EXPECT_EQ(got.data, expected.data);
}

TEST(Inbox, GivesBackMessagesOfEverySizeInTheirOrder) {
    Inbox inbox;
    const std::vector<std::size_t> sizes{0, 1, 125, 255, 256, 1000, 1023, 1024, 1025, 5000, 100'000};
    std::vector<Message> all;
    for (const std::size_t first : sizes) {
        for (const std::size_t second : sizes) {
            all.push_back(message_of(first, Opcode::text));
            all.push_back(message_of(second));
        }
    }
    for (const Message& each : all) inbox.push(view(each));
    for (const Message& each : all) expect_next(inbox, each);
    EXPECT_TRUE(inbox.empty());
    EXPECT_EQ(inbox.bytes(), 0u);
}

TEST(Inbox, IsFilledAndEmptiedInTurns) {
    std::minstd_rand random(1);
    Inbox inbox;
    std::vector<Message> all;
    std::size_t taken = 0;
    while (taken < 5000) {
        Inbox more;
        Inbox& to = random() % 2 == 0 ? inbox : more;
        for (auto count = random() % 50; count > 0; --count) {
            all.push_back(message_of(random() % (random() % 10 == 0 ? 3000 : 40)));
            to.push(view(all.back()));
        }
        inbox.append(more);
        EXPECT_TRUE(more.empty());
        EXPECT_EQ(more.bytes(), 0u);
        for (auto count = random() % 50; count > 0 && !inbox.empty(); --count) expect_next(inbox, all[taken++]);
    }
    std::size_t bytes = 0;
    for (std::size_t i = taken; i < all.size(); ++i) bytes += all[i].data.size() + sizeof(Message);
    EXPECT_EQ(inbox.bytes(), bytes);
}

TEST(Inbox, SaysOnceThatItIsHalfEmpty) {
    Inbox inbox;
    const Message message = message_of(100);
    for (int i = 0; i < 10; ++i) inbox.push(view(message));
    const std::size_t half = inbox.bytes() / 2;
    std::string said;
    while (!inbox.empty()) {
        bool refill = true;
        static_cast<void>(inbox.pop(half, refill));
        said += refill ? '!' : '.';
    }
    EXPECT_EQ(said, ".....!....");
}

TEST(Inbox, IsCleared) {
    Inbox inbox;
    for (int i = 0; i < 100'000; ++i) inbox.push(view(message_of(1024)));  // too many for a recursion
    inbox.clear();
    EXPECT_TRUE(inbox.empty());
    EXPECT_EQ(inbox.bytes(), 0u);
    inbox.push(view(message_of(3)));
    expect_next(inbox, message_of(3));
}

}  // namespace
}  // namespace tern::driver
