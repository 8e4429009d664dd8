"""A server on python3-websockets for the interoperation tests. Prints the port it listens on.

/            echoes
/fragments   answers each text message in fragments of one character
/ping        pings with each message received as payload, and says "pong" when the right pong has come
/close       closes with the code and reason of the first message, "4000 reason"
/headers     says which Origin and X-Test headers it got, and /authorization which Authorization and Cookie
/redirect    refuses the upgrade with the status and Location of its query: /redirect?302&ws://other/
/refuse      refuses it with the status of its query, a challenge and a text: /refuse?401
/cut         ends TCP at the first message, without a Close frame and without TLS's close_notify

With two arguments, a certificate and its key, it speaks TLS; with a third, an authority, it wants a certificate of that.
"""

import asyncio
import http
import socket
import ssl
import sys

import websockets


async def fragments(text):
    for character in text:
        yield character


async def handle(websocket):
    path = websocket.path
    if path == "/headers":
        headers = websocket.request_headers
        await websocket.send(f"{headers.get('Origin')} {headers.get('X-Test')}")
    if path == "/authorization":
        headers = websocket.request_headers
        await websocket.send(f"{headers.get('Authorization')} {headers.get('Cookie')}")
    async for message in websocket:
        if path == "/fragments":
            await websocket.send(fragments(message))
        elif path == "/ping":
            await asyncio.wait_for(await websocket.ping(message), 10)
            await websocket.send("pong")
        elif path == "/cut":
            websocket.transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        elif path == "/close":
            code, reason = message.split(" ", 1)
            await websocket.close(int(code), reason)
        else:
            await websocket.send(message)


async def refuse(path, _headers):
    if path.startswith("/redirect?"):
        status, location = path[len("/redirect?") :].split("&", 1)
        return http.HTTPStatus(int(status)), [("Location", location)], b"elsewhere"
    if path.startswith("/refuse?"):
        challenges = [("WWW-Authenticate", 'Bearer realm="nest"'), ("WWW-Authenticate", 'Basic realm="nest"')]
        return http.HTTPStatus(int(path[len("/refuse?") :])), challenges, b"who are you?\n"
    return None


async def main():
    options = {"max_size": None, "subprotocols": ["echo.v1"], "compression": None, "process_request": refuse}
    if len(sys.argv) > 2:
        options["ssl"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        options["ssl"].load_cert_chain(sys.argv[1], sys.argv[2])
    if len(sys.argv) > 3:
        options["ssl"].load_verify_locations(sys.argv[3])
        options["ssl"].verify_mode = ssl.CERT_REQUIRED
    async with websockets.serve(handle, "127.0.0.1", 0, **options) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()


sys.stderr = open("/dev/null", "w")
asyncio.run(main())
