<?php

/**
 * rupor for PHP in one file: handlers behind the WebSocket server, and a client for the site.
 * Made from src/ by bundle.php: change those. MIT or Apache-2.0.
 */

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

/**
 * A browser's connection, the same object for its whole life in this process. Keep what you like on it; what is to
 * outlive the process is attached.
 */
#[\AllowDynamicProperties]
final class Connection
{
    /** By this the site knows the connection: 16 hexadecimal digits. */
    public readonly string $id;
    /** Whether it is open as far as this process knows. What is sent to a closed one goes nowhere. */
    public bool $open = true;

    /**
     * @param int     $number   the gateway's number of it
     * @param Request $request  what it was opened with
     * @param ?string $user     who it is
     * @param mixed   $attached what was attached to it
     * @param bool    $resumed  whether the process before this one had it already
     * @internal
     */
    public function __construct(
        private readonly Worker $worker,
        public readonly int $number,
        public readonly Request $request,
        public ?string $user,
        public mixed $attached,
        public readonly bool $resumed,
    ) {
        $this->id = sprintf('%016x', $number);
    }

    /** Sends a text message, which must be UTF-8. */
    public function send(string $message): void
    {
        $this->worker->command(Wire::DO_TEXT, $this->number, $message);
    }

    /** Sends a binary message. */
    public function sendBinary(string $message): void
    {
        $this->worker->command(Wire::DO_BINARY, $this->number, $message);
    }

    /**
     * Begins the closing handshake; `onClose` is called at its end.
     *
     * @param int    $code   1000, 1011, or 3000 to 4999
     * @param string $reason at most 123 bytes
     */
    public function close(int $code = 1000, string $reason = ''): void
    {
        $this->worker->command(Wire::DO_CLOSE, $this->number, pack('n', $code) . $reason);
    }

    /** From now on it receives what is published in the channel. */
    public function subscribe(string $channel): void
    {
        $this->worker->command(Wire::DO_SUBSCRIBE, $this->number, $channel);
    }

    public function unsubscribe(string $channel): void
    {
        $this->worker->command(Wire::DO_UNSUBSCRIBE, $this->number, $channel);
    }

    /** Says who it is, so that the site reaches it by this name. Once: it cannot become another. */
    public function user(string $user): void
    {
        $this->user = $user;
        $this->worker->command(Wire::DO_USER, $this->number, $user);
    }

    /**
     * Leaves a value with the gateway, which gives it back (`$attached`) when this process was replaced by another.
     * Anything that JSON can hold, at most 64 KiB of it.
     */
    public function attach(mixed $value): void
    {
        $this->attached = $value;
        $this->worker->command(Wire::DO_ATTACH, $this->number, Wire::json($value));
    }
}

/** Thrown instead of a failed result by a client that was made with `throw`. */
final class Failure extends \RuntimeException
{
    public function __construct(public readonly Result $result)
    {
        parent::__construct($result->error);
    }
}

/**
 * The HTTP API: docs/reference/inlets.md. One connection for each call.
 *
 * @internal
 */
final class HttpTransport implements Transport
{
    /** Longest answer that is read, in bytes. */
    private const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

    private readonly string $address;
    private readonly string $host;
    private readonly string $path;
    private readonly bool $secure;

    public function __construct(string $dsn, private readonly float $timeout, private readonly string $key, private readonly ?string $ca = null)
    {
        $parts = parse_url($dsn);
        if (!is_array($parts) || !isset($parts['host'])) {
            throw new \InvalidArgumentException("$dsn names no host");
        }
        $this->secure = $parts['scheme'] === 'https';
        $port = $parts['port'] ?? ($this->secure ? 443 : 80);
        $this->host = $parts['host'] . (isset($parts['port']) ? ":$port" : '');
        $this->address = ($this->secure ? 'tls' : 'tcp') . "://{$parts['host']}:$port";
        $this->path = rtrim($parts['path'] ?? '', '/');
    }

