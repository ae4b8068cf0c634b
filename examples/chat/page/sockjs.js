/*
 * A small SockJS client (protocol 0.3.3): WebSocket, then XHR streaming, then
 * XHR polling. It is used like the usual one:
 *
 *   const s = new SockJS('https://chat.example.com/chat', null, {transports: ['websocket', 'xhr-streaming']});
 *   s.onopen = () => s.send('hello');
 *   s.onmessage = (e) => console.log(e.data);
 *   s.onclose = (e) => console.log(e.code, e.reason);
 *
 * Transports that fail before the session opens give way to the next one. It
 * does not know iframes, EventSource or JSONP: every browser that runs this
 * file has XMLHttpRequest with CORS.
 */
(() => {
  'use strict';

  const CONNECTING = 0, OPEN = 1, CLOSING = 2, CLOSED = 3;
  const INFO_TIMEOUT = 8000;   // ms for /info
  const OPEN_TIMEOUT = 5000;   // ms for the open frame of one transport
  const MAX_WAITING = 1000;    // messages that wait to be sent over XHR

  const random = (length) => {
    const letters = 'abcdefghijklmnopqrstuvwxyz012345';
    return Array.from(crypto.getRandomValues(new Uint8Array(length)), (b) => letters[b & 31]).join('');
  };

  /* One frame: o, h, a[…] or c[code, reason]. Returns false when it is none. */
  const readFrame = (frame, on) => {
    const type = frame.charAt(0);
    if (type === 'o' && frame.length === 1) { on.open(); return true; }
    if (type === 'h') { on.heartbeat(); return true; }
    let body;
    try { body = JSON.parse(frame.slice(1)); } catch { return false; }
    if (!Array.isArray(body)) return false;
    if (type === 'a') { body.forEach((text) => on.message(String(text))); return true; }
    if (type === 'c') { on.close(Number(body[0]) || 1006, String(body[1] ?? '')); return true; }
    return false;
  };

  /* A transport calls on.frame(text) and on.lost(reason), and has send and abort. */

  const webSocket = (base, on) => {
    const ws = new WebSocket(base.replace(/^http/, 'ws') + '/websocket');
    ws.onmessage = (e) => { if (e.data) on.frame(e.data); };
    ws.onclose = (e) => on.lost(e.code, 'The WebSocket closed.');
    ws.onerror = () => {}; // close follows
    return {
      send: (text) => ws.send(JSON.stringify([text])),
      abort: () => { ws.onmessage = ws.onclose = null; ws.close(); },
    };
  };

  /* Sends texts in order, one request at a time. */
  const xhrSender = (base, on) => {
    let waiting = [], xhr = null, stopped = false;
    const next = () => {
      if (xhr || stopped || waiting.length === 0) return;
      const body = JSON.stringify(waiting);
      waiting = [];
      xhr = new XMLHttpRequest();
      xhr.open('POST', base + '/xhr_send');
      xhr.withCredentials = true;
      xhr.setRequestHeader('Content-Type', 'text/plain'); // needs no preflight
      xhr.onloadend = () => {
        const status = xhr.status;
        xhr = null;
        if (stopped) return;
        if (status === 200 || status === 204) next();
        else on.lost(1006, 'A message could not be sent.');
      };
      xhr.send(body);
    };
    return {
      send: (text) => {
        if (waiting.length >= MAX_WAITING) { on.lost(1006, 'Too many messages wait to be sent.'); return; }
        waiting.push(text);
        next();
      },
      abort: () => { stopped = true; if (xhr) xhr.abort(); },
    };
  };

  /* Receives by one POST after another; streaming reads a response as it grows. */
  const xhrReceiver = (path) => (base, on) => {
    const sender = xhrSender(base, on);
    let xhr = null, stopped = false;
    const poll = () => {
      let done = 0, got = false;
      xhr = new XMLHttpRequest();
      xhr.open('POST', base + path);
      xhr.withCredentials = true;
      const read = () => {
        for (;;) {
          const end = xhr.responseText.indexOf('\n', done);
          if (end < 0 || stopped) return;
          const frame = xhr.responseText.slice(done, end);
          done = end + 1;
          got = true;
          on.frame(frame);
        }
      };
      xhr.onprogress = () => { if (xhr.status === 200) read(); };
      xhr.onloadend = () => {
        if (stopped) return;
        if (xhr.status !== 200) { on.lost(1006, 'The server did not answer.'); return; }
        read();
        if (stopped) return;
        if (got) poll();
        else on.lost(1006, 'The answer was empty.');
      };
      xhr.send();
    };
    poll();
    return {
      send: sender.send,
      abort: () => { stopped = true; sender.abort(); if (xhr) xhr.abort(); },
    };
  };

  const TRANSPORTS = [
    { name: 'websocket', start: webSocket, able: (info) => info.websocket !== false && 'WebSocket' in window },
    { name: 'xhr-streaming', start: xhrReceiver('/xhr_streaming'), able: () => true },
    { name: 'xhr-polling', start: xhrReceiver('/xhr'), able: () => true },
  ];

  class SockJS extends EventTarget {
    constructor(url, protocols, options = {}) {
      super();
      const at = new URL(url, document.baseURI);
      if (at.protocol !== 'http:' && at.protocol !== 'https:') {
        throw new SyntaxError(`The address of a SockJS server begins with http: or https:, not ${at.protocol}`);
      }
      at.hash = at.search = '';
      this.url = at.href.replace(/\/+$/, '');
      this.readyState = CONNECTING;
      this.transport = null;
      this.protocol = '';
      this.extensions = '';
      this.onopen = this.onmessage = this.onclose = this.onheartbeat = null;
      this._wanted = [].concat(options.transports ?? []);
      this._timeout = options.timeout ?? OPEN_TIMEOUT;
      this._server = String(Math.floor(Math.random() * 1000)).padStart(3, '0');
      this._cancel = new AbortController();
      this._info();
    }

    send(data) {
      if (this.readyState === CONNECTING) throw new DOMException('The connection is not open yet.', 'InvalidStateError');
      if (this.readyState === OPEN) this._line.send(String(data));
    }

    close(code = 1000, reason = '') {
      if (code !== 1000 && (code < 3000 || code > 4999)) throw new DOMException('A close code is 1000 or 3000 to 4999.', 'InvalidAccessError');
      if (this.readyState >= CLOSING) return;
      this.readyState = CLOSING;
      this._drop();
      setTimeout(() => this._end(code, reason, true), 0);
    }

    async _info() {
      const timer = setTimeout(() => this._cancel.abort(), INFO_TIMEOUT);
      let info;
      try {
        const answer = await fetch(`${this.url}/info?t=${Date.now()}`, { signal: this._cancel.signal, credentials: 'include', cache: 'no-store' });
        info = answer.ok ? await answer.json() : null;
      } catch { info = null; }
      clearTimeout(timer);
      if (this.readyState !== CONNECTING) return;
      if (info === null || typeof info !== 'object') { this._end(1002, 'Cannot connect to server', false); return; }
      this._choices = TRANSPORTS.filter((t) => t.able(info) && (this._wanted.length === 0 || this._wanted.includes(t.name)));
      this._next();
    }

    /* Tries the next transport, each with a session of its own. */
    _next() {
      const choice = this._choices.shift();
      if (!choice) { this._end(2000, 'All transports failed', false); return; }
      let live = true;
      const failed = (code, reason) => {
        if (!live) return;
        live = false;
        this._drop();
        if (this.readyState === CONNECTING) this._next();
        else this._end(code, reason, false);
      };
      const heard = {
        open: () => {
          if (this.readyState !== CONNECTING) return;
          clearTimeout(this._timer);
          this.readyState = OPEN;
          this.transport = choice.name;
          this._emit(new Event('open'));
        },
        heartbeat: () => this._emit(new Event('heartbeat')),
        message: (data) => { if (this.readyState === OPEN) this._emit(new MessageEvent('message', { data })); },
        close: (code, reason) => { live = false; this._drop(); this._end(code, reason, true); },
      };
      this._stop = () => { live = false; };
      this._timer = setTimeout(() => failed(1006, 'The transport did not open in time.'), this._timeout);
      const on = {
        frame: (frame) => { if (live && !readFrame(frame, heard)) failed(1006, 'The server sent what is not SockJS.'); },
        lost: failed,
      };
      try {
        this._line = choice.start(`${this.url}/${this._server}/${random(16)}`, on);
      } catch {
        queueMicrotask(() => failed(1006, 'The browser refused the connection.')); // mixed content, for one
      }
    }

    _drop() {
      clearTimeout(this._timer);
      this._cancel.abort();
      if (this._stop) this._stop();
      if (this._line) this._line.abort();
      this._line = null;
    }

    _end(code, reason, wasClean) {
      if (this.readyState === CLOSED) return;
      this.readyState = CLOSED;
      this._emit(Object.assign(new Event('close'), { code, reason, wasClean }));
    }

    _emit(event) {
      const handler = this['on' + event.type];
      if (typeof handler === 'function') handler.call(this, event);
      this.dispatchEvent(event);
    }
  }
  Object.assign(SockJS, { CONNECTING, OPEN, CLOSING, CLOSED, version: '1.6.1-albion' });
  window.SockJS = SockJS;
})();
