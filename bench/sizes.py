#!/usr/bin/env python3
"""How large the smallest program is that says hello to an echo server, with tern and with its peers.

    bench/sizes.py BUILD-FOLDER

Prints for each: the size of the stripped program, what its shared libraries weigh beside those that every C++ program
has, how many they are, and how long it takes to compile. Needs the packages of tools/packages-bench.txt.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
EVERYWHERE = re.compile(r"(libc|libm|libgcc_s|libstdc\+\+|libpthread|libdl|ld-linux[^/]*|linux-vdso)\.so")

PROGRAMS = {
    "tern": (ROOT / "examples" / "smallest.cpp").read_text(),
    "Beast": """
#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <iostream>
int main() {
    namespace asio = boost::asio;
    namespace beast = boost::beast;
    asio::io_context io;
    beast::websocket::stream<asio::ip::tcp::socket> socket(io);
    socket.next_layer().connect({asio::ip::make_address("127.0.0.1"), 9001});
    socket.handshake("localhost", "/");
    socket.write(asio::buffer(std::string("hello")));
    beast::flat_buffer buffer;
    socket.read(buffer);
    std::cout << beast::make_printable(buffer.data()) << '\\n';
}
""",
    "websocketpp": """
#include <iostream>
#include <websocketpp/client.hpp>
#include <websocketpp/config/asio_no_tls_client.hpp>
int main() {
    using Client = websocketpp::client<websocketpp::config::asio_client>;
    Client client;
    client.init_asio();
    client.set_open_handler([&](websocketpp::connection_hdl handle) {
        client.send(handle, std::string("hello"), websocketpp::frame::opcode::text);
    });
    client.set_message_handler([&](websocketpp::connection_hdl handle, Client::message_ptr message) {
        std::cout << message->get_payload() << '\\n';
        client.close(handle, websocketpp::close::status::normal, "");
    });
    websocketpp::lib::error_code error;
    client.connect(client.get_connection("ws://localhost:9001", error));
    client.run();
}
""",
    "Poco": """
#include <Poco/Net/HTTPClientSession.h>
#include <Poco/Net/HTTPRequest.h>
#include <Poco/Net/HTTPResponse.h>
#include <Poco/Net/WebSocket.h>
#include <iostream>
int main() {
    Poco::Net::HTTPClientSession session("localhost", 9001);
    Poco::Net::HTTPRequest request("GET", "/", "HTTP/1.1");
    Poco::Net::HTTPResponse response;
    Poco::Net::WebSocket socket(session, request, response);
    socket.sendFrame("hello", 5);
    char bytes[64];
    int flags = 0;
    std::cout.write(bytes, socket.receiveFrame(bytes, sizeof bytes, flags)) << '\\n';
}
""",
    "Qt": """
#include <QCoreApplication>
#include <QWebSocket>
#include <iostream>
int main(int argc, char** argv) {
    QCoreApplication application(argc, argv);
    QWebSocket socket;
    QObject::connect(&socket, &QWebSocket::connected, [&] { socket.sendTextMessage("hello"); });
    QObject::connect(&socket, &QWebSocket::textMessageReceived, [&](const QString& text) {
        std::cout << text.toStdString() << '\\n';
        application.quit();
    });
    socket.open(QUrl("ws://localhost:9001"));
    return application.exec();
}
""",
    "libwebsockets": """
