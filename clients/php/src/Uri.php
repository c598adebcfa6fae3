<?php

declare(strict_types=1);

namespace Rupor;

/** The address that a connection opened, with the methods of PSR-7 that handlers use. */
final class Uri
{
    /** @internal */
    public function __construct(
        private readonly string $scheme,
        private readonly string $authority,
        private readonly string $target,
    ) {
    }

    public function getScheme(): string
    {
        return $this->scheme;
    }

    public function getAuthority(): string
    {
        return $this->authority;
    }

    public function getHost(): string
    {
        return (string) preg_replace('/:\d+$/', '', $this->authority);
    }

    public function getPort(): ?int
    {
        return preg_match('/:(\d+)$/', $this->authority, $found) ? (int) $found[1] : null;
    }

    public function getPath(): string
    {
        return explode('?', $this->target, 2)[0];
    }

    public function getQuery(): string
    {
        return explode('?', $this->target, 2)[1] ?? '';
    }

    public function __toString(): string
    {
        return "{$this->scheme}://{$this->authority}{$this->target}";
    }
}
