// Looks at the status page of a real pushline in headless Chromium: run.js PUSHLINE SCREENSHOTS DATA
// DATA is tests/data, with certificates.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const [binary, shots, data] = process.argv.slice(2);
mkdirSync(shots, { recursive: true });

const ARGUMENTS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const HOSTILE = '</script><img src=x onerror=alert(1)><b>"\'&amp;{{7*7}}';
const RTL = '\u202egnp.exe\u200b\u2028\u0007';

/** A pushline of the test's own, on a free port. */
async function start(environment = {}) {
  const child = spawn(binary, [], {
    env: { ...process.env, PUSHLINE_SERVER_LISTEN: '127.0.0.1:0', ...environment },
    // What 'ignore' opens cannot be told from a standard output that is closed.
    stdio: ['ignore', openSync('/dev/null', 'w'), 'pipe'],
  });
  const lines = createInterface({ input: child.stderr });
  const address = await new Promise((resolve, reject) => {
    child.on('exit', status => reject(new Error(`pushline ended with ${status}`)));
    lines.on('line', line => {
      const found = /msg=listening address=(\S+)/.exec(line);
      if (found) resolve(found[1]);
    });
  });
  const ended = new Promise(resolve => child.on('exit', resolve));
  const scheme = environment.PUSHLINE_SERVER_TLS_CERT ? 'https' : 'http';
  return { base: `${scheme}://${address}`, stop: () => { child.kill(); return ended; } };
}

/** Environment of a pushline whose certificate ends at that time. Its signature no longer holds, which only a client
 * looks at. */
function certified(end) {
  const end_of_data = '21200101000000Z', [cert, key] = [`${shots}/ending.pem`, `${data}/tls/server.key`];
  const pem = readFileSync(`${data}/tls/server.pem`, 'latin1');
  const der = Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64');
  const time = end.toISOString().replace(/[-:T]|\..*(?=Z)/g, '');
  der.write(time, der.lastIndexOf(end_of_data), 'latin1');
  writeFileSync(cert, `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`);
  return { PUSHLINE_SERVER_TLS_CERT: cert, PUSHLINE_SERVER_TLS_KEY: key };
}

/** A store on loopback whose answer to each write is what `mood` says at that moment: [status, words], or nothing. */
async function store(mood) {
  const self = { mood };
  const server = createHttpServer((request, response) => {
    request.resume().on('end', () => {
      if (!self.mood) return;
      const [status, words] = self.mood;
      response.writeHead(status, { 'Content-Type': 'application/json' });
      response.end(words);
    });
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  self.target = `http://127.0.0.1:${server.address().port}/write?db=metrics`;
  self.stop = () => { server.closeAllConnections(); server.close(); };
  return self;
}

const TAKES = [204, ''];
const REFUSES = [401, '{"error":"authorization failed"}'];
const AWAY = [503, '{"error":"the store is being restored"}'];

/** Environment of a pushline that writes there. */
const to = (target, more = {}) => ({ PUSHLINE_OUTPUT_TARGET: target, PUSHLINE_OUTPUT_HTTP_GZIP: 'false',
  PUSHLINE_OUTPUT_ACK_TIMEOUT: '2s', PUSHLINE_SPOOL_AFTER: '50ms', ...more });
const folder = () => mkdtempSync(join(tmpdir(), 'pushline-page-'));

const path = labels => '/metrics/' + Object.entries(labels)
  .map(([name, value]) => `${encodeURIComponent(name)}/${encodeURIComponent(value)}`).join('/');

const push = (server, labels, body, headers = {}) =>
  fetch(server.base + path(labels), { method: 'POST', body, headers });

/** Opens the page and notes whatever it must not do. */
async function open(browser, server, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1120, height: 800 }, ...options });
  const page = await context.newPage();
  const faults = [];
  page.on('dialog', dialog => { faults.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('pageerror', error => faults.push(`an error: ${error.stack}`));
  page.on('console', message => {
    // The browser tells there of a refused connection and of a 400, which tests are about.
    if (!/net::ERR_|status of 400/.test(message.text())) faults.push(`the console: ${message.text()}`);
  });
  page.on('request', request => {
    const is_own = request.url().startsWith(server.base + '/') || request.url().startsWith('data:');
    if (!is_own) faults.push(`a request: ${request.url()}`);
  });
  await page.goto(server.base + '/');
  const close = async () => {
    await page.unrouteAll({ behavior: 'wait' });
    await context.close();
    assert.deepEqual(faults, []);
  };
  return { page, close };
}

const state = (page, word) => page.locator('h1', { hasText: word }).waitFor();
const row = (page, text) => page.locator('#groups .rows > li', { hasText: text });
const shot = (page, name) => page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });

/** The facts of the banner, by their names. */
const facts = async page => Object.fromEntries(await page.locator('#facts > div').evaluateAll(nodes =>
  nodes.map(node => [...node.children].map(part => part.textContent))));

/** Every text that is seen and is not plain enough against what is behind it (WCAG 2.2, 1.4.3), as computed. */
const faint = page => page.evaluate(() => {
  const channels = text => {
    const numbers = text.match(/-?[\d.]+(?:e-?\d+)?/g).map(Number);
    const scale = text.startsWith('color(') ? 1 : 255;
    return [...numbers.slice(0, 3).map(number => number / scale), numbers[3] ?? 1];
  };
  const over = (front, back) => [0, 1, 2].map(at => front[at] * front[3] + back[at] * (1 - front[3])).concat(1);
  const behind = node => {
    const layers = [];
    for (let one = node; one; one = one.parentElement) layers.push(channels(getComputedStyle(one).backgroundColor));
    const sheet = channels(matchMedia('(prefers-color-scheme: dark)').matches ? 'rgb(18, 18, 18)' : 'rgb(255, 255, 255)');
    return layers.reduceRight((back, front) => over(front, back), sheet);
  };
  const light = color => {
    const [r, g, b] = color.map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const found = [], seen = new Set();
  let lowest = Infinity;
  const check = (node, color, wanted, what) => {
    const back = behind(node), measured = ratio(over(channels(color), back), back);
    lowest = Math.min(lowest, measured / wanted);
    if (measured < wanted) found.push(`${what}: ${measured.toFixed(2)}, ${wanted} is wanted`);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const node = text.parentElement;
    if (!text.textContent.trim() || seen.has(node) || !node.checkVisibility() || node.closest('script, style')) continue;
    seen.add(node);
    const { color, fontSize, fontWeight } = getComputedStyle(node);
    const isLarge = parseFloat(fontSize) >= 24 || (parseFloat(fontSize) >= 18.66 && Number(fontWeight) >= 700);
    check(node, color, isLarge ? 3 : 4.5, `${node.tagName} ${text.textContent.trim().slice(0, 30)}`);
  }
  for (const node of document.querySelectorAll('input, textarea')) {
    if (node.placeholder) check(node, getComputedStyle(node, '::placeholder').color, 4.5, node.placeholder);
  }
  // What tells something without words (1.4.11).
  for (const node of document.querySelectorAll('.strip .is-good, .strip .is-bad, .course polyline')) {
    const style = getComputedStyle(node);
    if (node.checkVisibility()) check(node.closest('svg'), node.matches('polyline') ? style.stroke : style.fill, 3, node.outerHTML);
  }
  return { found, lowest, texts: seen.size };
});

/** Light and dark, wide and narrow: nothing faint, nothing cut; a picture of each. */
async function look(page, name) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    const { found, texts } = await faint(page);
    assert.deepEqual(found, [], `${name}, ${colorScheme}`);
    assert.ok(texts > 30, `${texts} texts`);
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 800 });
      await hasNoSidewaysScroll(page);
      await shot(page, `${name}-${colorScheme}-${width}`);
    }
  }
}