    public function publish(array $lines): array
    {
        $results = [];
        $understand = function (mixed $answer) use (&$results, $lines): Result {
            if (is_array($answer) && array_is_list($answer) && count($answer) === count($lines)) {
                $results = array_map(Result::of(...), $answer);
                return $results[0];
            }
            return Result::of($answer);
        };
        $result = $this->call('POST', '/api/publish', '[' . implode(',', $lines) . ']', $understand);
        return $results !== [] ? $results : array_fill(0, count($lines), $result);
    }

    public function call(string $method, string $path, string $body, \Closure $understand): Result
    {
        $wait = new Wait($this->timeout);
        $stream = $wait->open($this->address, $this->ca === null ? [] : ['cafile' => $this->ca]);
        if ($stream instanceof Result) {
            return $stream;
        }
        $request = "$method {$this->path}$path HTTP/1.1\r\nHost: {$this->host}\r\nAuthorization: Bearer {$this->key}\r\n"
            . "Content-Type: application/json\r\nContent-Length: " . strlen($body) . "\r\nConnection: close\r\n\r\n$body";
        if ($failed = $wait->write($stream, $request)) {
            return $failed;
        }
        $answer = '';
        do {
            $bytes = $wait->read($stream);
            if ($bytes instanceof Result) {
                return $bytes;
            }
            $answer .= $bytes;
        } while ($bytes !== '' && strlen($answer) <= self::ANSWER_BYTES_MAX);
        return $understand(json_decode($this->body($answer), true));
    }

    private function body(string $answer): string
    {
        [$head, $body] = explode("\r\n\r\n", $answer, 2) + [1 => ''];
        if (!preg_match('/^transfer-encoding:.*chunked/mi', $head)) {
            return $body;
        }
        // A proxy in between may cut it.
        $whole = '';
        while (preg_match('/^([0-9a-f]{1,7})[^\r\n]*\r\n/i', $body, $found) && ($length = hexdec($found[1])) > 0) {
            $whole .= substr($body, strlen($found[0]), $length);
            $body = substr($body, strlen($found[0]) + $length + 2);
        }
        return $whole;
    }
}

/**
 * Lines on a TCP port or Unix socket: docs/reference/inlets.md. The connection is kept between calls.
 *
 * @internal
 */
final class LineTransport implements Transport
{
    /** @var ?resource */
    private mixed $stream = null;

    public function __construct(private readonly string $dsn, private readonly float $timeout)
    {
    }

    public function publish(array $lines): array
    {
        $wait = new Wait($this->timeout);
        $results = [];
        $failed = $this->exchange($wait, $lines, $results);
        if ($failed !== null) {
            // An answer that comes later must not be taken for another line's.
            $this->stream = null;
            $results = array_pad($results, count($lines), $failed);
        }
        return $results;
    }

    public function call(string $method, string $path, string $body, \Closure $understand): Result
    {
        return Result::failed('unsupported', 'this needs the HTTP API: make the client with http:// or https:// and its key');
    }

    /** @param list<Result> $results */
    private function exchange(Wait $wait, array $lines, array &$results): ?Result
    {
        // A connection that the gateway has closed meanwhile is readable: at its end.
        if ($this->stream !== null && (@fread($this->stream, 1) !== '' || feof($this->stream))) {
            $this->stream = null;
        }
        if ($this->stream === null) {
            $stream = $wait->open($this->dsn);
            if ($stream instanceof Result) {
                return $stream;
            }
            $this->stream = $stream;
        }
        if ($failed = $wait->write($this->stream, implode("\n", $lines) . "\n")) {
            return $failed;
        }
        $read = '';
        while (count($results) < count($lines)) {
            $bytes = $wait->read($this->stream);
            if ($bytes instanceof Result) {
                return $bytes;
            }
            if ($bytes === '') {
                return Result::failed('unreachable', 'rupor closed the connection');
            }
            $answers = explode("\n", $read . $bytes);
            $read = array_pop($answers);
            foreach ($answers as $answer) {
                $results[] = Result::of(json_decode($answer, true));
            }
        }
        return null;
    }
}

