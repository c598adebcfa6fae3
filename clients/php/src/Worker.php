<?php

declare(strict_types=1);

namespace Rupor;

/**
 * A worker process of the gateway: it is told what happens on connections, and says what is to be done.
 *
 * ```php
 * (new Rupor\Worker)
 *     ->onMessage(function (Rupor\Connection $connection, string $message) {
 *         $connection->send("you said $message");
 *     })
 *     ->run();
 * ```
 */
final class Worker
{
    /** @var array<string, \Closure> callbacks by name */
    private array $callbacks = [];
    private int $timerMs = 0;

    private Link $link;
    private bool $connected = false;
    /** @var array<int, Connection> by the gateway's number */
    private array $connections = [];
    private int $worker = 0;
    private int $workers = 1;

    /** @var list<array{int, int, string}> what was read and is not handled yet */
    private array $frames = [];
    /** @var array<int, ?array<string, mixed>> answers by request, `null` while owed */
    private array $answers = [];
    private int $requests = 0;
    private int $handled = 0;
    private int $reported = 0;
    private bool $handling = false;
    private bool $stopping = false;

    /**
     * @param ?resource $stream the stream to the gateway; left out: the one that this process was started with
     */
    public function __construct(mixed $stream = null)
    {
        $this->link = $stream === null ? Link::ofTheGateway() : new Link($stream);
    }

    /** Called once, before anything else: `function (Worker $worker)`. */
    public function onStart(callable $callback): self
    {
        return $this->on('start', $callback);
    }

    /** Called before a connection opens, and may refuse it: `function (Upgrade $upgrade)`. */
    public function onUpgrade(callable $callback): self
    {
        return $this->on('upgrade', $callback);
    }

    /** Called when a connection has opened, and for each that an earlier process had: `function (Connection $connection)`. */
    public function onOpen(callable $callback): self
    {
        return $this->on('open', $callback);
    }

    /** Called for each message: `function (Connection $connection, string $message, bool $binary)`. */
    public function onMessage(callable $callback): self
    {
        return $this->on('message', $callback);
    }

    /** Called when a connection is gone: `function (Connection $connection, int $code, string $reason, bool $clean)`. */
    public function onClose(callable $callback): self
    {
        return $this->on('close', $callback);
    }

    /**
     * Called so often, 0.01 to 3600 seconds; when one call takes longer than that, the next comes later:
     * `function (int $ticks)`, 1 unless some were left out.
     */
    public function onTimer(float $seconds, callable $callback): self
    {
        if ($seconds < 0.01 || $seconds > 3600) {
            throw new \InvalidArgumentException('a timer ticks every 0.01 to 3600 seconds');
        }
        $this->timerMs = (int) round($seconds * 1000);
        return $this->on('timer', $callback);
    }

    /** Called when another worker tells something: `function (string $bytes, int $worker)`. */
    public function onTold(callable $callback): self
    {
        return $this->on('told', $callback);
    }

    /**
     * Called when a `subscribe`, `unsubscribe` or `user` of this process was not carried out:
     * `function (Connection $connection, Refused $refused)`. Left out, only the gateway's log says so.
     */
    public function onRefused(callable $callback): self
    {
        return $this->on('refused', $callback);
    }

    /** Called for a line of the site: `function (string $line, int $writer)`; `reply($writer, …)` answers. */
    public function onLine(callable $callback): self
    {
        return $this->on('line', $callback);
    }

    /** Called at an orderly end: `function ()`. */
    public function onStop(callable $callback): self
    {
        return $this->on('stop', $callback);
    }

    /**
     * Called when a callback throws: `function (\Throwable $error, ?Connection $connection)`. Left out, the error is
     * logged and its connection closed with 1011.
     */
    public function onError(callable $callback): self
    {
        return $this->on('error', $callback);
    }

    private function on(string $name, callable $callback): self
    {
        $this->callbacks[$name] = \Closure::fromCallable($callback);
        return $this;
    }

    /** This worker's number, from 0. */
    public function number(): int
    {
        return $this->worker;
    }

