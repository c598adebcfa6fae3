<?php

// The game itself: who is where, who hits whom. It knows nothing of connections; whoever calls tick() makes time pass.

declare(strict_types=1);

namespace Tanks;

/** Directions: up, right, down, left. Y grows downwards. */
const STEPS = [[0, -1], [1, 0], [0, 1], [-1, 0]];

final class Tank
{
    /** Where it wants to go, a direction; null: it stands. */
    public ?int $goes = null;
    public bool $fires = false;
    public int $life = Field::LIFE;
    /** Ticks until it may fire again. */
    public int $loads = 0;
    /** Ticks until it comes back; 0: it is on the field. */
    public int $away = 0;

    public function __construct(
        public readonly int $id,
        public readonly string $name,
        public int $x,
        public int $y,
        public int $direction,
        public int $hits,
    ) {
    }
}

final class Shell
{
    public function __construct(
        public readonly int $id,
        public int $x,
        public int $y,
        public readonly int $direction,
        public readonly Tank $by,
        public int $range = Field::SHELL_RANGE,
    ) {
    }
}

final class Field
{
    public const WIDTH = 2000;
    public const HEIGHT = 1400;
    /** Nobody is told of what is farther away than this. */
    public const SIGHT = 600;
    public const TANKS_MAX = 64;
    public const LIFE = 3;
    /** Half the side of a tank. */
    public const TANK_HALF = 20;
    /** Of all ways, the unit is a tick. */
    private const TANK_STEP = 16;
    private const SHELL_STEP = 56;
    public const SHELL_RANGE = 616;
    private const LOADS = 6;
    private const AWAY = 20;
    /** x, y, width, height. */
    public const WALLS = [
        [300, 120, 500, 40], [300, 440, 200, 40], [600, 440, 200, 40], [960, 200, 40, 420], [1180, 140, 320, 40], [1640, 120, 40, 320],
        [1180, 360, 40, 260], [1380, 460, 200, 40], [120, 620, 40, 300], [320, 720, 320, 40], [800, 760, 360, 40], [1340, 700, 40, 240],
        [1560, 640, 300, 40], [280, 980, 40, 280], [500, 940, 240, 40], [640, 1140, 40, 160], [880, 960, 40, 300], [1080, 1000, 200, 40],
        [1120, 1220, 300, 40], [1560, 860, 40, 240], [1700, 1160, 160, 40],
    ];
    /** Where tanks come: x, y and where they look. The first two see each other. */
    private const PLACES = [
        [400, 300, 1], [720, 300, 3], [1300, 270, 1], [1800, 200, 2], [1760, 560, 3], [1800, 1280, 0], [1480, 1000, 3], [1000, 880, 1],
        [760, 1060, 2], [440, 860, 1], [200, 1320, 0], [60, 520, 1],
    ];

    /** @var array<int, Tank> by their id */
    public array $tanks = [];
    /** @var array<int, Shell> */
    public array $shells = [];
    /** @var list<array{int, int}> where a shell burst in the last tick */
    public array $bursts = [];
    /** @var list<string> what everybody should hear of; whoever tells it empties it */
    public array $news = [];
    private int $last = 0;

    /** A tank enters; null: the field is full. */
    public function enter(string $name, int $hits = 0): ?Tank
    {
        if (count($this->tanks) >= self::TANKS_MAX) {
            return null;
        }
        [$x, $y, $direction] = $this->place(self::PLACES);
        $id = ++$this->last;
        return $this->tanks[$id] = new Tank($id, $name, $x, $y, $direction, $hits);
    }

    public function leave(Tank $tank): void
    {
        unset($this->tanks[$tank->id]);
    }

    /** A tenth of a second passes. */
    public function tick(): void
    {
        $this->bursts = [];
        foreach ($this->shells as $shell) {
            $this->fly($shell);
        }
        foreach ($this->tanks as $tank) {
            $tank->loads = max(0, $tank->loads - 1);
            if ($tank->away > 0) {
                $tank->away--;
                if ($tank->away === 0) {
                    $this->comeBack($tank);
                }
                continue;
            }
            if ($tank->goes !== null) {
                $this->drive($tank, $tank->goes);
            }
            if ($tank->fires && $tank->loads === 0) {
                $tank->loads = self::LOADS;
                $id = ++$this->last;
                $this->shells[$id] = new Shell($id, $tank->x, $tank->y, $tank->direction, $tank);
            }
        }
    }

