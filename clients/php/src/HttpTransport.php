<?php

declare(strict_types=1);

namespace Rupor;

/**
 * The HTTP API: docs/reference/inlets.md. One connection for each call.
 *
 * @internal
 */
final class HttpTransport implements Transport
{
    /** Longest answer that is read, in bytes. */
    private const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

    private readonly string $address;
    private readonly string $host;
    private readonly string $path;
    private readonly bool $secure;

    public function __construct(string $dsn, private readonly float $timeout, private readonly string $key, private readonly ?string $ca = null)
    {
        $parts = parse_url($dsn);
        if (!is_array($parts) || !isset($parts['host'])) {
            throw new \InvalidArgumentException("$dsn names no host");
        }
        $this->secure = $parts['scheme'] === 'https';
        $port = $parts['port'] ?? ($this->secure ? 443 : 80);
        $this->host = $parts['host'] . (isset($parts['port']) ? ":$port" : '');
        $this->address = ($this->secure ? 'tls' : 'tcp') . "://{$parts['host']}:$port";
        $this->path = rtrim($parts['path'] ?? '', '/');
    }

    public function publish(array $lines): array
    {
        $results = [];
        $understand = function (mixed $answer) use (&$results, $lines): Result {
            if (is_array($answer) && array_is_list($answer) && count($answer) === count($lines)) {
                $results = array_map(Result::of(...), $answer);
                return $results[0];
            }
            return Result::of($answer);
        };
        $result = $this->call('POST', '/api/publish', '[' . implode(',', $lines) . ']', $understand);
        return $results !== [] ? $results : array_fill(0, count($lines), $result);
    }

    public function call(string $method, string $path, string $body, \Closure $understand): Result
    {
        $wait = new Wait($this->timeout);
        $stream = $wait->open($this->address, $this->ca === null ? [] : ['cafile' => $this->ca]);
        if ($stream instanceof Result) {
            return $stream;
        }
        $request = "$method {$this->path}$path HTTP/1.1\r\nHost: {$this->host}\r\nAuthorization: Bearer {$this->key}\r\n"
            . "Content-Type: application/json\r\nContent-Length: " . strlen($body) . "\r\nConnection: close\r\n\r\n$body";
        if ($failed = $wait->write($stream, $request)) {
            return $failed;
        }
        $answer = '';
        do {
            $bytes = $wait->read($stream);
            if ($bytes instanceof Result) {
                return $bytes;
            }
            $answer .= $bytes;
        } while ($bytes !== '' && strlen($answer) <= self::ANSWER_BYTES_MAX);
        return $understand(json_decode($this->body($answer), true));
    }

    private function body(string $answer): string
    {
        [$head, $body] = explode("\r\n\r\n", $answer, 2) + [1 => ''];
        if (!preg_match('/^transfer-encoding:.*chunked/mi', $head)) {
            return $body;
        }
        // A proxy in between may cut it.
        $whole = '';
        while (preg_match('/^([0-9a-f]{1,7})[^\r\n]*\r\n/i', $body, $found) && ($length = hexdec($found[1])) > 0) {
            $whole .= substr($body, strlen($found[0]), $length);
            $body = substr($body, strlen($found[0]) + $length + 2);
        }
        return $whole;
    }
}
