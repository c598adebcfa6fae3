<?php

declare(strict_types=1);

namespace Rupor\Symfony;

use Rupor\Client;
use Symfony\Component\Notifier\Exception\UnsupportedSchemeException;
use Symfony\Component\Notifier\Transport\Dsn;
use Symfony\Component\Notifier\Transport\TransportFactoryInterface;
use Symfony\Component\Notifier\Transport\TransportInterface;

/**
 * Makes the transport from a DSN:
 *
 * - `rupor://default/run/rupor/rupor.sock`, lines on a Unix socket
 * - `rupor://127.0.0.1:1234`, lines on TCP
 * - `rupor+http://KEY@127.0.0.1:8000`, `rupor+https://KEY@ws.example.org`, the HTTP API
 *
 * `?timeout=` is how long one message may take, in seconds (0.5).
 */
final class RuporTransportFactory implements TransportFactoryInterface
{
    private const SCHEMES = ['rupor', 'rupor+http', 'rupor+https'];
    private const TIMEOUT_S = 0.5;

    public function supports(Dsn $dsn): bool
    {
        return in_array($dsn->getScheme(), self::SCHEMES, true);
    }

    public function create(Dsn $dsn): TransportInterface
    {
        if (!$this->supports($dsn)) {
            throw new UnsupportedSchemeException($dsn, 'rupor', self::SCHEMES);
        }
        $host = $dsn->getHost() . ($dsn->getPort() === null ? '' : ':' . $dsn->getPort());
        $address = match (true) {
            $dsn->getScheme() !== 'rupor' => substr($dsn->getScheme(), strlen('rupor+')) . "://$host",
            $dsn->getHost() === 'default' => 'unix://' . ($dsn->getPath() ?? '/run/rupor/rupor.sock'),
            default => "tcp://$host",
        };
        $options = ['key' => (string) $dsn->getUser(), 'timeout' => (float) $dsn->getOption('timeout', self::TIMEOUT_S)];
        return new RuporTransport(new Client($address, $options), $address);
    }
}
