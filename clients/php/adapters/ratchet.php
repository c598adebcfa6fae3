<?php

/**
 * Handlers that were written for Ratchet run unchanged: what they implement is declared here, under its own names.
 *
 * ```php
 * require 'rupor/adapters/ratchet.php';   // not needed with composer
 * Ratchet\Server\IoServer::factory(new Ratchet\Http\HttpServer(new Ratchet\WebSocket\WsServer(new Chat())))->run();
 * ```
 *
 * The last line may be the one of the old start script: port and address in it mean nothing any more.
 */

declare(strict_types=1);

namespace Ratchet {
    if (!class_exists(\Rupor\Worker::class)) {
        require_once __DIR__ . '/../rupor.php';
    }

    interface ConnectionInterface
    {
        /** @param string $data */
        public function send($data);

        public function close();
    }

    interface ComponentInterface
    {
        public function onOpen(ConnectionInterface $conn);

        public function onClose(ConnectionInterface $conn);

        public function onError(ConnectionInterface $conn, \Exception $e);
    }

    interface MessageInterface
    {
        /** @param string $msg */
        public function onMessage(ConnectionInterface $from, $msg);
    }

    interface MessageComponentInterface extends ComponentInterface, MessageInterface
    {
    }
}

namespace Ratchet\Http {
    /** Only holds what it is given. */
    final class HttpServer
    {
        public function __construct(public readonly object $component)
        {
        }
    }
}

namespace Ratchet\WebSocket {
    /** Only holds what it is given. */
    final class WsServer
    {
        public function __construct(public readonly object $component)
        {
        }

        /** The gateway pings. */
        public function enableKeepAlive(mixed $loop = null, int $interval = 30): void
        {
        }
    }
}

namespace Ratchet\Server {
    /** Runs a component as a worker of rupor. */
    final class IoServer
    {
        public mixed $loop = null;

        private function __construct(private readonly object $component)
        {
        }

        public static function factory(object $component, int|string $port = 80, string $address = ''): self
        {
            while (isset($component->component) && !$component instanceof \Ratchet\MessageComponentInterface) {
                $component = $component->component;
            }
            return new self($component);
        }

        public function run(): void
        {
            \Rupor\Adapter\Ratchet::run($this->component);
        }
    }
}

namespace Ratchet {
    /** Components by path, as in `new App('localhost')` and `route('/chat', new Chat())`. Which pages may connect the gateway decides. */
    final class App
    {
        /** @var array<string, MessageComponentInterface> */
        private array $routes = [];

        public function __construct(string $host = '', int|string $port = 0, string $address = '', mixed $loop = null)
        {
        }

        /** @param string[] $origins */
        public function route(string $path, MessageComponentInterface $component, array $origins = [], ?string $host = null): MessageComponentInterface
        {
            return $this->routes[$path] = $component;
        }

        public function run(): void
        {
            \Rupor\Adapter\Ratchet::routes($this->routes);
        }
    }
}

namespace Rupor\Adapter {
    use Ratchet\ConnectionInterface;
    use Ratchet\MessageComponentInterface;
    use Rupor\Connection;
    use Rupor\Upgrade;
    use Rupor\Worker;

    /** Runs a Ratchet component as a worker. */
    final class Ratchet
    {
        /** @var array<int, RatchetConnection> */
        private array $connections = [];

        /** @param \Closure(Connection): ?MessageComponentInterface $component who answers a connection */
        private function __construct(private readonly \Closure $component)
        {
        }

        public static function run(MessageComponentInterface $component, ?Worker $worker = null): void
        {
            ($worker ?? new Worker())->run(new self(fn () => $component));
        }

        /** @param array<string, MessageComponentInterface> $components by path */
        public static function routes(array $components, ?Worker $worker = null): void
        {
            $worker ??= new Worker();
            // As Ratchet answers where it has no route.
            $worker->onUpgrade(fn (Upgrade $upgrade) => isset($components[$upgrade->request->path()]) || $upgrade->refuse(404, 'there is nothing here'));
            $worker->run(new self(fn (Connection $connection) => $components[$connection->request->path()] ?? null));
        }

        public function onOpen(Connection $connection): void
        {
            $this->connections[$connection->number] = new RatchetConnection($connection);
            ($this->component)($connection)?->onOpen($this->connections[$connection->number]);
        }

        public function onMessage(Connection $connection, string $message): void
        {
            ($this->component)($connection)?->onMessage($this->connections[$connection->number], $message);
        }

        public function onClose(Connection $connection): void
        {
            $closed = $this->connections[$connection->number];
            unset($this->connections[$connection->number]);
            ($this->component)($connection)?->onClose($closed);
        }

        public function onError(\Throwable $error, ?Connection $connection): void
        {
            $at = $connection === null ? null : $this->connections[$connection->number] ?? new RatchetConnection($connection);
            if ($at === null) {
                throw $error;
            }
            ($this->component)($connection)?->onError($at, $error instanceof \Exception ? $error : new \ErrorException($error->getMessage(), 0, 1, $error->getFile(), $error->getLine(), $error));
        }
    }

    /** A connection as Ratchet's handlers see it. One object for its whole life, so that it can be a key. */
    #[\AllowDynamicProperties]
    final class RatchetConnection implements ConnectionInterface
    {
        public readonly int $resourceId;
        public readonly \Rupor\Request $httpRequest;
        public readonly string $remoteAddress;

        public function __construct(public readonly Connection $rupor)
        {
            $this->resourceId = $rupor->number;
            $this->httpRequest = $rupor->request;
            $this->remoteAddress = $rupor->request->address();
        }

        /**
         * @param string $data
         * @return $this
         */
        public function send($data)
        {
            $this->rupor->send((string) $data);
            return $this;
        }

        /** @param int $code */
        public function close($code = 1000)
        {
            $this->rupor->close((int) $code);
        }
    }
}
