// An echo server for the matrix on libwebsockets: libwebsockets_server compress|plain [CERTIFICATE KEY]. Prints its
// port.
#include <cstdio>
#include <deque>
#include <libwebsockets.h>
#include <string>
#include <utility>

namespace {

/// A message on its way back; the first bytes are the room that lws_write asks for.
struct Message {
    std::string bytes = std::string(LWS_PRE, '\0');
    bool binary = false;
};

/// What a connection has received, the last one perhaps in part, and has yet to send.
struct Session {
    std::deque<Message> messages;
    Message sending;    ///< Its compressor reads from the payload for longer than lws_write lasts.
    bool open = false;  ///< The last one is not complete.
};

void receive(lws* wsi, Session& session, const char* data, size_t size) {
    if (!session.open) session.messages.emplace_back();
    Message& message = session.messages.back();
    message.binary = lws_frame_is_binary(wsi) != 0;
    message.bytes.append(data, size);
    session.open = lws_remaining_packet_payload(wsi) != 0 || lws_is_final_fragment(wsi) == 0;
    if (!session.open) lws_callback_on_writable(wsi);
}

int send(lws* wsi, Session& session) {
    const size_t complete = session.messages.size() - (session.open ? 1 : 0);
    if (complete == 0) return 0;
    session.sending = std::move(session.messages.front());
    session.messages.pop_front();
    Message& message = session.sending;
    const size_t size = message.bytes.size() - LWS_PRE;
    auto* const payload = reinterpret_cast<unsigned char*>(&message.bytes[LWS_PRE]);
    // It keeps what the socket does not take, so that one call is enough.
    if (lws_write(wsi, payload, size, message.binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT) < 0) return -1;
    if (complete > 1) lws_callback_on_writable(wsi);
    return 0;
}

int echo(lws* wsi, lws_callback_reasons reason, void* user, void* in, size_t size) {
    auto** const session = static_cast<Session**>(user);
    switch (reason) {
        case LWS_CALLBACK_ESTABLISHED: *session = new Session; return 0;
        case LWS_CALLBACK_CLOSED: delete *session; return 0;
        case LWS_CALLBACK_RECEIVE: receive(wsi, **session, static_cast<const char*>(in), size); return 0;
        case LWS_CALLBACK_SERVER_WRITEABLE: return send(wsi, **session);
        default: return 0;
    }
}

}  // namespace

int main(int argc, char** argv) {
    lws_set_log_level(LLL_ERR, nullptr);
    const lws_protocols protocols[] = {{"echo", echo, sizeof(Session*), 64u << 10u, 0, nullptr, 0}, {}};
    const lws_extension extensions[] = {{"permessage-deflate", lws_extension_callback_pm_deflate, "permessage-deflate"},
                                        {}};
    lws_context_creation_info info{};
    info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    lws_context* const context = lws_create_context(&info);
    if (context == nullptr) return 1;
    info.protocols = protocols;
    info.vhost_name = "localhost";
    info.iface = "lo";
    if (argc > 1 && std::string(argv[1]) == "compress") info.extensions = extensions;
    if (argc > 3) {
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_cert_filepath = argv[2];
        info.ssl_private_key_filepath = argv[3];
    }
    lws_vhost* const vhost = lws_create_vhost(context, &info);
    if (vhost == nullptr) return 1;
    std::printf("%d\n", lws_get_vhost_listen_port(vhost));
    std::fflush(stdout);
    while (lws_service(context, 0) >= 0) {
    }
    lws_context_destroy(context);
}
