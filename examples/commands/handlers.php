<?php

// Commands and their answers. A command is JSON with an id of the page's choosing, which its answer repeats: so the page
// may send many at a time and knows which answer is whose.

require __DIR__ . '/../../clients/php/rupor.php';

use Rupor\Connection;
use Rupor\Worker;

$worker = new Worker();

/** What can be asked: name => function of the argument. What it throws is the answer, too. */
$commands = [
    'help' => fn () => array_keys($GLOBALS['commands']),
    'time' => fn () => date('H:i:s'),
    'upper' => fn (string $text) => preg_match('/^[\x20-\x7e]*$/D', $text) ? strtoupper($text) : throw new DomainException('only ASCII, please'),
    'dice' => fn (string $sides) => random_int(1, (int) filter_var($sides ?: '6', FILTER_VALIDATE_INT, ['options' => ['min_range' => 2, 'max_range' => 100]])
        ?: throw new DomainException('a die has 2 to 100 sides')),
    'sum' => fn (string $numbers) => array_sum(preg_split('/[\s,+]+/', $numbers, 100, PREG_SPLIT_NO_EMPTY)),
    'online' => fn () => count($worker->connections()),
    'process' => fn () => ['pid' => getmypid(), 'php' => PHP_VERSION, 'memory' => memory_get_usage()],
];

$worker->onMessage(function (Connection $connection, string $message) use ($commands) {
    $asked = json_decode($message, true);
    $id = is_array($asked) ? $asked['id'] ?? null : null;
    $name = is_array($asked) ? $asked['command'] ?? null : null;
    $argument = is_array($asked) ? $asked['argument'] ?? '' : '';
    try {
        if (!is_string($name) || !is_string($argument) || !isset($commands[$name])) {
            throw new DomainException('there is no such command; try help');
        }
        $answer = ['id' => $id, 'ok' => true, 'result' => $commands[$name]($argument)];
    } catch (DomainException $error) {
        $answer = ['id' => $id, 'ok' => false, 'error' => $error->getMessage()];
    }
    $connection->send(json_encode($answer));
});

$worker->run();
