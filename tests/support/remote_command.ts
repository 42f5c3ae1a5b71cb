/**
 * The client's side of Kubernetes' remote commands, over a web socket: what `kubectl exec` and `attach` speak.
 * The server listens on the daemon's own loopback, so this is a program that the test runs there:
 *
 *   deno run -A remote_command.ts URL [ROWSxCOLUMNS]
 *
 * Standard input, output and errors are the process's. Exits with its code, and with 254 when the server
 * reports another error; closes the connection when the output has had the text in UNTIL: the protocol has no
 * other end of the input.
 *
 * @see k8s.io/apimachinery, pkg/util/remotecommand/constants.go: v4.channel.k8s.io
 */
const [STDIN, STDOUT, STDERR, ERROR, RESIZE] = [0, 1, 2, 3, 4];

interface Status {
  status: string;
  message?: string;
  details?: { causes?: { reason: string; message: string }[] };
}

function exitCode({ status, message, details }: Status): number {
  if (status === "Success") return 0;
  const code = details?.causes?.find(({ reason }) => reason === "ExitCode")?.message;
  if (code !== undefined) return Number(code);
  console.error(message);
  return 254;
}

function frame(channel: number, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(channel, ...bytes);
}

async function main([url, size]: string[]): Promise<void> {
  const socket = new WebSocket(url!.replace(/^http/, "ws"), ["v4.channel.k8s.io"]);
  socket.binaryType = "arraybuffer";
  const until = Deno.env.get("UNTIL");
  let code = 0, output = "";
  const closed = new Promise<void>((resolve) => socket.onclose = () => resolve());
  socket.onmessage = ({ data }) => {
    const [channel, bytes] = [new Uint8Array(data)[0], new Uint8Array(data).subarray(1)];
    if (channel === STDOUT) {
      Deno.stdout.writeSync(bytes);
      output += new TextDecoder().decode(bytes);
      if (until !== undefined && output.includes(until)) socket.close();
    }
    if (channel === STDERR) Deno.stderr.writeSync(bytes);
    if (channel === ERROR) code = exitCode(JSON.parse(new TextDecoder().decode(bytes)));
  };
  await new Promise((resolve, reject) => (socket.onopen = resolve, socket.onerror = reject));
  socket.onerror = null;
  if (size !== undefined) {
    const [Height, Width] = size.split("x").map(Number);
    const text = JSON.stringify({ Width, Height });
    socket.send(frame(RESIZE!, new TextEncoder().encode(text)));
  }
  const input = (async () => {
    for await (const bytes of Deno.stdin.readable) socket.send(frame(STDIN!, bytes));
  })();
  await closed;
  void input;
  Deno.exit(code);
}

if (import.meta.main) await main(Deno.args);
