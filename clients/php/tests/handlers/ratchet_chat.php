<?php

// The shape of every Ratchet tutorial, start script included.

require __DIR__ . '/../../adapters/ratchet.php';

use Ratchet\ConnectionInterface;
use Ratchet\MessageComponentInterface;

class Chat implements MessageComponentInterface
{
    protected $clients;

    public function __construct()
    {
        $this->clients = new \SplObjectStorage();
    }

    public function onOpen(ConnectionInterface $conn)
    {
        parse_str($conn->httpRequest->getUri()->getQuery(), $query);
        $conn->name = $query['user'];
        $this->clients->attach($conn, ['since' => 1]);
        $conn->send("hello {$conn->name} #{$conn->resourceId} of {$conn->remoteAddress}, " . $conn->httpRequest->getHeader('Cookie')[0]);
    }

    public function onMessage(ConnectionInterface $from, $msg)
    {
        if ($msg === 'throw') {
            throw new \Exception('thrown');
        }
        if ($msg === 'error') {
            null_call();
        }
        foreach ($this->clients as $client) {
            if ($from !== $client) {
                $client->send("{$from->name}: $msg");
            }
        }
    }

    public function onClose(ConnectionInterface $conn)
    {
        $this->clients->detach($conn);
        foreach ($this->clients as $client) {
            $client->send("{$conn->name} left, " . count($this->clients) . ' here');
        }
    }

    public function onError(ConnectionInterface $conn, \Exception $e)
    {
        echo "error: {$e->getMessage()}\n";
        $conn->close();
    }
}

Ratchet\Server\IoServer::factory(new Ratchet\Http\HttpServer(new Ratchet\WebSocket\WsServer(new Chat())), 8080)->run();
