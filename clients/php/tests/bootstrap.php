<?php

declare(strict_types=1);

// As composer's autoload would do, without composer. The framework's packages are Debian's.
spl_autoload_register(function (string $class): void {
    $folders = [
        'Rupor\\Tests\\' => __DIR__,
        'Rupor\\Laravel\\' => __DIR__ . '/../../laravel/src',
        'Rupor\\Symfony\\' => __DIR__ . '/../../symfony/src',
        'Rupor\\Yii\\' => __DIR__ . '/../../yii2/src',
        'Rupor\\' => __DIR__ . '/../src',
    ];
    foreach ($folders as $prefix => $folder) {
        if (str_starts_with($class, $prefix)) {
            $file = $folder . '/' . strtr(substr($class, strlen($prefix)), '\\', '/') . '.php';
            if (is_file($file)) {
                require $file;
            }
            return;
        }
    }
});
