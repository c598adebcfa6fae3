<?php
// A script for php-fpm that does what a message tells it.

$event = $_SERVER['RUPOR_EVENT'];
$message = file_get_contents('php://input');
[$word, $rest] = explode(' ', $message, 2) + [1 => ''];

$send = fn (string $text) => ['do' => 'send', 'message' => $text];

$commands = match ($event) {
    'upgrade' => match (true) {
        isset($_GET['refuse']) => [['do' => 'refuse', 'status' => 401, 'reason' => 'not you']],
        isset($_GET['as']) => [['do' => 'user', 'user' => $_GET['as']], ['do' => 'subscribe', 'channel' => 'members']],
        default => [],
    },
    'open' => isset($_GET['about']) ? [$send(json_encode([
        'uri' => $_SERVER['REQUEST_URI'],
        'script' => $_SERVER['SCRIPT_NAME'],
        'get' => $_GET,
        'post' => $_POST,
        'cookie' => $_COOKIE,
        'agent' => $_SERVER['HTTP_USER_AGENT'],
        'proxy' => $_SERVER['HTTP_PROXY'] ?? null,
        'remote' => $_SERVER['REMOTE_ADDR'],
        'user' => $_SERVER['RUPOR_USER'] ?? null,
        'connection' => strlen($_SERVER['RUPOR_CONNECTION']),
    ]))] : [],
    'refused' => [
        $send("refused {$_SERVER['RUPOR_COMMAND']} {$_SERVER['RUPOR_NAME']}: {$_SERVER['RUPOR_CODE']}, {$_SERVER['RUPOR_REASON']}"),
        ...($_SERVER['RUPOR_NAME'] === 'again' ? [['do' => 'subscribe', 'channel' => 'again']] : []),
    ],
    'close' => [['channel' => 'closes', 'message' => "{$_SERVER['RUPOR_CODE']} {$_SERVER['RUPOR_REASON']} {$_SERVER['RUPOR_CLEAN']}"]],
    'message' => match (true) {
        $_SERVER['RUPOR_TYPE'] === 'binary' => [['do' => 'send_binary', 'message' => base64_encode(strrev($message))]],
        default => match ($word) {
            'say' => [$send($rest)],
            'pid' => [$send((string) getmypid())],
            'slow' => usleep(100_000) ?? [$send($rest)],
            'to' => [['user' => strtok($rest, ' '), 'message' => strtok('')]],
            'user' => [['do' => 'user', 'user' => $rest]],
            'who' => [$send($_SERVER['RUPOR_USER'] ?? 'nobody')],
            'join' => [['do' => 'subscribe', 'channel' => $rest]],
            'channel' => [['channel' => strtok($rest, ' '), 'message' => strtok('')]],
            'attach' => [['do' => 'attach', 'value' => $rest]],
            'attached' => [$send(json_decode($_SERVER['RUPOR_ATTACHED'] ?? '""'))],
            'close' => [['do' => 'close', 'code' => 4001, 'reason' => $rest]],
            'wrong' => [['do' => 'dance'], $send('after')],
            'exit' => exit(3),
            'throw' => throw new RuntimeException('as told'),
            'hang' => (function () { while (true); })(),
            'die' => posix_kill(getmypid(), 9),
            'long' => [$send(str_repeat('x', 5 << 20))],
            'print' => print("<b>Warning</b>: no JSON\n"),
        },
    },
};
if ($word !== 'print') {
    echo json_encode($commands);
}
