<?php

declare(strict_types=1);

namespace Rupor;

/**
 * The site's side: sends from a page or script to connected browsers.
 *
 * ```php
 * $rupor = new Rupor\Client('unix:///run/rupor/rupor.sock');
 * $rupor->toUser('anna', 'your order is ready');
 * ```
 *
 * Nothing here throws into the page (unless asked to, or called wrongly), and nothing takes longer than the time-out: what went wrong is in the
 * result.
 */
final class Client
{
    private readonly Transport $transport;
    private readonly bool $throw;

    /**
     * @param string $dsn     `unix:///PATH` or `tcp://HOST:PORT`, a line inlet; `http://HOST:PORT` or `https://HOST`, the HTTP API
     * @param array{timeout?: float, key?: string, ca?: string, throw?: bool} $options
     *                        `timeout`: seconds that one call may take in all, 0.05 if left out;
     *                        `key`: the key of the HTTP API; `ca`: a file with the certificates that `https` is checked against, if not
     *                        the system's; `throw`: whether failures are thrown as `Rupor\Failure`
     */
    public function __construct(string $dsn = 'unix:///run/rupor/rupor.sock', array $options = [])
    {
        if ($unknown = array_diff_key($options, ['timeout' => 1, 'key' => 1, 'ca' => 1, 'throw' => 1])) {
            throw new \InvalidArgumentException('there is no option ' . key($unknown) . ': take timeout, key, ca or throw');
        }
        $timeout = (float) ($options['timeout'] ?? 0.05);
        $this->throw = (bool) ($options['throw'] ?? false);
        $this->transport = match (parse_url($dsn, PHP_URL_SCHEME) ?: explode(':', $dsn)[0]) {
            'unix', 'tcp' => new LineTransport($dsn, $timeout),
            'http', 'https' => new HttpTransport($dsn, $timeout, self::secret((string) ($options['key'] ?? '')), $options['ca'] ?? null),
            default => throw new \InvalidArgumentException("$dsn is no address of rupor: take unix://, tcp://, http:// or https://"),
        };
    }

    /**
     * Sends to all connections of a user. A string arrives as it is, anything else as its JSON.
     *
     * @param array<string, mixed> $options `exclude`: the id of a connection that is left out
     */
    public function toUser(string|int $user, mixed $message, array $options = []): Result
    {
        return $this->one(['user' => $user, 'message' => $message] + $options);
    }

    /**
     * Sends to all connections of these users, to each once.
     *
     * @param array<string|int> $users
     * @param array<string, mixed> $options
     */
    public function toUsers(array $users, mixed $message, array $options = []): Result
    {
        return $this->one(['users' => array_values($users), 'message' => $message] + $options);
    }

    /** @param array<string, mixed> $options */
    public function toChannel(string $channel, mixed $message, array $options = []): Result
    {
        return $this->one(['channel' => $channel, 'message' => $message] + $options);
    }

    /**
     * Sends to one connection, by its id.
     */
    public function toConnection(string $connection, mixed $message): Result
    {
        return $this->one(['connection' => $connection, 'message' => $message]);
    }

    /**
     * Sends to the connections that came with this session: `toSession(session_id(), …)` reaches all tabs of this browser.
     *
     * @param string $session value of the cookie `PHPSESSID`
     * @param array<string, mixed> $options
     */
    public function toSession(string $session, mixed $message, array $options = []): Result
    {
        return $this->one(['PHPSESSID' => $session, 'message' => $message] + $options);
    }

    /** @param array<string, mixed> $options */
    public function toAll(mixed $message, array $options = []): Result
    {
        return $this->one(['all' => true, 'message' => $message] + $options);
    }

    /**
     * Sends many at once, in one round trip: publish objects as in docs/reference/inlets.md.
     *
     * @param array<array<string, mixed>> $publications
     * @return Result[] one for each, with its key
     */
    public function batch(array $publications): array
    {
        if ($publications === []) {
            return [];
        }
        $lines = [];
        try {
            foreach ($publications as $publication) {
                $lines[] = json_encode($publication, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES);
            }
            $results = $this->transport->publish($lines);
        } catch (\JsonException $error) {
            $results = array_fill(0, count($publications), Result::failed('bad_json', 'this is not JSON: ' . $error->getMessage()));
        }
        return array_combine(array_keys($publications), array_map($this->checked(...), $results));
    }

    /**
     * Closes all connections of a user. Needs the HTTP API.
     *
     * @param int $code 1000, or 3000 to 4999
     */
    public function disconnect(string|int $user, int $code = 1000, string $reason = ''): Result
    {
        $body = json_encode(['user' => $user, 'code' => $code, 'reason' => $reason], JSON_INVALID_UTF8_SUBSTITUTE);
        return $this->checked($this->transport->call('POST', '/api/disconnect', $body, Result::of(...)));
    }

    /** A user's connections. Needs the HTTP API. */
    public function user(string|int $user): Result
    {
        $understand = function (mixed $answer): Result {
            $ids = is_array($answer) ? $answer['connections'] ?? null : null;
            return is_array($ids) ? new Result(true, count($ids), ids: $ids) : Result::of($answer);
        };
        return $this->checked($this->transport->call('GET', '/api/users/' . rawurlencode((string) $user), '', $understand));
    }

    /** Whether a user has a connection; no where that is not known. Needs the HTTP API. */
    public function isOnline(string|int $user): bool
    {
        return $this->user($user)->connections > 0;
    }

    /**
     * A token by which a page's connection is the user's: give it to the page that you made for this user.
     *
     * @param string $key    the secret of `[[jwt]]` with the algorithm HS256, or what its file holds
     * @param array<string, mixed> $claims more of them, such as `iss` and `aud`
     */
    public static function token(string|int $user, string $key, int $seconds = 3600, array $claims = []): string
    {
        $part = fn (string $bytes): string => rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
        $claims = ['sub' => (string) $user, 'exp' => time() + $seconds] + $claims;
        $signed = $part('{"alg":"HS256","typ":"JWT"}') . '.' . $part(json_encode($claims, JSON_THROW_ON_ERROR));
        return $signed . '.' . $part(hash_hmac('sha256', $signed, self::secret($key), true));
    }

    /**
     * An address by which a page's connection is the user's, for pages without a session or a token. Whoever has it is that user until it expires.
     *
     * @param string $url  the WebSocket's, perhaps with a query: `wss://example.org/ws?channel=news`
     * @param string $key  the key of `[signed_url]`, or what its file holds
     */
    public static function signedUrl(string $url, string|int $user, string $key, int $seconds = 3600): string
    {
        $expires = time() + $seconds;
        $signature = hash_hmac('sha256', "$expires.$user", self::secret($key));
        $query = http_build_query(['user' => $user, 'expires' => $expires, 'signature' => $signature], '', '&', PHP_QUERY_RFC3986);
        return $url . (str_contains($url, '?') ? '&' : '?') . $query;
    }

    /** A key, perhaps as its file holds it: one line end at its end is left out, as the gateway does. */
    private static function secret(string $key): string
    {
        return preg_replace('/\r?\n\z/', '', $key);
    }

    private function one(array $publication): Result
    {
        return $this->batch([$publication])[0];
    }

    private function checked(Result $result): Result
    {
        if (!$result->ok && $this->throw) {
            throw new Failure($result);
        }
        return $result;
    }
}
