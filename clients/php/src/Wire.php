<?php

declare(strict_types=1);

namespace Rupor;

/**
 * The frames between the gateway and a worker: docs/reference/worker-protocol.md.
 *
 * @internal
 */
final class Wire
{
    public const PROTOCOL = 1;

    /** Length (4 bytes), kind (1), subject (8). */
    public const HEAD_BYTES = 13;
    /** What a length counts besides the body: kind and subject. */
    public const COUNTED_HEAD_BYTES = 9;

    // Events: from the gateway to the worker.
    public const HELLO = 1;
    public const UPGRADE = 2;
    public const OPEN = 3;
    public const TEXT = 4;
    public const BINARY = 5;
    public const CLOSE = 6;
    public const TIMER = 7;
    public const ANSWER = 8;
    public const STOP = 9;
    public const TOLD = 10;
    public const LINE = 11;
    public const REFUSED = 12;

    // Commands: from the worker to the gateway.
    public const DO_HELLO = 65;
    public const DO_DONE = 66;
    public const DO_TEXT = 67;
    public const DO_BINARY = 68;
    public const DO_CLOSE = 69;
    public const DO_SUBSCRIBE = 70;
    public const DO_UNSUBSCRIBE = 71;
    public const DO_USER = 72;
    public const DO_ATTACH = 73;
    public const DO_PUBLISH = 74;
    public const DO_DISCONNECT = 75;
    public const DO_ASK = 76;
    public const DO_ACCEPT = 77;
    public const DO_REFUSE = 78;
    public const DO_TELL = 79;
    public const DO_REPLY = 80;

    // Targets of `publish` and `disconnect`.
    public const EVERYBODY = 0;
    public const USERS = 1;
    public const CHANNEL = 2;
    public const COOKIE = 3;

    /** To whom `tell` goes: to all workers but this one. */
    public const ALL_OTHERS = 65535;

    public static function frame(int $kind, int $subject, string $body): string
    {
        return pack('NCJ', self::COUNTED_HEAD_BYTES + strlen($body), $kind, $subject) . $body;
    }

    /**
     * @param string[] $names
     */
    public static function target(int $target, array $names): string
    {
        if (count($names) > 65535) {
            throw new \LengthException('a publication may not name so many users: send several');
        }
        $bytes = pack('Cn', $target, count($names));
        foreach ($names as $name) {
            $name = (string) $name;
            if (strlen($name) > 65535) {
                throw new \LengthException('a name is at most 65535 bytes');
            }
            $bytes .= pack('n', strlen($name)) . $name;
        }
        return $bytes;
    }

    public static function json(mixed $value): string
    {
        return json_encode($value, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES);
    }
}
