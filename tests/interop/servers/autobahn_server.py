"""A small stand-in for the Autobahn fuzzing server: the same URLs, fewer cases, the same strictness.

autobahn_server.py TESTEE   runs `TESTEE ws://127.0.0.1:PORT tern` against itself, judges every case, and exits with
                            status 0 if all of them passed; then the cases of compression once more with each offer.
                            With --plain: the cases without compression, and nothing is offered.

A case sends frames and says what has to come back: messages, pongs, and the close code with which the testee ends. The
codec here is written for this file alone.
"""

import asyncio
import base64
import hashlib
import struct
import sys
import urllib.parse
import zlib

TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def frame(opcode, payload=b"", fin=True, rsv=0):
    if isinstance(payload, str):
        payload = payload.encode()
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if len(payload) <= 125:
        head += bytes([len(payload)])
    elif len(payload) <= 0xFFFF:
        head += struct.pack("!BH", 126, len(payload))
    else:
        head += struct.pack("!BQ", 127, len(payload))
    return head + payload


def close(code=None, reason=b""):
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


class Case:
    """What is sent, how it is cut (0: not at all), what has to come back, and the close code expected from the testee.

    `ends` is None where the testee has no reason to end: then the server closes with 1000 and wants 1000 back.
    """

    def __init__(self, name, send, expect, ends=None, cut=0, answer=None):
        """`answer`: of the parameters of permessage-deflate, as a function of what was offered; None: no compression."""
        self.name, self.send, self.expect, self.ends, self.cut = name, send, expect, ends, cut
        self.answer = answer


def echoes(section):
    for opcode, unit in ((TEXT, b"*"), (BINARY, b"\xfe")):
        for size in (0, 125, 126, 127, 128, 65535, 65536):
            payload = unit * size
            yield Case(f"{section} echo {opcode} {size}", frame(opcode, payload), [(opcode, payload)])
        payload = unit * 65536
        yield Case(f"{section} echo {opcode} cut into 997", frame(opcode, payload), [(opcode, payload)], cut=997)


def pings():
    for payload in (b"", b"ping", b"\x00\xff\xfe\xfd", b"\xfe" * 125):
        yield Case(f"2 ping {len(payload)}", frame(PING, payload), [(PONG, payload)])
    yield Case("2 ping octet-wise", frame(PING, b"\xfe" * 125), [(PONG, b"\xfe" * 125)], cut=1)
    yield Case("2 ping 126", frame(PING, b"\xfe" * 126), [], 1002)
    yield Case("2 unsolicited pong", frame(PONG, b"x") + frame(PING, b"y"), [(PONG, b"y")])
    many = [b"payload-%d" % i for i in range(10)]
    for cut in (0, 1):
        sent = b"".join(frame(PING, one) for one in many)
        yield Case(f"2 ten pings, cut {cut}", sent, [(PONG, one) for one in many], cut=cut)


def reserved():
    hello = frame(TEXT, "hello")
    for rsv in range(1, 8):
        yield Case(f"3 rsv {rsv}", hello + frame(TEXT, "x", rsv=rsv) + hello, [(TEXT, b"hello")], 1002)
    yield Case("3 rsv on ping", hello + frame(PING, "x", rsv=5), [(TEXT, b"hello")], 1002)
    yield Case("3 rsv on close", frame(CLOSE, b"", rsv=7), [], 1002)
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield Case(f"4 opcode {opcode}", hello + frame(opcode, "x") + hello, [(TEXT, b"hello")], 1002)


def fragmentation():
    one, two = frame(TEXT, "frag1", fin=False), frame(CONT, "frag2")
    whole = (TEXT, b"frag1frag2")
    yield Case("5 fragmented ping", frame(PING, "x", fin=False) + frame(CONT, "y"), [], 1002)
    for cut in (0, 1):
        yield Case(f"5 two fragments, cut {cut}", one + two, [whole], cut=cut)
        sent = one + frame(PING, "between") + two
        yield Case(f"5 ping in between, cut {cut}", sent, [(PONG, b"between"), whole], cut=cut)
    yield Case("5 empty fragments", frame(TEXT, "", fin=False) + frame(CONT, "", fin=False) + frame(CONT, ""), [(TEXT, b"")])
    yield Case("5 continuation without a start", frame(CONT, "x") + one + two, [], 1002)
    yield Case("5 continuation after the end", one + two + frame(CONT, "x"), [whole], 1002)
    yield Case("5 unfinished continuation without a start", frame(CONT, "x", fin=False), [], 1002)
    yield Case("5 text inside text", one + frame(TEXT, "x"), [], 1002)
    yield Case("5 binary inside text", one + frame(BINARY, "x", fin=False), [], 1002)
    sent = b"".join([one] + [frame(CONT, "c", fin=False)] * 50 + [frame(PING, "p"), two])
    yield Case("5 fifty fragments", sent, [(PONG, b"p"), (TEXT, b"frag1" + b"c" * 50 + b"frag2")])


