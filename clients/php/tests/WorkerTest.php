<?php

declare(strict_types=1);

namespace Rupor\Tests;

use PHPUnit\Framework\TestCase;
use Rupor\Wire;

/** The worker's loop in a process of its own, over a real stream pair on descriptor 3. */
final class WorkerTest extends TestCase
{
    private const ECHO = '(new Rupor\Worker)->onMessage(fn ($c, $m, $binary) => $binary ? $c->sendBinary($m) : $c->send($m))->run();';

    public function testSaysHelloAndWhatItWants(): void
    {
        $plain = new Gateway(self::ECHO);
        self::assertSame(['protocol' => 1, 'upgrade' => false], $plain->hello());
        $more = new Gateway('(new Rupor\Worker)->onUpgrade(fn () => 0)->onTimer(0.1, fn () => 0)->run();');
        self::assertSame(['protocol' => 1, 'upgrade' => true, 'timer_ms' => 100], $more->hello());
    }

    public function testAnotherProtocolEndsIt(): void
    {
        $gateway = new Gateway(self::ECHO, hello: ['protocol' => 2]);
        self::assertSame([], $gateway->rest());
        self::assertSame(255, $gateway->ended());
        self::assertStringContainsString('speaks another protocol', $gateway->printed());
    }

    public function testOutsideTheGatewayItSaysHowToStartIt(): void
    {
        exec(PHP_BINARY . ' ' . escapeshellarg(__DIR__ . '/handlers/echo.php') . ' 2>&1', $lines, $status);
        self::assertSame(255, $status);
        self::assertStringContainsString('start it with `rupor serve --php', implode("\n", $lines));
    }

    public function testMessagesComeBackAsTheyWere(): void
    {
        $gateway = new Gateway(self::ECHO);
        $gateway->hello();
        $gateway->open(7);
        $all = implode('', array_map('chr', range(0, 255)));
        $gateway->event(Wire::TEXT, 7, 'grüß dich');
        $gateway->event(Wire::BINARY, 7, $all);
        $gateway->event(Wire::TEXT, 7, '');
        self::assertSame(
            [[Wire::DO_TEXT, 7, 'grüß dich'], [Wire::DO_BINARY, 7, $all], [Wire::DO_TEXT, 7, '']],
            $gateway->until(4),
        );
    }

    public function testAnyCutOfTheInputGivesTheSame(): void
    {
        $bytes = Gateway::frame(Wire::OPEN, 5, json_encode(Gateway::request()))
            . Gateway::frame(Wire::TEXT, 5, 'one') . Gateway::frame(Wire::TEXT, 5, str_repeat('x', 300));
        foreach ([1, 3, 4, 5, 12, 13, 14, 100] as $cut) {
            $gateway = new Gateway(self::ECHO);
            $gateway->hello();
            foreach (str_split($bytes, $cut) as $part) {
                $gateway->write($part);
            }
            self::assertSame([[Wire::DO_TEXT, 5, 'one'], [Wire::DO_TEXT, 5, str_repeat('x', 300)]], $gateway->until(3), "cut every $cut bytes");
        }
    }

    public function testManyEventsAreWrittenTogether(): void
    {
        $gateway = new Gateway(self::ECHO);
        $gateway->hello();
        $gateway->open(1);
        $gateway->until(1);
        $batch = '';
        for ($i = 0; $i < 10000; $i++) {
            $batch .= Gateway::frame(Wire::TEXT, 1, "message $i");
        }
        // The worker answers meanwhile, into a buffer of limited size: a gateway reads while it writes.
        stream_set_blocking($gateway->stream, false);
        $received = [];
        $dones = 0;
        while (count($received) < 10000) {
            $batch = substr($batch, (int) @fwrite($gateway->stream, $batch));
            [$kind, , $body] = $gateway->command();
            $kind === Wire::DO_DONE ? $dones++ : $received[] = $body;
        }
        self::assertSame(array_map(fn ($i) => "message $i", range(0, 9999)), $received);
        self::assertLessThan(5000, $dones, 'done is said once for many');
    }

