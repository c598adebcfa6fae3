
/**
 * Starts `rupor demo` on free ports: `browsers` and `inlet` are HOST:PORT, `key` is the API's.
 * Flags are added, so that a repeatable one such as --inlet adds another.
 */
export async function demo(t, flags = [], options = {}) {
  const ports = ['--listen', '127.0.0.1:0', '--inlet', 'tcp://127.0.0.1:0'];
  const rupor = start(t, ['demo', ...ports, ...flags], options);
  rupor.browsers = (await rupor.waitFor(/(?:http|ws)s?:\/\/(127\.0\.0\.1:[1-9]\d*)/))[1];
  rupor.inlet = (await rupor.waitFor(/tcp:\/\/(127\.0\.0\.1:[1-9]\d*)/))[1];
  rupor.key = (await rupor.waitFor(/Bearer ([^\s'"]+)/))[1];
  return rupor;
}
