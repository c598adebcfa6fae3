<?php

declare(strict_types=1);

namespace Rupor\Laravel;

use Illuminate\Broadcasting\Broadcasters\Broadcaster;
use Illuminate\Broadcasting\Broadcasters\UsePusherChannelConventions;
use Illuminate\Broadcasting\BroadcastException;
use Rupor\Client;
use Symfony\Component\HttpKernel\Exception\AccessDeniedHttpException;

/**
 * Broadcasts events as `{"event": …, "data": …}` in the channels that they name, and signs tokens for those channels that
 * `routes/channels.php` lets a user into.
 */
final class RuporBroadcaster extends Broadcaster
{
    use UsePusherChannelConventions;

    /** What rupor names a connection by. A browser may send anything as `X-Socket-ID`, and that must not stop the event. */
    private const CONNECTION_ID = '/\A[0-9a-f]{16}\z/';

    /**
     * @param string $jwtKey       the secret of `[[jwt]]` with the algorithm HS256
     * @param int    $tokenSeconds for how long a token may be shown; a subscription that it opened stays
     * @param array<string, mixed> $claims more claims of each token, such as `iss` and `aud`
     */
    public function __construct(
        private readonly Client $client,
        private readonly string $jwtKey,
        private readonly int $tokenSeconds = 60,
        private readonly array $claims = [],
    ) {
    }

    /**
     * Asks `routes/channels.php` whether this user may listen in the channel `channel_name` of the request.
     *
     * @throws AccessDeniedHttpException where he may not, or the channel is one that needs no token
     */
    public function auth($request)
    {
        $channel = $request->input('channel_name');
        if (!is_string($channel) || !$this->isGuardedChannel($channel)
            || !$this->retrieveUser($request, $this->normalizeChannelName($channel))) {
            throw new AccessDeniedHttpException();
        }
        return $this->verifyUserCanAccessChannel($request, $this->normalizeChannelName($channel));
    }

    /**
     * The token that the gateway lets the user into exactly this channel by.
     *
     * @param mixed $result what the callback in `routes/channels.php` returned: of a presence channel who the member is
     * @return array{token: string}
     */
    public function validAuthenticationResponse($request, $result)
    {
        if ($this->jwtKey === '') {
            throw new BroadcastException('no key to sign tokens with: set RUPOR_JWT_KEY to the secret of [[jwt]] in rupor.toml');
        }
        $channel = (string) $request->input('channel_name');
        $user = $this->retrieveUser($request, $this->normalizeChannelName($channel));
        $id = method_exists($user, 'getAuthIdentifierForBroadcasting')
            ? $user->getAuthIdentifierForBroadcasting()
            : $user->getAuthIdentifier();
        $claims = ['channel' => $channel] + $this->claims;
        if (str_starts_with($channel, 'presence-')) {
            $claims['info'] = $result;
        }
        return ['token' => Client::token($id, $this->jwtKey, $this->tokenSeconds, $claims)];
    }

    /**
     * Sends an event to the subscribers of these channels, but for the connection `socket` of the payload (`toOthers()`).
     *
     * @throws BroadcastException where the gateway did not take it, so that a queue tries again
     */
    public function broadcast(array $channels, $event, array $payload = [])
    {
        $socket = $payload['socket'] ?? null;
        unset($payload['socket']);
        $publication = ['message' => ['event' => $event, 'data' => (object) $payload]];
        if (is_string($socket) && preg_match(self::CONNECTION_ID, $socket)) {
            $publication['exclude'] = $socket;
        }
        $channels = $this->formatChannels($channels);
        $results = $this->client->batch(array_map(fn (string $channel) => ['channel' => $channel] + $publication, $channels));
        foreach ($results as $i => $result) {
            if (!$result->ok) {
                throw new BroadcastException("not broadcast in {$channels[$i]}: {$result->error} ({$result->code})");
            }
        }
    }
}