async function hasNoSidewaysScroll(page) {
  const [content, view] = await page.evaluate(() => [
    document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(content <= view, `${content} px wide in ${view} px`);
  // A number that wraps, or runs out of its cell, cannot be read.
  const wide = await page.locator('.figure, .number, .tiles section, #state, #notices, .labels').evaluateAll(nodes => nodes
    .filter(node => node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).display !== 'inline')
    .map(node => node.textContent));
  assert.deepEqual(wide, []);
}

const tests = {
  async 'an empty page shows how to push'(browser) {
    const server = await start();
    const { page, close } = await open(browser, server);
    await state(page, 'Healthy');
    const command = await page.locator('#example').innerText();
    assert.ok(command.includes(`${server.base}/metrics/job/`), command);
    await shot(page, 'empty-light');
    await close();
    await server.stop();
  },

  async 'a push is on the page within two seconds of its 200'(browser) {
    const server = await start();
    const { page, close } = await open(browser, server);
    await state(page, 'Healthy');
    const taken = [];
    // A busy machine may be late now and then, but not each time.
    while (!taken.some(ms => ms <= 2000) && taken.length < 5) {
      const instance = `host-${taken.length}`;
      const answer = await push(server, { job: 'backup', instance }, 'a_b 1\nc_d 2\n');
      const from = performance.now();
      assert.equal(answer.status, 200);
      await row(page, instance).waitFor();
      taken.push(performance.now() - from);
      const text = (await row(page, instance).innerText()).replace(/\s+/g, ' ');
      assert.match(text, /^backup instance=host-\d (now|\d+ s ago) 1 2 2$/);
    }
    console.log(`seen after ${taken.map(Math.round).join(', ')} ms`);
    assert.ok(taken.some(ms => ms <= 2000));
    await close();
    await server.stop();
  },

  async 'an error stands out with its text until the group pushes again'(browser) {
    const server = await start();
    const { page, close } = await open(browser, server);
    const labels = { job: 'nightly' };
    assert.equal((await push(server, labels, 'a_b{x="y} 1\n')).status, 400);
    const error = page.locator('#attention .why');
    await error.waitFor();
    assert.match(await error.innerText(), /^400 line 1, column 7: the quote .*1 refused so far$/);
    assert.ok((await row(page, 'nightly').innerText()).includes('none yet'));
    await page.locator('#notices', { hasText: 'The last push of 1 group was refused.' }).waitFor();
    assert.equal((await fetch(server.base + '/metrix/job/x', { method: 'PUT' })).status, 404);
    await page.locator('#notices', { hasText: '/metrix/job/x' }).waitFor();
    await push(server, labels, 'a_b 1\n');
    await page.locator('#others .row', { hasText: 'nightly' }).waitFor();
    assert.equal(await page.locator('#attention').isVisible(), false);
    await page.locator('.row').click();
    await page.locator('.detail', { hasText: 'mended since' }).waitFor();
    await close();
    await server.stop();
  },

  async 'a group tells its last lines, a command to copy, and what a try would write'(browser) {
    const server = await start({ ENV_INPUT_PUSHGATEWAY_ROUTE_PREFIX: '/edge' });
    const { page, close } = await open(browser, server);
    const labels = { job: "it's", path: 'a/b', empty: '' };
    assert.equal((await fetch(server.base + '/edge' + path(labels), { method: 'PUT', body: 'a_b 1\n' })).status, 200);
    const button = page.locator('.row');
    await button.focus();
    await page.keyboard.press('Enter');
    assert.equal(await button.getAttribute('aria-expanded'), 'true');
    const detail = page.locator('.detail');
    await detail.locator('pre', { hasText: 'a,job=it\'s,path=a/b b=1 ' }).waitFor();
    const command = await detail.locator('pre', { hasText: 'curl' }).innerText();
    const { status } = spawnSync('sh', ['-c', command.replace('curl ', 'curl -sSf ')]);
    assert.equal(status, 0, command);
    await button.locator('.number').first().filter({ hasText: '2' }).waitFor();
    const box = detail.locator('textarea'), result = detail.locator('pre[aria-live]');
    await box.fill('x_y{zone="a"} 4\n');
    await detail.getByRole('button', { name: 'Try it' }).click();
    await result.filter({ hasText: 'x,job=it\'s,path=a/b,zone=a y=4 ' }).waitFor();
    await box.fill('good 1\nx_y{zone="a} 4\n');
    await detail.getByRole('button', { name: 'Try it' }).click();
    await result.filter({ hasText: '400 line 2, column' }).waitFor();
    const [words, line, caret] = (await result.innerText()).split('\n');
    assert.equal(line, 'x_y{zone="a} 4');
    assert.equal(caret.indexOf('^') + 1, Number(/column (\d+)/.exec(words)[1]));
    const report = await (await fetch(server.base + '/api/v1/status')).json();
    assert.deepEqual([report.pushes, report.pushes_refused], [2, 0], 'a try counts as no push');
    await shot(page, 'detail-light');
    await page.keyboard.press('Escape');
    await button.click();
    assert.equal(await detail.count(), 0);
    await close();
    await server.stop();
  },

  async 'rows keep their place, and are searched, sorted and held still'(browser) {
    const server = await start();
    const { page, close } = await open(browser, server);
    for (const instance of ['c', 'a', 'b']) await push(server, { job: 'j', instance }, 'a_b 1\n');
    const names = async () => (await page.locator('.row:visible .labels').allInnerTexts())
      .map(text => text.trim().slice(-1));
    await row(page, 'instance=b').waitFor();
    assert.deepEqual(await names(), ['a', 'b', 'c']);
    await push(server, { job: 'j', instance: 'c' }, 'a_b 1\n');
    await row(page, 'instance=c').locator('.number').first().filter({ hasText: '2' }).waitFor();
    assert.deepEqual(await names(), ['a', 'b', 'c'], 'a push moves nothing');
    await page.locator('#sort').selectOption('pushes');
    assert.deepEqual(await names(), ['c', 'a', 'b']);
    await page.locator('#search').fill('instance=b');
    assert.deepEqual(await names(), ['b']);
    assert.equal(await page.locator('#groups-note').innerText(), '1 of 3 match');
    await page.locator('#search').fill('');
    await page.getByRole('button', { name: 'Pause' }).click();
    await push(server, { job: 'j', instance: 'd' }, 'a_b 1\n');
    let count = 0;
    page.on('request', () => { count += 1; });
    const other = await open(browser, server);
    await row(other.page, 'instance=d').waitFor();
    assert.deepEqual([(await names()).length, count], [3, 0]);
    await page.getByRole('button', { name: 'Paused' }).click();
    await row(page, 'instance=d').waitFor();
    await other.close();
    await close();
    await server.stop();
  },

  async 'a group that has missed its interval by far is late, and stands first'(browser) {
    const server = await start();
    const { page, close } = await open(browser, server);
    await push(server, { job: 'a-nightly' }, 'a_b 1\n');
    await push(server, { job: 'z-nightly' }, 'a_b 1\n');
    const hour = 3600000;
    await alter(page, report => {
      const late = report.groups.find(group => group.labels.job === 'z-nightly');
      Object.assign(late, { interval_ms: 24 * hour, late_ms: 26 * hour, last_push_ms: report.now_ms - 50 * hour });
      return report;
    });
    const text = await page.locator('#attention .row').innerText();
    assert.match(text.replace(/\s+/g, ' '), /^z-nightly 2 d ago late by 26 h, every 24 h 1 1 1$/);
    await page.locator('#notices', { hasText: '1 group is late.' }).waitFor();
    await close();
    await server.stop();
  },

  async 'hostile labels are text and nothing else'(browser) {
    const server = await start();
    const { page, close } = await open(browser, server);
    const labels = { job: HOSTILE, evil: RTL, empty: '', long: 'W'.repeat(10000) };
    for (const body of ['a_b 1\n', `a_b ${HOSTILE}\n`]) await push(server, labels, body);
    await push(server, Object.fromEntries([['job', 'many'],
      ...Array.from({ length: 300 }, (_, index) => [`label_${index}`, 'x'])]), 'a_b 1\n');
    const box = row(page, HOSTILE);
    await box.waitFor();
    const text = await box.innerText();
    for (const part of [HOSTILE, '\\u202egnp.exe\\u200b\\u2028\\u0007', 'empty=""', 'W\u2026']) {
      assert.ok(text.includes(part), `${part} is not in ${text}`);
    }
    assert.ok((await row(page, 'many').innerText()).includes('more'));
    assert.equal(await page.locator('#groups img, #groups script').count(), 0);
    for (const width of [1120, 850, 750, 360]) {
      await page.setViewportSize({ width, height: 800 });
      await hasNoSidewaysScroll(page);
      await shot(page, `hostile-${width}`);
    }
    await close();
    await server.stop();
  },

  async 'the policy of the page forbids what is not its own'(browser) {
    const server = await start();
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(server.base + '/');
    const [refused, hacked] = await page.evaluate(() => new Promise(resolve => {
      const found = new Set();
      document.addEventListener('securitypolicyviolation', event => {
        found.add(event.effectiveDirective);
        if (found.size === 5) resolve([[...found].sort(), window.hacked]);
      });
      document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.hacked = 1">');
      document.body.insertAdjacentHTML('beforeend', '<p style="color: red">');
      const script = document.createElement('script');
      script.textContent = 'window.hacked = 2';
      document.body.append(script);
      fetch('http://127.0.0.2:9/').catch(() => {});
    }));
    assert.deepEqual(refused,
      ['connect-src', 'img-src', 'script-src-attr', 'script-src-elem', 'style-src-attr']);
    assert.equal(hacked, undefined);
    await context.close();
    await server.stop();
  },

  async 'an output that takes nothing is told with its name'(browser) {
    // Nobody listens on a port of 127.0.0.2 that nothing has bound.
    const server = await start({ PUSHLINE_OUTPUT_TARGET: 'tcp://127.0.0.2:9',
      PUSHLINE_OUTPUT_ACK_TIMEOUT: '100ms' });
    const { page, close } = await open(browser, server);
    assert.equal((await push(server, { job: 'backup' }, 'a_b 1\n')).status, 503);
    await state(page, 'Stalled');
    assert.match(await page.locator('#reason').innerText(),
      /^tcp:\/\/127.0.0.2:9 has taken nothing for \d+ s \(Connection refused .*\)\. Pushes are answered 503\.$/);
    await row(page, '503').waitFor();
    await shot(page, 'stalled-light');
    await page.emulateMedia({ colorScheme: 'dark' });
    await shot(page, 'stalled-dark');
    await close();
    await server.stop();
  },

  async 'a store that needs its operator is told with its words and the next try'(browser) {
    const far = await store(REFUSES);
    const server = await start(to(far.target));
    const { page, close } = await open(browser, server);
    assert.equal((await push(server, { job: 'backup' }, 'a_b 1\n')).status, 503);
    await state(page, 'Output misconfigured');
    await row(page, '503').waitFor();
    const reason = page.locator('#reason', { hasText: 'authorization failed' });
    assert.match(await reason.innerText(), /^http:\S+ needs a change of configuration: 401 [^,]*\. Pushes are answered 503\.$/);
    const told = await facts(page);
    assert.match(told.Since, /\d\d:\d\d.*, (now|\d+ s ago)$/);
    assert.match(told['Next try'], /^(now|in \d+ (s|min))$/);
    await look(page, 'misconfigured');
    far.mood = TAKES;
    await state(page, 'Healthy');
    assert.deepEqual(await facts(page), {}, 'nothing of it is left');
    await close();
    await server.stop();
    far.stop();
  },

  async 'a spool tells since when, how much, how long it lasts, and when it is full'(browser) {
    const far = await store(AWAY);
    const server = await start(to(far.target, { PUSHLINE_SPOOL_DIR: folder(), PUSHLINE_SPOOL_MAX_BYTES: '1MiB' }));
    const { page, close } = await open(browser, server);
    await busy(server);
    await state(page, 'Spooling to disk');
    await page.locator('#waiting-name', { hasText: 'On disk' }).waitFor();
    await page.locator('#reason', { hasText: '302 lines wait on disk until http' }).waitFor();
    // It is told as soon as the oldest line has waited for ten seconds.
    await page.locator('#facts', { hasText: 'Room for' }).waitFor();
    const told = await facts(page);
    assert.match(told['Last error'], /^503 .*being restored/);
    assert.ok(told.Since && told['Next try'] && told['Room for'], JSON.stringify(told));
    await look(page, 'spooling');
    // A large push that has no room does not make it full: smaller and smaller ones do.
    for (const size of [2000, 100, 1]) {
      const body = Array.from({ length: size }, (_, at) => `fill_${at} ${at}\n`).join('');
      while ((await push(server, { job: 'fill' }, body)).status === 200);
    }
    await state(page, 'Spool full');
    assert.match(await page.locator('#reason').innerText(), /^The spool is full \(1048576 bytes, spool\.max_bytes\)\. Pushes are answered 503\.$/);
    assert.ok((await facts(page)).Since);
    await look(page, 'spool-full');
    far.mood = TAKES;
    await state(page, 'Healthy');
    await close();
    await server.stop();
    far.stop();
  },

  async 'lines that a store refuses are shown with the reason'(browser) {
    const far = await store([400, '{"error":"partial write: field type conflict: input field \\"b\\" is type float dropped=1"}']);
    const server = await start(to(far.target));
    const { page, close } = await open(browser, server);
    assert.equal((await push(server, { job: 'etl', evil: HOSTILE }, 'a_b 1\n')).status, 422);
    await row(page, 'etl').waitFor();
    far.mood = TAKES;
    await push(server, { job: 'backup' }, 'a_b 1\n');
    await state(page, 'Healthy');
    const box = page.locator('#rejected');
    await box.locator('code', { hasText: `a,evil=` }).waitFor();
    assert.match(await box.locator('li').innerText(), /^400 .*field type conflict.*(now|ago)\s+a,evil=/s);
    await page.locator('#notices', { hasText: 'The output has refused 1 line for good.' }).waitFor();
    assert.ok(await page.locator('#covers').isVisible(), 'what Healthy covers is said');
    await look(page, 'refused-lines');
    await close();
    await server.stop();
    far.stop();
  },

  async 'a certificate that ends within 30 days is told on the first screen'(browser) {
    const day = 86400000, in_days = (count, more = 600000) => Date.now() + count * day + more;
    const server = await start(certified(new Date(in_days(12))));
    const { page, close } = await open(browser, server, { ignoreHTTPSErrors: true });
    const notices = page.locator('#notices');
    await notices.locator('li', { hasText: /^A certificate in server\.tls\.cert ends in 12 days, on \w+ \d+, \d+\.$/ }).waitFor();
    const bottom = await notices.evaluate(node => node.getBoundingClientRect().bottom);
    assert.ok(bottom < 400, `${bottom} px below the top`);
    await state(page, 'Healthy');
    for (const [end, words, isBad] of [
      [in_days(29), 'ends in 29 days', false],
      [in_days(6), 'ends in 6 days', true],
      [in_days(1), 'ends in 24 h', true],
      [in_days(0, 90 * 60000), 'ends in 1 h', true],
      [in_days(-3), /has ended on \w+ \d+, \d+: clients refuse it\.$/, true],
    ]) {
      await page.unrouteAll({ behavior: 'wait' });
      await alter(page, report => { report.server.certificate_end_ms = end; return report; });
      await notices.locator(isBad ? '.is-bad' : 'li:not(.is-bad)', { hasText: words }).waitFor();
      assert.equal(await page.locator('#covers').isVisible(), isBad, 'what Healthy covers is said');
      if (words === 'ends in 6 days') await look(page, 'certificate');
    }
    await page.unrouteAll({ behavior: 'wait' });
    await alter(page, report => { report.server.certificate_end_ms = in_days(30); return report; });
    await notices.locator('li').waitFor({ state: 'detached' });
    await close();
    await server.stop();
  },

  async 'a reader that closes at a line is told while it is searched'(browser) {
    let isPatient = false;
    const far = createTcpServer(socket => {
      socket.on('error', () => {});
      socket.on('data', bytes => { if (!isPatient) socket.destroy(); });
    });
    await new Promise(resolve => far.listen(0, '127.0.0.1', resolve));
    const server = await start(to(`tcp://127.0.0.1:${far.address().port}`, { PUSHLINE_OUTPUT_ACK_TIMEOUT: '30s' }));
    const { page, close } = await open(browser, server);
    const pushed = Promise.allSettled(Array.from({ length: 60 }, (_, at) =>
      push(server, { job: 'poison', instance: String(at) }, 'a_b 1\n')));
    await state(page, 'Reader refuses a line');
    assert.match(await page.locator('#reason').innerText(), /^tcp:\S+: .*pushes are offered one by one/);
    assert.ok((await facts(page)).Since);
    await look(page, 'reader-refuses');
    isPatient = true;
    await state(page, 'Healthy');
    await pushed;
    await close();
    await server.stop();
    far.close();
  },

  async 'an output that is slow is told before it stalls'(browser) {
    const far = await store(null);
    const server = await start(to(far.target, { PUSHLINE_OUTPUT_ACK_TIMEOUT: '20s' }));
    const { page, close } = await open(browser, server);
    const pushed = push(server, { job: 'backup' }, 'a_b 1\n').catch(() => {});
    await state(page, 'Output slow');
    assert.match(await page.locator('#reason').innerText(), /has taken nothing for \d+ s\. Pushes wait for it\.$/);
    assert.match((await facts(page)).Since, /(now|ago)$/);
    far.mood = TAKES;
    far.stop();
    await close();
    await server.stop();
    await pushed;
  },

  async 'the states that end a process have words of their own'(browser) {
    const server = await start();
    const { page, close } = await open(browser, server);
    for (const [name, word] of [['shutting_down', 'Shutting down'], ['output_ended', 'Output ended']]) {
      await page.unrouteAll({ behavior: 'wait' });
      await alter(page, report => ({ ...report, state: name }));
      await state(page, word);
    }
    await close();
    await server.stop();
  },

  async 'a server that is gone or going is told plainly'(browser) {
    const server = await start();
    const { page, close } = await open(browser, server);
    await push(server, { job: 'backup' }, 'a_b 1\n');
    await row(page, 'backup').waitFor();
    await alter(page, report => ({ ...report, state: 'shutting_down' }));
    await state(page, 'Shutting down');
    await server.stop();
    await state(page, 'No answer');
    const reason = await page.locator('#reason').innerText();
    assert.match(reason, / does not answer\. What is shown below is from \d+ s ago\. It was shutting down\.$/);
    await row(page, 'backup').waitFor();
    await shot(page, 'gone-light');
    await close();
  },

  async 'a browser that was asked for credentials gives them for the report too'(browser) {
    const file = `${shots}/credentials`;
    writeFileSync(file, 'basic operator:at night\n', { mode: 0o600 });
    const server = await start({ PUSHLINE_SERVER_AUTH_FILE: file });
    const httpCredentials = { username: 'operator', password: 'at night' };
    const { page, close } = await open(browser, server, { httpCredentials });
    await state(page, 'Healthy');
    await close();
    await server.stop();
  },

  async 'a hidden page asks nothing until it is seen again'(browser) {
    const server = await start();
    const [one, other] = [await open(browser, server), await open(browser, server)];
    const asked = page => page.waitForRequest('**/api/v1/status');
    await asked(one.page);
    const hide = hidden => one.page.evaluate(value => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => value });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
    await hide(true);
    let count = 0;
    one.page.on('request', () => { count += 1; });
    for (let times = 0; times < 4; times += 1) await asked(other.page);
    assert.equal(count, 0);
    await Promise.all([asked(one.page), hide(false)]);
    await one.close();
    await other.close();
    await server.stop();
  },

  async 'light, dark, wide and narrow show the same'(browser) {
    const server = await start();
    await busy(server);
    for (const colorScheme of ['light', 'dark']) {
      const { page, close } = await open(browser, server, { colorScheme, deviceScaleFactor: 1 });
      await alter(page, lived);
      await page.clock.install();
      await page.reload();
      for (let seconds = 0; seconds < 62; seconds += 1) {
        await Promise.all([page.waitForResponse('**/status'), page.clock.runFor(1000)]);
      }
      const { found } = await faint(page);
      assert.deepEqual(found, [], colorScheme);
      for (const [width, height] of [[1280, 800], [850, 800], [390, 740], [360, 740]]) {
        await page.setViewportSize({ width, height });
        await hasNoSidewaysScroll(page);
        await shot(page, `${colorScheme}-${width}`);
      }
      const colors = await page.evaluate(() => {
        const { color, backgroundColor } = getComputedStyle(document.body);
        return [color, backgroundColor].map(text => Number(/\d+/.exec(text)[0]));
      });
      assert.equal(colors[0] > colors[1], colorScheme === 'dark', `${colors}`);
      await page.setViewportSize({ width: 1120, height: 800 });
      for (const details of await page.locator('summary').all()) await details.click();
      await hasNoSidewaysScroll(page);
      await shot(page, `${colorScheme}-open`);
      await close();
    }
    await server.stop();
  },
};