    /**
     * What a tank's player is told: what is near enough, as short lists.
     *
     * @return array<string, mixed>
     */
    public function seenBy(Tank $eye): array
    {
        $near = fn (int $x, int $y): bool => ($x - $eye->x) ** 2 + ($y - $eye->y) ** 2 <= self::SIGHT ** 2;
        $seen = ['at' => [$eye->x, $eye->y], 'life' => $eye->life, 'hits' => $eye->hits, 'away' => $eye->away, 'tanks' => [], 'shells' => [], 'bursts' => []];
        foreach ($this->tanks as $tank) {
            if ($tank->away === 0 && $near($tank->x, $tank->y)) {
                $seen['tanks'][] = [$tank->id, $tank->x, $tank->y, $tank->direction, $tank->life, $tank->name];
            }
        }
        foreach ($this->shells as $shell) {
            if ($near($shell->x, $shell->y)) {
                $seen['shells'][] = [$shell->id, $shell->x, $shell->y, $shell->direction];
            }
        }
        foreach ($this->bursts as $burst) {
            if ($near(...$burst)) {
                $seen['bursts'][] = $burst;
            }
        }
        return $seen;
    }

    /**
     * Who has hit most.
     *
     * @return list<array{string, int}>
     */
    public function scores(): array
    {
        $scores = array_map(fn (Tank $tank) => [$tank->name, $tank->hits], array_values($this->tanks));
        usort($scores, fn (array $a, array $b) => $b[1] <=> $a[1]);
        return array_slice($scores, 0, 5);
    }

    private function drive(Tank $tank, int $direction): void
    {
        $tank->direction = $direction;
        [$dx, $dy] = STEPS[$direction];
        // As far as there is room, so that it stands right at a wall and not before it.
        for ($step = self::TANK_STEP; $step >= 1; $step >>= 1) {
            if ($this->isFree($tank->x + $dx * $step, $tank->y + $dy * $step, $tank)) {
                $tank->x += $dx * $step;
                $tank->y += $dy * $step;
                return;
            }
        }
    }

    private function fly(Shell $shell): void
    {
        [$dx, $dy] = STEPS[$shell->direction];
        // In small steps: in one tick a shell flies farther than a tank is wide.
        for ($way = 0; $way < self::SHELL_STEP; $way += 8) {
            $shell->x += $dx * 8;
            $shell->y += $dy * 8;
            $shell->range -= 8;
            $hit = $this->tankAt($shell->x, $shell->y, 0, $shell->by);
            if ($hit !== null) {
                $this->hit($hit, $shell->by);
            }
            if ($hit !== null || $shell->range <= 0 || self::isWall($shell->x, $shell->y, 0)) {
                $this->bursts[] = [$shell->x, $shell->y];
                unset($this->shells[$shell->id]);
                return;
            }
        }
    }

    private function hit(Tank $tank, Tank $by): void
    {
        $by->hits++;
        $tank->life--;
        if ($tank->life === 0) {
            $tank->away = self::AWAY;
            $this->news[] = "$by->name knocked out $tank->name";
        }
    }

    private function comeBack(Tank $tank): void
    {
        $places = self::PLACES;
        shuffle($places);
        [$tank->x, $tank->y, $tank->direction] = $this->place($places);
        $tank->life = self::LIFE;
    }

    /**
     * The first place where no tank is near; where all are taken, one that is as good as any.
     *
     * @param list<array{int, int, int}> $places
     * @return array{int, int, int}
     */
    private function place(array $places): array
    {
        foreach ($places as $place) {
            if ($this->tankAt($place[0], $place[1], 5 * self::TANK_HALF) === null) {
                return $place;
            }
        }
        return $places[array_rand($places)];
    }

    private function isFree(int $x, int $y, Tank $tank): bool
    {
        if (self::isWall($x, $y, self::TANK_HALF)) {
            return false;
        }
        $other = $this->tankAt($x, $y, self::TANK_HALF, $tank);
        // Two that came upon each other may part.
        return $other === null || self::distance($other, $x, $y) > self::distance($other, $tank->x, $tank->y);
    }

    private static function distance(Tank $tank, int $x, int $y): int
    {
        return abs($tank->x - $x) + abs($tank->y - $y);
    }

    /** A tank that a square of that half side touches. */
    private function tankAt(int $x, int $y, int $half, ?Tank $except = null): ?Tank
    {
        $reach = $half + self::TANK_HALF;
        foreach ($this->tanks as $tank) {
            if ($tank !== $except && $tank->away === 0 && abs($tank->x - $x) < $reach && abs($tank->y - $y) < $reach) {
                return $tank;
            }
        }
        return null;
    }

    /** Whether a square of that half side touches a wall or the edge. */
    private static function isWall(int $x, int $y, int $half): bool
    {
        if ($x < $half || $y < $half || $x > self::WIDTH - $half || $y > self::HEIGHT - $half) {
            return true;
        }
        foreach (self::WALLS as [$left, $top, $width, $height]) {
            if ($x > $left - $half && $x < $left + $width + $half && $y > $top - $half && $y < $top + $height + $half) {
                return true;
            }
        }
        return false;
    }
}