/**
 * A worker's end of the stream to the gateway: bytes in as frames, frames out as one write.
 *
 * @internal
 */
final class Link
{
    /** How much is read at once. */
    private const READ_BYTES = 262144;
    /** What waits to be written is written when it is longer than this. */
    private const WRITE_BYTES = 65536;
    /** Or when so much time has passed since the last time: 1 ms. */
    private const WRITE_NS = 1_000_000;

    /** What the gateway takes at most as a frame's length, until its hello says. */
    public int $frameBytesMax = 1048576;

    private string $in = '';
    private string $out = '';
    private int $wroteAt = 0;
    private bool $ended = false;

    /**
     * @param resource $stream
     */
    public function __construct(private readonly mixed $stream)
    {
        // A silent hour is no error, and a chunk is not to be cut into PHP's 8 KiB.
        stream_set_blocking($stream, true);
        stream_set_timeout($stream, 31536000);
        stream_set_chunk_size($stream, self::READ_BYTES);
    }

    /** The gateway's end of the stream that this process was started with. */
    public static function ofTheGateway(): self
    {
        $stream = getenv('RUPOR_WORKER') === false ? false : @fopen('php://fd/3', 'r+');
        if ($stream === false) {
            throw new \RuntimeException('this script is a worker of rupor: start it with `rupor serve --php ' . ($_SERVER['argv'][0] ?? 'FILE') . '`');
        }
        return new self($stream);
    }

    /**
     * Waits for frames: `[kind, subject, body]` each, at least one. `null`: the gateway is gone.
     *
     * @return ?list<array{int, int, string}>
     */
    public function read(): ?array
    {
        $frames = [];
        while ($frames === []) {
            $bytes = fread($this->stream, self::READ_BYTES);
            if ($bytes === '' || $bytes === false) {
                if (feof($this->stream)) {
                    $this->ended = true;
                    return null;
                }
                // A signal.
                continue;
            }
            $this->in .= $bytes;
            $frames = $this->frames();
        }
        // What comes of these frames is written together, unless it takes longer than that.
        $this->wroteAt = hrtime(true);
        return $frames;
    }

    /** @return list<array{int, int, string}> */
    private function frames(): array
    {
        $frames = [];
        $at = 0;
        $end = strlen($this->in);
        while ($end - $at >= Wire::HEAD_BYTES) {
            ['length' => $length, 'kind' => $kind, 'subject' => $subject] = unpack('Nlength/Ckind/Jsubject', $this->in, $at);
            if ($length < Wire::COUNTED_HEAD_BYTES) {
                throw new \UnexpectedValueException('the gateway sent what is no frame');
            }
            if ($end - $at - 4 < $length) {
                break;
            }
            $frames[] = [$kind, $subject, substr($this->in, $at + Wire::HEAD_BYTES, $length - Wire::COUNTED_HEAD_BYTES)];
            $at += 4 + $length;
        }
        if ($at > 0) {
            $this->in = substr($this->in, $at);
        }
        return $frames;
    }

    /** Puts a frame behind what waits to be written. */
    public function queue(int $kind, int $subject, string $body): void
    {
        if (strlen($body) + Wire::COUNTED_HEAD_BYTES > $this->frameBytesMax) {
            throw new \LengthException('the gateway takes at most ' . ($this->frameBytesMax - Wire::COUNTED_HEAD_BYTES) . ' bytes at once, and these are ' . strlen($body));
        }
        $this->out .= Wire::frame($kind, $subject, $body);
    }

    /** Whether so much waits, or for so long, that it is to be written before the next event. */
    public function isDue(): bool
    {
        return strlen($this->out) >= self::WRITE_BYTES || hrtime(true) - $this->wroteAt >= self::WRITE_NS;
    }

