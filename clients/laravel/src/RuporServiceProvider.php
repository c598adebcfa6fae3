<?php

declare(strict_types=1);

namespace Rupor\Laravel;

use Illuminate\Contracts\Broadcasting\Factory;
use Illuminate\Support\ServiceProvider;
use Rupor\Client;

/**
 * Makes `BROADCAST_CONNECTION=rupor` (before Laravel 11 `BROADCAST_DRIVER=rupor`) work, and lets the container make a `Rupor\Client`.
 */
final class RuporServiceProvider extends ServiceProvider
{
    private const CONNECTION = 'broadcasting.connections.rupor';

    public function register(): void
    {
        $this->mergeConfigFrom(__DIR__ . '/../config/connection.php', self::CONNECTION);
        $this->app->singleton(Client::class, fn ($app) => self::client($app['config'][self::CONNECTION]));
    }

    public function boot(): void
    {
        // Not before somebody broadcasts: most requests do not.
        $this->callAfterResolving(Factory::class, function (Factory $broadcasts): void {
            $broadcasts->extend('rupor', fn ($app, array $config) => new RuporBroadcaster(
                self::client($config),
                (string) ($config['jwt_key'] ?? ''),
                (int) ($config['token_seconds'] ?? 60),
                (array) ($config['claims'] ?? []),
            ));
        });
    }

    /** @param array<string, mixed> $config */
    private static function client(array $config): Client
    {
        return new Client((string) $config['address'], [
            'key' => (string) ($config['key'] ?? ''),
            'timeout' => (float) ($config['timeout'] ?? 0.5),
        ]);
    }
}
