/*
 * The elements of the chat's lists. What others wrote becomes text, never
 * markup: nothing here or in chat.js parses HTML.
 */
(() => {
  'use strict';

  const GROUP = 5 * 60 * 1000;    // ms between messages of one person under one name

  const make = (tag, className, text) => {
    const el = document.createElement(tag);
    if (className) el.className = className;
    if (text !== undefined) el.textContent = text;
    return el;
  };

  // A person's colour follows from their id, unless somebody on this page has it already.
  const TINTS = 8;
  const tints = new Map();
  const tint = (id) => {
    if (!tints.has(id)) {
      const first = parseInt(String(id).slice(0, 4), 16) || 0;
      const used = Array(TINTS).fill(0);
      tints.forEach((t) => { used[t]++; });
      let best = first % TINTS;
      for (let i = 1; i < TINTS; i++) if (used[(first + i) % TINTS] < used[best]) best = (first + i) % TINTS;
      if (tints.size >= 1000) tints.delete(tints.keys().next().value);
      tints.set(id, best);
    }
    return 'tint-' + tints.get(id);
  };
  const avatar = (id, name) => { const a = make('span', 'avatar ' + tint(id), [...name][0].toUpperCase()); a.setAttribute('aria-hidden', 'true'); return a; };
  const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  const sameDay = (a, b) => new Date(a).toDateString() === new Date(b).toDateString();
  const dayName = (ms) => {
    if (sameDay(ms, Date.now())) return 'Today';
    if (sameDay(ms, Date.now() - 86400000)) return 'Yesterday';
    return new Date(ms).toLocaleDateString([], { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
  };

  // Links are made of the text itself, and only http and https ones.
  const linked = (el, text) => {
    let from = 0;
    for (const found of text.matchAll(/https?:\/\/[^\s<>"']+/g)) {
      const address = found[0].replace(/[.,;:!?)\]]+$/, '');
      if (!URL.canParse(address)) continue;
      el.append(text.slice(from, found.index));
      const a = make('a', '', address);
      a.href = address;
      a.target = '_blank';
      a.rel = 'noopener noreferrer nofollow';
      el.append(a);
      from = found.index + address.length;
    }
    el.append(text.slice(from));
  };

  const timeTag = (ms) => {
    const t = make('time', '', clock(ms));
    t.dateTime = new Date(ms).toISOString();
    t.title = new Date(ms).toLocaleString();
    return t;
  };

  const messageItem = (m, before, myID) => {
    if (m.system) {
      const li = make('li', 'system');
      li.append(make('span', '', m.text), ' ', timeTag(m.time));
      return li;
    }
    const mine = m.from === myID;
    const follows = before && !before.system && before.from === m.from && before.name === m.name && m.time - before.time < GROUP && sameDay(before.time, m.time);
    const li = make('li', `said ${mine ? 'mine' : 'theirs'}${follows ? ' follows' : ''} ${tint(m.from)}`);
    if (m.id) li.dataset.id = m.id;
    li.dataset.from = m.from;
    if (!mine) li.append(avatar(m.from, m.name));
    const body = make('div', 'body');
    const head = make('p', 'head');
    head.append(make('b', 'name', m.name), ' ');
    if (m.time) head.append(timeTag(m.time));
    if (follows) head.classList.add('hush');
    const text = make('p', 'text');
    text.dir = 'auto';
    linked(text, m.text);
    body.append(head, text);
    li.append(body);
    return li;
  };

  const pendingItem = (p, sendAgain) => {
    const li = make('li', 'said mine pending' + (p.failed ? ' failed' : ''));
    const body = make('div', 'body');
    const text = make('p', 'text', p.text);
    text.dir = 'auto';
    body.append(text);
    if (p.failed) {
      const again = make('button', 'quiet', 'Not sent. Send again');
      again.type = 'button';
      again.addEventListener('click', sendAgain);
      body.append(again);
    } else {
      body.append(make('p', 'hush', 'Being sent'));
    }
    li.append(body);
    return li;
  };

  const personItem = (p, isMe) => {
    const li = make('li');
    li.dataset.name = p.name;
    const name = make('span', 'name', p.name);
    li.append(avatar(p.id, p.name), name);
    if (isMe) li.append(make('small', '', 'you'));
    return li;
  };

  const roomItem = (name, isHere, count, unread, onclick) => {
    const li = make('li');
    const b = make('button', isHere ? 'here' : '');
    b.type = 'button';
    if (isHere) b.setAttribute('aria-current', 'true');
    b.append(make('span', 'hash', '#'), make('span', 'label', name));
    if (unread) { const u = make('b', 'badge', unread > 99 ? '99+' : unread); u.append(make('span', 'hush', ' unread')); b.append(u); }
    else if (count !== null) { const c = make('small', '', count); c.append(make('span', 'hush', count === 1 ? ' person' : ' people')); b.append(c); }
    b.addEventListener('click', onclick);
    li.dataset.room = name;
    li.append(b);
    return li;
  };

  window.ChatItems = { make, tint, sameDay, dayName, messageItem, pendingItem, personItem, roomItem };
})();
