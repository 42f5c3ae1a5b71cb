/** The same commands to runc and to urunc: what a caller of runc may count on. */
import assert from "node:assert/strict";
import { ordinaryBundle } from "../support/ordinary.ts";
import { type CommandResult, run, waitFor } from "../support/process.ts";
import { doubleContainer } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

type Call = (...args: string[]) => Promise<CommandResult>;

/** A life, with the mistakes that can be made in it; `ID` and `BUNDLE` are each runtime's own. */
const LIFE = [
  "state ID",
  "start ID",
  "kill ID KILL",
  "delete ID",
  "delete --force ID",
  "ps ID",
  "create --bundle BUNDLE ID",
  "create --bundle BUNDLE ID",
  "resume ID",
  "state ID",
  "list --format json",
  "ps --format json ID",
  "start ID",
  "start ID",
  "delete ID",
  "kill ID 0",
  "kill ID NOSUCH",
  "kill ID 99",
  "pause ID",
  "pause ID",
  "state ID",
  "delete ID",
  "resume ID",
  "resume ID",
  "events --stats ID",
  "update --pids-limit 100 ID",
  "list --quiet",
  "kill ID SIGKILL",
  "stopped",
  "state ID",
  "list --format json",
  "start ID",
  "pause ID",
  "resume ID",
  "kill ID",
  "kill --all ID 9",
  "update --pids-limit 100 ID",
  "events --stats ID",
  "delete ID",
  "delete ID",
  "run --detach --bundle BUNDLE ID",
  "delete -f ID",
  "create --bundle /no/such/bundle ID",
  "create --bundle BUNDLE no/id",
  "create --no-such-option ID",
  "no-such-command ID",
  "kill",
];

/** What callers look for in an error. */
const TEXTS = [
  /does not exist/,
  /container( with id \S+ is)? not running/,
  /container not paused/,
  /already exists/,
];

/** What a caller sees of an answer: success, the known texts, and the form of what was printed. */
function answerOf({ code, stdout, stderr }: CommandResult, id: string): unknown {
  const texts = TEXTS.filter((text) => text.test(stderr)).map(String);
  if (code !== 0) return { failed: true, texts };
  if (!/^[{[]/.test(stdout)) return stdout.replaceAll(id, "ID");
  return formOf(JSON.parse(stdout));
}

/** Names and types; of states also which. Annotations, numbers, and how many pids are each runtime's own. */
function formOf(value: unknown, name = ""): unknown {
  if (Array.isArray(value)) {
    const isPids = value.length > 0 && value.every(Number.isInteger);
    return isPids ? "pids" : value.map((it) => formOf(it));
  }
  if (name === "status" || name === "ociVersion" || name === "owner") return value;
  // runc counts more, and leaves out what is 0.
  if (name === "data") return Object.keys(value as object).includes("cpu");
  if (typeof value !== "object" || value === null) return typeof value;
  // A stopped container has no process; runc has no owner in a state.
  const left = Object.entries(value).filter(([key, it]) =>
    key !== "annotations" && !(key === "pid" && it === 0) && it !== ""
  );
  return Object.fromEntries(
    left.map(([key, it]): [string, unknown] => [key, formOf(it, key)]).sort(),
  );
}

async function live(call: Call, id: string, bundle: string): Promise<Map<string, unknown>> {
  const answers = new Map<string, unknown>();
  for (const [index, line] of LIFE.entries()) {
    if (line === "stopped") {
      await waitFor(async () => (await call("state", id)).stdout.includes('"stopped"'), {
        timeoutSeconds: 10,
        what: "its end",
      });
      continue;
    }
    const words = line.split(" ").map((it) => it === "ID" ? id : it === "BUNDLE" ? bundle : it);
    answers.set(`${index} ${line}`, answerOf(await call(...words), id));
  }
  return answers;
}

testIf("runc and urunc answer alike", {
  needs: ["root", "gcc", "runc", "busybox"],
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  const quiet = { stdin: "" };
  const urunc = await live(
    // A container that nobody waits for must not hold the pipes of this test.
    (...args) => container.urunc(args, quiet),
    container.id,
    container.bundle,
  );
  const bundle = await ordinaryBundle(scope, ["/bin/sleep", "100"]);
  const root = await scope.temporaryDirectory("runc");
  const id = `runc-${crypto.randomUUID().slice(0, 13)}`;
  scope.defer("delete runc's", async () => {
    await run(["runc", "--root", root, "delete", "--force", id], { check: true });
  });
  const runc = await live((...args) => run(["runc", "--root", root, ...args], quiet), id, bundle);
  assert.deepEqual(Object.fromEntries(urunc), Object.fromEntries(runc));
});