    /** Writes everything. */
    public function flush(): void
    {
        $out = $this->out;
        $this->out = '';
        while ($out !== '' && !$this->ended) {
            $written = @fwrite($this->stream, $out);
            if ($written === false || ($written === 0 && feof($this->stream))) {
                // Nobody reads it any more: the gateway is gone, and the next read says so.
                $this->ended = true;
                return;
            }
            $out = $written === strlen($out) ? '' : substr($out, $written);
        }
        $this->wroteAt = hrtime(true);
    }
}

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

/**
 * A stream that is written and read until a deadline, and no longer.
 *
 * @internal
 */
final class Wait
{
    private readonly float $until;

    public function __construct(private readonly float $seconds)
    {
        $this->until = microtime(true) + $seconds;
    }

    /**
     * Opens a stream.
     *
     * @return resource|Result
     */
    public function open(string $address, array $tls = []): mixed
    {
        $context = stream_context_create(['ssl' => $tls]);
        $left = max(0.001, $this->left());
        // What TLS has against the other end is said in a warning only, the first of several.
        $said = [];
        set_error_handler(function (int $level, string $text) use (&$said): bool {
            $said[] = preg_replace(['/^stream_socket_client\(\): /', '/\s+/'], ['', ' '], $text);
            return true;
        });
        $stream = stream_socket_client($address, $number, $error, $left, STREAM_CLIENT_CONNECT, $context);
        restore_error_handler();
        if ($stream === false) {
            return Result::failed('unreachable', "rupor cannot be reached at $address: " . ($error !== '' ? $error : $said[0] ?? 'it does not answer'));
        }
        stream_set_blocking($stream, false);
        return $stream;
    }

    /**
     * Writes everything; `null`, or what went wrong.
     *
     * @param resource $stream
     */
    public function write(mixed $stream, string $bytes): ?Result
    {
        while ($bytes !== '') {
            if (!$this->ready($stream, false)) {
                return $this->tooLate();
            }
            $written = @fwrite($stream, $bytes);
            if ($written === false) {
                return Result::failed('unreachable', 'the connection to rupor was cut');
            }
            $bytes = substr($bytes, $written);
        }
        return null;
    }

    /**
     * Some bytes, an empty string at the end of the stream, or what went wrong.
     *
     * @param resource $stream
     */
    public function read(mixed $stream): string|Result
    {
        // Read first: what TLS has decrypted already does not make the stream ready.
        while (($bytes = @fread($stream, 65536)) === '' && !feof($stream)) {
            if (!$this->ready($stream, true)) {
                return $this->tooLate();
            }
        }
        return $bytes === false ? Result::failed('unreachable', 'the connection to rupor was cut') : $bytes;
    }

    private function left(): float
    {
        return $this->until - microtime(true);
    }

    private function ready(mixed $stream, bool $toRead): bool
    {
        $left = $this->left();
        if ($left <= 0) {
            return false;
        }
        [$read, $write, $none] = [$toRead ? [$stream] : [], $toRead ? [] : [$stream], []];
        return @stream_select($read, $write, $none, (int) $left, (int) (fmod($left, 1) * 1e6)) > 0;
    }

    private function tooLate(): Result
    {
        return Result::failed('too_late', 'rupor did not answer within ' . $this->seconds * 1000 . ' ms; it may have taken it nevertheless');
    }
}

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

/**
 * A worker process of the gateway: it is told what happens on connections, and says what is to be done.
 *
 * ```php
 * (new Rupor\Worker)
 *     ->onMessage(function (Rupor\Connection $connection, string $message) {
 *         $connection->send("you said $message");
 *     })
 *     ->run();
 * ```
 */
final class Worker
{
    /** @var array<string, \Closure> callbacks by name */
    private array $callbacks = [];
    private int $timerMs = 0;

