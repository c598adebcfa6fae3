<?php

declare(strict_types=1);

namespace Rupor\Tests;

use Illuminate\Auth\GenericUser;
use Illuminate\Broadcasting\BroadcastException;
use Illuminate\Broadcasting\Channel;
use Illuminate\Http\Request;
use PHPUnit\Framework\TestCase;
use Rupor\Client;
use Rupor\Laravel\RuporBroadcaster;
use Symfony\Component\HttpKernel\Exception\AccessDeniedHttpException;

/** The broadcaster with Debian's Laravel; e2e/browser/laravel.test.mjs has a whole app. */
final class LaravelTest extends TestCase
{
    private const KEY = 'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk';

    public static function setUpBeforeClass(): void
    {
        require_once 'Illuminate/autoload.php';
    }

    private static function broadcaster(string $address = 'unix:///nowhere.sock', string $key = self::KEY): RuporBroadcaster
    {
        $broadcaster = new RuporBroadcaster(new Client($address, ['timeout' => 20.0]), $key, 60);
        $broadcaster->channel('orders.{order}', fn ($user, $order) => (string) $user->id === $order);
        $broadcaster->channel('room', fn ($user) => ['name' => 'Анна']);
        return $broadcaster;
    }

    private static function request(mixed $channel, ?int $user): Request
    {
        $request = Request::create('/broadcasting/auth', 'POST', ['channel_name' => $channel]);
        $request->setUserResolver(fn () => $user === null ? null : new GenericUser(['id' => $user]));
        return $request;
    }

    private static function claims(array $answer): array
    {
        return json_decode(base64_decode(strtr(explode('.', $answer['token'])[1], '-_', '+/')), true);
    }

    public function testATokenIsForOneUserAndOneChannel(): void
    {
        $claims = self::claims(self::broadcaster()->auth(self::request('private-orders.5', 5)));
        self::assertSame(['sub' => '5', 'channel' => 'private-orders.5'], array_diff_key($claims, ['exp' => 1]));
        self::assertEqualsWithDelta(time() + 60, $claims['exp'], 20);
        $claims = self::claims(self::broadcaster()->auth(self::request('presence-room', 5)));
        self::assertSame(['name' => 'Анна'], $claims['info']);
    }

    public function testNobodyElseGetsOne(): void
    {
        $asked = [
            ['private-orders.6', 5], ['private-orders.5', null], ['private-unknown', 5], ['orders.5', 5], ['room', 5], ['', 5],
            [null, 5], [['private-orders.5'], 5],
        ];
        foreach ($asked as [$channel, $user]) {
            try {
                self::broadcaster()->auth(self::request($channel, $user));
                self::fail('a token for ' . json_encode($channel));
            } catch (AccessDeniedHttpException) {
                self::assertTrue(true);
            }
        }
    }

    public function testWithoutAKeyItSaysWhichOneIsMissing(): void
    {
        $this->expectException(BroadcastException::class);
        $this->expectExceptionMessage('RUPOR_JWT_KEY');
        self::broadcaster(key: '')->auth(self::request('private-orders.5', 5));
    }

    public function testAnEventGoesToItsChannelsAndNotToItsSender(): void
    {
        $rupor = new Rupor();
        $page = $rupor->browser('/?channel=news&channel=sport');
        $broadcaster = self::broadcaster($rupor->unix);
        $broadcaster->broadcast([new Channel('news'), 'sport'], 'Shipped', ['order' => 5, 'socket' => "not an id\n"]);
        $broadcaster->broadcast(['news'], 'Empty', ['socket' => null]);
        $broadcaster->broadcast([], 'Nowhere');
        $came = array_map(fn () => Rupor::message($page), range(1, 3));
        $shipped = '{"event":"Shipped","data":{"order":5}}';
        self::assertSame([$shipped, $shipped, '{"event":"Empty","data":{}}'], $came);
    }

    public function testAnEventThatIsNotTakenThrows(): void
    {
        $rupor = new Rupor();
        try {
            self::broadcaster($rupor->unix)->broadcast(['no spaces'], 'Shipped', []);
            self::fail('a channel of that name');
        } catch (BroadcastException $error) {
            self::assertStringContainsString('no spaces', $error->getMessage());
            self::assertStringContainsString('bad_channel_name', $error->getMessage());
        }
        $this->expectExceptionMessage('unreachable');
        self::broadcaster()->broadcast(['news'], 'Shipped', []);
    }
}
