"""picows on uvloop, with the core interface that its documentation has for speed. / echoes, what comes on /publish
goes to everybody on /topic. python picows_server.py PORT"""

import asyncio
import sys

import uvloop
from picows import WSListener, WSMsgType, ws_create_server

subscribers = set()


class Echo(WSListener):
    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY):
            transport.send(frame.msg_type, frame.get_payload_as_memoryview())


class Subscriber(WSListener):
    def on_ws_connected(self, transport):
        self.transport = transport
        subscribers.add(transport)

    def on_ws_disconnected(self, transport):
        subscribers.discard(transport)


class Publisher(WSListener):
    def on_ws_frame(self, transport, frame):
        if frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY):
            payload = frame.get_payload_as_bytes()
            for subscriber in subscribers:
                subscriber.send(frame.msg_type, payload)


def listener(request):
    path = request.path.split(b"?")[0]
    return {b"/topic": Subscriber, b"/publish": Publisher}.get(path, Echo)()


async def main():
    server = await ws_create_server(listener, "127.0.0.1", int(sys.argv[1]), max_frame_size=16 * 1024 * 1024)
    await server.serve_forever()


uvloop.run(main())