    private Link $link;
    private bool $connected = false;
    /** @var array<int, Connection> by the gateway's number */
    private array $connections = [];
    private int $worker = 0;
    private int $workers = 1;

    /** @var list<array{int, int, string}> what was read and is not handled yet */
    private array $frames = [];
    /** @var array<int, ?array<string, mixed>> answers by request, `null` while owed */
    private array $answers = [];
    private int $requests = 0;
    private int $handled = 0;
    private int $reported = 0;
    private bool $handling = false;
    private bool $stopping = false;

    /**
     * @param ?resource $stream the stream to the gateway; left out: the one that this process was started with
     */
    public function __construct(mixed $stream = null)
    {
        $this->link = $stream === null ? Link::ofTheGateway() : new Link($stream);
    }

    /** Called once, before anything else: `function (Worker $worker)`. */
    public function onStart(callable $callback): self
    {
        return $this->on('start', $callback);
    }

    /** Called before a connection opens, and may refuse it: `function (Upgrade $upgrade)`. */
    public function onUpgrade(callable $callback): self
    {
        return $this->on('upgrade', $callback);
    }

    /** Called when a connection has opened, and for each that an earlier process had: `function (Connection $connection)`. */
    public function onOpen(callable $callback): self
    {
        return $this->on('open', $callback);
    }

    /** Called for each message: `function (Connection $connection, string $message, bool $binary)`. */
    public function onMessage(callable $callback): self
    {
        return $this->on('message', $callback);
    }

    /** Called when a connection is gone: `function (Connection $connection, int $code, string $reason, bool $clean)`. */
    public function onClose(callable $callback): self
    {
        return $this->on('close', $callback);
    }

    /**
     * Called so often, 0.01 to 3600 seconds; when one call takes longer than that, the next comes later:
     * `function (int $ticks)`, 1 unless some were left out.
     */
    public function onTimer(float $seconds, callable $callback): self
    {
        if ($seconds < 0.01 || $seconds > 3600) {
            throw new \InvalidArgumentException('a timer ticks every 0.01 to 3600 seconds');
        }
        $this->timerMs = (int) round($seconds * 1000);
        return $this->on('timer', $callback);
    }

    /** Called when another worker tells something: `function (string $bytes, int $worker)`. */
    public function onTold(callable $callback): self
    {
        return $this->on('told', $callback);
    }

    /**
     * Called when a `subscribe`, `unsubscribe` or `user` of this process was not carried out:
     * `function (Connection $connection, Refused $refused)`. Left out, only the gateway's log says so.
     */
    public function onRefused(callable $callback): self
    {
        return $this->on('refused', $callback);
    }

    /** Called for a line of the site: `function (string $line, int $writer)`; `reply($writer, …)` answers. */
    public function onLine(callable $callback): self
    {
        return $this->on('line', $callback);
    }

    /** Called at an orderly end: `function ()`. */
    public function onStop(callable $callback): self
    {
        return $this->on('stop', $callback);
    }

    /**
     * Called when a callback throws: `function (\Throwable $error, ?Connection $connection)`. Left out, the error is
     * logged and its connection closed with 1011.
     */
    public function onError(callable $callback): self
    {
        return $this->on('error', $callback);
    }

    private function on(string $name, callable $callback): self
    {
        $this->callbacks[$name] = \Closure::fromCallable($callback);
        return $this;
    }

    /** This worker's number, from 0. */
    public function number(): int
    {
        return $this->worker;
    }

    /** How many workers there are. */
    public function workers(): int
    {
        return $this->workers;
    }

    /** @return Connection[] those of this worker */
    public function connections(): array
    {
        return array_values($this->connections);
    }

    /** Sends a text to all connections of a user, on whichever worker. */
    public function toUser(string|int $user, string $message, ?Connection $except = null): void
    {
        $this->toUsers([$user], $message, $except);
    }

