/**
 * One end of a transfer:
 *
 *   serve ADDRESS [PORT]          sends back what it receives over TCP, and over UDP
 *   check ADDRESS BYTES [PORT]    has a server send back that much over TCP and compares
 *   ask ADDRESS [PORT]            has a server send back a datagram
 */
const [role, hostname, ...rest] = Deno.args;
const port = Number((role === "check" ? rest[1] : rest[0]) ?? 7000);

if (role === "serve") {
  const listener = Deno.listen({ hostname, port });
  const datagrams = Deno.listenDatagram({ transport: "udp", hostname, port });
  console.log("listening");
  (async () => {
    for await (const [bytes, sender] of datagrams) await datagrams.send(bytes, sender);
  })();
  for await (const connection of listener) {
    connection.readable.pipeTo(connection.writable).catch(() => {});
  }
} else if (role === "ask") {
  const own = hostname!.includes(":") ? "::" : "0.0.0.0";
  const datagrams = Deno.listenDatagram({ transport: "udp", hostname: own, port: 0 });
  await datagrams.send(new Uint8Array(100), { transport: "udp", hostname: hostname!, port });
  const [bytes] = await datagrams.receive();
  console.log(bytes.length === 100 ? "same" : `different: ${bytes.length} bytes`);
} else {
  const sent = new Uint8Array(Number(rest[0]));
  // Noise that repeats with no power of two: a segment in another's place is noticed.
  for (let i = 0, state = 1; i < sent.length; i++) {
    state = (state * 48271) % 0x7fffffff;
    sent[i] = state;
  }
  const connection = await Deno.connect({ hostname: hostname!, port });
  const writing = new Blob([sent]).stream()
    .pipeTo(connection.writable, { preventClose: true })
    .then(() => connection.closeWrite());
  const received = new Uint8Array(await new Response(connection.readable).arrayBuffer());
  await writing;
  const same = received.length === sent.length && received.every((byte, i) => byte === sent[i]);
  console.log(same ? "same" : `different: ${received.length} of ${sent.length} bytes`);
}
