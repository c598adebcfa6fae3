// uWebSockets.js: / echoes, what comes on /publish goes to everybody on /topic. node uws.mjs PORT
import uws from "@trufflesuite/uws-js-unofficial";

const common = {
  compression: uws.DISABLED,
  maxPayloadLength: 16 * 1024 * 1024,
  maxBackpressure: 64 * 1024 * 1024,
  idleTimeout: 0,
  sendPingsAutomatically: false,
};
const app = uws.App();
app.ws("/topic", { ...common, open: (connection) => connection.subscribe("bench") });
app.ws("/publish", { ...common, message: (_, message, binary) => app.publish("bench", message, binary) });
app.ws("/*", { ...common, message: (connection, message, binary) => connection.send(message, binary) });
app.listen("127.0.0.1", Number(process.argv[2]), (listening) => {
  if (!listening) process.exit(1);
});
