<?php

declare(strict_types=1);

namespace Rupor;

/**
 * Lines on a TCP port or Unix socket: docs/reference/inlets.md. The connection is kept between calls.
 *
 * @internal
 */
final class LineTransport implements Transport
{
    /** @var ?resource */
    private mixed $stream = null;

    public function __construct(private readonly string $dsn, private readonly float $timeout)
    {
    }

    public function publish(array $lines): array
    {
        $wait = new Wait($this->timeout);
        $results = [];
        $failed = $this->exchange($wait, $lines, $results);
        if ($failed !== null) {
            // An answer that comes later must not be taken for another line's.
            $this->stream = null;
            $results = array_pad($results, count($lines), $failed);
        }
        return $results;
    }

    public function call(string $method, string $path, string $body, \Closure $understand): Result
    {
        return Result::failed('unsupported', 'this needs the HTTP API: make the client with http:// or https:// and its key');
    }

    /** @param list<Result> $results */
    private function exchange(Wait $wait, array $lines, array &$results): ?Result
    {
        // A connection that the gateway has closed meanwhile is readable: at its end.
        if ($this->stream !== null && (@fread($this->stream, 1) !== '' || feof($this->stream))) {
            $this->stream = null;
        }
        if ($this->stream === null) {
            $stream = $wait->open($this->dsn);
            if ($stream instanceof Result) {
                return $stream;
            }
            $this->stream = $stream;
        }
        if ($failed = $wait->write($this->stream, implode("\n", $lines) . "\n")) {
            return $failed;
        }
        $read = '';
        while (count($results) < count($lines)) {
            $bytes = $wait->read($this->stream);
            if ($bytes instanceof Result) {
                return $bytes;
            }
            if ($bytes === '') {
                return Result::failed('unreachable', 'rupor closed the connection');
            }
            $answers = explode("\n", $read . $bytes);
            $read = array_pop($answers);
            foreach ($answers as $answer) {
                $results[] = Result::of(json_decode($answer, true));
            }
        }
        return null;
    }
}