    /** How many workers there are. */
    public function workers(): int
    {
        return $this->workers;
    }

    /** @return Connection[] those of this worker */
    public function connections(): array
    {
        return array_values($this->connections);
    }

    /** Sends a text to all connections of a user, on whichever worker. */
    public function toUser(string|int $user, string $message, ?Connection $except = null): void
    {
        $this->toUsers([$user], $message, $except);
    }

    /** @param array<string|int> $users */
    public function toUsers(array $users, string $message, ?Connection $except = null): void
    {
        if ($users !== []) {
            $this->publish(Wire::USERS, $users, $message, $except);
        }
    }

    /** Publishes a text in a channel. */
    public function toChannel(string $channel, string $message, ?Connection $except = null): void
    {
        $this->publish(Wire::CHANNEL, [$channel], $message, $except);
    }

    /** Sends a text to everybody, on whichever worker and path. */
    public function toAll(string $message, ?Connection $except = null): void
    {
        $this->publish(Wire::EVERYBODY, [], $message, $except);
    }

    /** Sends a text to the connections that came with this session's cookie (`PHPSESSID`), on whichever worker. */
    public function toSession(string $session, string $message, ?Connection $except = null): void
    {
        $this->publish(Wire::COOKIE, [$session], $message, $except);
    }

    /** Sends a text to one connection by its id, on whichever worker. */
    public function toConnection(string $id, string $message): void
    {
        $this->command(Wire::DO_TEXT, self::numberOf($id), $message);
    }

    /** Closes one connection by its id, on whichever worker. */
    public function closeConnection(string $id, int $code = 1000, string $reason = ''): void
    {
        $this->command(Wire::DO_CLOSE, self::numberOf($id), pack('n', $code) . $reason);
    }

    private static function numberOf(string $id): int
    {
        if (!preg_match('/^[0-9a-f]{16}$/D', $id)) {
            throw new \InvalidArgumentException("a connection's id is 16 hexadecimal digits");
        }
        return unpack('J', hex2bin($id))[1];
    }

    private function publish(int $target, array $names, string $message, ?Connection $except): void
    {
        $this->command(Wire::DO_PUBLISH, $except?->number ?? 0, Wire::target($target, $names) . $message);
    }

    /** Closes all connections of a user. */
    public function disconnect(string|int $user, int $code = 1000, string $reason = ''): void
    {
        $this->command(Wire::DO_DISCONNECT, 0, Wire::target(Wire::USERS, [$user]) . pack('n', $code) . $reason);
    }

    /** Tells another worker something, or all others: their `onTold` is called. */
    public function tell(string $bytes, ?int $worker = null): void
    {
        $this->command(Wire::DO_TELL, 0, pack('n', $worker ?? Wire::ALL_OTHERS) . $bytes);
    }

    /** Answers the writer of a line, if it still reads. */
    public function reply(int $writer, string $line): void
    {
        $this->command(Wire::DO_REPLY, $writer, $line);
    }

    /** Whether a user has a connection, on whichever worker. Waits for the gateway's answer. */
    public function isOnline(string|int $user): bool
    {
        return $this->connectionsOf($user) !== [];
    }

    /** @return string[] the ids of a user's connections, on whichever worker. Waits for the gateway's answer. */
    public function connectionsOf(string|int $user): array
    {
        return (array) $this->ask(['user' => (string) $user], 'connections');
    }

    /** How many connections are subscribed to a channel. Waits for the gateway's answer. */
    public function subscribers(string $channel): int
    {
        return (int) $this->ask(['channel' => $channel], 'subscribers');
    }

    /** @param array<string, string> $question */
    private function ask(array $question, string $field): mixed
    {
        $request = ++$this->requests;
        $this->answers[$request] = null;
        $this->command(Wire::DO_ASK, $request, Wire::json($question));
        $this->flush();
        while ($this->answers[$request] === null) {
            // Events that come before the answer are handled in their turn.
            if (!$this->receive()) {
                throw new \RuntimeException('the gateway is gone');
            }
        }
        $answer = $this->answers[$request];
        unset($this->answers[$request]);
        if (isset($answer['error'])) {
            throw new \RuntimeException((string) $answer['error']);
        }
        return $answer[$field] ?? null;
    }

