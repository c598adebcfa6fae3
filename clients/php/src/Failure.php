<?php

declare(strict_types=1);

namespace Rupor;

/** Thrown instead of a failed result by a client that was made with `throw`. */
final class Failure extends \RuntimeException
{
    public function __construct(public readonly Result $result)
    {
        parent::__construct($result->error);
    }
}
