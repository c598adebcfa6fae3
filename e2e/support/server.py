"""A server with the `websockets` package for one client that sends back what comes: server.py HOW.

Prints where it listens, and ok when everything came back. HOW is what of permessage-deflate it
agrees to: plain, compressed, alone, small-windows.
"""

import asyncio
import os
import sys

from websockets.asyncio.server import serve
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

AGREEMENTS = {
    "plain": None,
    "compressed": ServerPerMessageDeflateFactory(),
    "alone": ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True),
    "small-windows": ServerPerMessageDeflateFactory(server_max_window_bits=9, client_max_window_bits=9),
}


async def talk(connection):
    assert bool(connection.protocol.extensions) == (AGREEMENTS[sys.argv[1]] is not None)
    text = "".join(str(i * i % 7919) for i in range(60_000))
    for message in ["", "text", "Привет, 世界", "x" * 65_536, text, b"", os.urandom(65_536), text]:
        await connection.send(message)
        assert await connection.recv() == message, len(message)

    # Sent as fragments, back as one message.
    await connection.send(["in ", "three ", "parts"])
    assert await connection.recv() == "in three parts"

    await (await connection.ping(b"payload"))

    # Many on their way at once come back in order.
    many = [f"message {i}" for i in range(300)]
    for message in many:
        await connection.send(message)
    assert [await connection.recv() for _ in many] == many

    await connection.close(4000, "done")
    assert connection.close_code == 4000, connection.close_code


async def main():
    ended = asyncio.get_running_loop().create_future()

    async def handle(connection):
        try:
            await talk(connection)
        except BaseException as error:
            ended.set_exception(error)
        else:
            ended.set_result(None)

    agreement = AGREEMENTS[sys.argv[1]]
    extensions = [agreement] if agreement else []
    async with serve(handle, "127.0.0.1", 0, compression=None, extensions=extensions, max_size=None) as server:
        host, port = server.sockets[0].getsockname()
        print(f"listening on {host}:{port}", flush=True)
        await ended


asyncio.run(asyncio.wait_for(main(), 15))
print("ok")
