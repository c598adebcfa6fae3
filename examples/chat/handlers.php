<?php

// A chat: everybody hears everybody. All connections are in one process, so its variables are the chat's.

require __DIR__ . '/../../clients/php/rupor.php';

use Rupor\Connection;
use Rupor\Worker;

const TEXT_BYTES_MAX = 2000;
const MESSAGES_KEPT = 50;

$worker = new Worker();
/** What was said last, for those who come later. */
$said = [];

$tell = fn (array $message) => $worker->toChannel('chat', json_encode($message));
$names = fn (): array => array_map(fn (Connection $connection) => $connection->name, $worker->connections());

$worker->onOpen(function (Connection $connection) use ($tell, $names, &$said) {
    // At most 20 characters of the name, each visible.
    preg_match('/^[^\pC]{1,20}/u', trim($connection->request->query('name') ?? ''), $name);
    $connection->name = $name[0] ?? 'guest';
    if ($connection->resumed) {
        return; // This process took over from another; for the connection nothing happened.
    }
    $connection->send(json_encode(['type' => 'before', 'messages' => $said]));
    $connection->subscribe('chat');
    $tell(['type' => 'came', 'name' => $connection->name, 'here' => $names()]);
});

$worker->onMessage(function (Connection $connection, string $text) use ($tell, &$said) {
    if (trim($text) === '' || strlen($text) > TEXT_BYTES_MAX) {
        $connection->send(json_encode(['type' => 'refused', 'why' => 'a message has 1 to ' . TEXT_BYTES_MAX . ' bytes']));
        return;
    }
    $message = ['type' => 'said', 'name' => $connection->name, 'text' => $text, 'at' => time()];
    $said = array_slice([...$said, $message], -MESSAGES_KEPT);
    $tell($message);
});

$worker->onClose(function (Connection $connection) use ($tell, $names) {
    $tell(['type' => 'left', 'name' => $connection->name, 'here' => $names()]);
});

$worker->run();
