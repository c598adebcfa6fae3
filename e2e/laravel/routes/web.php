<?php

use App\Events\OrderShipped;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\Route;
use Rupor\Client;

Route::get('/', fn () => response()->file(base_path('page.html')));
Route::get('/favicon.ico', fn () => response()->noContent());
Route::get('/login/{id}', function (Request $request, string $id) {
    $request->session()->put('user', $id);
    return "you are user $id";
});
// The page's token: who its connection is.
Route::get('/token', fn (Request $request) => Client::token($request->user()->id, config('broadcasting.connections.rupor.jwt_key')));
Route::post('/ship/{order}', function (Request $request, int $order) {
    $pending = broadcast(new OrderShipped($order, (string) $request->input('note')));
    if ($request->boolean('others')) {
        $pending->toOthers();
    }
    return 'shipped';
});
