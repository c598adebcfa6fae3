<?php

declare(strict_types=1);

namespace Rupor;

/**
 * A browser's connection, the same object for its whole life in this process. Keep what you like on it; what is to
 * outlive the process is attached.
 */
#[\AllowDynamicProperties]
final class Connection
{
    /** By this the site knows the connection: 16 hexadecimal digits. */
    public readonly string $id;
    /** Whether it is open as far as this process knows. What is sent to a closed one goes nowhere. */
    public bool $open = true;

    /**
     * @param int     $number   the gateway's number of it
     * @param Request $request  what it was opened with
     * @param ?string $user     who it is
     * @param mixed   $attached what was attached to it
     * @param bool    $resumed  whether the process before this one had it already
     * @internal
     */
    public function __construct(
        private readonly Worker $worker,
        public readonly int $number,
        public readonly Request $request,
        public ?string $user,
        public mixed $attached,
        public readonly bool $resumed,
    ) {
        $this->id = sprintf('%016x', $number);
    }

    /** Sends a text message, which must be UTF-8. */
    public function send(string $message): void
    {
        $this->worker->command(Wire::DO_TEXT, $this->number, $message);
    }

    /** Sends a binary message. */
    public function sendBinary(string $message): void
    {
        $this->worker->command(Wire::DO_BINARY, $this->number, $message);
    }

    /**
     * Begins the closing handshake; `onClose` is called at its end.
     *
     * @param int    $code   1000, 1011, or 3000 to 4999
     * @param string $reason at most 123 bytes
     */
    public function close(int $code = 1000, string $reason = ''): void
    {
        $this->worker->command(Wire::DO_CLOSE, $this->number, pack('n', $code) . $reason);
    }

    /** From now on it receives what is published in the channel. */
    public function subscribe(string $channel): void
    {
        $this->worker->command(Wire::DO_SUBSCRIBE, $this->number, $channel);
    }

    public function unsubscribe(string $channel): void
    {
        $this->worker->command(Wire::DO_UNSUBSCRIBE, $this->number, $channel);
    }

    /** Says who it is, so that the site reaches it by this name. Once: it cannot become another. */
    public function user(string $user): void
    {
        $this->user = $user;
        $this->worker->command(Wire::DO_USER, $this->number, $user);
    }

    /**
     * Leaves a value with the gateway, which gives it back (`$attached`) when this process was replaced by another.
     * Anything that JSON can hold, at most 64 KiB of it.
     */
    public function attach(mixed $value): void
    {
        $this->attached = $value;
        $this->worker->command(Wire::DO_ATTACH, $this->number, Wire::json($value));
    }
}
