(() => {
  'use strict';

  const $ = (id) => document.getElementById(id);
  const { make, tint, sameDay, dayName, messageItem, pendingItem, personItem, roomItem } = window.ChatItems;
  const query = new URLSearchParams(location.search);
  const given = document.documentElement.dataset;

  const KEEP = 400;               // messages kept per room
  const PING_EVERY = 20000;       // ms
  const SILENT = 45000;           // ms without a word before the line counts as dead
  const UNANSWERED = 12000;       // ms: the server itself gives up after five seconds
  const RESEND_FOR = 100000;      // ms: less than the two minutes in which the server knows a ref again
  const TRANSPORT_NAMES = { 'websocket': 'WebSocket', 'xhr-streaming': 'XHR streaming', 'xhr': 'XHR polling' };

  /* ---------- where the chat is ---------- */

  const chatURL = () => {
    const server = query.get('server') || given.server;
    const url = new URL(server || given.prefix, location.href);
    if (url.protocol !== 'https:' && url.protocol !== 'http:') throw new Error(`${server} is not the address of a chat server.`);
    if (server && url.pathname === '/') url.pathname = given.prefix;
    url.search = url.hash = '';
    return url;
  };

  const transports = () => (query.get('transports') || '').split(',').map((t) => t.trim()).filter(Boolean)
    .map((t) => (t === 'xhr' ? 'xhr-polling' : t));

  const loadClient = () => new Promise((resolve, reject) => {
    const src = query.get('client') || given.client;
    if (!src) { resolve(); return; }
    const script = document.createElement('script');
    script.src = new URL(src, location.href).href;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`The SockJS client at ${src} could not be loaded.`));
    document.head.append(script);
  });

  /* ---------- what this page knows ---------- */

  const random = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');

  // The key is what holds the name; it lives as long as the tab does, so that a reload keeps the name.
  const saved = (name, value) => {
    try {
      if (value !== undefined) sessionStorage.setItem('chat.' + name, JSON.stringify(value));
      return JSON.parse(sessionStorage.getItem('chat.' + name));
    } catch { return value ?? null; }
  };

  const me = { key: saved('key') || saved('key', random()) || random(), id: null, name: saved('name') || '' };
  const rooms = new Map();  // by name: the rooms that we are in, or want to be
  let open = [];            // all rooms of the server: {room, people}
  let here = null;          // the name of the room that is shown
  let limits = { name: 24, room: 32, text: 2000, rooms: 8 };

  const makeRoom = (name) => ({ name, joined: false, last: 0, messages: [], people: new Map(), unread: 0, divider: 0, replay: 0, gap: false, draft: '' });
  const current = () => rooms.get(here);
  const remember = () => { saved('name', me.name); saved('rooms', [...rooms.keys()]); saved('here', here); };

  /* ---------- the line ---------- */

  let sock = null, attempts = 0, timer = 0, countdown = 0, heard = 0, address = null;

  const setState = (state, text, transport = '') => {
    const el = $('state');
    el.dataset.state = state;
    el.dataset.transport = transport;
    $('state-text').textContent = text;
    $('state-where').textContent = state === 'connected' ? address.origin : '';
    $('entry-state').textContent = state === 'connected' ? `Connected to ${address.origin} by ${text}` : text;
    $('retry').hidden = state !== 'waiting' && state !== 'closed';
    $('send').disabled = false;
  };

  const connect = () => {
    clearTimeout(timer);
    clearInterval(countdown);
    setState('connecting', attempts > 0 ? 'Reconnecting' : 'Connecting');
    const wanted = transports();
    let line;
    try {
      line = new window.SockJS(address.href, null, wanted.length ? { transports: wanted } : {});
    } catch (err) {
      lost(0, err.message);
      return;
    }
    sock = line;
    heard = Date.now();
    line.onopen = () => { heard = Date.now(); };
    line.onheartbeat = () => { heard = Date.now(); };
    line.onmessage = (e) => { if (sock === line) hear(e.data); };
    line.onclose = (e) => { if (sock === line) lost(e.code, e.reason); };
  };

  const say = (frame) => {
    if (sock === null || $('state').dataset.state !== 'connected') return false;
    sock.send(JSON.stringify(frame));
    return true;
  };

  const lost = (code, reason) => {
    sock = null;
    sending = null;
    joining = null;
    rooms.forEach((room) => { room.joined = false; });
    if (code === 4001) {
      setState('closed', 'Open elsewhere');
      notice('You have come in from another tab with this name. Press Now to come back here.');
      return;
    }
    let wait = Math.min(15000, 400 * 2 ** attempts) * (0.5 + Math.random() / 2);
    if (code === 3000) wait = 100 + Math.random() * 400; // this server is going: another one is there
    if (code === 4008 || code === 4013) wait = 10000 + Math.random() * 5000;
    attempts++;
    if (attempts > 2 || mixed()) notice(mixed() || `No answer from ${address.host}. Trying again.`);
    waitThenConnect(wait, reason);
  };

  // A page that came over HTTPS may not speak to plain HTTP, except on this machine.
  const mixed = () => (location.protocol === 'https:' && address.protocol === 'http:'
    ? `This page came over HTTPS, and so the browser blocks ${address.origin}. The chat needs an https:// address.` : '');

  const waitThenConnect = (wait) => {
    const until = Date.now() + wait;
    const show = () => {
      const seconds = Math.ceil((until - Date.now()) / 1000);
      setState('waiting', seconds > 1 ? `Reconnecting in ${seconds} s` : 'Reconnecting');
    };
    show();
    clearInterval(countdown);
    countdown = setInterval(show, 1000);
    timer = setTimeout(connect, wait);
  };

  const hurry = () => {
    if (sock === null && address) { attempts = 0; notice(''); connect(); }
  };

  const watch = () => {
    if (sock === null) return;
    const silent = Date.now() - heard;
    if (silent > SILENT) {
      const dead = sock;
      lost(1006, 'silent');
      dead.close();
      return;
    }
    if (silent > PING_EVERY / 2) say({ type: 'ping' });
    // What was asked and never answered is asked again; the server takes it once.
    if (joining !== null && Date.now() - asked > UNANSWERED) { joining = null; joinNext(); }
    if (sending && Date.now() - sending.sent > UNANSWERED) { sending = null; sendNext(); }
  };

  /* ---------- what the server says ---------- */

  const hear = (data) => {
    heard = Date.now();
    let frame;
    try { frame = JSON.parse(data); } catch { return; }
    const handler = heardFrames[frame.type];
    if (handler) handler(frame);
  };

  const heardFrames = {
    hello: (f) => {
      attempts = 0;
      limits = { ...limits, ...f.limits };
      const transport = String(sock.transport || 'websocket').includes('polling') ? 'xhr' : String(sock.transport || 'websocket');
      notice('');
      setState('connected', TRANSPORT_NAMES[transport] || transport, transport);
      $('state').title = `Server ${f.instance} at ${address.host}`;
      $('state').dataset.instance = f.instance;
      showOpen(f.rooms);
      joinNext();
    },
    rooms: (f) => showOpen(f.rooms),
    joined: (f) => {
      const room = rooms.get(f.room) || makeRoom(f.room);
      rooms.set(f.room, room);
      me.id = f.id;
      me.name = f.name;
      room.joined = true;
      room.replay = f.replay;
      room.gap = Boolean(f.gap) || room.gap;
      room.people = new Map(f.people.map((p) => [p.id, p.name]));
      if (joining === f.room) joining = null;
      if (f.gap) append(room, { system: true, text: 'Some messages from while you were away are no longer kept.', time: Date.now() });
      if (here === null || entering === f.room) show(f.room);
      entering = null;
      closeEntry();
      remember();
      paintPeople();
      paintRooms();
      joinNext();
      sendNext();
    },
    left: () => {},
    message: (f) => {
      const room = rooms.get(f.room);
      if (!room || f.id <= room.last) return;
      room.last = f.id;
      const replayed = room.replay > 0;
      if (replayed) room.replay--;
      if (f.from === me.id && f.ref) settle(f.ref);
      append(room, f);
      if (f.from !== me.id) mark(room, f, replayed);
    },
    presence: (f) => {
      const room = rooms.get(f.room);
      if (!room) return;
      if (f.what === 'leave') room.people.delete(f.id); else room.people.set(f.id, f.name);
      if (f.what === 'rename' && f.id === me.id) { me.name = f.name; remember(); paintMe(); closeEntry(); }
      const line = { join: `${f.name} came in`, leave: `${f.name} left`, rename: `${f.was} is now ${f.name}` }[f.what];
      append(room, { system: true, text: line, time: f.time });
      if (f.room === here) paintPeople();
      paintRooms();
    },
    error: (f) => {
      if (f.ref && sending && f.ref === sending.ref) { refused(f); return; }
      if (f.code === 'joined-already') return;
      if (joining === f.room) joining = null;
      const room = rooms.get(f.room);
      if (room && !room.joined) {
        if (f.code === 'slow-down' || f.code === 'unavailable') { setTimeout(joinNext, f.retry || 2000); return; }
        rooms.delete(f.room);
        if (here === f.room) here = rooms.keys().next().value ?? null;
        remember();
        paintRooms();
        askEntry(here === null ? 'first' : 'another', f.text, f.room);
        joinNext();
        return;
      }
      if (!$('entry').hidden) { $('entry-error').textContent = f.text; busy(false); return; }
      notice(f.text, 6000);
    },
    pong: () => {},
  };

  /* ---------- joining ---------- */

  let joining = null;   // the room whose answer we wait for: one at a time, the one on screen first
  let entering = null;  // the room that the form asked for
  let asked = 0;        // when joining was sent

  const joinNext = () => {
    if (joining !== null) return;
    const wanted = [entering, here, ...rooms.keys()].find((name) => name && rooms.has(name) && !rooms.get(name).joined);
    if (!wanted || !me.name) return;
    if (say({ type: 'join', room: wanted, name: me.name, key: me.key, after: rooms.get(wanted).last })) {
      joining = wanted;
      asked = Date.now();
    }
  };

  const roomName = (s) => s.trim().replace(/\s+/g, '-').toLowerCase();

  const enter = (name) => {
    if (rooms.has(name) && rooms.get(name).joined) { show(name); closeEntry(); return; }
    rooms.set(name, rooms.get(name) || makeRoom(name));
    entering = name;
    joinNext();
  };

  const leave = () => {
    if (here === null) return;
    say({ type: 'leave', room: here });
    rooms.delete(here);
    outbox = outbox.filter((p) => p.room !== here);
    here = null;
    const next = rooms.keys().next().value;
    remember();
    if (next) show(next); else askEntry('first', '', '');
    paintRooms();
    say({ type: 'rooms' });
  };

  /* ---------- sending: in order, one at a time, until it is seen in the room ---------- */

  let outbox = [], sending = null;

  const post = (text) => {
    outbox.push({ room: here, text, ref: random().slice(0, 20), since: Date.now(), failed: false });
    const room = current();
    room.divider = 0;
    paintPending();
    toBottom();
    sendNext();
  };

  const sendNext = () => {
    if (sending) return;
    const next = outbox.find((p) => !p.failed && rooms.get(p.room)?.joined);
    if (!next) return;
    if (next.tried && Date.now() - next.since > RESEND_FOR) { next.failed = true; paintPending(); sendNext(); return; }
    if (say({ type: 'post', room: next.room, text: next.text, ref: next.ref })) {
      sending = next;
      next.tried = true;
      next.sent = Date.now();
    }
  };

  const settle = (ref) => {
    outbox = outbox.filter((p) => p.ref !== ref);
    if (sending && sending.ref === ref) sending = null;
    paintPending();
    sendNext();
  };

  const refused = (f) => {
    const p = sending;
    sending = null;
    if (f.retry) { setTimeout(sendNext, f.retry + 50); return; }
    p.failed = true;
    paintPending();
    notice(f.text, 6000);
    sendNext();
  };

  /* ---------- painting ---------- */

  const paintQuiet = () => { const quiet = $('messages').querySelector('.said') === null; $('quiet').hidden = !quiet; };

  const append = (room, m) => {
    const before = room.messages[room.messages.length - 1];
    room.messages.push(m);
    if (room.messages.length > KEEP) room.messages.splice(0, room.messages.length - KEEP);
    if (room.name !== here) return;
    const stick = nearBottom();
    const list = $('messages');
    paintOne(list, room, m, before, list.querySelector('.pending'));
    paintQuiet();
    while (list.childElementCount > KEEP * 1.5) list.firstElementChild.remove();
    if (stick) toBottom(); else if (!m.system) $('newest').hidden = false;
  };

  const paintOne = (list, room, m, before, anchor) => {
    if (!before || !sameDay(before.time, m.time)) list.insertBefore(make('li', 'day', dayName(m.time)), anchor);
    const divides = m.id && m.id === room.divider;
    if (divides) list.insertBefore(make('li', 'new', 'New'), anchor);
    list.insertBefore(messageItem(m, divides ? null : before, me.id), anchor);
  };

  const paintAll = () => {
    const room = current();
    const list = $('messages');
    list.replaceChildren();
    if (!room) return;
    room.messages.forEach((m, i) => paintOne(list, room, m, room.messages[i - 1], null));
    paintPending();
    toBottom();
  };

  const paintPending = () => {
    const list = $('messages');
    const stick = nearBottom();
    list.querySelectorAll('.pending').forEach((li) => li.remove());
    outbox.filter((p) => p.room === here).forEach((p) => {
      list.append(pendingItem(p, () => { outbox = outbox.filter((o) => o !== p); post(p.text); }));
    });
    paintQuiet();
    if (stick) toBottom();
  };

  const nearBottom = () => { const s = $('scroll'); return s.scrollHeight - s.scrollTop - s.clientHeight < 80; };
  const toBottom = () => { const s = $('scroll'); s.scrollTop = s.scrollHeight; $('newest').hidden = true; };

  // A message counts as unread when nobody could see it come.
  const mark = (room, m, replayed) => {
    const seen = room.name === here && !document.hidden;
    if (!seen && !(replayed && room.messages.length <= room.replay + 1)) {
      if (room.unread === 0 && !room.divider) {
        room.divider = m.id;
        if (room.name === here) paintAll();
      }
      room.unread++;
      paintRooms();
      paintTitle();
    }
    if (!replayed && seen) $('announce').textContent = `${m.name}: ${m.text}`;
  };

  const read = (room) => {
    if (!room || document.hidden) return;
    room.unread = 0;
    paintRooms();
    paintTitle();
  };

  const paintTitle = () => {
    const unread = [...rooms.values()].reduce((n, r) => n + r.unread, 0);
    document.title = `${unread ? `(${unread}) ` : ''}${here ? here + ' · ' : ''}Chat`;
    $('menu-mark').hidden = ![...rooms.values()].some((r) => r.name !== here && r.unread > 0);
  };

  const paintPeople = () => {
    const room = current();
    if (!room) return;
    const people = [...room.people].map(([id, name]) => ({ id, name })).sort((a, b) => a.name.localeCompare(b.name));
    $('people-count').textContent = people.length;
    $('people').replaceChildren(...people.map((p) => personItem(p, p.id === me.id)));
  };

  const paintRooms = () => {
    $('rooms').replaceChildren(...[...rooms.values()].map((r) => roomItem(r.name, r.name === here, r.joined ? r.people.size : null, r.unread, () => { show(r.name); drawer(null); })));
    const others = open.filter((o) => !rooms.has(o.room));
    $('others').replaceChildren(...others.map((o) => roomItem(o.room, false, o.people, 0, () => { enter(o.room); drawer(null); })));
    $('others-title').hidden = others.length === 0;
    $('another').disabled = rooms.size >= limits.rooms;
  };

  const showOpen = (list) => {
    open = Array.isArray(list) ? list : [];
    $('room-names').replaceChildren(...open.map((o) => { const opt = make('option'); opt.value = o.room; return opt; }));
    $('open-rooms').replaceChildren(...open.filter((o) => o.people > 0).slice(0, 6).map((o) => {
      const li = make('li');
      const b = make('button', '', `#${o.room} `);
      b.type = 'button';
      b.append(make('small', '', o.people === 1 ? '1 person' : `${o.people} people`));
      b.addEventListener('click', () => { $('room').value = o.room; $($('name').value ? 'join' : 'name').focus(); });
      li.append(b);
      return li;
    }));
    paintRooms();
  };

  const paintMe = () => {
    if (!me.name) return;
    $('my-name').textContent = me.name;
    $('my-mark').className = 'avatar ' + tint(me.id);
    $('my-mark').textContent = [...me.name][0].toUpperCase();
  };

  const show = (name) => {
    const was = current();
    if (was && was.name !== name) { was.divider = 0; was.draft = $('message').value; }
    const changed = here !== name;
    here = name;
    $('app').hidden = false;
    $('here').textContent = '#' + name;
    $('message').placeholder = `Write to #${name}`;
    if (changed) { $('message').value = current().draft; grow(); }
    remember();
    paintAll();
    paintPeople();
    paintMe();
    read(current());
    paintRooms();
  };

  let noticeTimer = 0;
  const notice = (text, ms) => {
    clearTimeout(noticeTimer);
    $('notice').textContent = text;
    $('notice').hidden = text === '';
    if (!$('entry').hidden) $('entry-error').textContent = text;
    if (ms) noticeTimer = setTimeout(() => notice(''), ms);
  };

  /* ---------- the form: first entry, another room, another name ---------- */

  let mode = 'first';

  const askEntry = (which, error, room) => {
    mode = which;
    const words = {
      first: ['Come in', 'Pick a name and a room. No account; the name is yours until you leave.', 'Join'],
      another: ['Another room', 'Open one that is there, or begin a new one.', 'Join'],
      rename: ['Your name', 'Everybody in your rooms will see the new one.', 'Change'],
    }[which];
    $('entry-title').textContent = words[0];
    $('entry').querySelector('.lead').textContent = words[1];
    $('join').textContent = words[2];
    $('entry').classList.toggle('over', which !== 'first');
    $('app').hidden = which === 'first';
    $('app').inert = true;
    $('entry').hidden = false;
    $('cancel').hidden = which === 'first';
    $('name').value = me.name;
    $('room').value = which === 'rename' ? here : room || (which === 'first' ? query.get('room') || 'lobby' : '');
    ['room', 'open-rooms'].forEach((id) => { $(id).hidden = which === 'rename'; });
    document.querySelector('label[for=room]').hidden = which === 'rename';
    const taken = /name/i.test(error);
    const asksName = which !== 'another' || taken;
    $('name').hidden = document.querySelector('label[for=name]').hidden = !asksName;
    $('entry-error').textContent = error;
    busy(false);
    $(asksName ? 'name' : 'room').focus();
  };

  const closeEntry = () => {
    $('entry').hidden = true;
    $('app').inert = false;
    $('app').hidden = false;
    busy(false);
    if (matchMedia('(pointer: fine)').matches) $('message').focus();
  };

  const busy = (is) => { $('join').disabled = is; };

  const submitEntry = (e) => {
    e.preventDefault();
    const name = $('name').value.trim().replace(/\s+/g, ' ');
    const room = roomName($('room').value);
    $('entry-error').textContent = '';
    if (!name) { $('entry-error').textContent = 'Please enter a name.'; $('name').focus(); return; }
    if (!room) { $('entry-error').textContent = 'Please enter a room.'; $('room').focus(); return; }
    if (mode === 'rename') {
      if (name === me.name) { closeEntry(); return; }
      rooms.forEach((r) => say({ type: 'rename', room: r.name, name }));
      busy(true);
      return;
    }
    const fresh = ![...rooms.values()].some((r) => r.joined);
    if (fresh) me.name = name;
    if (name !== me.name) me.name = name;
    busy(true);
    enter(room);
    if (sock === null) hurry();
  };

  /* ---------- writing ---------- */

  const grow = () => {
    const box = $('message');
    box.style.height = 'auto';
    box.style.height = Math.min(box.scrollHeight + 2, 180) + 'px';
  };

  const submitMessage = (e) => {
    e.preventDefault();
    const box = $('message');
    const text = box.value.trim();
    if (!text || here === null) return;
    if ([...text].length > limits.text) { notice(`A message has at most ${limits.text} characters.`, 6000); return; }
    if (outbox.length >= 50) { notice('Too many messages wait to be sent.', 6000); return; }
    box.value = '';
    grow();
    post(text);
    box.focus();
  };

  const drawer = (which) => {
    [['side', 'menu'], ['who', 'people-toggle']].forEach(([id, button]) => {
      const opened = which === id && !$(id).classList.contains('open');
      $(id).classList.toggle('open', opened);
      $(button).setAttribute('aria-expanded', String(opened));
    });
  };

  const wire = () => {
    $('entry-form').addEventListener('submit', submitEntry);
    $('compose').addEventListener('submit', submitMessage);
    $('message').addEventListener('input', grow);
    $('message').addEventListener('keydown', (e) => {
      if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) submitMessage(e);
    });
    ['name', 'room'].forEach((id) => $(id).addEventListener('focus', () => $(id).select()));
    $('cancel').addEventListener('click', closeEntry);
    $('leave').addEventListener('click', leave);
    $('another').addEventListener('click', () => { drawer(null); askEntry('another', '', ''); });
    $('rename').addEventListener('click', () => { drawer(null); askEntry('rename', '', ''); });
    $('retry').addEventListener('click', hurry);
    $('newest').addEventListener('click', toBottom);
    $('menu').addEventListener('click', () => drawer('side'));
    $('people-toggle').addEventListener('click', () => drawer('who'));
    $('scroll').addEventListener('scroll', () => { if (nearBottom()) $('newest').hidden = true; });
    $('veil').addEventListener('click', () => drawer(null));
    document.addEventListener('keydown', (e) => {
      if (e.key !== 'Escape') return;
      drawer(null);
      if (!$('entry').hidden && mode !== 'first') closeEntry();
    });
    document.addEventListener('visibilitychange', () => { if (!document.hidden) { read(current()); hurry(); } });
    window.addEventListener('online', hurry);
    new ResizeObserver(() => { if (!$('app').hidden && document.activeElement === $('message')) toBottom(); }).observe($('scroll'));
    setInterval(watch, 5000);
    setInterval(() => { if (!document.hidden) say({ type: 'rooms' }); }, 10000);
  };

  const start = async () => {
    wire();
    askEntry('first', '', '');
    (saved('rooms') || []).slice(0, limits.rooms).forEach((name) => rooms.set(String(name), makeRoom(String(name))));
    if (rooms.has(saved('here'))) entering = saved('here');
    if (entering && me.name) busy(true);
    try {
      address = chatURL();
      await loadClient();
    } catch (err) {
      setState('closed', 'Not connected');
      $('retry').hidden = true;
      notice(err.message);
      return;
    }
    connect();
  };

  start();
})();
