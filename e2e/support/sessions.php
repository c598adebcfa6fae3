<?php
// A site with sessions, for PHP's web server: /login/USER, /logout, and whatever a test puts into the session by POST.

session_start();
[$page, $user] = explode('/', substr($_SERVER['REQUEST_URI'], 1), 2) + [1 => ''];
if ($page === 'login') {
    // As a real site's session: arrays, an object, floats, texts with every sign of the format in them.
    $_SESSION['flash'] = ['success' => ['привет; a|b:"}{'], 'at' => new DateTimeImmutable('2026-01-01'), 'rate' => 0.1 + 0.2];
    $_SESSION['basket'] = (object) ['user' => ['id' => 'not this'], 'lines' => [1, 2.5, null, true]];
    $_SESSION['basket']->self = $_SESSION['basket'];
    $_SESSION['user'] = ['name' => $user, 'id' => ctype_digit($user) ? (int) $user : $user];
    $_SESSION['last'] = &$_SESSION['user'];
    session_write_close();
} elseif ($page === 'logout') {
    session_destroy();
} elseif ($page === 'anonymous') {
    $_SESSION['basket'] = [];
}
echo session_id();
