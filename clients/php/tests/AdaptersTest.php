<?php

declare(strict_types=1);

namespace Rupor\Tests;

use PHPUnit\Framework\TestCase;
use Rupor\Wire;

/** Classes that were written for other libraries, unchanged, in real worker processes. */
final class AdaptersTest extends TestCase
{
    public function testARatchetComponentRunsUnchanged(): void
    {
        $gateway = new Gateway('ratchet_chat.php');
        $gateway->hello();
        $gateway->open(1);
        $gateway->open(2, ['target' => '/?user=boris']);
        $gateway->event(Wire::TEXT, 1, 'hi');
        $gateway->event(Wire::CLOSE, 2, pack('nC', 1000, 1));
        self::assertSame([
            [Wire::DO_TEXT, 1, 'hello anna #1 of 192.0.2.1, a=1; PHPSESSID=4sk3; name=J%C3%BCrgen'],
            [Wire::DO_TEXT, 2, 'hello boris #2 of 192.0.2.1, a=1; PHPSESSID=4sk3; name=J%C3%BCrgen'],
            [Wire::DO_TEXT, 2, 'anna: hi'],
            [Wire::DO_TEXT, 1, 'boris left, 1 here'],
        ], $gateway->until(4));
    }

    public function testARatchetAppHasAComponentForEachPath(): void
    {
        $adapter = var_export(realpath(__DIR__ . '/../adapters/ratchet.php'), true);
        $gateway = new Gateway("require $adapter;" . '
            final class Answers implements Ratchet\MessageComponentInterface {
                public function __construct(private string $word) {}
                public function onOpen(Ratchet\ConnectionInterface $conn) {}
                public function onMessage(Ratchet\ConnectionInterface $from, $msg) { $from->send("$this->word $msg"); }
                public function onClose(Ratchet\ConnectionInterface $conn) {}
                public function onError(Ratchet\ConnectionInterface $conn, \Exception $e) { $conn->close(); }
            }
            $app = new Ratchet\App("localhost", 8080);
            $app->route("/chat", new Answers("chat"), ["*"]);
            $app->route("/echo", new Answers("echo"), ["*"]);
            $app->run();');
        self::assertTrue($gateway->hello()['upgrade']);
        $gateway->event(Wire::UPGRADE, 1, json_encode(['target' => '/chat?a=1'] + Gateway::request()));
        $gateway->event(Wire::UPGRADE, 2, json_encode(['target' => '/none'] + Gateway::request()));
        $gateway->open(5, ['target' => '/chat?a=1']);
        $gateway->open(6, ['target' => '/echo']);
        $gateway->event(Wire::TEXT, 5, 'one');
        $gateway->event(Wire::TEXT, 6, 'two');
        $gateway->event(Wire::CLOSE, 6, pack('nC', 1000, 1));
        self::assertSame([
            [Wire::DO_ACCEPT, 1, '{}'],
            [Wire::DO_REFUSE, 2, pack('n', 404) . 'there is nothing here'],
            [Wire::DO_TEXT, 5, 'chat one'],
            [Wire::DO_TEXT, 6, 'echo two'],
        ], $gateway->until(7));
    }

    public function testARatchetComponentHearsOfItsErrors(): void
    {
        $gateway = new Gateway('ratchet_chat.php');
        $gateway->hello();
        $gateway->open(1);
        $gateway->event(Wire::TEXT, 1, 'throw');
        $gateway->event(Wire::TEXT, 1, 'error');
        $close = [Wire::DO_CLOSE, 1, pack('n', 1000)];
        self::assertSame([$close, $close], array_slice($gateway->until(3), 1));
        $gateway->event(Wire::STOP, 0);
        $gateway->ended();
        $printed = $gateway->printed();
        self::assertStringContainsString("error: thrown\n", $printed);
        self::assertStringContainsString("error: Call to undefined function null_call()\n", $printed);
    }

    public function testADaemonHandlerRunsUnchanged(): void
    {
        $gateway = new Gateway('daemon_chat.php');
        self::assertSame(['protocol' => 1, 'upgrade' => false, 'timer_ms' => 100], $gateway->hello());
        $gateway->open(0x0100000000000005);
        $gateway->open(6, ['target' => '/?userId=6']);
        $gateway->event(Wire::TEXT, 6, 'hi');
        $gateway->event(Wire::LINE, 99, '{"userId":6,"message":"for you"}');
        $gateway->event(Wire::TIMER, 1);
        $gateway->event(Wire::TEXT, 6, 'bye');
        $gateway->event(Wire::CLOSE, 6, pack('nC', 1000, 1));
        $where = 'from 192.0.2.1:50123, example.org:8000, 198.51.100.7, a=1; PHPSESSID=4sk3; name=J%C3%BCrgen';
        $first = 0x0100000000000005;
        self::assertSame([
            [Wire::DO_TEXT, $first, "you are #1 $where"],
            [Wire::DO_TEXT, 6, "you are #2 $where"],
            [Wire::DO_TEXT, $first, '#2: hi (text)'],
            [Wire::DO_TEXT, 6, '#2: hi (text)'],
            [Wire::DO_TEXT, 6, 'for you'],
            [Wire::DO_REPLY, 99, 'taken'],
            [Wire::DO_TEXT, $first, 'tick'],
            [Wire::DO_TEXT, 6, 'tick'],
            [Wire::DO_CLOSE, 6, pack('n', 1000)],
            [Wire::DO_TEXT, $first, '#2 left, 1 here'],
            [Wire::DO_TEXT, 6, '#2 left, 1 here'],
        ], $gateway->until(7));
    }

    public function testAMasterLivesInWorkerZeroAndIsReachedByTelling(): void
    {
        $zero = new Gateway('daemon_master.php', worker: 0, workers: 2);
        $one = new Gateway('daemon_master.php', worker: 1, workers: 2);
        foreach ([$zero, $one] as $number => $gateway) {
            $gateway->hello();
            $gateway->open(5);
            // Two ask for the same name at the same time.
            $gateway->event(Wire::TEXT, 5, 'anna');
            [$kind, , $body] = $gateway->said();
            self::assertSame([Wire::DO_TELL, "\0\0M[\"anna\",1]"], [$kind, $body]);
        }
        // As the real gateway does: what is told to worker 0 comes there, from whom it is.
        $zero->event(Wire::TOLD, 0, 'M["anna",1]');
        self::assertSame([Wire::DO_TELL, 0, "\0\1W[\"anna\",-1,true]"], $zero->said());
        self::assertSame([Wire::DO_TELL, 0, "\0\0W[\"anna\",1,true]"], $zero->said());
        $zero->event(Wire::TOLD, 0, 'W["anna",1,true]');
        self::assertSame([Wire::DO_TEXT, 5, 'you are anna'], $zero->said());
        $zero->event(Wire::TOLD, 1, 'M["anna",1]');
        self::assertSame([Wire::DO_TELL, 0, "\0\1W[\"anna\",1,false]"], $zero->said());
        $one->event(Wire::TOLD, 0, 'W["anna",-1,true]');
        self::assertSame([Wire::DO_TEXT, 5, 'anna came'], $one->said());
        $one->event(Wire::TOLD, 0, 'W["anna",1,false]');
        self::assertSame([Wire::DO_TEXT, 5, 'anna is taken'], $one->said());
    }
}
