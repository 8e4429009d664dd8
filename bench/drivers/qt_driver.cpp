// Qt's QWebSocket: direct connections of its signals to functions, sends from inside a slot (it gathers what is written
// until the event loop has its turn), paced by bytesToWrite and the signal bytesWritten, TCP_NODELAY. It has no
// permessage-deflate.
#include <QCoreApplication>
#include <QSslConfiguration>
#include <QWebSocket>
#include <cstdlib>
#include <memory>

#include "task.hpp"

namespace {

using Step = bench::Course::Step;

/// Whoever answers.
void trust(QWebSocket& socket, const bench::Task& task) {
    if (!task.tls) return;
    QSslConfiguration configuration = QSslConfiguration::defaultConfiguration();
    configuration.setPeerVerifyMode(QSslSocket::VerifyNone);
    socket.setSslConfiguration(configuration);
}

class Player {
public:
    explicit Player(const bench::Task& task)
        : task_(task), payload_(QByteArray::fromStdString(task.payload())), course_(task) {
        QObject::connect(&socket_, &QWebSocket::binaryMessageReceived,
                         [this](const QByteArray& bytes) { received(static_cast<std::size_t>(bytes.size())); });
        QObject::connect(&socket_, &QWebSocket::textMessageReceived, [this](const QString& text) {
            // The bytes that came are not asked for again: that they are as many as announced is known of the server.
            received(task_.row == "send" ? static_cast<std::size_t>(text.size()) : task_.size);
        });
        QObject::connect(&socket_, &QWebSocket::bytesWritten, [this](qint64) { feed(); });
        QObject::connect(&socket_, &QWebSocket::connected, [this] { act(course_.opened()); });
        QObject::connect(&socket_, qOverload<QAbstractSocket::SocketError>(&QWebSocket::error),
                         [](QAbstractSocket::SocketError) { bench::fail("error"); });
        trust(socket_, task);
        socket_.open(QUrl(QString::fromStdString(task.url())));
    }

private:
    void received(std::size_t size) { act(course_.received(size)); }
    void act(Step step) {
        switch (step) {
            case Step::wait: return;
            case Step::ask:
                socket_.sendTextMessage(QString::fromStdString(course_.command()));
                left_ = course_.to_send();
                return feed();
            case Step::send: socket_.sendBinaryMessage(payload_); return;
            case Step::done: course_.report(); std::_Exit(0);
        }
    }
    void feed() {
        for (; left_ > 0 && socket_.bytesToWrite() < (1 << 20); --left_) socket_.sendBinaryMessage(payload_);
    }

    const bench::Task& task_;
    const QByteArray payload_;
    bench::Course course_;
    QWebSocket socket_;
    std::uint64_t left_ = 0;
};

class Connects {
public:
    explicit Connects(const bench::Task& task) : task_(task) {
        trust(socket_, task);
        QObject::connect(&socket_, &QWebSocket::connected, [this] { socket_.close(); });
        QObject::connect(&socket_, &QWebSocket::disconnected, [this] {
            if (done_ == task_.warm) meter_.start();
            if (done_++ < task_.warm + task_.count) {
                QMetaObject::invokeMethod(&socket_, [this] { open(); }, Qt::QueuedConnection);
                return;
            }
            meter_.stop();
            bench::report(task_, meter_);
            std::_Exit(0);
        });
        open();
    }

private:
    void open() { socket_.open(QUrl(QString::fromStdString(task_.url()))); }

    const bench::Task& task_;
    QWebSocket socket_;
    bench::Meter meter_;
    std::uint64_t done_ = 0;
};

void idle(const bench::Task& task) {
    bool done = false;
    const auto wait = [&] {
        while (!done) QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents);
        done = false;
    };
    bench::measure_idle(
        task,
        [&] {
            auto socket = std::make_unique<QWebSocket>();
            QObject::connect(socket.get(), &QWebSocket::connected, [&] { done = true; });
            QObject::connect(socket.get(), &QWebSocket::binaryMessageReceived, [&](const QByteArray&) { done = true; });
            trust(*socket, task);
            socket->open(QUrl(QString::fromStdString(task.url())));
            wait();
            return socket;
        },
        [&](const std::unique_ptr<QWebSocket>& socket, const std::string& message) {
            socket->sendBinaryMessage(QByteArray::fromStdString(message));
            wait();
        });
    std::_Exit(0);
}

}  // namespace

int main(int argc, char** argv) {
    const bench::Task task = bench::parse(argc, argv);
    if (task.spin || task.resume || task.kind == "deflate") bench::unsupported("this row");
    int none = 1;
    QCoreApplication application(none, argv);
    if (task.row == "idle") idle(task);
    if (task.row == "connect") {
        const Connects connects(task);
        return QCoreApplication::exec();
    }
    const Player player(task);
    return QCoreApplication::exec();
}