/** A morning of an edge host. */
async function busy(server) {
  const text = count => Array.from({ length: count }, (_, index) => `m_${index} ${index}\n`).join('');
  await push(server, { job: 'certificates', instance: 'edge-02' }, text(3));
  await push(server, { job: 'nightly-export', instance: 'erp1', tenant: 'north' }, text(12));
  await push(server, { job: 'etl', stage: 'load', instance: 'etl-1', zone: 'eu-central-1' }, text(210),
    { 'Content-Type': 'application/openmetrics-text' });
  await push(server, { job: 'nightly-export', instance: 'erp2', tenant: 'south' }, 'export_rows{table="a} 1\n');
  await push(server, { job: 'backup', instance: 'db2' }, 'backup_ok{disk="sda} 1\n');
  await push(server, { job: 'backup', instance: 'db2' }, text(18));
  await push(server, { job: 'backup', instance: 'db1' }, text(18));
  await push(server, { job: 'node', node: 'n1', namespace: 'default', pod: 'pusher-7d4f9c' }, text(41));
}

/** Lets the page have other reports than the server gives. */
const alter = (page, change) => page.route('**/api/v1/status', async route => {
  try {
    const response = await route.fetch();
    await route.fulfill({ response, json: change(await response.json()) });
  } catch {
    // The server or the page is gone: the page sees a request that failed.
    await route.abort().catch(() => {});
  }
});

