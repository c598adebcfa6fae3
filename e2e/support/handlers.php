<?php
// Handlers that do what a message tells them.

require __DIR__ . '/../../clients/php/rupor.php';

use Rupor\Connection;
use Rupor\Refused;
use Rupor\Upgrade;
use Rupor\Worker;

ini_set('memory_limit', '128M');
$worker = new Worker();
$leak = [];

$worker->onUpgrade(function (Upgrade $upgrade) {
    if ($upgrade->request->query('refuse') !== null) {
        $upgrade->refuse(403, 'not you');
    }
    if ($user = $upgrade->request->query('as')) {
        $upgrade->user($user);
        $upgrade->subscribe('members');
    }
});

$worker->onOpen(function (Connection $connection) use ($worker) {
    if ($connection->request->query('open') === 'exit') {
        exit(4);
    }
    if ($connection->request->query('about')) {
        $connection->send(json_encode([
            'worker' => $worker->number(),
            'path' => $connection->request->path(),
            'query' => $connection->request->query('about'),
            'agent' => $connection->request->header('user-agent'),
            'cookie' => $connection->request->cookie('session'),
            'user' => $connection->user,
            'id' => $connection->id,
        ]));
    }
    if ($connection->resumed) {
        $connection->send('resumed ' . json_encode($connection->attached));
    }
});

$worker->onMessage(function (Connection $connection, string $message, bool $binary) use ($worker, &$leak) {
    if ($binary) {
        $connection->sendBinary(strrev($message));
        return;
    }
    [$word, $rest] = explode(' ', $message, 2) + [1 => ''];
    match ($word) {
        'say' => $connection->send($rest),
        'pid' => $connection->send((string) getmypid()),
        'worker' => $connection->send((string) $worker->number()),
        'user' => $connection->user($rest),
        'to' => $worker->toUser(strtok($rest, ' '), strtok('')),
        'join' => $connection->subscribe($rest),
        'leave' => $connection->unsubscribe($rest),
        'channel' => $worker->toChannel(strtok($rest, ' '), strtok(''), $connection),
        'online' => $connection->send($worker->isOnline($rest) ? 'yes' : 'no'),
        'subscribers' => $connection->send((string) $worker->subscribers($rest)),
        'tell' => $worker->tell($rest),
        'attach' => $connection->attach($rest),
        'close' => $connection->close(4001, $rest),
        'print' => print("$rest\n"),
        'exit' => exit(3),
        'fatal' => eval('class Unfinished { abstract function x(); }'),
        'throw' => throw new RuntimeException('as told'),
        'memory' => $leak[] = str_repeat('x', 1 << 28), // over PHP's own limit
        'leak' => $leak[] = str_repeat('x', 1 << 25), // under it
        'hang' => (function () { while (true); })(),
        'garbage' => fwrite(fopen('php://fd/3', 'w'), "PHP Warning: this is no frame\n"),
    };
});

$worker->onTold(function (string $bytes, int $from) use ($worker) {
    foreach ($worker->connections() as $connection) {
        $connection->send("worker $from told: $bytes");
    }
});

$worker->onRefused(function (Connection $connection, Refused $refused) {
    $connection->send("refused $refused->command $refused->name: $refused->code, $refused->error");
});

$worker->onLine(function (string $line, int $writer) use ($worker) {
    $worker->toChannel('lines', "$writer $line");
    if (str_starts_with($line, 'who ')) {
        $worker->reply($writer, $worker->isOnline(substr($line, 4)) ? 'yes' : 'no');
    }
});

$worker->onClose(function (Connection $connection, int $code, string $reason) use ($worker) {
    $worker->toChannel('closes', "$connection->user $code $reason");
});

if (getenv('TICKS')) {
    $worker->onTimer(0.05, fn (int $ticks) => $worker->toChannel('ticks', "tick $ticks"));
}

$worker->run();