def utf8():
    greek = "κόσμε".encode()
    valid = [b"", "Hello-µ@ßöäüàá-UTF-8!!".encode(), greek, b"\xf4\x8f\xbf\xbf", b"\xef\xbf\xbe", b"\xed\x9f\xbf",
             b"\xee\x80\x80", b"\xf0\x90\x80\x80", b"\x00", b"\x7f", b"\xc2\x80", b"\xe0\xa0\x80", b"\xef\xbf\xbf"]
    for text in valid:
        for cut in (0, 1):
            yield Case(f"6 valid {text!r}, cut {cut}", frame(TEXT, text), [(TEXT, text)], cut=cut)
        sent = b"".join(frame(TEXT if i == 0 else CONT, text[i : i + 1], fin=False) for i in range(max(1, len(text))))
        yield Case(f"6 valid {text!r}, a fragment a byte", sent + frame(CONT, b""), [(TEXT, text)])
    invalid = [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xf7\xbf\xbf\xbf", b"\x80",
               b"\xbf\xbf", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf",
               b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\x80\xed\xb0\x80", b"\xfe", b"\xff", b"\xc3", b"\xe2\x82",
               greek + b"\xed\xa0\x80edited"]
    for text in invalid:
        for cut in (0, 1):
            yield Case(f"6 invalid {text!r}, cut {cut}", frame(TEXT, text), [], 1007, cut=cut)
        yield Case(f"6 invalid {text!r}, fragments", frame(TEXT, text[:1], fin=False) + frame(CONT, text[1:]), [], 1007)
    # Fails at the impossible byte: the rest of the frame never comes.
    for text in (b"\xf4\x90", b"\xed\xa0", b"ok\xff", greek + b"\xc0"):
        sent = frame(TEXT, text + b"\x80" * 1000)[: 4 + len(text)]
        yield Case(f"6 fails fast {text!r}", sent, [], 1007)


def closing():
    hello = frame(TEXT, "hello")
    yield Case("7 close after a message", hello + close(1000), [(TEXT, b"hello")], 1000)
    yield Case("7 two closes", close(1000) + close(1001), [], 1000)
    yield Case("7 ping after close", close(1000) + frame(PING, "x"), [], 1000)
    yield Case("7 message after close", close(1000) + hello, [], 1000)
    yield Case("7 close inside a message", frame(TEXT, "x", fin=False) + close(1000) + frame(CONT, "y"), [], 1000)
    yield Case("7 empty close", close(), [], 0)
    yield Case("7 one byte", frame(CLOSE, b"x"), [], 1002)
    yield Case("7 reason of 123 bytes", close(1000, b"*" * 123), [], 1000)
    yield Case("7 reason of 124 bytes", close(1000, b"*" * 124), [], 1002)
    yield Case("7 reason not UTF-8", close(1000, b"\xce\xba\xed\xa0\x80"), [], 1007)
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
        yield Case(f"7 code {code}", close(code), [], code)
    for code in (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535):
        yield Case(f"7 invalid code {code}", close(code), [], 1002)


def large():
    for opcode in (TEXT, BINARY):
        for size in (1 << 18, 1 << 20, 4 << 20):
            payload = b"*" * size
            yield Case(f"9 {opcode} of {size}", frame(opcode, payload), [(opcode, payload)])
    payload = bytes(range(256)) * 4096
    pieces = [payload[i : i + 4096] for i in range(0, len(payload), 4096)]
    sent = b"".join(frame(BINARY if i == 0 else CONT, one, fin=i + 1 == len(pieces)) for i, one in enumerate(pieces))
    yield Case("9 1 MiB in fragments of 4 KiB", sent, [(BINARY, payload)])
    yield Case("9 256 KiB, 64 bytes at a time", frame(TEXT, b"*" * (1 << 18)), [(TEXT, b"*" * (1 << 18))], cut=64)
    sent = b"".join(frame(TEXT, b"*" * 16) for _ in range(1000))
    yield Case("9 a thousand messages", sent, [(TEXT, b"*" * 16)] * 1000)
    yield Case("10 fragments of an answer", frame(TEXT, b"*" * 65536), [(TEXT, b"*" * 65536)], cut=1300)


