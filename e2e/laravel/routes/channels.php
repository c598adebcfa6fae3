<?php

use Illuminate\Support\Facades\Broadcast;

// Order 5 is of user 5.
Broadcast::channel('orders.{order}', fn ($user, $order) => (string) $user->id === $order);
Broadcast::channel('room.{room}', fn ($user, $room) => $room === '5' ? ['id' => $user->id, 'name' => $user->name] : false);
