import assert from "node:assert/strict";
import { InvalidConfigurationError } from "../../../lib/errors.ts";
import { planLaunch } from "../../../lib/plan/launch.ts";
import { terminalReceiver } from "../../../lib/plan/terminal.ts";
import { launchInputOf, NETWORK, specOf } from "../../support/plan_inputs.ts";

const PROCESS = { user: { uid: 1000, gid: 1001 }, args: ["x"], cwd: "/", terminal: true };

Deno.test("who receives the terminal, and what is rejected", async (t) => {
  const socket = "/run/console.sock";
  const rows: [boolean, { consoleSocket?: string; detached: boolean }, unknown][] = [
    [false, { detached: true }, undefined],
    [false, { detached: false }, undefined],
    [true, { detached: false }, { kind: "creator" }],
    [true, { consoleSocket: socket, detached: true }, { kind: "socket", path: socket }],
    [true, { detached: true }, /process\.terminal.*there is no receiver for it/],
    [
      true,
      { consoleSocket: socket, detached: false },
      /--console-socket.*uses the terminal itself/,
    ],
    [false, { consoleSocket: socket, detached: true }, /--console-socket.*no terminal to send/],
    [false, { consoleSocket: socket, detached: false }, /--console-socket.*no terminal to send/],
  ];
  for (const [terminal, request, expected] of rows) {
    await t.step(`terminal ${terminal}, ${JSON.stringify(request)}`, () => {
      const { process } = specOf({ process: { ...PROCESS, terminal } });
      const call = () => terminalReceiver(process, request);
      if (!(expected instanceof RegExp)) return assert.deepEqual(call(), expected);
      assert.throws(
        call,
        (error) =>
          error instanceof InvalidConfigurationError && expected.test(error.message) &&
          error.parts.remedy !== undefined,
      );
    });
  }
});

Deno.test("the terminal is the user's alone, of the size that is asked for", () => {
  const spec = specOf({ process: { ...PROCESS, consoleSize: { height: 40, width: 132 } } });
  const terminal = { kind: "socket", path: "/run/console.sock" } as const;
  const { steps } = planLaunch(launchInputOf({ spec, terminal })).plan;
  const at = steps.findIndex(({ step }) => step === "openTerminal");
  assert.deepEqual(steps.slice(at, at + 3), [
    {
      step: "openTerminal",
      uid: 1000,
      gid: 1001,
      mode: 0o600,
      size: { rows: 40, columns: 132 },
    },
    { step: "sendTerminal", to: terminal },
    { step: "useTerminal" },
  ]);
});

Deno.test("without a size in the spec, no size is set", () => {
  const spec = specOf({ process: PROCESS });
  const { steps } = planLaunch(launchInputOf({ spec, terminal: { kind: "creator" } })).plan;
  const open = steps.find(({ step }) => step === "openTerminal");
  assert.deepEqual(open, { step: "openTerminal", uid: 1000, gid: 1001, mode: 0o600 });
});

Deno.test("a container without a terminal has no step for one", () => {
  const { steps } = planLaunch(launchInputOf()).plan;
  assert.deepEqual(steps.filter(({ step }) => /terminal/i.test(step)), []);
});

Deno.test("the terminal is made after the hooks, before device rules, pivot and credentials", () => {
  const hook = { path: "/opt/hook" };
  const { steps } = planLaunch(launchInputOf({
    spec: specOf({
      process: PROCESS,
      hooks: { createContainer: [hook], startContainer: [hook] },
    }),
    network: NETWORK,
    deviceCgroup: { version: 1, directory: "/sys/fs/cgroup/devices/x" },
    terminal: { kind: "creator" },
  })).plan;
  const names: string[] = steps.map(({ step }) => step);
  const order = [
    "runHooks",
    "openTerminal",
    "sendTerminal",
    "useTerminal",
    "deviceRule",
    "pivotRoot",
  ];
  order.forEach((name, index) => {
    const next = order[index + 1];
    assert.ok(names.includes(name), name);
    if (next) assert.ok(names.lastIndexOf(name) < names.indexOf(next), `${name} before ${next}`);
  });
});
