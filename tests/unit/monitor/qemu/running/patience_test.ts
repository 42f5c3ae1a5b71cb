/** How long a monitor is waited for, by a clock and accounts that the test makes up. */
import assert from "node:assert/strict";
import { Patience } from "../../../../../lib/monitor/qemu/running/patience.ts";
import type { ProcessorTime } from "../../../../../lib/monitor/qemu/running/guest_time.ts";

/** Accounts at a time. */
type Accounts = (now: number) => ProcessorTime | undefined;

class Clock {
  now = 5000;
  readonly patience: Patience;

  constructor(accounts: Accounts) {
    this.patience = new Patience(() => accounts(this.now), () => this.now);
  }

  /** Awaits an answer, and returns how long it was waited for. */
  wait(milliseconds = Infinity): number {
    const began = this.now;
    this.patience.begin();
    for (;;) {
      const left = this.patience.left();
      if (left <= 0) return this.now - began;
      if (this.now + left - began > milliseconds) {
        this.now = began + milliseconds;
        return milliseconds;
      }
      this.now += left;
    }
  }
}

const STARTED = 5000;
const idle: Accounts = () => ({ ran: 7, waited: 3, wantsOne: false });
const starving: Accounts = () => ({ ran: 7, waited: 3, wantsOne: true });

const cases: { name: string; accounts: Accounts; waits: number }[] = [
  { name: "does nothing", accounts: idle, waits: 1000 },
  { name: "keeps no accounts", accounts: () => undefined, waits: 1000 },
  {
    name: "runs",
    accounts: (now) => ({ ran: now, waited: 3, wantsOne: true }),
    waits: 1000,
  },
  { name: "waits for a processor for ever", accounts: starving, waits: 5000 },
  {
    name: "waited for a processor for a while",
    accounts: (now) => ({
      ran: 7,
      waited: now > STARTED + 800 ? 600 : 0,
      wantsOne: now > STARTED + 200 && now <= STARTED + 800,
    }),
    waits: 1600,
  },
  {
    name: "waits for a processor while a thread ends that had waited long",
    accounts: (now) => ({
      ran: 7,
      waited: now > STARTED + 300 ? 0 : 9000,
      wantsOne: now > STARTED + 200 && now <= STARTED + 800,
    }),
    waits: 1000,
  },
  {
    name: "has threads that wait more than there is time",
    accounts: (now) => ({ ran: now, waited: 10 * now, wantsOne: true }),
    waits: 5000,
  },
];

for (const { name, accounts, waits } of cases) {
  Deno.test(`a monitor that ${name} is waited for ${waits} ms`, () => {
    const waited = new Clock(accounts).wait();
    assert.ok(waited >= waits && waited < waits + 100, `${waited} ms`);
  });
}

Deno.test("what it waits more is for a whole conversation", () => {
  const clock = new Clock(starving);
  assert.equal(clock.wait(3500), 3500);
  clock.now += 700;
  const waited = clock.wait();
  assert.ok(waited >= 2500 && waited < 2600, `${waited} ms`);
  assert.equal(clock.wait(900), 900);
});

Deno.test("an answer at once needs no accounts", () => {
  const clock = new Clock(() => assert.fail("they were read"));
  assert.equal(clock.wait(90), 90);
});

Deno.test("how often it says something does not decide how often its accounts are read", () => {
  let reads = 0;
  const clock = new Clock((now) => {
    reads++;
    return starving(now);
  });
  clock.patience.begin();
  for (let millisecond = 0; millisecond < 600; millisecond++) {
    assert.ok(clock.patience.left() > 0);
    clock.now++;
  }
  assert.ok(reads > 5 && reads <= 12, `${reads} reads`);
});
