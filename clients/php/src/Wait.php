<?php

declare(strict_types=1);

namespace Rupor;

/**
 * A stream that is written and read until a deadline, and no longer.
 *
 * @internal
 */
final class Wait
{
    private readonly float $until;

    public function __construct(private readonly float $seconds)
    {
        $this->until = microtime(true) + $seconds;
    }

    /**
     * Opens a stream.
     *
     * @return resource|Result
     */
    public function open(string $address, array $tls = []): mixed
    {
        $context = stream_context_create(['ssl' => $tls]);
        $left = max(0.001, $this->left());
        // What TLS has against the other end is said in a warning only, the first of several.
        $said = [];
        set_error_handler(function (int $level, string $text) use (&$said): bool {
            $said[] = preg_replace(['/^stream_socket_client\(\): /', '/\s+/'], ['', ' '], $text);
            return true;
        });
        $stream = stream_socket_client($address, $number, $error, $left, STREAM_CLIENT_CONNECT, $context);
        restore_error_handler();
        if ($stream === false) {
            return Result::failed('unreachable', "rupor cannot be reached at $address: " . ($error !== '' ? $error : $said[0] ?? 'it does not answer'));
        }
        stream_set_blocking($stream, false);
        return $stream;
    }

    /**
     * Writes everything; `null`, or what went wrong.
     *
     * @param resource $stream
     */
    public function write(mixed $stream, string $bytes): ?Result
    {
        while ($bytes !== '') {
            if (!$this->ready($stream, false)) {
                return $this->tooLate();
            }
            $written = @fwrite($stream, $bytes);
            if ($written === false) {
                return Result::failed('unreachable', 'the connection to rupor was cut');
            }
            $bytes = substr($bytes, $written);
        }
        return null;
    }

    /**
     * Some bytes, an empty string at the end of the stream, or what went wrong.
     *
     * @param resource $stream
     */
    public function read(mixed $stream): string|Result
    {
        // Read first: what TLS has decrypted already does not make the stream ready.
        while (($bytes = @fread($stream, 65536)) === '' && !feof($stream)) {
            if (!$this->ready($stream, true)) {
                return $this->tooLate();
            }
        }
        return $bytes === false ? Result::failed('unreachable', 'the connection to rupor was cut') : $bytes;
    }

    private function left(): float
    {
        return $this->until - microtime(true);
    }

    private function ready(mixed $stream, bool $toRead): bool
    {
        $left = $this->left();
        if ($left <= 0) {
            return false;
        }
        [$read, $write, $none] = [$toRead ? [$stream] : [], $toRead ? [] : [$stream], []];
        return @stream_select($read, $write, $none, (int) $left, (int) (fmod($left, 1) * 1e6)) > 0;
    }

    private function tooLate(): Result
    {
        return Result::failed('too_late', 'rupor did not answer within ' . $this->seconds * 1000 . ' ms; it may have taken it nevertheless');
    }
}
