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

const PREFIX = 'p.work_queue.';

// The window whose address says what is shown; null where it is of another
// origin, or there is none around the page.
function host() {
  try {
    return window.parent !== window && window.parent.location.hash !== undefined
      ? window.parent
      : null;
  } catch {
    return null;
  }
}

// What the address asks for, by key: `#work_queue&p.work_queue.run=a`.
export function readChoice() {
  const choice = {};
  for (const part of (host()?.location.hash ?? '').split('&')) {
    const at = part.indexOf('=');
    if (part.startsWith(PREFIX) && at > 0) {
      try {
        choice[part.slice(PREFIX.length, at)] = decodeURIComponent(part.slice(at + 1));
      } catch {
        // Not what an address can hold.
      }
    }
  }
  return choice;
}

// Puts a choice into the address; what is empty is left out. The history of
// the browser does not grow.
export function writeChoice(choice) {
  const window = host();
  if (!window) {
    return;
  }
  const {hash, pathname, search} = window.location;
  if (!hash.startsWith('#work_queue')) {
    return;
  }
  const others = hash.split('&').filter((part) => !part.startsWith(PREFIX));
  const parts = Object.entries(choice)
    .filter(([, value]) => value)
    .map(([key, value]) => `${PREFIX}${key}=${encodeURIComponent(value)}`);
  const wanted = [...others, ...parts].join('&');
  if (wanted !== hash) {
    window.history.replaceState(
      window.history.state,
      '',
      `${pathname}${search}${wanted}`
    );
  }
}

// Calls `onChange` when somebody has changed the address.
export function followAddress(onChange) {
  host()?.addEventListener('hashchange', onChange);
}

// Names the frame, for who has the page read aloud.
export function nameFrame(title) {
  document.documentElement.lang = 'en';
  document.title = title;
  try {
    window.frameElement?.setAttribute('title', title);
  } catch {
    // Another origin.
  }
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
