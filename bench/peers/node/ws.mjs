// ws without compression, with the native helper that its documentation recommends. / echoes, what comes on /publish
// goes to everybody on /topic, as its broadcast example has it. node ws.mjs PORT
import { WebSocket, WebSocketServer } from "ws";

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  perMessageDeflate: false,
  maxPayload: 16 * 1024 * 1024,
});
const subscribers = new Set();

server.on("connection", (connection, request) => {
  const path = request.url.split("?")[0];
  connection.on("error", () => {});
  if (path === "/topic") {
    subscribers.add(connection);
    connection.on("close", () => subscribers.delete(connection));
  } else if (path === "/publish") {
    connection.on("message", (message, binary) => {
      for (const subscriber of subscribers) {
        if (subscriber.readyState === WebSocket.OPEN) subscriber.send(message, { binary });
      }
    });
  } else {
    connection.on("message", (message, binary) => connection.send(message, { binary }));
  }
});
