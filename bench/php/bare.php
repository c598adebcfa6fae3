<?php

// The bare pipe: frames (a length of four bytes, and so many) go back as they came, with nothing between but PHP itself.

$stream = fopen('php://fd/3', 'r+');
stream_set_chunk_size($stream, 262144);
$in = '';
while (($bytes = fread($stream, 262144)) !== '' && $bytes !== false) {
    $in .= $bytes;
    $out = '';
    $at = 0;
    $end = strlen($in);
    while ($end - $at >= 4) {
        $length = unpack('N', $in, $at)[1];
        if ($end - $at - 4 < $length) {
            break;
        }
        $message = substr($in, $at + 4, $length);
        $out .= pack('N', strlen($message)) . $message;
        $at += 4 + $length;
    }
    $in = substr($in, $at);
    while ($out !== '') {
        $out = substr($out, fwrite($stream, $out));
    }
}
