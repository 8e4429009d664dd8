// An echo server for the matrix on websocketpp: websocketpp_server compress|plain [CERTIFICATE KEY]. Prints its port.
#include <cstdio>
#include <memory>
#include <string>
#include <websocketpp/config/asio.hpp>
#include <websocketpp/extensions/permessage_deflate/enabled.hpp>
#include <websocketpp/server.hpp>

namespace {

struct DeflateSettings {};

template <class Base>
struct Deflating : Base {
    using permessage_deflate_type = websocketpp::extensions::permessage_deflate::enabled<DeflateSettings>;
};

template <class Config>
void prepare(websocketpp::server<Config>& server) {
    using Server = websocketpp::server<Config>;
    server.clear_access_channels(websocketpp::log::alevel::all);
    server.clear_error_channels(websocketpp::log::elevel::all);
    server.init_asio();
    server.set_max_message_size(64u << 20u);
    server.set_message_handler([&server](websocketpp::connection_hdl handle, typename Server::message_ptr message) {
        websocketpp::lib::error_code ignored;
        server.send(handle, message->get_payload(), message->get_opcode(), ignored);
    });
}

template <class Config>
void run(websocketpp::server<Config>& server) {
    server.listen(websocketpp::lib::asio::ip::tcp::endpoint(websocketpp::lib::asio::ip::address_v4::loopback(), 0));
    server.start_accept();
    websocketpp::lib::asio::error_code ignored;
    std::printf("%u\n", static_cast<unsigned>(server.get_local_endpoint(ignored).port()));
    std::fflush(stdout);
    server.run();
}

template <class Plain, class Secure>
void serve(int argc, char** argv) {
    if (argc < 4) {
        websocketpp::server<Plain> server;
        prepare(server);
        return run(server);
    }
    namespace ssl = websocketpp::lib::asio::ssl;
    websocketpp::server<Secure> server;
    prepare(server);
    server.set_tls_init_handler([argv](websocketpp::connection_hdl) {
        auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
        context->use_certificate_chain_file(argv[2]);
        context->use_private_key_file(argv[3], ssl::context::pem);
        return context;
    });
    run(server);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 1 && std::string(argv[1]) == "compress") {
        serve<Deflating<websocketpp::config::asio>, Deflating<websocketpp::config::asio_tls>>(argc, argv);
    } else {
        serve<websocketpp::config::asio, websocketpp::config::asio_tls>(argc, argv);
    }
}