/** The report of a server that has run for days, as the screenshots show it. */
function lived(report) {
  lived.seconds = (lived.seconds ?? 0) + 1;
  const now_ms = report.now_ms - 1e6 + lived.seconds * 1000, minute = 60000, hour = 60 * minute;
  const ages = [2200, 9 * 1000, 42 * 1000, 50 * 1000, 4 * minute, 26 * minute, 7 * hour, 31 * hour];
  const pushes = [21843, 1312, 1290, 0, 5410, 96, 48, 6];
  report.now_ms = now_ms;
  report.uptime_ms = 9 * 24 * hour;
  report.start_ms = 1;
  report.groups.forEach((group, index) => {
    const factor = pushes[index] || 1;
    if (group.last_push_ms !== null) {
      group.first_push_ms = now_ms - report.uptime_ms / (1 + index / 3);
      group.last_push_ms = now_ms - ages[index];
    }
    for (const key of ['pushes', 'samples', 'lines']) group[key] *= factor;
    if (group.last_error) group.last_error.time_ms = now_ms - (index === 2 ? 5 * hour : ages[index]);
  });
  const course = (size, phase) => Array.from({ length: 60 }, (_, index) =>
    index < 8 ? null : Math.round(size * (1.3 + Math.sin(index / 5 + phase) + 0.3 * Math.sin(index * 2.1))));
  Object.assign(report, {
    history: { step_ms: 10000, pushes: course(24, 0), refused: course(1, 2).map(n => n && n % 2), lines: course(4200, 1),
      spool_lines: course(0, 0) },
    per_second: { pushes: { '1s': 2, '1min': 2.31, '10min': 2.24 }, refused: { '1s': 0, '1min': 0.017, '10min': 0.05 },
      lines: { '1s': 431, '1min': 420.5, '10min': 1417 } },
  });
  lived.start ??= now_ms;
  report.groups.forEach((group, index) => {
    const every = [4100, 15000, 30000, 60000, 2 * minute, 15 * minute, hour, 24 * hour][index];
    group.interval_ms = every;
    group.recent = Array.from({ length: 24 - index }, (_, at) =>
      [lived.start - ages[index] - (23 - index - at) * every, group.is_failing || at % 17 === 7 ? 400 : 200]);
    group.late_ms = index === 6 ? 6 * hour : null;
    group.pushes_refused = group.is_failing ? 1207 : 11 - index;
  });
  const wave = Math.round(420 + 200 * Math.sin(lived.seconds / 7) + 90 * Math.sin(lived.seconds * 2));
  lived.lines = (lived.lines ?? 2184000) + wave;
  const sum = key => report.groups.reduce((total, group) => total + group[key], 0);
  Object.assign(report, { pushes: sum('pushes') + Math.round(lived.seconds * 2.3),
    pushes_refused: sum('pushes_refused'), samples: lived.lines });
  Object.assign(report.output, { lines: lived.lines, bytes: lived.lines * 87 });
  Object.assign(report.server, { connections: 14, connections_accepted: 22310, workers_busy: 1 });
  return report;
}

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ARGUMENTS });
let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  try {
    await test(browser);
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${error.stack}`);
  }
}
await browser.close();
console.log(`${Object.keys(tests).length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
