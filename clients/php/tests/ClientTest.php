<?php

declare(strict_types=1);

namespace Rupor\Tests;

use PHPUnit\Framework\TestCase;
use Rupor\Client;
use Rupor\Failure;

/** The site's side against the real program. */
final class ClientTest extends TestCase
{
    /** Time enough for a busy machine; only what must be fast has the default. */
    private const PATIENT = ['timeout' => 20.0];

    private static ?Rupor $rupor = null;

    public static function setUpBeforeClass(): void
    {
        self::$rupor = new Rupor();
    }

    public static function tearDownAfterClass(): void
    {
        self::$rupor = null;
    }

    /** @return array<string, array{string}> */
    public function ways(): array
    {
        return ['tcp' => ['tcp'], 'unix' => ['unix'], 'http' => ['http']];
    }

    private function client(string $way, array $options = self::PATIENT): Client
    {
        return match ($way) {
            'tcp' => new Client(self::$rupor->inlet, $options),
            'unix' => new Client(self::$rupor->unix, $options),
            'http' => new Client('http://' . self::$rupor->browsers, ['key' => self::$rupor->key] + $options),
        };
    }

    /** @dataProvider ways */
    public function testEachTargetIsReached(string $way): void
    {
        $anna = self::$rupor->browser("/?user=anna$way&channel=news$way");
        $boris = self::$rupor->browser("/?user=boris$way");
        $client = $this->client($way);

        $result = $client->toUser("anna$way", 'grüß dich');
        self::assertSame([true, 1, '', ''], [$result->ok, $result->connections, $result->error, $result->code]);
        self::assertSame('grüß dich', Rupor::message($anna));
        self::assertSame(2, $client->toUsers(["anna$way", "boris$way"], ['price' => 42])->connections);
        self::assertSame(['{"price":42}', '{"price":42}'], [Rupor::message($anna), Rupor::message($boris)]);
        self::assertSame(1, $client->toChannel("news$way", 'news')->connections);
        self::assertSame('news', Rupor::message($anna));
        self::assertTrue($client->toAll('all')->ok);
        self::assertSame(['all', 'all'], [Rupor::message($anna), Rupor::message($boris)]);

        $nobody = $client->toUser("nobody$way", 'x');
        self::assertSame([true, 0], [$nobody->ok, $nobody->connections], 'nobody there is no failure');
    }

    /** @dataProvider ways */
    public function testASessionIsReachedByItsCookie(string $way): void
    {
        $tab = self::$rupor->browser('/', "Cookie: a=1; PHPSESSID=4sk3$way\r\n");
        $other = self::$rupor->browser('/', "Cookie: PHPSESSID=other$way\r\n");
        self::assertSame(1, $this->client($way)->toSession("4sk3$way", 'to this browser')->connections);
        self::assertSame('to this browser', Rupor::message($tab));
        self::assertSame(1, $this->client($way)->toSession("other$way", 'to that one')->connections);
        self::assertSame('to that one', Rupor::message($other));
    }

    /** @dataProvider ways */
    public function testABatchIsAnsweredInItsOrder(string $way): void
    {
        $anna = self::$rupor->browser("/?user=batch$way");
        $results = $this->client($way)->batch([
            'first' => ['user' => "batch$way", 'message' => 'one'],
            'second' => ['user' => 'nobody', 'message' => 'two'],
            'third' => ['user' => "batch$way", 'message' => 'three'],
        ]);
        self::assertSame(['first' => 1, 'second' => 0, 'third' => 1], array_map(fn ($result) => $result->connections, $results));
        self::assertSame(['one', 'three'], [Rupor::message($anna), Rupor::message($anna)]);
        self::assertSame([], $this->client($way)->batch([]));
    }

    /** @dataProvider ways */
    public function testWhatIsWrongComesBackAndIsNotThrown(string $way): void
    {
        $client = $this->client($way);
        $wrong = $client->toChannel('no such name!', 'x');
        self::assertSame([false, 'bad_channel_name'], [$wrong->ok, $wrong->code]);
        self::assertSame('bad_json', $client->toUser('anna', "not UTF-8: \xff")->code);
        self::assertTrue($client->toUser('anna', 'works after it')->ok);

        $this->expectException(Failure::class);
        $this->client($way, ['throw' => true] + self::PATIENT)->toChannel('no such name!', 'x');
    }

