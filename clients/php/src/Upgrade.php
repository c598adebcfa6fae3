<?php

declare(strict_types=1);

namespace Rupor;

/**
 * The question whether a connection may open. What is said here holds at the end of the callback; who says nothing
 * lets it pass.
 */
final class Upgrade
{
    /** @internal what is refused: status and reason */
    public ?array $refusal = null;
    /** @internal what it opens with */
    public array $entry = [];

    /**
     * @param ?string $user who it is, as far as the gateway knows
     * @internal
     */
    public function __construct(public readonly Request $request, public readonly ?string $user)
    {
    }

    /** Refuses: the browser's request is answered with this HTTP status, 400 to 599, and reason. */
    public function refuse(int $status = 403, string $reason = ''): void
    {
        if ($status < 400 || $status > 599) {
            throw new \InvalidArgumentException("$status is not a status that refuses: take 400 to 599");
        }
        $this->refusal = [$status, $reason];
    }

    /** Says who it is, whatever was known before. */
    public function user(string $user): void
    {
        $this->entry['user'] = $user;
    }

    /** It is subscribed to this channel when it opens, and misses nothing. */
    public function subscribe(string $channel): void
    {
        $this->entry['channels'][] = $channel;
    }
}
