"""An echo server for the matrix, on the library of one's choice: echo_server.py LIBRARY compress|plain [CERTIFICATE KEY].

Prints the port it listens on.
"""

import asyncio
import ssl
import sys

library, compress = sys.argv[1], sys.argv[2] == "compress"
context = None
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
LIMIT = 64 << 20


async def websockets_server():
    import websockets

    async def echo(socket):
        async for message in socket:
            await socket.send(message)

    server = await websockets.serve(
        echo, "127.0.0.1", 0, ssl=context, max_size=LIMIT, compression="deflate" if compress else None
    )
    return server.sockets[0].getsockname()[1]


async def aiohttp_server():
    from aiohttp import WSMsgType, web

    async def echo(request):
        socket = web.WebSocketResponse(max_msg_size=LIMIT, compress=compress)
        await socket.prepare(request)
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                await socket.send_str(message.data)
            elif message.type == WSMsgType.BINARY:
                await socket.send_bytes(message.data)
        return socket

    application = web.Application()
    application.add_routes([web.get("/", echo)])
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    return site._server.sockets[0].getsockname()[1]


async def tornado_server():
    import tornado.httpserver
    import tornado.netutil
    import tornado.web
    import tornado.websocket

    class Echo(tornado.websocket.WebSocketHandler):
        def get_compression_options(self):
            return {} if compress else None

        def check_origin(self, origin):
            return True

        async def on_message(self, message):
            await self.write_message(message, binary=isinstance(message, bytes))

    application = tornado.web.Application([("/", Echo)], websocket_max_message_size=LIMIT)
    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
    tornado.httpserver.HTTPServer(application, ssl_options=context).add_sockets(sockets)
    return sockets[0].getsockname()[1]


async def autobahn_server():
    from autobahn.asyncio.websocket import WebSocketServerFactory, WebSocketServerProtocol
    from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept

    class Echo(WebSocketServerProtocol):
        def onMessage(self, payload, isBinary):
            self.sendMessage(payload, isBinary)

    def accept(offers):
        for offer in offers:
            if isinstance(offer, PerMessageDeflateOffer):
                return PerMessageDeflateOfferAccept(offer)
        return None

    factory = WebSocketServerFactory()
    factory.protocol = Echo
    if compress:
        factory.setProtocolOptions(perMessageCompressionAccept=accept)
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0, ssl=context)
    return server.sockets[0].getsockname()[1]


async def main():
    print(await globals()[library + "_server"](), flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
