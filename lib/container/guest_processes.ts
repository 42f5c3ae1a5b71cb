import {
  close,
  kill,
  O_RDWR,
  open,
  pipe,
  readAsync,
  SIGKILL,
  waitpidAsync,
} from "../../ffi/linux.ts";
import { parseProcess } from "../oci/parse.ts";
import { after } from "../os/timer.ts";
import { describeList } from "../plan/relay.ts";
import { execInContainer, type ExecRequest } from "./exec.ts";

/** As much as is read of a list: the guest may go on without end. Bytes. */
const MOST_BYTES = 1024 * 1024;
/** So long it may take. Milliseconds. */
const MOST_TIME = 10_000;

/** A process of a guest. Nothing of it is known on the host: these are the guest's own words. */
export interface GuestProcess {
  uid: number;
  /** Its number, and its parent's, in the program's PID namespace. */
  pid: number;
  parentPid: number;
  /** One letter, as in proc_pid_stat(5). */
  state: string;
  /** Any characters. */
  command: string;
}

/**
 * The processes of a container's guest, as its agent lists them.
 *
 * @throws as `execInContainer`
 */
export async function guestProcesses(
  request: Pick<ExecRequest, "store" | "id" | "configuration">,
): Promise<GuestProcess[]> {
  const [reader, writer] = pipe();
  const nothing = open("/dev/null", O_RDWR);
  try {
    const { pid } = await execInContainer({
      ...request,
      process: PLACEHOLDER,
      description: describeList(),
      stdio: [nothing, writer, nothing],
    }).finally(() => close(writer));
    return parseList(await readOutput(pid, reader));
  } finally {
    close(reader);
    close(nothing);
  }
}

/** Its arguments are in the words of an error. */
const PLACEHOLDER = parseProcess(JSON.stringify({
  user: { uid: 0, gid: 0 },
  args: ["ps"],
  cwd: "/",
}));

/** Waits for the relay, and ends it when it is over with patience or room. */
async function readOutput(pid: number, fd: number): Promise<string> {
  const timer = after(MOST_TIME, () => kill(pid, SIGKILL));
  const bytes = new Uint8Array(MOST_BYTES);
  let length = 0;
  try {
    for (let count = 1; count > 0 && length < bytes.length; length += count) {
      count = await readAsync(fd, bytes.subarray(length));
    }
  } finally {
    timer.cancel();
    kill(pid, SIGKILL);
    await waitpidAsync(pid);
  }
  return new TextDecoder().decode(bytes.subarray(0, length));
}

/** @returns what is a line of a list: UID PID PARENT STATE COMMAND, lib/build/guest_init/processes.c */
export function parseList(text: string): GuestProcess[] {
  return text.split("\n").flatMap((line) => {
    const found = /^(\d{1,10}) (\d{1,10}) (\d{1,10}) ([A-Za-z]) (.*)$/s.exec(line);
    if (found === null) return [];
    const [, uid, pid, parent, state, command] = found;
    return [{
      uid: Number(uid),
      pid: Number(pid),
      parentPid: Number(parent),
      state: state!,
      command: command!,
    }];
  }).sort((a, b) => a.pid - b.pid);
}
