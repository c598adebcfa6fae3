<?php

declare(strict_types=1);

namespace Rupor;

/**
 * The HTTP request that opened a connection, or asks to.
 *
 * The methods whose names begin with `get` and `has` are spelt as in PSR-7, for handlers that were written for
 * Ratchet's `httpRequest`.
 */
final class Request
{
    /** Path and query as they were sent: `/chat?user=anna`. */
    public readonly string $target;
    /** The peer's address and port: `192.0.2.1:50123`. Behind a proxy: as `client_address` of rupor has it. */
    public readonly string $remote;
    /** Whether it came over TLS of the gateway's. */
    public readonly bool $secure;

    /** @var array<string, string[]> values by name in lower case */
    private array $headers = [];

    /**
     * @param array<string, mixed> $fields as in `open`
     * @internal
     */
    public function __construct(array $fields)
    {
        $this->target = (string) ($fields['target'] ?? '/');
        $this->remote = (string) ($fields['remote'] ?? '');
        $this->secure = (bool) ($fields['secure'] ?? false);
        foreach ($fields['headers'] ?? [] as [$name, $value]) {
            // A key such as "5" becomes a number, which strtolower() of a strict caller does not take back.
            $this->headers[strtolower((string) $name)][] = (string) $value;
        }
    }

    /** The path, percent-encoded as it was sent. */
    public function path(): string
    {
        return explode('?', $this->target, 2)[0];
    }

    /** A parameter of the query; `null` when there is none. */
    public function query(string $name): ?string
    {
        parse_str(explode('?', $this->target, 2)[1] ?? '', $parameters);
        $value = $parameters[$name] ?? null;
        return is_string($value) ? $value : null;
    }

    /** The first header of that name in any case; `null` when there is none. */
    public function header(string $name): ?string
    {
        return $this->headers[strtolower($name)][0] ?? null;
    }

    /** A cookie, decoded as in `$_COOKIE`; `null` when there is none. */
    public function cookie(string $name): ?string
    {
        foreach ($this->headers['cookie'] ?? [] as $line) {
            foreach (explode(';', $line) as $pair) {
                [$found, $value] = explode('=', trim($pair), 2) + [1 => null];
                if ($found === $name && $value !== null) {
                    return urldecode(trim($value, '"'));
                }
            }
        }
        return null;
    }

    /** The peer's address without the port. */
    public function address(): string
    {
        $colon = strrpos($this->remote, ':');
        return trim($colon === false ? $this->remote : substr($this->remote, 0, $colon), '[]');
    }

    public function getMethod(): string
    {
        return 'GET';
    }

    public function getRequestTarget(): string
    {
        return $this->target;
    }

    public function getUri(): Uri
    {
        return new Uri($this->secure ? 'wss' : 'ws', $this->header('host') ?? '', $this->target);
    }

    /** @return array<string, string[]> */
    public function getHeaders(): array
    {
        return $this->headers;
    }

    public function hasHeader(string $name): bool
    {
        return isset($this->headers[strtolower($name)]);
    }

    /** @return string[] */
    public function getHeader(string $name): array
    {
        return $this->headers[strtolower($name)] ?? [];
    }

    public function getHeaderLine(string $name): string
    {
        return implode(', ', $this->getHeader($name));
    }
}
