<?php

// Says everything that there is to say, once.

require __DIR__ . '/../../rupor.php';

$worker = new Rupor\Worker();
$worker->onOpen(function (Rupor\Connection $connection) use ($worker): void {
    $connection->subscribe('news');
    $connection->unsubscribe('news');
    $connection->user('boris');
    $connection->attach(['name' => 'ü', 'n' => [1, null]]);
    $connection->close(4000, 'go');
    $worker->toUser(42, 'to a user');
    $worker->toUsers(['a', 'b'], 'to two', $connection);
    $worker->toChannel('news', 'to a channel');
    $worker->toAll('to all', $connection);
    $worker->disconnect('anna', 1000, 'bye');
    $worker->tell('to the others');
    $worker->tell('to one', 2);
    $worker->reply(9, 'a line');
})->run();
