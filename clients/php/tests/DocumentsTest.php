<?php

declare(strict_types=1);

namespace Rupor\Tests;

use PHPUnit\Framework\TestCase;
use Rupor\Client;
use Rupor\Wire;

/** What is written about the library, and what is made from it. */
final class DocumentsTest extends TestCase
{
    private const ROOT = __DIR__ . '/../../..';
    private const PACKAGE = __DIR__ . '/..';

    public function testTheOneFileIsMadeFromTheSources(): void
    {
        $made = shell_exec(PHP_BINARY . ' ' . escapeshellarg(self::PACKAGE . '/bundle.php'));
        self::assertSame($made, file_get_contents(self::PACKAGE . '/rupor.php'), 'run: php bundle.php > rupor.php');
    }

    public function testTheProtocolsTablesAreTheCodes(): void
    {
        $page = file_get_contents(self::ROOT . '/docs/reference/worker-protocol.md');
        preg_match_all('/^\| (\d+) \| `(\w+)` \|/m', $page, $rows, PREG_SET_ORDER);
        $documented = [];
        foreach ($rows as [, $number, $name]) {
            $documented[$number >= 65 ? 'DO_' . strtoupper($name) : strtoupper($name)] = (int) $number;
        }
        $kinds = array_filter(
            (new \ReflectionClass(Wire::class))->getConstants(),
            fn ($name) => !in_array($name, ['PROTOCOL', 'HEAD_BYTES', 'COUNTED_HEAD_BYTES', 'EVERYBODY', 'USERS', 'CHANNEL', 'COOKIE', 'ALL_OTHERS'], true),
            ARRAY_FILTER_USE_KEY,
        );
        ksort($kinds);
        ksort($documented);
        self::assertSame($kinds, $documented);
    }

    /** @return string[] the code blocks after `<!-- run: KIND -->` */
    private static function blocks(string $kind): array
    {
        preg_match_all("/<!-- run: $kind -->\n```\w+\n(.*?)```/s", file_get_contents(self::PACKAGE . '/README.md'), $found);
        return $found[1];
    }

    public function testTheReadmesClientSends(): void
    {
        $rupor = new Rupor();
        $anna = $rupor->browser('/?user=anna');
        $blocks = self::blocks('client');
        self::assertCount(2, $blocks);
        $code = strtr(implode('', $blocks), [
            "'rupor.php'" => var_export(realpath(self::PACKAGE . '/rupor.php'), true),
            'unix:///run/rupor/rupor.sock' => $rupor->unix,
        ]);
        self::assertSame('', shell_exec(PHP_BINARY . ' -r ' . escapeshellarg($code) . ' 2>&1') ?? '');
        self::assertSame(['your order is ready', '{"order":7,"state":"ready"}'], [Rupor::message($anna), Rupor::message($anna)]);
    }

    public function testTheReadmesTokenIsOne(): void
    {
        [$code] = self::blocks('token');
        $userId = 5;
        $key = str_repeat('k', 32);
        ob_start();
        eval('use Rupor\Client; ' . $code);
        preg_match('/rupor\.jwt\.([\w-]+)\.([\w-]+)\.([\w-]+)/', ob_get_clean(), $found);
        self::assertSame('5', json_decode(base64_decode(strtr($found[2], '-_', '+/')), true)['sub']);
        self::assertSame(Client::token(5, $key), implode('.', array_slice($found, 1)));
    }

    public function testTheReadmesHandlersChat(): void
    {
        [$code] = self::blocks('worker');
        $gateway = new Gateway(strtr($code, ["'rupor.php'" => var_export(realpath(self::PACKAGE . '/rupor.php'), true)]));
        $gateway->hello();
        $gateway->open(1);
        $gateway->event(Wire::TEXT, 1, 'hi');
        $gateway->event(Wire::CLOSE, 1, pack('nC', 1000, 1));
        $chat = "\2\0\1\0\4chat";
        self::assertSame([
            [Wire::DO_SUBSCRIBE, 1, 'chat'],
            [Wire::DO_PUBLISH, 1, "{$chat}anna came"],
            [Wire::DO_PUBLISH, 0, "{$chat}anna: hi"],
            [Wire::DO_PUBLISH, 0, "{$chat}anna left"],
        ], $gateway->until(3));
    }

    public function testComposerInstallsIt(): void
    {
        $folder = sys_get_temp_dir() . '/rupor-composer-' . bin2hex(random_bytes(6));
        mkdir($folder);
        file_put_contents("$folder/composer.json", json_encode([
            'repositories' => [
                ['type' => 'path', 'url' => realpath(self::PACKAGE)],
                ['packagist.org' => false],
            ],
            'require' => ['rupor/rupor' => '*'],
        ], JSON_UNESCAPED_SLASHES));
        $environment = "COMPOSER_ALLOW_SUPERUSER=1 COMPOSER_HOME=$folder/home COMPOSER_DISABLE_NETWORK=1";
        exec("cd $folder && $environment composer install --no-interaction --no-progress 2>&1", $lines, $status);
        self::assertSame(0, $status, implode("\n", $lines));
        $code = "require '$folder/vendor/autoload.php';"
            . 'foreach (["Rupor\Worker", "Rupor\Client", "Ratchet\MessageComponentInterface", "Ratchet\Server\IoServer", "morozovsk\websocket\Daemon"] as $name)'
            . ' if (!class_exists($name) && !interface_exists($name)) echo "no $name";';
        self::assertNull(shell_exec(PHP_BINARY . ' -r ' . escapeshellarg($code) . ' 2>&1'));
        exec('rm -rf ' . escapeshellarg($folder));
    }
}
