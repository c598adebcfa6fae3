// Where the browsers are: found on the machine, never downloaded.

import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const NAMES = {
  CHROMIUM: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
  FIREFOX: ['firefox-esr', 'firefox'],
};

/** The program of that environment variable, or the first of its names that is on the path. */
export function executable(variable) {
  if (process.env[variable]) return process.env[variable];
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of NAMES[variable]) {
      const path = join(folder, name);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch { /* not here */ }
    }
  }
  throw new Error(`none of ${NAMES[variable].join(', ')} is on the path; name one with ${variable}=/path/to/it`);
}