    public function testAMessageOfAMegabytePasses(): void
    {
        $gateway = new Gateway(self::ECHO);
        $gateway->hello();
        $gateway->open(1);
        $long = str_repeat('0123456789abcdef', 65000);
        stream_set_blocking($gateway->stream, false);
        $out = Gateway::frame(Wire::TEXT, 1, $long);
        while ($out !== '') {
            $out = substr($out, (int) @fwrite($gateway->stream, $out));
        }
        self::assertSame([[Wire::DO_TEXT, 1, $long]], $gateway->until(2));
    }

    public function testWhatTheGatewayWouldNotTakeIsAnErrorHere(): void
    {
        $gateway = new Gateway(
            '(new Rupor\Worker)->onMessage(function ($c, $m) { $c->send(str_repeat("x", (int) $m)); })->run();',
            hello: ['frame_bytes_max' => 1000],
        );
        $gateway->hello();
        $gateway->open(1);
        $gateway->event(Wire::TEXT, 1, '991');
        $gateway->event(Wire::TEXT, 1, '992');
        $commands = $gateway->until(3);
        self::assertSame([Wire::DO_TEXT, 1, str_repeat('x', 991)], $commands[0]);
        self::assertSame([Wire::DO_CLOSE, 1, pack('n', 1011) . 'the handler failed'], $commands[1]);
        $gateway->event(Wire::STOP, 0);
        $gateway->ended();
        self::assertStringContainsString('the gateway takes at most 991 bytes at once', $gateway->printed());
    }

    public function testEveryCommandHasItsFrame(): void
    {
        $gateway = new Gateway('commands.php');
        $gateway->hello();
        $gateway->open(258);
        self::assertSame([
            [Wire::DO_SUBSCRIBE, 258, 'news'],
            [Wire::DO_UNSUBSCRIBE, 258, 'news'],
            [Wire::DO_USER, 258, 'boris'],
            [Wire::DO_ATTACH, 258, '{"name":"ü","n":[1,null]}'],
            [Wire::DO_CLOSE, 258, "\x0f\xa0go"],
            [Wire::DO_PUBLISH, 0, "\x01\x00\x01\x00\x0242" . 'to a user'],
            [Wire::DO_PUBLISH, 258, "\x01\x00\x02\x00\x01a\x00\x01b" . 'to two'],
            [Wire::DO_PUBLISH, 0, "\x02\x00\x01\x00\x04news" . 'to a channel'],
            [Wire::DO_PUBLISH, 258, "\x00\x00\x00" . 'to all'],
            [Wire::DO_DISCONNECT, 0, "\x01\x00\x01\x00\x04anna" . "\x03\xe8bye"],
            [Wire::DO_TELL, 0, "\xff\xff" . 'to the others'],
            [Wire::DO_TELL, 0, "\x00\x02" . 'to one'],
            [Wire::DO_REPLY, 9, 'a line'],
        ], $gateway->until(1));
    }

