// Poco: blocking calls and a receive buffer that fits a message; TCP_NODELAY. It has nothing else to tune.
#include <Poco/Net/Context.h>
#include <Poco/Net/HTTPRequest.h>
#include <Poco/Net/HTTPResponse.h>
#include <Poco/Net/HTTPSClientSession.h>
#include <Poco/Net/WebSocket.h>
#include <cstdlib>
#include <memory>
#include <string>

#include "task.hpp"

namespace {

using Step = bench::Course::Step;
using Poco::Net::WebSocket;

std::unique_ptr<WebSocket> open(const bench::Task& task) {
    static const Poco::Net::Context::Ptr context =
        new Poco::Net::Context(Poco::Net::Context::TLS_CLIENT_USE, "", Poco::Net::Context::VERIFY_NONE);
    std::unique_ptr<Poco::Net::HTTPClientSession> session;
    const auto port = static_cast<Poco::UInt16>(task.port);
    if (task.tls) {
        session = std::make_unique<Poco::Net::HTTPSClientSession>(task.host(), port, context);
    } else {
        session = std::make_unique<Poco::Net::HTTPClientSession>(task.host(), port);
    }
    Poco::Net::HTTPRequest request(Poco::Net::HTTPRequest::HTTP_GET, task.path(), Poco::Net::HTTPMessage::HTTP_1_1);
    Poco::Net::HTTPResponse response;
    auto socket = std::make_unique<WebSocket>(*session, request, response);
    socket->setNoDelay(true);
    socket->setMaxPayloadSize(32 << 20);
    return socket;
}

void send(WebSocket& socket, const std::string& bytes, int flags) {
    socket.sendFrame(bytes.data(), static_cast<int>(bytes.size()), flags);
}

std::size_t receive(WebSocket& socket, std::string& buffer) {
    int flags = 0;
    const int size = socket.receiveFrame(buffer.data(), static_cast<int>(buffer.size()), flags);
    if (size <= 0) bench::fail("closed");
    return static_cast<std::size_t>(size);
}

}  // namespace

int main(int argc, char** argv) {
    const bench::Task task = bench::parse(argc, argv);
    if (task.spin || task.resume || task.kind == "deflate") bench::unsupported("this row");
    if (task.row == "idle") {
        std::string answer(1024, '\0');
        bench::measure_idle(
            task, [&] { return open(task); },
            [&](const std::unique_ptr<WebSocket>& socket, const std::string& message) {
                send(*socket, message, WebSocket::FRAME_BINARY);
                receive(*socket, answer);
            });
        return 0;
    }
    bench::Meter meter;
    if (task.row == "connect") {
        for (std::uint64_t i = 0; i < task.warm + task.count; ++i) {
            if (i == task.warm) meter.start();
            const auto socket = open(task);
            char answer[16];
            int flags = 0;
            socket->shutdown();
            socket->receiveFrame(answer, sizeof(answer), flags);
        }
        meter.stop();
        bench::report(task, meter);
        return 0;
    }
    const auto socket = open(task);
    const std::string payload = task.payload();
    std::string buffer(task.size + 64, '\0');
    bench::Course course(task);
    for (Step step = course.opened();;) {
        if (step == Step::done) break;
        if (step == Step::ask) send(*socket, course.command(), WebSocket::FRAME_TEXT);
        const std::uint64_t messages = step == Step::ask ? course.to_send() : step == Step::send ? 1 : 0;
        for (std::uint64_t i = 0; i < messages; ++i) send(*socket, payload, WebSocket::FRAME_BINARY);
        step = course.received(receive(*socket, buffer));
    }
    course.report();
    std::_Exit(0);
}
