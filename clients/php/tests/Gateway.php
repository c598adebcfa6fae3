<?php

declare(strict_types=1);

namespace Rupor\Tests;

use Rupor\Wire;

/**
 * A gateway that follows a test's script: starts a worker process as the real one does and speaks frames with it. It has
 * its own reading and writing of frames.
 */
final class Gateway
{
    /** How long anything may take; only a failure takes so long. */
    private const DEADLINE_S = 20;

    /** @var resource */
    public readonly mixed $stream;
    /** @var resource */
    private readonly mixed $process;
    /** @var array<int, resource> */
    private array $pipes = [];
    private string $in = '';
    private ?int $exitCode = null;

    /**
     * @param string $handlers PHP code, or the name of a file in tests/handlers
     */
    public function __construct(string $handlers, int $worker = 0, int $workers = 1, array $hello = [])
    {
        [$this->stream, $theirs] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        $bootstrap = var_export(__DIR__ . '/bootstrap.php', true);
        $command = str_ends_with($handlers, '.php') && !str_contains($handlers, ' ')
            ? [PHP_BINARY, __DIR__ . "/handlers/$handlers"]
            : [PHP_BINARY, '-r', "require $bootstrap; $handlers"];
        $pipes = [0 => ['file', '/dev/null', 'r'], 1 => ['pipe', 'w'], 2 => ['pipe', 'w'], 3 => $theirs];
        $this->process = proc_open($command, $pipes, $this->pipes, null, ['RUPOR_WORKER' => (string) $worker] + getenv());
        fclose($theirs);
        $hello += ['protocol' => 1, 'worker' => $worker, 'workers' => $workers, 'start' => 1, 'frame_bytes_max' => 1048576];
        $this->event(Wire::HELLO, 0, json_encode($hello));
    }

    public function __destruct()
    {
        if (is_resource($this->process)) {
            proc_terminate($this->process, 9);
        }
    }

    /** Writes bytes. */
    public function write(string $bytes): void
    {
        while ($bytes !== '') {
            $written = fwrite($this->stream, $bytes);
            if ($written === false) {
                throw new \RuntimeException('the worker does not take it: ' . $this->printed());
            }
            $bytes = substr($bytes, $written);
        }
    }

    public static function frame(int $kind, int $subject, string $body): string
    {
        return pack('N', 9 + strlen($body)) . chr($kind) . pack('J', $subject) . $body;
    }

    /** Sends an event. */
    public function event(int $kind, int $subject, string $body = ''): void
    {
        $this->write(self::frame($kind, $subject, $body));
    }

    /** Opens a connection. */
    public function open(int $number, array $fields = []): void
    {
        $this->event(Wire::OPEN, $number, json_encode($fields + self::request()));
    }

    public static function request(): array
    {
        return [
            'target' => '/chat?user=anna&userId=5',
            'headers' => [['host', 'example.org:8000'], ['cookie', 'a=1; PHPSESSID=4sk3; name=J%C3%BCrgen'], ['x-real-ip', '198.51.100.7']],
            'remote' => '192.0.2.1:50123',
            'secure' => false,
            'user' => 'anna',
        ];
    }

    /** The next command, `[kind, subject, body]`; `null` at the end of the stream. */
    public function command(): ?array
    {
        $until = microtime(true) + self::DEADLINE_S;
        while (true) {
            if (strlen($this->in) >= 4) {
                $length = unpack('N', $this->in)[1];
                if (strlen($this->in) >= 4 + $length) {
                    $frame = [ord($this->in[4]), unpack('J', $this->in, 5)[1], substr($this->in, 13, $length - 9)];
                    $this->in = substr($this->in, 4 + $length);
                    return $frame;
                }
            }
            [$read, $none] = [[$this->stream], []];
            if (microtime(true) > $until || stream_select($read, $none, $none, self::DEADLINE_S) === 0) {
                throw new \RuntimeException('too late: the worker says nothing. It printed: ' . $this->printed());
            }
            $bytes = fread($this->stream, 1 << 20);
            if ($bytes === '' || $bytes === false) {
                return null;
            }
            $this->in .= $bytes;
        }
    }

    /** The next command that is not `done`. */
    public function said(): ?array
    {
        do {
            $command = $this->command();
        } while ($command !== null && $command[0] === Wire::DO_DONE);
        return $command;
    }

    /** Reads until so many events are done; the commands before that. */
    public function until(int $done): array
    {
        $commands = [];
        while (($command = $this->command()) !== null) {
            if ($command[0] !== Wire::DO_DONE) {
                $commands[] = $command;
            } elseif ($command[1] >= $done) {
                return $commands;
            }
        }
        throw new \RuntimeException('the worker ended: ' . $this->printed());
    }

    /** The worker's hello. */
    public function hello(): array
    {
        [$kind, , $body] = $this->command() ?? throw new \RuntimeException('the worker ended: ' . $this->printed());
        if ($kind !== Wire::DO_HELLO) {
            throw new \RuntimeException("the first command is $kind and not hello");
        }
        return json_decode($body, true);
    }

    /** Every command until the worker's end. */
    public function rest(): array
    {
        $commands = [];
        while (($command = $this->command()) !== null) {
            $commands[] = $command;
        }
        return $commands;
    }

    /** What it printed so far and does not print any more: to be called at its end. */
    public function printed(): string
    {
        stream_set_blocking($this->pipes[1], false);
        stream_set_blocking($this->pipes[2], false);
        return stream_get_contents($this->pipes[1]) . stream_get_contents($this->pipes[2]);
    }

    /** Kills it. */
    public function kill(): void
    {
        proc_terminate($this->process, 9);
    }

    /** Waits for its end; its exit status. */
    public function ended(): int
    {
        $until = microtime(true) + self::DEADLINE_S;
        while ($this->exitCode === null) {
            $status = proc_get_status($this->process);
            if (!$status['running']) {
                $this->exitCode = $status['exitcode'];
            } elseif (microtime(true) > $until) {
                throw new \RuntimeException('the worker does not end');
            } else {
                usleep(2000);
            }
        }
        return $this->exitCode;
    }
}
