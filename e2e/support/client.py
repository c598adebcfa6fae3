"""A client with the `websockets` package against an echo server: client.py URL. Prints ok."""

import asyncio
import os
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedOK


async def main(url):
    async with connect(url, compression=None, max_size=None) as connection:
        for message in ["", "text", "Привет, 世界", "x" * 65_536, b"", os.urandom(65_536)]:
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
        try:
            await connection.recv()
        except ConnectionClosedOK:
            pass
        except Exception as error:
            assert "4000" in str(error), error
        assert connection.close_code == 4000, connection.close_code


asyncio.run(asyncio.wait_for(main(sys.argv[1]), 15))
print("ok")
