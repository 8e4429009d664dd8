// A server on Node's ws for the interoperation tests; the same paths as websockets_server.py. Prints its port.
'use strict';

// With two arguments, a certificate and its key, it speaks TLS.
const fs = require('fs');
const http = require('http');
const https = require('https');
const { WebSocketServer } = require('ws');

const [certificate, key] = process.argv.slice(2);
const front = certificate
    ? https.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) })
    : http.createServer();

const server = new WebSocketServer({
    server: front,
    maxPayload: 64 << 20,
    handleProtocols: (offered) => (offered.has('echo.v1') ? 'echo.v1' : false),
});

function answer(socket, path, data, binary) {
    const text = data.toString();
    if (path === '/fragments') {
        const characters = Array.from(text);
        characters.forEach((one, i) => socket.send(one, { fin: i + 1 === characters.length }));
    } else if (path === '/ping') {
        socket.once('pong', (payload) => socket.send(payload.toString() === text ? 'pong' : 'wrong pong'));
        socket.ping(text);
    } else if (path === '/close') {
        const [code, ...reason] = text.split(' ');
        socket.close(Number(code), reason.join(' '));
    } else {
        socket.send(data, { binary });
    }
}

server.on('connection', (socket, request) => {
    socket.on('error', () => {});
    if (request.url === '/headers') socket.send(`${request.headers.origin} ${request.headers['x-test']}`);
    socket.on('message', (data, binary) => answer(socket, request.url, data, binary));
});
front.listen(0, '127.0.0.1', () => console.log(front.address().port));
