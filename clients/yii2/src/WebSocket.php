<?php

declare(strict_types=1);

namespace Rupor\Yii;

use Rupor\Client;
use Rupor\Result;
use yii\base\Component;
use yii\base\InvalidConfigException;

/**
 * `Yii::$app->websocket`: sends to connected browsers. What went wrong is in the result, and nothing is thrown into the page.
 */
class WebSocket extends Component
{
    /** A line inlet, `unix:///PATH` or `tcp://HOST:PORT`; or the HTTP API, `http://HOST:PORT` or `https://HOST`. */
    public string $address = 'unix:///run/rupor/rupor.sock';
    /** The key of the HTTP API. */
    public string $key = '';
    /** How long one call may take, in seconds. */
    public float $timeout = 0.05;
    /** The secret of `[[jwt]]` with HS256, for `token()`. */
    public string $jwtKey = '';

    private ?Client $client = null;

    /** The client behind it, with all of its calls. */
    public function getClient(): Client
    {
        return $this->client ??= new Client($this->address, ['key' => $this->key, 'timeout' => $this->timeout]);
    }

    /**
     * Sends a publish object, or its JSON: `send(['user' => 5, 'message' => 'hello'])`.
     *
     * @param array<string, mixed>|string $publication
     * @throws \InvalidArgumentException where a text is no JSON object: for whom would it be?
     */
    public function send(array|string $publication): Result
    {
        $object = is_array($publication) ? $publication : json_decode($publication, true);
        if (!is_array($object) || array_is_list($object)) {
            throw new \InvalidArgumentException('send() takes {"user":…,"message":…} or an array like it; toAll() sends a text to everybody');
        }
        return $this->getClient()->batch([$object])[0];
    }

    public function toUser(string|int $user, mixed $message): Result
    {
        return $this->getClient()->toUser($user, $message);
    }

    /** @param array<string|int> $users */
    public function toUsers(array $users, mixed $message): Result
    {
        return $this->getClient()->toUsers($users, $message);
    }

    public function toChannel(string $channel, mixed $message): Result
    {
        return $this->getClient()->toChannel($channel, $message);
    }

    public function toAll(mixed $message): Result
    {
        return $this->getClient()->toAll($message);
    }

    /** A token for the page of this user: `Yii::$app->websocket->token(Yii::$app->user->id)`. */
    public function token(string|int $user, int $seconds = 3600): string
    {
        if ($this->jwtKey === '') {
            throw new InvalidConfigException('set jwtKey of the component to the secret of [[jwt]] in rupor.toml');
        }
        return Client::token($user, $this->jwtKey, $seconds);
    }
}
