#include "server.hpp"

#include <algorithm>
#include <utility>

namespace tern::sim {

// --- behaviours ----------------------------------------------------------------------------------------------------

void answer_control(Peer& peer, const Frame& frame) {
    if (frame.opcode == opcode::ping && !peer.close_sent) peer.send(pong_frame(frame.payload));
    if (frame.opcode != opcode::close) return;
    if (!peer.close_sent) peer.send(close_frame(frame.close_code()));
    peer.finish();
}

Behaviour quiet() {
    Behaviour behaviour;
    behaviour.on_request = [](Peer& peer) { peer.upgrade(); };
    behaviour.on_frame = answer_control;
    behaviour.on_eof = [](Peer& peer) { peer.finish(); };
    return behaviour;
}

Behaviour echo() {
    Behaviour behaviour = quiet();
    behaviour.on_message = [](Peer& peer, const Message& message) {
        peer.send_message(message.opcode, message.payload);
    };
    return behaviour;
}

Behaviour mute() {
    Behaviour behaviour;
    behaviour.on_request = [](Peer& peer) { peer.upgrade(); };
    return behaviour;
}

Behaviour saying(std::string bytes) {
    Behaviour behaviour = quiet();
    behaviour.on_request = [bytes = std::move(bytes)](Peer& peer) {
        peer.upgraded = true;
        peer.write(peer.response() + bytes);
    };
    return behaviour;
}

Behaviour answering(std::string response) {
    Behaviour behaviour;
    behaviour.on_request = [response = std::move(response)](Peer& peer) { peer.write(response); };
    behaviour.on_eof = [](Peer& peer) { peer.finish(); };
    return behaviour;
}

// --- saying --------------------------------------------------------------------------------------------------------

Peer::Peer(Schedule& schedule, Wire& wire, const Behaviour& how, std::size_t which)
    : number(which), behaviour(how), schedule_(schedule), wire_(wire) {
    wire.up.on_readable = [this] { on_readable(); };
    wire.down.on_room = [this] { flush(); };
}

std::string Peer::response(std::string_view more_headers) const {
    return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
           accept_key(request.header("Sec-WebSocket-Key")) + "\r\nX-Peer: " + std::to_string(number) + "\r\n" +
           std::string(more_headers) + "\r\n";
}

void Peer::upgrade(std::string_view more_headers) {
    upgraded = true;
    write(response(more_headers));
}

void Peer::write(std::string_view bytes) {
    if (finishing_) return;
    outgoing_ += tunnel_.send(bytes);
    flush();
}

void Peer::send(const Frame& frame) {
    if (frame.opcode == opcode::close) close_sent = true;
    if (frame.opcode == opcode::ping) pings_sent.push_back(frame.payload);
    write(encode(frame));
}

void Peer::send_message(unsigned opcode, std::string_view payload, std::size_t size) {
    if (finishing_ || close_sent) return;
    sent.push_back({opcode, std::string(payload)});
    for (const Frame& frame : fragments(opcode, payload, size)) send(frame);
}

void Peer::finish() {
    if (!std::exchange(finishing_, true)) outgoing_ += tunnel_.farewell();
    flush();
}

void Peer::flush() {
    sent_ += wire_.down.write(std::string_view(outgoing_).substr(sent_));
    if (sent_ < outgoing_.size()) return;
    std::string().swap(outgoing_);
    sent_ = 0;
    if (finishing_) wire_.down.finish();
}

void Peer::resume() {
    reading_ = true;
    on_readable();
}

// --- hearing -------------------------------------------------------------------------------------------------------

void Peer::on_readable() {
    if (!reading_) return;
    std::string reply;
    const std::size_t arrived = wire_.up.readable().size();
    const std::string bytes = tunnel_.receive(wire_.up.readable(), reply);
    wire_.up.consume(arrived);
    if (!tunnel_.offence().empty() && !std::exchange(offended_, true)) schedule_.offence(tunnel_.offence());
    if (!reply.empty() && !finishing_) {
        outgoing_ += reply;
        flush();
    }
    if (requested) {
        reader_.add(bytes);
    } else {
        head_ += bytes;
        if (auto taken = take_request(head_)) {
            request = std::move(*taken);
            requested = true;
            schedule_.trace("server: request", number);
            if (const std::string what = request.offence(); !what.empty()) schedule_.offence("request: " + what);
            reader_.add(std::exchange(head_, {}));
            if (reader_.left() != 0) schedule_.offence("the client sent something before the upgrade was answered");
            if (behaviour.on_request) behaviour.on_request(*this);
        }
    }
    take_frames();
    if (wire_.up.was_reset()) was_reset = true;
    if (!wire_.up.at_end() || eof) return;
    eof = true;
    eof_at = schedule_.now();
    schedule_.trace("server: eof", number);
    if (behaviour.on_eof) behaviour.on_eof(*this);
}

void Peer::take_frames() {
    while (auto frame = reader_.next()) {
        schedule_.trace("server: frame", number, frame->opcode, frame->payload);
        judge(*frame);
        frames.push_back({schedule_.now(), *frame});
        if (behaviour.on_frame) behaviour.on_frame(*this, *frame);
        if (!frame->is_control() && frame->fin) {
            in_message_ = false;
            messages.push_back(std::exchange(message_, {}));
            if (behaviour.on_message) behaviour.on_message(*this, Message(messages.back()));
        }
    }
    if (reader_.offence().empty() || offended_) return;
    offended_ = true;
    schedule_.offence("the client sent a bad frame: " + reader_.offence());
}

void Peer::judge(const Frame& frame) {
    if (!upgraded) schedule_.offence("the client sent a frame before the upgrade");
    if (close_received) schedule_.offence("the client sent a frame behind its Close");
    if (frame.opcode == opcode::close) {
        close_received = true;
        const unsigned code = frame.close_code();
        const bool allowed = code == 1005 || (code >= 1000 && code <= 1014 && code != 1004 && code != 1006) ||
                             (code >= 3000 && code <= 4999);
        if (frame.payload.size() == 1 || !allowed) schedule_.offence("a Close with a code that must not be sent");
        if (!is_utf8(frame.close_reason())) schedule_.offence("a Close whose reason is not UTF-8");
    }
    if (frame.is_control()) return;
    if ((frame.opcode == opcode::continuation) != in_message_) schedule_.offence("fragments out of order");
    if (!in_message_) message_.opcode = frame.opcode;
    in_message_ = true;
    message_.payload += frame.payload;
    if (frame.fin && message_.opcode == opcode::text && !is_utf8(message_.payload)) {
        schedule_.offence("a text message that is not UTF-8");
    }
}

std::vector<Frame> Peer::received(unsigned opcode) const {
    std::vector<Frame> chosen;
    for (const Received& entry : frames) {
        if (entry.frame.opcode == opcode) chosen.push_back(entry.frame);
    }
    return chosen;
}

}  // namespace tern::sim
