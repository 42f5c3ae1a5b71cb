/** Replicas' pods, as a kubelet has containerd make them: how long until the containers of all run. */
import { GUEST, ORDINARY } from "../e2e/containerd/_common.ts";
import { missingPlugins, startWithCri } from "../e2e/containerd/_cri.ts";
import type { Containerd } from "../support/containerd.ts";
import { doubleTable } from "../support/double.ts";
import { Pod, type PodContainer } from "../support/pod.ts";
import { Scope } from "../support/scope.ts";
import { type Row, summarize, type Table, wantedOf } from "./table.ts";

const ROUNDS = 3;

/** Pods of one kind. */
interface Replicas {
  subject: string;
  containerd: Containerd;
  handler: string;
  container: PodContainer;
}

/** Seconds, of all pods at once; each has a sandbox, an address of its own and one container. */
export async function benchPods(scope: Scope, count: number): Promise<Table> {
  const name = `${count} pods by CRI until their containers run`;
  const reason = missingPlugins();
  if (reason !== undefined) return { rows: [], missing: [{ name, reason }] };
  const table = await doubleTable("qemu");
  const byPod = await startWithCri(scope, false, { configuration: table });
  const grouped = `shim_group = "namespace"\n${table}`;
  const byNamespace = await startWithCri(scope, false, { configuration: grouped });
  const guest = { handler: "urunc", container: { image: GUEST, args: ["idle"] } };
  const ordinary = { image: ORDINARY, command: ["/bin/busybox", "sleep", "100000"] };
  const kinds: Replicas[] = [
    { subject: "a shim per pod", containerd: byPod, ...guest },
    { subject: "one for all", containerd: byNamespace, ...guest },
    { subject: "runc", containerd: byPod, handler: "runc", container: ordinary },
  ];
  const seconds = kinds.map((): number[] => []);
  for (const kind of kinds) await timeReplicas(kind, "warm", 1);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, kind] of kinds.entries()) {
      seconds[index]!.push(await timeReplicas(kind, `${round}`, count));
    }
  }
  const row: Row = {
    name,
    unit: "s",
    values: kinds.map(({ subject }, index) => ({ subject, ...summarize(seconds[index]!) })),
    bases: ["runc"],
    wanted: wantedOf(["a shim per pod", "one for all"], "runc", 0.9),
  };
  return { rows: [row], missing: [] };
}

async function timeReplicas(
  { subject, containerd, handler, container }: Replicas,
  round: string,
  count: number,
): Promise<number> {
  await using connections = new Scope();
  await using scope = new Scope();
  const pods: Pod[] = [];
  scope.defer("remove the pods", async () => {
    await Promise.all(pods.map((it) => it.remove()));
  });
  const began = performance.now();
  await Promise.all(Array.from({ length: count }, async (_, index) => {
    const name = `${subject.replaceAll(" ", "-")}-${round}-${index}`;
    const pod = await Pod.run(connections, containerd, { name, handler });
    pods.push(pod);
    await pod.start("replica", container);
  }));
  return (performance.now() - began) / 1000;
}
