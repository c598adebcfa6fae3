<?php

declare(strict_types=1);

namespace Rupor\Tests;

/** The real program, on free ports, for one test. */
final class Rupor
{
    private const DEADLINE_S = 20;

    /** @var resource */
    private readonly mixed $process;
    private readonly string $log;
    public readonly string $folder;
    /** Where browsers connect and the API is: `127.0.0.1:PORT`. */
    public readonly string $browsers;
    /** The line inlet on TCP. */
    public readonly string $inlet;
    /** The line inlet on a Unix socket. */
    public readonly string $unix;
    public readonly string $key;

    /** @param string[] $flags */
    public function __construct(string $mode = 'demo', array $flags = [])
    {
        $program = getenv('RUPOR_BIN') ?: __DIR__ . '/../../../target/release/rupor';
        $this->folder = sys_get_temp_dir() . '/rupor-php-' . bin2hex(random_bytes(6));
        mkdir($this->folder);
        $this->log = "{$this->folder}/log";
        $command = [$program, $mode, '--listen', '127.0.0.1:0', '--inlet', 'tcp://127.0.0.1:0', '--inlet', "unix://{$this->folder}/lines.sock", ...$flags];
        $environment = array_filter(getenv(), fn ($name) => !str_starts_with((string) $name, 'RUPOR_'), ARRAY_FILTER_USE_KEY);
        $to = ['file', $this->log, 'a'];
        $this->process = proc_open($command, [['file', '/dev/null', 'r'], $to, $to], $pipes, null, $environment);
        $this->browsers = $this->shown('~listening on wss?://(127\.0\.0\.1:\d+)~');
        $this->inlet = $this->shown('~lines on (tcp://127\.0\.0\.1:\d+)~');
        $this->unix = "unix://{$this->folder}/lines.sock";
        $this->key = $mode === 'demo' ? $this->shown('~Bearer ([^\s\'"]+)~') : '';
    }

    public function __destruct()
    {
        proc_terminate($this->process, 9);
        array_map('unlink', glob("{$this->folder}/*"));
        rmdir($this->folder);
    }

    /** The first match of a pattern in what it prints. */
    public function shown(string $pattern): string
    {
        $until = microtime(true) + self::DEADLINE_S;
        while (!preg_match($pattern, $text = (string) @file_get_contents($this->log), $found)) {
            if (microtime(true) > $until || !proc_get_status($this->process)['running']) {
                throw new \RuntimeException("no $pattern in: $text");
            }
            usleep(5000);
        }
        return $found[1];
    }

    /**
     * Opens a WebSocket; the stream behind the 101.
     *
     * @param string $headers more of them, each with its line end
     */
    public function browser(string $target, string $headers = ''): mixed
    {
        $stream = stream_socket_client("tcp://{$this->browsers}", $number, $error, self::DEADLINE_S);
        stream_set_timeout($stream, self::DEADLINE_S);
        fwrite($stream, "GET $target HTTP/1.1\r\nHost: {$this->browsers}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            . "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n$headers\r\n");
        $status = fgets($stream);
        while (($line = fgets($stream)) !== false && trim($line) !== '') {
        }
        if (!str_contains((string) $status, ' 101 ')) {
            throw new \RuntimeException("refused: $status");
        }
        return $stream;
    }

    /** The next short message. */
    public static function message(mixed $stream): string
    {
        [, $first, $length] = unpack('C2', self::bytes($stream, 2)) + [2 => 0];
        return $first === 0x88 ? 'closed ' . unpack('n', self::bytes($stream, $length))[1] : self::bytes($stream, $length);
    }

    private static function bytes(mixed $stream, int $count): string
    {
        $bytes = '';
        while (strlen($bytes) < $count) {
            $more = fread($stream, $count - strlen($bytes));
            if ($more === '' || $more === false) {
                throw new \RuntimeException('the message does not come');
            }
            $bytes .= $more;
        }
        return $bytes;
    }
}
