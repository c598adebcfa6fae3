<?php

// No prefix, which Laravel would otherwise put before the names of channels.
return ['redis' => [
    'client' => 'phpredis',
    'options' => ['prefix' => ''],
    'default' => ['host' => '127.0.0.1', 'port' => (int) env('REDIS_PORT', 6379), 'database' => 0],
]];
