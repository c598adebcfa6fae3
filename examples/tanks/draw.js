// Draws what the server told. It tells ten times a second; in between, everything is where it is on its way from the last
// telling to the newest, so the picture is a tick behind and smooth.

const TICK_MS = 100;
/** Least size of a tank's name, in pixels of the page. */
const NAME_PX_MIN = 11;
/** Diagonal of what is shown, in units of the field: a little less than what the server tells of. */
const DIAGONAL = 1120;
const BURST_MS = 400;

const world = {
  you: 0, // our tank's id
  field: [0, 0],
  half: 20,
  walls: [],
  seen: { at: [0, 0], tanks: [], shells: [] },
  before: { at: [0, 0], tanks: [], shells: [] }, // what was told before it
  since: 0, // when `seen` came
  bursts: [], // { x, y, at }
};

/** Takes over what the server told. */
function told(seen) {
  world.before = world.seen;
  world.seen = seen;
  world.since = performance.now();
  for (const [x, y] of seen.bursts) world.bursts.push({ x, y, at: world.since });
}

function draw(canvas, now) {
  const scale = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.round(side * scale));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext('2d');
  const zoom = Math.hypot(width, height) / DIAGONAL;
  const part = Math.min(1, (now - world.since) / TICK_MS);
  const between = (from, to) => from + (to - from) * part;
  const jumped = (from, to) => Math.abs(from[0] - to[0]) + Math.abs(from[1] - to[1]) > 100;

  const [was, is] = [world.before.at, world.seen.at];
  const [x, y] = jumped(was, is) ? is : [between(was[0], is[0]), between(was[1], is[1])];
  context.setTransform(zoom, 0, 0, zoom, width / 2 - x * zoom, height / 2 - y * zoom);
  ground(context, x, y);

  /** Where a thing is now: on its way from where it was, unless it came or jumped. */
  const place = (list, [id, ...to]) => {
    const from = list.find((other) => other[0] === id)?.slice(1);
    to.length = 2;
    return !from || jumped(from, to) ? to : [between(from[0], to[0]), between(from[1], to[1])];
  };
  for (const shell of world.seen.shells) drawShell(context, ...place(world.before.shells, shell), shell[3]);
  for (const tank of world.seen.tanks) drawTank(context, ...place(world.before.tanks, tank), tank);
  world.bursts = world.bursts.filter(({ at }) => now - at < BURST_MS);
  for (const burst of world.bursts) drawBurst(context, burst, (now - burst.at) / BURST_MS);
}

function ground(context, x, y) {
  const [width, height] = world.field;
  context.fillStyle = '#2b3426';
  context.fillRect(x - DIAGONAL, y - DIAGONAL, 2 * DIAGONAL, 2 * DIAGONAL);
  context.fillStyle = '#66764f';
  context.fillRect(0, 0, width, height);
  context.fillStyle = '#6d7e55';
  for (let row = 0; row * 100 < height; row += 1) {
    for (let column = row % 2; column * 100 < width; column += 2) context.fillRect(column * 100, row * 100, 100, 100);
  }
  for (const [left, top, wide, high] of world.walls) {
    context.fillStyle = '#4a3b2e';
    context.fillRect(left, top + 5, wide, high);
    context.fillStyle = '#a9745a';
    context.fillRect(left, top, wide, high - 3);
    context.fillStyle = '#94614a';
    for (let line = 0; line < high - 3; line += 12) context.fillRect(left, top + line, wide, 2);
  }
}

function drawTank(context, x, y, [id, , , direction, life, name]) {
  const half = world.half;
  const mine = id === world.you;
  const colour = mine ? '#e8692c' : `hsl(${(id * 137 + 180) % 360} 45% 50%)`;
  context.save();
  context.translate(x, y);
  context.save();
  context.rotate(direction * Math.PI / 2);
  context.fillStyle = '#20261c';
  context.fillRect(-half, -half, 10, 2 * half); // the tracks
  context.fillRect(half - 10, -half, 10, 2 * half);
  context.fillStyle = colour;
  context.fillRect(-half + 7, -half + 4, 2 * half - 14, 2 * half - 8);
  context.fillStyle = '#20261c';
  context.fillRect(-3, -half - 8, 6, half + 8); // the barrel
  context.beginPath();
  context.arc(0, 0, 9, 0, 2 * Math.PI);
  context.fill();
  context.fillStyle = colour;
  context.beginPath();
  context.arc(0, 0, 6, 0, 2 * Math.PI);
  context.fill();
  context.restore();

  const pixel = (devicePixelRatio || 1) / context.getTransform().a; // of the page, in units of the field
  context.font = `600 ${Math.max(17, NAME_PX_MIN * pixel)}px system-ui, sans-serif`;
  context.textAlign = 'center';
  context.lineWidth = 4;
  context.strokeStyle = 'rgb(20 24 18 / 70%)';
  context.fillStyle = mine ? '#ffd9c2' : '#f4f1e8';
  context.strokeText(name, 0, -half - 20);
  context.fillText(name, 0, -half - 20);
  for (let heart = 0; heart < life; heart += 1) {
    context.fillStyle = '#ffb48a';
    context.fillRect(-19 + heart * 13, half + 8, 11, 5);
  }
  context.restore();
}

function drawShell(context, x, y, direction) {
  const [dx, dy] = [[0, -1], [1, 0], [0, 1], [-1, 0]][direction];
  context.lineCap = 'round';
  context.strokeStyle = 'rgb(255 226 160 / 50%)';
  context.lineWidth = 4;
  context.beginPath();
  context.moveTo(x - dx * 26, y - dy * 26);
  context.lineTo(x, y);
  context.stroke();
  context.fillStyle = '#ffe2a0';
  context.beginPath();
  context.arc(x, y, 5, 0, 2 * Math.PI);
  context.fill();
}

function drawBurst(context, { x, y }, age) {
  for (const [size, colour] of [[34, '255 146 87'], [20, '255 226 160']]) {
    context.fillStyle = `rgb(${colour} / ${Math.round(90 * (1 - age))}%)`;
    context.beginPath();
    context.arc(x, y, size * (0.4 + 0.6 * age), 0, 2 * Math.PI);
    context.fill();
  }
}