#include <cstring>
#include <iostream>
#include <libwebsockets.h>
static int callback(lws* wsi, lws_callback_reasons reason, void*, void* in, size_t size) {
    if (reason == LWS_CALLBACK_CLIENT_ESTABLISHED) lws_callback_on_writable(wsi);
    if (reason == LWS_CALLBACK_CLIENT_WRITEABLE) {
        unsigned char bytes[LWS_PRE + 5];
        std::memcpy(bytes + LWS_PRE, "hello", 5);
        lws_write(wsi, bytes + LWS_PRE, 5, LWS_WRITE_TEXT);
    }
    if (reason != LWS_CALLBACK_CLIENT_RECEIVE) return 0;
    std::cout.write(static_cast<char*>(in), static_cast<std::streamsize>(size)) << '\\n';
    return -1;
}
int main() {
    lws_protocols protocols[2] = {};
    protocols[0].name = "hello";
    protocols[0].callback = callback;
    lws_context_creation_info info = {};
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.protocols = protocols;
    lws_client_connect_info to = {};
    to.context = lws_create_context(&info);
    to.address = to.host = "localhost";
    to.port = 9001;
    to.path = "/";
    if (lws_client_connect_via_info(&to) == nullptr) return 1;
    while (lws_service(to.context, 0) >= 0) {}
}
""",
}


def pkg_config(*packages):
    return subprocess.run(["pkg-config", "--cflags", "--libs", *packages], capture_output=True, text=True).stdout.split()


def tern_libraries(folder):
    """What the archive links, as the package for its users says."""
    return [f"{folder}/libtern.a", "-lssl", "-lcrypto", "-lz", "-luriparser", "-lidn2", "-lsimdjson", "-pthread"]


def measure(folder, name, source, standard, libraries):
    with tempfile.TemporaryDirectory() as place:
        program = os.path.join(place, "program")
        path = os.path.join(place, "program.cpp")
        pathlib.Path(path).write_text(source)
        flags = ["-O2", f"-std={standard}", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-w"]
        begin = time.monotonic()
        compiled = subprocess.run(["g++", *flags, f"-I{ROOT}/include", "-c", path, "-o", program + ".o",
                                   *[each for each in libraries if each.startswith(("-I", "-D"))]], capture_output=True, text=True)
        took = time.monotonic() - begin
        linked = subprocess.run(["g++", *flags, program + ".o", "-o", program,
                                 *[each for each in libraries if not each.startswith(("-I", "-D"))], "-Wl,--as-needed"],
                                capture_output=True, text=True)
        if compiled.returncode or linked.returncode:
            print(f"| {name} | cannot be built here | | | |")
            print(compiled.stderr[:500] + linked.stderr[:500], file=sys.stderr)
            return
        subprocess.run(["strip", program], check=True)
        needed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        shared = {}
        for path in re.findall(r"(/\S+)", needed):
            if not EVERYWHERE.search(path):
                shared[os.path.realpath(path)] = os.stat(path).st_size
        print(f"| {name} | {os.stat(program).st_size / 1024:,.0f} KiB | {len(shared)} | "
              f"{sum(shared.values()) / 2**20:.1f} MiB | {took:.1f} s |", flush=True)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = os.path.abspath(sys.argv[1])
    print("| client | program | shared libraries | their size | compiling |\n|---|---|---|---|---|")
    measure(folder, "tern, archive", PROGRAMS["tern"], "c++20", tern_libraries(folder))
    with tempfile.TemporaryDirectory() as place:
        library = f"{place}/libtern.so"
        archive, *others = tern_libraries(folder)
        subprocess.run(["g++", "-shared", "-o", library, "-Wl,--whole-archive", archive, "-Wl,--no-whole-archive", *others], check=True)
        subprocess.run(["strip", library], check=True)
        measure(folder, "tern, shared library", PROGRAMS["tern"], "c++20", [f"-L{place}", "-ltern", f"-Wl,-rpath,{place}"])
    measure(folder, "Beast (no TLS)", PROGRAMS["Beast"], "c++20", ["-pthread"])
    measure(folder, "websocketpp (no TLS)", PROGRAMS["websocketpp"], "c++17", ["-pthread"])
    measure(folder, "libwebsockets", PROGRAMS["libwebsockets"], "c++20", ["-lwebsockets"])
    measure(folder, "Poco", PROGRAMS["Poco"], "c++20", ["-lPocoNet", "-lPocoFoundation"])
    measure(folder, "Qt", PROGRAMS["Qt"], "c++20", ["-fPIC", *pkg_config("Qt6WebSockets")])


if __name__ == "__main__":
    main()
