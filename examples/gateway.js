// Where the gateway is: on the page's host, unless ?server=HOST:PORT names another. Where the gateway has the page itself, in
// `rupor demo`, it has another file of this name.

const gateway = `ws://${new URLSearchParams(location.search).get('server') ?? `${location.hostname || '127.0.0.1'}:8000`}/`;
