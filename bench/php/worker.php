<?php

// What is measured as a process of the gateway's: each message goes back.

require __DIR__ . '/../../clients/php/rupor.php';

(new Rupor\Worker())->onMessage(fn ($connection, $message) => $connection->send($message))->run();
