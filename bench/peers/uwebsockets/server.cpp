// uWebSockets as its own echo example has it, without compression and timeouts: / echoes, what comes on /publish goes
// to everybody on /topic. peer-uwebsockets PORT

#include "App.h"

#include <cstdlib>
#include <string_view>

struct PerSocketData {};

template <typename Open, typename Message>
uWS::App::WebSocketBehavior<PerSocketData> behavior(Open open, Message message) {
    return {
        .compression = uWS::DISABLED,
        .maxPayloadLength = 16 * 1024 * 1024,
        .idleTimeout = 0,
        .maxBackpressure = 64 * 1024 * 1024,
        .sendPingsAutomatically = false,
        .open = open,
        .message = message,
    };
}

int main(int argc, char **argv) {
    if (argc != 2) {
        return 2;
    }
    uWS::App app;
    auto nothing = [](auto *, std::string_view, uWS::OpCode) {};
    app.ws<PerSocketData>("/topic", behavior([](auto *ws) { ws->subscribe("bench"); }, nothing));
    app.ws<PerSocketData>("/publish", behavior([](auto *) {}, [&app](auto *, std::string_view message, uWS::OpCode code) {
        app.publish("bench", message, code);
    }));
    app.ws<PerSocketData>("/*", behavior([](auto *) {}, [](auto *ws, std::string_view message, uWS::OpCode code) {
        ws->send(message, code);
    }));
    app.listen("127.0.0.1", std::atoi(argv[1]), [](auto *listening) {
        if (!listening) {
            std::exit(1);
        }
    });
    app.run();
}
