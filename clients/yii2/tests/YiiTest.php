<?php

declare(strict_types=1);

namespace Rupor\Tests;

use PHPUnit\Framework\TestCase;
use Rupor\Client;
use Rupor\Yii\WebSocket;

/** The component for Yii 2, with a stand-in of Yii's base class, against the real program. */
final class YiiTest extends TestCase
{
    public static function setUpBeforeClass(): void
    {
        require_once __DIR__ . '/stand_in.php';
    }

    private static function block(string $kind): string
    {
        preg_match("/<!-- run: $kind -->\n```\w+\n(.*?)```/s", file_get_contents(__DIR__ . '/../README.md'), $found);
        return $found[1];
    }

    /** The component as Yii would make it. */
    private static function component(array $config): WebSocket
    {
        $class = $config['class'];
        unset($config['class']);
        return new $class($config);
    }

    public function testTheReadmesComponentSends(): void
    {
        $rupor = new Rupor();
        $user = $rupor->browser('/?user=5');
        putenv('RUPOR_JWT_KEY=' . str_repeat('k', 32));
        $config = eval('return [' . str_replace('unix:///run/rupor/rupor.sock', $rupor->unix, self::block('component')) . '];');
        $component = self::component($config['components']['websocket'] + ['timeout' => 20.0]);
        \Yii::$app = new class ($component) {
            public function __construct(public WebSocket $websocket)
            {
            }
        };
        eval('namespace { ' . self::block('send') . ' }');
        $came = array_map(fn () => Rupor::message($user), range(1, 3));
        self::assertSame(['{"order":7,"state":"ready"}', 'hello', 'hello, everybody'], $came);
        self::assertSame(1, $component->toUsers([5, 6], 'x')->connections);
        self::assertSame(0, $component->toChannel('nobody-is-there', 'x')->connections);
        self::assertSame(1, $component->client->toAll('x')->connections);
        self::assertSame(Client::token(5, str_repeat('k', 32)), $component->token(5));
        putenv('RUPOR_JWT_KEY');
    }

    public function testWhatIsWrongIsSaidAndNothingThrownIntoThePage(): void
    {
        $component = self::component(['class' => WebSocket::class, 'address' => 'unix:///nowhere.sock']);
        self::assertSame('unreachable', $component->toUser(5, 'x')->code);
        foreach (['hello', '["all"]', '5', '', ['hello']] as $wrong) {
            try {
                $component->send($wrong);
                self::fail('no complaint about ' . json_encode($wrong));
            } catch (\InvalidArgumentException $error) {
                self::assertStringContainsString('toAll()', $error->getMessage());
            }
        }
        $this->expectExceptionMessage('set jwtKey');
        $component->token(5);
    }
}
