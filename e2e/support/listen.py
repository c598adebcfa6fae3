"""Listens with the `websockets` package and prints what comes: listen.py URL."""

import asyncio
import sys

from websockets.asyncio.client import connect


async def main(url):
    async with connect(url, compression=None) as connection:
        print("open", flush=True)
        async for message in connection:
            print("received", repr(message), flush=True)


asyncio.run(asyncio.wait_for(main(sys.argv[1]), 60))
