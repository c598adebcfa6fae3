<?php

namespace App\Providers;

use Illuminate\Auth\GenericUser;
use Illuminate\Support\Facades\Auth;
use Illuminate\Support\Facades\Broadcast;
use Illuminate\Support\Facades\Route;
use Illuminate\Support\ServiceProvider;

class AppServiceProvider extends ServiceProvider
{
    public function boot(): void
    {
        // Users without a table: whoever /login/… wrote into the session.
        Auth::viaRequest('session-only', function ($request) {
            $id = $request->hasSession() ? $request->session()->get('user') : null;
            return $id === null ? null : new GenericUser(['id' => $id, 'name' => "user $id"]);
        });
        Route::middleware('web')->group(base_path('routes/web.php'));
        Broadcast::routes();
        require base_path('routes/channels.php');
    }
}
