<?php

declare(strict_types=1);

namespace Rupor;

/** Something that a handler wanted for a connection and that the gateway did not do. */
final class Refused
{
    /**
     * @param string $command `subscribe`, `unsubscribe` or `user`
     * @param string $name    the channel or user
     * @param string $code    why, for programs: docs/reference/codes.md
     * @param string $error   why, for people
     * @internal
     */
    public function __construct(
        public readonly string $command,
        public readonly string $name,
        public readonly string $code,
        public readonly string $error,
    ) {
    }
}
