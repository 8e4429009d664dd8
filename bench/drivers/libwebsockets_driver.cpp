// libwebsockets: `rx_buffer_size` of 64 KiB and `pt_serv_buf_size` of 64 KiB, as its README advises for throughput; one
// lws_write a writable callback, because its documentation forbids more, unless lws_send_pipe_choked says that there is
// room. Idle clients have an `rx_buffer_size` of 1 KiB, which is what a message has there; OpenSSL's buffers it lets go
// by itself.
#include <cstdlib>
#include <cstring>
#include <libwebsockets.h>
#include <string>
#include <utility>
#include <vector>

#include "task.hpp"

namespace {

using Step = bench::Course::Step;

struct State {
    explicit State(const bench::Task& what) : task(what), course(what) { set_payload(what.payload()); }
    void set_payload(const std::string& bytes) {
        payload.resize(LWS_PRE + bytes.size());
        std::memcpy(payload.data() + LWS_PRE, bytes.data(), bytes.size());
        payload_size = bytes.size();
    }
    const bench::Task& task;
    bench::Course course;
    std::vector<unsigned char> payload;  ///< With room for the header in front.
    std::size_t payload_size = 0;
    bool ask = false;
    std::uint64_t left = 0;
    std::size_t size = 0;
    lws* wsi = nullptr;

    lws_context* context = nullptr;
    bench::Meter meter;
    std::uint64_t done = 0;
    bool over = false;

    bool idle_turn = false;  ///< In the row `idle`: the one that has its turn is open, or has its answer.
};

State* state = nullptr;

void connect() {
    lws_client_connect_info info{};
    info.context = state->context;
    static const std::string host = state->task.host();
    static const std::string path = state->task.path();
    info.address = host.c_str();
    info.port = static_cast<int>(state->task.port);
    info.path = path.c_str();
    info.host = info.address;
    info.origin = info.address;
    if (state->task.tls) {
        info.ssl_connection = LCCSCF_USE_SSL | LCCSCF_ALLOW_SELFSIGNED | LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK |
                              LCCSCF_ALLOW_INSECURE | LCCSCF_ALLOW_EXPIRED;
    }
    info.local_protocol_name = "bench";
    info.pwsi = &state->wsi;
    if (lws_client_connect_via_info(&info) == nullptr) bench::fail("connect");
}

void act(lws* wsi, Step step) {
    switch (step) {
        case Step::wait: return;
        case Step::ask:
            state->ask = true;
            state->left = state->course.to_send();
            break;
        case Step::send: state->left = 1; break;
        case Step::done: state->course.report(); std::_Exit(0);
    }
    lws_callback_on_writable(wsi);
}

int write(lws* wsi) {
    if (state->ask) {
        state->ask = false;
        const std::string command = state->course.command();
        std::vector<unsigned char> bytes(LWS_PRE + command.size());
        std::memcpy(bytes.data() + LWS_PRE, command.data(), command.size());
        if (lws_write(wsi, bytes.data() + LWS_PRE, command.size(), LWS_WRITE_TEXT) < 0) return -1;
    }
    while (state->left > 0 && lws_send_pipe_choked(wsi) == 0) {
        if (lws_write(wsi, state->payload.data() + LWS_PRE, state->payload_size, LWS_WRITE_BINARY) < 0) return -1;
        --state->left;
    }
    if (state->left > 0) lws_callback_on_writable(wsi);
    return 0;
}

int callback(lws* wsi, lws_callback_reasons reason, void* user, void* in, std::size_t size) {
    static_cast<void>(user);
    const bool connecting = state->task.row == "connect";
    const bool idle = state->task.row == "idle";
    switch (reason) {
        case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
            bench::fail(in != nullptr ? static_cast<const char*>(in) : "connection");
        case LWS_CALLBACK_CLIENT_ESTABLISHED:
            if (connecting) {
                lws_callback_on_writable(wsi);
                return 0;
            }
            if (idle) {
                state->idle_turn = true;
                return 0;
            }
            act(wsi, state->course.opened());
            return 0;
        case LWS_CALLBACK_CLIENT_RECEIVE:
            state->size += size;
            if (lws_is_final_fragment(wsi) != 0 && lws_remaining_packet_payload(wsi) == 0) {
                if (idle) {
                    state->idle_turn = true;
                    return 0;
                }
                act(wsi, state->course.received(std::exchange(state->size, 0)));
            }
            return 0;
        case LWS_CALLBACK_CLIENT_WRITEABLE:
            if (!connecting) return write(wsi);
            lws_close_reason(wsi, LWS_CLOSE_STATUS_NORMAL, nullptr, 0);
            return -1;
        case LWS_CALLBACK_CLIENT_CLOSED:
            if (!connecting) bench::fail("closed");
            if (state->done == state->task.warm) state->meter.start();
            if (state->done++ < state->task.warm + state->task.count) {
                connect();
                return 0;
            }
            state->meter.stop();
            state->over = true;
            return 0;
        default: return 0;
    }
}

void run_idle() {
    const auto wait = [] {
        while (!std::exchange(state->idle_turn, false)) lws_service(state->context, 0);
    };
    bench::measure_idle(
        state->task,
        [&] {
            connect();
            wait();
            return state->wsi;
        },
        [&](lws* wsi, const std::string& message) {
            state->set_payload(message);
            act(wsi, Step::send);
            wait();
        });
    std::_Exit(0);
}

}  // namespace

int main(int argc, char** argv) {
    const bench::Task task = bench::parse(argc, argv);
    if (task.spin || task.resume) bench::unsupported("this row");
    State own(task);
    state = &own;
    lws_set_log_level(0, nullptr);
    std::vector<lws_protocols> protocols(2);
    protocols[0].name = "bench";
    protocols[0].callback = callback;
    // Each connection has that buffer.
    protocols[0].rx_buffer_size = task.row == "idle" ? 1024 : 64u << 10u;
    protocols[0].tx_packet_size = 64u << 10u;
    lws_extension extensions[2] = {
        {"permessage-deflate", lws_extension_callback_pm_deflate, "permessage-deflate; client_max_window_bits"},
        {nullptr, nullptr, nullptr}};
    lws_context_creation_info info{};
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.protocols = protocols.data();
    info.pt_serv_buf_size = 64u << 10u;
    info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    if (task.kind == "deflate") info.extensions = extensions;
    own.context = lws_create_context(&info);
    if (own.context == nullptr) bench::fail("lws_create_context");
    if (task.row == "idle") run_idle();
    connect();
    while (!own.over && lws_service(own.context, 0) >= 0) {
    }
    bench::report(task, own.meter);
    std::_Exit(0);
}