    /** @param array<string|int> $users */
    public function toUsers(array $users, string $message, ?Connection $except = null): void
    {
        if ($users !== []) {
            $this->publish(Wire::USERS, $users, $message, $except);
        }
    }

    /** Publishes a text in a channel. */
    public function toChannel(string $channel, string $message, ?Connection $except = null): void
    {
        $this->publish(Wire::CHANNEL, [$channel], $message, $except);
    }

    /** Sends a text to everybody, on whichever worker and path. */
    public function toAll(string $message, ?Connection $except = null): void
    {
        $this->publish(Wire::EVERYBODY, [], $message, $except);
    }

    /** Sends a text to the connections that came with this session's cookie (`PHPSESSID`), on whichever worker. */
    public function toSession(string $session, string $message, ?Connection $except = null): void
    {
        $this->publish(Wire::COOKIE, [$session], $message, $except);
    }

    /** Sends a text to one connection by its id, on whichever worker. */
    public function toConnection(string $id, string $message): void
    {
        $this->command(Wire::DO_TEXT, self::numberOf($id), $message);
    }

    /** Closes one connection by its id, on whichever worker. */
    public function closeConnection(string $id, int $code = 1000, string $reason = ''): void
    {
        $this->command(Wire::DO_CLOSE, self::numberOf($id), pack('n', $code) . $reason);
    }

    private static function numberOf(string $id): int
    {
        if (!preg_match('/^[0-9a-f]{16}$/D', $id)) {
            throw new \InvalidArgumentException("a connection's id is 16 hexadecimal digits");
        }
        return unpack('J', hex2bin($id))[1];
    }

    private function publish(int $target, array $names, string $message, ?Connection $except): void
    {
        $this->command(Wire::DO_PUBLISH, $except?->number ?? 0, Wire::target($target, $names) . $message);
    }

    /** Closes all connections of a user. */
    public function disconnect(string|int $user, int $code = 1000, string $reason = ''): void
    {
        $this->command(Wire::DO_DISCONNECT, 0, Wire::target(Wire::USERS, [$user]) . pack('n', $code) . $reason);
    }

    /** Tells another worker something, or all others: their `onTold` is called. */
    public function tell(string $bytes, ?int $worker = null): void
    {
        $this->command(Wire::DO_TELL, 0, pack('n', $worker ?? Wire::ALL_OTHERS) . $bytes);
    }

    /** Answers the writer of a line, if it still reads. */
    public function reply(int $writer, string $line): void
    {
        $this->command(Wire::DO_REPLY, $writer, $line);
    }

    /** Whether a user has a connection, on whichever worker. Waits for the gateway's answer. */
    public function isOnline(string|int $user): bool
    {
        return $this->connectionsOf($user) !== [];
    }

    /** @return string[] the ids of a user's connections, on whichever worker. Waits for the gateway's answer. */
    public function connectionsOf(string|int $user): array
    {
        return (array) $this->ask(['user' => (string) $user], 'connections');
    }

    /** How many connections are subscribed to a channel. Waits for the gateway's answer. */
    public function subscribers(string $channel): int
    {
        return (int) $this->ask(['channel' => $channel], 'subscribers');
    }

    /** @param array<string, string> $question */
    private function ask(array $question, string $field): mixed
    {
        $request = ++$this->requests;
        $this->answers[$request] = null;
        $this->command(Wire::DO_ASK, $request, Wire::json($question));
        $this->flush();
        while ($this->answers[$request] === null) {
            // Events that come before the answer are handled in their turn.
            if (!$this->receive()) {
                throw new \RuntimeException('the gateway is gone');
            }
        }
        $answer = $this->answers[$request];
        unset($this->answers[$request]);
        if (isset($answer['error'])) {
            throw new \RuntimeException((string) $answer['error']);
        }
        return $answer[$field] ?? null;
    }

