<?php

declare(strict_types=1);

namespace Rupor;

/** What became of something that the site asked of rupor. */
final class Result
{
    /**
     * @param bool     $ok          whether it was done
     * @param int      $connections how many connections it is for; 0 is no error: nobody is there
     * @param string   $error       what went wrong, for people
     * @param string   $code        the same for programs: docs/reference/inlets.md, and `unreachable`, `too_late`,
     *                              `unsupported`, `bad_answer` of this client
     * @param string[] $ids         ids of the connections, where they were asked for
     */
    public function __construct(
        public readonly bool $ok,
        public readonly int $connections = 0,
        public readonly string $error = '',
        public readonly string $code = '',
        public readonly array $ids = [],
    ) {
    }

    /** @internal */
    public static function failed(string $code, string $error): self
    {
        return new self(false, 0, $error, $code);
    }

    /** @internal what the gateway answered */
    public static function of(mixed $answer): self
    {
        if (!is_array($answer) || !is_bool($answer['ok'] ?? null)) {
            return self::failed('bad_answer', 'what answers there is not rupor');
        }
        return new self(
            $answer['ok'],
            (int) ($answer['connections'] ?? 0),
            (string) ($answer['error'] ?? ''),
            (string) ($answer['code'] ?? ''),
        );
    }
}
