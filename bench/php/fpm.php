<?php

// What is measured in php-fpm, called by the gateway and by a bare FastCGI client: each message goes back.

if ($_SERVER['RUPOR_EVENT'] === 'message') {
    echo json_encode([['do' => 'send', 'message' => file_get_contents('php://input')]]);
}