    public function testTheApiTellsWhoIsOnlineAndDisconnects(): void
    {
        $client = $this->client('http');
        self::assertFalse($client->isOnline('gina'));
        $gina = self::$rupor->browser('/?user=gina');
        self::assertTrue($client->isOnline('gina'));
        $id = $client->user('gina')->ids[0];
        self::assertMatchesRegularExpression('/^[0-9a-f]{16}$/', $id);
        self::assertSame(1, $this->client('unix')->toConnection($id, 'to this one')->connections);
        self::assertSame('to this one', Rupor::message($gina));
        self::assertSame(0, $client->toUser('gina', 'not to this one', ['exclude' => $id])->connections);
        self::assertSame(1, $client->disconnect('gina', 4001, 'out')->connections);
        self::assertSame('closed 4001', Rupor::message($gina));

        $lines = $this->client('tcp');
        self::assertSame('unsupported', $lines->disconnect('gina')->code);
        self::assertFalse($lines->isOnline('gina'));
        self::assertSame('wrong_key', (new Client('http://' . self::$rupor->browsers, ['key' => 'no'] + self::PATIENT))->toAll('x')->code);
    }

    public function testNobodyThereIsAResultWithinTheTimeOut(): void
    {
        foreach (['tcp://127.0.0.1:1', 'unix:///nowhere/rupor.sock', 'http://127.0.0.1:1'] as $dsn) {
            self::assertSame('unreachable', (new Client($dsn))->toAll('x')->code, $dsn);
        }
    }

    public function testAServerThatIsSilentCostsThePageNoMoreThanTheTimeOut(): void
    {
        $silent = stream_socket_server('tcp://127.0.0.1:0');
        $address = stream_socket_get_name($silent, false);
        // Before TLS is there nothing has been said that might have been taken.
        self::assertSame('unreachable', (new Client("https://$address"))->toAll('x')->code);
        foreach (["tcp://$address", "http://$address"] as $dsn) {
            $result = (new Client($dsn))->toAll('x');
            self::assertSame('too_late', $result->code, $dsn);
            self::assertStringContainsString('within 50 ms', $result->error);
        }
    }

    public function testHttpsIsCheckedAgainstTheCertificatesOfTheSiteOrTheSystem(): void
    {
        $folder = sys_get_temp_dir() . '/rupor-tls-' . bin2hex(random_bytes(6));
        mkdir($folder);
        exec("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
            . " -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE -out $folder/cert.pem -keyout $folder/key.pem 2>&1", $lines, $status);
        self::assertSame(0, $status, implode("\n", $lines));
        $rupor = new Rupor('demo', ['--tls-cert', "$folder/cert.pem", '--tls-key', "$folder/key.pem"]);
        $local = 'https://localhost:' . explode(':', $rupor->browsers)[1];
        $known = ['key' => $rupor->key, 'ca' => "$folder/cert.pem"] + self::PATIENT;
        $client = new Client($local, $known);
        self::assertSame([true, 0], [$client->toUser('anna', 'x')->ok, $client->user('anna')->connections]);
        self::assertFalse($client->isOnline('anna'));
        self::assertSame([0, 0], array_map(fn ($result) => $result->connections, $client->batch([['user' => 'a', 'message' => str_repeat('x', 100000)], ['all' => true, 'message' => 1]])));
        // Another name than the certificate's, and a certificate that nobody vouches for.
        $other = (new Client("https://{$rupor->browsers}", $known))->toAll('x');
        self::assertSame('unreachable', $other->code);
        $stranger = (new Client($local, ['key' => $rupor->key] + self::PATIENT))->toAll('x');
        self::assertSame('unreachable', $stranger->code);
        self::assertStringContainsString('certificate', $stranger->error);
        exec('rm -rf ' . escapeshellarg($folder));
    }

    public function testWhatIsNotRuporIsABadAnswer(): void
    {
        foreach (["hello\n", "null\n", "{\"ok\":1}\n"] as $answer) {
            $server = stream_socket_server('tcp://127.0.0.1:0');
            $client = new Client('tcp://' . stream_socket_get_name($server, false), self::PATIENT);
            $pid = pcntl_fork();
            if ($pid === 0) {
                $stream = stream_socket_accept($server);
                fgets($stream);
                fwrite($stream, $answer);
                posix_kill(getmypid(), 9);
            }
            self::assertSame('bad_answer', $client->toAll('x')->code);
            pcntl_waitpid($pid, $status);
        }
    }