def offered(request):
    """The offers of permessage-deflate, each a dict of parameters (None: without a value)."""
    value = next((line[26:] for line in request.split("\r\n") if line.startswith("Sec-WebSocket-Extensions: ")), "")
    offers = []
    for offer in value.split(","):
        name, *parameters = [part.strip() for part in offer.split(";")]
        if name == "permessage-deflate":
            pairs = [(one.split("=") + [None])[:2] for one in parameters]
            offers.append({key: bits and int(bits) for key, bits in pairs})
    return offers


def accepting(alone=False, bits=0):
    """A server that accepts the first offer it can, and wants of the client what it is told here."""

    def answer(offers):
        for offer in offers:
            if bits and "client_max_window_bits" not in offer:
                continue
            parameters = {}
            if "server_no_context_takeover" in offer:
                parameters["server_no_context_takeover"] = None
            if "server_max_window_bits" in offer:
                parameters["server_max_window_bits"] = offer["server_max_window_bits"]
            if alone:
                parameters["client_no_context_takeover"] = None
            if bits:
                parameters["client_max_window_bits"] = min(bits, offer["client_max_window_bits"] or 15)
            return parameters
        return None

    return answer


class Deflated:
    """A message to be compressed when the parameters are known. `split`: into fragments of so many bytes."""

    def __init__(self, opcode, payload, split=0, final_block=False):
        self.opcode, self.payload, self.split, self.final_block = opcode, payload, split, final_block

    def frames(self, codec):
        data = codec.compress(self.payload, self.final_block)
        if not self.split:
            return frame(self.opcode, data, rsv=4)
        pieces = [data[i : i + self.split] for i in range(0, len(data), self.split)]
        out = b""
        for i, piece in enumerate(pieces):
            out += frame(CONT if i else self.opcode, piece, fin=i + 1 == len(pieces), rsv=0 if i else 4)
        return out


