<?php

/**
 * Prints the library as one file, for sites without composer: `php bundle.php > rupor.php`. A test compares.
 */

declare(strict_types=1);

$text = "<?php\n\n/**\n * rupor for PHP in one file: handlers behind the WebSocket server, and a client for the site.\n"
    . " * Made from src/ by bundle.php: change those. MIT or Apache-2.0.\n */\n\ndeclare(strict_types=1);\n\nnamespace Rupor;\n";
foreach (glob(__DIR__ . '/src/*.php') as $file) {
    $text .= preg_replace('/\A<\?php\s+declare\(strict_types=1\);\s+namespace Rupor;\n/', '', file_get_contents($file));
}
echo $text;
