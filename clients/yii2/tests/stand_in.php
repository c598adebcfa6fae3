<?php

declare(strict_types=1);

// As much of Yii 2 as the component touches: its base class, which takes the configuration, and the application's locator.

namespace yii\base {
    class InvalidConfigException extends \Exception
    {
    }

    class Component
    {
        public function __construct(array $config = [])
        {
            foreach ($config as $name => $value) {
                $this->$name = $value;
            }
        }

        public function __get($name)
        {
            return $this->{"get$name"}();
        }

        public function __set($name, $value)
        {
            throw new \Exception('Setting unknown property: ' . static::class . "::$name");
        }
    }
}

namespace {
    class Yii
    {
        public static object $app;
    }
}
