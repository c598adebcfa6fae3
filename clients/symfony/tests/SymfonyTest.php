<?php

declare(strict_types=1);

namespace Rupor\Tests;

use PHPUnit\Framework\TestCase;
use Rupor\Client;
use Rupor\Symfony\RuporOptions;
use Rupor\Symfony\RuporTransportFactory;
use Symfony\Component\Config\FileLocator;
use Symfony\Component\DependencyInjection\ContainerBuilder;
use Symfony\Component\DependencyInjection\Loader\YamlFileLoader;
use Symfony\Component\Notifier\Chatter;
use Symfony\Component\Notifier\Exception\LogicException;
use Symfony\Component\Notifier\Exception\RuntimeException;
use Symfony\Component\Notifier\Exception\UnsupportedMessageTypeException;
use Symfony\Component\Notifier\Exception\UnsupportedSchemeException;
use Symfony\Component\Notifier\Message\ChatMessage;
use Symfony\Component\Notifier\Message\PushMessage;
use Symfony\Component\Notifier\Message\SmsMessage;
use Symfony\Component\Notifier\Transport\Dsn;
use Symfony\Component\Notifier\Transport\Transports;

/** Symfony's Notifier and its container, Debian's packages, against the real program. */
final class SymfonyTest extends TestCase
{
    private static ?Rupor $rupor = null;

    public static function setUpBeforeClass(): void
    {
        require_once 'Symfony/Component/Notifier/autoload.php';
        require_once 'Symfony/Component/DependencyInjection/autoload.php';
        require_once 'Symfony/Component/Config/autoload.php';
        require_once 'Symfony/Component/Yaml/autoload.php';
        self::$rupor = new Rupor();
    }

    public static function tearDownAfterClass(): void
    {
        self::$rupor = null;
    }

    private static function block(string $kind): string
    {
        preg_match("/<!-- run: $kind -->\n```\w+\n(.*?)```/s", file_get_contents(__DIR__ . '/../README.md'), $found);
        return $found[1];
    }

    private static function transport(string $dsn): \Rupor\Symfony\RuporTransport
    {
        return (new RuporTransportFactory())->create(new Dsn($dsn));
    }

    /** @return array<string, array{\Closure(): string}> */
    public function dsns(): array
    {
        return [
            'a Unix socket' => [fn () => 'rupor://default' . substr(self::$rupor->unix, strlen('unix://'))],
            'TCP' => [fn () => str_replace('tcp://', 'rupor://', self::$rupor->inlet)],
            'HTTP' => [fn () => 'rupor+http://' . self::$rupor->key . '@' . self::$rupor->browsers],
        ];
    }

    /** @dataProvider dsns */
    public function testEachWayReachesTheUser(\Closure $dsn): void
    {
        $anna = self::$rupor->browser('/?user=anna&channel=news');
        $transport = self::transport($dsn() . '?timeout=20');
        self::assertStringNotContainsString(self::$rupor->key, (string) $transport);
        $sent = $transport->send(new ChatMessage('готово', RuporOptions::user('anna')));
        self::assertSame((string) $transport, $sent->getTransport());
        $transport->send(new PushMessage('order', 'ready', RuporOptions::users(['anna', 7])));
        $transport->send(new ChatMessage('news', RuporOptions::channel('news')));
        $transport->send(new ChatMessage('all', RuporOptions::all()));
        $came = array_map(fn () => Rupor::message($anna), range(1, 4));
        self::assertSame(['готово', '{"subject":"order","content":"ready"}', 'news', 'all'], $came);
        self::assertNotNull($transport->send(new ChatMessage('x', RuporOptions::user('nobody'))), 'nobody being there is no error');
    }

    public function testTheReadmesNotifierSends(): void
    {
        $anna = self::$rupor->browser('/?user=anna');
        $dsn = 'rupor://default' . substr(self::$rupor->unix, strlen('unix://')) . '?timeout=20';
        $chatter = new Chatter(new Transports(['rupor' => self::transport($dsn)]));
        eval(self::block('notifier'));
        self::assertSame('your order is ready', Rupor::message($anna));
    }

    public function testTheReadmesServicesAreOnes(): void
    {
        $folder = sys_get_temp_dir() . '/rupor-symfony-' . bin2hex(random_bytes(6));
        mkdir($folder);
        file_put_contents("$folder/services.yaml", str_replace('unix:///run/rupor/rupor.sock', self::$rupor->unix, self::block('services')));
        $container = new ContainerBuilder();
        (new YamlFileLoader($container, new FileLocator($folder)))->load('services.yaml');
        exec('rm -rf ' . escapeshellarg($folder));
        self::assertSame([RuporTransportFactory::class], array_keys($container->findTaggedServiceIds('chatter.transport_factory')));
        $container->compile();
        self::assertTrue($container->get(Client::class)->toAll('x')->ok);
    }

    public function testWhatIsWrongIsSaid(): void
    {
        $transport = self::transport('rupor://default/nowhere.sock');
        $wrong = [
            [LogicException::class, 'say for whom', fn () => $transport->send(new ChatMessage('x'))],
            [RuntimeException::class, 'unreachable', fn () => $transport->send(new ChatMessage('x', RuporOptions::all()))],
            [UnsupportedMessageTypeException::class, 'ChatMessage', fn () => $transport->send(new SmsMessage('+1', 'x'))],
            [UnsupportedSchemeException::class, 'slack', fn () => (new RuporTransportFactory())->create(new Dsn('slack://x'))],
        ];
        foreach ($wrong as [$class, $text, $call]) {
            try {
                $call();
                self::fail("no $class");
            } catch (\Throwable $error) {
                self::assertInstanceOf($class, $error);
                self::assertStringContainsString($text, $error->getMessage());
            }
        }
    }
}
