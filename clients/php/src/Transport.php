<?php

declare(strict_types=1);

namespace Rupor;

/**
 * How a client reaches rupor. Nothing of it throws.
 *
 * @internal
 */
interface Transport
{
    /**
     * @param list<string> $lines JSON of a publish object each
     * @return list<Result> one for each
     */
    public function publish(array $lines): array;

    /**
     * A call of the HTTP API; `$understand` makes the result of its decoded answer.
     *
     * @param \Closure(mixed): Result $understand
     */
    public function call(string $method, string $path, string $body, \Closure $understand): Result;
}
