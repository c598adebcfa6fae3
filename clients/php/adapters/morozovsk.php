<?php

/**
 * Handlers that were written for morozovsk/websocket run unchanged: they extend `\morozovsk\websocket\Daemon`, which is here.
 *
 * ```php
 * require 'rupor/adapters/morozovsk.php';   // not needed with composer
 * (new morozovsk\websocket\Server(['class' => ChatHandler::class, 'timer' => 0.1]))->start();
 * ```
 *
 * Of the old configuration `class` and `timer` count; addresses, the process file and the event driver are the gateway's
 * business now. Where there was a master process, name its class as `masterClass`: it lives in worker 0, and the
 * workers reach it by `sendToMaster`.
 */

declare(strict_types=1);

namespace morozovsk\websocket {
    use Rupor\Connection;
    use Rupor\Worker;

    if (!class_exists(Worker::class)) {
        require_once __DIR__ . '/../rupor.php';
    }

    abstract class Daemon
    {
        /** @var array<int, int> the open connections: number => number */
        protected $clients = [];
        /** @var array<int, int> for a master: its workers; else nobody */
        protected $services = [];
        /** @var ?float seconds between two calls of onTimer */
        public $timer = null;
        protected $pid;

        /** @var array<int, Connection> by our number */
        private array $connections = [];
        /** @var array<int, int> our number by the gateway's */
        private array $numbers = [];
        private int $last = 0;
        private ?Worker $worker = null;
        private bool $isMaster = false;

        public function __construct($server = null, $service = null, $master = null)
        {
            $this->pid = getmypid();
        }

        /** Runs this handler as a worker of rupor. */
        public function start(?Worker $worker = null, ?self $master = null)
        {
            NamesOfPeers::offer($this);
            $this->worker = $worker ?? new Worker();
            $this->worker
                ->onStart(function () use ($master): void {
                    if ($master !== null && $this->worker->number() === 0) {
                        $master->govern($this->worker);
                    }
                    $this->onStart();
                })
                ->onOpen(function (Connection $connection): void {
                    $number = ++$this->last;
                    $this->numbers[$connection->number] = $number;
                    $this->connections[$number] = $connection;
                    $this->clients[$number] = $number;
                    NamesOfPeers::remember($number, $connection->request->remote);
                    $this->onOpen($number, self::headers($connection));
                })
                ->onMessage(function (Connection $connection, string $message, bool $binary): void {
                    $this->onMessage($this->numbers[$connection->number], $message, $binary ? 'binary' : 'text');
                })
                ->onClose(function (Connection $connection): void {
                    $number = $this->numbers[$connection->number];
                    $this->onClose($number);
                    NamesOfPeers::forget($number);
                    unset($this->numbers[$connection->number], $this->connections[$number], $this->clients[$number]);
                })
                ->onLine(fn (string $line, int $writer) => $this->onServiceMessage($writer, $line))
                ->onTold(function (string $bytes, int $worker) use ($master): void {
                    // Number 0 would be false for handlers that search with array_search.
                    if ($bytes[0] === 'M') {
                        $master?->onServiceMessage($worker + 1, substr($bytes, 1));
                    } else {
                        $this->onMasterMessage(substr($bytes, 1));
                    }
                });
            if ($this->timer) {
                $this->worker->onTimer((float) $this->timer, fn () => $this->onTimer());
            }
            $this->worker->run();
        }

        /** Becomes the master, whose services are the workers. */
        private function govern(Worker $worker): void
        {
            $this->worker = $worker;
            $this->isMaster = true;
            $numbers = range(1, $worker->workers());
            $this->services = array_combine($numbers, $numbers);
            $this->onStart();
            foreach ($numbers as $number) {
                $this->onServiceOpen($number);
            }
        }

        /** @return array<string, string> the request's headers as that library gave them: `Cookie`, `Host`, `GET` */
        private static function headers(Connection $connection): array
        {
            $headers = ['GET' => $connection->request->target];
            foreach ($connection->request->getHeaders() as $name => $values) {
                $name = str_replace('Websocket', 'WebSocket', ucwords((string) $name, '-'));
                $headers[$name === 'X-Real-Ip' ? 'X-Real-IP' : $name] = implode(', ', $values);
            }
            return $headers;
        }

        protected function sendToClient($connectionId, $data, $type = 'text')
        {
            $connection = $this->connections[$connectionId] ?? null;
            match ($type) {
                'text' => $connection?->send((string) $data),
                'binary' => $connection?->sendBinary((string) $data),
                'close' => $connection?->close(),
                // The gateway pings by itself.
                default => null,
            };
        }

        protected function sendToService($connectionId, $data)
        {
            if ($this->isMaster) {
                $this->worker->tell("W$data", $connectionId - 1);
            } else {
                $this->worker->reply($connectionId, (string) $data);
            }
        }

        protected function sendToMaster($data)
        {
            $this->worker->tell("M$data", 0);
        }

        protected function close($connectionId)
        {
            ($this->connections[$connectionId] ?? null)?->close();
        }

        protected function getConnectionById($connectionId)
        {
            return $this->clients[$connectionId] ?? $this->services[$connectionId] ?? null;
        }

        protected function getIdByConnection($connection)
        {
            return (int) $connection;
        }

        protected function onOpen($connectionId, $info)
        {
        }

        protected function onClose($connectionId)
        {
        }

        protected function onMessage($connectionId, $packet, $type)
        {
        }

        protected function onServiceMessage($connectionId, $data)
        {
        }

        protected function onServiceOpen($connectionId)
        {
        }

        protected function onServiceClose($connectionId)
        {
        }

        protected function onMasterMessage($data)
        {
        }

        protected function onMasterClose($connectionId)
        {
        }

        protected function onStart()
        {
        }

        protected function onTimer()
        {
        }
    }

    /** What `index.php` of that library starts. */
    final class Server
    {
        /** @param array<string, mixed> $config */
        public function __construct(private readonly array $config)
        {
        }

        public function start(?Worker $worker = null): void
        {
            $handler = new $this->config['class']();
            $handler->timer = $this->config['timer'] ?? null;
            $master = isset($this->config['masterClass']) ? new $this->config['masterClass']() : null;
            $handler->start($worker, $master);
        }
    }

    /**
     * Handlers ask `stream_socket_get_name($this->clients[$id], true)` for a peer's address. A client is no stream here, so
     * the function is defined once more in the namespaces of the handler and its parents, where PHP looks first.
     *
     * @internal
     */
    final class NamesOfPeers
    {
        /** @var array<int, string> */
        private static array $names = [];

        public static function offer(Daemon $handler): void
        {
            for ($class = new \ReflectionClass($handler); $class && $class->getName() !== Daemon::class; $class = $class->getParentClass()) {
                $namespace = $class->getNamespaceName();
                if ($namespace !== '' && !function_exists("$namespace\\stream_socket_get_name")) {
                    // The name comes from a class that exists, so nothing else is in it.
                    eval("namespace $namespace; function stream_socket_get_name(\$socket, bool \$remote) { return \\" . self::class . '::of($socket, $remote); }');
                }
            }
        }

        public static function remember(int $number, string $name): void
        {
            self::$names[$number] = $name;
        }

        public static function forget(int $number): void
        {
            unset(self::$names[$number]);
        }

        public static function of(mixed $client, bool $remote): string|false
        {
            return is_resource($client) ? \stream_socket_get_name($client, $remote) : self::$names[$client] ?? false;
        }
    }
}