class Codec:
    """permessage-deflate on the server's side."""

    def __init__(self, parameters, offer):
        self.server_alone = "server_no_context_takeover" in parameters
        self.client_alone = "client_no_context_takeover" in parameters or "client_no_context_takeover" in offer
        self.server_bits = parameters.get("server_max_window_bits", 15)
        client_bits = parameters.get("client_max_window_bits", offer.get("client_max_window_bits") or 15)
        self.client_bits = client_bits or 15
        self.deflater = self.inflater = None

    def compress(self, payload, final_block=False):
        if self.deflater is None or self.server_alone:
            self.deflater = zlib.compressobj(6, zlib.DEFLATED, -max(9, self.server_bits))
        if not payload:
            return b"\0"
        data = self.deflater.compress(payload)
        if final_block:
            data += self.deflater.flush(zlib.Z_FINISH) + b"\0"
            self.deflater = None
            return data
        return (data + self.deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def inflate(self, data):
        if self.inflater is None or self.client_alone:
            self.inflater = zlib.decompressobj(-self.client_bits)
        return self.inflater.decompress(data + b"\0\0\xff\xff")


PROSE = b"".join(b"{\"id\": %d, \"name\": \"tern %d\", \"price\": %d.5}, " % (i, i * 7919 % 1000, i * 31 % 97) for i in range(3000))
NOISE = b"".join(hashlib.sha1(b"%d" % i).digest() for i in range(7000))


def compressed():
    """In the spirit of sections 12 (kinds of data and sizes) and 13 (parameters)."""
    kinds = (("text", TEXT, PROSE), ("noise", BINARY, NOISE), ("zeros", BINARY, b"\0" * 200000), ("ascii", TEXT, b"*" * 200000))
    for name, opcode, data in kinds:
        for size in (16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072):
            for split in (0, 256):
                messages = [data[i * 7 : i * 7 + size] for i in range(8)]
                send = [Deflated(opcode, one, split) for one in messages]
                yield Case(f"12 {name} {size} split {split}", send, [(opcode, one) for one in messages], answer=accepting())
    for alone in (False, True):
        for bits in (0, 9, 15):
            for size in (16, 256, 4096, 65536):
                messages = [PROSE[i * 13 : i * 13 + size] for i in range(10)]
                send = [Deflated(TEXT, one) for one in messages]
                yield Case(f"13 alone {alone}, {bits} bits, {size}", send, [(TEXT, one) for one in messages],
                           answer=accepting(alone, bits))
    hello = (TEXT, b"Hello")
    yield Case("13 plain and compressed", [Deflated(TEXT, b"Hello"), frame(TEXT, "Hello"), Deflated(TEXT, b"Hello")],
               [hello] * 3, answer=accepting())
    yield Case("13 empty", [Deflated(TEXT, b""), Deflated(TEXT, b"Hello")], [(TEXT, b""), hello], answer=accepting())
    yield Case("13 final block", [Deflated(TEXT, b"Hello", final_block=True), Deflated(TEXT, b"Hello")], [hello] * 2,
               answer=accepting())
    yield Case("13 octet-wise", [Deflated(TEXT, PROSE[:2000])], [(TEXT, PROSE[:2000])], cut=1, answer=accepting())
    yield Case("13 rsv1 on ping", [frame(PING, "x", rsv=4)], [], 1002, answer=accepting())
    yield Case("13 rsv1 on a continuation", [frame(TEXT, "x", fin=False), frame(CONT, "x", rsv=4)], [], 1002,
               answer=accepting())
    yield Case("13 rsv2", [frame(TEXT, "x", rsv=2)], [], 1002, answer=accepting())
    yield Case("13 not deflate", [frame(TEXT, b"\x07\x07\x07", rsv=4)], [], 1007, answer=accepting())
    yield Case("13 not UTF-8 inside", [Deflated(TEXT, b"Hello\xff")], [], 1007, answer=accepting())
    yield Case("13 bomb", [Deflated(BINARY, bytes(70 << 20))], [], 1009, answer=accepting())


CASES = [*echoes("1"), *pings(), *reserved(), *fragmentation(), *utf8(), *closing(), *large(), *compressed()]
FIRST_COMPRESSED = next(i for i, case in enumerate(CASES, 1) if case.answer)


class Testee:
    """The testee's end of one connection: frames in, judged for form."""

    def __init__(self, reader, writer, codec=None):
        self.reader, self.writer = reader, writer
        self.message = None
        self.codec = codec

    async def frame(self):
        first, second = await self.reader.readexactly(2)
        assert second & 0x80, "a frame of the testee is not masked"
        assert first & 0x30 == 0, "a frame of the testee has reserved bits"
        assert first & 0x40 == 0 or (self.codec and first & 0x0F in (TEXT, BINARY)), "RSV1 where it must not be"
        length = second & 0x7F
        if length == 126:
            length = struct.unpack("!H", await self.reader.readexactly(2))[0]
            assert length > 125, "a length of the testee is not minimal"
        elif length == 127:
            length = struct.unpack("!Q", await self.reader.readexactly(8))[0]
            assert length > 0xFFFF, "a length of the testee is not minimal"
        key = await self.reader.readexactly(4)
        payload = await self.reader.readexactly(length)
        mask = (key * (length // 4 + 1))[:length]
        payload = (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(length, "big")
        return first & 0x80 != 0, first & 0x0F, payload, first & 0x40 != 0

    async def event(self):
        """The next message, pong or close."""
        while True:
            fin, opcode, payload, deflated = await self.frame()
            if opcode in (CLOSE, PING, PONG):
                assert fin and len(payload) <= 125, "a control frame of the testee is malformed"
                return opcode, payload
            assert (opcode == CONT) == (self.message is not None), "fragments of the testee are out of order"
            kind, before, deflated = self.message or (opcode, b"", deflated)
            self.message = (kind, before + payload, deflated)
            if fin:
                (kind, whole, deflated), self.message = self.message, None
                return kind, self.codec.inflate(whole) if deflated else whole


async def play(case, testee):
    async def send():
        data = case.send
        if not isinstance(data, bytes):
            data = b"".join(one if isinstance(one, bytes) else one.frames(testee.codec) for one in data)
        step = case.cut or len(data)
        for at in range(0, len(data), step):
            testee.writer.write(data[at : at + step])
            await testee.writer.drain()
            if case.cut:
                await asyncio.sleep(0)
        if case.ends is None and not case.expect:
            testee.writer.write(close(1000))

    sending = asyncio.create_task(send())
    try:
        for expected in case.expect:
            event = await testee.event()
            if event != expected:
                return f"expected {expected[0]} {expected[1][:40]!r}, got {event[0]} {event[1][:40]!r}"
        await sending
        if case.ends is None:
            testee.writer.write(close(1000))
        opcode, payload = await testee.event()
        code = struct.unpack("!H", payload[:2])[0] if payload else 0
        wanted = 1000 if case.ends is None else case.ends
        if opcode != CLOSE or code != wanted:
            return f"expected a Close with {wanted}, got {opcode} with {code}"
        payload[2:].decode()
        return None
    finally:
        sending.cancel()


class Server:
    def __init__(self):
        self.verdicts = {}
        self.reported = asyncio.Event()

    async def serve(self, reader, writer):
        try:
            await self.converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def converse(self, reader, writer):
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        target = urllib.parse.urlsplit(request.split()[1])
        key = next(line[19:] for line in request.split("\r\n") if line.startswith("Sec-WebSocket-Key: "))
        digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n"
        )
        codec = None
        if target.path == "/runCase":
            codec = self.negotiate(CASES[int(urllib.parse.parse_qs(target.query)["case"][0]) - 1], request, writer)
        writer.write(b"\r\n")
        testee = Testee(reader, writer, codec)
        if target.path == "/getCaseCount":
            writer.write(frame(TEXT, str(len(CASES))))
        if target.path == "/runCase":
            number = int(urllib.parse.parse_qs(target.query)["case"][0])
            await self.judge(number, testee)
            return
        writer.write(close(1000))
        await testee.event()
        if target.path == "/updateReports":
            self.reported.set()

    def negotiate(self, case, request, writer):
        offers = offered(request)
        parameters = case.answer(offers) if case.answer else None
        if parameters is None:
            return None
        offer = next(one for one in offers if case.answer([one]) == parameters)
        text = "".join(f"; {key}" if bits is None else f"; {key}={bits}" for key, bits in parameters.items())
        writer.write(f"Sec-WebSocket-Extensions: permessage-deflate{text}\r\n".encode())
        return Codec(parameters, offer)

    async def judge(self, number, testee):
        verdict = "no answer in time"
        try:
            verdict = await asyncio.wait_for(play(CASES[number - 1], testee), 30)
        except AssertionError as error:
            verdict = str(error)
        except asyncio.IncompleteReadError:
            verdict = "the testee ended the connection too early"
        except asyncio.TimeoutError:
            pass
        self.verdicts[number] = verdict


async def run(testee, variant, first, last=None):
    """Plays the cases from `first` to `last`; the number of failures. Without a variant nothing is offered."""
    judge = Server()
    server = await asyncio.start_server(judge.serve, "127.0.0.1", 0, limit=128 << 20)
    port = server.sockets[0].getsockname()[1]
    last = last or len(CASES)
    options = [f"--offer={variant}"] if variant else []
    process = await asyncio.create_subprocess_exec(
        testee, *options, f"ws://127.0.0.1:{port}", "tern test", str(first), str(last), stdout=asyncio.subprocess.DEVNULL
    )
    status = await process.wait()
    failed = 0
    for number, case in enumerate(CASES[first - 1 : last], first):
        verdict = judge.verdicts.get(number, "was not run")
        if verdict:
            failed += 1
            print(f"FAILED {number} {case.name}: {verdict}")
    print(f"offer {variant}: {last - first + 1 - failed} cases passed, {failed} failed")
    return failed + (1 if status or not judge.reported.is_set() else 0)


async def main(testee, plain=False):
    if plain:
        return 1 if await run(testee, None, 1, FIRST_COMPRESSED - 1) else 0
    failed = await run(testee, "default", 1)
    for variant in ("alone", "small", "several"):
        failed += await run(testee, variant, FIRST_COMPRESSED)
    return 1 if failed else 0


sys.exit(asyncio.run(main(sys.argv[1], "--plain" in sys.argv[2:])))
