<?php

// What `broadcasting.connections.rupor` is where config/broadcasting.php says nothing else.
return [
    'driver' => 'rupor',
    // A line inlet, unix:///PATH or tcp://HOST:PORT; or the HTTP API, http://HOST:PORT, with its key.
    'address' => env('RUPOR_ADDRESS', 'unix:///run/rupor/rupor.sock'),
    'key' => env('RUPOR_API_KEY', ''),
    // The secret of [[jwt]] with HS256: it signs what lets a browser into a private channel.
    'jwt_key' => env('RUPOR_JWT_KEY', ''),
    // For how long a browser may show such a token, in seconds. Echo asks for a new one each time it subscribes.
    'token_seconds' => 60,
    // More claims of it: `iss` and `aud`, where rupor.toml has token.issuer and token.audience.
    'claims' => [],
    // How long one broadcast may take, in seconds.
    'timeout' => 0.5,
];