    public function testTheRequestIsThereAndTheIdOfTheSite(): void
    {
        $gateway = new Gateway('
            (new Rupor\Worker)->onOpen(function ($c) {
                $r = $c->request;
                $c->send(json_encode([$c->id, $c->user, $c->attached, $c->resumed, $r->path(), $r->query("user"), $r->query("no"),
                    $r->cookie("PHPSESSID"), $r->cookie("name"), $r->cookie("no"), $r->header("Host"), $r->address(),
                    (string) $r->getUri(), $r->getUri()->getQuery(), $r->getUri()->getHost(), $r->getUri()->getPort()]));
            })->run();');
        $gateway->hello();
        $number = unpack('J', hex2bin('ff000000deadbeef'))[1];
        $gateway->open($number, ['attached' => ['a' => 1], 'resumed' => true]);
        [$kind, $subject, $body] = $gateway->until(1)[0];
        self::assertSame([Wire::DO_TEXT, $number], [$kind, $subject]);
        self::assertSame(['ff000000deadbeef', 'anna', ['a' => 1], true, '/chat', 'anna', null, '4sk3', 'Jürgen', null, 'example.org:8000',
            '192.0.2.1', 'ws://example.org:8000/chat?user=anna&userId=5', 'user=anna&userId=5', 'example.org', 8000], json_decode($body, true));
    }

    /** One process serves many users: nothing of a request is anywhere but at its connection (FrankenPHP, CVE-2026-24894). */
    public function testSuperglobalsHoldNothingOfAnybody(): void
    {
        $gateway = new Gateway('
            $before = [$_GET, $_POST, $_COOKIE, $_REQUEST, $_FILES, array_keys($_SERVER)];
            (new Rupor\Worker)->onMessage(function ($c) use ($before) {
                $now = [$_GET, $_POST, $_COOKIE, $_REQUEST, $_FILES, array_keys($_SERVER)];
                $c->send(json_encode([$now === $before, $c->user]));
            })->run();');
        $gateway->hello();
        $gateway->open(1);
        $gateway->open(2, ['user' => 'boris']);
        $gateway->event(Wire::TEXT, 1, '');
        $gateway->event(Wire::TEXT, 2, '');
        $gateway->event(Wire::TEXT, 1, '');
        self::assertSame([
            [Wire::DO_TEXT, 1, '[true,"anna"]'],
            [Wire::DO_TEXT, 2, '[true,"boris"]'],
            [Wire::DO_TEXT, 1, '[true,"anna"]'],
        ], $gateway->until(5));
    }

    public function testUpgradesAreAnsweredAndRefused(): void
    {
        $gateway = new Gateway('
            (new Rupor\Worker)->onUpgrade(function ($u) {
                match ($u->request->path()) {
                    "/no" => $u->refuse(403, "not you"),
                    "/you" => [$u->user("clara"), $u->subscribe("a"), $u->subscribe("b")],
                    "/bad" => throw new Exception("broken"),
                    default => null,
                };
            })->run();');
        $gateway->hello();
        foreach (['/no', '/you', '/bad', '/'] as $request => $path) {
            $gateway->event(Wire::UPGRADE, $request + 1, json_encode(['target' => $path] + Gateway::request()));
        }
        self::assertSame([
            [Wire::DO_REFUSE, 1, "\x01\x93not you"],
            [Wire::DO_ACCEPT, 2, '{"user":"clara","channels":["a","b"]}'],
            [Wire::DO_REFUSE, 3, "\x01\xf4the handler failed"],
            [Wire::DO_ACCEPT, 4, '{}'],
        ], $gateway->until(4));
    }

    public function testAClosedConnectionIsToldOnceAndThenForgotten(): void
    {
        $gateway = new Gateway('
            $w = new Rupor\Worker;
            $w->onMessage(fn ($c, $m) => $c->send($m))
              ->onClose(fn ($c, $code, $reason, $clean) => $w->toAll(json_encode([$c->id, $code, $reason, $clean, $c->open, count($w->connections())])))
              ->run();');
        $gateway->hello();
        $gateway->open(1);
        $gateway->open(2);
        $gateway->event(Wire::CLOSE, 1, pack('nC', 1001, 1) . 'going');
        $gateway->event(Wire::CLOSE, 1, pack('nC', 1006, 0));
        $gateway->event(Wire::TEXT, 1, 'too late');
        $gateway->event(Wire::TEXT, 2, 'here');
        self::assertSame([
            [Wire::DO_PUBLISH, 0, "\0\0\0" . '["0000000000000001",1001,"going",true,false,1]'],
            [Wire::DO_TEXT, 2, 'here'],
        ], $gateway->until(6));
    }

    public function testQuestionsWaitForTheirAnswersAndEventsForTheirTurn(): void
    {
        $gateway = new Gateway('
            $w = new Rupor\Worker;
            $w->onMessage(function ($c, $m) use ($w) {
                $c->send($m === "ask" ? json_encode([$w->isOnline("boris"), $w->connectionsOf("boris"), $w->subscribers("news")]) : $m);
            })->run();');
        $gateway->hello();
        $gateway->open(1);
        $gateway->event(Wire::TEXT, 1, 'ask');
        self::assertSame([Wire::DO_ASK, 1, '{"user":"boris"}'], $gateway->said());
        $gateway->event(Wire::TEXT, 1, 'after');
        $gateway->event(Wire::ANSWER, 99, '{"connections":["nobody asked"]}');
        $gateway->event(Wire::ANSWER, 1, '{"connections":[]}');
        self::assertSame([Wire::DO_ASK, 2, '{"user":"boris"}'], $gateway->said());
        $gateway->event(Wire::ANSWER, 2, '{"connections":["00000000000000aa"]}');
        self::assertSame([Wire::DO_ASK, 3, '{"channel":"news"}'], $gateway->said());
        $gateway->event(Wire::ANSWER, 3, '{"subscribers":3}');
        self::assertSame([Wire::DO_TEXT, 1, '[false,["00000000000000aa"],3]'], $gateway->said());
        self::assertSame([Wire::DO_TEXT, 1, 'after'], $gateway->said());
    }

    public function testAnErrorAnswerIsThrownIntoTheCallback(): void
    {
        $gateway = new Gateway('
            $w = new Rupor\Worker;
            $w->onMessage(fn ($c) => $w->subscribers("no name"))->onError(fn ($e, $c) => $c->send($e->getMessage()))->run();');
        $gateway->hello();
        $gateway->open(1);
        $gateway->event(Wire::TEXT, 1, 'x');
        $gateway->said();
        $gateway->event(Wire::ANSWER, 1, '{"error":"that is no channel","code":"bad_channel_name"}');
        self::assertSame([Wire::DO_TEXT, 1, 'that is no channel'], $gateway->said());
    }

    public function testTimersTellsAndLinesReachTheirCallbacks(): void
    {
        $gateway = new Gateway('
            $w = new Rupor\Worker;
            $w->onTimer(0.05, fn ($ticks) => $w->toAll("ticks $ticks"))
              ->onTold(fn ($bytes, $worker) => $w->tell("got $bytes", $worker))
              ->onLine(fn ($line, $writer) => $w->reply($writer, strtoupper($line)))
              ->run();', worker: 1, workers: 4);
        $gateway->hello();
        $gateway->event(Wire::TIMER, 3);
        $gateway->event(Wire::TOLD, 2, "a\0b");
        $gateway->event(Wire::LINE, 77, 'hello');
        self::assertSame([
            [Wire::DO_PUBLISH, 0, "\0\0\0ticks 3"],
            [Wire::DO_TELL, 0, "\0\2got a\0b"],
            [Wire::DO_REPLY, 77, 'HELLO'],
        ], $gateway->until(3));
    }

    public function testConnectionsOfOtherWorkersAreReachedByTheirIds(): void
    {
        $gateway = new Gateway('
            $w = new Rupor\Worker;
            $w->onMessage(function ($c, $m) use ($w) {
                $w->toConnection("f00000000000000a", $m);
                $w->closeConnection("000000000000000b", 4001, "out");
                $w->toSession("4sk3", $m, $c);
                $w->toConnection("F00000000000000A", $m);
            })->onError(fn ($e, $c) => $c->send($e->getMessage()))->run();');
        $gateway->hello();
        $gateway->open(1);
        $gateway->event(Wire::TEXT, 1, 'hi');
        self::assertSame([
            [Wire::DO_TEXT, unpack('J', "\xf0\0\0\0\0\0\0\x0a")[1], 'hi'],
            [Wire::DO_CLOSE, 11, pack('n', 4001) . 'out'],
            [Wire::DO_PUBLISH, 1, "\3\0\1\0\0044sk3hi"],
            [Wire::DO_TEXT, 1, "a connection's id is 16 hexadecimal digits"],
        ], $gateway->until(2));
    }

    public function testARefusalReachesItsCallback(): void
    {
        $gateway = new Gateway('(new Rupor\Worker)
            ->onMessage(fn ($c, $m) => $c->subscribe($m))
            ->onRefused(fn (Rupor\Connection $c, Rupor\Refused $r) => $c->send("$r->command $r->name $r->code: $r->error"))
            ->run();');
        self::assertSame(['protocol' => 1, 'upgrade' => false, 'refused' => true], $gateway->hello());
        $gateway->open(1);
        $gateway->event(Wire::TEXT, 1, 'a b');
        self::assertSame([[Wire::DO_SUBSCRIBE, 1, 'a b']], $gateway->until(2));
        $gateway->event(Wire::REFUSED, 1, '{"command":"subscribe","name":"a b","code":"bad_channel_name","error":"no name","later":1}');
        // Of a connection that is gone nobody hears.
        $gateway->event(Wire::REFUSED, 2, '{"command":"user","name":"x","code":"y","error":"z"}');
        self::assertSame([[Wire::DO_TEXT, 1, 'subscribe a b bad_channel_name: no name']], $gateway->until(4));
    }

    public function testWhatIsPrintedGetsNotBetweenTheFrames(): void
    {
        $gateway = new Gateway('(new Rupor\Worker)->onMessage(function ($c, $m) {
            echo "junk\n"; print_r([1]); trigger_error("warned", E_USER_WARNING); fwrite(STDERR, "more\n"); fgets(STDIN); $c->send($m);
        })->run();');
        $gateway->hello();
        $gateway->open(1);
        $gateway->event(Wire::TEXT, 1, 'clean');
        self::assertSame([[Wire::DO_TEXT, 1, 'clean']], $gateway->until(2));
        $gateway->event(Wire::STOP, 0);
        $gateway->ended();
        $printed = $gateway->printed();
        foreach (['junk', '[0] => 1', 'warned', 'more'] as $text) {
            self::assertStringContainsString($text, $printed);
        }
    }

    public function testAnExceptionEndsOneConnectionAndNotTheWorker(): void
    {
        $gateway = new Gateway('(new Rupor\Worker)->onMessage(fn ($c, $m) => $m === "throw" ? throw new Error("oops") : $c->send($m))->run();');
        $gateway->hello();
        $gateway->open(1);
        $gateway->open(2);
        $gateway->event(Wire::TEXT, 1, 'throw');
        $gateway->event(Wire::TEXT, 2, 'still here');
        self::assertSame([[Wire::DO_CLOSE, 1, pack('n', 1011) . 'the handler failed'], [Wire::DO_TEXT, 2, 'still here']], $gateway->until(4));
        $gateway->event(Wire::STOP, 0);
        $gateway->ended();
        self::assertStringContainsString('oops', $gateway->printed());
    }

    /** @return array<string, array{string, string}> */
    public function deaths(): array
    {
        return [
            'exit' => ['exit(3);', ''],
            'fatal error' => ['eval("class A { abstract function x(); }");', 'Class A contains 1 abstract method'],
            'memory' => ['ini_set("memory_limit", "8M"); str_repeat("x", 100000000);', 'Allowed memory size'],
        ];
    }

    /** @dataProvider deaths */
    public function testLastWordsTellWhichEventFailed(string $death, string $printed): void
    {
        $gateway = new Gateway("(new Rupor\\Worker)->onMessage(function (\$c, \$m) { \$c->send(\$m); if (\$m === 'die') { $death } })->run();");
        $gateway->hello();
        $gateway->open(1);
        $batch = '';
        foreach (['a', 'b', 'die', 'c', 'd'] as $message) {
            $batch .= Gateway::frame(Wire::TEXT, 1, $message);
        }
        $gateway->write($batch);
        $commands = $gateway->rest();
        $texts = array_column(array_filter($commands, fn ($c) => $c[0] === Wire::DO_TEXT), 2);
        self::assertSame(['a', 'b', 'die'], $texts, 'what was said before is not lost');
        self::assertSame([Wire::DO_DONE, 3, "\1"], end($commands), 'open, a and b are handled; the next one failed');
        self::assertNotSame(0, $gateway->ended());
        if ($printed !== '') {
            self::assertStringContainsString($printed, $gateway->printed());
        }
    }

    public function testAWorkerThatIsKilledSaysNothing(): void
    {
        $gateway = new Gateway('(new Rupor\Worker)->onMessage(function ($c, $m) { $c->send("began"); posix_kill(getmypid(), 9); })->run();');
        $gateway->hello();
        $gateway->open(1);
        $gateway->until(1);
        $gateway->event(Wire::TEXT, 1, 'x');
        self::assertSame([], $gateway->rest());
    }

    public function testStopEndsItInOrder(): void
    {
        $gateway = new Gateway('$w = new Rupor\Worker; $w->onMessage(fn ($c, $m) => $c->send($m))->onStop(fn () => $w->toAll("bye"))->run(); echo "after\n";');
        $gateway->hello();
        $gateway->open(1);
        $gateway->write(Gateway::frame(Wire::TEXT, 1, 'last') . Gateway::frame(Wire::STOP, 0, '') . Gateway::frame(Wire::TEXT, 1, 'never'));
        $commands = array_values(array_filter($gateway->rest(), fn ($c) => $c[0] !== Wire::DO_DONE));
        self::assertSame([[Wire::DO_TEXT, 1, 'last'], [Wire::DO_PUBLISH, 0, "\0\0\0bye"]], $commands);
        self::assertSame(0, $gateway->ended());
        self::assertStringContainsString('after', $gateway->printed());
    }

    public function testItEndsWithTheGateway(): void
    {
        $gateway = new Gateway(self::ECHO);
        $gateway->hello();
        $gateway->open(1);
        $gateway->until(1);
        // Closing it is not enough: PHP has handed this end to the process too.
        stream_socket_shutdown($gateway->stream, STREAM_SHUT_RDWR);
        self::assertSame(0, $gateway->ended());
    }

    public function testStartMayAskAndSendsBehindTheHello(): void
    {
        $gateway = new Gateway('$w = new Rupor\Worker; $w->onStart(fn ($w) => $w->toAll("up " . $w->number() . "/" . $w->workers()))->run();', worker: 2, workers: 3);
        $gateway->hello();
        self::assertSame([Wire::DO_PUBLISH, 0, "\0\0\0up 2/3"], $gateway->said());
    }

    public function testAHandlerObjectWillDo(): void
    {
        $gateway = new Gateway('(new Rupor\Worker)->run(new class {
            public function onOpen(Rupor\Connection $c) { $c->seen = 1; }
            public function onMessage(Rupor\Connection $c, string $m) { $c->send($m . ++$c->seen); }
        });');
        $gateway->hello();
        $gateway->open(1);
        $gateway->event(Wire::TEXT, 1, 'x');
        $gateway->event(Wire::TEXT, 1, 'x');
        self::assertSame([[Wire::DO_TEXT, 1, 'x2'], [Wire::DO_TEXT, 1, 'x3']], $gateway->until(3));
    }

    public function testAKindThatIsNotKnownIsSkipped(): void
    {
        $gateway = new Gateway(self::ECHO);
        $gateway->hello();
        $gateway->open(1);
        $gateway->event(50, 0, 'of the future');
        $gateway->event(Wire::TEXT, 1, 'x');
        self::assertSame([[Wire::DO_TEXT, 1, 'x']], $gateway->until(2));
    }

    public function testASlowEventDoesNotHoldBackWhatWasSaidBefore(): void
    {
        $gateway = new Gateway('(new Rupor\Worker)->onMessage(function ($c, $m) { $c->send($m); if ($m === "slow") { usleep(2000); } if ($m === "hang") { sleep(60); } })->run();');
        $gateway->hello();
        $gateway->open(1);
        $gateway->write(Gateway::frame(Wire::TEXT, 1, 'slow') . Gateway::frame(Wire::TEXT, 1, 'hang'));
        self::assertSame([[Wire::DO_TEXT, 1, 'slow']], $gateway->until(2), 'said while the next one hangs');
        $gateway->kill();
    }
}