    public function testAConnectionThatWasCutMeanwhileIsOpenedAgain(): void
    {
        $server = stream_socket_server('tcp://127.0.0.1:0');
        $client = new Client('tcp://' . stream_socket_get_name($server, false), self::PATIENT);
        [$said, $says] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        $pid = pcntl_fork();
        if ($pid === 0) {
            foreach ([1, 2] as $connections) {
                $stream = stream_socket_accept($server);
                fgets($stream);
                fwrite($stream, "{\"ok\":true,\"connections\":$connections}\n");
                stream_socket_shutdown($stream, STREAM_SHUT_RDWR);
                fwrite($says, "cut\n");
            }
            posix_kill(getmypid(), 9);
        }
        self::assertSame(1, $client->toAll('x')->connections);
        fgets($said);
        self::assertSame(2, $client->toAll('x')->connections);
        pcntl_waitpid($pid, $status);
    }

    public function testAnAnswerInChunksIsUnderstood(): void
    {
        $server = stream_socket_server('tcp://127.0.0.1:0');
        $client = new Client('http://' . stream_socket_get_name($server, false) . '/rupor/', self::PATIENT);
        $pid = pcntl_fork();
        if ($pid === 0) {
            $stream = stream_socket_accept($server);
            $request = fgets($stream);
            while (trim((string) fgets($stream)) !== '') {
            }
            $ok = $request === "POST /rupor/api/publish HTTP/1.1\r\n" ? 'true' : 'false';
            fwrite($stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[{\"ok\r\n7;x=y\r\n\":$ok,\r\n11\r\n\"connections\":3}]\r\n0\r\n\r\n");
            stream_socket_shutdown($stream, STREAM_SHUT_WR);
            fread($stream, 1);
            posix_kill(getmypid(), 9);
        }
        $result = $client->toAll('x');
        self::assertSame([true, 3], [$result->ok, $result->connections], $result->error);
        pcntl_waitpid($pid, $status);
    }

    public function testATokenIsBelieved(): void
    {
        $key = bin2hex(random_bytes(32));
        $file = tempnam(sys_get_temp_dir(), 'rupor');
        file_put_contents($file, $key);
        $rupor = new Rupor('serve', ['--jwt', "algorithm=HS256,key_file=$file"]);
        $anna = $rupor->browser('/?token=' . Client::token('anna', "$key\r\n"));
        self::assertSame(1, (new Client($rupor->unix, self::PATIENT))->toUser('anna', 'it is you')->connections);
        self::assertSame('it is you', Rupor::message($anna));
        unlink($file);
        $this->expectExceptionMessage('refused: HTTP/1.1 401');
        $rupor->browser('/?token=' . Client::token('anna', str_repeat('x', 64)));
    }

    public function testASignedAddressIsBelieved(): void
    {
        $key = bin2hex(random_bytes(32));
        $file = tempnam(sys_get_temp_dir(), 'rupor');
        file_put_contents($file, "$key\n"); // as openssl leaves it
        $rupor = new Rupor('serve', ['--auth', 'signed', '--signed-url-key-file', $file]);
        unlink($file);
        // Names with signs that mean something in a query.
        foreach (['anna', 'Анна & B+ c%/=', 5] as $user) {
            $stream = $rupor->browser(Client::signedUrl('/', $user, "$key\n"));
            self::assertSame(1, (new Client($rupor->unix, self::PATIENT))->toUser($user, 'it is you')->connections);
            self::assertSame('it is you', Rupor::message($stream));
        }
        self::assertMatchesRegularExpression('~^wss://example\.org/ws\?a=b&user=anna&expires=\d+&signature=[0-9a-f]{64}$~', Client::signedUrl('wss://example.org/ws?a=b', 'anna', $key));
        foreach ([Client::signedUrl('/', 'anna', $key, -1), Client::signedUrl('/', 'anna', str_repeat('x', 64))] as $refused) {
            try {
                $rupor->browser($refused);
                self::fail("taken: $refused");
            } catch (\RuntimeException $error) {
                self::assertStringContainsString('refused: HTTP/1.1 401', $error->getMessage());
            }
        }
    }

    public function testAWrongCallIsAnExceptionAtOnce(): void
    {
        foreach ([['ftp://x'], ['/run/rupor.sock'], ['unix:///x', ['time' => 1]]] as $arguments) {
            try {
                new Client(...$arguments);
                self::fail('taken: ' . json_encode($arguments));
            } catch (\InvalidArgumentException $error) {
                self::assertStringContainsString('take ', $error->getMessage());
            }
        }
    }
}