    /** @internal a command for the gateway; it leaves with the others */
    public function command(int $kind, int $subject, string $body): void
    {
        if (!$this->connected) {
            throw new \LogicException('nothing can be sent before the worker runs: do it in onStart');
        }
        $this->link->queue($kind, $subject, $body);
    }

    /**
     * Handles events until the gateway says that it is enough.
     *
     * @param ?object $handler an object with methods of the callbacks' names (`onOpen`, `onMessage`, …)
     */
    public function run(?object $handler = null): void
    {
        foreach (['start', 'upgrade', 'open', 'message', 'close', 'told', 'line', 'refused', 'stop', 'error'] as $name) {
            if ($handler !== null && is_callable([$handler, "on$name"])) {
                $this->on($name, [$handler, "on$name"]);
            }
        }
        if (!$this->begin()) {
            return;
        }
        // After a fatal error there may be no memory left for the last words.
        $reserve = str_repeat('.', 65536);
        register_shutdown_function(function () use (&$reserve): void {
            $reserve = '';
            $this->lastWords();
        });
        while (!$this->stopping && ($this->frames !== [] || $this->receive())) {
            $this->handleAll();
            $this->flush();
        }
        $this->call('stop');
        $this->flush();
    }

    /** The handshake; false: the gateway is gone. */
    private function begin(): bool
    {
        while ($this->frames === []) {
            if (!$this->receive()) {
                return false;
            }
        }
        [$kind, , $body] = array_shift($this->frames);
        $hello = json_decode($body, true);
        if ($kind !== Wire::HELLO || ($hello['protocol'] ?? null) !== Wire::PROTOCOL) {
            throw new \RuntimeException('this gateway speaks another protocol: take the library of its version');
        }
        $this->worker = (int) ($hello['worker'] ?? 0);
        $this->workers = (int) ($hello['workers'] ?? 1);
        $this->link->frameBytesMax = (int) ($hello['frame_bytes_max'] ?? $this->link->frameBytesMax);
        $this->connected = true;
        // The hello comes first on the wire, so what onStart sends stands behind it; but it is only written when
        // onStart has returned, because from then on events come.
        $hello = ['protocol' => Wire::PROTOCOL, 'upgrade' => isset($this->callbacks['upgrade'])];
        if (isset($this->callbacks['timer'])) {
            $hello['timer_ms'] = $this->timerMs;
        }
        if (isset($this->callbacks['refused'])) {
            $hello['refused'] = true;
        }
        $this->link->queue(Wire::DO_HELLO, 0, Wire::json($hello));
        if (isset($this->callbacks['start'])) {
            ($this->callbacks['start'])($this);
        }
        $this->flush();
        return true;
    }

    /** Reads what is there, or waits for something; false: the gateway is gone. */
    private function receive(): bool
    {
        $frames = $this->link->read();
        if ($frames === null) {
            return false;
        }
        foreach ($frames as $frame) {
            if ($frame[0] !== Wire::ANSWER) {
                $this->frames[] = $frame;
            } elseif (array_key_exists($frame[1], $this->answers)) {
                $this->answers[$frame[1]] = json_decode($frame[2], true) ?? ['error' => 'the answer is not JSON'];
            }
        }
        return true;
    }

    private function handleAll(): void
    {
        // A callback that asks something appends to the frames meanwhile.
        for ($i = 0; isset($this->frames[$i]) && !$this->stopping; $i++) {
            [$kind, $subject, $body] = $this->frames[$i];
            if ($kind === Wire::STOP) {
                $this->stopping = true;
            } elseif ($kind >= Wire::UPGRADE && $kind <= Wire::REFUSED) {
                $this->handling = true;
                $this->handle($kind, $subject, $body);
                $this->handling = false;
                $this->handled++;
                if ($this->link->isDue()) {
                    $this->flush();
                }
            }
        }
        $this->frames = [];
    }

