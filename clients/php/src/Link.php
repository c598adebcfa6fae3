<?php

declare(strict_types=1);

namespace Rupor;

/**
 * A worker's end of the stream to the gateway: bytes in as frames, frames out as one write.
 *
 * @internal
 */
final class Link
{
    /** How much is read at once. */
    private const READ_BYTES = 262144;
    /** What waits to be written is written when it is longer than this. */
    private const WRITE_BYTES = 65536;
    /** Or when so much time has passed since the last time: 1 ms. */
    private const WRITE_NS = 1_000_000;

    /** What the gateway takes at most as a frame's length, until its hello says. */
    public int $frameBytesMax = 1048576;

    private string $in = '';
    private string $out = '';
    private int $wroteAt = 0;
    private bool $ended = false;

    /**
     * @param resource $stream
     */
    public function __construct(private readonly mixed $stream)
    {
        // A silent hour is no error, and a chunk is not to be cut into PHP's 8 KiB.
        stream_set_blocking($stream, true);
        stream_set_timeout($stream, 31536000);
        stream_set_chunk_size($stream, self::READ_BYTES);
    }

    /** The gateway's end of the stream that this process was started with. */
    public static function ofTheGateway(): self
    {
        $stream = getenv('RUPOR_WORKER') === false ? false : @fopen('php://fd/3', 'r+');
        if ($stream === false) {
            throw new \RuntimeException('this script is a worker of rupor: start it with `rupor serve --php ' . ($_SERVER['argv'][0] ?? 'FILE') . '`');
        }
        return new self($stream);
    }

    /**
     * Waits for frames: `[kind, subject, body]` each, at least one. `null`: the gateway is gone.
     *
     * @return ?list<array{int, int, string}>
     */
    public function read(): ?array
    {
        $frames = [];
        while ($frames === []) {
            $bytes = fread($this->stream, self::READ_BYTES);
            if ($bytes === '' || $bytes === false) {
                if (feof($this->stream)) {
                    $this->ended = true;
                    return null;
                }
                // A signal.
                continue;
            }
            $this->in .= $bytes;
            $frames = $this->frames();
        }
        // What comes of these frames is written together, unless it takes longer than that.
        $this->wroteAt = hrtime(true);
        return $frames;
    }

    /** @return list<array{int, int, string}> */
    private function frames(): array
    {
        $frames = [];
        $at = 0;
        $end = strlen($this->in);
        while ($end - $at >= Wire::HEAD_BYTES) {
            ['length' => $length, 'kind' => $kind, 'subject' => $subject] = unpack('Nlength/Ckind/Jsubject', $this->in, $at);
            if ($length < Wire::COUNTED_HEAD_BYTES) {
                throw new \UnexpectedValueException('the gateway sent what is no frame');
            }
            if ($end - $at - 4 < $length) {
                break;
            }
            $frames[] = [$kind, $subject, substr($this->in, $at + Wire::HEAD_BYTES, $length - Wire::COUNTED_HEAD_BYTES)];
            $at += 4 + $length;
        }
        if ($at > 0) {
            $this->in = substr($this->in, $at);
        }
        return $frames;
    }

    /** Puts a frame behind what waits to be written. */
    public function queue(int $kind, int $subject, string $body): void
    {
        if (strlen($body) + Wire::COUNTED_HEAD_BYTES > $this->frameBytesMax) {
            throw new \LengthException('the gateway takes at most ' . ($this->frameBytesMax - Wire::COUNTED_HEAD_BYTES) . ' bytes at once, and these are ' . strlen($body));
        }
        $this->out .= Wire::frame($kind, $subject, $body);
    }

    /** Whether so much waits, or for so long, that it is to be written before the next event. */
    public function isDue(): bool
    {
        return strlen($this->out) >= self::WRITE_BYTES || hrtime(true) - $this->wroteAt >= self::WRITE_NS;
    }

    /** Writes everything. */
    public function flush(): void
    {
        $out = $this->out;
        $this->out = '';
        while ($out !== '' && !$this->ended) {
            $written = @fwrite($this->stream, $out);
            if ($written === false || ($written === 0 && feof($this->stream))) {
                // Nobody reads it any more: the gateway is gone, and the next read says so.
                $this->ended = true;
                return;
            }
            $out = $written === strlen($out) ? '' : substr($out, $written);
        }
        $this->wroteAt = hrtime(true);
    }
}
