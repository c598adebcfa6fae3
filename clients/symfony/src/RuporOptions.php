<?php

declare(strict_types=1);

namespace Rupor\Symfony;

use Symfony\Component\Notifier\Message\MessageOptionsInterface;

/** Whom a message is for. */
final class RuporOptions implements MessageOptionsInterface
{
    /** @param array<string, mixed> $target the one of a publish object */
    private function __construct(private readonly array $target, private readonly ?string $recipient = null)
    {
    }

    public static function user(string|int $user): self
    {
        return new self(['user' => $user], (string) $user);
    }

    /** @param array<string|int> $users */
    public static function users(array $users): self
    {
        return new self(['users' => array_values($users)]);
    }

    public static function channel(string $channel): self
    {
        return new self(['channel' => $channel]);
    }

    public static function all(): self
    {
        return new self(['all' => true]);
    }

    public function toArray(): array
    {
        return $this->target;
    }

    public function getRecipientId(): ?string
    {
        return $this->recipient;
    }
}
