// What the page asks of TensorBoard around it. Each answer may be missing: the
// page works when no host answers, and when it is opened by itself.

const TIMEOUT_MSECS = 1000;

// Calls `onReload` when TensorBoard has read the log again.
export function connect(onReload) {
  if (window.parent === window) {
    return;
  }
  const channel = new MessageChannel();
  const port = channel.port1;
  port.onmessage = (event) => {
    let message;
    try {
      message = JSON.parse(event.data);
    } catch {
      return;
    }
    if (message.isReply) {
      return;
    }
    if (message.type === 'experimental.DataReloaded') {
      onReload();
    }
    // The host waits for an answer.
    port.postMessage(
      JSON.stringify({
        type: message.type,
        id: message.id,
        payload: null,
        error: null,
        isReply: true,
      })
    );
  };
  window.parent.postMessage('experimental.bootstrap', '*', [channel.port2]);
}

// What the address asks for: `#work_queue&p.work_queue.run=a`.
export function wishes() {
  const wishes = {};
  try {
    for (const part of window.parent.location.hash.split('&')) {
      const match = /^p\.work_queue\.(run|queue)=(.*)$/.exec(part);
      if (match) {
        wishes[match[1]] = decodeURIComponent(match[2]);
      }
    }
  } catch {
    // Another origin, or an address that cannot be read.
  }
  return wishes;
}

// Follows TensorBoard's dark mode, or the system's.
export function followTheme() {
  const root = document.documentElement;
  const system = window.matchMedia('(prefers-color-scheme: dark)');
  let body = null;
  try {
    body = window.parent === window ? null : window.parent.document.body;
  } catch {
    // Another origin.
  }
  const update = () => {
    const isDark = body ? body.classList.contains('dark-mode') : system.matches;
    root.dataset.theme = isDark ? 'dark' : 'light';
  };
  if (body) {
    new MutationObserver(update).observe(body, {attributeFilter: ['class']});
  } else {
    system.addEventListener('change', update);
  }
  update();
}

export async function fetchJson(url) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), 60 * TIMEOUT_MSECS);
  try {
    const response = await fetch(url, {signal: abort.signal});
    if (!response.ok) {
      throw new Error(`TensorBoard answers with status ${response.status}.`);
    }
    return await response.json();
  } finally {
    clearTimeout(timer);
  }
}
