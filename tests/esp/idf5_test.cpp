// As ESP-IDF 5 has it: no event for headers, so smaller ids; and the options of Kconfig.
#include <gtest/gtest.h>

#include "recorder.hpp"
#include "scripted_server.hpp"

namespace tern::esp::test {
namespace {

TEST(Idf5, HasNoEventForHeaders) {
    EXPECT_EQ(ESP_IDF_VERSION_MAJOR, 5);
    EXPECT_EQ(WS_TRANSPORT_HEADER_CALLBACK_SUPPORT, 0);
    EXPECT_EQ(WEBSOCKET_EVENT_CONNECTED, 1);
    EXPECT_EQ(WEBSOCKET_EVENT_FINISH, 7);
    EXPECT_EQ(portTICK_PERIOD_MS, 1u);
    interop::ScriptedServer server([](interop::Peer& peer) {
        if (peer.upgrade()) peer.send(interop::close_frame(1000));
        peer.read_frame();
    });
    Recorder client(server.url());
    ASSERT_EQ(client.start(), ESP_OK);
    ASSERT_TRUE(client.wait_for_finish());
    EXPECT_EQ(client.names(),
              (std::vector<std::string>{"BEGIN", "BEFORE_CONNECT", "CONNECTED", "DATA", "CLOSED", "FINISH"}));
}

}  // namespace
}  // namespace tern::esp::test
