<?php

// All that the gateway's side has to do here: tell a page by which id the site knows its connection.

require __DIR__ . '/../../clients/php/rupor.php';

(new Rupor\Worker())
    ->onOpen(fn (Rupor\Connection $connection) => $connection->send(json_encode(['connection' => $connection->id])))
    ->run();
