<?php

declare(strict_types=1);

// As composer's autoload would do, without composer.
spl_autoload_register(function (string $class): void {
    foreach (['Rupor\\Tests\\' => __DIR__, 'Rupor\\' => __DIR__ . '/../src'] as $prefix => $folder) {
        if (str_starts_with($class, $prefix)) {
            $file = $folder . '/' . strtr(substr($class, strlen($prefix)), '\\', '/') . '.php';
            if (is_file($file)) {
                require $file;
            }
            return;
        }
    }
});
