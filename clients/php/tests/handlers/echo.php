<?php

require __DIR__ . '/../../rupor.php';

(new Rupor\Worker())->onMessage(fn ($connection, $message) => $connection->send($message))->run();
