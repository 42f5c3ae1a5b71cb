/** `kubectl attach` of a guest: its input ends with the first client that is to be the only one, or stays. */
import assert from "node:assert/strict";
import { Pod } from "../../support/pod.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { GUEST } from "./_common.ts";
import { CRI_NEEDS, missingPlugins, remoteCommand, startWithCri } from "./_cri.ts";

testIf("CRI: attach with stdinOnce ends the guest's input, and without it attach goes on", {
  needs: CRI_NEEDS,
  skip: missingPlugins(),
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const it = await startWithCri(scope);
  const pod = await Pod.run(scope, it);
  const attach = async (id: string, stdin: string, until: string) =>
    await remoteCommand(it, await pod.cri.attachUrl(id), { stdin, until });

  const args = ["print up; read; print over; exit 3"];
  const once = await pod.start("once", { image: GUEST, args, stdin: true, stdinOnce: true });
  await pod.logsWith("once", "up");
  assert.match((await attach(once, "first\n", "first\n")).stdout, /first\n/);
  assert.match(await pod.logsWith("once", "over"), /^up\nfirst\nover\n$/);
  assert.equal((await pod.ended(once, 20)).exitCode, 1);
  await pod.cri.remove(once);

  const stays = await pod.start("stays", { image: GUEST, args, stdin: true });
  await pod.logsWith("stays", "up");
  const words = Array.from({ length: 3 }, (_, index) => `word ${index}\n`);
  for (const word of words) assert.match((await attach(stays, word, word)).stdout, RegExp(word));
  assert.equal(await pod.logsWith("stays", "word 2"), `up\n${words.join("")}`);
  assert.equal((await pod.cri.status(stays)).state, 1, "its input has not ended");
  await pod.stopAndRemove(stays, 0);
  await pod.remove();
});