    private function handle(int $kind, int $subject, string $body): void
    {
        switch ($kind) {
            case Wire::TEXT:
            case Wire::BINARY:
                if (isset($this->connections[$subject])) {
                    $connection = $this->connections[$subject];
                    $this->call('message', $connection, $connection, $body, $kind === Wire::BINARY);
                }
                break;
            case Wire::OPEN:
                $fields = json_decode($body, true, 64, JSON_THROW_ON_ERROR);
                $connection = $this->connections[$subject] = new Connection(
                    $this,
                    $subject,
                    new Request($fields),
                    $fields['user'] ?? null,
                    $fields['attached'] ?? null,
                    (bool) ($fields['resumed'] ?? false),
                );
                $this->call('open', $connection, $connection);
                break;
            case Wire::CLOSE:
                if (isset($this->connections[$subject])) {
                    $connection = $this->connections[$subject];
                    unset($this->connections[$subject]);
                    $connection->open = false;
                    ['code' => $code, 'clean' => $clean] = unpack('ncode/Cclean', $body);
                    $this->call('close', $connection, $connection, $code, substr($body, 3), $clean === 1);
                }
                break;
            case Wire::TIMER:
                $this->call('timer', null, $subject);
                break;
            case Wire::UPGRADE:
                $this->upgrade($subject, $body);
                break;
            case Wire::TOLD:
                $this->call('told', null, $body, $subject);
                break;
            case Wire::LINE:
                $this->call('line', null, $body, $subject);
                break;
            case Wire::REFUSED:
                if (isset($this->connections[$subject])) {
                    $connection = $this->connections[$subject];
                    ['command' => $command, 'name' => $name, 'code' => $code, 'error' => $error] = json_decode($body, true, 64, JSON_THROW_ON_ERROR);
                    $this->call('refused', $connection, $connection, new Refused($command, $name, $code, $error));
                }
                break;
        }
    }

    private function upgrade(int $request, string $body): void
    {
        $fields = json_decode($body, true, 64, JSON_THROW_ON_ERROR);
        $upgrade = new Upgrade(new Request($fields), $fields['user'] ?? null);
        if (!$this->call('upgrade', null, $upgrade)) {
            $upgrade->refuse(500, 'the handler failed');
        }
        if ($upgrade->refusal !== null) {
            [$status, $reason] = $upgrade->refusal;
            $this->command(Wire::DO_REFUSE, $request, pack('n', $status) . $reason);
        } else {
            $this->command(Wire::DO_ACCEPT, $request, Wire::json((object) $upgrade->entry));
        }
    }

    /** Calls a callback if there is one; false: it threw. */
    private function call(string $name, ?Connection $connection = null, mixed ...$arguments): bool
    {
        if (!isset($this->callbacks[$name])) {
            return true;
        }
        try {
            ($this->callbacks[$name])(...$arguments);
            return true;
        } catch (\Throwable $error) {
            $this->failed($error, $connection);
            return false;
        }
    }

    private function failed(\Throwable $error, ?Connection $connection): void
    {
        try {
            if (isset($this->callbacks['error'])) {
                ($this->callbacks['error'])($error, $connection);
                return;
            }
        } catch (\Throwable $second) {
            $error = $second;
        }
        // Standard error is the gateway's log.
        file_put_contents('php://stderr', "a callback failed: $error\n");
        $connection?->close(1011, 'the handler failed');
    }

    /** Writes everything, and how far the events are handled. */
    private function flush(): void
    {
        if ($this->handled !== $this->reported) {
            $this->reported = $this->handled;
            $this->link->queue(Wire::DO_DONE, $this->handled, '');
        }
        $this->link->flush();
    }

    /** The process ends. If that is in a callback, its event has failed; those behind it have not been begun. */
    private function lastWords(): void
    {
        if ($this->handling) {
            $this->link->queue(Wire::DO_DONE, $this->handled, "\1");
            $this->link->flush();
        }
    }
}
