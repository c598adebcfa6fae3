// Where the gateway is: where this page came from. It stands here for the file of this name in examples/.

const gateway = `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}${location.pathname}`;
