<?php

// Tanks: between the connections and the field. The page says what its player wants, the field says what happens, ten times
// a second. There is one process, so there is one field; with --php-key path each path would have a field of its own.

require __DIR__ . '/../../clients/php/rupor.php';
require __DIR__ . '/field.php';

use Rupor\Connection;
use Rupor\Worker;
use Tanks\Field;

/** Longest line of chat, and how many seconds lie between two of one player's. */
const LINE_BYTES_MAX = 200;
const LINE_SECONDS = 1.0;

$worker = new Worker();
$field = new Field();
$scores = [];

$tell = fn (array $message) => $worker->toChannel('tanks', json_encode($message));

$worker->onOpen(function (Connection $connection) use ($field, $tell, &$scores) {
    preg_match('/^[^\pC]{1,12}/u', trim($connection->request->query('name') ?? ''), $name);
    // A process that takes over knows the hits, and gives everybody a new tank.
    $connection->tank = $field->enter($name[0] ?? 'nobody', $connection->attached['hits'] ?? 0);
    $connection->saidAt = 0.0;
    if ($connection->tank === null) {
        $connection->close(4013, 'the field is full');
        return;
    }
    $connection->send(json_encode([
        'you' => $connection->tank->id,
        'field' => [Field::WIDTH, Field::HEIGHT],
        'half' => Field::TANK_HALF,
        'walls' => Field::WALLS,
    ]));
    $connection->subscribe('tanks');
    $scores = []; // so that they are told again
    if (!$connection->resumed) {
        $tell(['news' => "{$connection->tank->name} came"]);
    }
});

// {"go":0} up, 1 right, 2 down, 3 left, null stops; {"fire":true}; {"say":"hello"}
$worker->onMessage(function (Connection $connection, string $message) use ($tell) {
    $wish = json_decode($message, true);
    $tank = $connection->tank;
    if (!is_array($wish) || $tank === null) {
        return;
    }
    if (array_key_exists('go', $wish)) {
        $tank->goes = in_array($wish['go'], [0, 1, 2, 3], true) ? $wish['go'] : null;
    }
    if (isset($wish['fire'])) {
        $tank->fires = $wish['fire'] === true;
    }
    $line = $wish['say'] ?? '';
    if (is_string($line) && trim($line) !== '' && strlen($line) <= LINE_BYTES_MAX && microtime(true) - $connection->saidAt > LINE_SECONDS) {
        $connection->saidAt = microtime(true);
        $tell(['said' => $line, 'by' => $tank->name]);
    }
});

$worker->onClose(function (Connection $connection) use ($field, $tell) {
    if ($connection->tank !== null) {
        $field->leave($connection->tank);
        $tell(['news' => "{$connection->tank->name} left"]);
    }
});

$worker->onTimer(0.1, function () use ($worker, $field, $tell, &$scores) {
    $field->tick();
    foreach ($worker->connections() as $connection) {
        if ($connection->tank === null) {
            continue;
        }
        $connection->send(json_encode($field->seenBy($connection->tank)));
        if ($connection->tank->hits !== ($connection->attached['hits'] ?? 0)) {
            $connection->attach(['hits' => $connection->tank->hits]);
        }
    }
    foreach ($field->news as $news) {
        $tell(['news' => $news]);
    }
    $field->news = [];
    if ($scores !== $field->scores()) {
        $scores = $field->scores();
        $tell(['scores' => $scores]);
    }
});

$worker->run();
