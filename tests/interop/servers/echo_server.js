// An echo server for the matrix: echo_server.js ws|websocket compress|plain [CERTIFICATE KEY]. Prints its port.
'use strict';

const fs = require('fs');
const http = require('http');
const https = require('https');

const [library, mode, certificate, key] = process.argv.slice(2);
const front = certificate
    ? https.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) })
    : http.createServer();

if (library === 'ws') {
    const { WebSocketServer } = require('ws');
    const server = new WebSocketServer({ server: front, maxPayload: 64 << 20, perMessageDeflate: mode === 'compress' && { threshold: 0 } });
    server.on('connection', (socket) => {
        socket.on('error', () => {});
        socket.on('message', (data, binary) => socket.send(data, { binary }));
    });
} else {
    const { server: Server } = require('websocket');
    const server = new Server({ httpServer: front, maxReceivedFrameSize: 64 << 20, maxReceivedMessageSize: 64 << 20, autoAcceptConnections: true });
    server.on('connect', (connection) => {
        connection.on('message', (message) => {
            if (message.type === 'utf8') connection.sendUTF(message.utf8Data);
            else connection.sendBytes(message.binaryData);
        });
    });
}
front.listen(0, '127.0.0.1', () => console.log(front.address().port));