    /** @internal a command for the gateway; it leaves with the others */
    public function command(int $kind, int $subject, string $body): void
    {
        if (!$this->connected) {
            throw new \LogicException('nothing can be sent before the worker runs: do it in onStart');
        }
        $this->link->queue($kind, $subject, $body);
    }

    /**
     * Handles events until the gateway says that it is enough.
     *
     * @param ?object $handler an object with methods of the callbacks' names (`onOpen`, `onMessage`, …)
     */
    public function run(?object $handler = null): void
    {
        foreach (['start', 'upgrade', 'open', 'message', 'close', 'told', 'line', 'refused', 'stop', 'error'] as $name) {
            if ($handler !== null && is_callable([$handler, "on$name"])) {
                $this->on($name, [$handler, "on$name"]);
            }
        }
        if (!$this->begin()) {
            return;
        }
        // After a fatal error there may be no memory left for the last words.
        $reserve = str_repeat('.', 65536);
        register_shutdown_function(function () use (&$reserve): void {
            $reserve = '';
            $this->lastWords();
        });
        while (!$this->stopping && ($this->frames !== [] || $this->receive())) {
            $this->handleAll();
            $this->flush();
        }
        $this->call('stop');
        $this->flush();
    }

    /** The handshake; false: the gateway is gone. */
    private function begin(): bool
    {
        while ($this->frames === []) {
            if (!$this->receive()) {
                return false;
            }
        }
        [$kind, , $body] = array_shift($this->frames);
        $hello = json_decode($body, true);
        if ($kind !== Wire::HELLO || ($hello['protocol'] ?? null) !== Wire::PROTOCOL) {
            throw new \RuntimeException('this gateway speaks another protocol: take the library of its version');
        }
        $this->worker = (int) ($hello['worker'] ?? 0);
        $this->workers = (int) ($hello['workers'] ?? 1);
        $this->link->frameBytesMax = (int) ($hello['frame_bytes_max'] ?? $this->link->frameBytesMax);
        $this->connected = true;
        // The hello comes first on the wire, so what onStart sends stands behind it; but it is only written when
        // onStart has returned, because from then on events come.
        $hello = ['protocol' => Wire::PROTOCOL, 'upgrade' => isset($this->callbacks['upgrade'])];
        if (isset($this->callbacks['timer'])) {
            $hello['timer_ms'] = $this->timerMs;
        }
        if (isset($this->callbacks['refused'])) {
            $hello['refused'] = true;
        }
        $this->link->queue(Wire::DO_HELLO, 0, Wire::json($hello));
        if (isset($this->callbacks['start'])) {
            ($this->callbacks['start'])($this);
        }
        $this->flush();
        return true;
    }

    /** Reads what is there, or waits for something; false: the gateway is gone. */
    private function receive(): bool
    {
        $frames = $this->link->read();
        if ($frames === null) {
            return false;
        }
        foreach ($frames as $frame) {
            if ($frame[0] !== Wire::ANSWER) {
                $this->frames[] = $frame;
            } elseif (array_key_exists($frame[1], $this->answers)) {
                $this->answers[$frame[1]] = json_decode($frame[2], true) ?? ['error' => 'the answer is not JSON'];
            }
        }
        return true;
    }

    private function handleAll(): void
    {
        // A callback that asks something appends to the frames meanwhile.
        for ($i = 0; isset($this->frames[$i]) && !$this->stopping; $i++) {
            [$kind, $subject, $body] = $this->frames[$i];
            if ($kind === Wire::STOP) {
                $this->stopping = true;
            } elseif ($kind >= Wire::UPGRADE && $kind <= Wire::REFUSED) {
                $this->handling = true;
                $this->handle($kind, $subject, $body);
                $this->handling = false;
                $this->handled++;
                if ($this->link->isDue()) {
                    $this->flush();
                }
            }
        }
        $this->frames = [];
    }

