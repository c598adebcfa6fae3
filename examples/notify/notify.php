<?php

// The site's script: sends one notice to whom the page chose, and says how many connections it went to.

require __DIR__ . '/../../clients/php/rupor.php';

session_start();
$inlet = getenv('RUPOR_INLET') ?: 'tcp://127.0.0.1:1234';
['by' => $by, 'to' => $to, 'with' => $with, 'text' => $text] = $_POST + ['by' => '', 'to' => '', 'with' => '', 'text' => ''];

header('Content-Type: application/json');
if (($_SERVER['HTTP_SEC_FETCH_SITE'] ?? 'same-origin') !== 'same-origin') {
    http_response_code(403); // a page of another site
    exit('{"ok":false,"error":"this is for our own page"}');
}

$notice = ['notice' => $text, 'by' => $by];

if ($with === 'plain') {
    // Without any library: one line of JSON into the inlet.
    $name = ['user' => 'user', 'connection' => 'connection', 'session' => 'PHPSESSID'][$by];
    $stream = stream_socket_client($inlet);
    fwrite($stream, json_encode([$name => $by === 'session' ? session_id() : $to, 'message' => $notice]) . "\n");
    exit('{"ok":true}'); // it is on its way; reading a line back would tell how many got it
}

$rupor = new Rupor\Client($inlet, ['timeout' => 1]); // instead of 0.05 seconds: here the visitor wants to know
$result = match ($by) {
    'user' => $rupor->toUser($to, $notice),
    'connection' => $rupor->toConnection($to, $notice),
    'session' => $rupor->toSession(session_id(), $notice), // all tabs of this browser, whoever they are
};
echo json_encode(['ok' => $result->ok, 'connections' => $result->connections, 'error' => $result->error]);
