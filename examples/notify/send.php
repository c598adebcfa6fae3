<?php
$address = 'tcp://127.0.0.1:1234';
$user = 'tester01';
$message = 'test';

// connect to the server's inlet
$instance = stream_socket_client($address);
// send one line
fwrite($instance, json_encode(['user' => $user, 'message' => $message]) . "\n");