    private function handle(int $kind, int $subject, string $body): void
    {
        switch ($kind) {
            case Wire::TEXT:
            case Wire::BINARY:
                if (isset($this->connections[$subject])) {
                    $connection = $this->connections[$subject];
                    $this->call('message', $connection, $connection, $body, $kind === Wire::BINARY);
                }
                break;
            case Wire::OPEN:
                $fields = json_decode($body, true, 64, JSON_THROW_ON_ERROR);
                $connection = $this->connections[$subject] = new Connection(
                    $this,
                    $subject,
                    new Request($fields),
                    $fields['user'] ?? null,
                    $fields['attached'] ?? null,
                    (bool) ($fields['resumed'] ?? false),
                );
                $this->call('open', $connection, $connection);
                break;
            case Wire::CLOSE:
                if (isset($this->connections[$subject])) {
                    $connection = $this->connections[$subject];
                    unset($this->connections[$subject]);
                    $connection->open = false;
                    ['code' => $code, 'clean' => $clean] = unpack('ncode/Cclean', $body);
                    $this->call('close', $connection, $connection, $code, substr($body, 3), $clean === 1);
                }
                break;
            case Wire::TIMER:
                $this->call('timer', null, $subject);
                break;
            case Wire::UPGRADE:
                $this->upgrade($subject, $body);
                break;
            case Wire::TOLD:
                $this->call('told', null, $body, $subject);
                break;
            case Wire::LINE:
                $this->call('line', null, $body, $subject);
                break;
            case Wire::REFUSED:
                if (isset($this->connections[$subject])) {
                    $connection = $this->connections[$subject];
                    ['command' => $command, 'name' => $name, 'code' => $code, 'error' => $error] = json_decode($body, true, 64, JSON_THROW_ON_ERROR);
                    $this->call('refused', $connection, $connection, new Refused($command, $name, $code, $error));
                }
                break;
        }
    }

    private function upgrade(int $request, string $body): void
    {
        $fields = json_decode($body, true, 64, JSON_THROW_ON_ERROR);
        $upgrade = new Upgrade(new Request($fields), $fields['user'] ?? null);
        if (!$this->call('upgrade', null, $upgrade)) {
            $upgrade->refuse(500, 'the handler failed');
        }
        if ($upgrade->refusal !== null) {
            [$status, $reason] = $upgrade->refusal;
            $this->command(Wire::DO_REFUSE, $request, pack('n', $status) . $reason);
        } else {
            $this->command(Wire::DO_ACCEPT, $request, Wire::json((object) $upgrade->entry));
        }
    }

    /** Calls a callback if there is one; false: it threw. */
    private function call(string $name, ?Connection $connection = null, mixed ...$arguments): bool
    {
        if (!isset($this->callbacks[$name])) {
            return true;
        }
        try {
            ($this->callbacks[$name])(...$arguments);
            return true;
        } catch (\Throwable $error) {
            $this->failed($error, $connection);
            return false;
        }
    }

    private function failed(\Throwable $error, ?Connection $connection): void
    {
        try {
            if (isset($this->callbacks['error'])) {
                ($this->callbacks['error'])($error, $connection);
                return;
            }
        } catch (\Throwable $second) {
            $error = $second;
        }
        // Standard error is the gateway's log.
        file_put_contents('php://stderr', "a callback failed: $error\n");
        $connection?->close(1011, 'the handler failed');
    }

    /** Writes everything, and how far the events are handled. */
    private function flush(): void
    {
        if ($this->handled !== $this->reported) {
            $this->reported = $this->handled;
            $this->link->queue(Wire::DO_DONE, $this->handled, '');
        }
        $this->link->flush();
    }

    /** The process ends. If that is in a callback, its event has failed; those behind it have not been begun. */
    private function lastWords(): void
    {
        if ($this->handling) {
            $this->link->queue(Wire::DO_DONE, $this->handled, "\1");
            $this->link->flush();
        }
    }
}
