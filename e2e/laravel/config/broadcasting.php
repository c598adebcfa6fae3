<?php

// As `laravel new` makes it: rupor's connection is not here, its package brings it along.
return [
    'default' => env('BROADCAST_CONNECTION', env('BROADCAST_DRIVER', 'null')),
    'connections' => [
        'redis' => ['driver' => 'redis', 'connection' => 'default'],
        'null' => ['driver' => 'null'],
    ],
];
