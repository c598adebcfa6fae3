// The outbox in a real MariaDB, an own one on a free port.

import { MariaDb } from './support/mariadb.mjs';
import { outbox } from './support/outbox.mjs';

outbox(MariaDb);
