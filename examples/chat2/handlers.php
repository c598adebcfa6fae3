<?php

// A chat over several processes: names are unique across them, and whoever floods is slowed down.

require __DIR__ . '/../../clients/php/rupor.php';

use Rupor\Connection;
use Rupor\Worker;

const TEXT_BYTES_MAX = 2000;
/** So many messages may come at once; one more every second. */
const BURST = 5;
/** Whoever goes on after so many refusals is closed. */
const REFUSALS_MAX = 20;

$worker = new Worker();

$tell = fn (array $message) => $worker->toChannel('chat', json_encode($message));

/**
 * Takes a name if nobody has it. A name is a channel with one subscriber: the gateway counts subscribers across all
 * processes, and its own count has no gap between looking and taking. When two ask at the same time, neither gets it.
 * A name is free again when its connection is gone, even if this process is, too.
 */
$take = function (Connection $connection, string $name) use ($worker): bool {
    $channel = 'name:' . bin2hex(strtolower($name)); // a channel's name has no spaces
    $connection->subscribe($channel);
    if ($worker->subscribers($channel) !== 1) {
        $connection->unsubscribe($channel);
        return false;
    }
    return true;
};

/** Whether one more message may pass now. */
$mayPass = function (Connection $connection): bool {
    $now = microtime(true);
    $connection->allowance = min(BURST, $connection->allowance + $now - $connection->checkedAt);
    $connection->checkedAt = $now;
    if ($connection->allowance < 1) {
        $connection->refusals++;
        return false;
    }
    $connection->allowance--;
    $connection->refusals = 0;
    return true;
};

$worker->onOpen(function (Connection $connection) use ($worker) {
    $connection->allowance = BURST;
    $connection->checkedAt = microtime(true);
    $connection->refusals = 0;
    // What was attached is all that another process knows of it.
    $connection->name = $connection->attached['name'] ?? null;
    if (!$connection->resumed) {
        $connection->send(json_encode(['type' => 'worker', 'number' => $worker->number() + 1, 'of' => $worker->workers()]));
    }
});

$worker->onMessage(function (Connection $connection, string $text) use ($worker, $tell, $take, $mayPass) {
    $answer = fn (array $message) => $connection->send(json_encode($message));
    if (!$mayPass($connection)) {
        if ($connection->refusals > REFUSALS_MAX) {
            $connection->close(4008, 'flooding');
        } else {
            $answer(['type' => 'flood', 'why' => 'too fast: wait a second']);
        }
        return;
    }
    if ($connection->name !== null) {
        if (trim($text) === '' || strlen($text) > TEXT_BYTES_MAX) {
            $answer(['type' => 'refused', 'why' => 'a message has 1 to ' . TEXT_BYTES_MAX . ' bytes']);
        } else {
            $tell(['type' => 'said', 'name' => $connection->name, 'text' => $text, 'worker' => $worker->number() + 1]);
        }
        return;
    }
    // The first message is the name.
    if (!preg_match('/^[\pL\pN _-]{1,20}$/uD', $text) || trim($text) !== $text) {
        $answer(['type' => 'name', 'why' => 'a name has 1 to 20 letters, digits, spaces, _ and -']);
    } elseif (!$take($connection, $text)) {
        $answer(['type' => 'name', 'why' => "$text is taken"]);
    } else {
        $connection->name = $text;
        $connection->attach(['name' => $text]);
        $connection->subscribe('chat');
        $answer(['type' => 'welcome', 'name' => $text]);
        $tell(['type' => 'came', 'name' => $text, 'here' => $worker->subscribers('chat')]);
    }
});

$worker->onClose(function (Connection $connection) use ($worker, $tell) {
    if ($connection->name !== null) {
        $tell(['type' => 'left', 'name' => $connection->name, 'here' => $worker->subscribers('chat')]);
    }
});

$worker->run();
