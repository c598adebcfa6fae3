<?php

return ['defaults' => ['guard' => 'web'], 'guards' => ['web' => ['driver' => 'session-only']], 'providers' => []];
