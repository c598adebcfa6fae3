"""A client with the `websockets` package that offers permessage-deflate: deflated.py talk|listen URL OFFER.

OFFER is a JSON object with the parameters. Prints what was agreed to. `talk` sends messages to an echo and prints ok when
each came back; `listen` prints each message as JSON until the connection ends.
"""

import asyncio
import json
import os
import sys

from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory


def letters(count, seed):
    """Letters that do not repeat soon, the same each time."""
    made = []
    for _ in range(count):
        seed = (seed * 1103515245 + 12345) % 2147483648
        made.append("abcdefghijklmnop"[seed >> 20 & 15])
    return "".join(made)


async def talk(connection):
    texts = ["", "text", "Привет, 世界", "x" * 65_536, letters(60_000, 1), letters(60_000, 1)]
    # The end of one message is the beginning of the next, at every distance that a window has.
    for bits in range(8, 16):
        block = letters(1 << bits, bits)
        texts += [block, block + block, block[:300]]
    for message in [*texts, b"", os.urandom(65_536), *texts]:
        await connection.send(message)
        assert await connection.recv() == message, len(message)

    # Sent as fragments, back as one message.
    await connection.send(["in ", "three ", "parts"])
    assert await connection.recv() == "in three parts"
    await (await connection.ping(b"payload"))

    # Many on their way at once come back in order.
    many = [json.dumps({"type": "message", "number": i, "text": f"the price is {i * 37 % 90}"}) for i in range(300)]
    for message in many:
        await connection.send(message)
    assert [await connection.recv() for _ in many] == many
    print("ok", flush=True)


async def listen(connection):
    async for message in connection:
        print("received", json.dumps(message), flush=True)


async def main(how, url, offer):
    extensions = [ClientPerMessageDeflateFactory(**json.loads(offer))]
    async with connect(url, compression=None, extensions=extensions, max_size=None) as connection:
        print("agreed", connection.response.headers["Sec-WebSocket-Extensions"], flush=True)
        await {"talk": talk, "listen": listen}[how](connection)


asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 60))
