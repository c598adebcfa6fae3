<?php

// The shape of that library's chat2: names are unique over all workers, because one master keeps them.

namespace Site\Names;

require __DIR__ . '/../../adapters/morozovsk.php';

class Master extends \morozovsk\websocket\Daemon
{
    private $names = [];

    protected function onServiceMessage($connectionId, $packet)
    {
        [$name, $client] = json_decode($packet);
        $free = !in_array($name, $this->names);
        if ($free) {
            $this->names[] = $name;
            foreach ($this->services as $workerId => $worker) {
                if ($workerId !== $connectionId) {
                    $this->sendToService($workerId, json_encode([$name, -1, true]));
                }
            }
        }
        $this->sendToService($connectionId, json_encode([$name, $client, $free]));
    }
}

class Handler extends \morozovsk\websocket\Daemon
{
    protected function onMessage($connectionId, $data, $type)
    {
        $this->sendToMaster(json_encode([$data, $connectionId]));
    }

    protected function onMasterMessage($packet)
    {
        [$name, $client, $free] = json_decode($packet);
        if (isset($this->clients[$client])) {
            $this->sendToClient($client, $free ? "you are $name" : "$name is taken");
        } else {
            foreach ($this->clients as $other) {
                $this->sendToClient($other, "$name came");
            }
        }
    }
}

(new \morozovsk\websocket\Server(['class' => Handler::class, 'masterClass' => Master::class]))->start();
