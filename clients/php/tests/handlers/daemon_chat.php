<?php

// The shape of that library's chats: everybody hears everybody, the site sends to one user by a line.

namespace Site\Chat;

require __DIR__ . '/../../adapters/morozovsk.php';

class Handler extends \morozovsk\websocket\Daemon
{
    public $userIds = [];

    protected function onStart()
    {
        echo 'started as ', $this->pid, "\n";
    }

    protected function onOpen($connectionId, $info)
    {
        parse_str(explode('?', $info['GET'])[1], $query);
        $this->userIds[$connectionId] = $query['userId'];
        $address = stream_socket_get_name($this->clients[$connectionId], true);
        $this->sendToClient($connectionId, "you are #$connectionId from $address, {$info['Host']}, {$info['X-Real-IP']}, {$info['Cookie']}");
    }

    protected function onClose($connectionId)
    {
        unset($this->userIds[$connectionId]);
        $this->tell("#$connectionId left, " . (count($this->clients) - 1) . ' here');
    }

    protected function onMessage($connectionId, $data, $type)
    {
        if ($data === 'bye') {
            $this->close($connectionId);
            return;
        }
        $this->tell("#$connectionId: $data ($type)");
    }

    protected function onServiceMessage($connectionId, $data)
    {
        $line = json_decode($data);
        foreach ($this->userIds as $clientId => $userId) {
            if ($line->userId == $userId) {
                $this->sendToClient($clientId, $line->message);
            }
        }
        $this->sendToService($connectionId, 'taken');
    }

    protected function onTimer()
    {
        $this->tell('tick');
    }

    private function tell($message)
    {
        // Both as key and as value, as handlers do.
        foreach ($this->clients as $clientId => $client) {
            $this->sendToClient($client, $message);
        }
    }
}

$server = new \morozovsk\websocket\Server(['class' => Handler::class, 'timer' => 0.1, 'websocket' => 'tcp://127.0.0.1:8004', 'pid' => '/tmp/none.pid']);
$server->start();
